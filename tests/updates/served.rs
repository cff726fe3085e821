//! Operator updates as clients send them, and what everyone hears of them.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Client, Database, Server, on_every_store};

on_every_store!(
    everyone_hears_of_operators_as_what_they_came_to,
    operators_that_change_nothing_make_a_version_and_an_empty_patch,
    bad_operators_are_answered_with_code_and_path_and_change_nothing,
    an_increment_that_is_repeated_has_its_effect_once,
    increments_in_a_batch_build_on_each_other,
    a_log_of_operator_updates_replays_and_verifies,
);

fn update(id: &str, data: &Value) -> Value {
    json!({"id": id, "updateData": data})
}

/// An update with every operator, and the patch and the fields that it comes to.
fn every_operator() -> [Value; 4] {
    [
        json!({
            "set": 0, "gone": 1, "n": 1, "price": 2.5, "low": 5, "high": 5, "list": [1], "tags": ["a"],
            "scores": [{"v": 3}, {"v": 8}, 9], "old": {"x": [1.0]},
        }),
        json!({
            "$set": {"set": 1, "deep.er": null}, "$unset": {"gone": ""}, "$inc": {"n": 2, "made": 1},
            "$mul": {"price": 2}, "$min": {"low": 3}, "$max": {"high": 3},
            "$push": {"list": {"$each": [2, [3]]}}, "$addToSet": {"tags": {"$each": ["a", "b"]}},
            "$pull": {"scores": {"v": {"$lt": 5}}}, "$rename": {"old": "new"},
        }),
        json!({
            "set": {
                "deep.er": null, "list": [1, 2, [3]], "low": 3, "made": 1, "n": 3, "new": {"x": [1.0]},
                "price": 5.0, "scores": [{"v": 8}, 9], "set": 1, "tags": ["a", "b"],
            },
            "unset": ["gone", "old"],
        }),
        json!({
            "set": 1, "n": 3, "price": 5.0, "low": 3, "high": 5, "list": [1, 2, [3]], "tags": ["a", "b"],
            "scores": [{"v": 8}, 9], "deep": {"er": null}, "made": 1, "new": {"x": [1.0]},
        }),
    ]
}

/// Without what the server adds.
fn fields(data: &Value) -> Value {
    let fields = data.as_object().unwrap().iter();
    let own = fields.filter(|(name, _)| !name.starts_with('_'));
    Value::Object(
        own.map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

async fn everyone_hears_of_operators_as_what_they_came_to(server: Server) {
    let [before, operators, patch, after] = every_operator();
    let mut client = server.client().await;
    let (id, _) = client.create(before).await;
    client.change().await;
    let answer = client.ok("UPDATE", update(&id, &operators)).await;
    assert_eq!(fields(&answer["data"]), after);
    let live = client.change().await;
    let mut resumed = server.connect("/ws?after=1").await;
    let from_log = resumed.change().await;
    for change in [&live, &from_log] {
        assert_eq!(
            (&change["kind"], &change["version"]),
            (&json!("update"), &json!(2))
        );
        // As text, because 5 and 5.0 must not be the same.
        assert_eq!(change["patch"].to_string(), patch.to_string());
        assert_eq!(fields(&change["data"]), after);
    }
    let found = client.ok("FETCH", json!({"filter": {"tags": "b"}})).await;
    assert_eq!(found["data"][0], answer["data"]);

    let response = server
        .http("PATCH", &format!("/api/events/{id}"))
        .json(&json!({"$inc": {"n": 1}}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let change = client.change().await;
    assert_eq!(change["patch"], json!({"set": {"n": 4}, "unset": []}));
}

async fn operators_that_change_nothing_make_a_version_and_an_empty_patch(server: Server) {
    let mut client = server.client().await;
    let (id, _) = client.create(json!({"n": 1, "tags": ["a"]})).await;
    client.change().await;
    let nothing = json!({"$unset": {"x": ""}, "$addToSet": {"tags": "a"}, "$min": {"n": 2}});
    let answer = client.ok("UPDATE", update(&id, &nothing)).await;
    assert_eq!(
        (&answer["seq"], &answer["data"]["_version"]),
        (&json!(2), &json!(2))
    );
    let change = client.change().await;
    assert_eq!(change["patch"], json!({"set": {}, "unset": []}));
    assert_eq!(fields(&change["data"]), json!({"n": 1, "tags": ["a"]}));
}

async fn bad_operators_are_answered_with_code_and_path_and_change_nothing(server: Server) {
    let mut client = server.client().await;
    let (id, _) = client
        .create(json!({"text": "x", "n": i64::MAX, "list": [1]}))
        .await;
    for (code, path, data) in [
        ("bad_request", ".$foo", json!({"$foo": {"a": 1}})),
        ("bad_request", ".a", json!({"$set": {"n": 1}, "a": 1})),
        ("bad_request", ".$inc.n", json!({"$inc": {"n": "1"}})),
        (
            "bad_request",
            ".$unset.n",
            json!({"$inc": {"n": 1}, "$unset": {"n": 1}}),
        ),
        (
            "bad_request",
            ".$push.list.$slice",
            json!({"$push": {"list": {"$each": [], "$slice": 1}}}),
        ),
        (
            "bad_request",
            ".$pull.list.$where",
            json!({"$pull": {"list": {"$where": "1"}}}),
        ),
        (
            "bad_request",
            ".$set._version",
            json!({"$set": {"_version": 1}}),
        ),
        ("bad_request", "", json!([{"$set": {"n": 1}}])),
        (
            "does_not_fit",
            ".$inc.n",
            json!({"$set": {"other": 1}, "$inc": {"n": 1}}),
        ),
        ("does_not_fit", ".$mul.text", json!({"$mul": {"text": 1}})),
        ("does_not_fit", ".$push.text", json!({"$push": {"text": 1}})),
        (
            "does_not_fit",
            ".$set.text.x",
            json!({"$set": {"text.x": 1}}),
        ),
        (
            "does_not_fit",
            ".$rename.list.0",
            json!({"$rename": {"list.0": "x"}}),
        ),
    ] {
        let error = client.refused("UPDATE", update(&id, &data)).await;
        let path = format!("payload.updateData{path}");
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!(code), &json!(path)),
            "{data}"
        );
    }
    let found = client.ok("FETCH", json!({})).await["data"][0].clone();
    assert_eq!((&found["_version"], found.get("other")), (&json!(1), None));
}

async fn an_increment_that_is_repeated_has_its_effect_once(server: Server) {
    let mut client = server.client().await;
    let (id, _) = client.create(json!({"n": 1})).await;
    for is_repeated in [false, true] {
        let payload = update(&id, &json!({"$inc": {"n": 1}}));
        client
            .send(&json!({"type": "UPDATE", "commandId": "once", "payload": payload}))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer["data"]["n"], 2, "{answer}");
        assert_eq!(answer["duplicate"] == true, is_repeated, "{answer}");
    }
}

async fn increments_in_a_batch_build_on_each_other(server: Server) {
    let mut client = server.client().await;
    let (id, _) = client.create(json!({"n": 1})).await;
    let member = |data: &Value| json!({"type": "UPDATE", "payload": update(&id, data)});
    let inc = member(&json!({"$inc": {"n": 2}}));
    let double = member(&json!({"$mul": {"n": 2}}));
    client
        .ok("BATCH", json!({"commands": [inc, double, inc]}))
        .await;
    assert_eq!(number(&mut client).await, 8);
    let bad = member(&json!({"$push": {"n": 1}}));
    let error = client
        .refused("BATCH", json!({"commands": [inc, bad]}))
        .await;
    assert_eq!(
        error["path"],
        "payload.commands.1.payload.updateData.$push.n"
    );
    assert_eq!(number(&mut client).await, 8);
}

async fn number(client: &mut Client) -> Value {
    client.ok("FETCH", json!({})).await["data"][0]["n"].clone()
}

async fn a_log_of_operator_updates_replays_and_verifies(server: Server) {
    let [before, operators, _, _] = every_operator();
    let mut client = server.connect("/ws?changes=none").await;
    for _ in 0..3 {
        let (id, _) = client.create(before.clone()).await;
        for data in [
            &operators,
            &json!({"$unset": {"list.1": "", "tags": ""}, "$push": {"more": 4}}),
            &json!({"$rename": {"deep": "n2"}, "$pull": {"scores": 9}, "$inc": {"a.b": 1}}),
        ] {
            client.ok("UPDATE", update(&id, data)).await;
        }
    }
    let before = client.ok("FETCH", json!({})).await["data"].clone();
    let database = server.stop().await;
    for subcommand in ["verify", "replay", "verify"] {
        let (code, said) = database.livelog(subcommand).await;
        assert_eq!(code, Some(0), "{subcommand}: {said}");
    }
    // An exported log has no events after their updates: they are made of the patches.
    let exported = database.run("export", Stdio::null()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), exported.stdout).unwrap();
    let copy = Database::folder();
    let imported = copy.run("import", file.reopen().unwrap().into()).await;
    assert!(imported.status.success(), "{imported:?}");
    for database in [database, copy] {
        let next = Server::on(database, &[]).await;
        let mut client = next.client().await;
        assert_eq!(client.ok("FETCH", json!({})).await["data"], before);
    }
}

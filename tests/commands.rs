//! What each command does and answers.

use serde_json::{Value, json};

use crate::support::client::error_of;
use crate::support::{Server, on_every_store};

on_every_store!(
    create_answers_the_event_as_stored,
    an_id_is_echoed_as_it_was_sent_or_left_out,
    update_sets_fields_and_reaches_inside_by_dotted_paths,
    delete_answers_the_event_as_it_was,
    a_client_may_choose_the_id_once_and_again_after_a_delete,
    what_goes_in_comes_out_the_same_in_every_answer,
    a_write_that_expects_another_version_is_refused_with_the_event_as_it_is,
    broadcast_is_answered_and_heard_by_its_sender_too,
    answers_come_in_the_order_of_their_requests,
    pipelined_commands_on_one_event_are_each_decided_on_the_one_before,
);

async fn create_answers_the_event_as_stored(server: Server) {
    let mut client = server.client().await;
    client
        .send(&json!({"type": "CREATE", "id": "c1", "payload": {"field1": "value1"}}))
        .await;
    let answer = client.answer().await;
    let id = answer["data"]["_id"].as_str().unwrap();
    let at = answer["data"]["_createdAt"].as_str().unwrap();
    assert_eq!(
        answer,
        json!({
            "type": "response", "id": "c1", "request": "CREATE", "success": true, "seq": 1,
            "data": {"_id": id, "_version": 1, "_seq": 1, "_createdAt": at, "_updatedAt": at, "field1": "value1"},
        })
    );
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
}

async fn an_id_is_echoed_as_it_was_sent_or_left_out(server: Server) {
    let mut client = server.client().await;
    for id in [
        json!("text"),
        json!(""),
        json!(7),
        json!(-1),
        json!(i64::MAX),
        json!("ü \" \\"),
    ] {
        client
            .send(&json!({"type": "FETCH", "id": id, "payload": {}}))
            .await;
        assert_eq!(client.answer().await["id"], id);
    }
    client.send(&json!({"type": "CREATE", "payload": {}})).await;
    let answer = client.answer().await;
    assert_eq!((answer.get("id"), &answer["success"]), (None, &json!(true)));
}

async fn update_sets_fields_and_reaches_inside_by_dotted_paths(server: Server) {
    let mut client = server.client().await;
    let (id, _) = client
        .create(json!({"a": 1, "b": {"c": 2, "d": [1, {"e": 2}]}, "keep": true}))
        .await;
    let update =
        json!({"id": id, "updateData": {"a": "one", "b.c": null, "b.d.1.e": 3, "new.deep": []}});
    let answer = client.ok("UPDATE", update).await;
    let data = &answer["data"];
    assert_eq!(answer["seq"], 2);
    assert_eq!(
        (&data["_id"], &data["_version"], &data["_seq"]),
        (&json!(id), &json!(2), &json!(2))
    );
    assert_eq!(data["a"], "one");
    assert_eq!(data["b"], json!({"c": null, "d": [1, {"e": 3}]}));
    assert_eq!(data["new"], json!({"deep": []}));
    assert_eq!(data["keep"], true);
    assert!(data["_updatedAt"].as_str() >= data["_createdAt"].as_str());
}

async fn delete_answers_the_event_as_it_was(server: Server) {
    let mut client = server.client().await;
    let (id, _) = client.create(json!({"a": 1})).await;
    let before = client
        .ok("UPDATE", json!({"id": id, "updateData": {"a": 2}}))
        .await;
    let answer = client.ok("DELETE", json!({"id": id})).await;
    assert_eq!(
        (&answer["seq"], &answer["data"]),
        (&json!(3), &before["data"])
    );
    let found = client.ok("FETCH", json!({})).await;
    assert_eq!((&found["data"], &found["seq"]), (&json!([]), &json!(3)));
    assert_eq!(
        client.refused("DELETE", json!({"id": id})).await["code"],
        "not_found"
    );
}

async fn a_client_may_choose_the_id_once_and_again_after_a_delete(server: Server) {
    let mut client = server.client().await;
    let id = "ünïque id/1?".to_owned();
    assert_eq!(
        client.create(json!({"_id": id, "n": 1})).await,
        (id.clone(), 1)
    );
    let error = client.refused("CREATE", json!({"_id": id, "n": 2})).await;
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("already_exists"), &json!(false))
    );
    client.ok("DELETE", json!({"id": id})).await;
    let again = client.ok("CREATE", json!({"_id": id, "n": 3})).await;
    assert_eq!(
        (&again["seq"], &again["data"]["_version"]),
        (&json!(3), &json!(3))
    );
}

/// What JSON can say, with the corners that JavaScript, BSON and JSON see differently.
fn corners() -> Value {
    json!({
        "int": 1, "zero": 0, "negative": -5, "i32": 2_147_483_648_i64, "max": i64::MAX, "min": i64::MIN,
        "beyond_javascript": 9_007_199_254_740_993_i64,
        "float": 1.0, "small": 0.1, "tiny": 5e-324, "huge": 1.797_693_134_862_315_7e308, "negative_zero": -0.0,
        "text": "2026-01-31T12:00:00.000Z", "number_text": "1", "object_id": "507f1f77bcf86cd799439011",
        "control": "\u{0} \u{1f} \u{7f} \u{2028}", "emoji": "🦀", "empty": "",
        "null": null, "yes": true, "no": false,
        "array": [], "object": {}, "nested": [[1, [2.0]], {"0": {"_id": "own"}}], "ключ": "значение",
    })
}

async fn what_goes_in_comes_out_the_same_in_every_answer(server: Server) {
    let mut client = server.client().await;
    let fields = corners();
    let created = client.ok("CREATE", fields.clone()).await["data"].clone();
    let change = client.change().await["data"].clone();
    let fetched = client.ok("FETCH", json!({})).await["data"][0].clone();
    let (_, rest) = server.get("/api/events", &[]).await;
    let mut resumed = server.connect("/ws?after=0").await;
    let from_log = resumed.change().await["data"].clone();
    for seen in [&created, &change, &fetched, &rest["data"][0], &from_log] {
        for (name, value) in fields.as_object().unwrap() {
            // As text, because 1 and 1.0 must not be the same.
            assert_eq!(seen[name].to_string(), value.to_string(), "{name}");
        }
        assert_eq!(
            seen.as_object().unwrap().len(),
            fields.as_object().unwrap().len() + 5
        );
    }
}

async fn a_write_that_expects_another_version_is_refused_with_the_event_as_it_is(server: Server) {
    let mut client = server.client().await;
    let (id, _) = client.create(json!({"n": 1})).await;
    let current = client
        .ok(
            "UPDATE",
            json!({"id": id, "updateData": {"n": 2}, "expectedVersion": 1}),
        )
        .await;
    for (kind, payload) in [
        (
            "UPDATE",
            json!({"id": id, "updateData": {"n": 3}, "expectedVersion": 1}),
        ),
        ("DELETE", json!({"id": id, "expectedVersion": 3})),
    ] {
        let error = client.refused(kind, payload).await;
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("version_conflict"), &json!(false))
        );
        assert_eq!(error["details"]["current"], current["data"]);
    }
    let deleted = client
        .ok("DELETE", json!({"id": id, "expectedVersion": 2}))
        .await;
    assert_eq!(
        deleted["seq"], 3,
        "refused commands take no place in the log"
    );
}

async fn broadcast_is_answered_and_heard_by_its_sender_too(server: Server) {
    let mut sender = server.client().await;
    let mut other = server.client().await;
    for payload in [
        json!({"message": "Hello everyone!"}),
        json!("text"),
        json!([1, 2.0]),
        json!(null),
        json!(1),
    ] {
        let answer = sender.ok("BROADCAST", payload.clone()).await;
        assert!(
            answer.get("data").is_none() && answer.get("seq").is_none(),
            "{answer}"
        );
        for client in [&mut sender, &mut other] {
            assert_eq!(
                client.broadcast().await,
                json!({"type": "broadcast", "payload": payload})
            );
        }
    }
    assert_eq!(
        sender.create(json!({})).await.1,
        1,
        "broadcasts are not in the log"
    );
}

async fn answers_come_in_the_order_of_their_requests(server: Server) {
    let mut client = server.client().await;
    for round in 0..4 {
        let frames = (0..64).map(|n| match n % 4 {
            0 => json!({"type": "CREATE", "id": n, "payload": {"_id": format!("{round}-{n}"), "n": 0}}),
            1 => json!({"type": "UPDATE", "id": n, "payload": {"id": format!("{round}-{}", n - 1), "updateData": {"n": n}}}),
            2 => json!({"type": "FETCH", "id": n, "payload": {"filter": {"_id": format!("{round}-{}", n - 2)}}}),
            _ => json!({"type": "NONSENSE", "id": n}),
        });
        client.send_all(frames).await;
        for n in 0..64 {
            let answer = client.answer().await;
            assert_eq!(answer["id"], n, "{answer}");
            match n % 4 {
                0 => assert_eq!(answer["data"]["_version"], 1, "{answer}"),
                1 => assert_eq!(answer["data"]["n"], n, "{answer}"),
                2 => assert_eq!(
                    answer["data"][0]["n"],
                    n - 1,
                    "a FETCH sees the writes before it: {answer}"
                ),
                _ => assert_eq!(error_of(&answer)["code"], "unknown_type"),
            }
        }
    }
}

async fn pipelined_commands_on_one_event_are_each_decided_on_the_one_before(server: Server) {
    let mut client = server.client().await;
    let (id, _) = client.create(json!({"n": 0})).await;
    client
        .send_all((1..=50).map(|n| {
            let payload = json!({"id": id, "updateData": {"n": n}, "expectedVersion": n});
            json!({"type": "UPDATE", "id": n, "payload": payload})
        }))
        .await;
    for n in 1..=50 {
        let answer = client.answer().await;
        assert_eq!(
            (&answer["data"]["n"], &answer["seq"]),
            (&json!(n), &json!(n + 1)),
            "{answer}"
        );
    }
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn two_nodes_decide_on_one_event_as_if_they_were_one() {
    let one = Server::start().await;
    let two = one.beside().await;
    let (id, _) = one.client().await.create(json!({"n": 0})).await;
    // Each writer adds its share by expected versions, and reads again after a conflict.
    let add = async |server: &Server, times: usize| {
        let mut client = server.connect("/ws?changes=none").await;
        let mut current = json!({"_version": 1, "n": 0});
        let mut conflicts = 0;
        for _ in 0..times {
            loop {
                let n = current["n"].as_i64().unwrap() + 1;
                let payload = json!({"id": id, "updateData": {"n": n}, "expectedVersion": current["_version"]});
                let answer = client.request("UPDATE", payload).await;
                if answer["success"] == true {
                    current = answer["data"].clone();
                    break;
                }
                assert_eq!(answer["error"]["code"], "version_conflict", "{answer}");
                current = answer["error"]["details"]["current"].clone();
                conflicts += 1;
            }
        }
        conflicts
    };
    let (left, right) = tokio::join!(add(&one, 50), add(&two, 50));
    let found = one.client().await.ok("FETCH", json!({})).await;
    assert_eq!(
        (&found["data"][0]["n"], &found["data"][0]["_version"]),
        (&json!(100), &json!(101))
    );
    assert!(left + right > 0, "the two never met");
}

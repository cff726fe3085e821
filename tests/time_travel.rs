//! Histories, reads of the past, and restoring what was: over HTTP and the socket.

use std::sync::Arc;

use livelog::domain::{Change, Effect, Event, EventId, Seq, Timestamp};
use livelog::store::{Batch, Store};
use livelog::value::Document;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Client, Server, on_every_store};

on_every_store!(
    a_history_tells_every_life_of_an_event_in_either_order,
    a_history_is_paged_and_its_fields_are_cut,
    a_moment_is_a_seq_or_a_time,
    the_past_is_filtered_sorted_and_paged_like_the_present,
    a_moment_that_is_none_is_refused_and_one_ahead_is_waited_for,
    an_event_is_restored_whether_it_is_there_or_not,
    a_restore_sees_what_was_sent_before_it_without_waiting,
    a_version_that_never_was_cannot_be_restored,
    a_restore_is_one_command_among_others,
    times_do_not_run_back_where_the_log_is_ahead_of_the_clock,
);

/// An event with two lives: versions 1 to 3 and its deletion as 4, then version 5. The seq of each change.
async fn two_lives(client: &mut Client) -> Vec<u64> {
    let mut seqs = Vec::new();
    for (kind, payload) in [
        ("CREATE", json!({"_id": "e", "n": 1, "gone": true})),
        ("UPDATE", json!({"id": "e", "updateData": {"n": 2}})),
        ("CREATE", json!({"_id": "other", "n": 1})),
        (
            "UPDATE",
            json!({"id": "e", "updateData": {"$unset": {"gone": ""}, "$set": {"n": 3}}}),
        ),
        ("DELETE", json!({"id": "e"})),
        ("CREATE", json!({"_id": "e", "n": 4})),
    ] {
        let answer = client.ok(kind, payload.clone()).await;
        if payload["_id"] != "other" {
            seqs.push(answer["seq"].as_u64().unwrap());
        }
    }
    seqs
}

async fn get(server: &Server, path: &str, parameters: &[(&str, &str)]) -> Value {
    let (status, body) = server.get(path, parameters).await;
    assert_eq!(status, 200, "{path} {parameters:?}: {body}");
    body
}

async fn refused(server: &Server, path: &str, parameters: &[(&str, &str)]) -> (u16, String, Value) {
    let (status, body) = server.get(path, parameters).await;
    let code = body["error"]["code"].as_str().expect("an error").to_owned();
    (status, code, body["error"]["path"].clone())
}

fn seqs(body: &Value) -> Vec<u64> {
    let changes = body["data"].as_array().expect("a list").iter();
    changes
        .map(|change| change["seq"].as_u64().unwrap())
        .collect()
}

async fn a_history_tells_every_life_of_an_event_in_either_order(server: Server) {
    let mut client = server.client().await;
    let all = two_lives(&mut client).await;
    let heard = client.changes(6).await;
    let heard: Vec<&Value> = heard
        .iter()
        .filter(|change| change["eventId"] == "e")
        .collect();

    let oldest = get(&server, "/api/events/e/history", &[("order", "oldest")]).await;
    assert_eq!(
        (seqs(&oldest), oldest["seq"].as_u64()),
        (all.clone(), all.last().copied())
    );
    let told: Vec<&Value> = oldest["data"].as_array().unwrap().iter().collect();
    assert_eq!(told, heard, "a history tells changes as they were told");
    assert_eq!(oldest.get("next"), None);

    let newest = get(&server, "/api/events/e/history", &[]).await;
    assert_eq!(seqs(&newest), all.iter().rev().copied().collect::<Vec<_>>());
    client.ok("DELETE", json!({"id": "e"})).await;
    let gone = get(&server, "/api/events/e/history", &[]).await;
    assert_eq!(
        (seqs(&gone).len(), &gone["data"][0]["kind"]),
        (6, &json!("delete"))
    );
    let nobodys = "/api/events/nobody/history";
    let beyond = refused(&server, nobodys, &[("after", "9999999")]).await;
    assert_eq!(beyond, refused(&server, nobodys, &[]).await);
    let never = refused(&server, nobodys, &[]).await;
    assert_eq!((never.0, never.1.as_str()), (404, "not_found"));
}

async fn a_history_is_paged_and_its_fields_are_cut(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let all = two_lives(&mut client).await;
    for (order, mut expected) in [("oldest", all.clone()), ("newest", all)] {
        if order == "newest" {
            expected.reverse();
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let mut parameters = vec![("order", order), ("limit", "2"), ("fields", "n")];
            parameters.extend(after.as_deref().map(|after| ("after", after)));
            let page = get(&server, "/api/events/e/history", &parameters).await;
            assert!(seqs(&page).len() <= 2);
            assert!(!page.to_string().contains("gone"), "{page}");
            found.extend(seqs(&page));
            match page.get("next") {
                Some(next) => after = Some(next.to_string()),
                None => break,
            }
        }
        assert_eq!(found, expected, "{order}");
    }
    for (name, value) in [
        ("order", "up"),
        ("limit", "0"),
        ("limit", "1001"),
        ("after", "0"),
    ] {
        let refused = refused(&server, "/api/events/e/history", &[(name, value)]).await;
        let path = json!(format!("query.{name}"));
        assert_eq!(
            refused,
            (400, "invalid_filter".to_owned(), path),
            "{name}={value}"
        );
    }
}

async fn a_moment_is_a_seq_or_a_time(server: Server) {
    let mut client = server.client().await;
    let all = two_lives(&mut client).await;
    let changes = client.changes(6).await;
    let read = async |at: &str| {
        let (status, body) = server.get("/api/events/e", &[("at", at)]).await;
        (status, body["seq"].as_u64(), body["data"]["n"].as_u64())
    };
    for (place, n) in all.iter().zip([Some(1), Some(2), Some(3), None, Some(4)]) {
        let expected = match n {
            Some(n) => (200, Some(*place), Some(n)),
            None => (404, None, None),
        };
        assert_eq!(read(&place.to_string()).await, expected, "at {place}");
    }
    assert_eq!(read("0").await.0, 404);
    // A time means the last change up to it: of those with the same millisecond the last.
    for change in &changes {
        let at = change["at"].as_str().unwrap();
        let last = changes.iter().rfind(|other| other["at"] == change["at"]);
        let seq = last.unwrap()["seq"].as_u64().unwrap();
        let (by_time, by_seq) = (read(at).await, read(&seq.to_string()).await);
        assert_eq!(by_time, by_seq, "at {at}");
        let elsewhere = at.replace('Z', "+00:00");
        assert_eq!(read(&elsewhere).await, by_seq, "at {elsewhere}");
    }
    assert_eq!(read("1999-12-31T23:59:59Z").await.0, 404);
    assert_eq!(
        read("2999-12-31T23:59:59Z").await,
        (200, all.last().copied(), Some(4))
    );
    let answer = client.ok("FETCH", json!({"at": all[1]})).await;
    assert_eq!(
        (&answer["seq"], &answer["data"][0]["n"]),
        (&json!(all[1]), &json!(2))
    );
    let answer = client.ok("FETCH", json!({"at": changes[5]["at"]})).await;
    assert_eq!(answer["data"].as_array().unwrap().len(), 2);
}

async fn the_past_is_filtered_sorted_and_paged_like_the_present(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..50 {
        client
            .create(json!({"_id": format!("e{n:02}"), "n": n % 7}))
            .await;
    }
    for n in (0..50).step_by(3) {
        client.ok("DELETE", json!({"id": format!("e{n:02}")})).await;
    }
    let then = client.ok("FETCH", json!({"limit": 1})).await["seq"].clone();
    let asked = [
        json!({}),
        json!({"filter": {"n": {"$gte": 4}}}),
        json!({"sort": {"n": -1}, "fields": ["n"]}),
        json!({"sort": {"_id": -1}}),
        json!({"filter": {"_id": {"$in": ["e01", "e03", "e49"]}}}),
    ];
    let mut present = Vec::new();
    for asked in &asked {
        present.push(client.ok("FETCH", asked.clone()).await["data"].clone());
    }
    for n in 0..50 {
        if n % 3 == 0 {
            client
                .create(json!({"_id": format!("e{n:02}"), "n": 8}))
                .await;
        } else {
            let payload = json!({"id": format!("e{n:02}"), "updateData": {"n": 9}});
            client.ok("UPDATE", payload).await;
        }
    }
    for (asked, expected) in asked.iter().zip(present) {
        let mut asked = asked.clone();
        asked["at"] = then.clone();
        let whole = client.ok("FETCH", asked.clone()).await;
        assert_eq!(
            (&whole["data"], &whole["seq"]),
            (&expected, &then),
            "{asked}"
        );
        asked["limit"] = json!(7);
        let mut paged = Vec::new();
        loop {
            let page = client.ok("FETCH", asked.clone()).await;
            paged.extend(page["data"].as_array().unwrap().iter().cloned());
            match page.get("next") {
                Some(next) => asked["cursor"] = next.clone(),
                None => break,
            }
        }
        assert_eq!(Value::from(paged), expected, "{asked} by pages");
    }
    let listed = get(&server, "/api/events", &[("at", &then.to_string())]).await;
    assert_eq!(
        (listed["data"].as_array().unwrap().len(), &listed["seq"]),
        (33, &then)
    );
}

async fn a_moment_that_is_none_is_refused_and_one_ahead_is_waited_for(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    two_lives(&mut client).await;
    for at in ["-1", "yesterday", "2026-01-31", "1.5", ""] {
        let refused = refused(&server, "/api/events/e", &[("at", at)]).await;
        assert_eq!(
            (refused.0, refused.1.as_str()),
            (400, "invalid_filter"),
            "{at}"
        );
        assert_eq!(refused.2, "query.at");
    }
    let error = client.refused("FETCH", json!({"at": true})).await;
    assert_eq!(
        (&error["code"], &error["path"]),
        (&json!("invalid_filter"), &json!("payload.at"))
    );

    let ahead = server.http("GET", "/api/events/e?at=7").send();
    let (ahead, _) = tokio::join!(ahead, client.create(json!({})));
    assert_eq!(ahead.unwrap().status(), 200);
    let never = refused(&server, "/api/events/e", &[("at", "1000")]).await;
    assert_eq!((never.0, never.1.as_str()), (503, "seq_not_reached"));
}

async fn an_event_is_restored_whether_it_is_there_or_not(server: Server) {
    let mut client = server.client().await;
    client
        .create(json!({"_id": "e", "n": 1, "a": {"b": [1, 1.0]}, "x": null}))
        .await;
    let payload = json!({"id": "e", "updateData": {"n": 2, "a.b": "c", "y": true}});
    client.ok("UPDATE", payload).await;
    client.changes(2).await;

    let payload = json!({"id": "e", "version": 1, "expectedVersion": 2});
    let restored = client.ok("RESTORE", payload.clone()).await;
    assert_eq!(
        (&restored["request"], &restored["data"]["_version"]),
        (&json!("RESTORE"), &json!(3))
    );
    let change = client.change().await;
    assert_eq!(
        (&change["kind"], &change["seq"]),
        (&json!("update"), &restored["seq"])
    );
    let patch = json!({"set": {"n": 1, "a": {"b": [1, 1.0]}}, "unset": ["y"]});
    assert_eq!(
        (&change["patch"], &change["data"]),
        (&patch, &restored["data"])
    );
    assert!(restored["data"].get("y").is_none() && restored["data"]["x"].is_null());
    let error = client.refused("RESTORE", payload).await;
    assert_eq!(error["code"], "version_conflict");

    client.ok("DELETE", json!({"id": "e"})).await;
    client.change().await;
    let answer = server
        .http("POST", "/api/events/e/restore")
        .json(&json!({"version": 2}));
    let answer = answer.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["etag"]),
        (200, &"\"5\"".parse().unwrap())
    );
    let change = client.change().await;
    assert_eq!(
        (&change["kind"], &change["version"]),
        (&json!("create"), &json!(5))
    );
    assert_eq!(
        (&change["data"]["y"], &change["data"]["a"]["b"]),
        (&json!(true), &json!("c"))
    );
    let (status, report) = server.stop().await.livelog("verify").await;
    assert_eq!(status, Some(0), "{report}");
}

async fn a_restore_sees_what_was_sent_before_it_without_waiting(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let update = |n: usize| json!({"id": "e", "updateData": {"n": n}});
    for round in 0..10 {
        let restore = |version: u64| json!({"id": "e", "version": 8 * round + version});
        let frames = [
            json!({"type": "CREATE", "payload": {"_id": "e", "n": 1}}),
            json!({"type": "UPDATE", "payload": update(2)}),
            json!({"type": "UPDATE", "payload": update(3)}),
            json!({"type": "RESTORE", "payload": restore(2)}),
            json!({"type": "DELETE", "payload": {"id": "e"}}),
            json!({"type": "RESTORE", "payload": restore(1)}),
            json!({"type": "RESTORE", "payload": restore(3)}),
        ];
        client.send_all(frames.iter().cloned()).await;
        let mut found = Vec::new();
        for _ in &frames {
            let answer = client.answer().await;
            assert_eq!(answer["success"], true, "{answer}");
            found.push(answer["data"]["n"].as_u64().unwrap());
        }
        assert_eq!(found, [1, 2, 3, 2, 2, 1, 3], "round {round}");
        client.ok("DELETE", json!({"id": "e"})).await;
    }
}

async fn a_version_that_never_was_cannot_be_restored(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    two_lives(&mut client).await;
    client.ok("RESTORE", json!({"id": "e", "version": 3})).await;
    for version in [4, 7, i64::MAX] {
        let error = client
            .refused("RESTORE", json!({"id": "e", "version": version}))
            .await;
        let found = (&error["code"], &error["path"]);
        assert_eq!(
            found,
            (&json!("not_found"), &json!("payload.version")),
            "{version}"
        );
    }
    let error = client
        .refused("RESTORE", json!({"id": "nobody", "version": 1}))
        .await;
    assert_eq!(
        (&error["code"], error.get("path")),
        (&json!("not_found"), None)
    );
    for (payload, path) in [
        (json!({"id": "e"}), "payload.version"),
        (json!({"id": "e", "version": 0}), "payload.version"),
        (json!({"id": "e", "version": "1"}), "payload.version"),
        (json!({"version": 1}), "payload.id"),
    ] {
        let error = client.refused("RESTORE", payload).await;
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("bad_request"), &json!(path))
        );
    }
    client.ok("DELETE", json!({"id": "e"})).await;
    let payload = json!({"id": "e", "version": 1, "expectedVersion": 1});
    assert_eq!(
        client.refused("RESTORE", payload).await["code"],
        "not_found"
    );
}

async fn a_restore_is_one_command_among_others(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    client.create(json!({"_id": "e", "n": 1})).await;
    let commands = json!({"commands": [
        {"type": "UPDATE", "payload": {"id": "e", "updateData": {"n": 2}}},
        {"type": "DELETE", "payload": {"id": "e"}},
        {"type": "RESTORE", "payload": {"id": "e", "version": 2}},
    ]});
    let answer = client.ok("BATCH", commands).await;
    assert_eq!(answer["data"][2]["n"], 2);
    let missing = json!({"commands": [
        {"type": "UPDATE", "payload": {"id": "e", "updateData": {"n": 5}}},
        {"type": "RESTORE", "payload": {"id": "e", "version": 9}},
    ]});
    let error = client.refused("BATCH", missing).await;
    assert_eq!(
        error["path"], "payload.commands.1.payload.version",
        "{error}"
    );
    let again = json!({"type": "RESTORE", "commandId": "r", "payload": {"id": "e", "version": 2}});
    client.send(&again).await;
    let first = client.answer().await;
    client.send(&again).await;
    let second = client.answer().await;
    assert_eq!(
        (&second["seq"], &second["duplicate"]),
        (&first["seq"], &json!(true)),
        "{second}"
    );
    assert_eq!(second["data"], first["data"]);
}

/// What a node whose clock is ahead would write.
async fn create_at(store: &dyn Store, name: &str, at: &str) {
    let (after, at) = (store.head().await.unwrap(), Timestamp::parse(at).unwrap());
    let event = Event {
        id: EventId::parse(name).unwrap(),
        version: 1,
        seq: after.next(),
        created_at: at,
        updated_at: at,
        fields: Document::new(),
    };
    let change = Change {
        seq: after.next(),
        at,
        effect: Effect::Create {
            after: Arc::new(event),
        },
        command: None,
        author: None,
    };
    let batch = Batch {
        id: Uuid::new_v4(),
        after,
        changes: vec![Arc::new(change)],
    };
    store.append(&Arc::new(batch)).await.unwrap();
}

async fn times_do_not_run_back_where_the_log_is_ahead_of_the_clock(server: Server) {
    const AHEAD: &str = "2999-01-31T12:00:00.000Z";
    let database = server.database.another().await;
    let store = database.store().await;
    assert_eq!(store.head().await.unwrap(), Seq::ZERO);
    create_at(&*store, "ahead", AHEAD).await;
    store.close().await;
    drop(store);
    let mut database = database;
    for restart in 1..=2 {
        let server = Server::on(database, &[]).await;
        let mut client = server.connect("/ws?changes=none").await;
        let answer = client.ok("CREATE", json!({})).await;
        assert_eq!(answer["data"]["_createdAt"], AHEAD);
        let body = get(&server, "/api/events", &[("at", AHEAD)]).await;
        assert_eq!(body["data"].as_array().map(Vec::len), Some(1 + restart));
        database = server.stop().await;
    }
    let exported = database.run("export", std::process::Stdio::null()).await;
    let copy = database.another().await;
    let stdin = crate::support::database::stdin(&exported.stdout);
    assert!(copy.run("import", stdin).await.status.success());
    let server = Server::on(copy, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let answer = client.ok("CREATE", json!({})).await;
    assert_eq!(answer["data"]["_createdAt"], AHEAD);
}

/// A node that has written takes note of what another writes later.
#[cfg(feature = "mongodb")]
#[tokio::test]
async fn a_node_does_not_write_earlier_times_than_another() {
    let server = Server::start().await;
    let mut client = server.connect("/ws?changes=none").await;
    client.create(json!({})).await;
    let other = server.database.store().await;
    for at in ["2998-01-31T12:00:00.000Z", "2999-01-31T12:00:00.000Z"] {
        create_at(&*other, at, at).await;
        let answer = client.ok("CREATE", json!({})).await;
        assert_eq!(answer["data"]["_createdAt"], at);
    }
    other.close().await;
}

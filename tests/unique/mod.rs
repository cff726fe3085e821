//! Unique indexes: of one value there is one event, whatever is tried, on either store, by any number of nodes.

mod model;
#[cfg(feature = "mongodb")]
mod nodes;

use std::sync::Arc;

use livelog::domain::{Change, Effect, Event, EventId};
use livelog::store::Batch;
use serde_json::{Value, json};

use crate::support::client::error_of;
use crate::support::dice::Dice;
use crate::support::{Client, Database, Server, on_every_store};

on_every_store!(
    a_value_that_an_event_has_is_refused_to_others,
    what_a_batch_comes_to_decides,
    a_value_is_freed_by_whatever_takes_it_from_its_event,
    what_no_index_can_hold_is_refused_by_its_path,
    of_many_who_take_a_value_at_once_one_gets_it,
    what_is_stored_is_checked_before_anything_is_served,
    a_server_that_is_killed_has_every_value_once,
);

const UNIQUE: [&str; 4] = ["--unique", "email", "--unique", "tenant,-n"];

/// The same store, with these arguments.
async fn restarted(server: Server, arguments: &[&str]) -> Server {
    Server::on(server.stop().await, arguments).await
}

async fn session(server: &Server) -> Client {
    server.connect("/ws?changes=none").await
}

/// Refused because another event has it, without a word of what it has, or which it is.
async fn ensure_taken(client: &mut Client, kind: &str, payload: Value, path: &str) {
    let error = client.refused(kind, payload).await;
    assert_eq!(
        (&error["code"], &error["path"], &error["retryable"]),
        (&json!("not_unique"), &json!(path), &json!(false)),
        "{error}"
    );
    let message = error["message"].as_str().unwrap();
    assert!(
        !message.contains("Ada") && !message.contains("first"),
        "{message}"
    );
}

async fn a_value_that_an_event_has_is_refused_to_others(server: Server) {
    let server = restarted(server, &UNIQUE).await;
    let mut client = session(&server).await;
    let first = json!({"_id": "first", "email": "Ada", "tenant": "T", "n": 1});
    client.create(first.clone()).await;
    let taken = json!({"email": ["Bob", "Ada"]});
    ensure_taken(&mut client, "CREATE", taken, "payload.email").await;
    let same = json!({"tenant": "T", "n": 1.0});
    ensure_taken(&mut client, "CREATE", same, "payload.tenant").await;
    for free in [
        json!({"email": "Bob", "tenant": "T"}),
        json!({"email": null, "n": 1}),
        json!({"email": [], "tenant": "S", "n": 1}),
        json!({"email": ["Eve", "Eve", null]}),
        json!({"_id": "other"}),
    ] {
        client.create(free).await;
    }
    for data in [
        json!({"email": "Ada"}),
        json!({"$push": {"email": "Ada"}}),
        json!({"$set": {"email": ["x", "Ada"]}}),
    ] {
        let update = json!({"id": "other", "updateData": data});
        ensure_taken(&mut client, "UPDATE", update, "payload.email").await;
    }
    // One that has it may have it, and as much else as it likes.
    for data in [
        json!({"email": "Ada"}),
        json!({"email": ["Ada", "A"]}),
        json!({"x": 1}),
    ] {
        client
            .ok("UPDATE", json!({"id": "first", "updateData": data}))
            .await;
    }
    let response = server
        .http("POST", "/api/events")
        .json(&json!({"email": "A"}));
    let response = response.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 409);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "not_unique");
    let patch = server
        .http("PATCH", "/api/events/other")
        .json(&json!({"email": "A"}));
    assert_eq!(patch.send().await.unwrap().status().as_u16(), 409);
    let (code, said) = server.stop().await.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

async fn what_a_batch_comes_to_decides(server: Server) {
    let server = restarted(server, &UNIQUE).await;
    let mut client = session(&server).await;
    client.create(json!({"_id": "a", "email": "Ada"})).await;
    client.create(json!({"_id": "b", "email": "Bob"})).await;
    let update = |id: &str, email: &str| json!({"type": "UPDATE", "payload": {"id": id, "updateData": {"email": email}}});
    let both = json!({"commands": [update("a", "Bob"), update("b", "Ada")]});
    client.ok("BATCH", both).await;
    let one = json!({"id": "a", "updateData": {"email": "Ada"}});
    ensure_taken(&mut client, "UPDATE", one, "payload.email").await;
    let create = |email: &str| json!({"type": "CREATE", "payload": {"email": email}});
    let twice = json!({"commands": [create("Eve"), update("a", "Al"), create("Eve")]});
    ensure_taken(
        &mut client,
        "BATCH",
        twice,
        "payload.commands.2.payload.email",
    )
    .await;
    let delete = json!({"type": "DELETE", "payload": {"id": "b"}});
    let moved = json!({"commands": [create("Ada"), delete]});
    client.ok("BATCH", moved.clone()).await;
    // Nothing is left of what was refused, and of a batch not done its command is told.
    client.create(json!({"email": "Eve"})).await;
    let refused = client
        .refused(
            "BATCH",
            json!({"commands": [update("a", "Al"), create("Eve")]}),
        )
        .await;
    assert_eq!(
        refused["path"], "payload.commands.1.payload.email",
        "{refused}"
    );
}

async fn a_value_is_freed_by_whatever_takes_it_from_its_event(server: Server) {
    let server = restarted(server, &UNIQUE).await;
    let mut client = session(&server).await;
    let update = |id: &str, data: Value| json!({"id": id, "updateData": data});
    client.create(json!({"_id": "first", "email": "Ada"})).await;
    client
        .ok("UPDATE", update("first", json!({"email": "Al"})))
        .await;
    client
        .create(json!({"_id": "second", "email": "Ada"}))
        .await;
    let restore = json!({"id": "first", "version": 1});
    ensure_taken(&mut client, "RESTORE", restore.clone(), "payload.email").await;
    client
        .ok(
            "UPDATE",
            update("second", json!({"$unset": {"email": true}})),
        )
        .await;
    client.ok("RESTORE", restore.clone()).await;
    client.ok("DELETE", json!({"id": "first"})).await;
    client
        .ok("UPDATE", update("second", json!({"email": "Ada"})))
        .await;
    ensure_taken(&mut client, "RESTORE", restore.clone(), "payload.email").await;
    client.ok("DELETE", json!({"id": "second"})).await;
    client.ok("RESTORE", restore).await;
    // A command that was carried out before is answered as then, though the value is taken by now: by itself.
    let create = json!({"type": "CREATE", "commandId": "once", "payload": {"email": "Eve"}});
    client.send(&create).await;
    let done = client.answer().await;
    client.send_all([create.clone(), create]).await;
    for _ in 0..2 {
        let again = client.answer().await;
        assert_eq!(
            (&again["seq"], &again["duplicate"]),
            (&done["seq"], &json!(true)),
            "{again}"
        );
    }
    // At once: what is freed can be taken by the next command, and not before.
    let free = json!({"type": "DELETE", "payload": {"id": "first"}});
    let take = json!({"type": "CREATE", "payload": {"email": "Ada"}});
    client
        .send_all([take.clone(), free, take.clone(), take])
        .await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(client.answer().await["error"]["code"].clone());
    }
    assert_eq!(
        json!(codes),
        json!(["not_unique", null, null, "not_unique"])
    );
}

async fn what_no_index_can_hold_is_refused_by_its_path(server: Server) {
    let server = restarted(server, &UNIQUE).await;
    let mut client = session(&server).await;
    let long = "x".repeat(1_100);
    let many: Vec<usize> = (0..1_001).collect();
    for (fields, path) in [
        (json!({"email": long}), Some("payload.email")),
        (json!({"email": many}), Some("payload.email")),
        (json!({"email": [["a"]]}), Some("payload.email")),
        (json!({"tenant": "T", "n": long}), Some("payload.n")),
        // It holds nothing.
        (json!({"tenant": long}), None),
    ] {
        let answer = client.request("CREATE", fields).await;
        match path {
            None => assert_eq!(answer["success"], true, "{answer}"),
            Some(path) => {
                let error = error_of(&answer);
                assert_eq!(
                    (&error["code"], &error["path"]),
                    (&json!("not_indexable"), &json!(path)),
                    "{error}"
                );
            }
        }
    }
    let all: Vec<Value> = (0..20)
        .map(|batch| {
            let many: Vec<usize> = (0..100).map(|n| batch * 1_000 + n).collect();
            json!({"type": "CREATE", "payload": {"email": many}})
        })
        .collect();
    client.ok("BATCH", json!({"commands": all})).await;
    client.create(json!({"email": 100})).await;
    ensure_taken(
        &mut client,
        "CREATE",
        json!({"email": 19_099}),
        "payload.email",
    )
    .await;
}

async fn of_many_who_take_a_value_at_once_one_gets_it(server: Server) {
    const SESSIONS: usize = 6;
    const VALUES: usize = 150;
    let server = restarted(server, &UNIQUE).await;
    let writers = (0..SESSIONS).map(async |writer| {
        let mut client = session(&server).await;
        let mut values: Vec<usize> = (0..VALUES).collect();
        Dice::new(1, writer as u64).shuffle(&mut values);
        let create =
            |value: &usize| json!({"type": "CREATE", "payload": {"email": value, "by": writer}});
        client.send_all(values.iter().map(create)).await;
        let mut won = 0;
        for _ in &values {
            let answer = client.answer().await;
            if answer["success"] == true {
                won += 1;
            } else {
                assert_eq!(answer["error"]["code"], "not_unique", "{answer}");
            }
        }
        won
    });
    let won = futures::future::join_all(writers).await;
    println!("{won:?} won");
    assert_eq!(won.iter().sum::<usize>(), VALUES);
    ensure_distinct(&server, VALUES).await;
}

/// Each event has a value of its own.
async fn ensure_distinct(server: &Server, count: usize) {
    let (_, all) = server.get("/api/events", &[("fields", "email")]).await;
    let emails = all["data"].as_array().unwrap().iter();
    let mut emails: Vec<String> = emails.map(|event| event["email"].to_string()).collect();
    let all = emails.len();
    emails.sort_unstable();
    emails.dedup();
    assert_eq!((all, emails.len()), (count, count));
}

async fn what_is_stored_is_checked_before_anything_is_served(server: Server) {
    let mut client = session(&server).await;
    for n in 0..3_000 {
        let create = json!({"type": "CREATE", "payload": {"_id": format!("e{n}"), "email": n % 2_999, "list": [n, [n]]}});
        client.send(&create).await;
    }
    for _ in 0..3_000 {
        assert_eq!(client.answer().await["success"], true);
    }
    let database = server.stop().await;
    let refused = Server::spawn(&database, &["--unique", "email"])
        .await
        .unwrap_err();
    let said = "unique index email: events e0 and e2999 hold the same";
    assert!(refused.contains(said), "{refused}");
    let indexed = Server::on(Arc::clone(&database), &["--index", "tenant"]).await;
    let database = indexed.stop().await;
    let refused = Server::spawn(&database, &["--unique", "email"])
        .await
        .unwrap_err();
    assert!(refused.contains(said), "{refused}");
    assert!(!refused.contains("it is removed"), "{refused}");
    let refused = Server::spawn(&database, &["--unique", "list"])
        .await
        .unwrap_err();
    assert!(
        refused.contains("unique index list: event e")
            && refused.contains("an array within an array"),
        "{refused}"
    );
    // It is served as ever, and then with what was in the way gone.
    let server = Server::on(database, &["--index", "email"]).await;
    session(&server)
        .await
        .ok("DELETE", json!({"id": "e2999"}))
        .await;
    let is_checked = |server: &Server| server.logged().contains("checking that it is unique");
    let server = restarted(server, &["--unique", "email"]).await;
    assert!(is_checked(&server));
    ensure_taken(
        &mut session(&server).await,
        "CREATE",
        json!({"email": 0}),
        "payload.email",
    )
    .await;
    let server = restarted(server, &["--unique", "email"]).await;
    assert!(!is_checked(&server), "it is known by now");
    ensure_taken(
        &mut session(&server).await,
        "CREATE",
        json!({"email": 1}),
        "payload.email",
    )
    .await;
    // Between two that keep it unique, one that does not.
    let server = restarted(server, &["--index", "email"]).await;
    session(&server)
        .await
        .create(json!({"_id": "again", "email": 1}))
        .await;
    let refused = Server::spawn(&server.stop().await, &["--unique", "email"])
        .await
        .unwrap_err();
    assert!(
        refused.contains("events again and e1 hold the same"),
        "{refused}"
    );
}

async fn a_server_that_is_killed_has_every_value_once(server: Server) {
    const VALUES: usize = 400;
    let mut database = server.stop().await;
    let mut known = std::collections::HashSet::new();
    for life in 0..4_u64 {
        let server = Server::on(Arc::clone(&database), &UNIQUE).await;
        let mut client = session(&server).await;
        let mut values: Vec<usize> = (0..VALUES).collect();
        Dice::new(7, life).shuffle(&mut values);
        let create = |value: &usize| json!({"type": "CREATE", "payload": {"email": value}});
        client.send_all(values.iter().map(create)).await;
        for value in values.iter().take(60 + 40 * usize::try_from(life).unwrap()) {
            let answer = client.answer().await;
            let is_taken = answer["error"]["code"] == "not_unique";
            assert!(answer["success"] == true || is_taken, "{answer}");
            assert!(is_taken || known.insert(*value), "{value} was taken twice");
        }
        database = server.kill().await;
        known.clear();
        let server = Server::on(Arc::clone(&database), &UNIQUE).await;
        let (_, all) = server.get("/api/events", &[]).await;
        let emails = all["data"].as_array().unwrap().iter();
        let emails: Vec<usize> = emails
            .map(|event| usize::try_from(event["email"].as_u64().unwrap()).unwrap())
            .collect();
        known.extend(emails.iter().copied());
        assert_eq!(known.len(), emails.len());
        database = server.stop().await;
    }
    let (code, said) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn what_cannot_be_unique_is_refused_at_the_start() {
    for (declared, said) in [
        (
            ["--unique", "_seq"].as_slice(),
            "--unique: _seq is the server's",
        ),
        (&["--unique", "a.0"], "--unique: a.0: a number on its path"),
        (&["--unique", "a", "--index", "a"], "a is declared twice"),
    ] {
        let refused = Server::spawn(&Database::alone().await, declared)
            .await
            .unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
}

/// Behind the engine's back.
#[tokio::test]
async fn verify_finds_events_that_hold_the_same() {
    for database in [Database::alone().await, Database::shared().await] {
        let server = Server::on(database, &UNIQUE).await;
        let mut client = session(&server).await;
        client.create(json!({"_id": "a", "email": "Ada"})).await;
        let database = server.stop().await;
        let store = database.store().await;
        let read = store.read(livelog::domain::Seq::ZERO, 1).await.unwrap();
        let after = read[0].after().unwrap();
        let seq = read[0].seq.next();
        let again = Event {
            id: EventId::parse("b").unwrap(),
            seq,
            ..(**after).clone()
        };
        let change = Change {
            seq,
            effect: Effect::Create {
                after: Arc::new(again),
            },
            ..(*read[0]).clone()
        };
        let batch = Arc::new(Batch::new(read[0].seq, vec![Arc::new(change)]));
        store.append(&batch).await.unwrap();
        store.close().await;
        drop(store);
        let (code, said) = database.livelog("verify").await;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("unique index email: events a and b hold the same"),
            "{said}"
        );
    }
}

/// Each needs what the other promises to be made anew.
#[tokio::test]
async fn what_is_rebuilt_or_imported_is_checked_again() {
    for database in [Database::alone().await, Database::shared().await] {
        let server = Server::on(database, &UNIQUE).await;
        session(&server).await.create(json!({"email": "Ada"})).await;
        let database = server.stop().await;
        let (code, said) = database.livelog("replay").await;
        assert_eq!(code, Some(0), "{said}");
        let server = Server::on(Arc::clone(&database), &UNIQUE).await;
        assert_eq!(
            server.logged().contains("checking that it is unique"),
            database.is_folder()
        );
        ensure_taken(
            &mut session(&server).await,
            "CREATE",
            json!({"email": "Ada"}),
            "payload.email",
        )
        .await;
        let database = server.stop().await;
        // Declared, and empty: so it can be filled.
        let empty = database.another().await;
        let database = Server::on(empty, &["--unique", "same"]).await.stop().await;
        let lines = [r#"{"_id":"x","same":1}"#, r#"{"_id":"y","same":1}"#].join("\n");
        let input = crate::support::database::stdin(lines.as_bytes());
        let imported = database.run("import --format ndjson", input).await;
        let said = String::from_utf8_lossy(&imported.stderr).into_owned();
        assert!(imported.status.success(), "{said}");
        let refused = Server::spawn(&database, &["--unique", "same"])
            .await
            .unwrap_err();
        assert!(
            refused.contains("events x and y hold the same"),
            "{refused}"
        );
    }
}

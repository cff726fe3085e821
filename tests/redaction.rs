//! An event is erased: its contents are gone for good, and everything else is as it was.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::outage::fail;
use crate::support::database::{command, stdin};
use crate::support::{Client, Database, Mongod, Server, eventually, on_every_store};

/// What must not be found anywhere.
const SECRET: &str = "Ada-Lovelace-1815";

on_every_store!(
    what_is_erased_is_found_nowhere_and_all_else_is_as_it_was,
    an_erased_event_is_told_by_its_places_alone,
    what_is_erased_is_neither_restored_nor_answered_again,
    an_event_can_live_again_and_be_erased_again,
    an_erased_log_moves_to_the_other_store_and_back,
    whoever_comes_back_to_a_log_with_an_erased_event_hears_that_it_is_gone,
    an_event_that_never_was_cannot_be_erased,
    a_page_does_not_go_on_from_an_event_that_was_erased,
);

/// A person's event with four versions among those of others, and a life before that.
async fn stock(client: &mut Client) {
    let update =
        |id: &str, n: i64| json!({"id": id, "updateData": {"name": format!("{SECRET} {n}")}});
    for n in 0..3 {
        client
            .create(json!({"_id": format!("other{n}"), "open": true, "n": n}))
            .await;
    }
    client
        .create(json!({"_id": "person", "open": true, "name": SECRET}))
        .await;
    client.ok("DELETE", json!({"id": "person"})).await;
    let create = json!({"type": "CREATE", "commandId": "c1",
        "payload": {"_id": "person", "open": true, "name": SECRET, SECRET: 1}});
    client.send(&create).await;
    assert_eq!(client.answer().await["success"], true);
    for n in 1..4 {
        client.ok("UPDATE", update("person", n)).await;
        let payload = json!({"id": "other1", "updateData": {"n": -n}});
        client.ok("UPDATE", payload).await;
    }
}

async fn redact(database: &Database, event: &str) -> String {
    let (code, said) = database.livelog(&format!("redact --event {event}")).await;
    assert_eq!(code, Some(0), "{said}");
    said
}

/// Stocks the server, stops it, and has the person erased.
async fn without_person(server: Server) -> Arc<Database> {
    stock(&mut server.connect("/ws?changes=none").await).await;
    let database = server.stop().await;
    redact(&database, "person").await;
    database
}

async fn verified(database: &Database) {
    let (code, said) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

/// Whether the text stands anywhere in what the store keeps.
async fn holds(database: &Database, text: &str) -> bool {
    if database.is_folder() {
        let files = fs::read_dir(database.path()).unwrap();
        let mut contents = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        let text = text.as_bytes();
        return contents.any(|bytes| bytes.windows(text.len()).any(|window| window == text));
    }
    let driver = database.driver().await;
    for name in driver.list_collection_names().await.unwrap() {
        let all = driver
            .collection::<Document>(&name)
            .find(doc! {})
            .await
            .unwrap();
        let all: Vec<Document> = all.try_collect().await.unwrap();
        if all
            .iter()
            .any(|document| document.to_string().contains(text))
        {
            return true;
        }
    }
    false
}

async fn log(server: &Server) -> Vec<Value> {
    let (status, body) = server.get("/api/changes", &[("limit", "1000")]).await;
    assert_eq!(status, 200, "{body}");
    body["data"].as_array().unwrap().clone()
}

async fn what_is_erased_is_found_nowhere_and_all_else_is_as_it_was(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    stock(&mut client).await;
    let before = log(&server).await;
    let others = client
        .ok("FETCH", json!({"filter": {"_id": {"$ne": "person"}}}))
        .await;
    let database = server.stop().await;
    assert!(holds(&database, SECRET).await, "or this test is blind");
    // Now it stands in the view's table too, and not in memory alone.
    let (code, said) = database.livelog("replay").await;
    assert_eq!(code, Some(0), "{said}");

    let said = redact(&database, "person").await;
    assert!(
        said.contains("redacted 7 changes of event person, the last at seq 13"),
        "{said}"
    );
    assert!(!holds(&database, SECRET).await);
    verified(&database).await;
    let (code, said) = database.livelog("replay").await;
    assert_eq!(code, Some(0), "{said}");
    verified(&database).await;

    let server = Server::on(database, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let now = client.ok("FETCH", json!({})).await;
    assert_eq!(now["data"], others["data"]);
    let after = log(&server).await;
    assert_eq!(
        after.len(),
        before.len() + 1,
        "its deletion is a change too"
    );
    for (before, after) in before.iter().zip(&after) {
        match before["eventId"].as_str() {
            Some("person") => {
                for name in ["seq", "kind", "eventId", "version", "at"] {
                    assert_eq!(before[name], after[name], "{name}");
                }
                assert_eq!(
                    (&after["redacted"], after.get("data")),
                    (&json!(true), None)
                );
            }
            _ => assert_eq!(before, after),
        }
    }
    let database = server.stop().await;
    let again = redact(&database, "person").await;
    assert!(again.contains("redacted 0 changes"), "{again}");
}

async fn an_erased_event_is_told_by_its_places_alone(server: Server) {
    let server = Server::on(without_person(server).await, &[]).await;
    for (order, expected) in [
        ("oldest", [4, 5, 6, 7, 9, 11, 13]),
        ("newest", [13, 11, 9, 7, 6, 5, 4]),
    ] {
        let path = "/api/events/person/history";
        let (status, body) = server.get(path, &[("order", order), ("limit", "4")]).await;
        assert_eq!(status, 200);
        let next = body["next"].to_string();
        let (_, rest) = server
            .get(path, &[("order", order), ("after", &next)])
            .await;
        let told = [&body["data"], &rest["data"]].map(|data| data.as_array().unwrap().clone());
        let told: Vec<Value> = told.concat();
        let seqs: Vec<u64> = told
            .iter()
            .map(|change| change["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(seqs, expected);
        assert!(
            told.iter().all(|change| change["redacted"] == true),
            "{told:?}"
        );
    }
    for at in ["4", "6", "11", "13"] {
        let (status, body) = server.get("/api/events/person", &[("at", at)]).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (404, &json!("not_found")),
            "at {at}"
        );
    }
    let (_, listed) = server.get("/api/events", &[("at", "9")]).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 3, "{listed}");
}

async fn what_is_erased_is_neither_restored_nor_answered_again(server: Server) {
    let server = Server::on(without_person(server).await, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let error = client
        .refused("RESTORE", json!({"id": "person", "version": 2}))
        .await;
    assert_eq!(error["code"], "redacted");
    let answer = server
        .http("POST", "/api/events/person/restore")
        .json(&json!({"version": 1}));
    assert_eq!(answer.send().await.unwrap().status(), 410);
    for payload in [
        json!({"_id": "person", "open": true, "name": SECRET, SECRET: 1}),
        json!({}),
    ] {
        client
            .send(&json!({"type": "CREATE", "commandId": "c1", "payload": payload}))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer["error"]["code"], "redacted", "{answer}");
    }
}

async fn an_event_can_live_again_and_be_erased_again(server: Server) {
    let server = Server::on(without_person(server).await, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..150 {
        match n {
            0 => drop(
                client
                    .create(json!({"_id": "person", "name": SECRET, "n": n}))
                    .await,
            ),
            _ => drop(
                client
                    .ok("UPDATE", json!({"id": "person", "updateData": {"n": n}}))
                    .await,
            ),
        }
    }
    let restored = client
        .ok("RESTORE", json!({"id": "person", "version": 10}))
        .await;
    assert_eq!(restored["data"]["n"], 2, "what was erased had 7 versions");
    let erased = json!({"id": "person", "version": 3});
    assert_eq!(client.refused("RESTORE", erased).await["code"], "redacted");
    let database = server.stop().await;
    verified(&database).await;
    assert!(holds(&database, SECRET).await);
    let said = redact(&database, "person").await;
    assert!(said.contains("redacted 152 changes"), "{said}");
    assert!(!holds(&database, SECRET).await);
    verified(&database).await;
}

async fn an_erased_log_moves_to_the_other_store_and_back(server: Server) {
    let database = without_person(server).await;
    let export = async |database: &Database| {
        let output = database.run("export", Stdio::null()).await;
        assert_eq!(output.status.code(), Some(0));
        output.stdout
    };
    let exported = export(&database).await;
    let other = match database.is_folder() {
        true => Database::shared().await,
        false => Database::folder(),
    };
    let back = database.another().await;
    for target in [other, back] {
        let imported = target.run("import", stdin(&exported)).await;
        assert_eq!(imported.status.code(), Some(0), "{imported:?}");
        assert_eq!(export(&target).await, exported);
        verified(&target).await;
    }
}

/// A client that has the event, by whatever filter, must let go of it, though nobody can tell that it matched.
async fn whoever_comes_back_to_a_log_with_an_erased_event_hears_that_it_is_gone(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    stock(&mut client).await;
    client.create(json!({"_id": "last", "open": true})).await;
    let database = server.stop().await;
    redact(&database, "person").await;
    let server = Server::on(database, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    for mode in ["all", "latest"] {
        let filter = json!({"open": true, "name": SECRET});
        let payload = json!({"sub": mode, "filter": filter, "after": 7, "mode": mode});
        client.ok("SUBSCRIBE", payload).await;
        let told = client.next_told().await;
        assert_eq!(
            (&told["kind"], &told["eventId"]),
            (&json!("delete"), &json!("person")),
            "{told}"
        );
        assert_eq!(
            (&told["redacted"], &told["seq"]),
            (&json!(true), &json!(14))
        );
        assert_eq!(client.next_told().await["type"], "live");
    }
    let mut everything = server.connect("/ws?after=0").await;
    let heard = everything.changes_through(14).await;
    let redacted = heard.iter().filter(|change| change["redacted"] == true);
    assert_eq!((heard.len(), redacted.count()), (14, 7));
}

async fn an_event_that_never_was_cannot_be_erased(server: Server) {
    server.client().await.create(json!({"_id": "e"})).await;
    let database = server.stop().await;
    let (code, said) = database.livelog("redact --event nobody").await;
    assert_eq!(
        (code, said.contains("there never was an event nobody")),
        (Some(1), true),
        "{said}"
    );
    let (code, said) = database.livelog("redact").await;
    assert_eq!((code, said.contains("--event")), (Some(2), true), "{said}");
    verified(&database).await;
}

/// Servers go on meanwhile, and their sessions hear that the event is deleted.
#[tokio::test]
async fn an_event_is_erased_beside_running_servers() {
    let server = Server::start().await;
    let mut client = server.client().await;
    stock(&mut client).await;
    client.changes(12).await;
    redact(&server.database, "person").await;
    let change = client.change().await;
    assert_eq!(
        (&change["kind"], &change["eventId"]),
        (&json!("delete"), &json!("person"))
    );
    client.create(json!({"_id": "person", "n": 1})).await;
    assert_eq!(client.change().await["seq"], 14);
    // What the server kept in memory for those who come back is forgotten too.
    eventually("it is forgotten", async || {
        let mut late = server.connect("/ws?after=0").await;
        let heard = late.changes_through(14).await;
        (!Value::from(heard).to_string().contains(SECRET)).then_some(())
    })
    .await;
    verified(&server.database).await;
    assert!(!holds(&server.database, SECRET).await);
}

/// What a change stream told while it was away is told by no other.
#[tokio::test]
async fn a_node_that_was_cut_off_while_something_was_erased_tells_it_no_more() {
    let mongod = Mongod::start().await.unwrap();
    let server = Server::on(Database::on(mongod.uri()), &[]).await;
    let mut client = server.client().await;
    stock(&mut client).await;
    client.changes(12).await;
    // ChangeStreamHistoryLost, after which a stream cannot be resumed where it was.
    let how = doc! {"failCommands": ["getMore", "aggregate"], "errorCode": 286};
    fail(&mongod, "alwaysOn", how).await;
    eventually("its change stream is lost", async || {
        server
            .logged()
            .contains("the change stream broke")
            .then_some(())
    })
    .await;
    redact(&server.database, "person").await;
    assert_eq!(client.change().await["kind"], "delete");
    let mut early = server.connect("/ws?after=0").await;
    let heard = Value::from(early.changes_through(13).await).to_string();
    assert!(heard.contains(SECRET), "nobody has told it yet");
    fail(&mongod, "off", doc! {}).await;
    eventually("it is forgotten", async || {
        let mut late = server.connect("/ws?after=0").await;
        let heard = late.changes_through(13).await;
        (!Value::from(heard).to_string().contains(SECRET)).then_some(())
    })
    .await;
}

/// The file is written anew beside the old one: whenever that breaks off, the old one or the new one is there, whole.
#[tokio::test]
async fn a_redaction_that_is_killed_has_happened_or_has_not() {
    let server = Server::in_folder().await;
    let mut client = server.connect("/ws?changes=none").await;
    stock(&mut client).await;
    for n in 0..40 {
        let commands: Vec<Value> = (0..100)
            .map(|m| json!({"type": "CREATE", "payload": {"n": n * 100 + m, "text": "x".repeat(500)}}))
            .collect();
        client.ok("BATCH", json!({"commands": commands})).await;
    }
    let database = server.stop().await;
    let (mut done, mut undone) = (0, 0);
    for round in 0..12 {
        let copy = Database::folder();
        copy_folder(database.path(), copy.path());
        let mut redacting = command();
        redacting
            .args(["redact", "--event", "person"])
            .args(copy.arguments());
        let mut redacting = redacting
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Chance decides what it is at by then.
        tokio::time::sleep(Duration::from_millis(20 * round)).await;
        redacting.kill().unwrap();
        redacting.wait().unwrap();
        verified(&copy).await;
        match holds(&copy, SECRET).await {
            true => undone += 1,
            false => done += 1,
        }
        redact(&copy, "person").await;
        assert!(!holds(&copy, SECRET).await, "round {round}");
        verified(&copy).await;
    }
    println!("killed 12 times: {done} done, {undone} not");
}

fn copy_folder(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// A cursor of long keys names the event that its page ended with, and nobody knows any more where that stood.
async fn a_page_does_not_go_on_from_an_event_that_was_erased(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..4 {
        let text = format!("{}{n}", "x".repeat(5_000));
        client
            .create(json!({"_id": format!("e{n}"), "text": text}))
            .await;
    }
    let asked = json!({"sort": {"text": 1}, "limit": 2, "fields": ["_id"]});
    let page = client.ok("FETCH", asked.clone()).await;
    let mut next = asked;
    next["cursor"] = page["next"].clone();
    let rest = client.ok("FETCH", next.clone()).await;
    assert_eq!(rest["data"], json!([{"_id": "e2"}, {"_id": "e3"}]));
    let database = server.stop().await;
    redact(&database, "e1").await;
    let server = Server::on(database, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let error = client.refused("FETCH", next).await;
    assert_eq!(
        (&error["code"], &error["path"]),
        (&json!("redacted"), &json!("cursor"))
    );
}

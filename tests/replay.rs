//! The view is rebuilt from the log and compared with it.

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::support::database::livelog;
use crate::support::load::check_log;
use crate::support::{Client, Database, Load, Mongod, Server, on_every_store};

async fn everything(client: &mut Client) -> Value {
    client.ok("FETCH", json!({"limit": 1000})).await["data"].clone()
}

on_every_store!(
    an_empty_log_is_replayed_and_verified_too,
    a_replay_leaves_everything_as_it_was_and_the_next_server_goes_on,
);

/// Events that were created, updated and deleted, in no simple order.
async fn stock(server: &Server) -> Client {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..60 {
        client
            .ok(
                "CREATE",
                json!({"_id": format!("e{n:02}"), "n": n, "deep": {"list": [n, 1.0]}}),
            )
            .await;
    }
    for n in (0..60).step_by(2) {
        client
            .ok(
                "UPDATE",
                json!({"id": format!("e{n:02}"), "updateData": {"deep.list.1": n, "more": null}}),
            )
            .await;
    }
    for n in (0..60).step_by(5) {
        client.ok("DELETE", json!({"id": format!("e{n:02}")})).await;
    }
    client
}

#[tokio::test]
async fn replay_repairs_a_view_that_was_tampered_with_and_verify_proves_it() {
    let server = Server::start().await;
    let mut client = stock(&server).await;
    let before = everything(&mut client).await;
    let (code, said) = server.database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");

    let events = server
        .database
        .driver()
        .await
        .collection::<Document>("events");
    // Changed: e01 has what e03 has. Lost: e07. Extra: e10, which the log deleted.
    let find = async |id: &str| events.find_one(doc! {"_id": id}).await.unwrap().expect(id);
    let mut changed = find("e03").await;
    changed.insert("_id", "e01");
    events
        .replace_one(doc! {"_id": "e01"}, changed)
        .await
        .unwrap();
    events.delete_one(doc! {"_id": "e07"}).await.unwrap();
    let mut extra = find("e09").await;
    extra.insert("_id", "e10");
    events.insert_one(extra).await.unwrap();

    let (code, said) = server.database.livelog("verify").await;
    assert_eq!(code, Some(1), "{said}");
    for id in ["e01", "e07", "e10"] {
        let named = said.contains(&format!("event {id}:"));
        assert!(named, "{id} is not named:\n{said}");
    }
    // By the whole word: a digest can hold "e03".
    for id in ["e03", "e09"] {
        assert!(!said.contains(&format!("event {id}:")), "{said}");
    }

    let (code, said) = server.database.livelog("replay").await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = server.database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(everything(&mut client).await, before);
    // What a writer remembers must not outlive the view it remembers it from.
    let answer = client
        .ok(
            "UPDATE",
            json!({"id": "e07", "updateData": {"n": -7}, "expectedVersion": 1}),
        )
        .await;
    assert_eq!(answer["data"]["n"], -7);
    assert_eq!(
        client.refused("DELETE", json!({"id": "e10"})).await["code"],
        "not_found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_under_load_loses_nothing() {
    let one = Server::start().await;
    let two = one.beside().await;
    let watcher = one.client().await.follow();
    let load = Load::start(&[&one, &two], 6).await;
    for round in 1..=3 {
        load.until_answered(round * 300).await;
        let (code, said) = one.database.livelog("replay").await;
        assert_eq!(code, Some(0), "{said}");
    }
    let (code, said) = one.database.livelog("verify").await;
    assert_eq!(code, Some(0), "verify under load: {said}");
    let told = load.stop().await;
    assert_eq!(
        (told.refused.len(), told.unanswered.len()),
        (0, 0),
        "{:?}",
        told.refused
    );
    let logged = check_log(&two, &told).await;
    let mut watcher = watcher.back().await;
    watcher.changes_through(logged.len() as u64).await;
    let (_, all) = two.get("/api/events", &[]).await;
    assert_eq!(all["data"].as_array().unwrap().len(), logged.len());
    let (code, said) = one.database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

async fn an_empty_log_is_replayed_and_verified_too(server: Server) {
    let database = server.stop().await;
    for subcommand in ["verify", "replay", "verify"] {
        let (code, said) = database.livelog(subcommand).await;
        assert_eq!(code, Some(0), "{subcommand}: {said}");
    }
}

async fn a_replay_leaves_everything_as_it_was_and_the_next_server_goes_on(server: Server) {
    let mut client = stock(&server).await;
    let before = everything(&mut client).await;
    let database = server.stop().await;
    for subcommand in ["verify", "replay", "verify"] {
        let (code, said) = database.livelog(subcommand).await;
        assert_eq!(code, Some(0), "{subcommand}: {said}");
        assert!(said.contains("102 changes into 48 events"), "{said}");
    }
    let next = Server::on(database, &[]).await;
    let mut client = next.client().await;
    assert_eq!(everything(&mut client).await, before);
    assert_eq!(client.create(json!({})).await.1, 103);
}

#[tokio::test]
async fn verify_says_that_it_could_not_read_the_log() {
    let server = Server::start().await;
    drop(stock(&server).await);
    let log = server.database.driver().await.collection::<Document>("log");
    let bogus = doc! {"$set": {"kind": "bogus"}};
    let changed = log.update_one(doc! {"_id": 5_i64}, bogus).await;
    assert_eq!(changed.unwrap().modified_count, 1);
    let (code, said) = server.database.livelog("verify").await;
    assert_eq!(code, Some(1), "{said}");
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let last =
        "1 difference: the log cannot be read to its end, so the view was not compared with it";
    assert_eq!(lines[lines.len() - 2..], ["log 5: kind is unknown", last]);
}

#[tokio::test]
async fn a_standalone_mongod_is_refused_with_what_to_do() {
    let mongod = Mongod::start_standalone().await.unwrap();
    let database = Database::on(mongod.uri());
    let said = Server::spawn(&database, &[])
        .await
        .expect_err("livelog serves on a standalone mongod");
    assert!(
        said.contains("--replSet") && said.contains("rs.initiate"),
        "{said}"
    );
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_is_refused_with_what_would() {
    for (arguments, names) in [
        (&["serve", "--listen", "nowhere"][..], "nowhere"),
        (&["serve", "--listen", "localhost:3000"], "expected IP:PORT"),
        (
            &["serve", "--log", "livelog=verbose"],
            "--log \"livelog=verbose\"",
        ),
        // The address itself may hold a password.
        (&["serve", "--mongodb", "nonsense"], "mongodb://"),
        (&["serve", "--allow-origin", "example.org"], "example.org"),
        (&["serve", "--unknown"], "--unknown"),
        (&["dance"], "dance"),
        (&["serve", "--database", "elsewhere"], "--mongodb"),
        (
            &["verify", "--database", "elsewhere", "--data", "here"],
            "--data",
        ),
    ] {
        let output = livelog(arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        assert!(said.contains(names), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn what_only_looks_at_a_log_makes_none_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("misspelled");
    for subcommand in ["replay", "verify", "export"] {
        let output = livelog(&[subcommand, "--data", missing.to_str().unwrap()]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{subcommand}: {said}");
        assert!(said.contains("there is no data in"), "{subcommand}: {said}");
        assert!(!missing.exists(), "{subcommand} made the folder");
    }
}

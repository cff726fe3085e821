//! A version names one state of an event for ever: lives go on where those before them ended.

use std::process::Stdio;

use livelog::domain::Seq;
use livelog::value::Document;
use serde_json::{Value, json};

use crate::support::history::History;
use crate::support::{Client, Database, Server, database, on_every_store};

on_every_store!(
    an_event_that_comes_back_goes_on_with_its_versions_however_it_comes,
    a_version_known_from_an_earlier_life_matches_nothing,
    a_version_that_is_restored_is_that_of_the_life_it_was_in,
    what_a_refused_batch_would_have_done_leaves_no_gap,
    versions_go_on_after_a_restart_an_erasure_a_copy_and_a_move,
    a_life_on_top_of_an_older_log_goes_on_from_the_highest_version_there,
);

async fn version(client: &mut Client, kind: &str, payload: Value) -> u64 {
    let answer = client.ok(kind, payload).await;
    answer["data"]["_version"].as_u64().unwrap()
}

/// Creates, updates and deletes: one life of four versions.
async fn live_and_die(client: &mut Client, id: &str) {
    client.create(json!({"_id": id, "n": 1})).await;
    for n in 2..4 {
        let payload = json!({"id": id, "updateData": {"n": n}});
        client.ok("UPDATE", payload).await;
    }
    client.ok("DELETE", json!({"id": id})).await;
}

fn batch(commands: &[(&str, Value)]) -> Value {
    let commands = commands
        .iter()
        .map(|(kind, payload)| json!({"type": kind, "payload": payload}));
    json!({ "commands": commands.collect::<Vec<_>>() })
}

async fn an_event_that_comes_back_goes_on_with_its_versions_however_it_comes(server: Server) {
    let mut client = server.client().await;
    let (create, delete) = (json!({"_id": "e"}), json!({"id": "e"}));
    live_and_die(&mut client, "e").await;
    assert_eq!(version(&mut client, "CREATE", create.clone()).await, 5);
    client.ok("DELETE", delete.clone()).await;
    let posted = server.http("POST", "/api/events").json(&create);
    let posted = posted.send().await.unwrap();
    assert_eq!(posted.headers()["etag"], "\"7\"");
    client.ok("DELETE", delete.clone()).await;
    let restored = json!({"id": "e", "version": 3});
    assert_eq!(version(&mut client, "RESTORE", restored).await, 9);
    let again = ("CREATE", create.clone());
    let gone = ("DELETE", delete.clone());
    let answer = client
        .ok("BATCH", batch(&[gone.clone(), again.clone(), gone, again]))
        .await;
    let versions: Vec<&Value> = (0..4).map(|at| &answer["data"][at]["_version"]).collect();
    assert_eq!(versions, [9, 11, 11, 13], "what was deleted as it was");
    // In one commit, without waiting.
    let frames = (0..6).map(|n| match n % 2 {
        0 => json!({"type": "DELETE", "payload": delete}),
        _ => json!({"type": "CREATE", "payload": create}),
    });
    client.send_all(frames).await;
    for expected in [13, 15, 15, 17, 17, 19] {
        assert_eq!(client.answer().await["data"]["_version"], expected);
    }
    let told = client.changes_through(19).await;
    let versions: Vec<u64> = told
        .iter()
        .map(|change| change["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, (1..=19).collect::<Vec<u64>>());
}

async fn a_version_known_from_an_earlier_life_matches_nothing(server: Server) {
    let mut client = server.client().await;
    live_and_die(&mut client, "e").await;
    client
        .create(json!({"_id": "e", "n": "another life"}))
        .await;
    for known in 1..=4 {
        let tag = format!("\"{known}\"");
        let read = server
            .http("GET", "/api/events/e")
            .header("If-None-Match", &tag);
        assert_eq!(read.send().await.unwrap().status(), 200, "{tag}");
        let write = server
            .http("DELETE", "/api/events/e")
            .header("If-Match", &tag);
        assert_eq!(write.send().await.unwrap().status(), 412, "{tag}");
        let payload = json!({"id": "e", "updateData": {"n": 0}, "expectedVersion": known});
        let refused = client.refused("UPDATE", payload).await;
        assert_eq!(refused["code"], "version_conflict");
        assert_eq!(refused["details"]["currentVersion"], 5);
    }
}

async fn a_version_that_is_restored_is_that_of_the_life_it_was_in(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for life in 0..3 {
        client
            .create(json!({"_id": "e", "life": life, "n": 0}))
            .await;
        for n in 1..3 {
            let payload = json!({"id": "e", "updateData": {"n": n}});
            client.ok("UPDATE", payload).await;
        }
        client.ok("DELETE", json!({"id": "e"})).await;
    }
    for (at, expected) in [(2, (0, 1)), (5, (1, 0)), (11, (2, 2))] {
        let answer = client
            .ok("RESTORE", json!({"id": "e", "version": at}))
            .await;
        let found = (&answer["data"]["life"], &answer["data"]["n"]);
        assert_eq!(found, (&json!(expected.0), &json!(expected.1)), "{at}");
    }
    for deletion in [4, 8, 12] {
        let payload = json!({"id": "e", "version": deletion});
        assert_eq!(
            client.refused("RESTORE", payload).await["code"],
            "not_found"
        );
    }
}

async fn what_a_refused_batch_would_have_done_leaves_no_gap(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    live_and_die(&mut client, "gone").await;
    client.create(json!({"_id": "there"})).await;
    let refused = batch(&[
        ("CREATE", json!({"_id": "gone"})),
        ("DELETE", json!({"id": "gone"})),
        ("DELETE", json!({"id": "there"})),
        ("CREATE", json!({"_id": "there"})),
        ("CREATE", json!({"_id": "new"})),
        ("DELETE", json!({"id": "new"})),
        ("DELETE", json!({"id": "nobody"})),
    ]);
    // All in one commit, so that what the refused one did must be taken back.
    client
        .send_all([
            json!({"type": "BATCH", "payload": refused}),
            json!({"type": "CREATE", "payload": {"_id": "gone"}}),
            json!({"type": "DELETE", "payload": {"id": "there"}}),
            json!({"type": "CREATE", "payload": {"_id": "there"}}),
            json!({"type": "CREATE", "payload": {"_id": "new"}}),
        ])
        .await;
    assert_eq!(client.answer().await["error"]["code"], "not_found");
    for expected in [5, 1, 3, 1] {
        let answer = client.answer().await;
        assert_eq!(answer["data"]["_version"], expected, "{answer}");
    }
}

async fn versions_go_on_after_a_restart_an_erasure_a_copy_and_a_move(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    live_and_die(&mut client, "e").await;
    live_and_die(&mut client, "erased").await;
    live_and_die(&mut client, "other").await;
    let database = server.stop().await;
    let copy = database.another().await;
    let into = format!("replay --until 3 --into {}", copy.name());
    let copied = database.livelog(&into).await;
    assert_eq!(copied.0, Some(0), "{}", copied.1);
    let redacted = database.livelog("redact --event erased").await;
    assert_eq!(redacted.0, Some(0), "{}", redacted.1);

    let server = Server::on(database, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    for name in ["e", "erased"] {
        let payload = json!({"_id": name});
        assert_eq!(version(&mut client, "CREATE", payload).await, 5, "{name}");
        client.ok("DELETE", json!({"id": name})).await;
    }
    let exported = server
        .stop()
        .await
        .run("export", Stdio::null())
        .await
        .stdout;
    for target in [Database::alone().await, Database::shared().await] {
        let imported = target.run("import", database::stdin(&exported)).await;
        assert!(imported.status.success(), "{imported:?}");
        assert_eq!(target.run("export", Stdio::null()).await.stdout, exported);
        let verified = target.livelog("verify").await;
        assert_eq!(verified.0, Some(0), "{}", verified.1);
        let server = Server::on(target, &[]).await;
        let mut client = server.connect("/ws?changes=none").await;
        for (name, expected) in [("e", 7), ("erased", 7), ("other", 5)] {
            let payload = json!({"_id": name});
            assert_eq!(version(&mut client, "CREATE", payload).await, expected);
        }
    }
    let server = Server::on(copy, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    client.ok("DELETE", json!({"id": "e"})).await;
    assert_eq!(version(&mut client, "CREATE", json!({"_id": "e"})).await, 5);
}

/// What an earlier livelog left: lives that each begin at 1, the longest of them first.
async fn fill_as_before(database: &Database) {
    let store = database.store().await;
    let mut history = History {
        begins_anew: true,
        ..History::default()
    };
    for name in ["gone", "there"] {
        for versions in [9_i64, 3, 1] {
            history.create(name, Document::new());
            for n in 1..versions {
                history.set(name, "n", 10 * versions + n);
            }
            history.delete(name);
        }
    }
    history.create("there", Document::new());
    store.append(&history.batch(Seq::ZERO)).await.unwrap();
    store.close().await;
}

async fn a_life_on_top_of_an_older_log_goes_on_from_the_highest_version_there(server: Server) {
    let database = server.database.another().await;
    fill_as_before(&database).await;
    let verified = database.livelog("verify").await;
    assert_eq!(verified.0, Some(0), "{}", verified.1);
    let server = Server::on(database, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let restored = client
        .ok("RESTORE", json!({"id": "there", "version": 3}))
        .await;
    assert_eq!(restored["data"]["n"], 32, "of several, the newest");
    let restored = client
        .ok("RESTORE", json!({"id": "there", "version": 7}))
        .await;
    assert_eq!(restored["data"]["n"], 96);
    // It is at version 3 by now, and an earlier life came to 10.
    let there = batch(&[
        ("DELETE", json!({"id": "there"})),
        ("CREATE", json!({"_id": "there"})),
    ]);
    let answer = client.ok("BATCH", there).await;
    assert_eq!(answer["data"][1]["_version"], 11);
    for (name, expected) in [("gone", 11), ("there", 13)] {
        if name == "there" {
            client.ok("DELETE", json!({"id": name})).await;
        }
        let payload = json!({"_id": name});
        assert_eq!(version(&mut client, "CREATE", payload).await, expected);
    }
    let restored = client
        .ok("RESTORE", json!({"id": "gone", "version": 3}))
        .await;
    assert_eq!(restored["data"]["n"], 32, "of several, the newest");
    let database = server.stop().await;
    for command in ["verify", "replay", "verify"] {
        let done = database.livelog(command).await;
        assert_eq!(done.0, Some(0), "{command}: {}", done.1);
    }
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn one_node_goes_on_with_the_versions_that_another_left() {
    let one = Server::start().await;
    let two = one.beside().await;
    let mut clients = [
        one.connect("/ws?changes=none").await,
        two.connect("/ws?changes=none").await,
    ];
    for round in 0..20 {
        let payload = json!({"_id": "e"});
        let client = &mut clients[round % 2];
        assert_eq!(
            version(client, "CREATE", payload).await,
            2 * round as u64 + 1
        );
        clients[(round / 2) % 2]
            .ok("DELETE", json!({"id": "e"}))
            .await;
    }
}

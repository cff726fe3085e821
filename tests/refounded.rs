//! A database that is dropped, and another log founded in it, under running nodes.

use std::sync::Arc;

use futures::future::join_all;
use livelog::domain::Seq;
use livelog::limits;
use mongodb::bson::{Document, doc};
use rustix::process::Signal;
use serde_json::json;

use crate::support::client::{COME_BACK, End};
use crate::support::{DEADLINE, Database, Server, eventually};

/// Longer than the shutdown of a node that has failed.
const ENDS: std::time::Duration = limits::SHUTDOWN_DEADLINE
    .saturating_add(limits::FAILED_GRACE)
    .saturating_add(DEADLINE);

/// It has ended, of itself and not well, and says why.
async fn has_failed(mut server: Server) {
    let status = tokio::time::timeout(ENDS, server.exit()).await.unwrap();
    assert_eq!(status.code(), Some(1), "{status}");
    let logged = server.logged();
    assert!(logged.contains("the node has failed"), "{logged}");
    assert!(!logged.contains("panicked"), "{logged}");
    assert!(!logged.contains("the store is corrupt"), "{logged}");
}

#[tokio::test]
async fn a_node_under_which_another_log_is_founded_tells_nothing_of_it_and_ends() {
    let one = Server::start().await;
    let mut writer = one.connect("/ws?changes=none").await;
    for n in 1..=5 {
        writer.create(json!({"old": n})).await;
    }
    let two = one.beside().await;
    let mut listening = two.client().await;
    let mut asking = two.connect("/ws?changes=none").await;
    let epoch = listening.welcome["epoch"].clone();
    assert_eq!(listening.start(), 5);
    two.signal(Signal::STOP);
    let database = Arc::clone(&one.database);
    database.driver().await.drop().await.unwrap();
    has_failed(one).await;
    let three = Server::on(Arc::clone(&database), &[]).await;
    let mut founder = three.client().await;
    assert_ne!(founder.welcome["epoch"], epoch);
    // Longer than the old log, so that it could be taken for its continuation; and just as long, at first.
    for n in 1..=5 {
        founder.create(json!({"_id": format!("new{n}")})).await;
    }
    two.signal(Signal::CONT);
    asking
        .try_send(&json!({"type": "CREATE", "id": 1, "payload": {"_id": "astray"}}))
        .await;
    for n in 6..=20 {
        founder.create(json!({"_id": format!("new{n}")})).await;
    }
    if let Ok(answer) = asking.try_answer().await {
        assert_eq!(answer["success"], false, "{answer}");
    }
    let End::Closed(code) = listening.end().await else {
        panic!("it was not sent away");
    };
    assert!(COME_BACK.contains(&code), "{code}");
    assert!(listening.changes.is_empty(), "{:?}", listening.changes);
    has_failed(two).await;
    // Who comes back with its old position is told that the log is another.
    let epoch = epoch.as_str().unwrap();
    let mut back = three.connect(&format!("/ws?after=5&epoch={epoch}")).await;
    let reset = back.notice().await;
    assert_eq!(
        (&reset["type"], &reset["seq"]),
        (&json!("reset"), &json!(20))
    );
    let (_, page) = three.get("/api/changes", &[("limit", "1000")]).await;
    let ids = page["data"].as_array().unwrap().iter();
    assert!(
        ids.map(|change| change["eventId"].as_str().unwrap().to_owned())
            .eq((1..=20).map(|n| format!("new{n}")))
    );
}

#[tokio::test]
async fn a_node_whose_database_is_dropped_ends() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create(json!({})).await;
    let database = Arc::clone(&server.database);
    database.driver().await.drop().await.unwrap();
    let error = eventually("its health says so", async || {
        let answer = server.http("GET", "/healthz").send().await.ok()?;
        let is_failed = answer.status() == 503;
        let body: serde_json::Value = answer.json().await.unwrap();
        is_failed.then_some(body)
    })
    .await;
    assert_eq!(error["error"]["code"], "node_failed", "{error}");
    assert!(matches!(client.end().await, End::Closed(code) if COME_BACK.contains(&code)));
    has_failed(server).await;
}

#[tokio::test]
async fn a_node_one_of_whose_collections_is_dropped_or_replaced_ends() {
    let ends = ["log", "events", "meta", "broadcasts"].map(|name| async move {
        for how in ["drop", "rename", "replace"] {
            let server = Server::start().await;
            let mut client = server.client().await;
            client.create(json!({})).await;
            let driver = server.database.driver().await;
            let path = |name: &str| format!("{}.{name}", server.database.name());
            let rename = |from: &str, to: &str| doc! { "renameCollection": path(from), "to": path(to), "dropTarget": true };
            let admin = driver.client().database("admin");
            match how {
                "drop" => driver.collection::<Document>(name).drop().await.unwrap(),
                "rename" => drop(admin.run_command(rename(name, "theirs")).await.unwrap()),
                _ => {
                    driver.create_collection("theirs").await.unwrap();
                    admin.run_command(rename("theirs", name)).await.unwrap();
                }
            }
            let End::Closed(code) = client.end().await else {
                panic!("{how} {name}: its session was not sent away");
            };
            assert!(COME_BACK.contains(&code), "{how} {name}: {code}");
            has_failed(server).await;
        }
    });
    join_all(ends).await;
}

#[tokio::test]
async fn a_collection_that_is_replaced_before_the_node_listens_is_noticed() {
    let database = Database::shared().await;
    let store = database.store().await;
    let driver = database.driver().await;
    driver.collection::<Document>("log").drop().await.unwrap();
    driver.create_collection("log").await.unwrap();
    let _tail = store.tail(Seq::ZERO).await.unwrap();
    let reason = tokio::time::timeout(DEADLINE, store.failed())
        .await
        .unwrap();
    assert!(reason.contains("its collection log"), "{reason}");
}

#[tokio::test]
async fn a_head_where_no_log_comes_to_ends_a_node_and_is_no_log_to_start_on() {
    let server = Server::start().await;
    let database = Arc::clone(&server.database);
    let mut client = server.connect("/ws?changes=none").await;
    client.create(json!({})).await;
    let meta = database.driver().await.collection::<Document>("meta");
    let moved = doc! { "$set": { "seq": i64::MAX } };
    meta.update_one(doc! { "_id": "head" }, moved)
        .await
        .unwrap();
    let command = json!({"type": "CREATE", "id": 1, "payload": {}});
    client.try_send(&command).await;
    if let Ok(answer) = client.try_answer().await {
        assert_eq!(answer["success"], false, "{answer}");
    }
    has_failed(server).await;
    let Err(said) = Server::spawn(&database, &[]).await else {
        panic!("it is served");
    };
    assert!(
        said.contains("corrupt at meta head: seq is beyond 2^53"),
        "{said}"
    );
}

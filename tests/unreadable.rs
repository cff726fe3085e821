//! An entry of the log that cannot be read: who needs it hears so, everyone else goes on.

use std::sync::Arc;

use mongodb::bson::{Document, doc};
use redb::{ReadableTable, TableDefinition};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{End, error_of};
use crate::support::sse::EventSource;
use crate::support::{Client, Database, Server, eventually, on_every_store};

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

/// Changes in the log, and the one that is made unreadable.
const LAST: u64 = 10;
const BROKEN: u64 = 5;

on_every_store!(
    readers_of_an_unreadable_entry_hear_so_and_all_others_go_on,
    who_comes_after_an_unreadable_entry_misses_nothing,
);

/// A server that has just started on a log of which one entry cannot be read.
async fn broken(server: Server) -> Server {
    let mut client = server.client().await;
    for n in 1..=LAST {
        client.create(json!({"_id": format!("e{n}"), "n": n})).await;
    }
    drop(client);
    let database = server.stop().await;
    // The view is written down, so that a start has nothing to fold.
    let (code, said) = database.livelog("replay").await;
    assert_eq!(code, Some(0), "{said}");
    damage(&database).await;
    Server::on(database, &[]).await
}

async fn damage(database: &Arc<Database>) {
    if !database.is_folder() {
        return unlog(database).await;
    }
    let file = redb::Database::open(database.path().join("livelog.redb")).unwrap();
    let transaction = file.begin_write().unwrap();
    {
        let mut log = transaction.open_table(LOG).unwrap();
        let mut bytes = log.get(BROKEN).unwrap().unwrap().value().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        log.insert(BROKEN, bytes.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

/// Makes the entry one that livelog did not write.
async fn unlog(database: &Arc<Database>) {
    let log = database.driver().await.collection::<Document>("log");
    let broken = doc! {"_id": BROKEN.cast_signed()};
    let changed = log.update_one(broken, doc! {"$set": {"kind": 7}}).await;
    assert_eq!(changed.unwrap().modified_count, 1);
}

fn assert_corrupt(error: &Value) {
    assert_eq!(
        (
            &error["code"],
            &error["details"]["seq"],
            &error["retryable"]
        ),
        (&json!("corrupt"), &json!(BROKEN), &json!(false)),
        "{error}"
    );
}

/// A session that comes to the entry is told of what is before it, then that it cannot go on, and is closed.
async fn breaks_off(mut client: Client, after: u64) {
    if after + 1 < BROKEN {
        client.changes_through(BROKEN - 1).await;
    }
    assert_corrupt(&error_of(&client.answer().await));
    assert_eq!(client.end().await, End::Closed(4501));
    assert!(client.changes.is_empty());
}

async fn readers_of_an_unreadable_entry_hear_so_and_all_others_go_on(server: Server) {
    let server = broken(server).await;
    for after in [0, 2, BROKEN - 1] {
        breaks_off(server.connect(&format!("/ws?after={after}")).await, after).await;
    }
    let mut client = server.connect("/ws?changes=none").await;
    for mode in ["all", "latest"] {
        let payload = json!({"sub": mode, "after": 2, "mode": mode});
        client.ok("SUBSCRIBE", payload).await;
        let mut told = client.next_told().await;
        while told["type"] != "error" {
            assert!(told["seq"].as_u64().unwrap() < BROKEN, "{told}");
            told = client.next_told().await;
        }
        assert_eq!(told["sub"], mode);
        assert_corrupt(&told["error"]);
        // It is over, and its name is free.
        let error = client.refused("UNSUBSCRIBE", json!({"sub": mode})).await;
        assert_eq!(error["code"], "not_found");
    }
    let mut events = EventSource::open(&server, &[("after", "2")], "").await;
    let mut heard = Vec::new();
    while let Some((kind, data, _)) = events.next().await {
        heard.push((kind, data));
    }
    let (kind, data) = heard.pop().unwrap();
    assert_eq!((kind.as_str(), heard.len()), ("failure", 2));
    assert_corrupt(&data["error"]);

    let (status, page) = server.get("/api/changes", &[("after", "2")]).await;
    assert_eq!((status, &page["next"]), (200, &json!(BROKEN - 1)), "{page}");
    let (status, page) = server.get("/api/changes", &[("after", "4")]).await;
    assert_eq!(status, 500);
    assert_corrupt(&page["error"]);
    let path = format!("/api/events/e{BROKEN}/history");
    let (status, page) = server.get(&path, &[]).await;
    assert_eq!(status, 500);
    assert_corrupt(&page["error"]);
    for path in ["/healthz", "/readyz"] {
        let (status, body) = server.get(path, &[]).await;
        assert_eq!((status, &body["corrupt"]), (200, &json!(BROKEN)), "{body}");
    }
    assert!(server.logged().contains("cannot be read"));
    client.lives().await;
}

async fn who_comes_after_an_unreadable_entry_misses_nothing(server: Server) {
    let server = broken(server).await;
    let mut live = server.client().await;
    let mut resumed = server.connect(&format!("/ws?after={BROKEN}")).await;
    let payload = json!({"sub": "s", "after": BROKEN});
    live.ok("SUBSCRIBE", payload).await;
    assert_eq!(
        resumed.changes_through(LAST).await.len() as u64,
        LAST - BROKEN
    );
    let (_, seq) = live.create(json!({})).await;
    for client in [&mut live, &mut resumed] {
        assert_eq!(client.change().await["seq"], seq);
    }
    let mut told = 0;
    while told < seq {
        let frame = live.next_told().await;
        assert_ne!(frame["type"], "error", "{frame}");
        told = frame["seq"].as_u64().unwrap();
    }
    let after = BROKEN.to_string();
    let (status, page) = server.get("/api/changes", &[("after", &after)]).await;
    assert_eq!((status, page["data"].as_array().unwrap().len()), (200, 6));
    assert_eq!(
        server.get("/healthz", &[]).await.1,
        json!({"success": true})
    );
}

#[tokio::test]
async fn a_node_that_meets_an_unreadable_entry_of_another_node_says_so_and_goes_on() {
    let one = Server::start().await;
    let two = one.beside().await;
    let mut writer = one.connect("/ws?changes=none").await;
    for n in 1..BROKEN {
        writer.create(json!({"_id": format!("e{n}")})).await;
    }
    two.until_fed(BROKEN - 1).await;
    let listening = two.client().await;
    let mut subscribed = two.connect("/ws?changes=none").await;
    subscribed.ok("SUBSCRIBE", json!({"sub": "s"})).await;
    assert_eq!(subscribed.next_told().await["type"], "live");
    // What it is not awake for it reads from the log.
    two.signal(Signal::STOP);
    for n in BROKEN..=LAST {
        writer.create(json!({"_id": format!("e{n}")})).await;
    }
    unlog(&one.database).await;
    two.signal(Signal::CONT);
    breaks_off(listening, BROKEN - 1).await;
    loop {
        let told = subscribed.next_told().await;
        if told["type"] == "error" {
            assert_eq!(told["sub"], "s");
            assert_corrupt(&told["error"]);
            break;
        }
        assert_eq!(told["type"], "behind", "{told}");
    }
    eventually("it has gone on", async || {
        let (status, body) = two.get("/readyz", &[]).await;
        assert_eq!(status, 200);
        (body["corrupt"] == BROKEN).then_some(())
    })
    .await;
    let mut resumed = two.connect(&format!("/ws?after={BROKEN}")).await;
    resumed.changes_through(LAST).await;
    let (_, seq) = writer.create(json!({})).await;
    assert_eq!(resumed.change().await["seq"], seq);
}

#[tokio::test]
async fn an_entry_beyond_the_head_is_no_part_of_the_log() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create(json!({})).await;
    let log = server.database.driver().await.collection::<Document>("log");
    let stray = doc! {"_id": 1_000_000_i64, "text": "not livelog's"};
    log.insert_one(stray).await.unwrap();
    let (status, page) = server.get("/api/changes", &[("after", "1")]).await;
    assert_eq!((status, page["data"].as_array().unwrap().len()), (200, 0));
    let other = server.beside().await;
    let mut beside = other.client().await;
    for n in 2..10 {
        let (_, seq) = client.create(json!({"n": n})).await;
        assert_eq!(beside.change().await["seq"], seq);
    }
    assert_eq!(other.get("/healthz", &[]).await.1, json!({"success": true}));
}

#[tokio::test]
async fn a_listing_whose_first_events_cannot_be_read_is_refused_and_does_not_just_end() {
    let server = Server::start().await;
    let (id, _) = server.client().await.create(json!({"n": 1})).await;
    let database = server.database.driver().await;
    let unreadable = doc! {"$set": {"n": mongodb::bson::oid::ObjectId::new()}};
    let events = database.collection::<Document>("events");
    events
        .update_one(doc! {"_id": id}, unreadable)
        .await
        .unwrap();
    let (status, body) = server.get("/api/events", &[]).await;
    assert_eq!((status, &body["error"]["code"]), (500, &json!("corrupt")));
}

//! Subscriptions on several nodes, and while their database is away.

use rustix::process::Signal;
use serde_json::json;

use crate::support::client::End;
use crate::support::sse::EventSource;
use crate::support::subscriber::seq;
use crate::support::{Database, Mongod, Server, Subscriber, eventually};

#[tokio::test]
async fn a_subscription_hears_what_another_node_wrote_and_resumes_there() {
    let one = Server::start().await;
    let two = one.beside().await;
    let mut writer = one.connect("/ws?changes=none").await;
    let mut client_of_two = two.connect("/ws?changes=none").await;
    let filter = json!({"place": 1});
    let mut subscriber = Subscriber::new("s", filter, Some(&["place"]));
    subscriber
        .begin(&mut client_of_two, json!({"snapshot": true}))
        .await;
    writer.create(json!({"_id": "a", "place": 2})).await;
    writer.create(json!({"_id": "b", "place": 1})).await;
    let move_a = json!({"id": "a", "updateData": {"place": 1}});
    let moved = seq(&writer.ok("UPDATE", move_a).await);
    subscriber.until_told_of(&mut client_of_two, "a").await;
    assert_eq!(subscriber.position, Some(moved));
    client_of_two.ok("UNSUBSCRIBE", json!({"sub": "s"})).await;
    writer.ok("DELETE", json!({"id": "b"})).await;
    // From node to node, each time with a position that the next has perhaps not heard of yet.
    let mut sessions = [client_of_two, writer];
    subscriber.resume(&mut sessions[1]).await;
    for round in 0..20 {
        let [from, to] = &mut sessions;
        let (id, _) = to.create(json!({"place": 1, "round": round})).await;
        subscriber.until_told_of(to, &id).await;
        subscriber.until_live(to).await;
        subscriber.resume(from).await;
        subscriber.until_live(from).await;
        // What the other node told meanwhile was told twice; it is not resumed from.
        to.ok("UNSUBSCRIBE", json!({"sub": "s"})).await;
        to.told.clear();
        sessions.swap(0, 1);
    }
    let kinds: Vec<&str> = subscriber
        .changes
        .iter()
        .map(|change| change["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds[..3], ["create", "enter", "delete"]);
    assert_eq!(kinds[3..], ["create"; 20]);
}

#[tokio::test]
async fn subscriptions_outlive_a_database_that_goes_away_and_snapshots_break_off() {
    let mut mongod = Mongod::start().await.unwrap();
    let server = Server::on(Database::on(mongod.uri()), &[]).await;
    // More than sockets and the first answers of MongoDB hold.
    let mut writer = server.connect("/ws?changes=none").await;
    let text = "x".repeat(100_000);
    for n in 0..400 {
        writer.create(json!({"n": n, "text": text})).await;
    }
    let mut live = server.connect("/ws?changes=none").await;
    let mut subscriber = Subscriber::new("s", json!({}), Some(&["n"]));
    subscriber.begin(&mut live, json!({})).await;
    subscriber.until_live(&mut live).await;
    let mut late = server.connect("/ws?changes=none").await;
    late.ok("SUBSCRIBE", json!({"sub": "big", "snapshot": true}))
        .await;
    let mut events = EventSource::open(&server, &[("snapshot", "true")], "").await;
    events.next().await.expect("a page");

    mongod.kill();
    let error = live
        .refused("SUBSCRIBE", json!({"sub": "t", "snapshot": true}))
        .await;
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("unavailable"), &json!(true))
    );
    let end = loop {
        let frame = late.next_told().await;
        if frame["type"] != "snapshot" {
            break frame;
        }
        assert_eq!(frame["more"], true);
    };
    let message = end["error"]["message"].clone();
    assert_eq!(
        end,
        json!({"type": "error", "request": "SUBSCRIBE", "sub": "big", "success": false,
               "error": {"code": "unavailable", "message": message, "retryable": true}})
    );
    let end = loop {
        let (kind, frame, own) = events.next().await.expect("a word about its end");
        assert_eq!(own, None, "{frame}");
        if kind != "snapshot" {
            break (kind, frame["error"]["code"].clone());
        }
    };
    assert_eq!(end, ("failure".to_owned(), json!("unavailable")));
    assert_eq!(events.next().await, None);
    // It is over, so the name is free.
    late.ok("SUBSCRIBE", json!({"sub": "big"})).await;

    mongod.restart().await.unwrap();
    let id = eventually("commands are done again", async || {
        let answer = writer.request("CREATE", json!({"n": 1})).await;
        answer["data"]["_id"].as_str().map(str::to_owned)
    })
    .await;
    subscriber.until_told_of(&mut live, &id).await;
    live.ok(
        "SUBSCRIBE",
        json!({"sub": "t", "filter": {"n": 2}, "snapshot": true}),
    )
    .await;
}

#[tokio::test]
async fn a_server_that_stops_tells_its_subscribers_to_come_back() {
    let mut server = Server::in_folder().await;
    let mut client = server.connect("/ws?changes=none").await;
    client
        .ok("SUBSCRIBE", json!({"sub": "s", "snapshot": true}))
        .await;
    server.signal(Signal::TERM);
    assert_eq!(client.end().await, End::Closed(4000));
    assert!(server.exit().await.success());
}

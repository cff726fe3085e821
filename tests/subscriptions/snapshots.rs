//! A snapshot and what follows it, while others write.

use livelog::limits;
use serde_json::{Value, json};

use super::judge;
use crate::support::subscriber::seq;
use crate::support::{Client, Load, Server, Subscriber, on_every_store};

on_every_store!(
    a_snapshot_and_what_follows_it_are_the_log_folded,
    a_snapshot_that_is_read_slowly_is_of_one_moment,
    sessions_that_ask_for_more_snapshots_than_are_taken_at_once_all_get_them,
);

/// The event by which the end is known: every filter here admits it.
const END: &str = "z-end";

async fn a_snapshot_and_what_follows_it_are_the_log_folded(server: Server) {
    // More than one page of them stay out of the writers' reach.
    let mut writer = server.connect("/ws?changes=none").await;
    for hundreds in 0..3 {
        let event = |n: usize| json!({"_id": format!("k{hundreds}{n:02}"), "place": n % 5});
        let create = |n| json!({"type": "CREATE", "payload": event(n)});
        writer.send_all((0..100).map(create)).await;
        for _ in 0..100 {
            assert_eq!(writer.answer().await["success"], true);
        }
    }
    let load = Load::moving(&[&server], 4).await;
    let filters = [
        json!({}),
        json!({"place": 1}),
        json!({"place": {"$gt": 1}}),
        json!({"place": {"$in": [0, 4]}}),
        json!({"$or": [{"place": 2}, {"deep.n": {"$gt": 50}}, {"_id": END}]}),
        json!({}),
    ];
    let mut joined: Vec<(Client, Subscriber)> = Vec::new();
    for filter in filters {
        load.until_answered((joined.len() + 1) * 150).await;
        let mut client = server.connect("/ws?changes=none").await;
        let mut subscriber = Subscriber::new("s", filter, None);
        subscriber
            .begin(&mut client, json!({"snapshot": true}))
            .await;
        joined.push((client, subscriber));
    }
    load.until_answered(1_200).await;
    load.stop().await;
    let end = json!({"_id": END, "place": [0, 1, 2, 3, 4]});
    let (_, last) = writer.create(end).await;
    let log = judge::log(&server, last).await;
    for (client, subscriber) in &mut joined {
        subscriber.until_told_of(client, END).await;
        let snapshot = subscriber.snapshot.as_ref().unwrap();
        let view = judge::view(&log, subscriber.start);
        assert_eq!(*snapshot, judge::select(&view, &subscriber.filter, None));
        judge::check(subscriber, &log);
        let held = snapshot
            .iter()
            .map(|event| (judge::id(event), event.clone()));
        let folded = judge::fold(held.collect(), &subscriber.changes);
        let folded: Vec<Value> = folded.into_values().collect();
        assert_eq!(folded, fetch(client, &subscriber.filter).await);
    }
    let starts: Vec<u64> = joined
        .iter()
        .map(|(_, subscriber)| subscriber.start)
        .collect();
    assert!(starts.is_sorted() && starts[5] > starts[0], "{starts:?}");
    assert!(joined[5].1.snapshot.as_ref().unwrap().len() > 300);
}

/// All events that a filter admits now, page by page.
async fn fetch(client: &mut Client, filter: &Value) -> Vec<Value> {
    let mut events = Vec::new();
    let mut payload = json!({"filter": filter, "limit": 100});
    loop {
        let page = client.ok("FETCH", payload.clone()).await;
        events.extend(page["data"].as_array().unwrap().iter().cloned());
        match page.get("next") {
            Some(next) => payload["cursor"] = next.clone(),
            None => return events,
        }
    }
}

async fn a_snapshot_that_is_read_slowly_is_of_one_moment(server: Server) {
    // More than sockets hold, so that most of it is still in the store when the changes come.
    const EVENTS: u64 = 250;
    let mut writer = server.connect("/ws?changes=none").await;
    let text = "x".repeat(60_000);
    for n in 0..EVENTS {
        writer
            .create(json!({"_id": format!("e{n:03}"), "n": 0, "text": text}))
            .await;
    }
    let mut client = server.connect("/ws?changes=none").await;
    let mut subscriber = Subscriber::new("s", json!({"n": 0}), None);
    subscriber
        .begin(&mut client, json!({"snapshot": true}))
        .await;
    subscriber.hear(client.next_told().await);
    for n in (0..EVENTS).rev().step_by(5) {
        writer
            .ok(
                "UPDATE",
                json!({"id": format!("e{n:03}"), "updateData": {"n": 1}}),
            )
            .await;
        writer
            .ok("DELETE", json!({"id": format!("e{:03}", n - 1)}))
            .await;
    }
    let (_, last) = writer.create(json!({"_id": END, "n": 0})).await;
    subscriber.until_told_of(&mut client, END).await;
    assert_eq!(subscriber.start, EVENTS);
    let snapshot = subscriber.snapshot.unwrap();
    let expected = (0..EVENTS).map(|n| format!("e{n:03}"));
    assert!(
        snapshot
            .iter()
            .map(|event| event["_id"].as_str().unwrap())
            .eq(expected)
    );
    assert!(snapshot.iter().all(|event| event["n"] == 0));
    let told: Vec<u64> = subscriber.changes.iter().map(seq).collect();
    assert_eq!(told, (EVENTS + 1..=last).collect::<Vec<_>>());
}

/// Each of them asks for several in one flush, as a client does that comes back.
async fn sessions_that_ask_for_more_snapshots_than_are_taken_at_once_all_get_them(server: Server) {
    let mut writer = server.connect("/ws?changes=none").await;
    writer.create(json!({"_id": "e"})).await;
    let mut clients = Vec::new();
    for _ in 0..limits::SNAPSHOTS_MAX * 2 {
        clients.push(server.connect("/ws?changes=none").await);
    }
    let names = ["a", "b", "c", "d"];
    let subscribe =
        |name: &&str| json!({"type": "SUBSCRIBE", "payload": {"sub": name, "snapshot": true}});
    for client in &mut clients {
        client.send_all(names.iter().map(subscribe)).await;
    }
    for client in &mut clients {
        let mut live = 0;
        while live < names.len() {
            let frame = client.next_told().await;
            if frame["type"] == "snapshot" {
                assert_eq!(frame["data"].as_array().unwrap().len(), 1);
            }
            live += usize::from(frame["type"] == "live");
        }
    }
}

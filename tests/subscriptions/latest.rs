//! `latest`: what became of events since a position; and positions that are none of this log.

use std::collections::HashMap;

use livelog::limits;
use serde_json::{Value, json};

use super::judge::{self, Entry, View};
use crate::support::dice::{Dice, number};
use crate::support::subscriber::seq;
use crate::support::{Load, Server, Subscriber, on_every_store};

on_every_store!(
    latest_tells_of_each_event_once_and_then_goes_on_live,
    latest_under_load_comes_to_the_same_as_every_change,
    more_than_latest_gathers_comes_in_rounds,
    a_position_of_no_log_is_answered_with_a_reset,
);

/// What the changes after `after` come to, in the words of the filter.
fn net(log: &[Entry], after: u64, filter: &Value, fields: Option<&[String]>) -> Vec<Value> {
    let mut touched: HashMap<&str, (&Entry, &Entry)> = HashMap::new();
    for entry in log.iter().filter(|entry| seq(&entry.change) > after) {
        let id = entry.change["eventId"].as_str().unwrap();
        touched.entry(id).or_insert((entry, entry)).1 = entry;
    }
    let outcome = |(first, last): &(&Entry, &Entry)| {
        let kind = judge::kind(filter, first.before.as_ref(), last.after.as_ref())?;
        Some(judge::frame(
            &last.change,
            kind,
            last.after.as_ref(),
            fields,
        ))
    };
    let mut outcomes: Vec<Value> = touched.values().filter_map(outcome).collect();
    outcomes.sort_by_key(seq);
    outcomes
}

async fn latest_tells_of_each_event_once_and_then_goes_on_live(server: Server) {
    let seed = number("LIVELOG_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("LIVELOG_SEED={seed}");
    let mut dice = Dice::new(seed, 0);
    let mut client = server.connect("/ws?changes=none").await;
    let mut last = 0;
    while last < 400 {
        let (id, place) = (format!("e{}", dice.below(40)), dice.below(4));
        let answer = match dice.below(5) {
            0 => client.request("DELETE", json!({"id": id})).await,
            1 => {
                client
                    .request("CREATE", json!({"_id": id, "place": place}))
                    .await
            }
            _ => {
                let data = json!({"place": place, "deep.n": dice.below(100)});
                client
                    .request("UPDATE", json!({"id": id, "updateData": data}))
                    .await
            }
        };
        last = answer["seq"].as_u64().unwrap_or(last);
    }
    let log = judge::log(&server, last).await;
    let filters = [
        json!({}),
        json!({"place": 1}),
        json!({"place": {"$gt": 1}}),
        json!({"deep.n": {"$gt": 40}}),
    ];
    let mut subscribers = Vec::new();
    for after in [0, 1, 200, 390, last] {
        for filter in &filters {
            let fields = ["place"];
            let fields = (dice.below(2) == 0).then_some(&fields[..]);
            let mut subscriber =
                Subscriber::new(&format!("s{}", subscribers.len()), filter.clone(), fields);
            subscriber
                .begin(&mut client, json!({"after": after, "mode": "latest"}))
                .await;
            assert_eq!(subscriber.start, after);
            subscriber.until_live(&mut client).await;
            assert_eq!(subscriber.position, Some(last));
            let expected = net(&log, after, filter, subscriber.fields.as_deref());
            assert_eq!(subscriber.changes, expected, "after {after} {filter}");
            subscribers.push(subscriber);
        }
    }
    // From here on, every change.
    let end = json!({"_id": "end", "place": [1, 2], "deep": {"n": 50}});
    let (_, created) = client.create(end).await;
    client
        .ok(
            "UPDATE",
            json!({"id": "end", "updateData": {"touched": true}}),
        )
        .await;
    let mut told = 0;
    while told < subscribers.len() * 2 {
        let frame = client.next_told().await;
        let whose = subscribers.iter_mut().find(|one| frame["sub"] == *one.name);
        whose.unwrap().hear(frame);
        told += 1;
    }
    for subscriber in &subscribers {
        let (_, new) = subscriber.changes.split_at(subscriber.changes.len() - 2);
        let new: Vec<(u64, &str)> = new
            .iter()
            .map(|change| (seq(change), change["kind"].as_str().unwrap()))
            .collect();
        assert_eq!(new, [(created, "create"), (created + 1, "update")]);
    }
}

async fn latest_under_load_comes_to_the_same_as_every_change(server: Server) {
    let load = Load::moving(&[&server], 4).await;
    let filter = json!({"place": {"$in": [0, 1]}});
    let mut joined = Vec::new();
    for round in 1..=5_u64 {
        load.until_answered(usize::try_from(round).unwrap() * 200)
            .await;
        let mut client = server.connect("/ws?changes=none").await;
        let mut subscriber = Subscriber::new("s", filter.clone(), None);
        let more = json!({"after": round * 30, "mode": "latest"});
        subscriber.begin(&mut client, more).await;
        joined.push((client, subscriber));
    }
    load.stop().await;
    let mut writer = server.connect("/ws?changes=none").await;
    let (_, last) = writer.create(json!({"_id": "end", "place": 0})).await;
    let log = judge::log(&server, last).await;
    for (client, subscriber) in &mut joined {
        subscriber.until_told_of(client, "end").await;
        check_fold(subscriber, &log, last);
        let seqs: Vec<u64> = subscriber.changes.iter().map(seq).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    }
}

/// Who does as it was told since `subscriber.start` holds what the filter admits at `last`.
fn check_fold(subscriber: &Subscriber, log: &[Entry], last: u64) {
    let admitted = |last: u64| {
        let view = judge::view(log, last).into_iter();
        view.filter(|(_, event)| judge::admits(&subscriber.filter, event))
            .collect::<View>()
    };
    let held = judge::fold(admitted(subscriber.start), &subscriber.changes);
    assert_eq!(held, admitted(last), "after {}", subscriber.start);
}

async fn more_than_latest_gathers_comes_in_rounds(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let text = "x".repeat(250_000);
    let count = limits::LATEST_BYTES_MAX / text.len() + 10;
    for n in 0..count {
        client
            .create(json!({"_id": format!("e{n:02}"), "n": n, "text": text}))
            .await;
    }
    client
        .ok("UPDATE", json!({"id": "e01", "updateData": {"n": 0}}))
        .await;
    client.ok("DELETE", json!({"id": "e02"})).await;
    let (_, last) = client.create(json!({"_id": "end", "n": 3})).await;
    server.until_fed(last).await;
    let mut subscriber = Subscriber::new("s", json!({"n": {"$gt": 0}}), None);
    subscriber
        .begin(&mut client, json!({"after": 0, "mode": "latest"}))
        .await;
    subscriber.until_live(&mut client).await;
    check_fold(&subscriber, &judge::log(&server, last).await, last);
    // The first of them are told of twice: when memory was full, and when they changed after that.
    let told = |id: &str| {
        subscriber
            .changes
            .iter()
            .filter(|change| change["eventId"] == id)
            .count()
    };
    assert_eq!((told("e01"), told("e02"), told("e03")), (2, 2, 1));
}

async fn a_position_of_no_log_is_answered_with_a_reset(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..3 {
        client.create(json!({"_id": format!("e{n}"), "n": n})).await;
    }
    server.until_fed(3).await;
    let other = uuid::Uuid::new_v4();
    let here = client.welcome["epoch"].clone();
    for (n, (more, reason)) in [
        (json!({"after": 1_000}), "ahead of the log"),
        (json!({"after": 1_000, "epoch": here}), "ahead of the log"),
        (json!({"after": 1, "epoch": other}), "another epoch"),
        (json!({"after": 1_000, "epoch": other}), "another epoch"),
        (json!({"epoch": other}), "another epoch"),
        (
            json!({"after": 1, "epoch": other, "mode": "latest"}),
            "another epoch",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        for snapshot in [false, true] {
            let mut more = more.clone();
            more["snapshot"] = json!(snapshot);
            let name = format!("s{n}-{snapshot}");
            let mut subscriber = Subscriber::new(&name, json!({"n": {"$gt": 0}}), None);
            client
                .send(&json!({"type": "SUBSCRIBE", "payload": subscriber.payload(more.clone())}))
                .await;
            let answer = client.frame().await.unwrap();
            let head = seq(&answer);
            // It begins as if it had named no position.
            subscriber.begun(&answer, &json!({"snapshot": snapshot}));
            assert_eq!(
                client.frame().await.unwrap(),
                json!({"type": "reset", "sub": name, "reason": reason, "seq": head, "earliest": 1}),
                "{more}"
            );
            subscriber.until_live(&mut client).await;
            let events = subscriber.snapshot.as_ref().map(Vec::len);
            let created = usize::try_from(head).unwrap() - 3;
            assert_eq!(events, snapshot.then_some(2 + created), "{more}");
            assert!(subscriber.changes.is_empty(), "{:?}", subscriber.changes);
            let (id, made) = client.create(json!({"n": 1})).await;
            subscriber.until_told_of(&mut client, &id).await;
            assert_eq!((made, subscriber.changes.len()), (head + 1, 1));
            client.ok("UNSUBSCRIBE", json!({"sub": name})).await;
        }
    }
}

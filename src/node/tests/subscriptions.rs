//! What is told of changes.

use std::collections::BTreeMap;

use tokio::sync::Notify;

use super::past::told_history;
use super::*;
use crate::protocol::Subscribe;
use crate::value::Steps;

/// The frames of a subscription up to `live`, without their times.
async fn told(who: &Guarded, payload: Json) -> Vec<Json> {
    let subscribe = Subscribe::parse(&document(payload), "payload").expect("a good request");
    let opened = who.subscribe(&subscribe, &Arc::new(Notify::new())).await;
    let (mut subscription, _) = opened.expect("it begins");
    let mut frames: Vec<Json> = Vec::new();
    while frames.last().is_none_or(|last| last["type"] != "live") {
        subscription.ready().await;
        let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
        let mut out = |notice: Notice| {
            frames.push(serde_json::from_str(notice.frame.as_str()).expect("JSON"));
        };
        subscription.take(&slice, &mut out).expect("it goes on");
    }
    frames.pop();
    frames
}

/// What frames say of changes: event, kind and seq.
fn brief(frames: &[Json]) -> Vec<(&str, &str, u64)> {
    let word = |frame: &'_ Json, name: &str| frame[name].as_u64().unwrap_or_default();
    let brief = frames.iter().map(|frame| {
        let id = frame["eventId"].as_str().unwrap_or_default();
        (
            id,
            frame["kind"].as_str().unwrap_or_default(),
            word(frame, "seq"),
        )
    });
    brief.collect()
}

#[tokio::test]
async fn latest_tells_nothing_of_what_hidden_fields_alone_know() {
    let world = World::new().await;
    for id in ["a", "b", "c", "d"] {
        world
            .create(id, json!({"public": true, "secret": 0, "n": 0}))
            .await;
    }
    world.set("a", json!({"secret": 1})).await;
    world.set("b", json!({"n": 1})).await;
    world.set("a", json!({"secret": 2})).await;
    world.set("b", json!({"secret": 1})).await;
    world.set("c", json!({"n": 1})).await;
    world.set("c", json!({"n": 0})).await;
    world.delete("d").await;
    world
        .create("d", json!({"public": true, "secret": 0, "n": 0}))
        .await;
    world.set("d", json!({"secret": 5})).await;
    let latest = json!({"sub": "s", "after": 4, "mode": "latest"});
    let who = world.seen_by(reader(json!({"hide": ["secret"]})));
    let frames = told(&who, latest.clone()).await;
    // `c` is as it was, and was told of twice meanwhile.
    let expected = [("b", "update", 6), ("c", "update", 10), ("d", "update", 12)];
    assert_eq!(brief(&frames), expected);
    assert!(!serde_json::to_string(&frames).unwrap().contains("secret"));
    assert_eq!(frames[0]["version"], 2, "as it was when something was seen");
    let everyone = told(&world.everyone, latest).await;
    let all = [
        ("a", "update", 7),
        ("b", "update", 8),
        ("c", "update", 10),
        ("d", "update", 13),
    ];
    assert_eq!(brief(&everyone), all);
}

/// An event that left is told of as it left, not as it went on; one that came is told of as it came.
#[tokio::test]
async fn latest_tells_what_is_seen_and_not_what_became_of_it_unseen() {
    let world = World::new().await;
    for id in ["a", "b", "c"] {
        world.create(id, json!({"public": true, "n": 0})).await;
    }
    world.create("d", json!({"public": false})).await;
    world.set("a", json!({"public": false})).await;
    world.set("a", json!({"n": 7})).await;
    world.set("b", json!({"public": false})).await;
    world.delete("b").await;
    world.set("d", json!({"n": 1})).await;
    world.set("d", json!({"public": true})).await;
    world.create("e", json!({"public": false})).await;
    world.delete("e").await;
    world.create("f", json!({"public": false})).await;
    world.set("f", json!({"public": true})).await;
    let payload = |mode: &str| json!({"sub": "s", "after": 4, "mode": mode});
    let who = world.seen_by(reader(json!({})));
    let frames = told(&who, payload("latest")).await;
    let expected = [
        ("a", "leave", 5),
        ("b", "leave", 7),
        ("d", "enter", 10),
        ("f", "enter", 14),
    ];
    assert_eq!(brief(&frames), expected);
    assert_eq!(frames[0]["version"], 2);
    assert_eq!(brief(&told(&who, payload("all")).await), expected);
}

/// A rule on a hidden field lets events in and out, and nothing else of it is told.
#[tokio::test]
async fn what_a_hidden_field_lets_in_or_out_is_told_on_every_path() {
    let world = World::new().await;
    world.create("a", json!({"level": 3})).await;
    world.set("a", json!({"level": 1})).await;
    world.set("a", json!({"level": 2})).await;
    world.set("a", json!({"level": 4})).await;
    let role = json!({"read": {"level": {"$lt": 3}}, "hide": ["level"], "past": "all"});
    let who = world.seen_by(grant(&role));
    let expected = [("a", "enter", 2), ("a", "leave", 4)];
    let all = told(&who, json!({"sub": "s", "after": 0})).await;
    assert_eq!(brief(&all), expected);
    assert!(
        all.iter().all(|frame| frame.get("patch").is_none()),
        "{all:?}"
    );
    let everything = Subscribe {
        after: Some(Seq::ZERO),
        ..Subscribe::everything()
    };
    let page = who.changes(&everything, 100).await.unwrap();
    assert_eq!(page.visible.len(), 2);
    let of_a = told_history(&who, "a", json!({"order": "oldest"}))
        .await
        .unwrap();
    assert_eq!(of_a, [(2, "enter".to_owned()), (4, "leave".to_owned())]);
    let latest = told(&who, json!({"sub": "s", "after": 2, "mode": "latest"})).await;
    assert_eq!(brief(&latest), [("a", "leave", 4)]);
}

#[tokio::test]
async fn a_filter_is_held_once_from_the_snapshot_of_its_subscription_on() {
    let world = World::new().await;
    world.create("a", json!({"n": 1})).await;
    let payload = json!({"sub": "s", "filter": {"n": {"$gt": 0}}, "snapshot": true});
    let subscribe = Subscribe::parse(&document(payload), "payload").expect("a good request");
    let who = &world.everyone;
    let opened = who.subscribe(&subscribe, &Arc::new(Notify::new())).await;
    let (subscription, _) = opened.expect("it begins");
    let held = || world.node.parts.filters.of(who.requester.party());
    assert_eq!(held(), subscription.approx_filter_bytes());
    drop(subscription);
    assert_eq!(held(), 0);
}

/// They are one group: the change is judged once for both, and each is told what it may be.
#[tokio::test]
async fn subscriptions_with_one_filter_and_different_masks_are_told_by_their_masks() {
    let world = World::new().await;
    let masks = [json!([]), json!(["secret"]), json!(["o.p", "n"])];
    let wakeup = Arc::new(Notify::new());
    let mut subscriptions = Vec::new();
    for hide in &masks {
        let who = world.seen_by(reader(json!({"hide": hide})));
        let opened = who.subscribe(&Subscribe::everything(), &wakeup).await;
        subscriptions.push(opened.expect("it begins").0);
    }
    assert_eq!(world.node.parts.feed.subscription_counts(), (3, 1));
    world
        .create(
            "a",
            json!({"public": true, "secret": 1, "n": 1, "o": {"p": 1, "q": 1}}),
        )
        .await;
    world.set("a", json!({"secret": 2})).await;
    world.set("a", json!({"n": 2, "o.p": 2})).await;
    let last = world.set("a", json!({"public": false})).await;
    let mut heard: Vec<BTreeMap<u64, Json>> = Vec::new();
    for mut subscription in subscriptions {
        let mut frames = BTreeMap::new();
        while !frames.contains_key(&last) {
            subscription.ready().await;
            let mut out = |notice: Notice| {
                let frame: Json = serde_json::from_str(notice.frame.as_str()).expect("JSON");
                if frame["type"] == "change" {
                    frames.insert(frame["seq"].as_u64().unwrap(), frame);
                }
            };
            let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
            subscription.take(&slice, &mut out).expect("it goes on");
        }
        heard.push(frames);
    }
    let seqs = |of: usize| heard[of].keys().copied().collect::<Vec<u64>>();
    assert_eq!(
        [seqs(0), seqs(1), seqs(2)],
        [vec![1, 2, 3, 4], vec![1, 3, 4], vec![1, 2, 4]]
    );
    assert_eq!(heard[1][&3]["patch"]["set"], json!({"n": 2, "o.p": 2}));
    assert_eq!(heard[2][&2]["patch"]["set"], json!({"secret": 2}));
    assert_eq!(heard[2][&2]["data"]["o"], json!({"q": 1}));
}

/// Also where nothing else is left out, and of a deletion, of which nothing is shown.
#[tokio::test]
async fn who_caused_a_change_is_told_to_those_who_may_know_it() {
    let world = World::new().await;
    let writer = world.seen_by(grant(
        &json!({"read": true, "create": true, "delete": true}),
    ));
    for (kind, payload) in [
        (CommandKind::Create, json!({"_id": "a", "public": true})),
        (CommandKind::Delete, json!({"id": "a"})),
    ] {
        let commands = CommandBatch::parse(kind, document(payload), None).unwrap();
        let done = writer.write(commands).await.unwrap();
        let seq = done.changes[0].seq;
        world.node.wait_for_seq(seq).await.unwrap();
    }
    for (mode, kinds) in [("all", 2), ("latest", 0)] {
        for authors in [true, false] {
            for role in [json!({"read": true}), json!({"read": {"public": true}})] {
                let mut role = role;
                role["authors"] = authors.into();
                let who = world.seen_by(grant(&role));
                let frames = told(&who, json!({"sub": "s", "after": 0, "mode": mode})).await;
                assert_eq!(frames.len(), kinds);
                for frame in frames {
                    let by = authors.then(|| json!({"key": "k"}));
                    assert_eq!(frame.get("by"), by.as_ref(), "{role}: {frame}");
                }
            }
        }
    }
}

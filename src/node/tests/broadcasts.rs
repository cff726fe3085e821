//! Which broadcasts are heard.

use futures::FutureExt;
use serde_json::value::RawValue;

use super::*;
use crate::protocol::Frame;

async fn say(world: &World, payload: &str) {
    let payload = RawValue::from_string(payload.to_owned()).unwrap().into();
    let said = world.everyone.publish(payload);
    said.unwrap().await.unwrap().unwrap();
}

fn payload(broadcast: &Frame) -> Json {
    let frame: Json = serde_json::from_str(broadcast.as_str()).expect("JSON");
    frame["payload"].clone()
}

/// The payloads of the next broadcasts, up to one with `end`.
async fn heard(listener: &mut Listener) -> Vec<Json> {
    let mut heard: Vec<Json> = Vec::new();
    while heard.last().is_none_or(|last| last["end"] != true) {
        listener.ready().await;
        let out = |frame: Frame| heard.push(payload(&frame));
        listener.take(out).unwrap();
    }
    heard
}

#[tokio::test]
async fn a_broadcast_is_heard_by_those_whose_rule_its_payload_matches() {
    let world = World::new().await;
    let rooms = |rooms: &[&str]| json!({"broadcast": {"hear": {"room": {"$in": rooms}}}});
    let everything = json!({"read": true, "broadcast": {"hear": true}});
    let mut listeners = Vec::new();
    let who = [rooms(&["a", "z"]), rooms(&["b", "z"]), everything.clone()];
    for role in &who {
        let who = world.seen_by(grant(role));
        listeners.push(who.listen(None, Interest::Broadcasts));
    }
    // Changes and broadcasts by one door, of which some broadcasts are not heard.
    let mut both = rooms(&["a", "z"]);
    both["read"] = true.into();
    listeners.push(world.seen_by(grant(&both)).listen(None, Interest::Changes));
    let mut deaf = world
        .seen_by(grant(&json!({"read": true})))
        .listen(None, Interest::Broadcasts);
    for payload in [
        r#"{"room":"a","n":1}"#,
        r#"{"room":["b","c"]}"#,
        r#""a""#,
        r#"[{"room":"a"}]"#,
        r#"{"room":{"room":"a"}}"#,
        r#"{"room":"z","end":true}"#,
    ] {
        say(&world, payload).await;
    }
    let [a, b] = [json!({"room": "a", "n": 1}), json!({"room": ["b", "c"]})];
    let end = json!({"room": "z", "end": true});
    assert_eq!(heard(&mut listeners[0]).await, [a.clone(), end.clone()]);
    assert_eq!(heard(&mut listeners[1]).await, [b, end.clone()]);
    assert_eq!(heard(&mut listeners[2]).await.len(), 6);
    assert_eq!(heard(&mut listeners[3]).await, [a, end]);
    assert!(
        deaf.ready().now_or_never().is_none(),
        "it is not even woken"
    );
    deaf.take(|frame| panic!("{}", frame.as_str())).unwrap();
}

#[tokio::test]
async fn who_becomes_somebody_else_hears_from_then_on_what_that_one_hears() {
    let world = World::new().await;
    let hearing = |hear: &Json| grant(&json!({"read": true, "broadcast": {"hear": hear}}));
    let [a, nothing, everything] = [json!({"room": "a"}), json!(false), json!(true)];
    let mut all = world.everyone.listen(None, Interest::Broadcasts);
    let mut listener = world.seen_by(hearing(&a)).listen(None, Interest::Changes);
    let turns = [
        (&nothing, 0),
        (&a, 2),
        (&everything, 3),
        (&nothing, 0),
        (&a, 2),
    ];
    for (turn, (hear, count)) in turns.into_iter().enumerate() {
        listener.leave_changes(hearing(hear).hears());
        for room in ["a", "a", "b"] {
            say(&world, &json!({"room": room, "turn": turn}).to_string()).await;
        }
        say(&world, r#"{"end":true}"#).await;
        heard(&mut all).await;
        let mut told = Vec::new();
        while listener.ready().now_or_never().is_some() {
            let out = |frame: Frame| told.push(payload(&frame));
            listener.take(out).unwrap();
        }
        told.retain(|payload| payload["end"] != true);
        assert_eq!(told.len(), count, "{hear}: {told:?}");
        assert!(
            told.iter().all(|payload| payload["turn"] == turn),
            "{told:?}"
        );
    }
}

/// A flush takes so many, and so much of judging; nothing is lost in between.
#[tokio::test]
async fn broadcasts_are_heard_once_however_many_come_at_once() {
    let world = World::new().await;
    let role = json!({"broadcast": {"hear": {"$or": [{"n": {"$mod": [2, 0]}}, {"end": true}]}}});
    let mut listener = world
        .seen_by(grant(&role))
        .listen(None, Interest::Broadcasts);
    let count = 2 * limits::FLUSH_COUNT_MAX as u64 + 10;
    for n in 0..count * 2 {
        say(&world, &format!(r#"{{"n":{n}}}"#)).await;
    }
    say(&world, r#"{"end":true}"#).await;
    let heard = heard(&mut listener).await;
    let numbers: Vec<u64> = heard
        .iter()
        .filter_map(|payload| payload["n"].as_u64())
        .collect();
    assert_eq!(numbers, (0..count).map(|n| 2 * n).collect::<Vec<_>>());
}

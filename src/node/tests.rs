//! What a grant lets through: of the past, of what changes, of broadcasts.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{FutureExt, TryStreamExt};
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};
use tokio::sync::Notify;

use super::*;
use crate::access::{Claims, Grant, Policy, Principal};
use crate::domain::{CommandBatch, CommandKind, EventId};
use crate::protocol::History;
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::value::{Document, Steps};

const PUBLIC: &str = r#"{"public":true}"#;

fn document(value: Json) -> Document {
    serde_json::from_value(value).expect("the test's own JSON")
}

fn grant(role: &Json) -> Grant {
    let policy = Policy::parse(&document(json!({"roles": {"user": role}})));
    let principal = Principal {
        author: None,
        claims: Claims::new(document(json!({"role": "user", "sub": "u1"}))),
        issued_at: None,
    };
    let admitted = policy.expect("good rules").admit(&principal, None);
    admitted.expect("the role is there")
}

/// Reads what is public, with more rules.
fn reader(more: Json) -> Grant {
    let mut role = more;
    role["read"] = serde_json::from_str(PUBLIC).expect("the test's own JSON");
    grant(&role)
}

/// A livelog of one node.
struct World {
    node: Node,
    everyone: Guarded,
    _folder: tempfile::TempDir,
    _supervisor: Supervisor,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().to_owned();
        let store = EmbeddedStore::open(EmbeddedOptions { dir }).await;
        let store: Arc<dyn Store> = store.expect("an empty folder");
        let (node, supervisor) = Node::start(store, 1024 * 1024).await.expect("it starts");
        Self {
            everyone: Guarded::new(node.clone(), Grant::open()),
            node,
            _folder: folder,
            _supervisor: supervisor,
        }
    }

    fn seen_by(&self, grant: Grant) -> Guarded {
        Guarded::new(self.node.clone(), grant)
    }

    /// The seq of the change, which the feed has then.
    async fn write(&self, kind: CommandKind, payload: Json) -> u64 {
        let commands = CommandBatch::parse(kind, document(payload), None);
        let done = self.everyone.write(commands.expect("a good command")).await;
        let seq = done.expect("it is carried out").changes[0].seq;
        self.node.wait_for_seq(seq).await.expect("it is soon there");
        seq.get()
    }

    async fn create(&self, id: &str, mut fields: Json) -> u64 {
        fields["_id"] = id.into();
        self.write(CommandKind::Create, fields).await
    }

    async fn set(&self, id: &str, fields: Json) -> u64 {
        let payload = json!({"id": id, "updateData": fields});
        self.write(CommandKind::Update, payload).await
    }

    async fn delete(&self, id: &str) -> u64 {
        self.write(CommandKind::Delete, json!({"id": id})).await
    }
}

fn fetch(payload: Json) -> Fetch {
    Fetch::parse(&document(payload), "payload").expect("a good fetch")
}

/// The ids and `n` of what is listed.
async fn listed(who: &Guarded, payload: Json) -> Result<Vec<String>, Code> {
    let list = who.list(&fetch(payload)).await;
    let (_, result) = list.map_err(|failure| failure.code)?;
    let events: Vec<_> = result.events.try_collect().await.expect("it can be read");
    let shown = events.iter().map(|event| {
        let n = serde_json::to_value(event.fields.get("n")).expect("JSON");
        format!("{}{n}", event.id)
    });
    Ok(shown.collect())
}

async fn told_history(who: &Guarded, id: &str, params: Json) -> Result<Vec<(u64, String)>, Code> {
    let request = History::parse(&document(params), "query").expect("a good request");
    let id = EventId::parse(id).expect("an id");
    let seen = who.history(&id, &request).await;
    let seen = seen.map_err(|failure| failure.code)?;
    let told = seen.visible.iter().map(|(change, kind)| {
        let kind = serde_json::to_value(kind).expect("a word");
        let kind = kind.as_str().expect("a word").to_owned();
        (change.seq.get(), kind)
    });
    Ok(told.collect())
}

/// `a` was public throughout, `b` is now, `c` was, `d` was and is gone, `e` never was, nor `f`, which is gone.
async fn past() -> World {
    let world = World::new().await;
    for (id, is_public) in [
        ("a", true),
        ("b", false),
        ("c", true),
        ("d", true),
        ("e", false),
        ("f", false),
    ] {
        world.create(id, json!({"public": is_public, "n": 1})).await;
    }
    world.set("a", json!({"n": 2})).await;
    world.set("b", json!({"public": true, "n": 2})).await;
    world.set("c", json!({"public": false, "n": 2})).await;
    world.delete("d").await;
    world.set("e", json!({"n": 2})).await;
    world.delete("f").await;
    world.set("c", json!({"n": 3})).await;
    world
}

#[tokio::test]
async fn what_is_read_of_the_past_was_seen_then_and_is_seen_now() {
    let world = past().await;
    let none = world.seen_by(reader(json!({})));
    let seen = world.seen_by(reader(json!({"past": "seen"})));
    let all = world.seen_by(reader(json!({"past": "all"})));
    for sort in [json!({"_id": 1}), json!({"n": 1, "_id": 1})] {
        let at = |at: u64| json!({"at": at, "sort": sort});
        assert_eq!(listed(&none, at(6)).await, Err(Code::Forbidden));
        assert_eq!(listed(&seen, at(6)).await.unwrap(), ["a1"]);
        assert_eq!(listed(&all, at(6)).await.unwrap(), ["a1", "c1", "d1"]);
        assert_eq!(listed(&seen, at(8)).await.unwrap(), ["a2", "b2"]);
        assert_eq!(listed(&seen, at(13)).await.unwrap(), ["a2", "b2"]);
    }
    let narrower = json!({"at": 6, "filter": {"n": 2}});
    assert_eq!(listed(&seen, narrower).await.unwrap(), [""; 0]);
    for (id, is_seen) in [("a", true), ("b", false), ("c", false), ("d", false)] {
        let id = EventId::parse(id).unwrap();
        let event = seen.event(&id, &fetch(json!({"at": 6}))).await;
        assert_eq!(
            event.map_err(|failure| failure.code).is_ok(),
            is_seen,
            "{id}"
        );
    }
    let nothing = world.seen_by(grant(&json!({"past": "all"})));
    assert_eq!(listed(&nothing, json!({"at": 6})).await.unwrap(), [""; 0]);
    let everything = world.seen_by(grant(&json!({"read": true, "past": "seen"})));
    let there = listed(&everything, json!({"at": 6})).await.unwrap();
    assert_eq!(
        there,
        ["a1", "b1", "c1", "e1"],
        "what is gone is not seen now"
    );
}

/// A page holds as many as were asked for, and says whether there are more, whatever is left out of it.
#[tokio::test]
async fn pages_of_the_past_are_filled_with_what_is_seen() {
    let world = World::new().await;
    for n in 0..40 {
        world
            .create(&format!("e{n:02}"), json!({"public": true, "n": n}))
            .await;
    }
    for n in (0..40).filter(|n| n % 7 != 0) {
        world
            .set(&format!("e{n:02}"), json!({"public": false}))
            .await;
    }
    let seen = world.seen_by(reader(json!({"past": "seen"})));
    for sort in [json!({"_id": 1}), json!({"_id": -1}), json!({"n": -1})] {
        let (mut ids, mut sizes, mut cursor) = (Vec::new(), Vec::new(), Json::Null);
        loop {
            let mut asked = json!({"at": 40, "sort": sort, "limit": 2});
            if !cursor.is_null() {
                asked["cursor"] = cursor;
            }
            let page = seen
                .fetch(&Requester::new(), None, &fetch(asked), None)
                .await;
            let page: Json = serde_json::from_str(page.unwrap().0.as_str()).unwrap();
            let data = page["data"].as_array().unwrap();
            sizes.push(data.len());
            ids.extend(data.iter().map(|event| event["n"].as_u64().unwrap()));
            cursor = page["next"].clone();
            if cursor.is_null() {
                break;
            }
        }
        ids.sort_unstable();
        assert_eq!(
            (ids, sizes),
            (vec![0, 7, 14, 21, 28, 35], vec![2, 2, 2]),
            "{sort}"
        );
    }
}

#[tokio::test]
async fn a_history_is_of_what_is_seen_and_else_there_never_was_such_an_event() {
    let world = past().await;
    let history = async |past: &str, id: &str, params: Json| {
        let who = world.seen_by(reader(json!({"past": past})));
        told_history(&who, id, params).await
    };
    let oldest = json!({"order": "oldest"});
    assert_eq!(
        history("none", "a", oldest.clone()).await,
        Err(Code::Forbidden)
    );
    let told = |told: &[(u64, &str)]| -> Result<Vec<(u64, String)>, Code> {
        Ok(told
            .iter()
            .map(|(seq, kind)| (*seq, (*kind).to_owned()))
            .collect())
    };
    let of_a = told(&[(1, "create"), (7, "update")]);
    assert_eq!(history("seen", "a", oldest.clone()).await, of_a);
    assert_eq!(
        history("seen", "b", oldest.clone()).await,
        told(&[(8, "enter")])
    );
    for id in ["c", "d", "e", "f", "nobody"] {
        assert_eq!(
            history("seen", id, oldest.clone()).await,
            Err(Code::NotFound),
            "{id}"
        );
    }
    let of_c = told(&[(3, "create"), (9, "leave")]);
    assert_eq!(history("all", "c", oldest.clone()).await, of_c);
    let of_d = told(&[(4, "create"), (10, "delete")]);
    assert_eq!(history("all", "d", oldest.clone()).await, of_d);
    for id in ["e", "f", "nobody"] {
        for params in [
            json!({}),
            json!({"after": 5}),
            json!({"after": 1000, "order": "oldest"}),
        ] {
            let answer = history("all", id, params.clone()).await;
            assert_eq!(answer, Err(Code::NotFound), "{id} {params}");
        }
    }
    // Of an event that is seen in part, an empty page is one.
    let newest = json!({"limit": 1});
    assert_eq!(history("all", "c", newest).await, told(&[]));
}

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

async fn say(world: &World, payload: &str) {
    let payload = RawValue::from_string(payload.to_owned()).unwrap().into();
    let said = world.everyone.publish(&Requester::new(), payload);
    said.unwrap().await.unwrap().unwrap();
}

/// The payloads of the next broadcasts, up to one with `end`.
async fn heard(listener: &mut Listener) -> Vec<Json> {
    let mut heard: Vec<Json> = Vec::new();
    while heard.last().is_none_or(|last| last["end"] != true) {
        listener.ready().await;
        let out = |frame: crate::protocol::Frame| {
            let frame: Json = serde_json::from_str(frame.as_str()).unwrap();
            heard.push(frame["payload"].clone());
        };
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

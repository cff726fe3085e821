//! Filters and events that are legal and take very long to judge: they cost whoever asks for it, and nobody else.

use std::time::{Duration, Instant};

use livelog::limits;
use livelog::query::Filter;
use livelog::value::{Document, Steps};
use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::sse::EventSource;
use crate::support::{Client, Server, Subscriber, eventually, on_every_store};

on_every_store!(
    a_subscription_that_is_too_costly_ends_and_holds_up_nobody,
    a_read_that_is_too_costly_is_refused_by_name,
    a_condition_that_is_too_costly_changes_nothing,
    a_subscription_that_is_costly_is_told_all_the_same,
);

/// The longest that another session waits for an ack or a change, of a server without optimisation on a machine that
/// does other things besides. What is planted here took 12 s and more where the pump judged it.
const OTHERS_WAIT_MAX: Duration = Duration::from_secs(2);

/// Ten patterns of many states, none of which matches.
fn patterns(salt: usize) -> Value {
    let pattern = |n: usize| json!({"text": {"$regex": format!(r"(a|b)*a(a|b){{60}}{salt}x{n}")}});
    json!({"$or": (0..10).map(pattern).collect::<Vec<_>>()})
}

/// As if diced: each place of it asks the patterns for a state of its own.
fn long_text() -> String {
    let mut dice = Dice::new(7, 0);
    (0..230_000)
        .map(|_| if dice.below(2) == 0 { 'a' } else { 'b' })
        .collect()
}

/// Arrays of documents of arrays, and a path that leads through them by place and by name.
fn nested() -> Value {
    (0..13).fold(json!(1), |inner, level| match level {
        0..12 => json!([{"0": inner}, {"0": inner}]),
        _ => json!([{"0": inner}]),
    })
}

fn nested_paths() -> Value {
    let path = |zeros: usize| json!({format!("nested{}", ".0".repeat(zeros)): {"$in": [2]}});
    json!({"$or": (15..24).map(path).collect::<Vec<_>>()})
}

/// Each of the values is there, at the end.
fn long_list() -> Vec<usize> {
    let zeros = std::iter::repeat_n(0, 79_000);
    zeros.chain(1..=900).collect()
}

fn all_of_list() -> Value {
    json!({"list": {"$all": (1..=900).collect::<Vec<_>>()}})
}

/// Writes and hears its own writes, and says how long the slowest took.
async fn slowest(client: &mut Client, subscriber: &mut Subscriber, writes: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..writes {
        let started = Instant::now();
        let (id, _) = client.create(json!({"quiet": true})).await;
        subscriber.until_told_of(client, &id).await;
        slowest = slowest.max(started.elapsed());
    }
    slowest
}

async fn a_subscription_that_is_too_costly_ends_and_holds_up_nobody(server: Server) {
    let mut quiet = server.connect("/ws?changes=none").await;
    let mut subscriber = Subscriber::new("quiet", json!({"quiet": true}), None);
    subscriber.begin(&mut quiet, json!({})).await;
    let mut evil = server.connect("/ws?changes=none").await;
    let kinds = [patterns(0), patterns(1), all_of_list(), nested_paths()];
    for (n, filter) in kinds.iter().enumerate() {
        evil.ok(
            "SUBSCRIBE",
            json!({"sub": format!("s{n}"), "filter": filter}),
        )
        .await;
    }
    let filter = patterns(2).to_string();
    let mut events = EventSource::open(&server, &[("filter", &filter)], "").await;
    let mut writer = server.connect("/ws?changes=none").await;
    let event = json!({"text": long_text()});
    writer.create(event).await;
    let beside = slowest(&mut quiet, &mut subscriber, 20).await;
    writer.create(json!({"list": long_list()})).await;
    writer.create(json!({"nested": nested()})).await;
    let beside = beside.max(slowest(&mut quiet, &mut subscriber, 20).await);
    assert!(
        beside < OTHERS_WAIT_MAX,
        "another session waited {beside:?}"
    );
    let mut ended = Vec::new();
    while ended.len() < kinds.len() {
        let told = evil.next_told().await;
        if told["type"] == "live" {
            continue;
        }
        assert_eq!(told["error"]["code"], "filter_too_slow", "{told}");
        assert_eq!(told["request"], "SUBSCRIBE", "{told}");
        ended.push(told["sub"].as_str().unwrap().to_owned());
    }
    ended.sort();
    assert_eq!(ended, ["s0", "s1", "s2", "s3"]);
    let (first, ..) = events.next().await.expect("that it is live");
    assert_eq!(first, "live");
    let (word, failure, _) = events.next().await.expect("why it ends");
    assert_eq!(
        (&*word, &failure["error"]["code"]),
        ("failure", &json!("filter_too_slow"))
    );
    assert!(events.next().await.is_none(), "it goes on");
    let again = json!({"sub": "s0", "filter": {"quiet": true}});
    evil.ok("SUBSCRIBE", again).await;
}

async fn a_read_that_is_too_costly_is_refused_by_name(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    client.create(json!({"text": long_text()})).await;
    let filter = patterns(0);
    let error = client.refused("FETCH", json!({"filter": filter})).await;
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("filter_too_slow"), &json!(false))
    );
    for more in [
        json!({"snapshot": true}),
        json!({"after": 0}),
        json!({"after": 0, "mode": "latest"}),
    ] {
        let mut payload = json!({"sub": "s", "filter": filter});
        payload
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        client.ok("SUBSCRIBE", payload).await;
        let told = client.next_told().await;
        assert_eq!(told["error"]["code"], "filter_too_slow", "{more}: {told}");
    }
    let filter = filter.to_string();
    let (status, body) = server.get("/api/changes", &[("filter", &filter)]).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (422, &json!("filter_too_slow"))
    );
    client.lives().await;
}

async fn a_condition_that_is_too_costly_changes_nothing(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let list = vec![json!({"n": [0, 1, 2]}); 5_000];
    let (id, _) = client.create(json!({"list": list})).await;
    let condition = json!({"n": {"$in": (3..900).collect::<Vec<_>>()}});
    let update =
        |condition: &Value| json!({"id": id, "updateData": {"$pull": {"list": condition}}});
    client.ok("UPDATE", update(&condition)).await;
    let texts = json!({"texts": vec![long_text(); 1]});
    let (id, _) = client.create(texts).await;
    let pulled = json!({"$regex": "(a|b)*a(a|b){60}x"});
    let update = json!({"id": id, "updateData": {"$pull": {"texts": pulled}}});
    let error = client.refused("UPDATE", update).await;
    assert_eq!(error["code"], "filter_too_slow", "{error}");
    assert_eq!(error["path"], "payload.updateData.$pull.texts");
    let seen = client
        .ok(
            "FETCH",
            json!({"filter": {"_id": id}, "fields": ["_version"]}),
        )
        .await;
    assert_eq!(seen["data"][0]["_version"], 1);
}

/// Each change takes far more than the pump gives to one, and less than a subscription may take.
async fn a_subscription_that_is_costly_is_told_all_the_same(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let filter = json!({"list": {"$all": [1, 2, 3]}});
    let mut live = Subscriber::new("live", filter.clone(), Some(&["n"]));
    live.begin(&mut client, json!({})).await;
    let mut writer = server.connect("/ws?changes=none").await;
    let mut expected = Vec::new();
    for n in 0..20 {
        let mut list = vec![0; 30_000];
        list.extend((1..=3).take(if n % 3 == 0 { 3 } else { 2 }));
        let (id, _) = writer.create(json!({"n": n, "list": list})).await;
        if n % 3 == 0 {
            expected.push(id);
        }
    }
    let last = expected.last().unwrap().clone();
    live.until_told_of(&mut client, &last).await;
    let mut later = Subscriber::new("later", filter, Some(&["n"]));
    later.begin(&mut client, json!({"after": 0})).await;
    later.until_told_of(&mut client, &last).await;
    for subscriber in [live, later] {
        let told = subscriber.changes.iter().map(|change| &change["eventId"]);
        assert!(told.eq(expected.iter()), "{:?}", subscriber.changes);
    }
}

/// Every filter on every event, with the steps that one may take. Without optimisation each is a hundred times as long.
#[test]
fn no_filter_takes_longer_on_an_event_than_its_steps() {
    let document = |value: Value| -> Document { serde_json::from_str(&value.to_string()).unwrap() };
    let wide: serde_json::Map<String, Value> = (0..30_000)
        .map(|n| (format!("f{n:05}"), json!(0)))
        .collect();
    let alike = "same".repeat(1_000);
    let texts: Vec<String> = (0..60).map(|n| format!("{alike}{n}")).collect();
    let events = [
        json!({"text": long_text()}),
        json!({"text": "x".repeat(250_000)}),
        json!({"text": texts}),
        json!({"list": long_list()}),
        json!({"list": vec![vec![0; 300]; 300]}),
        json!({"nested": nested()}),
        Value::Object(wide),
    ];
    let pattern = |pattern: &str| json!({"text": {"$regex": pattern}});
    let field = |n: usize| json!({format!("f{n}"): {"$exists": true}});
    let filters = [
        patterns(0),
        pattern("(a|b)*a(a|b){60}"),
        pattern("(x+x+)+y"),
        pattern(r"(?i)(\pL|\d){4}!$"),
        json!({"text": {"$in": (0..60).map(|n| format!("{alike}{n}x")).collect::<Vec<_>>()}}),
        all_of_list(),
        json!({"list": {"$elemMatch": {"$in": vec![vec![0; 300]; 100], "$ne": 1}}}),
        nested_paths(),
        json!({"$or": (0..60).map(field).collect::<Vec<_>>()}),
    ];
    let longest = Duration::from_secs(15);
    for event in events.map(document) {
        for filter in &filters {
            let value = serde_json::from_str(&filter.to_string()).unwrap();
            let parsed = Filter::parse(&value, "filter").unwrap();
            let steps = Steps::new(limits::MATCH_STEPS_MAX);
            let started = Instant::now();
            let outcome = parsed.matches(&event, &steps);
            let took = started.elapsed();
            println!(
                "{took:?} {} {outcome:?} {:.60}",
                steps.taken(),
                filter.to_string()
            );
            assert!(took < longest, "{took:?}: {:.200}", filter.to_string());
        }
    }
}

/// As many subscriptions as a session may have, of patterns that take as much memory as one may.
async fn greedy(server: &Server, salt: usize) -> (Client, usize) {
    let mut client = server.connect("/ws?changes=none").await;
    let mut refused = 0;
    for n in 0..limits::SESSION_SUBSCRIPTIONS_MAX {
        let pattern = |k: usize| json!({"t": {"$regex": format!(r"\w{{5}}{salt}x{n}x{k}")}});
        let filter = json!({"$or": [pattern(0), pattern(1)]});
        let answer = client
            .request(
                "SUBSCRIBE",
                json!({"sub": format!("s{n}"), "filter": filter}),
            )
            .await;
        if answer["type"] == "error" {
            let code = &answer["error"]["code"];
            assert!(
                ["too_many_subscriptions", "busy"].contains(&code.as_str().unwrap()),
                "{answer}"
            );
            refused += 1;
        }
        if refused > 3 {
            break;
        }
    }
    (client, refused)
}

#[tokio::test]
async fn patterns_take_memory_within_bounds_and_give_it_back() {
    let server = Server::in_folder().await;
    let mut quiet = server.connect("/ws?changes=none").await;
    let before = server.resident_bytes();
    let mut sessions = Vec::new();
    for salt in 0..24 {
        let (mut client, refused) = greedy(&server, salt).await;
        assert!(refused > 0, "100 subscriptions of fat patterns were taken");
        client.lives().await;
        sessions.push(client);
        let event = json!({"t": "aßcdefghijklmnop".repeat(50)});
        quiet.create(event).await;
    }
    let filter = json!({"room": {"$in": ["r1", "r2"]}, "text": {"$regex": "^hello"}});
    quiet
        .ok("SUBSCRIBE", json!({"sub": "small", "filter": filter}))
        .await;
    let grown = server.resident_bytes().saturating_sub(before);
    let most = limits::FILTERS_BYTES_MAX + limits::FILTERS_BYTES_MAX / 2;
    assert!(grown < most, "{} MiB", grown / 1024 / 1024);
    drop(sessions);
    eventually("the memory is back", async || {
        let kept = server.resident_bytes().saturating_sub(before);
        (kept < most / 3).then_some(())
    })
    .await;
    greedy(&server, 99).await;
}

//! Live lists: what each shows at every seq that it names is what brute force makes of the log.
//!
//! `LIVELOG_SEED=…` repeats the choices of a run; what the server does meanwhile is its own.

use std::cmp::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::judge;
use crate::support::dice::{Dice, number};
use crate::support::subscriber::seq;
use crate::support::{Client, DEADLINE, Server, on_every_store};

on_every_store!(
    a_list_is_the_first_of_what_matches_at_each_seq_that_it_names,
    a_list_that_loses_an_event_is_filled_from_the_store,
    who_reads_too_slowly_gets_the_list_anew,
    a_list_is_asked_for_rightly_or_refused_with_its_path,
    a_list_begins_no_earlier_than_the_seq_that_it_is_asked_for,
    a_list_that_has_ended_for_its_readers_begins_anew_for_others,
    an_event_that_takes_long_to_rank_is_ranked_all_the_same,
);

const EVENTS: u64 = 60;

/// A list, as its client keeps it.
#[derive(Debug)]
struct ListClient {
    name: String,
    filter: Value,
    sort: Vec<(&'static str, i64)>,
    limit: usize,
    counts: bool,
    fields: Option<Vec<String>>,
    shown: Vec<Value>,
    count: Option<u64>,
    /// More pages are to come.
    is_partial: bool,
    is_live: bool,
    /// The list at each seq that was named, once all frames of it had come.
    states: Vec<(u64, Vec<Value>)>,
    counted: Vec<(u64, u64)>,
    resets: usize,
}

impl ListClient {
    /// The filters and limits come in turn, so that 25 lists have each of them together once.
    fn new(dice: &mut Dice, name: String, turn: usize) -> Self {
        let filters = [
            json!({}),
            json!({"s": "a"}),
            json!({"n": {"$gt": 2}}),
            json!({"s": {"$in": ["a", "b"]}}),
            json!({"s": "nobody"}),
        ];
        let sorts: [&[(&str, i64)]; 5] = [
            &[("n", 1)],
            &[("n", -1)],
            &[("n", 1), ("s", -1)], // JSON here has its names in order
            &[],
            &[("_updatedAt", -1), ("n", 1)],
        ];
        let limits = [1, 3, 5, 20, 100];
        let fields = ["n"].map(str::to_owned).to_vec();
        Self {
            name,
            filter: filters[turn % filters.len()].clone(),
            sort: sorts[dice.below(sorts.len() as u64)].to_vec(),
            limit: limits[(turn + turn / filters.len()) % limits.len()],
            counts: dice.below(2) == 0,
            fields: (dice.below(4) == 0).then_some(fields),
            shown: Vec::new(),
            count: None,
            is_partial: false,
            is_live: false,
            states: Vec::new(),
            counted: Vec::new(),
            resets: 0,
        }
    }

    fn payload(&self) -> Value {
        let mut payload = json!({"sub": self.name, "filter": self.filter, "limit": self.limit});
        if !self.sort.is_empty() {
            payload["sort"] = self
                .sort
                .iter()
                .map(|(name, way)| ((*name).to_owned(), json!(way)))
                .collect::<serde_json::Map<_, _>>()
                .into();
        }
        if self.counts {
            payload["count"] = json!(true);
        }
        if let Some(fields) = &self.fields {
            payload["fields"] = json!(fields);
        }
        payload
    }

    fn hear(&mut self, frame: &Value) {
        assert_eq!(frame["sub"], *self.name, "{frame}");
        match frame["type"].as_str() {
            Some("snapshot") => self.page(frame),
            Some("change") => self.change(frame),
            Some("count") => {
                let count = frame["count"].as_u64().expect("a number");
                assert_ne!(self.count, Some(count), "told twice: {frame}");
                self.count = Some(count);
                self.counted.push((seq(frame), count));
            }
            Some("live") => {
                assert!(!self.is_live && !self.is_partial, "{frame}");
                self.is_live = true;
            }
            Some("reset") => {
                assert_eq!(frame["reason"], "list_anew", "{frame}");
                (self.is_live, self.is_partial, self.count) = (false, false, None);
                self.shown.clear();
                self.states.pop();
                self.resets += 1;
            }
            _ => panic!("{frame}"),
        }
    }

    fn page(&mut self, frame: &Value) {
        assert!(!self.is_live, "{frame}");
        if !self.is_partial {
            self.shown.clear();
        }
        self.is_partial = frame["more"] == true;
        let events = frame["data"].as_array().expect("events");
        self.shown.extend(events.iter().cloned());
        if !self.is_partial {
            self.note(seq(frame));
        }
    }

    fn change(&mut self, frame: &Value) {
        assert!(self.is_live, "{frame}");
        let id = |event: &Value| event["_id"] == frame["eventId"];
        let known = self.shown.iter().position(id);
        let kind = frame["kind"].as_str().expect("a kind");
        let was_there = ["update", "leave", "delete"].contains(&kind);
        assert_eq!(known.is_some(), was_there, "{frame}");
        if let Some(known) = known {
            self.shown.remove(known);
        }
        let index = frame.get("index").and_then(Value::as_u64);
        let is_there = ["update", "enter", "create"].contains(&kind);
        assert_eq!(
            index.is_some() && frame.get("data").is_some(),
            is_there,
            "{frame}"
        );
        if let Some(index) = index {
            let index = usize::try_from(index).expect("an index");
            self.shown.insert(index, frame["data"].clone());
        }
        assert!(self.shown.len() <= self.limit, "{frame}");
        self.note(seq(frame));
    }

    /// The list is as of this seq, unless other frames of it follow.
    fn note(&mut self, seq: u64) {
        if let Some((last, _)) = self.states.last() {
            assert!(*last <= seq, "after {last} came {seq}");
            if *last == seq {
                self.states.pop();
            }
        }
        self.states.push((seq, self.shown.clone()));
    }

    /// The events that match, in their order.
    fn matching(&self, view: &judge::View) -> Vec<Value> {
        let mut events = judge::select(view, &self.filter, None);
        events.sort_by(|a, b| self.compare(a, b));
        events
    }

    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        let by = |(name, way): &(&str, i64)| {
            let order = rank(&a[*name]).partial_cmp(&rank(&b[*name]));
            let order = order.expect("numbers and text");
            if *way > 0 { order } else { order.reverse() }
        };
        let keys = self.sort.iter().map(by);
        let ids = || judge::id(a).cmp(&judge::id(b));
        keys.fold(Ordering::Equal, Ordering::then).then_with(ids)
    }

    fn expected(&self, view: &judge::View) -> Vec<Value> {
        let mut events = self.matching(view);
        events.truncate(self.limit);
        let shown: judge::View = events
            .iter()
            .map(|event| (judge::id(event), event.clone()))
            .collect();
        let order: Vec<String> = events.iter().map(judge::id).collect();
        let projected = judge::select(&shown, &json!({}), self.fields.as_deref());
        let place = |event: &Value| order.iter().position(|id| *id == judge::id(event));
        let mut projected = projected;
        projected.sort_by_key(place);
        projected
    }

    /// Whether what was told is right, and complete.
    fn judge(&self, log: &[judge::Entry]) {
        let whose = |seq: u64| format!("{} as of {seq}", self.payload());
        for (seq, shown) in &self.states {
            let view = judge::view(log, *seq);
            assert_eq!(*shown, self.expected(&view), "{}", whose(*seq));
        }
        for (seq, count) in &self.counted {
            let view = judge::view(log, *seq);
            let matching = self.matching(&view).len() as u64;
            assert_eq!(*count, matching, "{}", whose(*seq));
        }
        let last = log.last().map_or(0, |entry| seq(&entry.change));
        let view = judge::view(log, last);
        assert_eq!(self.shown, self.expected(&view), "{}", whose(last));
        if self.counts {
            assert_eq!(self.count, Some(self.matching(&view).len() as u64));
        }
    }

    /// Whether it has come to what there is now.
    fn is_done(&self, view: &judge::View) -> bool {
        let count = self.matching(view).len() as u64;
        self.is_live
            && self.shown == self.expected(view)
            && (!self.counts || self.count == Some(count))
    }
}

/// Missing, then numbers, then text.
fn rank(value: &Value) -> (u8, f64, &str) {
    match value {
        Value::Null => (0, 0.0, ""),
        Value::Number(number) => (1, number.as_f64().expect("a number"), ""),
        Value::String(text) => (2, 0.0, text),
        other => panic!("{other} is not sorted by"),
    }
}

fn random_write(dice: &mut Dice) -> Value {
    let id = format!("e{:02}", dice.below(EVENTS));
    let mut event = json!({"touched": dice.below(1_000)});
    if dice.below(5) > 0 {
        event["n"] = json!(dice.below(9));
    }
    if dice.below(5) > 0 {
        event["s"] = json!(["a", "b", "c"][dice.below(3)]);
    }
    match dice.below(10) {
        0..4 => {
            event["_id"] = json!(id);
            json!({"type": "CREATE", "payload": event})
        }
        4..6 => json!({"type": "DELETE", "payload": {"id": id}}),
        _ => json!({"type": "UPDATE", "payload": {"id": id, "updateData": event}}),
    }
}

async fn a_list_is_the_first_of_what_matches_at_each_seq_that_it_names(server: Server) {
    let seed = number("LIVELOG_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("LIVELOG_SEED={seed}");
    let mut dice = Dice::new(seed, 5);
    let mut writer = server.connect("/ws?changes=none").await;
    let mut readers: Vec<(Client, ListClient)> = Vec::new();
    let mut last = 0;
    for round in 0..75 {
        if round % 3 == 0 {
            let mut client = server.connect("/ws?changes=none").await;
            let list = ListClient::new(&mut dice, format!("l{round}"), round / 3);
            client.ok("SUBSCRIBE", list.payload()).await;
            readers.push((client, list));
        }
        let writes: Vec<Value> = (0..1 + dice.below(30))
            .map(|_| random_write(&mut dice))
            .collect();
        let count = writes.len();
        writer.send_all(writes).await;
        // Some are read meanwhile, and some wait.
        for (client, list) in &mut readers {
            let frames = dice.below(40);
            for _ in 0..frames {
                let Some(read) = client.read_within(Duration::from_millis(1)).await else {
                    break;
                };
                read.expect("a session that lives");
            }
            client.told.drain(..).for_each(|frame| list.hear(&frame));
        }
        for _ in 0..count {
            let answer = writer.answer().await;
            last = answer["seq"].as_u64().map_or(last, |seq| seq.max(last));
        }
    }
    let log = judge::log(&server, last).await;
    let view = judge::view(&log, last);
    let mut states = 0;
    for (client, list) in &mut readers {
        while !list.is_done(&view) {
            let Some(read) = client.read_within(DEADLINE).await else {
                let (shown, expected) = (&list.shown, list.expected(&view));
                let count = list.matching(&view).len();
                panic!("{list:?} has {shown:#?}, and not {count}, {expected:#?}");
            };
            read.expect("a session that lives");
            client.told.drain(..).for_each(|frame| list.hear(&frame));
        }
        list.judge(&log);
        states += list.states.len();
    }
    println!("{states} states");
    assert!(states > 1_000, "only {states} states were judged");
}

async fn a_list_that_loses_an_event_is_filled_from_the_store(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..100 {
        client
            .ok("CREATE", json!({"_id": format!("e{n:02}"), "n": n}))
            .await;
    }
    let ask = json!({"sub": "top", "sort": {"n": 1}, "limit": 2, "count": true});
    client.ok("SUBSCRIBE", ask).await;
    let mut told = vec![client.next_told().await];
    assert_eq!(told[0]["data"][1]["_id"], "e01", "{told:?}");
    // Far more than it has in reserve.
    for n in 0..98 {
        client.ok("DELETE", json!({"id": format!("e{n:02}")})).await;
    }
    let shown = |told: &[Value]| {
        let mut shown = vec!["e00".to_owned(), "e01".to_owned()];
        for frame in told.iter().filter(|frame| frame["type"] == "change") {
            let id = frame["eventId"].as_str().unwrap().to_owned();
            shown.retain(|known| *known != id);
            if let Some(index) = frame.get("index").and_then(Value::as_u64) {
                shown.insert(usize::try_from(index).unwrap(), id);
            }
        }
        shown
    };
    while shown(&told) != ["e98", "e99"] {
        told.push(client.next_told().await);
    }
    let mut counts = told.iter().filter(|frame| frame["type"] == "count");
    assert_eq!(counts.next_back().unwrap()["count"], 2);
    let first: Vec<&Value> = told
        .iter()
        .filter(|frame| frame["type"] == "change")
        .collect();
    assert_eq!(
        (&first[0]["kind"], &first[1]["kind"], &first[1]["index"]),
        (&json!("delete"), &json!("enter"), &json!(1)),
        "{first:?}"
    );
    assert_eq!(first[0]["seq"], first[1]["seq"]);
    assert_eq!(first[1]["data"]["_id"], "e02");
}

async fn who_reads_too_slowly_gets_the_list_anew(server: Server) {
    let mut writer = server.connect("/ws?changes=none").await;
    let mut slow = server.connect("/ws?changes=none").await;
    let text = "x".repeat(8_000);
    let ask = json!({"sub": "chat", "sort": {"n": -1}, "limit": 5});
    slow.ok("SUBSCRIBE", ask).await;
    let mut list = ListClient::new(&mut Dice::new(1, 1), "chat".to_owned(), 0);
    list.limit = 5;
    let create = |n| json!({"type": "CREATE", "payload": {"n": n, "text": text}});
    for first in (0..600).step_by(50) {
        writer.send_all((first..first + 50).map(create)).await;
        for _ in 0..50 {
            assert_eq!(writer.answer().await["success"], true);
        }
    }
    while list.shown.first().is_none_or(|newest| newest["n"] != 599) || !list.is_live {
        list.hear(&slow.next_told().await);
    }
    assert!(list.resets > 0, "it was not too slow");
    let numbers: Vec<i64> = list
        .shown
        .iter()
        .map(|event| event["n"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, [599, 598, 597, 596, 595]);
    slow.ok("UNSUBSCRIBE", json!({"sub": "chat"})).await;
}

async fn a_list_is_asked_for_rightly_or_refused_with_its_path(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for (asked, code, path) in [
        (json!({"sort": {"n": 1}}), "invalid_filter", "payload.sort"),
        (json!({"count": true}), "invalid_filter", "payload.count"),
        (json!({"limit": 0}), "invalid_filter", "payload.limit"),
        (json!({"limit": 501}), "invalid_filter", "payload.limit"),
        (json!({"limit": 1.5}), "invalid_filter", "payload.limit"),
        (
            json!({"limit": -1, "count": true}),
            "invalid_filter",
            "payload.limit",
        ),
        (
            json!({"limit": 5, "count": 1}),
            "invalid_filter",
            "payload.count",
        ),
        (
            json!({"limit": 5, "sort": {"n": 2}}),
            "invalid_filter",
            "payload.sort.n",
        ),
        (
            json!({"limit": 5, "after": 0}),
            "bad_request",
            "payload.after",
        ),
        (
            json!({"limit": 5, "snapshot": false}),
            "bad_request",
            "payload.snapshot",
        ),
        (
            json!({"limit": 5, "mode": "latest"}),
            "bad_request",
            "payload.mode",
        ),
    ] {
        let mut payload = asked.clone();
        payload["sub"] = json!("l");
        let error = client.refused("SUBSCRIBE", payload).await;
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!(code), &json!(path)),
            "{asked}"
        );
    }
    let alone = json!({"sub": "n", "limit": 0, "count": true, "filter": {"n": 1}});
    client.ok("SUBSCRIBE", alone).await;
    let told = [
        client.next_told().await,
        client.next_told().await,
        client.next_told().await,
    ];
    assert_eq!(told[0]["data"], json!([]));
    assert_eq!(
        (&told[1]["type"], &told[1]["count"]),
        (&json!("count"), &json!(0))
    );
    assert_eq!(told[2]["type"], "live");
    client.create(json!({"n": 2})).await;
    client.create(json!({"n": 1})).await;
    let told = client.next_told().await;
    assert_eq!(
        (&told["type"], &told["count"], &told["seq"]),
        (&json!("count"), &json!(1), &json!(2))
    );
}

async fn a_list_begins_no_earlier_than_the_seq_that_it_is_asked_for(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..200 {
        let (_, seq) = client.create(json!({"n": n})).await;
        let sub = format!("s{}", n % 50);
        let ask = json!({"sub": sub, "sort": {"n": -1}, "limit": 1, "minSeq": seq});
        client.ok("SUBSCRIBE", ask).await;
        let first = loop {
            let frame = client.next_told().await;
            if frame["sub"] == *sub && frame["type"] == "snapshot" {
                break frame;
            }
        };
        assert_eq!(first["data"][0]["n"], n, "{first}");
        if n % 50 > 0 {
            client.ok("UNSUBSCRIBE", json!({"sub": sub})).await;
            client.told.clear();
        }
        if n % 50 == 49 {
            client.ok("UNSUBSCRIBE", json!({"sub": "s0"})).await;
            client.told.clear();
        }
    }
}

/// An event that takes a twentieth of what a list may hold.
fn large(n: usize) -> Value {
    let text = "x".repeat(200_000);
    json!({"_id": format!("big{n}"), "big": true, "text": text})
}

async fn a_list_that_has_ended_for_its_readers_begins_anew_for_others(server: Server) {
    let mut writer = server.connect("/ws?changes=none").await;
    let ask = json!({"sub": "l", "filter": {"big": true}, "limit": 100});
    for n in 0..10 {
        writer.create(large(n)).await;
    }
    // It takes nothing from here on, so it has yet to hear that its list has ended.
    let mut stalled = server.connect("/ws?changes=none").await;
    let asked = json!({"type": "SUBSCRIBE", "payload": ask.clone()});
    stalled.send(&asked).await;
    let mut reader = server.connect("/ws?changes=none").await;
    reader.ok("SUBSCRIBE", ask.clone()).await;
    for n in 10..30 {
        writer.create(large(n)).await;
    }
    let error = loop {
        let frame = reader.next_told().await;
        if frame["type"] == "error" {
            break frame;
        }
    };
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("4 MiB"),
        "{error}"
    );
    for n in 3..30 {
        let id = format!("big{n}");
        writer.ok("DELETE", json!({"id": id})).await;
    }
    reader.ok("SUBSCRIBE", ask).await;
    while reader.next_told().await["type"] != "live" {}
    drop(stalled);
}

async fn an_event_that_takes_long_to_rank_is_ranked_all_the_same(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let many = |from: i64| (from..from + 30_000).collect::<Vec<_>>();
    client.create(json!({"_id": "a", "n": many(10)})).await;
    client.create(json!({"_id": "b", "n": 5})).await;
    let ask = json!({"sub": "l", "sort": {"n": 1}, "limit": 2, "fields": ["_version"]});
    client.ok("SUBSCRIBE", ask).await;
    let first = client.next_told().await;
    assert_eq!(
        (&first["data"][0]["_id"], &first["data"][1]["_id"]),
        (&json!("b"), &json!("a"))
    );
    assert_eq!(client.next_told().await["type"], "live");
    client.create(json!({"_id": "c", "n": many(1)})).await;
    let [left, came] = [client.next_told().await, client.next_told().await];
    assert_eq!(
        (&left["eventId"], &came["eventId"]),
        (&json!("a"), &json!("c"))
    );
    assert_eq!(came["index"], 0);
}

/// Who reads the list at that moment keeps what it was told; nothing that was erased is told afterwards.
#[cfg(feature = "mongodb")]
#[tokio::test]
async fn an_erased_event_is_told_to_nobody_who_comes_late() {
    let server = Server::start().await;
    let mut client = server.connect("/ws?changes=none").await;
    let ask = json!({"sub": "l", "limit": 5, "count": true});
    client.ok("SUBSCRIBE", ask.clone()).await;
    // It takes nothing from here on: what is kept for it has the event.
    client.create(json!({"_id": "a", "text": "secret"})).await;
    let (_, kept) = client.create(json!({"_id": "b"})).await;
    client.ok("DELETE", json!({"id": "a"})).await;
    let (code, said) = server.database.livelog("redact --event a").await;
    assert_eq!(code, Some(0), "{said}");
    let mut late = server.connect("/ws?changes=none").await;
    let mut again = ask;
    again["minSeq"] = json!(kept + 1);
    late.ok("SUBSCRIBE", again).await;
    let first = late.next_told().await;
    assert_eq!(first["data"].as_array().map(Vec::len), Some(1), "{first}");
    assert_eq!(late.next_told().await["count"], 1);
    client.create(json!({"_id": "c"})).await;
    while client.next_told().await["eventId"] != "c" {}
}

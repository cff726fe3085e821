//! GET /api/events/stats: events in groups, and what they sum up to, as of one seq.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::dice::{Dice, number};
use crate::support::guarded::AccessFile;
use crate::support::{Client, Server, guarded, on_every_store};

on_every_store!(
    stats_are_those_of_the_log_while_others_write,
    groups_are_bounded_and_what_cannot_be_asked_is_named,
    an_event_that_is_called_stats_is_one,
    stats_are_of_what_is_seen,
);

const PATH: &str = "/api/events/stats";

/// Values in their order; what follows a number and equals it is of the same group.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(-1.5),
        json!(1),
        json!(1.0),
        json!(2),
        json!(""),
        json!("open"),
        json!({}),
        json!({"a": 1}),
        json!([]),
        json!(["x"]),
        json!(false),
        json!(true),
    ]
}

/// An event with some status and amount.
fn document(dice: &mut Dice) -> Value {
    let mut document = json!({"n": dice.below(4)});
    let values = values();
    if let Some(status) = values.get(dice.below(16)) {
        document["status"] = status.clone();
    }
    let amounts = [
        json!(3),
        json!(-7),
        json!(0.25),
        json!(1e15),
        json!("5"),
        json!([5]),
        json!(null),
    ];
    if let Some(amount) = amounts.get(dice.below(8)) {
        document["deep"] = json!({"amount": amount});
    }
    document
}

/// Where a value stands among all, and 0 for none.
fn rank(status: &Value) -> usize {
    let place = values().iter().position(|value| value == status);
    match place.map(|place| place + 1) {
        None => 0,
        // 1.0 is in the group of 1.
        Some(4) => 3,
        Some(place) => place,
    }
}

/// What the events come to: of each group its place, its count and its sum.
fn expected(
    events: &BTreeMap<String, Value>,
    sees: impl Fn(&Value) -> bool,
) -> Vec<(usize, u64, Value)> {
    let mut groups: BTreeMap<usize, (u64, i64, Option<f64>)> = BTreeMap::new();
    for event in events.values().filter(|event| sees(event)) {
        let status = event.get("status").map_or(0, rank);
        let (count, integers, floats) = groups.entry(status).or_default();
        *count += 1;
        match &event["deep"]["amount"] {
            Value::Number(number) if number.is_i64() => *integers += number.as_i64().unwrap(),
            Value::Number(number) => {
                *floats = Some(floats.unwrap_or(0.0) + number.as_f64().unwrap())
            }
            _ => {}
        }
    }
    let told = groups
        .into_iter()
        .map(|(status, (count, integers, floats))| {
            let sum = floats.map_or(json!(integers), |floats| json!(floats + integers as f64));
            (status, count, sum)
        });
    told.collect()
}

fn told(stats: &Value) -> Vec<(usize, u64, Value)> {
    let groups = stats["data"].as_array().unwrap().iter();
    let told = groups.map(|group| {
        let place = group.get("value").map_or(0, rank);
        (
            place,
            group["count"].as_u64().unwrap(),
            group["sum"].clone(),
        )
    });
    told.collect()
}

/// The events after each change of the log.
async fn events_by_seq(server: &Server) -> Vec<BTreeMap<String, Value>> {
    let (mut all, mut after) = (vec![BTreeMap::new()], 0);
    loop {
        let asked = [("after", &*after.to_string()), ("limit", "500")];
        let (_, page) = server.get("/api/changes", &asked).await;
        for change in page["data"].as_array().unwrap() {
            let mut events = all.last().unwrap().clone();
            let id = change["eventId"].as_str().unwrap().to_owned();
            match change["kind"] == "delete" {
                true => events.remove(&id),
                false => events.insert(id, change["data"].clone()),
            };
            all.push(events);
        }
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return all,
        }
    }
}

async fn write(client: &mut Client, dice: &mut Dice, there: &mut [bool]) {
    let n = dice.below(there.len() as u64);
    let id = format!("e{n:02}");
    let mut event = document(dice);
    match (there[n], dice.below(4)) {
        (false, _) => {
            event["_id"] = json!(id);
            client.create(event).await;
        }
        (true, 0) => drop(client.ok("DELETE", json!({"id": id})).await),
        (true, _) => {
            let update = json!({"id": id, "updateData": event});
            client.ok("UPDATE", update).await;
            return;
        }
    }
    there[n] = !there[n];
}

async fn stats_are_those_of_the_log_while_others_write(server: Server) {
    let seed = number("LIVELOG_STATS_SEED").unwrap_or(0x57a7);
    println!("LIVELOG_STATS_SEED={seed}");
    let mut dice = Dice::new(seed, 0);
    let mut writer = server.connect("/ws?changes=none").await;
    let mut there = [false; 40];
    for _ in 0..150 {
        write(&mut writer, &mut dice, &mut there).await;
    }
    let mut answers = Vec::new();
    let writing = async {
        for _ in 0..250 {
            write(&mut writer, &mut dice, &mut there).await;
        }
    };
    let reading = async {
        let filters = [
            None,
            Some(json!({"n": {"$gte": 2}})),
            Some(json!({"_id": {"$in": ["e01", "e02", "e03"]}})),
        ];
        for filter in filters.iter().cycle() {
            let text = filter.as_ref().map(Value::to_string);
            let mut asked = vec![
                ("group", "status"),
                ("sum", "deep.amount"),
                ("minSeq", "100"),
            ];
            asked.extend(text.as_deref().map(|text| ("filter", text)));
            let (status, stats) = server.get(PATH, &asked).await;
            assert_eq!(status, 200, "{stats}");
            answers.push((filter.clone(), stats));
            let (_, then) = server
                .get(PATH, &[&asked[..], &[("at", "100")]].concat())
                .await;
            assert_eq!(then["seq"], 100, "{then}");
            answers.push((filter.clone(), then));
        }
    };
    tokio::select! {
        () = writing => {}
        () = reading => unreachable!("it reads on until all is written"),
    }
    assert!(answers.len() > 10, "{} answers", answers.len());
    let events = events_by_seq(&server).await;
    for (filter, stats) in answers {
        let seq = usize::try_from(stats["seq"].as_u64().unwrap()).unwrap();
        let sees = |event: &Value| match &filter {
            None => true,
            Some(filter) if filter["n"].is_object() => event["n"].as_u64() >= Some(2),
            Some(_) => ["e01", "e02", "e03"].contains(&event["_id"].as_str().unwrap()),
        };
        assert_eq!(
            told(&stats),
            expected(&events[seq], sees),
            "{filter:?} at {seq}: {stats}"
        );
    }
    let (_, one) = server.get(PATH, &[("sum", "n")]).await;
    let last = events.last().unwrap();
    let sum: u64 = last
        .values()
        .map(|event| event["n"].as_u64().unwrap())
        .sum();
    assert_eq!(one["data"], json!([{"count": last.len(), "sum": sum}]));
    let (_, bare) = server.get(PATH, &[("group", "nothing")]).await;
    assert_eq!(
        bare,
        json!({"success": true, "seq": events.len() - 1, "data": [{"count": last.len()}]})
    );
    let (_, none) = server
        .get(PATH, &[("group", "n"), ("filter", r#"{"n":-1}"#)])
        .await;
    assert_eq!(none["data"], json!([]));
}

async fn groups_are_bounded_and_what_cannot_be_asked_is_named(server: Server) {
    const MOST: usize = livelog::limits::GROUPS_MAX;
    let mut client = server.connect("/ws?changes=none").await;
    let creates: Vec<Value> = (0..=MOST)
        .map(|n| json!({"type": "CREATE", "payload": {"_id": format!("e{n:04}"), "n": n}}))
        .collect();
    for few in creates.chunks(100) {
        client.send_all(few.iter().cloned()).await;
        for _ in few {
            assert_eq!(client.answer().await["success"], true);
        }
    }
    let (status, refused) = server.get(PATH, &[("group", "n")]).await;
    let said = json!([status, refused["error"]["code"], refused["error"]["path"]]);
    assert_eq!(
        said,
        json!([422, "too_many_groups", "query.group"]),
        "{refused}"
    );
    let fewer = [
        ("group", "n"),
        ("sum", "n"),
        ("filter", r#"{"n":{"$gt":0}}"#),
    ];
    let (_, stats) = server.get(PATH, &fewer).await;
    let expected: Vec<Value> = (1..=MOST)
        .map(|n| json!({"value": n, "count": 1, "sum": n}))
        .collect();
    assert_eq!(stats["data"], json!(expected));
    for (name, value, code) in [
        ("group", "a..b", "invalid_filter"),
        ("group", "", "invalid_filter"),
        ("sum", "$n", "invalid_filter"),
        ("filter", "{", "invalid_filter"),
        ("at", "yesterday", "invalid_filter"),
        ("limit", "1", "bad_request"),
        ("count", "true", "bad_request"),
        ("explain", "true", "bad_request"),
    ] {
        let (status, refused) = server.get(PATH, &[(name, value)]).await;
        let said = json!([status, refused["error"]["code"], refused["error"]["path"]]);
        assert_eq!(
            said,
            json!([400, code, format!("query.{name}")]),
            "{name}={value}"
        );
    }
    let (_, twice) = server.get(PATH, &[("group", "n"), ("group", "n")]).await;
    assert_eq!(twice["error"]["path"], "query.group");
    let metrics = server
        .http("GET", "/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("livelog_queries_total"), "{metrics}");
}

/// The address is taken from no event: it is read at another, and written at its own.
async fn an_event_that_is_called_stats_is_one(server: Server) {
    let created = server
        .http("POST", "/api/events")
        .json(&json!({"_id": "stats", "n": 1}));
    let created = created.send().await.unwrap();
    let place = created.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(
        (created.status().as_u16(), &*place),
        (201, "/api/events/%73tats")
    );
    let (_, event) = server.get(&place, &[]).await;
    assert_eq!(event["data"]["n"], 1, "{event}");
    let (_, stats) = server.get(PATH, &[]).await;
    assert_eq!(stats["data"], json!([{"count": 1}]));
    for path in [PATH, &place] {
        let updated = server
            .http("PATCH", path)
            .json(&json!({"n": 2}))
            .send()
            .await
            .unwrap();
        assert_eq!(updated.status().as_u16(), 200);
        assert_eq!(server.status(&format!("{path}/history")).await, 200);
    }
    let deleted = server.http("DELETE", PATH).send().await.unwrap();
    assert_eq!(deleted.status().as_u16(), 200);
    assert_eq!(server.status(&place).await, 404);
}

async fn stats_are_of_what_is_seen(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..30 {
        let owner = format!("u{}", n % 3);
        let event = json!({"owner": owner, "n": n % 2, "box": {"price": n, "name": "x"}});
        client.create(event).await;
    }
    let roles = json!({
        "all": {"read": true, "past": "all"},
        "some": {"read": {"owner": "u1"}, "past": "seen"},
        "most": {"read": true, "hide": ["box.price"]},
    });
    let file = AccessFile::new(&roles, &json!({}));
    let server = guarded::serve(server.stop().await, &file).await;
    let ask = async |role: &str, asked: &str| {
        let token = guarded::token("somebody", &json!({"role": role}));
        let request = server
            .http("GET", &format!("{PATH}?{asked}"))
            .bearer_auth(token);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        match answer["success"] == true {
            true => answer["data"].clone(),
            false => json!([answer["error"]["code"], answer["error"]["path"]]),
        }
    };
    assert_eq!(
        server.status(PATH).await,
        401,
        "it is for who shows who they are"
    );
    let half = json!([{"value": 0, "count": 5, "sum": 80}, {"value": 1, "count": 5, "sum": 65}]);
    for (role, asked, answer) in [
        ("all", "sum=box.price", json!([{"count": 30, "sum": 435}])),
        ("some", "group=owner", json!([{"value": "u1", "count": 10}])),
        ("some", "group=n&sum=box.price", half.clone()),
        ("some", "group=n&sum=box.price&at=30", half),
        (
            "some",
            "group=n&filter=%7B%22owner%22:%22u2%22%7D",
            json!([]),
        ),
        (
            "most",
            "group=box.name",
            json!([{"value": "x", "count": 30}]),
        ),
        (
            "most",
            "group=box.price",
            json!(["forbidden", "query.group.box.price"]),
        ),
        ("most", "group=box", json!(["forbidden", "query.group.box"])),
        (
            "most",
            "group=n&sum=box.price",
            json!(["forbidden", "query.sum.box.price"]),
        ),
        (
            "most",
            "filter=%7B%22box.price%22:1%7D",
            json!(["forbidden", "query.filter.box.price"]),
        ),
        ("most", "group=n&at=1", json!(["forbidden", "query.at"])),
    ] {
        assert_eq!(ask(role, asked).await, answer, "{role} {asked}");
    }
}

//! Sizes are bytes of JSON, and values: what can be created can be updated, and what is too large can shrink.

use livelog::domain::Seq;
use livelog::limits;
use livelog::value::Document;
use serde_json::{Map, Value, json};

use crate::support::client::error_of;
use crate::support::dice::{Dice, number};
use crate::support::history::History;
use crate::support::{Client, Server, on_every_store};

on_every_store!(
    what_can_be_created_can_be_updated_and_made_smaller,
    an_event_grows_exactly_to_the_bound_that_is_named,
    an_event_holds_so_many_values_and_no_more,
    a_batch_is_measured_by_the_events_that_it_answers_with,
    an_event_that_is_larger_than_the_bound_can_shrink_and_not_grow,
);

/// Text of JSON that livelog writes, keeps or remembers in several times as many bytes.
const KINDS: [&str; 6] = [
    "0",
    "1e15",
    r#""\u0001\u0002""#,
    "[]",
    r#"{"":0}"#,
    r#""xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#,
];

/// Bytes of the fields as JSON.
fn size(event: &Value) -> usize {
    let fields = event.as_object().unwrap().iter();
    let own: Map<String, Value> = fields
        .filter(|(name, _)| !name.starts_with('_'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(own).to_string().len()
}

/// As large as a message may be, of one kind of value or several.
fn document(dice: &mut Dice, id: &str) -> String {
    let mut text = format!(r#"{{"_id":"{id}","n":9"#);
    let parts = 1 + dice.below(3);
    let part = (limits::MESSAGE_BYTES_MAX - 500) / parts;
    for at in 0..parts {
        // An empty name is refused: then it is another object.
        let kind = KINDS[dice.below(KINDS.len() as u64)].replace(r#""":"#, r#""k":"#);
        let count = (part - 20) / (kind.len() + 1);
        text += &format!(r#","big{at}":[{}]"#, vec![kind; count].join(","));
    }
    text + "}"
}

/// Brings the event to be, each time another way.
async fn bring_in(server: &Server, client: &mut Client, way: usize, id: &str, text: &str) {
    match way % 4 {
        0 => {
            let posted = server.http("POST", "/api/events").body(text.to_owned());
            let posted = posted.header("content-type", "application/json");
            assert_eq!(posted.send().await.unwrap().status(), 201, "{id}");
            return;
        }
        1 => {
            let command = format!(r#"{{"type":"CREATE","payload":{text}}}"#);
            let batch = format!(r#"{{"type":"BATCH","payload":{{"commands":[{command}]}}}}"#);
            client.send_text(&batch).await;
        }
        _ => {
            client
                .send_text(&format!(r#"{{"type":"CREATE","payload":{text}}}"#))
                .await;
        }
    }
    let answer = client.answer().await;
    assert_eq!(answer["success"], true, "{id}: {}", answer["error"]);
    if way % 4 == 3 {
        client.ok("DELETE", json!({"id": id})).await;
        client.ok("RESTORE", json!({"id": id, "version": 1})).await;
    }
}

async fn what_can_be_created_can_be_updated_and_made_smaller(server: Server) {
    let seed = number("LIVELOG_SIZES_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("LIVELOG_SIZES_SEED={seed}");
    let long = std::env::var_os("LIVELOG_LONG_TESTS").is_some();
    let mut dice = Dice::new(seed, 0);
    let mut client = server.connect("/ws?changes=none").await;
    for at in 0..(if long { 40 } else { 4 }) {
        let id = format!("e{at}");
        let text = document(&mut dice, &id);
        bring_in(&server, &mut client, at, &id, &text).await;
        let inc =
            json!({"type": "UPDATE", "payload": {"id": id, "updateData": {"$inc": {"n": 1}}}});
        client.ok("BATCH", json!({"commands": [inc, inc]})).await;
        let merge = json!({"id": id, "mergePatch": {"small": {"a": 1}, "n": null}});
        client.ok("UPDATE", merge).await;
        let set = json!({"id": id, "updateData": {"big0.0": {"another": true}}});
        let large = size(&client.ok("UPDATE", set).await["data"]);
        assert!(large > limits::MESSAGE_BYTES_MAX / 2, "{large}");
        let unset =
            json!({"id": id, "updateData": {"$unset": {"big0": "", "big1": "", "big2": ""}}});
        let small = size(&client.ok("UPDATE", unset).await["data"]);
        assert!(small < 100, "{small}");
        client.ok("DELETE", json!({"id": id})).await;
    }
}

async fn an_event_grows_exactly_to_the_bound_that_is_named(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    // Five times as long in JSON as in memory, and more.
    let text = "\u{1}\u{2}xx\"".repeat(13_000);
    client.create(json!({"_id": "e", "last": ""})).await;
    let set = |name: &str, text: &str| json!({"id": "e", "updateData": {name: text}});
    let mut now = 0;
    for n in 0..4 {
        let answer = client.ok("UPDATE", set(&format!("f{n}"), &text)).await;
        now = size(&answer["data"]);
    }
    let rest = limits::EVENT_BYTES_MAX - now;
    let exact = "x".repeat(rest);
    let full = client.ok("UPDATE", set("last", &exact)).await;
    assert_eq!(size(&full["data"]), limits::EVENT_BYTES_MAX);
    let more = format!("{exact}x");
    let bytes = limits::EVENT_BYTES_MAX.to_string();
    for payload in [
        set("last", &more),
        json!({"id": "e", "updateData": {"$inc": {"n": 1}}}),
        json!({"id": "e", "mergePatch": {"a": 1}}),
    ] {
        let error = client.refused("UPDATE", payload).await;
        assert_eq!(error["code"], "event_too_large", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&bytes) && message.contains("JSON"),
            "{message}"
        );
    }
    let equal = json!({"id": "e", "updateData": {"last": "y".repeat(rest)}});
    client.ok("UPDATE", equal).await;
    let less = json!({"id": "e", "updateData": {"$unset": {"last": ""}}});
    let less = client.ok("UPDATE", less).await;
    // Back to what it was when it was full, there and gone.
    client
        .ok(
            "RESTORE",
            json!({"id": "e", "version": full["data"]["_version"]}),
        )
        .await;
    client.ok("DELETE", json!({"id": "e"})).await;
    let restored = json!({"id": "e", "version": less["data"]["_version"]});
    client.ok("RESTORE", restored).await;
}

async fn an_event_holds_so_many_values_and_no_more(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let half = limits::EVENT_VALUES_MAX / 2 - 1;
    let mut list = vec![0; half];
    list[0] = 9;
    client.create(json!({"_id": "e", "a": list})).await;
    let full = json!({"id": "e", "updateData": {"b": list}});
    client.ok("UPDATE", full).await;
    for more in [
        json!({"c": 1}),
        json!({"$push": {"a": 1}}),
        json!({"a.0": [1]}),
    ] {
        let payload = json!({"id": "e", "updateData": more});
        let error = client.refused("UPDATE", payload).await;
        assert_eq!(error["code"], "event_too_large", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("250000 values"), "{message}");
    }
    // A patch that tells both lists anew: the longest entry that a log can hold.
    let pull = json!({"id": "e", "updateData": {"$pull": {"a": {"$gt": 5}, "b": {"$gt": 5}}}});
    let pulled = client.ok("UPDATE", pull).await;
    assert_eq!(pulled["data"]["b"].as_array().map(Vec::len), Some(half - 1));
    let pop = json!({"id": "e", "updateData": {"$unset": {"b": ""}}});
    client.ok("UPDATE", pop).await;
    client.ok("RESTORE", json!({"id": "e", "version": 2})).await;
}

async fn a_batch_is_measured_by_the_events_that_it_answers_with(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let inc = |id: &str| json!({"type": "UPDATE", "payload": {"id": id, "updateData": {"$inc": {"n": 1}}}});
    let times = |id: &str, count: usize| json!({"commands": vec![inc(id); count]});
    client
        .create(json!({"_id": "zeros", "n": 0, "a": vec![0; 60_000]}))
        .await;
    client.ok("BATCH", times("zeros", 3)).await;
    client.ok("BATCH", times("zeros", 8)).await;
    let error = client.refused("BATCH", times("zeros", 9)).await;
    assert_eq!(error["code"], "batch_too_large");
    assert!(
        error["message"].as_str().unwrap().contains("500000 values"),
        "{error}"
    );

    let event = json!({"_id": "text", "n": 100_000, "text": "x".repeat(209_000)});
    let each = size(&event);
    client.create(event).await;
    let fits = limits::COMMAND_BATCH_BYTES_MAX / each;
    let answer = client.ok("BATCH", times("text", fits)).await;
    let told: usize = answer["data"].as_array().unwrap().iter().map(size).sum();
    assert_eq!(told, fits * each);
    let error = client.refused("BATCH", times("text", fits + 1)).await;
    assert_eq!(error["code"], "batch_too_large");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(&limits::COMMAND_BATCH_BYTES_MAX.to_string()),
        "{message}"
    );
    let answer = client.ok("FETCH", json!({"filter": {"_id": "text"}})).await;
    assert_eq!(
        answer["data"][0]["_version"],
        fits + 1,
        "nothing of it was done"
    );
}

/// As earlier livelogs kept it: they weighed what it takes in memory.
async fn an_event_that_is_larger_than_the_bound_can_shrink_and_not_grow(server: Server) {
    let database = server.database.another().await;
    let store = database.store().await;
    let mut history = History::default();
    let escaped = "\u{1}".repeat(100_000);
    let names = ["a", "b", "c"];
    let fields = names.map(|name| (name, escaped.as_str().into()));
    history.create("old", fields.into_iter().collect::<Document>());
    history.set("old", "n", 1_i64);
    store.append(&history.batch(Seq::ZERO)).await.unwrap();
    store.close().await;
    drop(store);
    let server = Server::on(database, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let update = |data: Value| json!({"id": "old", "updateData": data});
    client.ok("UPDATE", update(json!({"$inc": {"n": 1}}))).await;
    client.ok("UPDATE", update(json!({"a": "shorter"}))).await;
    for grown in [
        json!({"m": 1}),
        json!({"a": "a longer text than it was"}),
        json!({"n": 10}),
    ] {
        let error = client.refused("UPDATE", update(grown)).await;
        assert_eq!(error["code"], "event_too_large", "{error}");
    }
    let payload = json!({"id": "old", "version": 1});
    let error = client.refused("RESTORE", payload.clone()).await;
    assert_eq!(error["code"], "event_too_large", "{error}");
    client
        .ok("UPDATE", json!({"id": "old", "mergePatch": {"b": null}}))
        .await;
    client.ok("UPDATE", update(json!({"m": 1}))).await;
    client.ok("DELETE", json!({"id": "old"})).await;
    client
        .send(&json!({"type": "RESTORE", "payload": payload}))
        .await;
    assert_eq!(error_of(&client.answer().await)["code"], "event_too_large");
    let exported = server.stop().await;
    let output = exported.run("export", std::process::Stdio::null()).await;
    let moved = exported.another().await;
    let stdin = crate::support::database::stdin(&output.stdout);
    let imported = moved.run("import", stdin).await;
    assert!(imported.status.success(), "{imported:?}");
}

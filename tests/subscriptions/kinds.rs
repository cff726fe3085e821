//! What a change is to a subscription, and how much of it is told.

use serde_json::{Value, json};

use crate::support::subscriber::seq;
use crate::support::{Client, Server, Subscriber, on_every_store};

on_every_store!(
    a_change_is_told_in_the_words_of_the_filter,
    a_change_is_cut_to_the_fields_that_are_wanted,
);

/// Commands, each with what it is to a subscription; `None` is nothing.
type Script = Vec<(&'static str, Value, Option<Value>)>;

/// Carries the script out, and finds the subscription told as it says: as it happens, and from the log.
async fn plays(server: Server, filter: Value, fields: Option<&[&str]>, script: Script) {
    let mut client = server.connect("/ws?changes=none").await;
    let mut live = Subscriber::new("live", filter.clone(), fields);
    live.begin(&mut client, json!({})).await;
    let mut expected = Vec::new();
    for (kind, payload, told) in script {
        let answer = client.ok(kind, payload).await;
        let Some(mut told) = told else {
            continue;
        };
        for name in ["type", "seq", "eventId", "version", "at"] {
            told[name] = change(&answer, kind)[name].clone();
        }
        expected.push(told);
    }
    let (_, last) = client.create(json!({})).await;
    server.until_fed(last).await;
    tell_all(&mut client, &mut live, expected.len()).await;
    agree(&live.changes, &expected);
    let mut caught_up = Subscriber::new("caught-up", filter, fields);
    caught_up.begin(&mut client, json!({"after": 0})).await;
    caught_up.until_live(&mut client).await;
    assert_eq!(caught_up.position, Some(last));
    agree(&caught_up.changes, &expected);
}

/// The change that a write made, without its content.
fn change(answer: &Value, kind: &str) -> Value {
    let event = &answer["data"];
    let deleted = u64::from(kind == "DELETE");
    let version = event["_version"].as_u64().unwrap() + deleted;
    // When something was deleted, only its change says.
    let at = if deleted == 1 {
        Value::Null
    } else {
        event["_updatedAt"].clone()
    };
    json!({"type": "change", "seq": seq(answer), "eventId": event["_id"], "version": version, "at": at})
}

async fn tell_all(client: &mut Client, subscriber: &mut Subscriber, count: usize) {
    while subscriber.changes.len() < count || !subscriber.is_live() {
        subscriber.hear(client.next_told().await);
    }
    client.lives().await;
    assert_eq!(client.told.len(), 0, "{:?}", client.told);
}

fn agree(told: &[Value], expected: &[Value]) {
    let mut told = told.to_vec();
    for (told, expected) in told.iter_mut().zip(expected) {
        if expected["at"].is_null() {
            assert!(told["at"].is_string(), "{told}");
            told["at"] = Value::Null;
        }
        if let Some(data) = told.get_mut("data").and_then(Value::as_object_mut) {
            data.retain(|name, _| name == "_id" || !name.starts_with('_'));
        }
    }
    assert_eq!(told, expected);
}

async fn a_change_is_told_in_the_words_of_the_filter(server: Server) {
    let update = |id: &str, data: Value| json!({"id": id, "updateData": data});
    let script = vec![
        (
            "CREATE",
            json!({"_id": "a", "state": "open"}),
            Some(json!({"kind": "create", "data": {"_id": "a", "state": "open"}})),
        ),
        ("CREATE", json!({"_id": "b", "state": "shut"}), None),
        ("CREATE", json!({"_id": "c"}), None),
        (
            "UPDATE",
            update("b", json!({"state": "open"})),
            Some(json!({"kind": "enter", "data": {"_id": "b", "state": "open"}})),
        ),
        (
            "UPDATE",
            update("a", json!({"title": "x"})),
            Some(
                json!({"kind": "update", "patch": {"set": {"title": "x"}, "unset": []},
                        "data": {"_id": "a", "state": "open", "title": "x"}}),
            ),
        ),
        (
            "UPDATE",
            update("a", json!({"state": "shut"})),
            Some(json!({"kind": "leave"})),
        ),
        ("UPDATE", update("a", json!({"title": "y"})), None),
        ("DELETE", json!({"id": "a"}), None),
        (
            "UPDATE",
            update("c", json!({"state": ["shut", "open"], "deep.n": 1})),
            Some(
                json!({"kind": "enter", "data": {"_id": "c", "state": ["shut", "open"], "deep": {"n": 1}}}),
            ),
        ),
        (
            "UPDATE",
            update("c", json!({"state.0": "open"})),
            Some(
                json!({"kind": "update", "patch": {"set": {"state.0": "open"}, "unset": []},
                        "data": {"_id": "c", "state": ["open", "open"], "deep": {"n": 1}}}),
            ),
        ),
        (
            "DELETE",
            json!({"id": "c"}),
            Some(json!({"kind": "delete"})),
        ),
        (
            "DELETE",
            json!({"id": "b"}),
            Some(json!({"kind": "delete"})),
        ),
        (
            "CREATE",
            json!({"_id": "a", "state": "open"}),
            Some(json!({"kind": "create", "data": {"_id": "a", "state": "open"}})),
        ),
    ];
    plays(server, json!({"state": "open"}), None, script).await;
}

async fn a_change_is_cut_to_the_fields_that_are_wanted(server: Server) {
    let update = |data: Value| json!({"id": "e", "updateData": data});
    let told = |patch: Value, title: &str, author: Value, list: Value| {
        let data = json!({"_id": "e", "title": title, "author": author, "list": list});
        Some(json!({"kind": "update", "patch": {"set": patch, "unset": []}, "data": data}))
    };
    let list = json!([{"k": 1}, {"k": 2}]);
    let ann = json!({"name": "Ann"});
    let script = vec![
        (
            "CREATE",
            json!({"_id": "e", "on": true, "title": "t", "author": {"name": "Ann", "age": 7},
                   "list": [{"k": 1, "l": 1}, 5, {"k": 2}]}),
            Some(
                json!({"kind": "create", "data": {"_id": "e", "title": "t", "author": ann, "list": list}}),
            ),
        ),
        (
            "UPDATE",
            update(json!({"title": "u", "other": 1})),
            told(json!({"title": "u"}), "u", ann.clone(), list.clone()),
        ),
        // Of interest to nobody here, and told all the same: the event changed.
        (
            "UPDATE",
            update(json!({"author.age": 8})),
            told(json!({}), "u", ann, list.clone()),
        ),
        (
            "UPDATE",
            update(json!({"author.name": "Bea", "author.town": "x"})),
            told(
                json!({"author.name": "Bea"}),
                "u",
                json!({"name": "Bea"}),
                list.clone(),
            ),
        ),
        (
            "UPDATE",
            update(json!({"author": {"name": "Cy", "age": 1}})),
            told(
                json!({"author": {"name": "Cy"}}),
                "u",
                json!({"name": "Cy"}),
                list,
            ),
        ),
        // Elements without what is wanted are left out, so places are not those of the event: the whole is set.
        (
            "UPDATE",
            update(json!({"list.2.k": 3})),
            told(
                json!({"list": [{"k": 1}, {"k": 3}]}),
                "u",
                json!({"name": "Cy"}),
                json!([{"k": 1}, {"k": 3}]),
            ),
        ),
        (
            "UPDATE",
            update(json!({"on": false, "title": "v"})),
            Some(json!({"kind": "leave"})),
        ),
        ("UPDATE", update(json!({"title": "w"})), None),
        (
            "UPDATE",
            update(json!({"on": true})),
            Some(
                json!({"kind": "enter", "data": {"_id": "e", "title": "w", "author": {"name": "Cy"},
                        "list": [{"k": 1}, {"k": 3}]}}),
            ),
        ),
        (
            "DELETE",
            json!({"id": "e"}),
            Some(json!({"kind": "delete"})),
        ),
    ];
    let fields = ["title", "author.name", "list.k"];
    plays(server, json!({"on": true}), Some(&fields), script).await;
}

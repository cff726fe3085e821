//! What a request says is read or refused: each request in `fixtures/requests`, spoilt in every way at every place.

use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::client::error_of;
use crate::support::{Client, Server};

/// No 64 bits hold one of these.
const TOO_LARGE: [&str; 5] = [
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1234567890123456789012345678901234567890",
    "1e400",
];

/// A request that would be carried out on the event `e`.
#[derive(Deserialize)]
struct Good {
    request: String,
    /// What the payload may have, unless that is all the client's own; and what it must.
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    required: Vec<String>,
    payload: Value,
    body: Option<Body>,
    query: Option<String>,
}

/// A way to ask the same over HTTP: what of the payload the body is.
#[derive(Deserialize)]
struct Body {
    method: String,
    path: String,
    of: String,
}

/// A way to ask over HTTP with the parameters that it takes.
#[derive(Deserialize)]
struct Route {
    method: String,
    path: String,
    accept: Option<String>,
    names: std::collections::BTreeMap<String, String>,
}

fn routes() -> Vec<Route> {
    serde_json::from_str(include_str!("../fixtures/requests/routes.json")).unwrap()
}

fn requests() -> Vec<Good> {
    serde_json::from_str(include_str!("../fixtures/requests/requests.json")).unwrap()
}

/// A server that has the event `e`, and a session.
async fn stocked() -> (Server, Client) {
    let server = Server::in_folder().await;
    let mut client = server.client().await;
    client.create(json!({"_id": "e", "n": 1})).await;
    (server, client)
}

fn join(at: &str, name: &str) -> String {
    match at {
        "" => name.to_owned(),
        _ => format!("{at}.{name}"),
    }
}

/// Every value in it, itself too, with its path.
fn places(value: &Value, at: &str) -> Vec<(String, String)> {
    let mut found = vec![(at.to_owned(), String::new())];
    let nested: Vec<(String, &Value)> = match value {
        Value::Array(items) => (0..).map(|n: usize| n.to_string()).zip(items).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), value))
            .collect(),
        _ => return found,
    };
    for (name, value) in nested {
        let token = name.replace('~', "~0").replace('/', "~1");
        let inner = places(value, &join(at, &name)).into_iter();
        found.extend(inner.map(|(path, pointer)| (path, format!("/{token}{pointer}"))));
    }
    found
}

const MARK: &str = "@@";

/// The value's text with a number in place of each value that holds no others, and the path of the number.
fn with_large_numbers(value: &Value, at: &str) -> Vec<(String, String)> {
    let mut spoilt = Vec::new();
    for (path, pointer) in places(value, at) {
        let mut marked = value.clone();
        let place = marked.pointer_mut(&pointer).unwrap();
        if place.is_object() || place.is_array() {
            continue;
        }
        *place = MARK.into();
        let text = marked.to_string();
        let numbers = TOO_LARGE.map(|number| text.replace(&format!("\"{MARK}\""), number));
        spoilt.extend(numbers.map(|text| (text, path.clone())));
    }
    spoilt
}

/// The value's text with each name of each object given twice, and its path.
fn with_names_twice(value: &Value, at: &str) -> Vec<(String, String)> {
    let mut spoilt = Vec::new();
    for (path, pointer) in places(value, at) {
        let Some(Value::Object(fields)) = value.pointer(&pointer) else {
            continue;
        };
        for (name, field) in fields {
            let mut marked = value.clone();
            marked.pointer_mut(&pointer).unwrap()[MARK] = field.clone();
            let escaped: String = name
                .chars()
                .map(|c| format!("\\u{:04x}", u32::from(c)))
                .collect();
            for again in [name, &escaped] {
                let text = marked.to_string().replace(MARK, again);
                spoilt.push((text, join(&path, name)));
            }
        }
    }
    spoilt
}

fn spoilt(value: &Value, at: &str) -> Vec<(String, String)> {
    let mut spoilt = with_large_numbers(value, at);
    spoilt.extend(with_names_twice(value, at));
    spoilt
}

/// The error that this message must be answered with, under its id.
async fn refused(client: &mut Client, kind: &str, payload: &str) -> Value {
    let text = format!(r#"{{"type":"{kind}","payload":{payload},"id":"spoilt"}}"#);
    client.send_text(&text).await;
    let answer = client.answer().await;
    assert_eq!(answer["id"], "spoilt", "{text} {answer}");
    error_of(&answer)
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

fn assert_offence(error: &Value, path: &str, said: &str) {
    let found = (&error["code"], &error["path"]);
    assert_eq!(
        found,
        (&json!("bad_request"), &json!(path)),
        "{said} {error}"
    );
}

#[tokio::test]
async fn numbers_beyond_64_bits_and_names_twice_are_refused_wherever_they_stand() {
    let (_server, mut client) = stocked().await;
    for good in requests() {
        for (text, path) in spoilt(&good.payload, "payload") {
            let error = refused(&mut client, &good.request, &text).await;
            assert_offence(&error, &path, &text);
        }
    }
    client.lives().await;
    let found = client.ok("FETCH", json!({})).await;
    assert_eq!(found["seq"], 1, "nothing refused took a place in the log");
    assert_eq!(client.broadcasts.len(), 0);
}

#[tokio::test]
async fn they_are_refused_in_bodies_and_in_parameters_too() {
    let (server, mut client) = stocked().await;
    for good in requests() {
        for (text, path) in good.body.iter().flat_map(|body| body.spoilt(&good.payload)) {
            let body = good.body.as_ref().unwrap();
            let kind = match body.of.as_str() {
                "mergePatch" => "application/merge-patch+json",
                _ => "application/json",
            };
            let request = server.http(&body.method, &body.path);
            let request = request.header("Content-Type", kind).body(text.clone());
            let (status, said) = answer(request).await;
            assert_eq!(status, 400, "{} {text} {said}", body.path);
            assert_offence(&said["error"], &path, &text);
        }
        for name in ["filter", "sort"] {
            let Some((address, value)) = good.query.as_ref().zip(good.payload.get(name)) else {
                continue;
            };
            for (text, path) in spoilt(value, &format!("query.{name}")) {
                let (status, said) = server.get(address, &[(name, &text)]).await;
                assert_eq!(status, 400, "{text} {said}");
                assert_offence(&said["error"], &path, &text);
            }
        }
    }
    assert_eq!(client.ok("FETCH", json!({})).await["seq"], 1);
}

impl Body {
    fn spoilt(&self, payload: &Value) -> Vec<(String, String)> {
        match self.of.as_str() {
            "" => spoilt(payload, "payload"),
            of => spoilt(&payload[of], &format!("payload.{of}")),
        }
    }
}

#[tokio::test]
async fn a_message_says_each_of_its_names_once() {
    let (_server, mut client) = stocked().await;
    let message = r#""type":"CREATE","id":"x","commandId":"c","payload":{},"extra":[]"#;
    for (name, again, id) in [
        ("type", r#""FETCH""#, json!("x")),
        ("commandId", r#""d""#, json!("x")),
        ("payload", r#"{"n":1}"#, json!("x")),
        ("extra", "1", json!("x")),
        ("id", r#""y""#, Value::Null),
    ] {
        client
            .send_text(&format!(r#"{{{message},"{name}":{again}}}"#))
            .await;
        let answer = client.answer().await;
        assert_offence(&error_of(&answer), name, name);
        assert_eq!(answer.get("id").unwrap_or(&Value::Null), &id);
    }
    assert_eq!(client.ok("FETCH", json!({})).await["seq"], 1);
}

#[tokio::test]
async fn a_number_is_answered_in_the_kind_it_was_written_in() {
    let (server, mut watcher) = stocked().await;
    let numbers = r#"[1,1.0,1E5,-0,0.0,-9223372036854775808,9223372036854775807,9223372036854775808.0,5e-324]"#;
    let kept = "[1,1.0,100000.0,-0.0,0.0,-9223372036854775808,9223372036854775807,9.223372036854776e+18,5e-324]";
    let body = format!(r#"{{"_id":"kinds","n":{numbers}}}"#);
    let request = server
        .http("POST", "/api/events")
        .header("Content-Type", "application/json");
    let text = request
        .body(body)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains(kept), "{text}");
    watcher.change().await;
}

/// As somebody mistyped it: doubled, cut short, in other capitals, with its first letters exchanged.
fn misspelt(name: &str) -> Vec<String> {
    let (first, rest) = name.split_at(1);
    let second = &rest[..1];
    vec![
        format!("{name}{}", &name[name.len() - 1..]),
        name[..name.len() - 1].to_owned(),
        name.to_uppercase(),
        format!("{second}{first}{}", &rest[1..]),
    ]
}

#[tokio::test]
async fn a_name_that_nobody_reads_is_refused_with_the_nearest_that_is() {
    let (_server, mut client) = stocked().await;
    for good in requests() {
        for name in &good.names {
            for wrong in misspelt(name) {
                let mut payload = good.payload.clone();
                let fields = payload.as_object_mut().unwrap();
                let value = fields.remove(name).unwrap_or(Value::Null);
                fields.insert(wrong.clone(), value);
                let error = client.refused(&good.request, payload.clone()).await;
                assert_offence(&error, &format!("payload.{wrong}"), &payload.to_string());
                assert!(error["message"].as_str().unwrap().contains(name), "{error}");
            }
        }
    }
    let member = json!({"type": "DELETE", "payload": {"id": "e"}, "pay_load": {}});
    let error = client.refused("BATCH", json!({"commands": [member]})).await;
    assert_offence(&error, "payload.commands.0.pay_load", "BATCH");
    let member = json!({"type": "DELETE", "payload": {"id": "e", "expectedversion": 1}});
    let error = client.refused("BATCH", json!({"commands": [member]})).await;
    assert_offence(
        &error,
        "payload.commands.0.payload.expectedversion",
        "BATCH",
    );
    // The event is the client's own, and so is the message; beside the payload names may come that are of later use.
    client
        .send_text(r#"{"type":"BROADCAST","payload":{"filer":1},"extra":1}"#)
        .await;
    assert_eq!(client.answer().await["success"], true);
    assert_eq!(client.ok("FETCH", json!({})).await["seq"], 1);
}

#[tokio::test]
async fn a_command_id_is_refused_where_it_would_not_be_heeded() {
    let (server, mut client) = stocked().await;
    for (kind, payload) in [
        ("BROADCAST", json!({"n": 1})),
        ("FETCH", json!({})),
        ("SUBSCRIBE", json!({"sub": "s"})),
        ("UNSUBSCRIBE", json!({"sub": "s"})),
        ("PING", json!({})),
    ] {
        let message = json!({"type": kind, "commandId": "c", "payload": payload});
        client.send(&message).await;
        assert_offence(&error_of(&client.answer().await), "commandId", kind);
    }
    let request = server.http("POST", "/api/broadcast").json(&json!({"n": 1}));
    let (status, said) = answer(request.header("Idempotency-Key", "c")).await;
    assert_eq!(status, 400, "{said}");
    assert_offence(&said["error"], "idempotency-key", "broadcast");
    let reason = said["error"]["message"].as_str().unwrap();
    assert!(reason.contains("at most once"), "{reason}");
    client.lives().await;
    assert_eq!(client.broadcasts.len(), 0);
}

#[tokio::test]
async fn a_refusal_says_what_would_be_taken() {
    let (_server, mut client) = stocked().await;
    let nested = format!(r#"{{"a":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    client.ok("SUBSCRIBE", json!({"sub": "open"})).await;
    for (kind, payload, path, message) in [
        (
            "UPDATE",
            r#"{"id":"e","update":{"n":1}}"#,
            "payload.update",
            "did you mean updateData?",
        ),
        (
            "DELETE",
            r#"{"_id":"e"}"#,
            "payload._id",
            "did you mean id?",
        ),
        (
            "BATCH",
            r#"{"commands":[{"type":"DELETE","command":1}]}"#,
            "payload.commands.0.command",
            "unknown field: expected type, payload",
        ),
        ("CREATE", "[1]", "payload", "expected a JSON object"),
        (
            "CREATE",
            &nested,
            &format!("payload.a{}", ".0".repeat(126)),
            "nested deeper than 32 levels",
        ),
        (
            "SUBSCRIBE",
            r#"{"sub":"open"}"#,
            "payload.sub",
            "there is a subscription \"open\" already",
        ),
        (
            "UNSUBSCRIBE",
            r#"{"sub":"shut"}"#,
            "payload.sub",
            "there is no subscription \"shut\"",
        ),
        (
            "FETCH",
            r#"{"filter":{"a":{"$size":-1}}}"#,
            "payload.filter.a.$size",
            "expected an integer of at least 0, found -1",
        ),
    ] {
        let error = refused(&mut client, kind, payload).await;
        assert_eq!(error["path"], path, "{kind} {error}");
        let said = error["message"].as_str().unwrap();
        assert!(said.ends_with(message), "{kind}: {said}");
    }
}

#[tokio::test]
async fn a_parameter_that_is_known_elsewhere_says_where() {
    let (server, _client) = stocked().await;
    let stream = "text/event-stream";
    for (path, accept, name, hint) in [
        ("/api/changes?snapshot=true", "*/*", "snapshot", stream),
        ("/api/changes?mode=latest&after=0", "*/*", "mode", stream),
        ("/api/changes?limit=5&sort={}", "*/*", "sort", stream),
        (
            "/api/events?at=2026-01-31T12:00:00+01:00",
            "*/*",
            "at",
            "%2B",
        ),
    ] {
        let request = server.http("GET", path).header("Accept", accept);
        let (status, said) = answer(request).await;
        let error = &said["error"];
        assert_eq!(
            (status, &error["path"]),
            (400, &json!(format!("query.{name}"))),
            "{path} {said}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(hint), "{path}: {message}");
    }
}

#[tokio::test]
async fn null_is_the_same_as_not_given_wherever_something_may_be_left_out() {
    let (_server, mut client) = stocked().await;
    for good in requests() {
        for name in good
            .names
            .iter()
            .filter(|name| !good.required.contains(name))
        {
            let mut payload = good.payload.clone();
            for version in ["expectedVersion", name] {
                if good.names.iter().any(|name| name == version) {
                    payload[version] = Value::Null;
                }
            }
            client.ok(&good.request, payload).await;
            match good.request.as_str() {
                "SUBSCRIBE" => drop(client.ok("UNSUBSCRIBE", json!({"sub": "s"})).await),
                "DELETE" => drop(client.create(json!({"_id": "e", "n": 1})).await),
                _ => {}
            }
        }
        for name in &good.required {
            let mut payload = good.payload.clone();
            payload[name] = Value::Null;
            let error = client.refused(&good.request, payload).await;
            assert!(
                error["message"].as_str().unwrap().starts_with("missing"),
                "{error}"
            );
        }
    }
    client.ok("CREATE", json!({"_id": null})).await;
    let nothing = r#"{"type":"FETCH","id":null,"commandId":null,"payload":null}"#;
    client.send_text(nothing).await;
    assert_eq!(client.answer().await["success"], true);
}

#[tokio::test]
async fn a_parameter_is_known_where_it_stands_and_given_once() {
    let (server, mut client) = stocked().await;
    for route in routes() {
        let asked = |query: &str| {
            let request = server.http(&route.method, &format!("{}?{query}", route.path));
            let request = match &route.accept {
                Some(accept) => request.header("Accept", accept),
                None => request,
            };
            request.json(&json!({}))
        };
        let known: Vec<String> = route
            .names
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if route.method == "GET" {
            let status = asked(&known.join("&")).send().await.unwrap().status();
            assert_eq!(status, 200, "{} {known:?}", route.path);
        }
        for (name, value) in &route.names {
            for wrong in misspelt(name) {
                let (status, said) = answer(asked(&format!("{wrong}={value}"))).await;
                assert_eq!(status, 400, "{} {wrong} {said}", route.path);
                assert_offence(&said["error"], &format!("query.{wrong}"), &route.path);
                assert!(
                    said["error"]["message"].as_str().unwrap().contains(name),
                    "{said}"
                );
            }
            let (status, said) = answer(asked(&format!("{name}={value}&{name}={value}"))).await;
            let found = (status, &said["error"]["path"]);
            assert_eq!(found, (400, &json!(format!("query.{name}"))), "{said}");
        }
        for foreign in ["expectedVersion", "commandId", "x"] {
            let (status, said) = answer(asked(&format!("{foreign}=1"))).await;
            assert_eq!(status, 400, "{} {said}", route.path);
            assert_offence(&said["error"], &format!("query.{foreign}"), &route.path);
        }
    }
    for query in [
        "change=none",
        "after=0&after=0",
        "after=0&minSeq=1",
        "After=0",
    ] {
        assert!(
            server
                .try_connect(&format!("/ws?{query}"), &[])
                .await
                .is_err(),
            "{query}"
        );
    }
    for header in ["Idempotency-Key", "Last-Event-ID"] {
        let path = if header == "Last-Event-ID" {
            "/api/changes"
        } else {
            "/api/events"
        };
        let method = if header == "Last-Event-ID" {
            "GET"
        } else {
            "POST"
        };
        let request = server
            .http(method, path)
            .header("Accept", "text/event-stream")
            .json(&json!({}));
        let (status, said) = answer(request.header(header, "a:1").header(header, "b:1")).await;
        let found = (status, &said["error"]["path"]);
        assert_eq!(found, (400, &json!(header.to_lowercase())), "{said}");
    }
    assert_eq!(
        client.ok("FETCH", json!({})).await["seq"],
        1,
        "nothing refused had an effect"
    );
}

#[tokio::test]
async fn whoever_names_a_seq_is_told_nothing_before_the_log_has_come_there() {
    let (server, mut client) = stocked().await;
    let mut reader = server.connect("/ws?changes=none").await;
    let mut impatient = server.connect("/ws?changes=none").await;
    let stream = |seq: u64| {
        let path = format!("/api/changes?snapshot=true&minSeq={seq}");
        server
            .http("GET", &path)
            .header("Accept", "text/event-stream")
            .send()
    };
    let (later, never_there) = ([("minSeq", "3")], [("minSeq", "99")]);
    let snapshot = json!({"sub": "s", "snapshot": true, "minSeq": 3});
    let writing = async {
        for id in ["f", "g"] {
            client.create(json!({"_id": id})).await;
        }
    };
    let (page, streamed, subscribed, ()) = tokio::join!(
        server.get("/api/changes", &later),
        stream(3),
        reader.ok("SUBSCRIBE", snapshot),
        writing,
    );
    assert_eq!(
        (page.0, page.1["data"].as_array().unwrap().len()),
        (200, 3),
        "{}",
        page.1
    );
    assert_eq!(
        (streamed.unwrap().status().as_u16(), &subscribed["seq"]),
        (200, &json!(3))
    );
    assert_eq!(
        reader.next_told().await["data"].as_array().unwrap().len(),
        3
    );
    let never = json!({"sub": "s", "minSeq": 99});
    let (page, streamed, refused) = tokio::join!(
        server.get("/api/changes", &never_there),
        stream(99),
        impatient.refused("SUBSCRIBE", never),
    );
    assert_eq!(
        (page.0, &page.1["error"]["code"]),
        (503, &json!("seq_not_reached"))
    );
    assert_eq!(
        (streamed.unwrap().status().as_u16(), &refused["code"]),
        (503, &json!("seq_not_reached"))
    );
}

//! What is refused, with which code, and that the connection lives on.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::client::error_of;
use crate::support::{Client, Server};

/// Sends one message that must be refused, and gives the whole answer.
async fn refuse(client: &mut Client, message: Message) -> Value {
    client.send_message(message).await;
    let answer = client.answer().await;
    error_of(&answer);
    answer
}

#[tokio::test]
async fn messages_that_are_no_requests_are_refused_and_the_connection_lives_on() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (text, code, path) in [
        ("", "malformed_json", None),
        ("{", "malformed_json", None),
        ("nonsense", "malformed_json", None),
        (r#"{"type":"FETCH"} {}"#, "malformed_json", None),
        (
            "{\"type\":\"FETCH\",\"payload\":{\"filter\":{\"a\":\"\u{1}\"}}}",
            "malformed_json",
            None,
        ),
        ("null", "bad_request", None),
        ("[]", "bad_request", None),
        ("{}", "bad_request", Some("type")),
        (r#"{"type":7}"#, "bad_request", Some("type")),
        (r#"{"type":"DROP"}"#, "unknown_type", Some("type")),
        (
            r#"{"type":"create","payload":{}}"#,
            "unknown_type",
            Some("type"),
        ),
        (r#"{"type":"FETCH","id":1.5}"#, "bad_request", Some("id")),
        (r#"{"type":"FETCH","id":{}}"#, "bad_request", Some("id")),
        (r#"{"type":"CREATE"}"#, "bad_request", Some("payload")),
        (
            r#"{"type":"CREATE","payload":"text"}"#,
            "bad_request",
            Some("payload"),
        ),
        (
            r#"{"type":"CREATE","payload":{"n":9223372036854775808}}"#,
            "bad_request",
            Some("payload.n"),
        ),
        (r#"{"type":"BROADCAST"}"#, "bad_request", Some("payload")),
    ] {
        let error = refuse(&mut client, Message::text(text)).await["error"].clone();
        assert_eq!(error["code"], code, "{text}");
        assert_eq!(
            error.get("path").and_then(Value::as_str),
            path,
            "{text} {error}"
        );
        assert_eq!(error["retryable"], false);
    }
    let answer = refuse(
        &mut client,
        Message::binary(br#"{"type":"FETCH"}"#.to_vec()),
    )
    .await;
    assert_eq!(answer["error"]["code"], "binary_frame");
    client.lives().await;
    assert_eq!(
        client.create(json!({})).await.1,
        1,
        "nothing refused took a place in the log"
    );
}

#[tokio::test]
async fn payloads_of_the_wrong_kind_are_refused_with_the_path_of_the_offender() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (id, _) = client.create(json!({"a": 1})).await;
    let update = |data: Value| json!({"id": id, "updateData": data});
    for (kind, payload, path) in [
        ("CREATE", json!({"_id": 7}), "payload._id"),
        ("CREATE", json!({"_id": ""}), "payload._id"),
        ("CREATE", json!({"_id": "a\u{0}b"}), "payload._id"),
        ("CREATE", json!({"_seq": 1}), "payload._seq"),
        ("CREATE", json!({"_mine": 1}), "payload._mine"),
        ("CREATE", json!({"$set": {}}), "payload.$set"),
        (
            "CREATE",
            json!({"a": {"$date": "2026-01-31T12:00:00Z"}}),
            "payload.a.$date",
        ),
        ("CREATE", json!({"a": [{"b.c": 1}]}), "payload.a.0.b.c"),
        ("CREATE", json!({"a": {"": 1}}), "payload.a."),
        ("UPDATE", json!({"updateData": {"a": 1}}), "payload.id"),
        (
            "UPDATE",
            json!({"id": 7, "updateData": {"a": 1}}),
            "payload.id",
        ),
        ("UPDATE", json!({"id": id}), "payload.updateData"),
        ("UPDATE", update(json!([])), "payload.updateData"),
        ("UPDATE", update(json!({})), "payload.updateData"),
        (
            "UPDATE",
            update(json!({"_id": "x"})),
            "payload.updateData._id",
        ),
        (
            "UPDATE",
            update(json!({"_version": 9})),
            "payload.updateData._version",
        ),
        (
            "UPDATE",
            update(json!({"a..b": 1})),
            "payload.updateData.a..b",
        ),
        (
            "UPDATE",
            update(json!({"a": 1, "a.b": 1})),
            "payload.updateData.a.b",
        ),
        (
            "UPDATE",
            update(json!({"b": {"$inc": 1}})),
            "payload.updateData.b.$inc",
        ),
        (
            "UPDATE",
            json!({"id": id, "updateData": {"a": 2}, "expectedVersion": "1"}),
            "payload.expectedVersion",
        ),
        (
            "UPDATE",
            json!({"id": id, "updateData": {"a": 2}, "expectedVersion": 0}),
            "payload.expectedVersion",
        ),
        ("DELETE", json!({}), "payload.id"),
        ("DELETE", json!({"id": [id]}), "payload.id"),
        (
            "DELETE",
            json!({"id": id, "expectedVersion": 1.0}),
            "payload.expectedVersion",
        ),
    ] {
        let error = client.refused(kind, payload.clone()).await;
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("bad_request"), &json!(path)),
            "{kind} {payload}"
        );
    }
    let found = client.ok("FETCH", json!({})).await;
    assert_eq!(
        (&found["data"][0]["_version"], &found["seq"]),
        (&json!(1), &json!(1)),
        "nothing was half applied"
    );
}

#[tokio::test]
async fn a_field_named_twice_is_refused() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let twice = r#"{"type":"CREATE","payload":{"a":{"b":1,"b":2}}}"#;
    let answer = refuse(&mut client, Message::text(twice)).await;
    assert_eq!(answer["error"]["code"], "bad_request");
    assert_eq!(answer["error"]["path"], "payload.a.b");
}

#[tokio::test]
async fn a_path_through_a_scalar_does_not_fit_and_changes_nothing() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (id, _) = client.create(json!({"a": "text", "list": []})).await;
    for path in ["a.b", "list.x"] {
        let error = client
            .refused(
                "UPDATE",
                json!({"id": id, "updateData": {"other": 1, path: 1}}),
            )
            .await;
        assert_eq!(error["code"], "does_not_fit", "{error}");
        assert_eq!(error["path"], format!("payload.updateData.{path}"));
    }
    let found = client.ok("FETCH", json!({})).await["data"][0].clone();
    assert_eq!((&found["_version"], found.get("other")), (&json!(1), None));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (kind, payload) in [
        ("UPDATE", json!({"id": "nobody", "updateData": {"a": 1}})),
        ("DELETE", json!({"id": "nobody"})),
        ("DELETE", json!({"id": "nobody", "expectedVersion": 1})),
    ] {
        assert_eq!(client.refused(kind, payload).await["code"], "not_found");
    }
}

#[tokio::test]
async fn http_requests_that_lead_nowhere_get_an_error_object() {
    let server = Server::start().await;
    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/events/nobody", 404, "not_found"),
        ("PUT", "/api/events", 405, "method_not_allowed"),
        ("PUT", "/healthz", 405, "method_not_allowed"),
        ("GET", "/api/events?limit=many", 400, "invalid_filter"),
        ("GET", "/api/events?filter=%7B", 400, "invalid_filter"),
    ] {
        let response = server.http(method, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        let content_type = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            content_type.starts_with("application/json"),
            "{method} {path}: {content_type}"
        );
        let body: Value = response.json().await.unwrap();
        assert_eq!(
            (&body["success"], &body["error"]["code"]),
            (&json!(false), &json!(code)),
            "{method} {path}: {body}"
        );
    }
}

#[tokio::test]
async fn bad_parameters_of_a_session_are_refused_before_it_opens() {
    let server = Server::start().await;
    for query in [
        "after=-1",
        "after=x",
        "after=1.5",
        "changes=some",
        "epoch=x&after=1",
    ] {
        let error = server
            .try_connect(&format!("/ws?{query}"), &[])
            .await
            .unwrap_err();
        let tokio_tungstenite::tungstenite::Error::Http(response) = error else {
            panic!("{query}: {error}");
        };
        assert_eq!(response.status(), 400, "{query}");
    }
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn what_the_database_says_stays_in_the_servers_log() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create(json!({"_id": "e"})).await;
    // A view that livelog cannot have written.
    let events = server
        .database
        .driver()
        .await
        .collection::<mongodb::bson::Document>("events");
    events.delete_many(mongodb::bson::doc! {}).await.unwrap();
    events
        .insert_one(mongodb::bson::doc! {"_id": "e", "_version": 1_i64, "_seq": 1_i64, "secret": 1})
        .await
        .unwrap();
    let error = client.refused("FETCH", json!({})).await;
    assert_eq!(error["code"], "corrupt", "{error}");
    let said = error["message"].as_str().unwrap().to_lowercase();
    assert!(
        !said.contains("mongo") && !said.contains("bson") && !said.contains("secret"),
        "{said}"
    );
    assert!(!server.logged().is_empty());
}

/// Of every code there is a test that names it, or the close code that stands for it.
#[test]
fn every_code_is_reached_by_a_test() {
    let mut tests = String::new();
    let mut folders: Vec<std::path::PathBuf> = ["tests", "fixtures/http"]
        .map(|folder| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend((!path.ends_with("node_modules")).then_some(path));
            } else {
                tests += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let missing: Vec<&str> = livelog::protocol::Code::ALL
        .into_iter()
        .filter(|code| {
            let named = tests.contains(&format!("\"{}\"", code.as_str()));
            let closed = code
                .close_code()
                .is_some_and(|close| tests.contains(&format!("End::Closed({close})")));
            !named && !closed
        })
        .map(livelog::protocol::Code::as_str)
        .collect();
    assert!(missing.is_empty(), "no test reaches {missing:?}");
}

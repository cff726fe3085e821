//! What must hold for a write over HTTP: every condition, in every state of the event, against what the RFC says.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Server, on_every_store};

on_every_store!(
    a_condition_holds_or_fails_as_the_rfc_says_in_every_state_of_the_event,
    a_version_in_the_body_of_a_restore_counts_and_must_not_contradict_if_match,
    of_many_who_create_where_nothing_is_one_does,
);

/// What became of the event before the request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Never,
    Gone,
    /// At version 2.
    There,
}

/// A header's text, and whether it names version 2 strongly, and weakly.
type Named = (&'static str, bool, bool);

const NAMED: [Named; 8] = [
    ("*", true, true),
    ("\"2\"", true, true),
    ("\"1\"", false, false),
    ("W/\"2\"", false, true),
    ("\"1\", \"2\"", true, true),
    ("\"7\",,W/\"2\"", false, true),
    ("\"02\", \"x,2\"", false, false),
    ("\"18446744073709551616\"", false, false),
];

const METHODS: [&str; 4] = ["create", "update", "delete", "restore"];

async fn send(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

fn asked(server: &Server, method: &str, id: &str) -> RequestBuilder {
    let place = format!("/api/events/{id}");
    match method {
        "create" => server.http("POST", "/api/events").json(&json!({"_id": id})),
        "update" => server.http("PATCH", &place).json(&json!({"n": 3})),
        "delete" => server.http("DELETE", &place),
        _ => server
            .http("POST", &format!("{place}/restore"))
            .json(&json!({"version": 1})),
    }
}

/// The status without conditions.
fn plainly(method: &str, state: State) -> u16 {
    match (method, state) {
        ("create", State::There) => 409,
        ("create", _) => 201,
        ("restore", State::Gone) | (_, State::There) => 200,
        _ => 404,
    }
}

fn expected(method: &str, state: State, is_at: Option<Named>, is_not_at: Option<Named>) -> u16 {
    let there = state == State::There;
    let is_met = is_at.is_none_or(|(_, strong, _)| there && strong);
    let is_excluded = is_not_at.is_some_and(|(_, _, weak)| there && weak);
    match is_met && !is_excluded {
        true => plainly(method, state),
        false => 412,
    }
}

async fn a_condition_holds_or_fails_as_the_rfc_says_in_every_state_of_the_event(server: Server) {
    let one = NAMED.map(|named| (Some(named), None));
    let other = NAMED.map(|named| (None, Some(named)));
    let both = [
        (Some(NAMED[1]), Some(NAMED[0])),
        (Some(NAMED[0]), Some(NAMED[2])),
    ];
    let conditions: Vec<_> = one.into_iter().chain(other).chain(both).collect();
    let mut client = server.connect("/ws?changes=none").await;
    let mut count = 0;
    for state in [State::Never, State::Gone, State::There] {
        for method in METHODS {
            for (is_at, is_not_at) in &conditions {
                count += 1;
                let id = format!("e{count}");
                if state != State::Never {
                    client.create(json!({"_id": id, "n": 1})).await;
                    client
                        .ok("UPDATE", json!({"id": id, "updateData": {"n": 2}}))
                        .await;
                }
                if state == State::Gone {
                    client.ok("DELETE", json!({"id": id})).await;
                }
                let mut request = asked(&server, method, &id);
                for (name, named) in [("If-Match", is_at), ("If-None-Match", is_not_at)] {
                    if let Some((text, ..)) = named {
                        request = request.header(name, *text);
                    }
                }
                let (status, said) = send(request).await;
                let expected = expected(method, state, *is_at, *is_not_at);
                let what = format!("{method} {state:?} {is_at:?} {is_not_at:?}: {said}");
                assert_eq!(status, expected, "{what}");
                if status == 412 {
                    assert_eq!(said["error"]["code"], "precondition_failed", "{what}");
                    let current = said["error"]["details"]["current"]["_id"].as_str();
                    assert_eq!(current.is_some(), state == State::There, "{what}");
                }
            }
        }
    }
}

async fn a_version_in_the_body_of_a_restore_counts_and_must_not_contradict_if_match(
    server: Server,
) {
    let mut client = server.connect("/ws?changes=none").await;
    client.create(json!({"_id": "e", "n": 1})).await;
    client
        .ok("UPDATE", json!({"id": "e", "updateData": {"n": 2}}))
        .await;
    let restore = async |expected: Value, tag: Option<&str>| {
        let body = json!({"version": 1, "expectedVersion": expected});
        let request = server.http("POST", "/api/events/e/restore").json(&body);
        let (status, said) = match tag {
            None => send(request).await,
            Some(tag) => send(request.header("If-Match", tag)).await,
        };
        let code = said["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (status, code)
    };
    let answer = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(
        restore(json!(1), None).await,
        answer(409, "version_conflict")
    );
    for (expected, tag, said) in [
        (json!(1), "\"2\"", answer(400, "bad_request")),
        (json!(2), "\"1\", \"3\"", answer(400, "bad_request")),
        (json!(2), "\"1\", \"2\"", answer(200, "")),
        (json!(2), "*", answer(409, "version_conflict")),
        (json!(3), "\"3\"", answer(200, "")),
        (Value::Null, "\"3\"", answer(412, "precondition_failed")),
        (Value::Null, "\"4\"", answer(200, "")),
    ] {
        assert_eq!(
            restore(expected.clone(), Some(tag)).await,
            said,
            "{expected} {tag}"
        );
    }
    for path in ["/api/batch", "/api/broadcast"] {
        let request = server.http("POST", path).json(&json!({"commands": []}));
        let (status, said) = send(request.header("If-Match", "\"1\"")).await;
        let error = &said["error"];
        assert_eq!(
            (status, &error["path"]),
            (400, &json!("if-match")),
            "{path} {said}"
        );
    }
    let wrong = server
        .http("GET", "/api/events/e")
        .header("If-Match", "\"1\"");
    assert_eq!(send(wrong).await.0, 412);
    let right = server
        .http("GET", "/api/events/e")
        .header("If-Match", "\"5\"");
    assert_eq!(send(right).await.0, 200);
}

async fn of_many_who_create_where_nothing_is_one_does(server: Server) {
    let attempts = (0..20).map(|_| {
        let request = server
            .http("POST", "/api/events")
            .json(&json!({"_id": "e"}));
        send(request.header("If-None-Match", "*"))
    });
    let mut statuses: Vec<u16> = futures::future::join_all(attempts)
        .await
        .into_iter()
        .map(|(status, _)| status)
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses[..2], [201, 412]);
    assert_eq!(statuses[19], 412);
}

//! What SUBSCRIBE and UNSUBSCRIBE answer.

use std::collections::HashSet;

use livelog::limits;
use serde_json::{Value, json};

use crate::support::subscriber::seq;
use crate::support::{Server, Subscriber, on_every_store};

on_every_store!(requests_for_one_name_take_effect_in_their_order);

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_refused_by_code_and_path() {
    let server = Server::in_folder().await;
    let mut client = server.client().await;
    let long = "é".repeat(limits::SUB_NAME_BYTES_MAX / 2) + "e";
    for (payload, code, path) in [
        (json!({}), "bad_request", "payload.sub"),
        (json!({"sub": null}), "bad_request", "payload.sub"),
        (json!({"sub": 7}), "bad_request", "payload.sub"),
        (json!({"sub": ""}), "bad_request", "payload.sub"),
        (json!({"sub": long}), "bad_request", "payload.sub"),
        (
            json!({"sub": "s", "filter": 7}),
            "invalid_filter",
            "payload.filter",
        ),
        (
            json!({"sub": "s", "filter": {"$where": "1"}}),
            "invalid_filter",
            "payload.filter.$where",
        ),
        (
            json!({"sub": "s", "filter": {"a": {"$near": 1}}}),
            "invalid_filter",
            "payload.filter.a.$near",
        ),
        (
            json!({"sub": "s", "filter": {"$or": [{"a": 1}, 7]}}),
            "invalid_filter",
            "payload.filter.$or.1",
        ),
        (
            json!({"sub": "s", "fields": "a"}),
            "invalid_filter",
            "payload.fields",
        ),
        (
            json!({"sub": "s", "fields": ["a", 1]}),
            "invalid_filter",
            "payload.fields.1",
        ),
        (
            json!({"sub": "s", "fields": ["a.b", "a"]}),
            "invalid_filter",
            "payload.fields.1",
        ),
        (
            json!({"sub": "s", "snapshot": 1}),
            "bad_request",
            "payload.snapshot",
        ),
        (
            json!({"sub": "s", "after": -1}),
            "bad_request",
            "payload.after",
        ),
        (
            json!({"sub": "s", "after": 1.5}),
            "bad_request",
            "payload.after",
        ),
        (
            json!({"sub": "s", "after": "1"}),
            "bad_request",
            "payload.after",
        ),
        (
            json!({"sub": "s", "epoch": "now"}),
            "bad_request",
            "payload.epoch",
        ),
        (
            json!({"sub": "s", "epoch": 1}),
            "bad_request",
            "payload.epoch",
        ),
        (
            json!({"sub": "s", "mode": "some"}),
            "bad_request",
            "payload.mode",
        ),
        (
            json!({"sub": "s", "mode": 1, "after": 0}),
            "bad_request",
            "payload.mode",
        ),
        (
            json!({"sub": "s", "mode": "latest"}),
            "bad_request",
            "payload.mode",
        ),
    ] {
        let error = client.refused("SUBSCRIBE", payload.clone()).await;
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!(code), &json!(path)),
            "{payload}"
        );
        assert_eq!(error["retryable"], false, "{payload}");
    }
    for payload in [json!({}), json!({"sub": ""}), json!({"sub": 7})] {
        let error = client.refused("UNSUBSCRIBE", payload).await;
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("bad_request"), &json!("payload.sub"))
        );
    }
    for kind in ["SUBSCRIBE", "UNSUBSCRIBE"] {
        client.send(&json!({"type": kind, "id": 1})).await;
        let answer = client.answer().await;
        let error = &answer["error"];
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("bad_request"), &json!("payload"))
        );
    }
    // None of them took the name; and what is not known is ignored.
    client
        .ok(
            "SUBSCRIBE",
            json!({"sub": "s", "epoch": null, "snapshot": null}),
        )
        .await;
    client
        .ok(
            "SUBSCRIBE",
            json!({"sub": "s".repeat(limits::SUB_NAME_BYTES_MAX)}),
        )
        .await;
}

#[tokio::test]
async fn a_name_is_taken_until_it_is_given_up() {
    let server = Server::in_folder().await;
    let mut client = server.client().await;
    let mut other = server.client().await;
    client.ok("SUBSCRIBE", json!({"sub": "a"})).await;
    other.ok("SUBSCRIBE", json!({"sub": "a"})).await;
    let error = client
        .refused("SUBSCRIBE", json!({"sub": "a", "filter": {"b": 1}}))
        .await;
    assert_eq!(error["code"], "subscription_exists");
    let error = client.refused("UNSUBSCRIBE", json!({"sub": "b"})).await;
    assert_eq!(error["code"], "not_found");
    client
        .send(&json!({"type": "UNSUBSCRIBE", "id": "u", "payload": {"sub": "a"}}))
        .await;
    assert_eq!(
        client.answer().await,
        json!({"type": "response", "id": "u", "request": "UNSUBSCRIBE", "success": true, "sub": "a"})
    );
    let error = client.refused("UNSUBSCRIBE", json!({"sub": "a"})).await;
    assert_eq!(error["code"], "not_found");
    client
        .send(&json!({"type": "SUBSCRIBE", "id": 9, "payload": {"sub": "a"}}))
        .await;
    assert_eq!(
        client.answer().await,
        json!({"type": "response", "id": 9, "request": "SUBSCRIBE", "success": true, "seq": 0, "sub": "a"})
    );
}

#[tokio::test]
async fn a_name_may_be_any_text_and_stands_in_every_frame() {
    let server = Server::in_folder().await;
    let mut client = server.connect("/ws?changes=none").await;
    let names = [
        " ",
        "a,b",
        r#"","sub":""#,
        r"\u0041",
        "\u{0}\n\u{2028}",
        "é🦀",
        "type",
    ];
    for name in names {
        let answer = client
            .ok("SUBSCRIBE", json!({"sub": name, "snapshot": true}))
            .await;
        assert_eq!(answer["sub"], name);
        for kind in ["snapshot", "live"] {
            let frame = client.next_told().await;
            assert_eq!(
                (&frame["type"], &frame["sub"]),
                (&json!(kind), &json!(name))
            );
        }
    }
    client.create(json!({})).await;
    let mut told: Vec<String> = Vec::new();
    for _ in names {
        told.push(client.next_told().await["sub"].as_str().unwrap().to_owned());
    }
    told.sort();
    let mut names = names;
    names.sort_unstable();
    assert_eq!(told, names);
    client.ok("UNSUBSCRIBE", json!({"sub": names[0]})).await;
}

#[tokio::test]
async fn a_session_may_have_session_subscriptions_max() {
    let server = Server::in_folder().await;
    let mut client = server.connect("/ws?changes=none").await;
    let count = limits::SESSION_SUBSCRIPTIONS_MAX;
    let subscribe =
        |n: usize| json!({"type": "SUBSCRIBE", "id": n, "payload": {"sub": format!("s{n}")}});
    client.send_all((0..=count).map(subscribe)).await;
    for n in 0..count {
        assert_eq!(client.answer().await["sub"], format!("s{n}"));
    }
    let answer = client.answer().await;
    assert_eq!(
        answer["error"]["code"], "too_many_subscriptions",
        "{answer}"
    );
    client.ok("UNSUBSCRIBE", json!({"sub": "s7"})).await;
    client.ok("SUBSCRIBE", json!({"sub": "another"})).await;
    let (_, last) = client.create(json!({})).await;
    let mut told = HashSet::new();
    while told.len() < count {
        let frame = client.next_told().await;
        if frame["type"] == "change" {
            assert_eq!(seq(&frame), last);
            assert!(told.insert(frame["sub"].to_string()), "{frame}");
        }
    }
    assert!(!told.contains("\"s7\""));
}

async fn requests_for_one_name_take_effect_in_their_order(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let create = |n: usize| json!({"type": "CREATE", "id": n, "payload": {"_id": format!("e{n}")}});
    let subscribe = |id: &str, more: Value| {
        let payload = Subscriber::new("a", json!({}), None).payload(more);
        json!({"type": "SUBSCRIBE", "id": id, "payload": payload})
    };
    let unsubscribe = |id: &str| json!({"type": "UNSUBSCRIBE", "id": id, "payload": {"sub": "a"}});
    client
        .send_all([
            unsubscribe("none"),
            create(1),
            subscribe("first", json!({"snapshot": true})),
            subscribe("taken", json!({})),
            create(2),
            unsubscribe("end"),
            unsubscribe("none"),
            subscribe("second", json!({"after": 0})),
            create(3),
        ])
        .await;
    let mut frames = Vec::new();
    let mut second = None;
    while second
        .as_ref()
        .is_none_or(|second: &Subscriber| !second.was_told_of("e3"))
    {
        let frame = client.frame().await.unwrap();
        match &mut second {
            Some(second) if frame["type"] != "response" => second.hear(frame.clone()),
            None if frame["id"] == "second" => {
                let mut subscriber = Subscriber::new("a", json!({}), None);
                subscriber.begun(&frame, &json!({"after": 0}));
                second = Some(subscriber);
            }
            _ => {}
        }
        frames.push(frame);
    }
    let answers = frames.iter().filter(|frame| frame.get("id").is_some());
    let outcome = |frame: &Value| {
        (
            frame["id"].clone(),
            frame["error"]["code"].as_str().unwrap_or("ok").to_owned(),
        )
    };
    let answers: Vec<(Value, String)> = answers.map(outcome).collect();
    let expected = [
        (json!("none"), "not_found"),
        (json!(1), "ok"),
        (json!("first"), "ok"),
        (json!("taken"), "subscription_exists"),
        (json!(2), "ok"),
        (json!("end"), "ok"),
        (json!("none"), "not_found"),
        (json!("second"), "ok"),
        (json!(3), "ok"),
    ];
    let expected = expected.map(|(id, code)| (id, code.to_owned()));
    // The last answer may come after the change that it tells of.
    assert_eq!(answers[..8], expected[..8]);
    // Between the ends of the first, only what is the first's; its end is its last.
    let at = |id: &str| frames.iter().position(|frame| frame["id"] == id).unwrap();
    let of_a = |frames: &[Value]| {
        frames
            .iter()
            .filter(|f| f.get("sub").is_some() && f.get("id").is_none())
            .count()
    };
    assert_eq!(of_a(&frames[..at("first")]), 0);
    assert_eq!(of_a(&frames[at("end")..at("second")]), 0);
    assert_eq!(second.unwrap().changes.len(), 3);
}

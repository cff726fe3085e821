//! Writes and reads over HTTP: statuses, entity tags, conditions, repetitions, read your writes.

use reqwest::{RequestBuilder, header};
use serde_json::{Value, json};

use crate::support::{Server, on_every_store};

on_every_store!(
    an_event_lives_and_dies_over_http,
    a_merge_patch_merges_and_a_null_takes_away,
    a_condition_that_does_not_hold_is_a_412_with_the_event_as_it_is,
    a_deletion_says_its_conditions_in_headers_alone,
    a_client_that_has_the_event_is_told_so_without_it,
    of_two_who_write_at_one_version_exactly_one_wins,
    a_repeated_request_has_the_answer_it_had,
    a_broadcast_over_http_reaches_every_session,
    a_bad_request_has_the_status_that_http_means,
    a_read_waits_for_the_seq_it_names_and_says_which_it_is_as_of,
    a_page_of_another_origin_may_not_write,
);

struct Answer {
    status: u16,
    tag: Option<String>,
    location: Option<String>,
    body: Value,
}

impl Answer {
    fn error(&self) -> (u16, &str) {
        let code = &self.body["error"]["code"];
        (self.status, code.as_str().expect("an error"))
    }
}

async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let header = |name| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let (tag, location) = (header(header::ETAG), header(header::LOCATION));
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    Answer {
        status,
        tag,
        location,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
    }
}

async fn write(server: &Server, method: &str, path: &str, body: Value) -> Answer {
    send(server.http(method, path).json(&body)).await
}

async fn an_event_lives_and_dies_over_http(server: Server) {
    let mut watcher = server.client().await;
    let created = write(
        &server,
        "POST",
        "/api/events",
        json!({"_id": "a/b ü", "n": 1}),
    )
    .await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert_eq!(created.tag.as_deref(), Some("\"1\""));
    let place = created.location.unwrap();
    assert_eq!(place, "/api/events/a%2Fb%20%C3%BC");
    assert_eq!(
        (&created.body["success"], &created.body["seq"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(watcher.change().await["data"], created.body["data"]);

    let read = send(server.http("GET", &place)).await;
    assert_eq!((read.status, read.tag), (200, created.tag));
    assert_eq!(
        (&read.body["seq"], &read.body["data"]),
        (&json!(1), &created.body["data"])
    );

    let updated = write(&server, "PATCH", &place, json!({"n": 2, "a.b": "x"})).await;
    assert_eq!(
        (updated.status, updated.tag.as_deref()),
        (200, Some("\"2\""))
    );
    assert_eq!(updated.body["data"]["a"], json!({"b": "x"}));
    assert_eq!(watcher.change().await["data"], updated.body["data"]);

    let deleted = send(server.http("DELETE", &place)).await;
    assert_eq!((deleted.status, &deleted.body["seq"]), (200, &json!(3)));
    assert_eq!(deleted.body["data"], updated.body["data"]);
    assert_eq!(watcher.change().await["kind"], "delete");
    assert_eq!(
        send(server.http("GET", &place)).await.error(),
        (404, "not_found")
    );
    assert_eq!(
        send(server.http("DELETE", &place)).await.error(),
        (404, "not_found")
    );
    let gone = write(&server, "PATCH", &place, json!({"n": 3})).await;
    assert_eq!(gone.error(), (404, "not_found"));

    let nameless = write(&server, "POST", "/api/events", json!({"n": 1})).await;
    let id = nameless.body["data"]["_id"].as_str().unwrap();
    assert_eq!(nameless.location.unwrap(), format!("/api/events/{id}"));
}

async fn a_merge_patch_merges_and_a_null_takes_away(server: Server) {
    let fields = json!({"_id": "e", "a": {"b": 1, "c": [1, 2]}, "d": null, "e": "x"});
    write(&server, "POST", "/api/events", fields).await;
    let mut watcher = server.client().await;
    let merge = async |patch: &str| {
        let request = server.http("PATCH", "/api/events/e");
        let kind = "application/merge-patch+json; charset=utf-8";
        let request = request.header(header::CONTENT_TYPE, kind);
        send(request.body(patch.to_owned())).await
    };
    let merged = merge(r#"{"a":{"b":null,"c":3},"e":{"f":null,"g":1},"h":null}"#).await;
    assert_eq!((merged.status, merged.tag.as_deref()), (200, Some("\"2\"")));
    let data = &merged.body["data"];
    assert_eq!(
        (&data["a"], &data["e"]),
        (&json!({"c": 3}), &json!({"g": 1}))
    );
    assert_eq!((data.get("d"), data.get("h")), (Some(&Value::Null), None));
    let patch = json!({"set": {"a.c": 3, "e": {"g": 1}}, "unset": ["a.b"]});
    assert_eq!(watcher.change().await["patch"], patch);

    let refused = merge(r#"{"_version":null}"#).await;
    assert_eq!(refused.error(), (400, "bad_request"));
    assert_eq!(refused.body["error"]["path"], "payload.mergePatch._version");
    assert_eq!(merge("[1]").await.error(), (400, "bad_request"));
    let both = json!({"id": "e", "mergePatch": {"a": null}, "updateData": {"a": 1}});
    let error = watcher.refused("UPDATE", both).await;
    assert_eq!(error["path"], "payload.mergePatch", "{error}");
    let asked = json!({"id": "e", "mergePatch": {"a": null}});
    let answer = watcher.ok("UPDATE", asked).await;
    assert_eq!(answer["data"].get("a"), None, "{answer}");
}

async fn a_condition_that_does_not_hold_is_a_412_with_the_event_as_it_is(server: Server) {
    let event = json!({"_id": "e", "n": 1});
    write(&server, "POST", "/api/events", event.clone()).await;
    let again = write(&server, "POST", "/api/events", event.clone()).await;
    assert_eq!(again.error(), (409, "already_exists"));
    let request = server.http("POST", "/api/events").json(&event);
    let again = send(request.header("If-None-Match", "*")).await;
    assert_eq!(again.error(), (412, "precondition_failed"));

    for method in ["PATCH", "DELETE"] {
        let request = server.http(method, "/api/events/e");
        let request = match method {
            "PATCH" => request.json(&json!({"n": 2})),
            _ => request,
        };
        let refused = send(request.header("If-Match", "\"7\"")).await;
        assert_eq!(refused.error(), (412, "precondition_failed"), "{method}");
        let details = &refused.body["error"]["details"];
        assert_eq!(details["currentVersion"], 1);
        assert_eq!(details["current"]["n"], 1);
    }
    // Its client never heard of the id that was made for it.
    let request = server.http("POST", "/api/events").json(&json!({"n": 1}));
    let refused = send(request.header("If-Match", "*")).await;
    assert_eq!(refused.error(), (412, "precondition_failed"));
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("without an _id"), "{message}");
    for (tag, status) in [("\"1\"", 200), ("*", 200), ("\"2\"", 412), ("\"3\"", 200)] {
        let request = server.http("PATCH", "/api/events/e").json(&json!({"n": 2}));
        assert_eq!(
            send(request.header("If-Match", tag)).await.status,
            status,
            "{tag}"
        );
    }
    for tag in ["1", "\"x", "'3'", "w/\"4\"", "\"3\" \"4\"", "*, \"4\"", ""] {
        let request = server.http("PATCH", "/api/events/e").json(&json!({"n": 2}));
        let refused = send(request.header("If-Match", tag)).await;
        assert_eq!(refused.error(), (400, "bad_request"), "{tag}");
        assert_eq!(refused.body["error"]["path"], "if-match");
    }
}

async fn a_deletion_says_its_conditions_in_headers_alone(server: Server) {
    write(&server, "POST", "/api/events", json!({"_id": "e"})).await;
    for body in [r#"{"expectedVersion":99}"#, "{}", "x"] {
        let request = server.http("DELETE", "/api/events/e").body(body);
        let refused = send(request).await;
        assert_eq!(refused.error(), (400, "bad_request"), "{body}");
        let message = refused.body["error"]["message"].as_str().unwrap();
        assert!(message.contains("If-Match"), "{message}");
    }
    let read = send(server.http("GET", "/api/events/e")).await;
    assert_eq!(read.tag.as_deref(), Some("\"1\""));
    let request = server.http("DELETE", "/api/events/e").body("");
    assert_eq!(send(request).await.status, 200);
}

async fn a_client_that_has_the_event_is_told_so_without_it(server: Server) {
    write(&server, "POST", "/api/events", json!({"_id": "e", "n": 1})).await;
    for (known, status) in [
        ("\"1\"", 304),
        ("W/\"1\"", 304),
        ("\"7\", \"1\"", 304),
        ("*", 304),
        ("\"2\"", 200),
    ] {
        let request = server.http("GET", "/api/events/e");
        let answer = send(request.header("If-None-Match", known)).await;
        assert_eq!(answer.status, status, "{known}");
        assert_eq!(answer.tag.as_deref(), Some("\"1\""));
        assert_eq!(answer.body.is_null(), status == 304);
    }
}

async fn of_two_who_write_at_one_version_exactly_one_wins(server: Server) {
    write(&server, "POST", "/api/events", json!({"_id": "e", "n": 0})).await;
    for version in 1..=40 {
        let attempt = |n: u64| {
            let request = server.http("PATCH", "/api/events/e").json(&json!({"n": n}));
            send(request.header("If-Match", format!("\"{version}\"")))
        };
        let (one, two) = tokio::join!(attempt(1), attempt(2));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "at version {version}");
    }
}

async fn a_repeated_request_has_the_answer_it_had(server: Server) {
    let requests = [
        ("POST", "/api/events", json!({"_id": "e", "n": 1})),
        ("PATCH", "/api/events/e", json!({"n": 2})),
        ("DELETE", "/api/events/e", json!({})),
    ];
    let mut answers = Vec::new();
    for again in [false, true] {
        for (at, (method, path, body)) in requests.iter().enumerate() {
            let request = server.http(method, path);
            let request = match *method {
                "DELETE" => request,
                _ => request.json(body),
            };
            let answer = send(request.header("Idempotency-Key", format!("k{at}"))).await;
            assert_eq!(
                answer.body.get("duplicate").is_some(),
                again,
                "{}",
                answer.body
            );
            answers.push((
                answer.status,
                answer.tag,
                answer.location,
                answer.body["data"].clone(),
            ));
        }
    }
    let (first, second) = answers.split_at(requests.len());
    assert_eq!(first, second);
    // The same key on the socket is the same command.
    let mut client = server.connect("/ws?changes=none").await;
    let request = json!({"type": "CREATE", "commandId": "k0", "payload": {"_id": "e", "n": 1}});
    client.send(&request).await;
    assert_eq!(client.answer().await["duplicate"], true);
    let request = server.http("POST", "/api/events").json(&json!({"n": 7}));
    let reused = send(request.header("Idempotency-Key", "k0")).await;
    assert_eq!(reused.error(), (422, "command_id_reused"));
}

async fn a_broadcast_over_http_reaches_every_session(server: Server) {
    let mut all = server.client().await;
    let mut quiet = server.connect("/ws?changes=none").await;
    let message = json!({"message": "Hello everyone!"});
    let sent = write(&server, "POST", "/api/broadcast", message.clone()).await;
    assert_eq!((sent.status, sent.body), (200, json!({"success": true})));
    assert_eq!(all.broadcast().await["payload"], message);
    assert_eq!(quiet.broadcast().await["payload"], message);
}

async fn a_bad_request_has_the_status_that_http_means(server: Server) {
    write(&server, "POST", "/api/events", json!({"_id": "e", "n": 1})).await;
    let text = |method: &str, path: &str, kind: &str, body: &str| {
        let request = server.http(method, path);
        send(request.header("Content-Type", kind).body(body.to_owned()))
    };
    let json = "application/json; charset=utf-8";
    for (method, path, kind, body, error) in [
        ("POST", "/api/events", json, "{", (400, "malformed_json")),
        ("POST", "/api/events", json, "", (400, "malformed_json")),
        ("POST", "/api/events", json, "[1]", (400, "bad_request")),
        (
            "POST",
            "/api/events",
            json,
            r#"{"_seq":1}"#,
            (400, "bad_request"),
        ),
        (
            "POST",
            "/api/events",
            "text/plain",
            "{}",
            (415, "unsupported_media_type"),
        ),
        ("PATCH", "/api/events/e", json, "[]", (400, "bad_request")),
        ("PATCH", "/api/events/e", json, "{}", (400, "bad_request")),
        (
            "PATCH",
            "/api/events/e",
            json,
            r#"{"n.x":1}"#,
            (422, "does_not_fit"),
        ),
        (
            "PATCH",
            "/api/events/e",
            "text/json",
            r#"{"n":1}"#,
            (415, "unsupported_media_type"),
        ),
        (
            "PUT",
            "/api/events/e",
            json,
            "{}",
            (405, "method_not_allowed"),
        ),
        (
            "DELETE",
            "/api/events",
            json,
            "",
            (405, "method_not_allowed"),
        ),
        ("POST", "/api/broadcast", json, "x", (400, "malformed_json")),
        (
            "POST",
            "/api/broadcast",
            "",
            "1",
            (415, "unsupported_media_type"),
        ),
    ] {
        let answer = text(method, path, kind, body).await;
        assert_eq!(answer.error(), error, "{method} {path} {body}");
        assert_eq!(answer.body["success"], false);
    }
    for path in ["/api/events", "/api/broadcast"] {
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(256 * 1024));
        let refused = text("POST", path, json, &large).await;
        assert_eq!(refused.error(), (413, "message_too_large"));
    }
    let long = format!("/api/events/{}", "x".repeat(129));
    assert_eq!(
        send(server.http("DELETE", &long)).await.error(),
        (400, "bad_request")
    );
    let request = server
        .http("POST", "/api/events")
        .json(&serde_json::json!({}));
    let refused = send(request.header("Idempotency-Key", "x".repeat(129))).await;
    assert_eq!(refused.error(), (400, "bad_request"));
    assert_eq!(
        server.get("/readyz", &[]).await.1["seq"],
        1,
        "none had an effect"
    );
}

async fn a_read_waits_for_the_seq_it_names_and_says_which_it_is_as_of(server: Server) {
    let (status, body) = server.get("/api/events", &[("minSeq", "1")]).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (503, &json!("seq_not_reached"))
    );
    assert_eq!(body["error"]["retryable"], true);
    let waiting = server.get("/api/events/e", &[("minSeq", "3")]);
    let writing = async {
        for n in 1..=3 {
            let event = json!({"_id": if n == 2 { "e".to_owned() } else { format!("o{n}") }});
            write(&server, "POST", "/api/events", event).await;
        }
    };
    let ((status, body), ()) = tokio::join!(waiting, writing);
    assert_eq!((status, &body["seq"]), (200, &json!(3)), "{body}");
    let mut client = server.connect("/ws?changes=none").await;
    let fetched = client.ok("FETCH", json!({"minSeq": 3})).await;
    assert_eq!(
        (&fetched["seq"], fetched["data"].as_array().unwrap().len()),
        (&json!(3), 3)
    );
    let refused = client.refused("FETCH", json!({"minSeq": -1})).await;
    assert_eq!(
        (&refused["code"], &refused["path"]),
        (&json!("invalid_filter"), &json!("payload.minSeq"))
    );
}

async fn a_page_of_another_origin_may_not_write(server: Server) {
    let json = json!({"n": 1});
    for (method, path) in [
        ("POST", "/api/events"),
        ("PATCH", "/api/events/e"),
        ("DELETE", "/api/events/e"),
        ("POST", "/api/broadcast"),
    ] {
        let request = server.http(method, path).json(&json);
        let refused = send(request.header("Origin", "http://evil.example")).await;
        assert_eq!(
            refused.error(),
            (403, "forbidden_origin"),
            "{method} {path}"
        );
        let own = format!("http://{}", server.address());
        let request = server.http(method, path).json(&json);
        assert_ne!(send(request.header("Origin", own)).await.status, 403);
    }
}

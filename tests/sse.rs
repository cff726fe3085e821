//! `GET /api/changes` as a stream of Server-Sent Events; and what is refused, as a stream or a page.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::subscriptions::judge;
use crate::support::sse::{EventSource, request};
use crate::support::{DEADLINE, Database, Load, Server, Subscriber, on_every_store};

on_every_store!(
    an_event_stream_says_what_a_subscription_does,
    an_event_stream_resumes_across_restarts_by_the_last_id,
    a_snapshot_has_no_ids_until_it_is_whole,
    a_last_id_of_another_log_gets_a_reset,
    a_list_is_told_without_ids_and_comes_anew,
);

async fn epoch(server: &Server) -> String {
    let client = server.connect("/ws?changes=none").await;
    client.welcome["epoch"].as_str().unwrap().to_owned()
}

async fn an_event_stream_says_what_a_subscription_does(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    client
        .create(json!({"_id": "a", "place": 1, "text": "line\nline\r\u{2028}"}))
        .await;
    client.create(json!({"_id": "b", "place": 2})).await;
    server.until_fed(2).await;
    let mut subscriber = Subscriber::new("s", json!({"place": 1}), Some(&["text"]));
    subscriber.begin(&mut client, json!({"after": 0})).await;
    subscriber.until_live(&mut client).await;
    let parameters = [
        ("filter", r#"{"place":1}"#),
        ("fields", "text"),
        ("after", "0"),
    ];
    let mut response = request(&server, &parameters, "").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let epoch = client.welcome["epoch"].as_str().unwrap().to_owned();
    let change = &subscriber.changes[0];
    let begins = format!(
        "retry: 1000\n\nid: {epoch}:1\nevent: change\ndata: {{\"type\":\"change\",\"seq\":1,"
    );
    let ends = format!("\n\nid: {epoch}:2\nevent: live\ndata: {{\"type\":\"live\",\"seq\":2}}\n\n");
    let text = text_through(&mut response, &ends).await;
    assert!(text.starts_with(&begins), "{text}");
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    let data: Value = serde_json::from_str(data.unwrap()).unwrap();
    assert_eq!(data, *change);
    client.ok("DELETE", json!({"id": "a"})).await;
    let text = text_through(&mut response, "\n\n").await;
    let begins = format!(
        "id: {epoch}:3\nevent: change\ndata: {{\"type\":\"change\",\"seq\":3,\"kind\":\"delete\""
    );
    assert!(text.starts_with(&begins), "{text}");
}

/// What comes next, as it is written, up to this end.
async fn text_through(response: &mut reqwest::Response, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let chunk = tokio::time::timeout(DEADLINE, response.chunk()).await;
        let chunk = chunk
            .expect("nothing came")
            .unwrap()
            .expect("the stream goes on");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    text
}

async fn a_list_is_told_without_ids_and_comes_anew(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for (id, n) in [("a", 1), ("b", 2)] {
        client.create(json!({"_id": id, "n": n})).await;
    }
    let parameters = [("sort", r#"{"n":-1}"#), ("limit", "1"), ("count", "true")];
    for round in 0..2 {
        let mut list = EventSource::open(&server, &parameters, "").await;
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(list.next().await.expect("the stream goes on"));
        }
        let (id, n) = (format!("c{round}"), 3 + round);
        client.create(json!({"_id": id, "n": n})).await;
        for _ in 0..3 {
            told.push(list.next().await.expect("the stream goes on"));
        }
        let kinds: Vec<&str> = told.iter().map(|(kind, ..)| kind.as_str()).collect();
        let expected = ["snapshot", "count", "live", "count", "change", "change"];
        assert_eq!(kinds, expected);
        assert!(told.iter().all(|(.., id)| id.is_none()), "{told:?}");
        let [
            _,
            (_, count, _),
            _,
            (_, more, _),
            (_, left, _),
            (_, came, _),
        ] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!(
            (&count["count"], &more["count"]),
            (&json!(2 + round), &json!(3 + round))
        );
        assert_eq!(
            (&left["kind"], &came["eventId"]),
            (&json!("leave"), &json!(id))
        );
        assert_eq!(told[0].1["data"][0]["n"], 2 + round);
    }
}

async fn an_event_stream_resumes_across_restarts_by_the_last_id(mut server: Server) {
    let epoch = epoch(&server).await;
    let mut subscriber = Subscriber::new("s", json!({"place": {"$in": [0, 1]}}), None);
    subscriber.begun(&json!({"sub": "s", "seq": 0}), &json!({"after": 0}));
    let parameters = [("filter", r#"{"place":{"$in":[0,1]}}"#), ("after", "0")];
    let mut last_id = String::new();
    for round in 0..3 {
        let load = Load::moving(&[&server], 2).await;
        // The address says `after=0` each time: the header wins.
        let mut events = EventSource::open(&server, &parameters, &last_id).await;
        subscriber.reconnected();
        while subscriber.changes.len() < (round + 1) * 100 {
            assert!(events.tell(&mut subscriber, &epoch).await, "it ended early");
        }
        let signal = [Signal::TERM, Signal::KILL][round % 2];
        server.signal(signal);
        while events.tell(&mut subscriber, &epoch).await {}
        last_id = events.last_id;
        server.exit().await;
        load.finish().await;
        server = Server::on(server.database.clone(), &[]).await;
    }
    let mut writer = server.connect("/ws?changes=none").await;
    let (_, last) = writer.create(json!({"_id": "end", "place": 0})).await;
    let mut events = EventSource::open(&server, &parameters, &last_id).await;
    subscriber.reconnected();
    while !subscriber.was_told_of("end") {
        assert!(events.tell(&mut subscriber, &epoch).await, "it ended early");
    }
    let log = judge::log(&server, last).await;
    judge::check(&subscriber, &log);
}

async fn a_snapshot_has_no_ids_until_it_is_whole(server: Server) {
    let epoch = epoch(&server).await;
    let mut writer = server.connect("/ws?changes=none").await;
    for n in 0..250 {
        let create =
            json!({"type": "CREATE", "payload": {"_id": format!("e{n:03}"), "n": n % 2, "m": n}});
        writer.send_all([create]).await;
    }
    for _ in 0..250 {
        writer.answer().await;
    }
    let parameters = [
        ("snapshot", "true"),
        ("filter", r#"{"n":1}"#),
        ("fields", "m,n"),
    ];
    let mut events = EventSource::open(&server, &parameters, "").await;
    let mut subscriber = Subscriber::new("s", json!({"n": 1}), Some(&["m", "n"]));
    subscriber.begun(&json!({"sub": "s", "seq": 250}), &json!({"snapshot": true}));
    while subscriber.position.is_none() {
        assert_eq!(events.last_id, "", "a page is no position");
        assert!(events.tell(&mut subscriber, &epoch).await);
    }
    while !subscriber.is_live() {
        assert!(events.tell(&mut subscriber, &epoch).await);
    }
    assert_eq!(events.last_id, format!("{epoch}:250"));
    let expected = (0..250)
        .filter(|n| n % 2 == 1)
        .map(|n| json!({"_id": format!("e{n:03}"), "m": n, "n": 1}));
    assert_eq!(
        subscriber.snapshot.as_ref().unwrap(),
        &expected.collect::<Vec<_>>()
    );
    // Who comes back gets no snapshot, though the address asks for one.
    let last_id = events.last_id.clone();
    drop(events);
    writer.create(json!({"_id": "new", "n": 1})).await;
    let mut events = EventSource::open(&server, &parameters, &last_id).await;
    let (kind, frame, _) = events.next().await.unwrap();
    assert_eq!(
        (kind.as_str(), &frame["eventId"]),
        ("change", &json!("new")),
        "{frame}"
    );
    // And `latest` is what the address can ask for as well.
    let parameters = [
        ("mode", "latest"),
        ("after", "250"),
        ("filter", r#"{"n":1}"#),
    ];
    let mut events = EventSource::open(&server, &parameters, "").await;
    let (kind, frame, own) = events.next().await.unwrap();
    assert_eq!(
        (kind.as_str(), &frame["eventId"], own),
        ("change", &json!("new"), None),
        "{frame}"
    );
    let (kind, _, own) = events.next().await.unwrap();
    assert_eq!((kind.as_str(), own), ("live", Some(format!("{epoch}:251"))));
}

async fn a_last_id_of_another_log_gets_a_reset(server: Server) {
    let epoch = epoch(&server).await;
    let mut writer = server.connect("/ws?changes=none").await;
    writer.create(json!({"_id": "a"})).await;
    server.until_fed(1).await;
    let other = uuid::Uuid::new_v4();
    for (last_id, reason) in [
        (format!("{other}:1"), "another epoch"),
        (format!("{epoch}:1000"), "ahead of the log"),
    ] {
        for snapshot in ["false", "true"] {
            let mut events = EventSource::open(&server, &[("snapshot", snapshot)], &last_id).await;
            let (kind, frame, _) = events.next().await.unwrap();
            let reset = json!({"type": "reset", "reason": reason, "seq": 1, "earliest": 1});
            assert_eq!((kind.as_str(), frame), ("reset", reset));
            if snapshot == "true" {
                let (kind, frame, own) = events.next().await.unwrap();
                assert_eq!(
                    (kind.as_str(), &frame["data"][0]["_id"], own),
                    ("snapshot", &json!("a"), None)
                );
            }
            let (kind, _, _) = events.next().await.unwrap();
            assert_eq!(
                (kind, &events.last_id),
                ("live".to_owned(), &format!("{epoch}:1"))
            );
        }
        // In the address it is the same.
        let parameters = [("after", last_id.as_str())];
        let mut events = EventSource::open(&server, &parameters, "").await;
        assert_eq!(events.next().await.unwrap().0, "reset");
    }
}

#[tokio::test]
async fn streams_and_pages_that_cannot_be_had_are_refused_by_code_and_path() {
    let server = Server::in_folder().await;
    let epoch = epoch(&server).await;
    for (name, value, code, path) in [
        ("filter", "{", "invalid_filter", "query.filter"),
        (
            "filter",
            r#"{"a":{"$near":1}}"#,
            "invalid_filter",
            "query.filter.a.$near",
        ),
        ("fields", "a,a.b", "invalid_filter", "query.fields.1"),
        ("fields", "[1]", "invalid_filter", "query.fields.0"),
        ("after", "-1", "bad_request", "query.after"),
        ("after", "x", "bad_request", "query.after"),
        ("after", "", "bad_request", "query.after"),
        ("after", "x:1", "bad_request", "query.epoch"),
        ("epoch", "x", "bad_request", "query.epoch"),
        ("snapshot", "yes", "bad_request", "query.snapshot"),
        ("mode", "some", "bad_request", "query.mode"),
        ("mode", "latest", "bad_request", "query.mode"),
    ] {
        let answer = request(&server, &[(name, value)], "").send().await.unwrap();
        assert_eq!(answer.status(), 400, "{name}={value}");
        let streamed: Value = answer.json().await.unwrap();
        let (status, paged) = server.get("/api/changes", &[(name, value)]).await;
        assert_eq!(status, 400);
        for body in [streamed, paged] {
            assert_eq!(body["success"], false);
            let error = &body["error"];
            assert_eq!(
                (&error["code"], &error["path"]),
                (&json!(code), &json!(path)),
                "{name}={value}"
            );
        }
    }
    for last_id in [
        "x",
        "1",
        ":",
        &format!("{epoch}:"),
        &format!("{epoch}:x"),
        &format!("{epoch}:-1"),
        "x:1",
    ] {
        let answer = request(&server, &[], last_id).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{last_id}");
        assert_eq!(
            answer.json::<Value>().await.unwrap()["error"]["code"],
            "bad_request",
            "{last_id}"
        );
    }
    let twice = [("after", "0"), ("after", "1")];
    assert_eq!(server.get("/api/changes", &twice).await.0, 400);
    for (limit, accepted) in [
        ("1", true),
        ("1000", true),
        ("0", false),
        ("1001", false),
        ("-1", false),
        ("x", false),
        ("1.5", false),
    ] {
        let (status, body) = server.get("/api/changes", &[("limit", limit)]).await;
        assert_eq!(status, if accepted { 200 } else { 400 }, "{limit}: {body}");
        if !accepted {
            assert_eq!(
                (&body["error"]["code"], &body["error"]["path"]),
                (&json!("invalid_filter"), &json!("query.limit"))
            );
        }
    }
    for after in ["1", &format!("{}:0", uuid::Uuid::new_v4())] {
        let (status, body) = server.get("/api/changes", &[("after", after)]).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (410, &json!("stale_position")),
            "{after}"
        );
    }
    assert_eq!(
        server
            .get("/api/changes", &[("after", &format!("{epoch}:0"))])
            .await
            .0,
        200
    );
    assert_eq!(
        server
            .http("POST", "/api/changes")
            .send()
            .await
            .unwrap()
            .status(),
        405
    );
}

#[tokio::test]
async fn streams_are_for_pages_of_the_same_origin_and_listed_ones() {
    let server = Server::on(
        Database::alone().await,
        &["--allow-origin", "https://app.example"],
    )
    .await;
    let own = format!("http://{}", server.address());
    for (origin, status) in [
        (own.as_str(), 200),
        ("https://app.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        let answer = request(&server, &[], "")
            .header("origin", origin)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{origin}");
        let shown = answer.headers().get("access-control-allow-origin").cloned();
        assert_eq!(
            shown.is_some(),
            origin == "https://app.example",
            "{origin}: {shown:?}"
        );
        if status == 403 {
            assert_eq!(
                answer.json::<Value>().await.unwrap()["error"]["code"],
                "forbidden_origin"
            );
        }
    }
}

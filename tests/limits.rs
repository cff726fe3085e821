//! Every bound of `src/limits` that a client can reach: what is just within it is done, what is just
//! beyond it is answered by name, and the connection lives on.
//!
//! In other files: `MAILBOX_BYTES_MAX`, `COMMAND_DEADLINE` and `READY_DEADLINE` in `outage.rs`,
//! `SHUTDOWN_DEADLINE` in `shutdown.rs`, `LIVE_WINDOW_BYTES_DEFAULT` in `changes.rs`; and below
//! `subscriptions/`, `SUB_NAME_BYTES_MAX` and `SESSION_SUBSCRIPTIONS_MAX` in `requests.rs`, `SNAPSHOTS_MAX`
//! in `snapshots.rs`, `SESSION_FILTER_BYTES_MAX` and `FILTERS_BYTES_MAX` in `costly.rs`, `LATEST_BYTES_MAX` in
//! `latest.rs`, `MATCHES_MAX` in `bursts.rs`; those of heads, bodies and connections in HTTP in `http.rs`. Out of a client's
//! reach are `CONNECTIONS_MAX` (more sockets than a test machine gives a process) and those that only
//! shape the server's own work.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use livelog::limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::by_hand::Raw;
use crate::support::client::{COME_BACK, End, error_of};
use crate::support::{Client, Server};

const SLACK: Duration = Duration::from_secs(5);

/// A CREATE of exactly this many bytes.
fn message_of(bytes: usize) -> String {
    let frame =
        |text: &str| format!(r#"{{"type":"CREATE","id":"m","payload":{{"text":"{text}"}}}}"#);
    frame(&"x".repeat(bytes - frame("").len()))
}

/// `{"a":{"a":…1}}` with this many objects.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"a": inner}))
}

async fn accepts(client: &mut Client, kind: &str, within: Value, beyond: Value, code: &str) {
    client.ok(kind, within).await;
    let error = client.refused(kind, beyond).await;
    assert_eq!(error["code"], code, "{error}");
    client.lives().await;
}

#[tokio::test]
async fn a_message_may_have_message_bytes_max() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client
        .send_text(&message_of(limits::MESSAGE_BYTES_MAX))
        .await;
    assert_eq!(client.answer().await["success"], true);
    for bytes in [limits::MESSAGE_BYTES_MAX + 1, limits::MESSAGE_BYTES_CLOSE] {
        client.send_text(&message_of(bytes)).await;
        assert_eq!(
            error_of(&client.answer().await)["code"],
            "message_too_large"
        );
        client.lives().await;
    }
}

#[tokio::test]
async fn a_message_beyond_message_bytes_close_ends_its_connection_and_no_other() {
    let server = Server::start().await;
    let mut other = server.client().await;
    let mut client = server.client().await;
    // The server need not read all of it, so sending may fail.
    client
        .try_send(&json!({"type": "CREATE", "payload": {"text": "x".repeat(limits::MESSAGE_BYTES_CLOSE)}}))
        .await;
    assert_eq!(client.end().await, End::Closed(4500));
    other.lives().await;
    assert_eq!(other.create(json!({})).await.1, 1);
}

#[tokio::test]
async fn a_request_id_may_have_request_id_bytes_max() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (bytes, accepted) in [
        (limits::REQUEST_ID_BYTES_MAX, true),
        (limits::REQUEST_ID_BYTES_MAX + 1, false),
    ] {
        client
            .send(&json!({"type": "CREATE", "id": "i".repeat(bytes), "payload": {}}))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer["success"], accepted);
        if !accepted {
            assert_eq!(error_of(&answer)["path"], "id");
        }
    }
}

#[tokio::test]
async fn an_event_id_may_have_event_id_bytes_max() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let id = |bytes: usize| json!({"_id": "é".repeat(bytes / 2) + &"e".repeat(bytes % 2)});
    let bytes = limits::EVENT_ID_BYTES_MAX;
    accepts(
        &mut client,
        "CREATE",
        id(bytes),
        id(bytes + 1),
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn an_event_may_grow_to_event_bytes_max() {
    let server = Server::start().await;
    let mut client = server.connect("/ws?changes=none").await;
    let (id, _) = client.create(json!({})).await;
    let text = "x".repeat(200_000);
    let fits = limits::EVENT_BYTES_MAX / 200_000;
    for n in 0..=fits {
        let payload = json!({"id": id, "updateData": {format!("f{n}"): text}});
        let answer = client.request("UPDATE", payload).await;
        if n < fits {
            assert_eq!(answer["success"], true);
        } else {
            assert_eq!(error_of(&answer)["code"], "event_too_large");
        }
    }
    let found = client.ok("FETCH", json!({})).await;
    assert_eq!(found["data"][0]["_version"], json!(fits + 1));
}

#[tokio::test]
async fn a_document_may_nest_document_depth_max() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let depth = limits::DOCUMENT_DEPTH_MAX;
    accepts(
        &mut client,
        "CREATE",
        nested(depth),
        nested(depth + 1),
        "bad_request",
    )
    .await;
    accepts(
        &mut client,
        "BROADCAST",
        nested(depth),
        nested(depth + 1),
        "bad_request",
    )
    .await;
    // Far deeper than any stack would bear.
    let deep = format!(
        r#"{{"type":"CREATE","payload":{}1{}}}"#,
        r#"{"a":"#.repeat(40_000),
        "}".repeat(40_000)
    );
    client.send_text(&deep).await;
    error_of(&client.answer().await);
    client.lives().await;
}

#[tokio::test]
async fn a_path_may_have_path_segments_max() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (id, _) = client.create(json!({})).await;
    let update =
        |segments: usize| json!({"id": id, "updateData": {vec!["p"; segments].join("."): 1}});
    let segments = limits::PATH_SEGMENTS_MAX;
    accepts(
        &mut client,
        "UPDATE",
        update(segments),
        update(segments + 1),
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn an_update_may_set_update_paths_max() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (id, _) = client.create(json!({})).await;
    let update = |paths: usize| {
        let data: serde_json::Map<String, Value> =
            (0..paths).map(|n| (format!("f{n}"), json!(n))).collect();
        json!({"id": id, "updateData": data})
    };
    let paths = limits::UPDATE_PATHS_MAX;
    accepts(
        &mut client,
        "UPDATE",
        update(paths),
        update(paths + 1),
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn an_update_may_name_array_index_max() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (id, _) = client.create(json!({"list": []})).await;
    let update = |index: usize| json!({"id": id, "updateData": {format!("list.{index}"): 1}});
    let index = limits::ARRAY_INDEX_MAX;
    accepts(
        &mut client,
        "UPDATE",
        update(index),
        update(index + 1),
        "does_not_fit",
    )
    .await;
}

#[tokio::test]
async fn a_query_may_ask_what_its_bounds_allow() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let filter = |filter: Value| json!({"filter": filter});
    let numbers = |count: usize| (0..count).collect::<Vec<_>>();
    let sort = |count: usize| {
        let fields: serde_json::Map<String, Value> =
            (0..count).map(|n| (format!("f{n}"), json!(1))).collect();
        json!({"sort": fields})
    };
    let nodes = |count: usize| {
        filter(Value::Array(
            (0..count).map(|n| json!({format!("f{n}"): n})).collect(),
        ))
    };
    let or = |count: usize| filter(json!({"$or": nodes(count)["filter"]}));
    let fields =
        |count: usize| json!({"fields": (0..count).map(|n| format!("f{n}")).collect::<Vec<_>>()});
    let regex = |bytes: usize| filter(json!({"a": {"$regex": "x".repeat(bytes)}}));
    let values = limits::FILTER_VALUES_MAX;
    for (within, beyond) in [
        (
            or(limits::FILTER_NODES_MAX - 1),
            or(limits::FILTER_NODES_MAX + 1),
        ),
        (
            filter(json!({"a": {"$in": numbers(values)}})),
            filter(json!({"a": {"$in": numbers(values + 1)}})),
        ),
        (
            filter(json!({"a": {"$in": numbers(values / 2)}, "b": {"$nin": numbers(values / 2)}})),
            filter(
                json!({"a": {"$in": numbers(values / 2)}, "b": {"$nin": numbers(values / 2 + 1)}}),
            ),
        ),
        (
            regex(limits::REGEX_BYTES_MAX),
            regex(limits::REGEX_BYTES_MAX + 1),
        ),
        (
            filter(json!({"a": {"$regex": "\\w{2}"}})),
            filter(json!({"a": {"$regex": "\\w{1000}"}})),
        ),
        (
            sort(limits::SORT_FIELDS_MAX),
            sort(limits::SORT_FIELDS_MAX + 1),
        ),
        (
            fields(limits::PROJECTION_FIELDS_MAX),
            fields(limits::PROJECTION_FIELDS_MAX + 1),
        ),
        (
            json!({"limit": limits::FETCH_COUNT_MAX}),
            json!({"limit": limits::FETCH_COUNT_MAX + 1}),
        ),
    ] {
        accepts(&mut client, "FETCH", within, beyond, "invalid_filter").await;
    }
}

#[tokio::test]
async fn a_filter_may_nest_filter_depth_max() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let nested =
        |levels: usize| (0..levels).fold(json!({"a": 1}), |inner, _| json!({"$and": [inner]}));
    client
        .ok(
            "FETCH",
            json!({"filter": nested(limits::FILTER_DEPTH_MAX - 2)}),
        )
        .await;
    let error = client
        .refused(
            "FETCH",
            json!({"filter": nested(limits::FILTER_DEPTH_MAX + 1)}),
        )
        .await;
    assert_eq!(error["code"], "invalid_filter");
    // The depth of what is compared with is bounded as that of what is stored.
    let error = client
        .refused("FETCH", json!({"filter": {"a": self::nested(60)}}))
        .await;
    assert_eq!(error["code"], "invalid_filter");
}

#[tokio::test]
async fn a_fetch_answers_fetch_count_default_and_says_that_there_is_more() {
    let server = Server::start().await;
    let mut client = server.connect("/ws?changes=none").await;
    for round in 0..=limits::FETCH_COUNT_DEFAULT / 50 {
        client
            .send_all((0..50).map(|n| json!({"type": "CREATE", "payload": {"n": round * 50 + n}})))
            .await;
        for _ in 0..50 {
            client.answer().await;
        }
    }
    let page = client.ok("FETCH", json!({})).await;
    assert_eq!(
        page["data"].as_array().unwrap().len(),
        limits::FETCH_COUNT_DEFAULT
    );
    let rest = client.ok("FETCH", json!({"cursor": page["next"]})).await;
    assert_eq!(rest["data"].as_array().unwrap().len(), 50);
    assert_eq!(rest.get("next"), None);
}

#[tokio::test]
async fn a_page_ends_early_at_fetch_bytes_max() {
    let server = Server::start().await;
    let mut client = server.connect("/ws?changes=none").await;
    let text = "x".repeat(250_000);
    let count = limits::FETCH_BYTES_MAX / text.len() + 10;
    for n in 0..count {
        client.ok("CREATE", json!({"n": n, "text": text})).await;
    }
    let page = client.ok("FETCH", json!({"limit": 1000})).await;
    let first = page["data"].as_array().unwrap().len();
    assert!(
        page["next"].is_string() && first < count,
        "{first} of {count}"
    );
    let rest = client
        .ok("FETCH", json!({"limit": 1000, "cursor": page["next"]}))
        .await;
    assert_eq!(first + rest["data"].as_array().unwrap().len(), count);
}

#[tokio::test]
async fn requests_beyond_session_requests_max_wait_and_are_all_answered() {
    let server = Server::start().await;
    let mut client = server.connect("/ws?changes=none").await;
    let count = limits::SESSION_REQUESTS_MAX * 20;
    client
        .send_all((0..count).map(|n| json!({"type": "CREATE", "id": n, "payload": {}})))
        .await;
    for n in 0..count {
        let answer = client.answer().await;
        assert_eq!(
            (&answer["id"], &answer["success"]),
            (&json!(n), &json!(true)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn requests_beyond_session_request_bytes_max_wait_and_are_all_answered() {
    let server = Server::start().await;
    let mut client = server.connect("/ws?changes=none").await;
    let text = "x".repeat(250_000);
    let count = limits::SESSION_REQUEST_BYTES_MAX / text.len() * 5;
    for n in 0..count {
        client
            .send(&json!({"type": "FETCH", "id": n, "payload": {"filter": {"text": text}}}))
            .await;
    }
    for n in 0..count {
        assert_eq!(client.answer().await["id"], n);
    }
}

#[tokio::test]
async fn fetches_beyond_fetches_max_wait_and_are_all_answered() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for _ in 0..limits::READS_MAX * 2 {
        clients.push(server.connect("/ws?changes=none").await);
    }
    for client in &mut clients {
        client.send(&json!({"type": "FETCH", "payload": {}})).await;
    }
    for client in &mut clients {
        assert_eq!(client.answer().await["success"], true);
    }
}

/// A cursor that names an event as of a seq that the log has not come to: as a node that is further could have made it,
/// or a client has.
async fn cursor_ahead(server: &Server, seq: u64) -> String {
    let mut client = server.client().await;
    for id in ["a", "b"] {
        client.create(json!({"_id": id})).await;
    }
    let (_, page) = server.get("/api/events?limit=1", &[]).await;
    let token = URL_SAFE_NO_PAD.decode(page["next"].as_str().unwrap());
    let mut content: Value = serde_json::from_slice(&token.unwrap()).unwrap();
    content[1] = json!({"id": "a", "seq": seq});
    URL_SAFE_NO_PAD.encode(content.to_string())
}

/// Of events, lists, pages and histories, over HTTP and on the socket.
#[tokio::test]
async fn reads_that_wait_for_the_log_hold_no_turn() {
    let server = Server::in_folder().await;
    let ahead = 1_000_000;
    let paths = ["/api/events/e", "/api/events/e/history", "/api/changes"];
    let addresses = paths.map(|path| format!("{path}?minSeq={ahead}"));
    let mut addresses = addresses.to_vec();
    addresses.push(format!("/api/events/e?at={ahead}"));
    let cursor = cursor_ahead(&server, ahead).await;
    addresses.push(format!("/api/events?cursor={cursor}"));
    let mut waiting = Vec::new();
    let began = Instant::now();
    for address in addresses.iter().cycle().take(limits::READS_MAX * 4) {
        waiting.push(Raw::open(&server, &format!("GET {address} HTTP/1.1")).await);
    }
    let mut session = server.connect("/ws?changes=none").await;
    for asked in [json!({"minSeq": ahead}), json!({"at": ahead})] {
        let fetch = json!({"type": "FETCH", "payload": asked});
        session
            .send_all(vec![fetch; limits::SESSION_FETCHES_MAX / 2])
            .await;
    }
    let mut sessions = vec![session];
    let fetch = json!({"type": "FETCH", "payload": {"cursor": cursor}});
    for _ in 0..limits::READS_MAX * 2 {
        let mut session = server.connect("/ws?changes=none").await;
        session.send(&fetch).await;
        sessions.push(session);
    }
    let mut other = server.connect("/ws?changes=none").await;
    let asked = Instant::now();
    other.lives().await;
    assert_eq!(server.get("/api/events/e", &[]).await.0, 404);
    let took = asked.elapsed();
    assert!(took < limits::MIN_SEQ_DEADLINE / 2, "{took:?}");
    for waiting in &mut waiting {
        assert!(waiting.head().await.starts_with("HTTP/1.1 503 "));
    }
    // All at once: none has waited for the share of another that waits.
    let took = began.elapsed();
    assert!(took < limits::MIN_SEQ_DEADLINE.mul_f64(1.8), "{took:?}");
}

/// These take as long as the bounds are, so they run side by side.
#[tokio::test]
async fn clients_that_fall_silent_are_let_go() {
    let server = Server::start().await;
    tokio::join!(
        half_a_request(&server),
        no_pong(&server),
        pong(&server),
        no_reading(&server),
        no_change(&server)
    );
    server.client().await.lives().await;
}

/// `HEADER_READ_DEADLINE`
async fn half_a_request(server: &Server) {
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    socket
        .write_all(b"GET /api/events HTTP/1.1\r\nHost: ")
        .await
        .unwrap();
    let started = Instant::now();
    let mut said = Vec::new();
    let reading = socket.read_to_end(&mut said);
    tokio::time::timeout(limits::HEADER_READ_DEADLINE + SLACK, reading)
        .await
        .expect("half a request is let go")
        .ok();
    assert!(started.elapsed() > limits::HEADER_READ_DEADLINE / 2);
}

/// `PING_INTERVAL` and `PONG_DEADLINE`: a socket that nobody reads answers no ping.
async fn no_pong(server: &Server) {
    let mut client = server.connect("/ws?changes=none").await;
    tokio::time::sleep(limits::PING_INTERVAL + limits::PONG_DEADLINE + SLACK).await;
    let end = client.end().await;
    assert!(end == End::Closed(4001) || end == End::Lost, "{end:?}");
}

/// `PING_INTERVAL` in a stream of events, for what stands between and cuts what is idle.
async fn no_change(server: &Server) {
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let request = "GET /api/changes?filter=%7B%22n%22:1%7D HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let listening = async {
        let mut said = String::new();
        while !said.contains(": keep-alive\n\n") {
            let mut piece = [0; 1024];
            let read = socket.read(&mut piece).await.unwrap();
            assert!(read > 0, "it ended: {said}");
            said.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
    };
    tokio::time::timeout(limits::PING_INTERVAL + SLACK, listening)
        .await
        .expect("something is heard of a stream where nothing happens");
}

/// A client that does nothing but answer pings is kept.
async fn pong(server: &Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let quiet = client
        .frame_within(limits::PING_INTERVAL + limits::PONG_DEADLINE + SLACK)
        .await;
    assert!(quiet.is_none(), "{quiet:?}");
    client.lives().await;
}

/// `WRITE_DEADLINE`: a client that never reads what it is sent is let go, and told to come back.
async fn no_reading(server: &Server) {
    let mut asleep = server.client().await;
    let mut writer = server.connect("/ws?changes=none").await;
    let text = "x".repeat(250_000);
    let mut last = 0;
    for _ in 0..100 {
        last = writer.create(json!({"text": text})).await.1;
    }
    tokio::time::sleep(limits::WRITE_DEADLINE + SLACK).await;
    // It reads what the sockets held, and then the end.
    let end = asleep.end().await;
    assert!(end == End::Closed(4002) || end == End::Lost, "{end:?}");
    assert!(COME_BACK.contains(&4002));
    let heard = asleep
        .changes
        .back()
        .map_or(0, |change| change["seq"].as_u64().unwrap());
    assert!(heard < last, "the sockets held everything");
    let mut resumed = server.connect(&format!("/ws?after={heard}")).await;
    assert_eq!(resumed.changes_through(last).await[0]["seq"], heard + 1);
}

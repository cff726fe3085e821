//! What a socket may hold on to, and for how long: floods, half messages, and those who read slowly.

use std::time::Duration;

use livelog::limits;
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::support::Server;
use crate::support::by_hand::{Raw, frame, message};
use crate::support::client::error_of;

const MIB: usize = 1024 * 1024;
const SLACK: Duration = Duration::from_secs(8);

/// Pongs that nobody reads stay with the client, as pings that the server does not read.
#[tokio::test]
async fn a_ping_flood_whose_pongs_are_never_read_takes_no_memory() {
    let server = Server::in_folder().await;
    let mut flood = Raw::session(&server, "/ws?changes=none").await;
    let before = server.resident_bytes();
    let pings = frame(OpCode::Control(Control::Ping), &[7; 125], true).repeat(8 * 1024);
    let mut sent = 0;
    while sent < 256 * MIB && flood.try_send(&pings, Duration::from_secs(1)).await {
        sent += pings.len();
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 24 * MIB, "{grown} bytes for {sent} of pings");
    server.client().await.lives().await;
}

/// These take as long as the bounds are, so they run side by side.
#[tokio::test]
async fn deadlines_follow_progress() {
    let server = Server::in_folder().await;
    let mut writer = server.connect("/ws?changes=none").await;
    let text = "x".repeat(200_000);
    for n in 0..100 {
        writer.create(json!({"n": n, "text": text})).await;
    }
    tokio::join!(
        half_a_message(&server),
        half_a_message_and_silence(&server),
        a_slow_message(&server),
        a_slow_reader_of_answers(&server),
        a_slow_reader_of_changes(&server),
        a_slow_reader_over_http(
            &server,
            "GET /api/events HTTP/1.1\r\nConnection: close",
            b"}"
        ),
        a_slow_reader_over_http(
            &server,
            "GET /api/changes?after=0 HTTP/1.1\r\nAccept: text/event-stream",
            b"event: live",
        ),
        a_client_that_reads_almost_nothing(&server),
        a_turn_that_does_not_come(&server),
    );
}

/// `MESSAGE_DEADLINE`: a part of a message and a pong now and then keep no session.
async fn half_a_message(server: &Server) {
    let mut raw = Raw::session(server, "/ws?changes=none").await;
    let started = Instant::now();
    let half = frame(OpCode::Data(Data::Text), &[b' '; 10_000], false);
    raw.send(&half).await;
    let pong = frame(OpCode::Control(Control::Pong), b"", true);
    while raw.try_send(&pong, SLACK).await && !raw.read_at(1000, Duration::from_secs(1)).await {
        let most = limits::MESSAGE_DEADLINE + SLACK;
        assert!(started.elapsed() < most, "half a message is kept");
    }
    assert_eq!(raw.heard().closed, Some(4001));
    assert!(started.elapsed() > limits::MESSAGE_DEADLINE / 2);
}

/// The same without a pong, long before a ping would find out.
async fn half_a_message_and_silence(server: &Server) {
    let mut raw = Raw::session(server, "/ws?changes=none").await;
    let started = Instant::now();
    raw.send(&frame(OpCode::Data(Data::Text), &[b' '; 100], false))
        .await;
    raw.read_until(|_| false).await;
    assert_eq!(raw.heard().closed, Some(4001));
    let took = started.elapsed();
    assert!(took < limits::MESSAGE_DEADLINE + SLACK, "{took:?}");
}

/// One that takes longer than that to send is heard, if it goes on.
async fn a_slow_message(server: &Server) {
    let mut raw = Raw::session(server, "/ws?changes=none").await;
    let text = format!(
        r#"{{"type":"FETCH","payload":{{"filter":{{"a":"{}"}}}}}}"#,
        "x".repeat(200_000)
    );
    let rate = 200_000 / (limits::MESSAGE_DEADLINE.as_secs() + 4);
    raw.send_at(usize::try_from(rate).unwrap(), &message(&text))
        .await;
    raw.read_until(|bytes| find(bytes, b"\"FETCH\",\"").is_some())
        .await;
    let heard = raw.heard();
    assert_eq!(heard.messages[1]["success"], true, "{heard:?}");
}

/// Longer than `WRITE_DEADLINE` for one answer.
async fn a_slow_reader_of_answers(server: &Server) {
    let mut raw = Raw::session(server, "/ws?changes=none").await;
    raw.send(&message(r#"{"type":"FETCH","payload":{"limit":1000}}"#))
        .await;
    let rate = 3 * MIB / 14;
    assert!(
        !raw.read_at(rate, limits::WRITE_DEADLINE + Duration::from_secs(3))
            .await
    );
    raw.read_until(|bytes| bytes.ends_with(b"}")).await;
    let heard = raw.heard();
    assert_eq!((heard.messages.len(), heard.closed), (2, None));
    assert_eq!(heard.messages[1]["success"], true);
}

async fn a_slow_reader_of_changes(server: &Server) {
    let mut raw = Raw::session(server, "/ws?after=0").await;
    assert!(
        !raw.read_at(100_000, limits::WRITE_DEADLINE + Duration::from_secs(4))
            .await
    );
    raw.read_until(|bytes| bytes.len() > 100 * 200_000).await;
    let heard = raw.heard();
    assert_eq!(heard.closed, None);
    assert!(heard.messages.len() >= 100, "{}", heard.messages.len());
}

async fn a_slow_reader_over_http(server: &Server, head: &str, end: &[u8]) {
    let mut raw = Raw::open(server, head).await;
    assert!(
        !raw.read_at(100_000, limits::WRITE_DEADLINE + Duration::from_secs(4))
            .await
    );
    let body = raw
        .read_until(|bytes| {
            let tail = &bytes[bytes.len().saturating_sub(200)..];
            bytes.len() > 100 * 200_000 && tail.windows(end.len()).any(|some| some == end)
        })
        .await;
    assert!(
        body.len() > 100 * 200_000,
        "{head}: it ended after {} bytes",
        body.len()
    );
}

/// `WRITE_DEADLINE` ends one who takes nothing, also amid a message.
async fn a_client_that_reads_almost_nothing(server: &Server) {
    let mut raw = Raw::session(server, "/ws?after=0").await;
    raw.read_at(1000, Duration::from_secs(1)).await;
    tokio::time::sleep(limits::WRITE_DEADLINE + SLACK).await;
    let read = raw.read_until(|_| false).await.len();
    assert!(read < 50 * 200_000, "the sockets held {read} bytes");
}

/// `SNAPSHOT_PERMIT_DEADLINE`: those who do not read their snapshots have all the turns that one address gets, and nobody
/// there waits long.
async fn a_turn_that_does_not_come(server: &Server) {
    let subscribe = r#"{"type":"SUBSCRIBE","payload":{"sub":"s","snapshot":true}}"#;
    let mut silent = Vec::new();
    for _ in 0..limits::SNAPSHOTS_MAX - limits::SNAPSHOTS_MAX / 4 {
        let mut raw = Raw::session(server, "/ws?changes=none").await;
        raw.send(&message(subscribe)).await;
        raw.read_until(|bytes| find(bytes, b"SUBSCRIBE").is_some())
            .await;
        silent.push(raw);
    }
    let mut client = server.connect("/ws?changes=none").await;
    let asked = Instant::now();
    client
        .send(&json!({"type": "SUBSCRIBE", "payload": {"sub": "s", "snapshot": true}}))
        .await;
    client
        .send(&json!({"type": "FETCH", "payload": {"limit": 1}}))
        .await;
    let error = error_of(&client.answer().await);
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("busy"), &json!(true))
    );
    assert_eq!(client.answer().await["success"], true);
    let waited = asked.elapsed();
    assert!(
        waited < limits::SNAPSHOT_PERMIT_DEADLINE + SLACK,
        "{waited:?}"
    );
}

/// A session that is far behind with its default feed hears its subscriptions all the same.
#[tokio::test]
async fn a_default_feed_does_not_delay_subscriptions() {
    const BEHIND: usize = 2_000;
    let server = Server::in_folder().await;
    let mut writer = server.connect("/ws?changes=none").await;
    let create = |n| json!({"type": "CREATE", "payload": {"n": n, "text": "x".repeat(2_000)}});
    for _ in 0..BEHIND / 50 {
        writer.send_all((0..50).map(create)).await;
        for _ in 0..50 {
            writer.answer().await;
        }
    }
    // Four megabytes: its socket, whose buffers hold tenths of one, holds a small part of that.
    let mut raw = Raw::session(&server, "/ws?after=0").await;
    let subscribe = json!({"sub": "s", "filter": {"wanted": true}});
    let subscribe = json!({"type": "SUBSCRIBE", "payload": subscribe});
    raw.send(&message(&subscribe.to_string())).await;
    raw.read_until(|bytes| find(bytes, b"SUBSCRIBE").is_some())
        .await;
    writer.create(json!({"wanted": true})).await;
    let told = br#"{"type":"change","sub":"s""#;
    raw.read_until(|bytes| find(bytes, told).is_some()).await;
    let messages = raw.heard().messages;
    let heard = messages.iter().filter(|message| message["sub"].is_null());
    let heard = heard.count();
    assert!(
        heard < BEHIND * 3 / 4,
        "after {heard} changes of the default feed"
    );
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// A close frame with this code.
fn close(code: u16) -> Vec<u8> {
    frame(OpCode::Control(Control::Close), &code.to_be_bytes(), true)
}

#[tokio::test]
async fn a_close_is_answered_with_a_close() {
    let server = Server::in_folder().await;
    for code in [1000, 1001, 3000, 4123] {
        let mut raw = Raw::session(&server, "/ws").await;
        raw.send(&message(r#"{"type":"CREATE","payload":{}}"#))
            .await;
        raw.read_until(|bytes| find(bytes, b"\"CREATE\",\"").is_some())
            .await;
        raw.send(&close(code)).await;
        raw.read_until(|_| false).await;
        assert_eq!(raw.heard().closed, Some(code));
    }
}

/// What breaks the protocol's own rules, and the code that it ends with.
fn breaches() -> Vec<(&'static str, Vec<u8>, u16)> {
    let text = OpCode::Data(Data::Text);
    let unmasked = [&[0x81, 2][..], b"{}"].concat();
    let reserved_bit = [&[0xC1, 0x82, 0, 0, 0, 0][..], b"{}"].concat();
    let reserved_code = vec![0x83, 0x80, 0, 0, 0, 0];
    let continued = frame(OpCode::Data(Data::Continue), b"{}", true);
    let interleaved = [frame(text, b"{", false), frame(text, b"}", true)].concat();
    let large_ping = frame(OpCode::Control(Control::Ping), &[0; 126], true);
    let half_ping = frame(OpCode::Control(Control::Ping), b"", false);
    vec![
        ("unmasked", unmasked, 1002),
        ("a reserved bit", reserved_bit, 1002),
        ("a reserved code", reserved_code, 1002),
        ("the rest of nothing", continued, 1002),
        ("a message in a message", interleaved, 1002),
        ("a large ping", large_ping, 1002),
        ("half a ping", half_ping, 1002),
        ("no UTF-8", frame(text, b"\xFF\xFE", true), 1007),
        ("half a letter", frame(text, b"\xC3", true), 1007),
    ]
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_told_so() {
    let server = Server::in_folder().await;
    for (what, bytes, code) in breaches() {
        let mut raw = Raw::session(&server, "/ws?changes=none").await;
        raw.send(&bytes).await;
        raw.read_until(|_| false).await;
        assert_eq!(raw.heard().closed, Some(code), "{what}");
    }
}

#[tokio::test]
async fn a_message_that_is_far_too_large_is_told_so_while_it_is_sent() {
    let server = Server::in_folder().await;
    for size in [700_000, 8_000_000] {
        let mut raw = Raw::session(&server, "/ws?changes=none").await;
        raw.send(&message(&"x".repeat(size))).await;
        raw.read_until(|_| false).await;
        assert_eq!(raw.heard().closed, Some(4500), "{size}");
    }
}

//! What a node's memory comes to, whatever its clients do.

use std::time::Duration;

use livelog::limits;
use serde_json::json;
use tokio::time::Instant;

use crate::support::Server;
use crate::support::by_hand::{Raw, message};

const MIB: usize = 1024 * 1024;

/// The bound does not depend on how many there are; with `LIVELOG_LONG_TESTS` there are many more.
fn silent_sessions() -> usize {
    match std::env::var_os("LIVELOG_LONG_TESTS") {
        Some(_) => 2_000,
        None => 150,
    }
}

/// Events of about a mebibyte, each made by a few messages.
async fn large_events(server: &Server, count: usize) -> Vec<String> {
    let mut writer = server.connect("/ws?changes=none").await;
    let text = "x".repeat(240_000);
    let mut ids = Vec::new();
    for n in 0..count {
        let (id, _) = writer.create(json!({"n": n, "f0": text})).await;
        for field in ["f1", "f2", "f3"] {
            let update = json!({"id": id, "updateData": {field: text}});
            writer.ok("UPDATE", update).await;
        }
        ids.push(id);
    }
    ids
}

/// As many requests as one session may have on the way: pages of large events, and updates of them.
fn pipeline(id: &str) -> Vec<u8> {
    let fetch = message(r#"{"type":"FETCH","payload":{"limit":1000}}"#);
    let update = json!({"type": "UPDATE", "payload": {"id": id, "updateData": {"$inc": {"n": 1}}}});
    let update = message(&update.to_string());
    let mut bytes = fetch.repeat(limits::SESSION_FETCHES_MAX);
    bytes.extend(update.repeat(limits::SESSION_REQUESTS_MAX));
    bytes.extend(fetch.repeat(limits::SESSION_FETCHES_MAX));
    bytes
}

#[tokio::test]
async fn silent_sessions_with_full_pipelines_do_not_fill_the_memory() {
    let server = Server::in_folder().await;
    let ids = large_events(&server, 16).await;
    let before = server.resident_bytes();
    let mut sessions = Vec::new();
    for _ in 0..silent_sessions() {
        sessions.push(Raw::session(&server, "/ws").await);
    }
    let idle = server.resident_bytes();
    for (session, id) in sessions.iter_mut().zip(ids.iter().cycle()) {
        session.send(&pipeline(id)).await;
    }
    let mut peak = idle;
    let until = Instant::now() + limits::WRITE_DEADLINE + Duration::from_secs(5);
    while Instant::now() < until {
        peak = peak.max(server.resident_bytes());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let figures = [before, idle, peak].map(|bytes| bytes / MIB);
    println!(
        "{} silent sessions: before, idle and peak {figures:?} MiB",
        sessions.len()
    );
    assert!(peak < 512 * MIB, "{figures:?} MiB");
    // They held up nobody.
    let mut other = server.connect("/ws?changes=none").await;
    other.ok("CREATE", json!({"small": true})).await;
    let found = other.ok("FETCH", json!({"filter": {"small": true}})).await;
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
}

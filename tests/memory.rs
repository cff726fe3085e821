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

/// How much the server grows at most while `work` runs.
async fn growth(server: &Server, work: impl Future<Output = ()>) -> usize {
    let before = server.resident_bytes();
    let mut peak = before;
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => return peak - before,
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                peak = peak.max(server.resident_bytes());
            }
        }
    }
}

/// Requests and messages of which all but the end is sent.
fn halves() -> [(&'static str, Vec<u8>); 3] {
    let text = "x".repeat(250_000);
    let mut whole = message(&json!({"type": "CREATE", "payload": {"text": text}}).to_string());
    whole.truncate(250_000);
    let head = "POST /api/events HTTP/1.1\r\nContent-Type: application/json\r\n";
    let body =
        format!("{head}Content-Length: 250100\r\nHost: localhost\r\n\r\n{{\"text\":\"{text}");
    let pad = "x".repeat(120_000);
    let head = format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\nX-Pad: {pad}");
    [
        ("message", whole),
        ("body", body.into_bytes()),
        ("head", head.into_bytes()),
    ]
}

#[tokio::test]
async fn what_clients_have_sent_in_part_does_not_fill_the_memory() {
    const EACH: usize = 300;
    let server = Server::in_folder().await;
    let mut other = server.connect("/ws?changes=none").await;
    for (kind, half) in halves() {
        let mut senders = Vec::new();
        for _ in 0..EACH {
            senders.push(match kind {
                "message" => Raw::session(&server, "/ws?changes=none").await,
                _ => Raw::silent(&server).await,
            });
        }
        let grown = growth(&server, async {
            // What the kernel does not take waits with the sender.
            let sending = senders
                .iter_mut()
                .map(|sender| sender.try_send(&half, Duration::from_secs(2)));
            futures::future::join_all(sending).await;
            // What is small passes at once.
            let asked = Instant::now();
            other.ok("CREATE", json!({"small": true})).await;
            assert!(
                asked.elapsed() < Duration::from_secs(2),
                "{:?}",
                asked.elapsed()
            );
            // What is large waits until those are sent away who hold the room and send nothing.
            let large = json!({"text": "x".repeat(200_000)});
            other.ok("CREATE", large).await;
        });
        let grown = grown.await / MIB;
        println!("{EACH} times a half {kind}: {grown} MiB more");
        assert!(grown < 100, "{grown} MiB for halves of a {kind}");
    }
}

#[tokio::test]
async fn large_messages_of_many_at_once_are_all_carried_out() {
    const SESSIONS: usize = 150;
    let server = Server::in_folder().await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(server.connect("/ws?changes=none").await);
    }
    // Its values take twelve times the memory of its text.
    let zeros = json!({"zeros": vec![0; 100_000]});
    let grown = growth(&server, async {
        let creating = sessions.iter_mut().map(async |session| {
            let answer = session.request("CREATE", zeros.clone()).await;
            answer["type"] == "response" || answer["error"]["code"] == "busy"
        });
        let answered = futures::future::join_all(creating).await;
        assert!(answered.into_iter().all(|is_answered| is_answered));
    });
    let grown = grown.await / MIB;
    println!("{SESSIONS} times a hundred thousand zeros: {grown} MiB more");
    assert!(grown < 400, "{grown} MiB");
}

/// Requests over HTTP whose answers, refusals too, are large. Nobody reads them.
fn heavy_requests(id: &str) -> [(&'static str, String); 3] {
    let patch = |condition: &str| {
        let body = r#"{"$inc":{"n":1}}"#;
        let length = body.len();
        format!(
            "PATCH /api/events/{id} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{condition}\r\n{body}"
        )
    };
    let get = format!("GET /api/events/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    [
        ("reads", get),
        ("writes", patch("")),
        ("refusals", patch("If-Match: \"1\"\r\n")),
    ]
}

#[tokio::test]
async fn answers_over_http_that_nobody_takes_do_not_fill_the_memory() {
    const EACH: usize = 250;
    let server = Server::in_folder().await;
    let id = large_events(&server, 1).await.remove(0);
    for (kind, request) in heavy_requests(&id) {
        let mut askers = Vec::new();
        for _ in 0..EACH {
            askers.push(Raw::silent(&server).await);
        }
        let grown = growth(&server, async {
            for asker in &mut askers {
                asker.send(request.as_bytes()).await;
            }
            tokio::time::sleep(limits::STALLED_DEADLINE * 2).await;
            let (status, _) = server.get(&format!("/api/events/{id}"), &[]).await;
            assert_eq!(status, 200, "whoever takes the answer has it");
        });
        let grown = grown.await / MIB;
        println!("{EACH} large {kind}: {grown} MiB more");
        assert!(grown < 300, "{grown} MiB for {kind}");
    }
}

#[tokio::test]
async fn lengths_that_are_announced_and_not_sent_take_no_memory() {
    const SESSIONS: usize = 600;
    let server = Server::in_folder().await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(Raw::session(&server, "/ws?changes=none").await);
    }
    let mut head = message(&"x".repeat(500_000));
    head.truncate(24);
    let grown = growth(&server, async {
        for session in &mut sessions {
            session.send(&head).await;
        }
        let mut other = server.connect("/ws?changes=none").await;
        other.ok("CREATE", json!({"small": true})).await;
        let large = json!({"text": "x".repeat(200_000)});
        other.ok("CREATE", large).await;
    });
    let grown = grown.await / MIB;
    println!("{SESSIONS} heads of half a mebibyte: {grown} MiB more");
    assert!(grown < 150, "{grown} MiB");
}

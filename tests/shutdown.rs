//! The server is stopped or killed under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use livelog::limits;
use rustix::process::Signal;
use serde_json::json;

use crate::support::client::{COME_BACK, End};
use crate::support::load::check_log;
use crate::support::{Database, Load, Mongod, Server, eventually, on_every_store};

const SLACK: Duration = Duration::from_secs(5);

on_every_store!(
    a_server_that_is_told_to_stop_loses_nothing_acknowledged_and_sends_its_sessions_away,
    a_server_that_is_killed_loses_nothing_acknowledged,
    a_server_that_is_told_to_stop_answers_all_that_it_carried_out_without_a_gap,
);

async fn a_server_that_is_told_to_stop_loses_nothing_acknowledged_and_sends_its_sessions_away(
    mut server: Server,
) {
    let mut idle = server.client().await;
    let load = Load::start(&[&server], 6).await;
    load.until_answered(300).await;
    let asked = Instant::now();
    server.signal(Signal::TERM);
    let told = load.finish().await;
    let status = server.exit().await;
    assert!(status.success(), "{status}");
    assert!(
        asked.elapsed() < limits::SHUTDOWN_DEADLINE + SLACK,
        "{:?}",
        asked.elapsed()
    );
    for end in told.ends.iter().chain([&idle.end().await]) {
        assert_eq!(*end, End::Closed(4000));
        assert!(COME_BACK.contains(&4000));
    }
    for (_, error) in &told.refused {
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("shutting_down"), &json!(true))
        );
    }
    let next = Server::on(Arc::clone(&server.database), &[]).await;
    let logged = check_log(&next, &told).await;
    // What it had begun it answered, so what was left unanswered had not been done.
    for event in &told.unanswered {
        assert!(!logged.contains(event), "done, but not answered: {event}");
    }
    let (code, said) = next.stop().await.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

/// Answers that fill the socket, so that they are half written when the server is told to stop.
async fn a_server_that_is_told_to_stop_answers_all_that_it_carried_out_without_a_gap(
    mut server: Server,
) {
    const UPDATES: u64 = 60;
    let text = "x".repeat(100_000);
    let (id, _) = server.client().await.create(json!({"text": text})).await;
    let update =
        |n| json!({"type": "UPDATE", "id": n, "payload": {"id": id, "updateData": {"n": n}}});
    for round in 1..=2 {
        let mut client = server.connect("/ws?changes=none").await;
        let start = client.start();
        client.send_all((0..UPDATES).map(update)).await;
        // Each round at another moment.
        eventually("some are carried out", async || {
            let (_, said) = server.get("/readyz", &[]).await;
            (said["seq"].as_u64()? >= start + UPDATES * round / 3).then_some(())
        })
        .await;
        server.signal(Signal::TERM);
        let mut answered = 0;
        let end = loop {
            match client.try_answer().await {
                Ok(answer) => assert_eq!(answer["id"], answered, "a gap"),
                Err(end) => break end,
            }
            answered += 1;
        };
        assert_eq!(end, End::Closed(4000));
        assert!(server.exit().await.success());
        server = Server::on(Arc::clone(&server.database), &[]).await;
        let done = server.client().await.start() - start;
        assert_eq!(answered, done, "answered of those that were carried out");
    }
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn a_server_that_is_told_to_stop_while_the_database_is_away_stops_in_time() {
    let mongod = Mongod::start().await.unwrap();
    let mut server = Server::on(Database::on(mongod.uri()), &[]).await;
    let load = Load::start(&[&server], 2).await;
    load.until_answered(50).await;
    mongod.signal(Signal::STOP).unwrap();
    let asked = Instant::now();
    server.signal(Signal::TERM);
    load.finish().await;
    server.exit().await;
    assert!(
        asked.elapsed() < limits::SHUTDOWN_DEADLINE + SLACK,
        "{:?}",
        asked.elapsed()
    );
}

/// Patterns that cannot be looked for quickly, in texts that none of them matches.
#[tokio::test]
async fn reads_that_go_on_do_not_hold_up_the_end() {
    let mut server = Server::in_folder().await;
    let mut client = server.connect("/ws?changes=none").await;
    let text = "\u{e9}".repeat(100_000);
    for _ in 0..60 {
        client.create(json!({"text": text})).await;
    }
    let patterns: Vec<_> = (0..10)
        .map(|n| json!({"text": {"$regex": format!(r"\w+\b{n}")}}))
        .collect();
    let mut askers = Vec::new();
    for _ in 0..8 {
        let mut asker = server.connect("/ws?changes=none").await;
        let payload = json!({"filter": {"$or": patterns}});
        asker
            .send(&json!({"type": "FETCH", "id": 1, "payload": payload}))
            .await;
        askers.push(asker);
    }
    client.create(json!({})).await;
    let asked = Instant::now();
    server.signal(Signal::TERM);
    let status = server.exit().await;
    println!("ended after {:?}", asked.elapsed());
    assert!(status.success(), "{status}");
    assert!(
        asked.elapsed() < limits::SHUTDOWN_DEADLINE + SLACK,
        "{:?}",
        asked.elapsed()
    );
}

async fn a_server_that_is_killed_loses_nothing_acknowledged(server: Server) {
    let mut watcher = server.client().await;
    let load = Load::start(&[&server], 6).await;
    load.until_answered(300).await;
    let database = server.kill().await;
    let told = load.finish().await;
    assert!(told.acknowledged.len() >= 300 && told.refused.is_empty());
    watcher.end().await;
    let heard = watcher
        .changes
        .back()
        .map_or(0, |change| change["seq"].as_u64().unwrap());

    let next = Server::on(database, &[]).await;
    let logged = check_log(&next, &told).await;
    let mut resumed = next.connect(&format!("/ws?after={heard}")).await;
    let rest = resumed.changes_through(logged.len() as u64).await;
    assert_eq!(rest[0]["seq"], heard + 1);
    let (code, said) = next.stop().await.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn a_node_that_is_killed_does_not_hold_up_the_others() {
    let one = Server::start().await;
    let two = one.beside().await;
    let load = Load::start(&[&one, &two], 6).await;
    load.until_answered(200).await;
    one.kill().await;
    let killed = Instant::now();
    let acknowledged = load.acknowledged();
    eventually("the other goes on", async || {
        (load.acknowledged() > acknowledged + 100).then_some(())
    })
    .await;
    assert!(
        killed.elapsed() < limits::COMMAND_DEADLINE,
        "{:?}",
        killed.elapsed()
    );
    let told = load.stop().await;
    assert!(told.refused.is_empty(), "{:?}", told.refused);
    check_log(&two, &told).await;
}

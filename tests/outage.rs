//! MongoDB goes away and comes back: what clients are told meanwhile is true, and everything goes on by itself.

use std::time::{Duration, Instant};

use livelog::limits;
use mongodb::bson::{Document, doc};
use rustix::process::Signal;
use serde_json::json;

use crate::support::database::Database;
use crate::support::load::check_log;
use crate::support::{Client, Load, Mongod, Server, eventually};

/// A deadline is kept on a busy machine too.
const SLACK: Duration = Duration::from_secs(5);

/// A load on two nodes survives whatever `fall` does to MongoDB and `rise` ends.
async fn survive(mut mongod: Mongod, fall: impl Fn(&mut Mongod), rise: impl AsyncFn(&mut Mongod)) {
    let database = Database::on(mongod.uri());
    let one = Server::on(database, &[]).await;
    let two = one.beside().await;
    let watchers = [one.client().await, two.client().await].map(Client::follow);
    let idle = one.connect("/ws?changes=none").await.follow();
    let load = Load::start(&[&one, &two], 4).await;
    load.until_answered(200).await;

    fall(&mut mongod);
    load.until_refused(8).await;
    for server in [&one, &two] {
        let asked = Instant::now();
        let (status, body) = server.get("/readyz", &[]).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (503, &json!("unavailable")),
            "{body}"
        );
        assert!(asked.elapsed() < limits::READY_DEADLINE + SLACK);
        assert_eq!(server.status("/healthz").await, 200);
    }
    let mut asking = idle.back().await;
    let error = asking.refused("FETCH", json!({})).await;
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("unavailable"), &json!(true))
    );
    let idle = asking.follow();

    rise(&mut mongod).await;
    let acknowledged = load.acknowledged();
    eventually("commands are done again", async || {
        (load.acknowledged() > acknowledged + 200).then_some(())
    })
    .await;
    eventually("it is ready again", async || {
        (one.status("/readyz").await == 200).then_some(())
    })
    .await;
    let told = load.stop().await;
    assert_eq!(told.unanswered.len(), 0, "a session was lost");
    assert!(
        told.slowest < limits::COMMAND_DEADLINE + SLACK,
        "{:?}",
        told.slowest
    );
    for (_, error) in &told.refused {
        match error["code"].as_str().unwrap() {
            "unavailable" => assert_eq!(error["retryable"], true),
            "outcome_unknown" => assert_eq!(error["retryable"], false),
            _ => panic!("{error}"),
        }
    }
    let logged = check_log(&one, &told).await;
    for watcher in watchers {
        let mut watcher = watcher.back().await;
        let heard = watcher.changes_through(logged.len() as u64).await;
        assert!(
            heard
                .iter()
                .map(|change| change["eventId"].as_str().unwrap())
                .eq(&logged)
        );
    }
    idle.back().await.lives().await;
    let (code, said) = one.database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_and_comes_back_costs_nothing_acknowledged() {
    survive(
        Mongod::start().await.unwrap(),
        |mongod| mongod.signal(Signal::STOP).unwrap(),
        async |mongod| mongod.signal(Signal::CONT).unwrap(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_and_restarted_costs_nothing_acknowledged() {
    survive(
        Mongod::start().await.unwrap(),
        Mongod::kill,
        async |mongod| mongod.restart().await.unwrap(),
    )
    .await;
}

/// Makes these commands of MongoDB fail: `how` is what `failCommand` takes as data.
pub async fn fail(mongod: &Mongod, mode: impl Into<mongodb::bson::Bson>, how: Document) {
    let client = mongodb::Client::with_uri_str(mongod.uri()).await.unwrap();
    let command = doc! {"configureFailPoint": "failCommand", "mode": mode.into(), "data": how};
    client.database("admin").run_command(command).await.unwrap();
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_out_and_never_done_twice() {
    let mongod = Mongod::start().await.unwrap();
    let server = Server::on(Database::on(mongod.uri()), &[]).await;
    let load = Load::start(&[&server], 4).await;
    for round in 1..=10 {
        load.until_answered(round * 40).await;
        // Half of these commits are done, half not; either way the connection breaks.
        fail(
            &mongod,
            doc! {"times": 1},
            doc! {"failCommands": ["commitTransaction"], "closeConnection": true},
        )
        .await;
    }
    load.until_answered(500).await;
    let told = load.stop().await;
    assert_eq!(told.unanswered.len(), 0);
    let logged = check_log(&server, &told).await;
    assert!(
        told.acknowledged.len() >= 450,
        "{} of {}",
        told.acknowledged.len(),
        logged.len()
    );
}

#[tokio::test]
async fn a_commit_that_cannot_be_found_out_about_is_answered_as_unknown() {
    let mongod = Mongod::start().await.unwrap();
    let server = Server::on(Database::on(mongod.uri()), &[]).await;
    let mut client = server.client().await;
    client.create(json!({})).await;
    fail(
        &mongod,
        "alwaysOn",
        doc! {"failCommands": ["commitTransaction", "abortTransaction"], "closeConnection": true},
    )
    .await;
    let asked = Instant::now();
    let error = client.refused("CREATE", json!({"_id": "e"})).await;
    assert!(asked.elapsed() < limits::COMMAND_DEADLINE + SLACK);
    assert!(
        error["code"] == "outcome_unknown" || error["code"] == "unavailable",
        "{error}"
    );
    assert_eq!(error["retryable"], error["code"] == "unavailable");
    fail(&mongod, "off", doc! {}).await;
    eventually("commands are done again", async || {
        let answer = client.request("CREATE", json!({})).await;
        (answer["success"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_ended() {
    let mongod = Mongod::start().await.unwrap();
    let server = Server::on(Database::on(mongod.uri()), &[]).await;
    let mut client = server.client().await;
    client.create(json!({})).await;
    // MaxTimeMSExpired, which MongoDB answers when a query exceeds the time it was given.
    fail(
        &mongod,
        "alwaysOn",
        doc! {"failCommands": ["find", "aggregate"], "errorCode": 50},
    )
    .await;
    let error = client.refused("FETCH", json!({})).await;
    assert_eq!(error["code"], "query_too_slow", "{error}");
    let (status, body) = server.get("/api/events", &[]).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (503, &json!("query_too_slow"))
    );
    fail(&mongod, "off", doc! {}).await;
    client.lives().await;
}

#[tokio::test]
async fn more_commands_than_can_wait_are_refused_as_busy() {
    let mongod = Mongod::start().await.unwrap();
    let server = Server::on(Database::on(mongod.uri()), &[]).await;
    let mut control = server.connect("/ws?changes=none").await;
    control.create(json!({})).await;
    mongod.signal(Signal::STOP).unwrap();
    // Each session may have a mebibyte on the way, so it takes more sessions than the mailbox has mebibytes.
    let sessions = limits::MAILBOX_BYTES_MAX / limits::SESSION_REQUEST_BYTES_MAX + 16;
    let text = "x".repeat(240_000);
    let mut clients = Vec::new();
    for _ in 0..sessions {
        let mut client = server.connect("/ws?changes=none").await;
        client
            .send_all((0..5).map(|n| json!({"type": "CREATE", "id": n, "payload": {"text": text}})))
            .await;
        clients.push(client);
    }
    mongod.signal(Signal::CONT).unwrap();
    // On a slow machine the first may have waited for the database for too long.
    let (mut done, mut busy, mut unavailable) = (0, 0, 0);
    for client in &mut clients {
        for n in 0..5 {
            let answer = client.answer().await;
            assert_eq!(answer["id"], n);
            if answer["success"] == true {
                done += 1;
                continue;
            }
            assert_eq!(answer["error"]["retryable"], true, "{answer}");
            match answer["error"]["code"].as_str() {
                Some("busy") => busy += 1,
                Some("unavailable") => unavailable += 1,
                _ => panic!("{answer}"),
            }
        }
    }
    assert!(
        done + unavailable > 100 && busy > 0,
        "{done} done, {busy} busy, {unavailable} unavailable"
    );
    control.create(json!({})).await;
}

//! livelog in the place of the server that it replaces (`fixtures/peers`): who was written for that finds the same.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::peer::{self, Peer};
use crate::support::{Database, Server, mongod, npm, server};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/js/socketio/original.js");

const BACK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/peers/original/back.js"
);

/// Each wait of the script has its own deadline; this is for a script that hangs otherwise.
const SCRIPT_DEADLINE: Duration = Duration::from_secs(300);

/// What the script hears of a server, which is restarted where the script says so. `command` is the server's, by its
/// port.
async fn heard(programs: &Path, command: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut server = Peer::start(&command("0")).await.unwrap();
    let (_, port) = server.address().rsplit_once(':').unwrap();
    let port = port.to_owned();
    let mut script = tokio::process::Command::new(programs.join("node"))
        .arg(SCRIPT)
        .arg(format!("http://{}", server.address()))
        .arg("--restart")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut heard = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == "restart" {
            server.stop().await.unwrap();
            server = Peer::start(&command(&port)).await.unwrap();
        } else {
            heard.push(line);
        }
    }
    let status = script.wait().await.unwrap();
    assert!(status.success(), "{status}, after\n{}", heard.join("\n"));
    heard
}

fn livelog(database: &Database, port: &str) -> Vec<String> {
    let listen = format!("127.0.0.1:{port}");
    let fixed = [
        server::BINARY,
        "serve",
        "--socketio",
        "--log",
        "warn",
        "--listen",
        &listen,
    ];
    let mut command: Vec<String> = fixed.map(str::to_owned).to_vec();
    command.extend(database.arguments());
    command
}

/// A name for a database of the original server.
fn database_name() -> String {
    format!("original_{}", uuid::Uuid::new_v4().simple())
}

async fn programs() -> &'static Path {
    tokio::task::spawn_blocking(npm::programs).await.unwrap()
}

async fn is_same(database: Arc<Database>) {
    let programs = programs().await;
    let uri = mongod::uri().await;
    let name = database_name();
    let original = tokio::time::timeout(
        SCRIPT_DEADLINE,
        heard(programs, |port| peer::original(programs, &uri, &name, port)),
    );
    let original = original.await.expect("the script to end on the original");
    drop_database(&uri, &name).await;
    let ours = heard(programs, |port| livelog(&database, port));
    let ours = tokio::time::timeout(SCRIPT_DEADLINE, ours);
    let ours = ours.await.expect("the script to end on livelog");
    for (ours, original) in ours.iter().zip(&original) {
        assert_eq!(ours, original);
    }
    assert_eq!(ours.len(), original.len());
    assert!(original.len() > 200, "{}", original.len());
}

async fn drop_database(uri: &str, name: &str) {
    let client = mongodb::Client::with_uri_str(uri).await.unwrap();
    client.database(name).drop().await.unwrap();
}

#[tokio::test]
async fn a_client_of_the_original_server_hears_the_same_of_livelog_on_mongodb() {
    is_same(Database::shared().await).await;
}

#[tokio::test]
async fn a_client_of_the_original_server_hears_the_same_of_livelog_on_a_folder() {
    is_same(Database::folder()).await;
}

/// Brings the changes after a seq to the original's collection; what was said of it.
async fn bring_back(programs: &Path, livelog: &Server, after: u64, uri: &str) -> String {
    let run = tokio::process::Command::new(programs.join("node"))
        .env("NODE_PATH", programs.join(".."))
        .arg(BACK)
        .args([
            &format!("http://{}", livelog.address()),
            &after.to_string(),
            uri,
            "events",
        ])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(SCRIPT_DEADLINE, run)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

async fn write(livelog: &Server, method: &str, path: &str, body: &Value) -> Value {
    let response = livelog.http(method, path).json(body).send().await.unwrap();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["success"], true, "{answer}");
    answer["data"].clone()
}

/// The events of the original server on this database, by their field `n`.
async fn events_of_the_original(programs: &Path, uri: &str, name: &str) -> Vec<Value> {
    let original = peer::original(programs, uri, name, "0");
    let original = Peer::start(&original).await.unwrap();
    let url = format!("http://{}/api/events", original.address());
    let list: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let mut events = list["data"].as_array().unwrap().clone();
    events.sort_by_key(|event| event["n"].as_i64());
    original.stop().await.unwrap();
    events
}

#[tokio::test]
async fn what_livelog_wrote_comes_back_to_the_original_server() {
    const ADOPTED: &str = "6b0a7aaf02290fa98eea4c45";
    const MANY: i64 = 1_050;
    let (programs, livelog) = (programs().await, Server::in_folder().await);
    let (uri, name) = (mongod::uri().await, database_name());
    let place = peer::with_database(&uri, &name);

    write(
        &livelog,
        "POST",
        "/api/events",
        &json!({"_id": ADOPTED, "n": -2, "kept": [1.5, null]}),
    )
    .await;
    write(
        &livelog,
        "POST",
        "/api/events",
        &json!({"_id": "gone", "n": -1}),
    )
    .await;
    bring_back(programs, &livelog, 0, &place).await;
    let before = events_of_the_original(programs, &uri, &name).await;
    assert_eq!(before.len(), 2);
    assert_eq!(
        (&before[0]["_id"], &before[1]["n"]),
        (&json!(ADOPTED), &json!(-1))
    );

    let changed = write(
        &livelog,
        "PATCH",
        &format!("/api/events/{ADOPTED}"),
        &json!({"more": "x"}),
    )
    .await;
    livelog
        .http("DELETE", "/api/events/gone")
        .send()
        .await
        .unwrap();
    let create = |n| json!({"type": "CREATE", "payload": {"n": n}});
    for first in (0..MANY).step_by(50) {
        let commands: Vec<Value> = (first..first + 50).map(create).collect();
        write(
            &livelog,
            "POST",
            "/api/batch",
            &json!({"commands": commands}),
        )
        .await;
    }
    // The second time nothing is different.
    for after in [2, 3] {
        let said = bring_back(programs, &livelog, after, &place).await;
        assert!(said.ends_with(&format!("up to {}\n", 4 + MANY)), "{said}");
        let events = events_of_the_original(programs, &uri, &name).await;
        let numbers: Vec<i64> = events
            .iter()
            .map(|event| event["n"].as_i64().unwrap())
            .collect();
        assert_eq!(numbers, [-2].into_iter().chain(0..MANY).collect::<Vec<_>>());
        assert_eq!(
            events[0],
            json!({
                "_id": ADOPTED, "n": -2, "kept": [1.5, null], "more": "x", "__v": 0,
                "createdAt": changed["_createdAt"], "updatedAt": changed["_updatedAt"],
            })
        );
    }
    drop_database(&uri, &name).await;
}

/// What both servers say of an event, by the names of the original.
fn plain(event: &Value) -> Value {
    let named = event
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(name, value)| {
            let name = match name.as_str() {
                "_createdAt" => "createdAt",
                "_updatedAt" => "updatedAt",
                "__v" | "_seq" | "_version" => return None,
                other => other,
            };
            Some((name.to_owned(), value.clone()))
        });
    named.collect()
}

#[tokio::test]
async fn a_service_moves_from_the_original_server_to_livelog_and_back() {
    let programs = programs().await;
    let (uri, name) = (mongod::uri().await, database_name());
    let place = peer::with_database(&uri, &name);
    let client = mongodb::Client::with_uri_str(&uri).await.unwrap();
    let collection = client.database(&name).collection::<Document>("events");
    let document = |n: i32| {
        let time = DateTime::from_millis(1_700_000_000_000 + i64::from(n));
        doc! { "_id": ObjectId::new(), "n": n, "nested": { "list": [1.5, "x"] }, "createdAt": time, "updatedAt": time, "__v": 0 }
    };
    collection.insert_many((0..20).map(document)).await.unwrap();
    let before = events_of_the_original(programs, &uri, &name).await;

    let database = Database::folder();
    let words = format!("adopt --from {place} --collection events");
    let (status, said) = database.livelog(&words).await;
    assert_eq!(status, Some(0), "{said}");
    let livelog = Server::on(Arc::clone(&database), &["--socketio"]).await;
    let (_, moved) = livelog.get("/api/events", &[("sort", r#"{"n":1}"#)]).await;
    let as_moved: Vec<Value> = moved["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(plain)
        .collect();
    assert_eq!(as_moved, before.iter().map(plain).collect::<Vec<_>>());

    let path = |n: usize| format!("/api/events/{}", before[n]["_id"].as_str().unwrap());
    write(
        &livelog,
        "PATCH",
        &path(3),
        &json!({"nested.list": "changed"}),
    )
    .await;
    livelog.http("DELETE", &path(5)).send().await.unwrap();
    let cut_over = moved["seq"].as_u64().unwrap();
    bring_back(programs, &livelog, cut_over, &place).await;
    let (_, after) = livelog.get("/api/events", &[("sort", r#"{"n":1}"#)]).await;
    let of_livelog: Vec<Value> = after["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(plain)
        .collect();
    let of_the_original = events_of_the_original(programs, &uri, &name).await;
    assert_eq!(
        of_livelog,
        of_the_original.iter().map(plain).collect::<Vec<_>>()
    );
    assert_eq!(of_livelog.len(), 19);
    drop_database(&uri, &name).await;
}

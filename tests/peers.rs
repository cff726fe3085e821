//! livelog in the place of the server that it replaces (`fixtures/peers`): who was written for that finds the same.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::peer::{self, Peer};
use crate::support::{Database, mongod, npm, server};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/js/socketio/original.js");

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

async fn is_same(database: Arc<Database>) {
    let programs = tokio::task::spawn_blocking(npm::programs).await.unwrap();
    let uri = mongod::uri().await;
    let name = format!("original_{}", uuid::Uuid::new_v4().simple());
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

//! Few descriptors and few threads: no command panics, and what cannot be had is said by name.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use futures::future::join_all;
use serde_json::json;

use crate::support::database::{output, stdin};
use crate::support::server::BINARY;
use crate::support::{DEADLINE, Database, Server};

/// An exported log, for who imports.
const LOG: &str = include_str!("../fixtures/export/log.ndjson");

/// Becomes a livelog that may have so many of something. One that serves is told to stop after a while. What counts
/// threads is `-u` in some shells and `-p` in others.
const LIMITED: &str = r#"
if (ulimit "$1" "$2") 2>/dev/null; then ulimit "$1" "$2"; else ulimit -p "$2" || exit 9; fi
shift 2
case "$2" in serve) exec timeout 3 "$@";; *) exec "$@";; esac
"#;

fn limited(what: &str, most: u32, words: &str, database: &Database) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", LIMITED, "limited", what, &most.to_string(), BINARY])
        .args(words.split(' '))
        .args(database.arguments())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(stdin(LOG.as_bytes()));
    command
}

/// Whether it did as told. If not, it said what it lacked.
fn judge(what: &str, output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(!said.contains("Os {"), "{what}: {said}");
    match output.status.code() {
        // 124: it served until it was told to stop.
        Some(0 | 124) => true,
        Some(1) => {
            let last = said.lines().last().unwrap_or_default();
            assert!(last.starts_with("livelog: "), "{what}: {said}");
            false
        }
        other => panic!("{what} ended with {other:?}: {said}"),
    }
}

const COMMANDS: [&str; 6] = [
    "verify",
    "export",
    "replay",
    "redact --event a",
    "import",
    "serve --listen 127.0.0.1:0",
];

async fn stocked(server: Server) -> std::sync::Arc<Database> {
    let mut client = server.client().await;
    for _ in 0..3 {
        client.create(json!({ "n": 1 })).await;
        client.ok("CREATE", json!({ "_id": "a" })).await;
        client.ok("DELETE", json!({ "id": "a" })).await;
    }
    drop(client);
    server.stop().await
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn with_few_descriptors_no_command_on_a_folder_panics() {
    let trials = COMMANDS.map(|words| async move {
        let database = match words {
            "import" => Database::folder(),
            _ => stocked(Server::in_folder().await).await,
        };
        let mut succeeded = false;
        for most in [4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 64] {
            let ended = output(limited("-n", most, words, &database)).await;
            succeeded |= judge(&format!("{words} with {most} descriptors"), &ended);
        }
        assert!(succeeded, "{words}: 64 are enough");
    });
    join_all(trials).await;
}

#[tokio::test]
async fn with_few_descriptors_no_command_on_mongodb_panics() {
    let database = stocked(Server::start().await).await;
    let words = ["verify", "export", "serve --listen 127.0.0.1:0"];
    let trials = words.iter().flat_map(|words| {
        let database = &database;
        [5, 8, 10, 13, 64].map(|most| async move {
            let ended = output(limited("-n", most, words, database)).await;
            let succeeded = judge(&format!("{words} with {most} descriptors"), &ended);
            assert!(succeeded || most < 64, "{words}: 64 are enough");
        })
    });
    join_all(trials).await;
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn that_no_connection_can_be_accepted_is_said_once_in_a_while() {
    let database = Database::folder();
    let mut serving = limited("-n", 64, "serve --listen 127.0.0.1:0", &database);
    let serving = serving.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut serving = serving.spawn().unwrap();
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    let address = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap());
    let address = address.await.unwrap();
    let address = address.strip_prefix("listening on http://").unwrap();
    // More than it has descriptors, from then on until it is told to stop, which is many attempts later.
    let many = (0..80).map(|_| TcpStream::connect(address).unwrap());
    let many: Vec<TcpStream> = many.collect();
    let ended = tokio::task::spawn_blocking(move || serving.wait_with_output().unwrap());
    let ended = tokio::time::timeout(DEADLINE, ended).await.unwrap();
    drop(many);
    let said = String::from_utf8(ended.unwrap().stderr).unwrap();
    let complaints = said.matches("cannot accept a connection").count();
    assert_eq!(complaints, 1, "{said}");
}

/// Root may have as many as it likes, so that somebody else has to.
#[cfg(feature = "embedded")]
#[tokio::test]
async fn with_few_threads_no_command_panics() {
    let database = stocked(Server::in_folder().await).await;
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(database.path(), everybody).unwrap();
    for words in ["verify", "export"] {
        for most in [1, 2, 3, 4, 5, 6, 8] {
            let mut command = limited("-u", most, words, &database);
            if rustix::process::geteuid().is_root() {
                command.uid(65_533);
            }
            let ended = output(command).await;
            judge(&format!("{words} with {most} threads"), &ended);
        }
    }
}

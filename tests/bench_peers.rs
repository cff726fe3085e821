//! livelog beside the server that it replaces, under the same loads, on one MongoDB, in one run of some three minutes:
//!
//! ```text
//! cargo run --release --example bench-peers
//! ```
//!
//! What is measured, and how, is in `fixtures/peers/bench.js`. Everything that it starts it stops; what is stored goes.
//!
//! The livelog that it measures is itself, by another first word, as in the demo.

#[path = "support/mongod.rs"]
mod mongod;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/process.rs"]
mod process;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use mongod::Mongod;
use peer::{Peer, with_database};
use process::Process;

const LOADS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/peers/bench.js");

/// What comes from npm.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/js");

/// More than twice what the loads take.
const LOADS_DEADLINE: Duration = Duration::from_secs(480);

/// The first word by which this is `livelog`, and what a command line of that begins with.
const LIVELOG: &str = "livelog";

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match words.first() {
        Some(word) if word == LIVELOG => livelog::program::run(&words),
        _ => compare(),
    }
}

#[tokio::main]
async fn compare() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let programs = programs()?;
    let mongod = Mongod::start().await?;
    let folder = tempfile::tempdir_in(mongod::target())?;
    let servers = servers(&programs, &mongod, folder.path()).await?;
    let described: Vec<String> = servers
        .iter()
        .map(|(name, protocol, server)| describe(name, protocol, server))
        .collect();
    let mongod_id = mongod.id().context("it runs")?;
    let plan = format!(
        r#"{{"mongod":{mongod_id},"servers":[{}]}}"#,
        described.join(",")
    );
    let node = programs.join("node");
    let out = (Stdio::inherit(), Stdio::inherit());
    let mut loads = Process::start(&node, [LOADS, &plan], None, out.0, out.1)?;
    let ended = loads.wait(LOADS_DEADLINE).await?;
    ensure!(ended.success(), "the loads ended with {ended}");
    Ok(())
}

/// The folder of Node, with what the servers need beside it: installed from npm if it is not.
fn programs() -> Result<PathBuf> {
    let programs = Path::new(PACKAGES).join("node_modules/.bin");
    if programs.join("node").exists() {
        return Ok(programs);
    }
    let installed = Command::new("npm").arg("ci").current_dir(PACKAGES).status();
    let installed = installed.context("npm is needed: `apt-get install npm`")?;
    ensure!(installed.success(), "npm ci ended with {installed}");
    Ok(programs)
}

/// What is compared: its name, the protocol that it is spoken to in, and the server. The original is first.
async fn servers(
    programs: &Path,
    mongod: &Mongod,
    folder: &Path,
) -> Result<Vec<(&'static str, &'static str, Peer)>> {
    let uri = mongod.uri();
    let original = peer::original(programs, &uri, "original", "0");
    let folder = folder.to_str().context("a path that is not UTF-8")?;
    let mut servers = vec![("original", "socketio", Peer::start(&original).await?)];
    // Each has a log of its own: nodes that share one hear each other's changes.
    for (name, protocol, store) in [
        (
            "livelog --socketio",
            "socketio",
            ["--mongodb", &with_database(&uri, "socketio")],
        ),
        ("livelog", "ws", ["--mongodb", &with_database(&uri, "ws")]),
        ("livelog, embedded", "ws", ["--data", folder]),
    ] {
        servers.push((name, protocol, Peer::start(&livelog(&store)?).await?));
    }
    Ok(servers)
}

fn livelog(store: &[&str]) -> Result<Vec<String>> {
    let program = env::current_exe()?;
    let program = program.to_str().context("a path that is not UTF-8")?;
    let fixed = [
        program,
        LIVELOG,
        "--socketio",
        "--log",
        "warn",
        "--listen",
        "127.0.0.1:0",
    ];
    let words = fixed.into_iter().chain(store.iter().copied());
    Ok(words.map(str::to_owned).collect())
}

fn describe(name: &str, protocol: &str, server: &Peer) -> String {
    let (address, id) = (server.address(), server.id());
    format!(r#"{{"name":"{name}","url":"http://{address}","protocol":"{protocol}","pid":{id}}}"#)
}

//! Everything with one command on a machine that has only Rust (and pip, for a MongoDB if there is none):
//!
//! ```text
//! cargo run --release --example demo                 MongoDB and the server
//! cargo run --release --example demo -- verify       MongoDB and any other `livelog` command
//! cargo run --release --example demo -- mongod       MongoDB alone
//! ```
//!
//! The server that it starts is itself, by another first word: what was built for the demo runs.
//!
//! Its data is kept under `target/mongod-data`. Where `MONGODB_URI` names a MongoDB, that is used; a
//! demo that runs already shares its own.

#[path = "support/mongod.rs"]
mod mongod;
#[path = "support/process.rs"]
mod process;

use std::env;
use std::ffi::OsString;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use mongod::Mongod;
use process::Process;

/// Not MongoDB's own 27017, where another may run.
const PORT: u16 = 27117;

/// Longer than the server's own deadline for a shutdown.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// The first word by which the demo is `livelog`, and what a command line of that begins with.
const LIVELOG: &str = "livelog";

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match words.first() {
        Some(word) if word == LIVELOG => livelog::program::run(&words),
        _ => demo(),
    }
}

#[tokio::main]
async fn demo() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (uri, mongod) = database().await?;
    eprintln!("MongoDB: {uri}");
    let code = match arguments.first().map(String::as_str) {
        Some("mongod") => {
            eprintln!("until Ctrl-C");
            asked_to_stop().await?;
            ExitCode::SUCCESS
        }
        _ => livelog(&uri, &arguments).await?,
    };
    if let Some(mongod) = mongod {
        mongod.stop().await?;
    }
    Ok(code)
}

async fn database() -> Result<(String, Option<Mongod>)> {
    if let Some(uri) = mongod::given() {
        return Ok((uri, None));
    }
    if mongod::answers(PORT).await {
        return Ok((format!("mongodb://127.0.0.1:{PORT}/?replicaSet=rs0"), None));
    }
    let mongod = Mongod::start_kept(mongod::target().join("mongod-data"), PORT).await?;
    Ok((mongod.uri(), Some(mongod)))
}

/// Runs `livelog`: this executable again, in a process that is told to stop, and stops, as any server is.
async fn livelog(uri: &str, arguments: &[String]) -> Result<ExitCode> {
    let mut command = vec![LIVELOG];
    // A subcommand comes first, its options after it.
    let (subcommand, options) = match arguments.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (Some(first.as_str()), rest),
        _ => (None, arguments),
    };
    command.extend(subcommand);
    command.extend(["--mongodb", uri]);
    command.extend(options.iter().map(String::as_str));

    let out = (Stdio::inherit(), Stdio::inherit());
    let mut process = Process::start(&env::current_exe()?, command, None, out.0, out.1)?;
    let ended = tokio::select! {
        ended = forever(&mut process) => Some(ended?),
        asked = asked_to_stop() => { asked?; None }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            process.signal(Signal::TERM)?;
            process.wait(STOP_DEADLINE).await?
        }
    };
    let code = ended.code().context("livelog was killed")?;
    Ok(ExitCode::from(u8::try_from(code)?))
}

async fn forever(process: &mut Process) -> Result<std::process::ExitStatus> {
    process.wait(Duration::MAX).await
}

async fn asked_to_stop() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

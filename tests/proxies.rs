//! nginx and Caddy in front, by the very files that the manual shows: requests, sessions and streams pass, and a server that
//! is started again is found again.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::COME_BACK;
use crate::support::client::End;
use crate::support::database::scratch;
use crate::support::process::Process;
use crate::support::raw::{self, Answer};
use crate::support::tls::{self, fixture};
use crate::support::{Client, DEADLINE, Database, Server, eventually};

const NAME: &str = "live.example.org";
const ORIGIN: &str = "https://live.example.org";

/// A proxy, and the server behind it. A proxy is found on the PATH, where `.ci/run` puts what it unpacks.
struct Proxied {
    server: Option<Server>,
    behind: String,
    address: String,
    _proxy: Process,
    folder: tempfile::TempDir,
}

/// Whether there is such a program. A machine for tests of all has to have it.
fn has(program: &str, package: &str) -> bool {
    let output = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let is_there = output.is_ok_and(|output| output.status.success());
    let remedy =
        format!("{program} is not there: `apt-get install {package}`, or .ci/run unpacks it");
    assert!(is_there || std::env::var_os("CI").is_none(), "{remedy}");
    if !is_there {
        println!("{remedy}; nothing was tested");
    }
    is_there
}

fn manual() -> String {
    fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/manual/deploying.md"
    ))
    .unwrap()
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/proxies")
        .join(name);
    fs::read_to_string(path).unwrap()
}

/// A file of the manual's, with what a test has in place of what an operator has.
fn fitted(name: &str, places: &[(&str, &str)]) -> String {
    let mut text = file(name);
    for (theirs, ours) in places {
        assert!(text.contains(theirs), "{name} lacks {theirs}");
        text = text.replace(theirs, ours);
    }
    text
}

impl Proxied {
    /// Starts `program` with what `arguments` makes of a folder, a port and the server's address.
    async fn start(program: &str, arguments: fn(&Path, u16, &str) -> Vec<String>) -> Self {
        let words = ["--allow-host", NAME, "--allow-origin", ORIGIN];
        let server = Server::on(Database::alone().await, &words).await;
        let behind = server.address().to_owned();
        let folder = scratch();
        // Free now, and with luck when the proxy binds it.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let words = arguments(folder.path(), port, &behind);
        let output = log.try_clone().unwrap();
        let path = PathBuf::from(program);
        let proxy = Process::start(&path, words, None, output.into(), log.into()).unwrap();
        let proxied = Self {
            server: Some(server),
            behind,
            address: format!("127.0.0.1:{port}"),
            _proxy: proxy,
            folder,
        };
        let is_up = async || TcpStream::connect(&proxied.address).await.ok();
        eventually("the proxy listens", is_up).await;
        proxied
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    async fn client(&self, path: &str) -> Client {
        let stream = Box::new(tls::dial_named(&self.address, NAME).await);
        let url = format!("ws://{NAME}{path}");
        let connected = Client::over(stream, &url, &[("origin", ORIGIN)]).await;
        connected.unwrap_or_else(|error| panic!("{error}\n{}", self.said()))
    }

    async fn ask(&self, head: &str, body: &str) -> Answer {
        let mut stream = tls::dial_named(&self.address, NAME).await;
        let length = body.len();
        let asked = format!(
            "{head} HTTP/1.1\r\nHost: {NAME}\r\nOrigin: {ORIGIN}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(asked.as_bytes()).await.unwrap();
        raw::read(&mut stream, false).await
    }

    async fn stop_server(&mut self) -> Arc<Database> {
        self.server.take().unwrap().stop().await
    }

    async fn start_server(&mut self, database: &Arc<Database>) {
        let words = ["--allow-host", NAME, "--allow-origin", ORIGIN];
        let server = Server::spawn_at(&self.behind, database, &words).await;
        self.server = Some(server.unwrap());
    }
}

fn nginx(folder: &Path, port: u16, behind: &str) -> Vec<String> {
    let site = fitted(
        "nginx.conf",
        &[
            ("127.0.0.1:3000", behind),
            ("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl")),
            ("/etc/ssl/live.example.org.pem", &fixture("one.pem")),
            ("/etc/ssl/live.example.org.key", &fixture("one.key")),
        ],
    );
    fs::write(folder.join("site.conf"), site).unwrap();
    // What Debian's own file says where it may be said, and everything else below the folder.
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places = kinds.map(|kind| format!("{kind}_temp_path {kind};\n"));
    let main = format!(
        "daemon off;\nmaster_process off;\npid pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{}include site.conf;\n}}\n",
        places.concat()
    );
    let path = folder.join("main.conf");
    fs::write(&path, main).unwrap();
    let words = [
        "-p",
        folder.to_str().unwrap(),
        "-c",
        path.to_str().unwrap(),
        "-e",
        "stderr",
    ];
    words.map(str::to_owned).to_vec()
}

fn caddy(folder: &Path, port: u16, behind: &str) -> Vec<String> {
    let tls = format!(
        "{NAME}:{port} {{\n    tls {} {}",
        fixture("one.pem"),
        fixture("one.key")
    );
    let site = fitted(
        "Caddyfile",
        &[("127.0.0.1:3000", behind), ("live.example.org {", &tls)],
    );
    let options = "{\n    admin off\n    auto_https disable_redirects\n}\n";
    let path = folder.join("Caddyfile");
    fs::write(&path, format!("{options}{site}")).unwrap();
    let home = folder.to_str().unwrap();
    let variables =
        ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"].map(|name| format!("{name}={home}"));
    let words = [
        "caddy",
        "run",
        "--adapter",
        "caddyfile",
        "--config",
        path.to_str().unwrap(),
    ];
    variables
        .into_iter()
        .chain(words.map(str::to_owned))
        .collect()
}

/// A stream of Server-Sent Events, read until it holds a text.
struct Events {
    stream: Box<dyn tokio::io::AsyncRead + Send + Unpin>,
    said: String,
}

impl Events {
    async fn open(proxied: &Proxied) -> Self {
        let mut stream = tls::dial_named(&proxied.address, NAME).await;
        let asked = format!(
            "GET /api/changes HTTP/1.1\r\nHost: {NAME}\r\nOrigin: {ORIGIN}\r\nAccept: text/event-stream\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).await.unwrap();
        let (stream, said) = (Box::new(stream), String::new());
        let mut events = Self { stream, said };
        events.until("event: live").await;
        events
    }

    async fn until(&mut self, text: &str) {
        let reading = async {
            while !self.said.contains(text) {
                let mut bytes = [0; 4096];
                let count = self.stream.read(&mut bytes).await.unwrap();
                assert!(count > 0, "it ended: {}", self.said);
                self.said
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        let read = tokio::time::timeout(DEADLINE, reading).await;
        read.unwrap_or_else(|_| panic!("no {text}"));
    }
}

async fn requests_pass(proxied: &Proxied) {
    let large = json!({"_id": "large", "text": "x".repeat(200_000)}).to_string();
    let answer = proxied.ask("POST /api/events", &large).await;
    assert_eq!(answer.status, 201, "{} {}", answer.text, proxied.said());
    let refused = proxied
        .ask(
            "POST /api/events",
            &json!({"text": "x".repeat(300_000)}).to_string(),
        )
        .await;
    // The server's own words, and not the proxy's.
    assert_eq!(
        (refused.status, refused.code()),
        (413, "message_too_large"),
        "{}",
        refused.text
    );
    let filter = format!("{{\"text\":{{\"$in\":[\"{}\"]}}}}", "y".repeat(20_000));
    let filter = filter
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22")
        .replace('[', "%5B")
        .replace(']', "%5D");
    let found = proxied
        .ask(&format!("GET /api/events?filter={filter}"), "")
        .await;
    assert_eq!(found.status, 200, "{}", found.text);
}

async fn sessions_and_streams_are_told_at_once(proxied: &Proxied) {
    let mut session = proxied.client("/ws").await;
    let mut events = Events::open(proxied).await;
    for n in 0..20 {
        let (id, seq) = session.create(json!({"n": n})).await;
        assert_eq!(session.change().await["seq"], seq);
        events.until(&id).await;
    }
    assert!(
        !events
            .said
            .to_lowercase()
            .contains("x-accel-buffering: yes"),
        "{}",
        events.said
    );
}

async fn a_server_that_is_started_again_is_found_again(proxied: &mut Proxied) {
    let mut session = proxied.client("/ws").await;
    let start = session.start();
    session.create(json!({"before": true})).await;
    let database = proxied.stop_server().await;
    let End::Closed(code) = session.end().await else {
        panic!("the session's end did not pass: {}", proxied.said());
    };
    assert!(COME_BACK.contains(&code), "{code}");
    let away = proxied.ask("GET /healthz", "").await;
    assert_eq!(away.status, 502, "{}", away.text);
    proxied.start_server(&database).await;
    let is_back = async || (proxied.ask("GET /healthz", "").await.status == 200).then_some(());
    eventually("it is back", is_back).await;
    let mut resumed = proxied.client(&format!("/ws?after={start}")).await;
    let change: Value = resumed.change().await;
    assert_eq!(change["seq"], start + 1);
    resumed.create(json!({"after": true})).await;
}

async fn other_hosts_and_origins_are_refused_as_without_it(proxied: &Proxied) {
    for (host, origin, code) in [
        (NAME, "https://evil.example", "forbidden_origin"),
        ("evil.example", "https://evil.example", "forbidden_host"),
    ] {
        let mut stream = tls::dial_named(&proxied.address, NAME).await;
        let asked = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
        stream.write_all(asked.as_bytes()).await.unwrap();
        let answer = raw::read(&mut stream, false).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, code),
            "{host} {origin}"
        );
    }
}

#[tokio::test]
async fn livelog_is_itself_behind_nginx() {
    if !has("nginx", "nginx-light") {
        return;
    }
    let mut proxied = Proxied::start("nginx", nginx).await;
    requests_pass(&proxied).await;
    sessions_and_streams_are_told_at_once(&proxied).await;
    other_hosts_and_origins_are_refused_as_without_it(&proxied).await;
    a_server_that_is_started_again_is_found_again(&mut proxied).await;
}

#[tokio::test]
async fn livelog_is_itself_behind_caddy() {
    if !has("caddy", "caddy") {
        return;
    }
    let mut proxied = Proxied::start("env", caddy).await;
    requests_pass(&proxied).await;
    sessions_and_streams_are_told_at_once(&proxied).await;
    a_server_that_is_started_again_is_found_again(&mut proxied).await;
}

#[test]
fn the_manual_shows_the_files_that_are_tried() {
    let manual = manual();
    for name in ["nginx.conf", "Caddyfile", "livelog.service"] {
        assert!(
            manual.contains(&file(name)),
            "deploying.md shows another {name}"
        );
    }
}

//! Clients that speak Socket.IO: the real one from npm over each of its transports, and what those may not do that write
//! their packets by hand.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::npm::{self, FOLDER};
use crate::support::{DEADLINE, Server, eventually};

/// Each wait of a script has its own deadline; this is for a script that hangs otherwise.
const SCRIPT_DEADLINE: Duration = Duration::from_secs(180);

const TRANSPORTS: [&str; 3] = ["default", "websocket", "polling"];

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

async fn server() -> Server {
    Server::start_with(&["--socketio"]).await
}

/// A running script of `tests/js/socketio/facts.js`.
struct Script {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    stdin: ChildStdin,
    what: String,
}

impl Script {
    fn start(fact: &str, server: &Server, transport: &str) -> Self {
        let url = format!("http://{}", server.address());
        let mut child = Command::new(npm::programs().join("node"))
            .arg(Path::new(FOLDER).join("socketio/facts.js"))
            .args([fact, &url, transport])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node, as tests/js/package.json has it");
        Self {
            said: BufReader::new(child.stdout.take().unwrap()).lines(),
            stdin: child.stdin.take().unwrap(),
            child,
            what: format!("{fact} over {transport}"),
        }
    }

    /// The next line that it says; `None` when it has ended.
    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(SCRIPT_DEADLINE, self.said.next_line()).await;
        line.expect("the script to go on").unwrap()
    }

    async fn tell(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    async fn passes(mut self) {
        while self.line().await.is_some() {}
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "{}: {status}", self.what);
    }
}

/// The fact holds over each transport, beside the others.
async fn holds(fact: &str) {
    let scripts = TRANSPORTS.map(|transport| async move {
        let server = server().await;
        Script::start(fact, &server, transport).passes().await;
    });
    futures::future::join_all(scripts).await;
}

#[tokio::test]
async fn every_request_is_answered_by_an_event_and_by_its_acknowledgement() {
    holds("answers").await;
}

#[tokio::test]
async fn what_is_not_served_is_refused_by_name() {
    holds("refusals").await;
}

#[tokio::test]
async fn several_tabs_hear_every_change_in_order_and_their_own_answers_alone() {
    holds("tabs").await;
}

#[tokio::test]
async fn a_client_says_from_where_it_hears_changes_or_that_it_wants_none() {
    holds("positions").await;
}

#[tokio::test]
async fn large_answers_come_whole_and_messages_that_are_too_large_harm_nobody() {
    holds("sizes").await;
}

#[tokio::test]
async fn a_client_misses_nothing_when_the_server_is_killed_under_it() {
    let killed = TRANSPORTS.map(|transport| async move {
        let mut server = server().await;
        let mut script = Script::start("kills", &server, transport);
        while let Some(line) = script.line().await {
            assert_eq!(line, "kill");
            server = Server::on(server.kill().await, &["--socketio"]).await;
            let (_, port) = server.address().rsplit_once(':').unwrap();
            script.tell(port).await;
        }
        script.passes().await;
    });
    futures::future::join_all(killed).await;
}

#[tokio::test]
async fn clients_are_told_when_the_server_stops() {
    for transport in TRANSPORTS {
        let server = server().await;
        let mut script = Script::start("stop", &server, transport);
        assert_eq!(script.line().await.as_deref(), Some("stop"));
        server.stop().await;
        script.passes().await;
    }
}

/// A client that polls by hand.
struct Poller<'a> {
    server: &'a Server,
    path: String,
}

impl<'a> Poller<'a> {
    async fn open(server: &'a Server) -> Self {
        let response = server.http("GET", OPEN).send().await.unwrap();
        assert_eq!(
            response.headers()["content-type"],
            "text/plain; charset=UTF-8"
        );
        let text = response.text().await.unwrap();
        let open: Value = serde_json::from_str(text.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(open["maxPayload"], 256 * 1024);
        assert_eq!(open["upgrades"], json!(["websocket"]));
        let sid = open["sid"].as_str().unwrap();
        Self {
            server,
            path: format!("{OPEN}&sid={sid}"),
        }
    }

    /// One that has a session.
    async fn connect(server: &'a Server) -> Self {
        let poller = Self::open(server).await;
        assert_eq!(poller.post("40").await, 200);
        assert!(poller.poll().await.unwrap()[0].starts_with("40{\"sid\":"));
        poller
    }

    async fn post(&self, body: &str) -> u16 {
        let post = self.server.http("POST", &self.path).body(body.to_owned());
        post.send().await.unwrap().status().as_u16()
    }

    /// The packets that there are, or the status of a refusal.
    async fn poll(&self) -> Result<Vec<String>, u16> {
        let response = self.server.http("GET", &self.path).send().await.unwrap();
        match response.status().as_u16() {
            200 => {
                let text = response.text().await.unwrap();
                Ok(text.split('\x1e').map(str::to_owned).collect())
            }
            refused => Err(refused),
        }
    }
}

/// Packets with so many requests, each with an acknowledgement.
fn flood(count: usize) -> String {
    let packets = (0..count).map(|ack| format!(r#"42{ack}["FETCH",{{"limit":1}}]"#));
    packets.collect::<Vec<_>>().join("\x1e")
}

/// How many sessions of Socket.IO the node counts.
async fn sessions(server: &Server) -> u64 {
    metric(server, "livelog_sessions{transport=\"socketio\"} ").await
}

async fn metric(server: &Server, name: &str) -> u64 {
    let text = server.http("GET", "/metrics").send().await.unwrap();
    let text = text.text().await.unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines.next().map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn without_the_flag_nothing_is_served_there() {
    let server = Server::start().await;
    let (status, said) = server.get("/socket.io/", &[("EIO", "4")]).await;
    let hint = said["error"]["message"].as_str().unwrap();
    assert!(
        status == 404 && hint.contains("need livelog --socketio"),
        "{hint}"
    );
    let path = "/socket.io/?EIO=4&transport=websocket";
    assert_eq!(refused_handshake(&server, path, &[]).await, 404);
}

async fn refused_handshake(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    match server.try_connect(path, headers).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?} is no refusal"),
    }
}

#[tokio::test]
async fn only_pages_and_hosts_that_may_ask_get_a_session() {
    let server = server().await;
    for (header, value) in [("origin", "http://evil.example"), ("host", "evil.example")] {
        let refused = server.http("GET", OPEN).header(header, value).send().await;
        assert_eq!(refused.unwrap().status().as_u16(), 403, "{header}");
        let path = "/socket.io/?EIO=4&transport=websocket";
        assert_eq!(
            refused_handshake(&server, path, &[(header, value)]).await,
            403
        );
    }
    assert_eq!(sessions(&server).await, 0);
}

#[tokio::test]
async fn a_handshake_of_another_protocol_is_refused() {
    let server = server().await;
    for (path, status) in [
        ("/socket.io/", 400),
        ("/socket.io/?EIO=3&transport=polling", 400),
        ("/socket.io/?EIO=4&transport=jsonp", 400),
        ("/socket.io/?EIO=4&transport=websocket", 426),
        ("/socket.io/?EIO=4&transport=polling&sid=x", 404),
        (
            "/socket.io/?EIO=4&transport=polling&sid=f384c2b7-0000-4000-8000-000000000000",
            404,
        ),
    ] {
        let (refused, body) = server.get(path, &[]).await;
        assert_eq!(refused, status, "{path}: {body}");
        assert_eq!(body["success"], false);
    }
    assert_eq!(
        server
            .http("POST", OPEN)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16(),
        404
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_the_session_lives_on() {
    let server = server().await;
    let poller = Poller::connect(&server).await;
    assert_eq!(poller.post(&"x".repeat(256 * 1024 + 1)).await, 413);
    assert_eq!(poller.post(r#"421["FETCH"]"#).await, 200);
    assert!(poller.poll().await.unwrap().join("").contains("431[{"));
}

#[tokio::test]
async fn a_flood_of_requests_is_taken_as_fast_as_its_answers_are() {
    let server = server().await;
    let poller = Poller::connect(&server).await;
    let count = 2_000;
    let body = flood(count);
    let posting = poller.post(&body);
    let mut heard = Vec::new();
    let polling = async {
        while heard.len() < count {
            let packets = poller.poll().await.unwrap();
            heard.extend(
                packets
                    .into_iter()
                    .filter(|packet| packet.starts_with("43")),
            );
        }
    };
    let (status, ()) = tokio::join!(posting, polling);
    assert_eq!(status, 200);
    for (ack, packet) in heard.iter().enumerate() {
        assert!(
            packet.starts_with(&format!("43{ack}[{{\"type\":\"response\"")),
            "{packet}"
        );
    }
}

#[tokio::test]
async fn a_client_that_never_connects_gives_its_seat_back() {
    let server = server().await;
    let silent = Poller::open(&server).await;
    let (mut socket, _) = tokio_tungstenite::connect_async(format!(
        "ws://{}/socket.io/?EIO=4&transport=websocket",
        server.address()
    ))
    .await
    .unwrap();
    assert_eq!(sessions(&server).await, 2);
    let polled = tokio::time::timeout(DEADLINE, silent.poll()).await.unwrap();
    assert_eq!(
        polled.unwrap(),
        ["1"],
        "the poll is told that the connection ends"
    );
    assert_eq!(silent.poll().await, Err(404));
    let opened = socket.next().await.unwrap().unwrap();
    assert!(opened.to_text().unwrap().starts_with('0'));
    let closed = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap();
    match closed {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 4001),
        other => panic!("{other:?} is no close"),
    }
    eventually("the seats are given back", async || {
        (sessions(&server).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_come_for_its_answers_is_given_up() {
    let server = server().await;
    let away = Poller::connect(&server).await;
    // What is in flight is all that is taken of it, and then nobody comes.
    assert_eq!(away.post(&flood(2_000)).await, 404);
    let fetched = metric(
        &server,
        "livelog_requests_total{verb=\"FETCH\",outcome=\"done\"} ",
    )
    .await;
    assert!((1..500).contains(&fetched), "{fetched} were carried out");
    eventually("it is given up", async || {
        (sessions(&server).await == 0).then_some(())
    })
    .await;
    assert_eq!(away.poll().await, Err(404));
}

#[tokio::test]
async fn a_client_that_polls_twice_at_once_loses_its_session() {
    let server = server().await;
    let poller = Poller::connect(&server).await;
    let (one, other) = tokio::join!(poller.poll(), poller.poll());
    assert_eq!((one, other), (Err(404), Err(404)));
}

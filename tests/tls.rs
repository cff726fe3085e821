//! TLS: what it costs, what it refuses, and that sessions over it are like others.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{HandshakeKind, ProtocolVersion};

use crate::support::client::COME_BACK;
use crate::support::client::End;
use crate::support::database::{livelog, scratch};
use crate::support::raw::{self, ask};
use crate::support::tls::{self, certificate, dial_as, fixture, shown};
use crate::support::{Client, DEADLINE, Database, Server, eventually};

/// What a server takes until it gives up on a handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

async fn server_with(name: &str, more: &[&str]) -> Server {
    let certificate = tls::arguments(name);
    let words = certificate
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied());
    Server::on(Database::alone().await, &words.collect::<Vec<_>>()).await
}

async fn server() -> Server {
    server_with("one", &[]).await
}

/// A value of `GET /metrics`; 0 if it is not there.
async fn metric(server: &Server, name: &str) -> f64 {
    let asked = format!(
        "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address()
    );
    let answer = ask(server, asked.as_bytes()).await;
    let line = answer.text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

async fn handshakes(server: &Server, outcome: &str) -> f64 {
    let name = format!("livelog_tls_handshakes_total{{outcome=\"{outcome}\"}}");
    metric(server, &name).await
}

/// Sends these while it reads the answers.
async fn sending(mut client: Client, frames: impl Iterator<Item = Value>) -> Client {
    for frame in frames {
        client.send(&frame).await;
        let answer = client.answer().await;
        assert_eq!(answer["success"], true, "{answer}");
    }
    client
}

#[tokio::test]
async fn a_session_over_tls_is_told_every_change_once_and_in_order() {
    let server = server().await;
    let mut listening = server.client().await;
    let writing = server.connect("/ws?changes=none").await;
    let text = "x".repeat(5_000);
    let creates = (0..500).map(|n| {
        let text = &text[..n * 10];
        json!({"type": "CREATE", "id": n.to_string(), "payload": {"n": n, "text": text}})
    });
    let mut writing = sending(writing, creates).await;
    let changes = listening.changes_through(500).await;
    assert_eq!(changes.len(), 500);
    for (n, change) in changes.iter().enumerate() {
        assert_eq!(change["data"]["n"], n, "{change}");
    }
    // As large as a message may be: in several records, each way.
    let large = "y".repeat(200 * 1024);
    let (id, _) = writing.create(json!({"text": large})).await;
    assert_eq!(listening.change().await["data"]["_id"], json!(id));
    let found = writing.ok("FETCH", json!({"filter": {"_id": id}})).await;
    assert_eq!(found["data"][0]["text"], json!(large));
}

#[tokio::test]
async fn http_over_tls_is_http() {
    let server = server().await;
    let host = server.address();
    let body = json!({"n": 1}).to_string();
    let asked = format!(
        "POST /api/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(&server, asked.as_bytes()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let refused = ask(&server, b"NONSENSE\r\n\r\n").await;
    assert_eq!((refused.status, refused.code()), (400, "bad_request"));
    // What comes right behind the handshake is read with it, or not, as it happens.
    for n in 0..20 {
        let body = json!({"n": n, "text": "x".repeat(100_000)}).to_string();
        let asked = format!(
            "POST /api/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = ask(&server, asked.as_bytes()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    // A body that is refused before it is whole: the client is still sending when it is answered.
    let asked = format!(
        "POST /api/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n{}",
        " ".repeat(2_000_000)
    );
    let refused = ask(&server, asked.as_bytes()).await;
    assert_eq!((refused.status, refused.code()), (413, "message_too_large"));
}

#[tokio::test]
async fn a_stream_of_events_over_tls_asks_proxies_not_to_keep_it_back() {
    let server = server().await;
    let mut stream = server.dial().await;
    let asked = format!(
        "GET /api/changes HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
        server.address()
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let answer = raw::read(&mut stream, true).await;
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("content-type"), "text/event-stream");
}

#[tokio::test]
async fn pages_of_https_are_the_servers_own_and_those_of_http_are_not() {
    let server = server().await;
    let address = server.address();
    for (origin, status) in [
        (format!("https://{address}"), 200),
        (format!("http://{address}"), 403),
        ("https://evil.example".to_owned(), 403),
    ] {
        let asked = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\n\r\n");
        assert_eq!(
            ask(&server, asked.as_bytes()).await.status,
            status,
            "{origin}"
        );
    }
    let asked = b"GET /healthz HTTP/1.1\r\nHost: live.example.org\r\n\r\n";
    assert_eq!(ask(&server, asked).await.code(), "forbidden_host");
}

#[tokio::test]
async fn what_is_no_certificate_with_its_key_is_refused_at_the_start() {
    let folder = scratch();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, key) = (fixture("one.pem"), fixture("one.key"));
    let read = |path: &str| fs::read(path).unwrap();
    let garbled = [&read(&one)[..60], b"\n-----END CERTIFICATE-----\n"].concat();
    let encrypted =
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let gone = folder.path().join("gone").to_str().unwrap().to_owned();
    let cases = [
        (
            gone.clone(),
            key.clone(),
            "gone: cannot be read: No such file",
        ),
        (one.clone(), gone, "gone: cannot be read: No such file"),
        (
            file("empty", b""),
            key.clone(),
            "empty: no certificate in it",
        ),
        (key.clone(), one.clone(), "are the two files exchanged?"),
        (file("garbled", &garbled), key.clone(), "garbled: "),
        (
            file("long", &vec![b'\n'; 300 * 1024]),
            key.clone(),
            "long: longer than 262144 bytes",
        ),
        (one.clone(), one.clone(), "one.pem: no private key in it"),
        (
            one.clone(),
            file("encrypted", encrypted),
            "encrypted: the private key is encrypted",
        ),
        (
            one.clone(),
            fixture("two.key"),
            "two.key: not the key of the certificate in ",
        ),
        (
            folder.path().to_str().unwrap().to_owned(),
            key.clone(),
            "cannot be read: Is a directory",
        ),
    ];
    for (certificate, key, reason) in cases {
        let database = Database::alone().await;
        let arguments = ["--tls-cert", &certificate, "--tls-key", &key];
        let said = Server::spawn(&database, &arguments).await.unwrap_err();
        let begins = "livelog: cannot speak TLS: ";
        assert!(
            said.contains(begins) && said.contains(reason),
            "{reason}: {said}"
        );
        assert!(!said.contains("PRIVATE KEY-----\n"), "{said}");
    }
    for (flag, other) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
        let refused = livelog(&["serve", flag, &one]).await;
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && said.contains(other), "{said}");
    }
}

/// A pair of files that a server follows.
struct Exchanged {
    folder: tempfile::TempDir,
}

impl Exchanged {
    fn new() -> Self {
        let exchanged = Self { folder: scratch() };
        exchanged.put("one.pem", "one.key");
        exchanged
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Puts these into the places of certificate and key, as who renews them does: one after the other.
    fn put(&self, certificate: &str, key: &str) {
        for (from, to) in [(certificate, "cert"), (key, "key")] {
            let new = self.path("new");
            fs::copy(fixture(from), &new).unwrap();
            fs::rename(new, self.path(to)).unwrap();
        }
    }

    async fn serve(&self) -> Server {
        let (certificate, key) = (self.path("cert"), self.path("key"));
        let arguments = ["--tls-cert", &certificate, "--tls-key", &key];
        Server::on(Database::alone().await, &arguments).await
    }
}

async fn until_shown(server: &Server, name: &str) {
    let expected = certificate(fixture(name));
    let is_shown = async || (shown(server.address()).await == expected).then_some(());
    eventually("the certificate is the new one", is_shown).await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_who_comes_and_sessions_go_on() {
    let files = Exchanged::new();
    let server = files.serve().await;
    let mut session = server.client().await;
    assert_eq!(
        shown(server.address()).await,
        certificate(fixture("one.pem"))
    );
    files.put("two.pem", "two.key");
    until_shown(&server, "two.pem").await;
    let mut new = server.client().await;
    let (id, seq) = new.create(json!({})).await;
    assert_eq!(session.change().await["seq"], seq);
    session.ok("DELETE", json!({"id": id})).await;
    assert!(server.logged().contains("is new"), "{}", server.logged());
}

#[tokio::test]
async fn files_that_are_no_good_leave_the_certificate_and_are_told_of_once() {
    let files = Exchanged::new();
    let server = files.serve().await;
    let said = |what: &str| server.logged().matches(what).count();
    files.put("two.pem", "one.key");
    eventually("the mistake is told", async || {
        (said("not the key of the certificate") == 1).then_some(())
    })
    .await;
    assert_eq!(
        shown(server.address()).await,
        certificate(fixture("one.pem"))
    );
    fs::remove_file(files.path("key")).unwrap();
    eventually("the next is told", async || {
        (said("cannot be read") == 1).then_some(())
    })
    .await;
    server.client().await.lives().await;
    // It goes on looking: what is mended is taken.
    files.put("two.pem", "two.key");
    until_shown(&server, "two.pem").await;
    assert_eq!(
        (
            said("not the key of the certificate"),
            said("cannot be read")
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn who_comes_back_shakes_hands_in_short_until_the_certificate_is_another() {
    let files = Exchanged::new();
    let server = files.serve().await;
    let config = Arc::new(tls::config());
    let kind = async || {
        let mut stream = dial_as(server.address(), Arc::clone(&config))
            .await
            .unwrap();
        let asked = format!(
            "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n",
            server.address()
        );
        stream.write_all(asked.as_bytes()).await.unwrap();
        // The ticket comes with the answer.
        raw::read(&mut stream, false).await;
        stream.get_ref().1.handshake_kind().unwrap()
    };
    assert_eq!(kind().await, HandshakeKind::Full);
    assert_eq!(kind().await, HandshakeKind::Resumed);
    files.put("two.pem", "two.key");
    until_shown(&server, "two.pem").await;
    assert_eq!(kind().await, HandshakeKind::Full);
}

#[tokio::test]
async fn http_1_1_is_what_is_agreed_on() {
    let server = server().await;
    let offering = |protocols: &[&str]| {
        let mut config = tls::config();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        dial_as(server.address(), Arc::new(config))
    };
    let stream = offering(&["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let refused = offering(&["h2"]).await.unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
}

#[tokio::test]
async fn tls_1_3_is_spoken_and_1_2_with_who_knows_no_later_one() {
    for name in ["one", "rsa"] {
        let server = server_with(name, &[]).await;
        for (versions, expected) in [
            (&[&TLS12, &TLS13][..], ProtocolVersion::TLSv1_3),
            (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        ] {
            let config = Arc::new(tls::config_of(versions));
            let stream = dial_as(server.address(), config).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
            let url = format!("wss://{}/ws", server.address());
            let mut session = Client::over(Box::new(stream), &url, &[]).await.unwrap();
            session.lives().await;
        }
    }
}

/// A client's hello as TLS 1.1 has it, and no later one, with these extensions.
fn hello_of_tls_1_1(extensions: &[u8]) -> Vec<u8> {
    let random = [7; 32];
    let rest = [&[0][..], &[0, 2, 0xC0, 0x13], &[1, 0], extensions].concat();
    let body = [&[3, 2][..], &random, &rest].concat();
    let length = u8::try_from(body.len()).unwrap();
    let message = [&[1, 0, 0, length][..], &body].concat();
    let length = u8::try_from(message.len()).unwrap();
    [&[22, 3, 1, 0, length][..], &message].concat()
}

#[tokio::test]
async fn tls_1_1_is_refused_by_an_alert() {
    let server = server().await;
    // Of the signatures that a client takes only later versions speak. The alerts: handshake_failure, protocol_version.
    let signatures = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3];
    for (extensions, alert) in [(&[][..], 40), (&signatures[..], 70)] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let hello = hello_of_tls_1_1(extensions);
        stream.write_all(&hello).await.unwrap();
        let mut said = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said));
        read.await.expect("an end").unwrap();
        assert_eq!((said[0], &said[5..]), (21, &[2, alert][..]), "{said:?}");
    }
    assert_eq!(handshakes(&server, "refused").await, 2.0);
}

#[tokio::test]
async fn plain_http_to_a_port_of_tls_is_told_what_it_is() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let asked = format!(
        "POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{}",
        " ".repeat(100_000)
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let answer = raw::read(&mut stream, false).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text.contains("https:// or wss://"),
        "{}",
        answer.text
    );
    let logged = "the client speaks plain HTTP";
    eventually("it is logged", async || {
        server.logged().contains(logged).then_some(())
    })
    .await;
    assert_eq!(handshakes(&server, "plain_http").await, 1.0);
}

#[tokio::test]
async fn tls_to_a_port_of_plain_http_is_logged_and_not_once_for_each() {
    let server = Server::in_folder().await;
    for _ in 0..20 {
        dial_as(server.address(), Arc::new(tls::config()))
            .await
            .unwrap_err();
    }
    let said = server
        .logged()
        .matches("a client spoke TLS to a port of plain HTTP")
        .count();
    assert_eq!(said, 1, "{}", server.logged());
    server.client().await.lives().await;
}

/// How long a server lets a connection be on which it has been sent these bytes.
async fn left_after(server: &Server, bytes: &[u8]) -> Duration {
    let started = Instant::now();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut said = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said));
    // A reset is an end as well.
    drop(read.await.expect("it is left"));
    started.elapsed()
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_left_at_the_deadline() {
    let server = server().await;
    let hello = hello_of_tls_1_1(&[]);
    let whole = hello_of_tls_1_3();
    let slow = [&b""[..], &[22], &hello[..5], &hello[..30], &whole];
    let times = join_all(slow.map(|bytes| left_after(&server, bytes))).await;
    for time in times {
        let is_the_deadline = time >= HANDSHAKE_DEADLINE && time < 2 * HANDSHAKE_DEADLINE;
        assert!(is_the_deadline, "{time:?}");
    }
    assert_eq!(handshakes(&server, "timed_out").await, 5.0);
}

#[tokio::test]
async fn garbage_is_left_at_once() {
    let server = server().await;
    for bytes in [
        &b"\0"[..],
        b"\xFFabc",
        b"hello",
        &[22, 3, 1, 0, 4, 1, 2, 3, 4],
        &[22, 9, 9, 255, 255, 1],
    ] {
        let time = left_after(&server, bytes).await;
        assert!(time < HANDSHAKE_DEADLINE / 2, "{bytes:?}: {time:?}");
    }
    server.client().await.lives().await;
}

/// A hello that TLS 1.3 takes, from a client that then says no more.
fn hello_of_tls_1_3() -> Vec<u8> {
    use tokio_rustls::rustls::{ClientConnection, pki_types::ServerName};
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(tls::config()), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn a_handshake_takes_no_more_than_some_bytes() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // The beginning of a hello of 60 000 bytes, in records of 4 KiB.
    let mut record = vec![22, 3, 1, 16, 0];
    record.resize(5 + 4_096, 0);
    record[5..9].copy_from_slice(&[1, 0, 0xEA, 0x60]);
    let mut sent = 0;
    for _ in 0..15 {
        if stream.write_all(&record).await.is_err() {
            break;
        }
        record[5..9].fill(0);
        sent += record.len();
        if tokio::time::timeout(Duration::from_millis(100), stream.readable())
            .await
            .is_ok()
        {
            break;
        }
    }
    assert!(sent < 40 * 1024, "it was left after {sent} bytes");
    eventually("it is counted", async || {
        (handshakes(&server, "refused").await == 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_thousand_handshakes_that_do_not_go_on_cost_little_and_delay_no_session() {
    const COUNT: usize = 1_000;
    let server = server_with("rsa", &[]).await;
    let mut session = server.client().await;
    session.lives().await;
    let before = server.resident_bytes();
    let hello = hello_of_tls_1_3();
    let mut open = Vec::new();
    let mut slowest = Duration::ZERO;
    for n in 0..COUNT {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        open.push(stream);
        if n % 100 == 99 {
            let asked = Instant::now();
            session.lives().await;
            slowest = slowest.max(asked.elapsed());
        }
    }
    for stream in &mut open {
        stream.readable().await.unwrap();
    }
    let each = (server.resident_bytes() - before) / COUNT;
    println!(
        "a handshake that does not go on: {each} bytes; the slowest answer beside {COUNT}: {slowest:?}"
    );
    assert!(each < 64 * 1024, "{each} bytes each");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test]
async fn a_server_that_stops_ends_handshakes_and_tells_sessions_to_come_back() {
    let server = server().await;
    let mut session = server.client().await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    silent.write_all(&[22]).await.unwrap();
    let stopping = Instant::now();
    let stopped = tokio::spawn(server.stop());
    let End::Closed(code) = session.end().await else {
        panic!("the session was lost");
    };
    assert!(COME_BACK.contains(&code), "{code}");
    drop(session);
    stopped.await.unwrap();
    assert!(
        stopping.elapsed() < Duration::from_secs(5),
        "{:?}",
        stopping.elapsed()
    );
    let mut said = Vec::new();
    drop(silent.read_to_end(&mut said).await);
    assert!(said.is_empty(), "{said:?}");
}

#[tokio::test]
async fn a_client_that_stops_reading_is_sent_away_over_tls_as_well() {
    let server = server().await;
    let mut stalled = server.client().await;
    let mut writing = server.connect("/ws?changes=none").await;
    let text = "z".repeat(100_000);
    // More than the kernel and TLS hold for it, while it reads nothing.
    for _ in 0..60 {
        writing.create(json!({"text": text})).await;
    }
    let slow = async || (metric(&server, "livelog_slow_closes_total").await == 1.0).then_some(());
    eventually("it is sent away", slow).await;
    writing.lives().await;
    stalled.end().await;
}

/// The figure of a run of `livelog bench`.
async fn bench(server: &Server, words: &[&str], figure: &str) -> f64 {
    let scheme = if server.scheme() == "https" {
        "wss"
    } else {
        "ws"
    };
    let url = format!("{scheme}://{}/ws", server.address());
    let authority = fixture("authority.pem");
    let fixed = ["bench", "--url", &url, "--ca", &authority, "--json"];
    let output = livelog(&[&fixed, words].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report[figure]
        .as_f64()
        .unwrap_or_else(|| panic!("{figure}: {report}"))
}

#[tokio::test]
async fn tls_takes_a_part_of_the_speed_and_not_most_of_it() {
    let (plain, tls) = (Server::in_folder().await, server().await);
    for (words, figure) in [
        (
            &["commands", "--warm-up", "0", "--seconds", "2"][..],
            "acknowledged_commands_per_s",
        ),
        (
            &["deliveries", "--seconds", "2", "--sessions", "50"][..],
            "delivery_rate_deliveries_per_s",
        ),
    ] {
        let (mut without, mut with) = (0.0_f64, 0.0_f64);
        // By turns, and the best of each: what else the machine does slows either.
        for _ in 0..2 {
            without = without.max(bench(&plain, words, figure).await);
            with = with.max(bench(&tls, words, figure).await);
        }
        let ratio = with / without;
        println!("{figure}: {without:.0} plain, {with:.0} with TLS: {ratio:.2}");
        assert!(ratio > 0.3, "{figure}: {ratio}");
    }
}

#[tokio::test]
async fn sessions_that_come_all_at_once_are_all_served() {
    let server = server_with("rsa", &[]).await;
    let coming = (0..300).map(|_| server.connect("/ws?changes=none"));
    let mut sessions: Vec<Client> = join_all(coming).await;
    sessions[299].lives().await;
    assert_eq!(handshakes(&server, "done").await, 301.0);
}

//! How much of a node one principal may take, and that it takes nothing from the others.

use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use livelog::limits;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::database::{Database, scratch};
use crate::support::{Client, Server, eventually};

/// A server with an access file, and that file.
struct Guarded {
    server: Server,
    _folder: tempfile::TempDir,
}

/// Everything is allowed, within these limits.
fn role(limits: &Value) -> Value {
    json!({
        "read": true, "create": true, "update": true, "delete": true,
        "broadcast": {"send": true}, "past": "all", "operator": true, "limits": limits,
    })
}

fn key_of(id: &str) -> String {
    format!("lk_{id}_{}", "5a".repeat(32))
}

fn bearer(id: &str) -> String {
    format!("Bearer {}", key_of(id))
}

impl Guarded {
    /// Ann and Bob have the role with these limits; so has who shows no credentials, if that is told. Root has none.
    async fn with(limits: Value, has_guests: bool, arguments: &[&str]) -> Self {
        let folder = scratch();
        let key = |(id, role): (&str, &str)| {
            let digest = Sha256::digest(key_of(id));
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"id": id, "sha256": digest, "role": role})
        };
        let keys = [
            ("ann", "user"),
            ("bob", "user"),
            ("root", "free"),
            ("reader", "reader"),
        ];
        let keys = keys.map(key);
        let mut file = json!({
            "keys": keys,
            "roles": {"user": role(&limits), "free": role(&json!({})), "reader": {"read": true}},
        });
        if has_guests {
            file["anonymous"] = "user".into();
        }
        let path = folder.path().join("access.json");
        std::fs::write(&path, file.to_string()).unwrap();
        let all = [&["--access", path.to_str().unwrap()], arguments].concat();
        Self {
            server: Server::on(Database::alone().await, &all).await,
            _folder: folder,
        }
    }

    async fn client(&self, id: &str) -> Client {
        self.try_client(id).await.unwrap()
    }

    async fn try_client(&self, id: &str) -> Result<Client, Error> {
        let headers = [("authorization", &*bearer(id))];
        self.server.try_connect("/ws?changes=none", &headers).await
    }

    fn http(&self, id: &str, method: &str, path: &str) -> RequestBuilder {
        let request = self.server.http(method, path);
        request.header("authorization", bearer(id))
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = self.http("root", "GET", "/metrics").send().await.unwrap();
        let text = text.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }
}

/// Status, and the error if it is one; `Retry-After` besides.
async fn answer(request: RequestBuilder) -> (u16, Value, Option<u64>) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let wait = answer.headers().get("retry-after");
    let wait = wait.map(|wait| wait.to_str().unwrap().parse().unwrap());
    let body: Value = answer.json().await.unwrap();
    (status, body["error"].clone(), wait)
}

fn check_rate_limited(error: &Value) -> Duration {
    assert_eq!(error["code"], "rate_limited", "{error}");
    assert_eq!(error["retryable"], true, "{error}");
    Duration::from_millis(error["retryAfterMs"].as_u64().expect("retryAfterMs"))
}

#[tokio::test]
async fn all_sessions_and_requests_of_a_principal_share_one_rate() {
    let limits = json!({"writes": {"perSecond": 1, "burst": 9}});
    let guarded = Guarded::with(limits, false, &[]).await;
    let (mut one, mut other) = (guarded.client("ann").await, guarded.client("ann").await);
    let start = Instant::now();
    let mut done = 0;
    for _ in 0..8 {
        for client in [&mut one, &mut other] {
            let answer = client.request("CREATE", json!({"n": 1})).await;
            match answer["type"] == "response" {
                true => done += 1,
                false => drop(check_rate_limited(&answer["error"])),
            }
        }
        let posted = guarded
            .http("ann", "POST", "/api/events")
            .json(&json!({"n": 1}));
        let (status, error, wait) = answer(posted).await;
        match status {
            201 => done += 1,
            _ => {
                assert_eq!(status, 429);
                let exact = check_rate_limited(&error);
                assert_eq!(
                    wait,
                    Some(u64::try_from(exact.as_millis().div_ceil(1000)).unwrap())
                );
            }
        }
    }
    let allowed = 9 + start.elapsed().as_secs() + 1;
    assert!((9..=allowed).contains(&done), "{done} of {allowed}");
    one.lives().await;
    guarded
        .client("bob")
        .await
        .ok("CREATE", json!({"n": 1}))
        .await;
}

#[tokio::test]
async fn what_is_refused_is_answered_in_order_and_the_session_lives() {
    let limits = json!({"writes": {"perSecond": 1, "burst": 3}});
    let guarded = Guarded::with(limits, false, &[]).await;
    let mut client = guarded.client("ann").await;
    let frames = (0..6).flat_map(|n| {
        [
            json!({"type": "CREATE", "id": 2 * n, "payload": {"n": n}}),
            json!({"type": "FETCH", "id": 2 * n + 1, "payload": {}}),
        ]
    });
    client.send_all(frames).await;
    let mut wait = Duration::ZERO;
    for id in 0..12 {
        let answer = client.answer().await;
        assert_eq!(answer["id"], id, "{answer}");
        if id % 2 == 1 || id < 6 {
            assert_eq!(answer["type"], "response", "{answer}");
        } else if answer["type"] == "error" {
            wait = check_rate_limited(&answer["error"]);
            assert_eq!(answer["request"], "CREATE");
        }
    }
    assert!(!wait.is_zero(), "the last of them are too many");
    tokio::time::sleep(wait).await;
    client.ok("CREATE", json!({"n": 7})).await;
}

#[tokio::test]
async fn each_command_of_a_batch_counts_and_a_broadcast_does_too() {
    let limits = json!({"writes": {"perSecond": 1, "burst": 20}});
    let guarded = Guarded::with(limits, false, &[]).await;
    let mut client = guarded.client("ann").await;
    let batch = |count: usize| {
        let commands = vec![json!({"type": "CREATE", "payload": {"n": 1}}); count];
        json!({ "commands": commands })
    };
    assert_eq!(
        client.refused("BATCH", batch(21)).await["code"],
        "batch_too_large"
    );
    client.ok("BATCH", batch(15)).await;
    client.ok("BROADCAST", json!({"n": 1})).await;
    let wait = check_rate_limited(&client.refused("BATCH", batch(10)).await);
    assert!(wait > Duration::from_secs(2), "{wait:?}");
    let (status, error, _) =
        answer(guarded.http("ann", "POST", "/api/batch").json(&batch(10))).await;
    assert_eq!(status, 429);
    check_rate_limited(&error);
}

#[tokio::test]
async fn every_way_to_read_takes_of_one_rate() {
    let limits = json!({"reads": {"perSecond": 1, "burst": 7}});
    let guarded = Guarded::with(limits, false, &[]).await;
    let mut client = guarded.client("ann").await;
    client.ok("CREATE", json!({"_id": "e"})).await;
    let start = Instant::now();
    for path in [
        "/api/events",
        "/api/events/e",
        "/api/events/e/history",
        "/api/changes",
    ] {
        let status = guarded
            .http("ann", "GET", path)
            .send()
            .await
            .unwrap()
            .status();
        assert_eq!(status, 200, "{path}");
    }
    client.ok("FETCH", json!({})).await;
    // A ping and a write are none.
    client.send(&json!({"type": "PING", "id": 1})).await;
    assert_eq!(client.frame().await.unwrap()["type"], "pong");
    client
        .ok("SUBSCRIBE", json!({"sub": "a", "filter": {}}))
        .await;
    client.ok("CREATE", json!({"n": 1})).await;
    let mut refused = 0;
    for path in [
        "/api/events",
        "/api/events/e",
        "/api/events/e/history",
        "/api/changes",
    ] {
        let request = guarded.http("ann", "GET", path).send().await.unwrap();
        refused += usize::from(request.status() == 429);
    }
    let streamed = guarded
        .http("ann", "GET", "/api/changes")
        .header("accept", "text/event-stream");
    refused += usize::from(streamed.send().await.unwrap().status() == 429);
    for (kind, payload) in [
        ("FETCH", json!({})),
        ("SUBSCRIBE", json!({"sub": "b", "filter": {}})),
    ] {
        let answer = client.request(kind, payload).await;
        refused += usize::from(answer["error"]["code"] == "rate_limited");
    }
    let gained = usize::try_from(start.elapsed().as_secs()).unwrap() + 1;
    assert!(refused + gained >= 6, "{refused} refused, {gained} gained");
    assert!(refused > 0);
}

#[tokio::test]
async fn bytes_of_requests_are_counted_before_anything_is_done_about_them() {
    let limits = json!({"bytes": {"perSecond": 1000, "burst": 20_000}});
    let guarded = Guarded::with(limits, false, &[]).await;
    let mut client = guarded.client("ann").await;
    let text = |bytes: usize| json!({"text": "x".repeat(bytes)});
    client.ok("CREATE", text(12_000)).await;
    check_rate_limited(&client.refused("CREATE", text(12_000)).await);
    let posted = guarded
        .http("ann", "POST", "/api/events")
        .json(&text(12_000));
    let (status, error, wait) = answer(posted).await;
    assert_eq!((status, wait.is_some()), (429, true));
    check_rate_limited(&error);
    assert_eq!(
        client.refused("CREATE", text(21_000)).await["code"],
        "message_too_large"
    );
    let posted = guarded
        .http("ann", "POST", "/api/events")
        .json(&text(21_000));
    assert_eq!(answer(posted).await.0, 413);
    client.ok("CREATE", text(10)).await;
}

#[tokio::test]
async fn a_principal_has_so_many_sessions_whatever_they_are() {
    let limits = json!({"sessions": 2, "subscriptions": 1});
    let guarded = Guarded::with(limits, false, &[]).await;
    let mut socket = guarded.client("ann").await;
    let stream = guarded
        .http("ann", "GET", "/api/changes")
        .header("accept", "text/event-stream");
    let stream = stream.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let Err(Error::Http(refused)) = guarded.try_client("ann").await else {
        panic!("a third session");
    };
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "5");
    guarded.client("bob").await;
    socket
        .ok("SUBSCRIBE", json!({"sub": "a", "filter": {}}))
        .await;
    let another = socket
        .refused("SUBSCRIBE", json!({"sub": "b", "filter": {}}))
        .await;
    assert_eq!(another["code"], "too_many_subscriptions");
    drop(stream);
    let again = eventually("the stream has given its seat back", async || {
        guarded.try_client("ann").await.ok()
    });
    drop(again.await);
}

#[tokio::test]
async fn who_shows_no_credentials_is_counted_by_address_which_only_a_trusted_proxy_may_tell() {
    let limits = json!({"writes": {"perSecond": 1, "burst": 4}});
    for (arguments, are_told_apart) in [
        (&["--trusted-proxy", "127.0.0.0/8"][..], true),
        (&["--trusted-proxy", "10.0.0.0/8,::1"], false),
        (&[], false),
    ] {
        let guarded = Guarded::with(limits.clone(), true, arguments).await;
        let mut done = 0;
        let start = Instant::now();
        for client in 1..=5 {
            for _ in 0..4 {
                let request = guarded.server.http("POST", "/api/events");
                let forwarded = format!("198.51.100.{client}, 203.0.113.{client}, 127.0.0.9");
                let request = request.header("x-forwarded-for", forwarded);
                done += u64::from(answer(request.json(&json!({"n": 1}))).await.0 == 201);
            }
        }
        match are_told_apart {
            true => assert_eq!(done, 20),
            false => assert!(done <= 4 + start.elapsed().as_secs() + 1, "{done}"),
        }
    }
}

#[tokio::test]
async fn so_many_sockets_of_one_address_may_wait_to_show_who_they_are() {
    let guarded = Guarded::with(json!({}), false, &[]).await;
    let address = guarded.server.address().to_owned();
    let upgrade = || {
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        handshake(address.clone(), request)
    };
    let mut waiting = Vec::new();
    for _ in 0..limits::LOBBY_ADDRESS_MAX {
        let (status, stream) = upgrade().await;
        assert_eq!(status, 101);
        waiting.push(stream);
    }
    assert_eq!(upgrade().await.0, 429);
    // Who shows credentials with the handshake does not wait.
    guarded.client("ann").await.lives().await;
    waiting.pop();
    let another = eventually("a seat is given back", async || {
        let (status, stream) = upgrade().await;
        (status == 101).then_some(stream)
    });
    another.await;
}

/// The status of the answer to a handshake, and the connection.
async fn handshake(address: String, request: String) -> (u16, tokio::net::TcpStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    let head = std::str::from_utf8(&head).unwrap();
    (head[9..].parse().unwrap(), stream)
}

#[tokio::test]
async fn denials_are_counted_and_logged_with_who_it_was_and_nothing_that_they_sent() {
    let limits = json!({"writes": {"perSecond": 1, "burst": 1}});
    let guarded = Guarded::with(limits, false, &[]).await;
    let mut client = guarded.client("ann").await;
    for _ in 0..3 {
        client.request("CREATE", json!({"secret": "s3cr3t"})).await;
    }
    let mut reader = guarded.client("reader").await;
    let refused = reader.refused("CREATE", json!({"secret": "s3cr3t"})).await;
    assert_eq!(refused["code"], "forbidden");
    let (status, _, _) = answer(
        guarded
            .http("reader", "POST", "/api/broadcast")
            .json(&json!({"s": "s3cr3t"})),
    )
    .await;
    assert_eq!(status, 403);
    let nobody = guarded
        .server
        .http("GET", "/api/events")
        .header("authorization", bearer("nobody"));
    assert_eq!(answer(nobody).await.0, 401);
    for (code, least) in [
        ("rate_limited", 1.0),
        ("forbidden", 2.0),
        ("unauthenticated", 1.0),
    ] {
        let name = format!("livelog_denials_total{{code=\"{code}\"}}");
        let counted = guarded.metric(&name).await;
        assert!(counted >= least, "{name} {counted}");
    }
    let log = guarded.server.logged();
    let line = |code: &str| {
        let mut lines = log.lines();
        let line = lines.find(|line| line.contains("denied") && line.contains(code));
        line.unwrap_or_else(|| panic!("no line about {code} in\n{log}"))
    };
    assert!(line("rate_limited").contains("ann"));
    assert!(line("forbidden").contains("reader"));
    assert!(line("unauthenticated").contains("127.0.0.1"));
    assert!(
        !log.contains("s3cr3t") && !log.contains(&"5a".repeat(32)),
        "{log}"
    );
}

/// Writes one after the other for a while: how long each took.
async fn latencies(client: &mut Client, during: Duration) -> Vec<Duration> {
    let start = Instant::now();
    let mut took = Vec::new();
    while start.elapsed() < during {
        let sent = Instant::now();
        client.ok("CREATE", json!({"n": 1})).await;
        took.push(sent.elapsed());
    }
    took.sort_unstable();
    took
}

/// Writes as much as a socket takes: how much was done, and how much was refused.
async fn flood(mut client: Client, during: Duration) -> (usize, usize) {
    const IN_FLIGHT: usize = 32;
    let start = Instant::now();
    let frame = || json!({"type": "CREATE", "payload": {"text": "x".repeat(500)}});
    let (mut done, mut refused) = (0, 0);
    client.send_all((0..IN_FLIGHT).map(|_| frame())).await;
    while start.elapsed() < during {
        match client.answer().await["type"] == "response" {
            true => done += 1,
            false => refused += 1,
        }
        client.send(&frame()).await;
    }
    (done, refused)
}

/// How long each write of one took beside the flood of another, and what came of that.
async fn beside_flood(
    guarded: &Guarded,
    of: &str,
    during: Duration,
) -> (Vec<Duration>, usize, usize) {
    let mut client = guarded.client("root").await;
    let floods = join_all((0..4).map(|_| guarded.client(of))).await;
    let floods = floods
        .into_iter()
        .map(|client| tokio::spawn(flood(client, during)));
    let floods: Vec<_> = floods.collect();
    let took = latencies(&mut client, during).await;
    let floods = join_all(floods).await.into_iter().map(Result::unwrap);
    let (done, refused) = floods.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    (took, done, refused)
}

// Several threads, so that whoever floods takes none of the time in which the other is measured.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_user_who_floods_does_not_slow_another() {
    const DURING: Duration = Duration::from_secs(3);
    const RATE: usize = 100;
    let limits = json!({"writes": {"perSecond": RATE, "burst": RATE}});
    let guarded = Guarded::with(limits, false, &[]).await;
    let alone = latencies(&mut guarded.client("root").await, DURING).await;
    let (beside, done, refused) = beside_flood(&guarded, "ann", DURING).await;
    let (unlimited, all, none) = beside_flood(&guarded, "root", DURING).await;
    let at = |sorted: &[Duration], percent: usize| sorted[(sorted.len() - 1) * percent / 100];
    for (name, took) in [
        ("alone", &alone),
        ("beside a flood within limits", &beside),
        ("beside one without", &unlimited),
    ] {
        let (half, most) = (at(took, 50), at(took, 99));
        println!(
            "{name}: {} writes, 50 % {half:?}, 99 % {most:?}",
            took.len()
        );
    }
    println!("the flood: {done} done, {refused} refused; without limits {all}");
    assert_eq!(none, 0);
    assert!(
        done <= RATE * (usize::try_from(DURING.as_secs()).unwrap() + 2),
        "{done} done"
    );
    // Each is followed by a pause, of four sockets together.
    assert!(
        (1..=8 * RATE * usize::try_from(DURING.as_secs()).unwrap()).contains(&refused),
        "{refused} refused"
    );
    let bound = 5 * at(&alone, 50) + Duration::from_millis(20);
    assert!(
        at(&beside, 50) < bound,
        "{:?} against {bound:?}",
        at(&beside, 50)
    );
}

#[tokio::test]
async fn a_socket_that_shows_credentials_with_no_session_left_is_closed_and_may_come_back() {
    let guarded = Guarded::with(json!({"sessions": 1}), false, &[]).await;
    let _one = guarded.client("ann").await;
    let url = format!("ws://{}/ws", guarded.server.address());
    let (mut socket, _) = connect_async(url).await.unwrap();
    let auth = json!({"type": "AUTH", "id": 1, "payload": {"token": key_of("ann")}});
    socket.send(Message::text(auth.to_string())).await.unwrap();
    let error = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let error: Value = serde_json::from_str(&error).unwrap();
    check_rate_limited(&error["error"]);
    let Some(Ok(Message::Close(Some(close)))) = socket.next().await else {
        panic!("it is not closed");
    };
    assert_eq!(u16::from(close.code), 4004);
}

/// Ten conditions on each element of arrays of twenty thousand: a match takes many times as long as to read the event.
fn costly_filter() -> Value {
    let each = (0..10).map(|n| json!({"numbers": {"$elemMatch": {"$gt": 90_000 + n}}}));
    json!({"$or": each.collect::<Vec<_>>()})
}

/// Asks the same again and again for a while: how long each took.
async fn asked(guarded: &Guarded, of: &str, query: &str, during: Duration) -> Vec<Duration> {
    let start = Instant::now();
    let mut took = Vec::new();
    while start.elapsed() < during {
        let sent = Instant::now();
        let answer = guarded.http(of, "GET", query).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap();
        took.push(sent.elapsed());
    }
    took.sort_unstable();
    took
}

/// The measure is another session of who floods, which waits for its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn costly_reads_of_one_user_do_not_slow_those_of_another() {
    const DURING: Duration = Duration::from_secs(6);
    let guarded = Guarded::with(json!({}), false, &[]).await;
    let mut ann = guarded.client("ann").await;
    let numbers: Vec<usize> = (0..20_000).collect();
    for n in 0..40 {
        let event = json!({"_id": format!("large{n}"), "numbers": numbers});
        ann.ok("CREATE", event).await;
    }
    ann.ok("CREATE", json!({"_id": "small", "of": "bob"})).await;
    let costly = format!("/api/events?filter={}&limit=10", costly_filter());
    let small = r#"/api/events?filter={"of":"bob"}&limit=10"#;
    let alone = asked(&guarded, "bob", small, DURING / 4).await;
    let floods = (0..16).map(|_| asked(&guarded, "ann", &costly, DURING));
    let (floods, bob, own) = tokio::join!(
        join_all(floods),
        asked(&guarded, "bob", small, DURING),
        asked(&guarded, "ann", small, DURING),
    );
    let done: usize = floods.iter().map(Vec::len).sum();
    let half = |sorted: &[Duration]| sorted[sorted.len() / 2];
    let (alone, bob, own) = (half(&alone), half(&bob), half(&own));
    println!(
        "alone {alone:?}; beside {done} costly reads {bob:?}, and who asked for these {own:?}"
    );
    assert!(bob * 3 < own, "{bob:?} against {own:?}");
}

/// Two patterns that take as much memory as one may.
fn large_filter(salt: &str) -> Value {
    let pattern = |k: usize| json!({"t": {"$regex": format!(r"\w{{5}}{salt}x{k}")}});
    json!({"$or": [pattern(0), pattern(1)]})
}

/// Subscribes to large filters, until that is refused or there are so many.
async fn fill_with_patterns(client: &mut Client, salt: usize) -> Option<Value> {
    for n in 0..limits::SESSION_SUBSCRIPTIONS_MAX {
        let filter = large_filter(&format!("{salt}x{n}"));
        let subscribe = json!({"sub": format!("s{n}"), "filter": filter});
        let answer = client.request("SUBSCRIBE", subscribe).await;
        if answer["type"] == "error" && answer["error"]["code"] != "too_many_subscriptions" {
            return Some(answer["error"].clone());
        }
        if answer["type"] == "error" {
            return None;
        }
    }
    None
}

/// Sessions of Ann whose filters leave her no room for more.
async fn sessions_that_fill_the_room(guarded: &Guarded) -> Vec<Client> {
    let mut sessions = Vec::new();
    loop {
        let mut ann = guarded.client("ann").await;
        let refused = fill_with_patterns(&mut ann, sessions.len()).await;
        sessions.push(ann);
        if let Some(refused) = refused {
            check_own_filters(&refused);
            return sessions;
        }
        assert!(sessions.len() < 32, "ann is never refused");
    }
}

fn check_own_filters(refused: &Value) {
    assert_eq!(refused["code"], "busy", "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("that you ask for"), "{refused}");
}

#[tokio::test]
async fn filters_of_one_user_leave_room_for_those_of_another() {
    let guarded = Guarded::with(json!({}), false, &[]).await;
    let sessions = sessions_that_fill_the_room(&guarded).await;
    let reads = ["/api/events", "/api/changes"];
    for path in reads.map(|path| format!("{path}?filter={}", large_filter("read"))) {
        let (_, refused, _) = answer(guarded.http("ann", "GET", &path)).await;
        check_own_filters(&refused);
        let (status, error, _) = answer(guarded.http("bob", "GET", &path)).await;
        assert_eq!(status, 200, "{path}: {error}");
    }
    let mut bob = guarded.client("bob").await;
    assert_eq!(fill_with_patterns(&mut bob, 99).await, None);
    drop(sessions);
    eventually("ann has room again", async || {
        let mut ann = guarded.client("ann").await;
        fill_with_patterns(&mut ann, 100)
            .await
            .is_none()
            .then_some(())
    })
    .await;
}

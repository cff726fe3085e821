//! HTTP as its users' tools speak it: every refusal is an error object that its client can read, whoever made it.

use std::time::{Duration, Instant};

use livelog::limits;
use livelog::protocol::Code;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::dice::{Dice, number};
use crate::support::raw::{self, Answer, ask};
use crate::support::{DEADLINE, Database, Server};

/// Every request that reached a limb of the server which once answered in other words, and what it is answered.
const REQUESTS: &str = include_str!("../fixtures/http/requests.jsonl");

/// Larger than any buffer between a client and the server.
const UPLOAD_BYTES: usize = 8 * 1000 * 1000;

/// `{host}` is the server's address, `{fill:9}` nine letters; every other character is one byte.
fn bytes(template: &str, server: &Server) -> Vec<u8> {
    let mut text = template.replace("{host}", server.address());
    while let Some(at) = text.find("{fill:") {
        let end = at + text[at..].find('}').unwrap();
        let count = text[at + 6..end].parse().unwrap();
        text.replace_range(at..=end, &"x".repeat(count));
    }
    let byte = |char| u8::try_from(u32::from(char)).expect("one byte");
    text.chars().map(byte).collect()
}

/// What holds for every answer, whatever was asked.
fn check(asked: &str, answer: &Answer) {
    let is_refusal = answer.status >= 400;
    let shown = format!("{asked:.1500}\n{answer:?}");
    if answer.status != 101 {
        assert_eq!(
            answer.header("x-content-type-options"),
            "nosniff",
            "{shown}"
        );
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{shown}");
        assert!(answer.headers.contains_key("cache-control"), "{shown}");
    }
    assert!(!answer.text.contains('\u{fffd}'), "{shown}");
    if !is_refusal {
        return;
    }
    assert_eq!(answer.header("content-type"), "application/json", "{shown}");
    let has_length = answer
        .header("content-length")
        .parse::<usize>()
        .is_ok_and(|length| length > 0);
    assert!(has_length, "{shown}");
    if asked.starts_with("HEAD ") {
        assert_eq!(answer.text, "", "{shown}");
        return;
    }
    let error = &answer.body["error"];
    let code = Code::ALL
        .into_iter()
        .find(|code| error["code"] == code.as_str());
    let code = code.unwrap_or_else(|| panic!("no code of the table: {shown}"));
    assert_eq!(code.http_status(), answer.status, "{shown}");
    assert_eq!(answer.body["success"], false, "{shown}");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{shown}"
    );
}

#[tokio::test]
async fn every_request_is_answered_with_the_status_and_code_that_it_deserves() {
    let server = Server::in_folder().await;
    let mut wrong = Vec::new();
    for line in REQUESTS.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let asked = case["send"].as_str().unwrap();
        let answer = ask(&server, &bytes(asked, &server)).await;
        check(asked, &answer);
        let told = (json!(answer.status), json!(answer.code()));
        let is_head = asked.starts_with("HEAD ");
        let code = case.get("code").cloned().unwrap_or(json!(""));
        let headers = case["headers"].as_object();
        let named = headers.is_none_or(|headers| {
            headers
                .iter()
                .all(|(name, value)| answer.header(name) == value)
        });
        if told != (case["status"].clone(), code) || !named || (is_head && !answer.text.is_empty())
        {
            wrong.push(format!("{asked:.200?}\n   {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut client = server.client().await;
    client.lives().await;
    assert_eq!(client.welcome["seq"], 0, "none had an effect");
}

/// Requests put together by chance from good parts and bad ones.
#[tokio::test]
async fn whatever_is_asked_what_is_not_done_is_an_error_object() {
    let seed = number("LIVELOG_HTTP_SEED").unwrap_or(0x11fe);
    let long = std::env::var_os("LIVELOG_LONG_TESTS").is_some();
    let server = Server::in_folder().await;
    for case in 0..if long { 20_000 } else { 1_500 } {
        let mut dice = Dice::new(seed, case);
        let asked = request(&mut dice, server.address());
        let answer = ask(&server, asked.as_bytes()).await;
        check(
            &format!("{asked}\nLIVELOG_HTTP_SEED={seed:#x} case {case}"),
            &answer,
        );
        let is_head = asked.starts_with("HEAD ");
        assert!(!is_head || answer.text.is_empty(), "case {case}: {asked}");
    }
    server.client().await.lives().await;
}

fn request(dice: &mut Dice, address: &str) -> String {
    let mut pick = |from: &[&str]| from[dice.below(from.len() as u64)].to_owned();
    let method = pick(&[
        "GET", "GET", "HEAD", "POST", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "BREW",
        "get",
    ]);
    let path = pick(&[
        "/ws",
        "/api/events",
        "/api/events",
        "/api/events/e",
        "/api/events/%FF",
        "/api/events/a%2Fb",
        "/api/events/e/history",
        "/api/events/e/restore",
        "/api/batch",
        "/api/broadcast",
        "/api/changes",
        "/healthz",
        "/readyz",
        "/",
        "/api/events/..",
        "*",
    ]);
    let query = pick(&[
        "",
        "",
        "",
        "?",
        "?filter=%7B%7D",
        "?filter=%7B",
        "?limit=0",
        "?after=0",
        "?after=9",
        "?fields=a,b",
        "?%FF",
        "?a=%zz",
        "?at=0",
        "?cursor=x",
        "?minSeq=x",
        "?=&=&&",
        "?snapshot=maybe",
        "?order=oldest",
    ]);
    let version = pick(&[
        "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1",
    ]);
    let mut asked = format!("{method} {path}{query} {version}\r\n");
    let hosts = [
        address,
        address,
        address,
        address,
        "localhost",
        "evil.example",
        "",
        "a b",
    ];
    asked += &format!("Host: {}\r\n", pick(&hosts));
    for _ in 0..3 {
        asked += &pick(&[
            "",
            "",
            "",
            "Origin: null\r\n",
            "Origin: http://localhost\r\n",
            "Origin: ftp://localhost\r\n",
            "If-Match: \"1\"\r\n",
            "If-Match: x\r\n",
            "If-None-Match: *\r\n",
            "Last-Event-ID:\r\n",
            "Last-Event-ID: x\r\n",
            "Accept: text/event-stream;q=0\r\n",
            "Accept: application/json\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "Sec-WebSocket-Version: 13\r\n",
            "Content-Encoding: gzip\r\n",
            "Idempotency-Key: \u{e9}\r\n",
            "bad\r\n",
            "A: b\r\n",
            "Access-Control-Request-Method: POST\r\n",
            "Connection: close\r\n",
        ]);
    }
    let kind = pick(&[
        "application/json",
        "application/json",
        "application/merge-patch+json",
        "text/plain",
        "a",
    ]);
    let body = pick(&[
        "",
        "{}",
        "{}",
        "[1]",
        "{",
        "1",
        "{\"_id\":\"..\"}",
        "{\"a\":1}",
        "{\"version\":1}",
        "{\"commands\":[]}",
        "{\"a\":1,\"a\":2}",
        "\"x\"",
    ]);
    asked
        + &format!(
            "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
}

#[tokio::test]
async fn who_uploads_too_much_hears_that_it_is_too_large() {
    let server = Server::in_folder().await;
    let host = server.address();
    let content = "Content-Type: application/json";
    let sized = format!("Content-Length: {UPLOAD_BYTES}\r\n\r\n");
    let plain = vec![b' '; UPLOAD_BYTES];
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let chunks = [chunk.repeat(UPLOAD_BYTES / 0x10000), b"0\r\n\r\n".to_vec()].concat();
    for (head, body, status) in [
        (
            format!("POST /api/events HTTP/1.1\r\nHost: {host}\r\n{content}\r\n{sized}"),
            &plain,
            413,
        ),
        (
            format!(
                "PATCH /api/events/e HTTP/1.1\r\nHost: {host}\r\n{content}\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
            &chunks,
            413,
        ),
        // Whatever the reason of the refusal is.
        (
            format!(
                "POST /api/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n{sized}"
            ),
            &plain,
            415,
        ),
        (
            format!("POST /api/events HTTP/1.1\r\nHost: evil.example\r\n{sized}"),
            &plain,
            403,
        ),
        (
            format!("POST /nowhere HTTP/1.1\r\nHost: {host}\r\n{sized}"),
            &plain,
            404,
        ),
        (
            format!("PUT /api/events HTTP/1.1\r\nHost: {host}\r\n{sized}"),
            &plain,
            405,
        ),
        (
            format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nA: "),
            &plain,
            431,
        ),
    ] {
        let mut stream = TcpStream::connect(host).await.unwrap();
        // As simple clients do: first all is sent, then the answer is read.
        let sending = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await
        };
        let sent = tokio::time::timeout(DEADLINE, sending)
            .await
            .expect("room to send");
        sent.unwrap_or_else(|error| panic!("{head}: {error}"));
        let answer = raw::read(&mut stream, false).await;
        assert_eq!(answer.status, status, "{head}: {answer:?}");
        check(&head, &answer);
    }
}

#[tokio::test]
async fn a_client_that_goes_on_sending_is_cut_off() {
    let server = Server::in_folder().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /nowhere HTTP/1.1\r\nHost: {}\r\nContent-Length: 999999999999\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b' '; 1024 * 1024];
    let mut sent = 0;
    let started = Instant::now();
    while stream.write_all(&piece).await.is_ok() {
        sent += piece.len();
        assert!(
            sent < 2 * limits::LINGERING_CLOSE_BYTES_MAX,
            "it is still read"
        );
        assert!(started.elapsed() < limits::LINGERING_CLOSE_DEADLINE + DEADLINE);
    }
}

#[tokio::test]
async fn who_waits_for_leave_is_refused_before_it_sends() {
    let server = Server::in_folder().await;
    let head = |length: usize| {
        let host = server.address();
        format!(
            "POST /api/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream
        .write_all(head(UPLOAD_BYTES).as_bytes())
        .await
        .unwrap();
    let answer = raw::read(&mut stream, false).await;
    assert_eq!((answer.status, answer.code()), (413, "message_too_large"));
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(head(2).as_bytes()).await.unwrap();
    assert_eq!(raw::read(&mut stream, false).await.status, 100);
    stream.write_all(b"{}").await.unwrap();
    assert_eq!(raw::read(&mut stream, false).await.status, 201);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::in_folder().await;
    let host = server.address();
    let head = format!(
        "POST /api/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    // One that breaks off is refused at once …
    let mut broken = TcpStream::connect(host).await.unwrap();
    broken.write_all(head.as_bytes()).await.unwrap();
    broken.shutdown().await.unwrap();
    let mut said = Vec::new();
    tokio::time::timeout(DEADLINE, broken.read_to_end(&mut said))
        .await
        .unwrap()
        .ok();
    let said = String::from_utf8(said).unwrap();
    assert!(said.is_empty() || said.contains("bad_request"), "{said}");
    // … and one that is late when its time is over.
    let mut late = TcpStream::connect(host).await.unwrap();
    late.write_all(head.as_bytes()).await.unwrap();
    let started = Instant::now();
    let answer = raw::read(&mut late, false).await;
    assert_eq!((answer.status, answer.code()), (408, "timed_out"));
    assert!(started.elapsed() > limits::BODY_READ_DEADLINE / 2);
}

/// Hosts, origins and codings are all refused before they cost anything, so a connection takes the next request.
#[tokio::test]
async fn a_connection_goes_on_after_a_refusal() {
    let server = Server::in_folder().await;
    let host = server.address();
    let mut stream = TcpStream::connect(host).await.unwrap();
    for (head, status) in [
        ("GET /nowhere HTTP/1.1", 404),
        ("GET /api/events/%FF HTTP/1.1", 400),
        ("GET /ws HTTP/1.1", 426),
        ("PUT /api/events HTTP/1.1", 405),
        ("GET /healthz HTTP/1.1", 200),
    ] {
        let head = format!("{head}\r\nHost: {host}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(raw::read(&mut stream, false).await.status, status, "{head}");
    }
}

/// What is left of a body would be taken for a request, so the connection ends; and no client sends another into it.
#[tokio::test]
async fn whoever_is_refused_before_the_body_is_read_hears_that_the_connection_ends() {
    let server = Server::in_folder().await;
    let host = server.address();
    let body = "x".repeat(7_000);
    for (head, status) in [
        ("POST /nowhere HTTP/1.1", 404),
        ("POST /api/events HTTP/1.1\r\nContent-Type: text/plain", 415),
        (
            "POST /api/events?a=1 HTTP/1.1\r\nContent-Type: application/json",
            400,
        ),
        (
            "POST /api/events HTTP/1.1\r\nOrigin: http://evil.example",
            403,
        ),
        ("PUT /api/events HTTP/1.1", 405),
        ("GET /healthz HTTP/1.1", 200),
    ] {
        let length = body.len();
        let head = format!("{head}\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = raw::read(&mut stream, false).await;
        assert_eq!(answer.status, status, "{head}");
        assert_eq!(answer.header("connection"), "close", "{head}");
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let reading = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest));
        reading.await.expect("it ends").ok();
        assert_eq!(rest, b"", "{head}");
    }
}

#[tokio::test]
async fn a_stream_is_what_accept_asks_for() {
    let server = Server::in_folder().await;
    for (accept, kind) in [
        ("text/event-stream", "text/event-stream"),
        ("TEXT/Event-Stream", "text/event-stream"),
        ("text/event-stream;q=0", "application/json"),
        ("*/*", "application/json"),
        (
            "application/json, text/event-stream;q=0.1",
            "application/json",
        ),
    ] {
        let request = server.http("GET", "/api/changes");
        // An EventSource that has heard no id is new.
        let request = request.header("accept", accept).header("last-event-id", "");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{accept}");
        assert_eq!(response.headers()["content-type"], kind, "{accept}");
    }
}

#[tokio::test]
async fn one_event_may_be_kept_by_who_asked_for_it_and_nothing_else() {
    let server = Server::in_folder().await;
    server.client().await.create(json!({"_id": "e"})).await;
    for (path, tag, status, kept) in [
        ("/api/events/e", "", 200, "private, no-cache"),
        ("/api/events/e", "\"1\"", 304, "private, no-cache"),
        ("/api/events/f", "", 404, "no-store"),
        ("/api/events", "", 200, "no-store"),
        ("/api/changes", "", 200, "no-store"),
        ("/readyz", "", 200, "no-store"),
    ] {
        let mut request = server.http("GET", path);
        if !tag.is_empty() {
            request = request.header("if-none-match", tag);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{path} {tag}");
        assert_eq!(response.headers()["cache-control"], kept, "{path} {tag}");
    }
}

/// As a browser resolves it: `Location` is the address of the event, whatever its id is.
#[tokio::test]
async fn every_id_is_found_at_its_location() {
    let server = Server::in_folder().await;
    let seed = number("LIVELOG_HTTP_SEED").unwrap_or(0x1d);
    let mut dice = Dice::new(seed, 1);
    let parts: Vec<char> = "./\\%2eE?#&=+:;@ \t\r\n\u{1}\"'<>[]{}|^`~é\u{301}\u{202e}😀aZ09_-*"
        .chars()
        .collect();
    let mut ids: Vec<String> = parts
        .iter()
        .map(char::to_string)
        .filter(|id| id != ".")
        .collect();
    ids.extend(
        [
            "...",
            ".a",
            "a.",
            "%2e",
            "%2E%2e",
            "./",
            "../x",
            "/",
            "//",
            "x/history",
            "%",
        ]
        .map(str::to_owned),
    );
    for _ in 0..200 {
        let length = dice.below(8) + 2;
        ids.push(
            (0..length)
                .map(|_| parts[dice.below(parts.len() as u64)])
                .collect(),
        );
    }
    ids.sort();
    ids.dedup();
    for id in ids.iter().filter(|id| *id != "..") {
        let created = server.http("POST", "/api/events").json(&json!({"_id": id}));
        let created = created.send().await.unwrap();
        assert_eq!(created.status(), 201, "{id:?}");
        let location = created.headers()["location"].to_str().unwrap().to_owned();
        // reqwest resolves dots as browsers do.
        let found = server.get(&location, &[]).await.1;
        assert_eq!(found["data"]["_id"], *id, "{location}");
        let deleted = server.http("DELETE", &location).send().await.unwrap();
        assert_eq!(deleted.status(), 200, "{location}");
    }
}

#[tokio::test]
async fn an_id_that_no_address_can_name_is_refused_on_every_way_in() {
    let server = Server::in_folder().await;
    let mut client = server.client().await;
    for id in [".", ".."] {
        let create = json!({"_id": id});
        let error = client.refused("CREATE", create.clone()).await;
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("bad_request"), &json!("payload._id"))
        );
        let batch = json!({"commands": [{"type": "CREATE", "payload": create}]});
        assert_eq!(client.refused("BATCH", batch).await["code"], "bad_request");
    }
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn a_variable_that_is_set_to_nothing_is_not_set() {
    let folder = Database::folder();
    let mut command = std::process::Command::new(crate::support::server::BINARY);
    for name in [
        "LISTEN",
        "ALLOW_HOST",
        "ALLOW_ORIGIN",
        "WINDOW_BYTES",
        "LOG",
        "DATA",
        "DATABASE",
    ] {
        command.env(format!("LIVELOG_{name}"), "");
    }
    command.env("MONGODB_URI", "").args(folder.arguments());
    // All variables are read before the flag is.
    let said = command.args(["--allow-host", "no/host"]).output().unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("--allow-host \"no/host\""), "{said}");
}

/// What stands between may hold a connection open; a server that stops does not wait for it.
#[tokio::test]
async fn a_client_that_keeps_its_side_open_does_not_hold_up_the_end() {
    let server = Server::in_folder().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    raw::read(&mut stream, false).await;
    let started = Instant::now();
    server.stop().await;
    assert!(started.elapsed() < limits::LINGERING_CLOSE_SILENCE + Duration::from_secs(5));
}

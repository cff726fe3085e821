//! Which web pages may connect. A browser lets any page open a WebSocket anywhere, and says only in `Origin`
//! whose page it is.

use tokio_tungstenite::tungstenite::Error;

use crate::support::raw::{self, Answer, ask};
use crate::support::{Database, Server, eventually};

async fn refused(server: &Server, origin: &str) -> bool {
    match server.try_connect("/ws", &[("origin", origin)]).await {
        Ok(_) => false,
        Err(Error::Http(response)) => {
            assert_eq!(response.status(), 403, "{origin}");
            let body = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
            assert!(body.contains("forbidden_origin"), "{body}");
            true
        }
        Err(error) => panic!("{origin}: {error}"),
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_turned_away() {
    let server = Server::start().await;
    let port = server.address().rsplit_once(':').unwrap().1.to_owned();
    for origin in [
        "http://evil.example".to_owned(),
        format!("http://127.0.0.1.evil.example:{port}"),
        format!("http://127.0.0.1:{port}0"),
        format!("http://evil.example:{port}"),
        "null".to_owned(),
        "nonsense".to_owned(),
    ] {
        assert!(refused(&server, &origin).await, "{origin}");
    }
}

#[tokio::test]
async fn own_pages_and_programs_are_let_in() {
    let server = Server::start().await;
    assert!(!refused(&server, &format!("http://{}", server.address())).await);
    server.client().await.lives().await;
}

#[tokio::test]
async fn listed_sites_are_let_in() {
    let server = Server::on(
        Database::shared().await,
        &[
            "--allow-origin",
            "https://app.example",
            "--allow-origin",
            "http://localhost:5173",
        ],
    )
    .await;
    assert!(!refused(&server, "https://app.example").await);
    assert!(!refused(&server, "http://localhost:5173").await);
    assert!(refused(&server, "http://app.example").await);
    assert!(refused(&server, "https://app.example.evil.example").await);
    assert!(refused(&server, "https://app.example:444").await);
}

/// A request as a browser makes one whose page came from `host`, or from `origin`.
async fn sent(server: &Server, head: &str, host: &str, origin: &str) -> Answer {
    let origin = match origin {
        "" => String::new(),
        origin => format!("Origin: {origin}\r\n"),
    };
    let asked = format!("{head} HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
    ask(server, asked.as_bytes()).await
}

#[tokio::test]
async fn names_that_the_operator_lists_are_this_server() {
    let hosts = "live.example.org,*.apps.example:8443";
    let server = Server::on(Database::alone().await, &["--allow-host", hosts]).await;
    for (host, status) in [
        ("live.example.org", 200),
        ("LIVE.example.org:443", 200),
        ("a.b.apps.example:8443", 200),
        ("localhost:9", 200),
        ("192.0.2.1", 200),
        ("a.apps.example", 403),
        ("apps.example:8443", 403),
        ("live.example.org.evil.example", 403),
        ("localhost.evil.example", 403),
    ] {
        let answer = sent(&server, "GET /readyz", host, "").await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
        assert!(
            status == 200 || answer.code() == "forbidden_host",
            "{answer:?}"
        );
    }
    // A page of the server's own, under one of its names.
    let own = "http://live.example.org";
    let answer = sent(&server, "DELETE /api/events/e", "live.example.org", own).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    let answer = sent(&server, "DELETE /api/events/e", "localhost", own).await;
    assert_eq!(answer.code(), "forbidden_origin", "{answer:?}");
}

#[tokio::test]
async fn origins_are_listed_with_wildcards_and_default_ports() {
    let listed = "https://a.example:443,https://*.b.example,http://c.example:8080";
    let server = Server::on(Database::alone().await, &["--allow-origin", listed]).await;
    for (origin, status) in [
        ("https://a.example", 404),
        ("https://a.example:443", 404),
        ("https://x.y.b.example", 404),
        ("http://c.example:8080", 404),
        ("https://b.example", 403),
        ("https://xb.example", 403),
        ("http://a.example", 403),
        ("http://c.example", 403),
        ("null", 403),
    ] {
        let answer = sent(&server, "DELETE /api/events/e", "localhost", origin).await;
        assert_eq!(answer.status, status, "{origin}: {answer:?}");
        let shown = if status == 404 { origin } else { "" };
        assert_eq!(answer.header("access-control-allow-origin"), shown);
        assert!(answer.header("vary").contains("origin"));
    }
}

#[tokio::test]
async fn a_preflight_says_what_a_listed_page_may_do() {
    let listed = ["--allow-origin", "https://app.example"];
    let server = Server::on(Database::alone().await, &listed).await;
    let ask_first = async |path: &str, origin: &str| {
        let asked = format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: PATCH\r\nAccess-Control-Request-Headers: if-match\r\n\r\n"
        );
        ask(&server, asked.as_bytes()).await
    };
    let answer = ask_first("/api/events/e", "https://app.example").await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let methods = "GET,HEAD,PATCH,DELETE,OPTIONS";
    assert_eq!(answer.header("access-control-allow-methods"), methods);
    assert_eq!(
        answer.header("access-control-allow-headers"),
        "*,authorization"
    );
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://app.example"
    );
    let answer = ask_first("/nowhere", "https://app.example").await;
    assert_eq!(answer.status, 404, "{answer:?}");
    let answer = ask_first("/api/events/e", "https://evil.example").await;
    assert_eq!(answer.code(), "forbidden_origin", "{answer:?}");
    assert_eq!(answer.header("access-control-allow-methods"), "");
}

#[tokio::test]
async fn what_cannot_be_listed_stops_the_start_and_is_named() {
    for (flag, wrong) in [
        ("--allow-host", "https://a.example"),
        ("--allow-host", "*"),
        ("--allow-host", "a.example/"),
        ("--allow-origin", "https://a.example/"),
        ("--allow-origin", "https://a.example/path"),
        ("--allow-origin", "null"),
        ("--allow-origin", "*"),
        ("--allow-origin", "https://ok.example,a.example"),
    ] {
        let said = Server::spawn(&Database::alone().await, &[flag, wrong])
            .await
            .unwrap_err();
        let shown = wrong.rsplit(',').next().unwrap();
        assert!(
            said.contains(flag) && said.contains(&format!("{shown:?}")),
            "{said}"
        );
    }
}

/// Once in a while, since a page can have it said as often as it likes; and never what else was in the request.
#[tokio::test]
async fn whoever_is_turned_away_is_logged_with_the_flag_that_would_let_them_in() {
    for (host, origin, flag) in [
        ("live.example.org:80", "", "--allow-host live.example.org"),
        (
            "localhost",
            "https://app.example:8443",
            "--allow-origin https://app.example:8443",
        ),
    ] {
        let server = Server::in_folder().await;
        for _ in 0..50 {
            let answer = sent(&server, "GET /api/events?filter=secret", host, origin).await;
            assert_eq!(answer.status, 403);
        }
        let line = eventually("it is logged", async || {
            let logged = server.logged();
            logged
                .lines()
                .find(|line| line.contains(flag))
                .map(str::to_owned)
        });
        let line = line.await;
        assert!(line.contains("WARN") && !line.contains("secret"), "{line}");
        assert!(
            server.logged().matches(flag).count() < 10,
            "{}",
            server.logged()
        );
    }
}

#[tokio::test]
async fn many_of_one_kind_that_are_turned_away_do_not_hide_the_other() {
    let server = Server::in_folder().await;
    for (host, origin) in [
        ("live.example.org", ""),
        ("live.example.org", ""),
        ("localhost", "https://app.example"),
    ] {
        let answer = sent(&server, "GET /api/events", host, origin).await;
        assert_eq!(answer.status, 403);
    }
    eventually("both are logged", async || {
        let logged = server.logged();
        let flags = [
            "--allow-host live.example.org",
            "--allow-origin https://app.example",
        ];
        flags.iter().all(|flag| logged.contains(flag)).then_some(())
    })
    .await;
}

/// `POST` with a form's content type is sent without a preflight, and so is a socket's handshake.
#[tokio::test]
async fn a_page_that_had_its_name_moved_here_is_turned_away() {
    let server = Server::in_folder().await;
    let port = server.address().rsplit_once(':').unwrap().1;
    let (host, origin) = (
        format!("evil.example:{port}"),
        format!("http://evil.example:{port}"),
    );
    for head in [
        "GET /api/events",
        "POST /api/broadcast",
        "GET /ws",
        "GET /healthz",
        "OPTIONS /ws",
    ] {
        let answer = sent(&server, head, &host, &origin).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "forbidden_host"),
            "{head}"
        );
    }
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut stream = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, handshake.as_bytes())
        .await
        .unwrap();
    assert_eq!(raw::read(&mut stream, false).await.code(), "forbidden_host");
}

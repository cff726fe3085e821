//! Issuers that publish their keys, and do so slowly, wrongly, anew, or not at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use livelog::domain::Timestamp;
use livelog::guard::{FetchPace, KeyFetcher, KeyServers};
use livelog::identity::{Identity, Issuers, SigningKey, TokenError};
use livelog::limits;
use livelog::value::{Document, Value, read};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::support::eventually;

/// For what must happen: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

const HOUR: Duration = Duration::from_secs(3_600);

fn fixture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/identity/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

/// The keys of the fixture's set that have one of these names.
fn set_of(names: &[&str]) -> String {
    let set: Document = read(&fixture("jwks.json"), "").unwrap();
    let Some(Value::Array(keys)) = set.get("keys") else {
        panic!("a list")
    };
    let is_named = |key: &&Value| {
        let name = key.as_object().and_then(|key| key.get("kid")?.as_str());
        name.is_some_and(|name| names.contains(&name))
    };
    let keys: Vec<Value> = keys.iter().filter(is_named).cloned().collect();
    assert_eq!(keys.len(), names.len());
    let keys = serde_json::to_string(&Value::list(keys)).unwrap();
    format!(r#"{{"keys":{keys}}}"#)
}

fn good(set: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{set}",
        set.len()
    )
}

/// A web server that gives one answer to every request, when it is let.
struct Publisher {
    port: u16,
    answer: Arc<Mutex<String>>,
    requests: Arc<AtomicU64>,
    /// An answer takes one of its permits, of which there are more than enough until it is closed.
    gate: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Publisher {
    async fn start(answer: String) -> Self {
        Self::start_with(answer, None).await
    }

    async fn start_with(answer: String, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(answer));
        let requests = Arc::new(AtomicU64::new(0));
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let shared = (
            Arc::clone(&answer),
            Arc::clone(&requests),
            Arc::clone(&gate),
        );
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, requests, gate) = shared.clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &answer, &requests, &gate).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else {
                                return;
                            };
                            serve(stream, &answer, &requests, &gate).await;
                        }
                    }
                });
            }
        });
        Self {
            port,
            answer,
            requests,
            gate,
            task,
        }
    }

    fn answer_with(&self, answer: String) {
        *self.answer.lock().unwrap() = answer;
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    fn close_the_gate(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// The fields of an access file for an issuer with keys from here.
    fn issuer(&self, name: &str) -> String {
        let url = format!("http://127.0.0.1:{}/keys?x=1", self.port);
        format!(
            r#"{{"iss":"{name}","aud":"livelog","algorithms":["RS256","ES256","EdDSA"],"jwks":"{url}"}}"#
        )
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &Mutex<String>,
    requests: &AtomicU64,
    gate: &Semaphore,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("GET /keys?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\nhost: "), "{head}");
    requests.fetch_add(1, Ordering::SeqCst);
    let Ok(permit) = gate.acquire().await else {
        return;
    };
    permit.forget();
    let answer = answer.lock().unwrap().clone();
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn issuers(list: &[String]) -> Issuers {
    let list = format!("[{}]", list.join(","));
    let value: Value = read(&list, "").unwrap();
    Issuers::parse(&value, "issuers", &|name: &str| Ok(fixture(name))).unwrap()
}

/// Fetches when it must, and at no other time.
const CALM: FetchPace = FetchPace {
    fetch_deadline: PATIENCE,
    wait_deadline: PATIENCE,
    refresh: HOUR,
    refetch: HOUR,
    retry: HOUR,
};

/// Fetches as soon as a token names an unknown key.
const PROMPT: FetchPace = FetchPace {
    refetch: Duration::ZERO,
    ..CALM
};

/// Fetches all the time.
const BUSY: FetchPace = FetchPace {
    refresh: Duration::from_millis(5),
    refetch: Duration::from_millis(5),
    retry: Duration::from_millis(5),
    ..CALM
};

fn following(issuers: &Issuers, pace: FetchPace) -> KeyServers {
    let servers = KeyServers::new(KeyFetcher::new(), pace);
    servers.follow(issuers);
    servers
}

/// A token by the key of this name.
fn token(issuer: &str, kid: &str) -> String {
    let file = match kid {
        "r1" => "rsa.pem",
        "e1" => "ec.pem",
        "d2" => "ed-other.pem",
        _ => "ed.pem",
    };
    let key = SigningKey::from_pem(&fixture(file)).unwrap();
    let claims = format!(r#"{{"iss":"{issuer}","aud":"livelog","sub":"u1","exp":4102444800}}"#);
    key.sign(&read(&claims, "").unwrap(), Some(kid)).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-28T12:00:00Z").unwrap()
}

async fn verify(
    servers: &KeyServers,
    issuers: &Issuers,
    token: &str,
) -> Result<Identity, TokenError> {
    let verified = servers.verify(issuers, token, now());
    timeout(PATIENCE, verified).await.unwrap()
}

#[tokio::test]
async fn a_token_waits_for_the_keys_that_are_on_their_way() {
    let publisher = Publisher::start(good(&fixture("jwks.json"))).await;
    publisher.close_the_gate();
    let issuers = Arc::new(issuers(&[publisher.issuer("i")]));
    let servers = Arc::new(following(&issuers, CALM));
    let waiting: Vec<_> = ["r1", "e1", "d1", "d2"]
        .map(|kid| {
            let (servers, issuers) = (Arc::clone(&servers), Arc::clone(&issuers));
            tokio::spawn(async move { verify(&servers, &issuers, &token("i", kid)).await })
        })
        .into();
    eventually("one fetch has begun", async || {
        (publisher.requests() == 1).then_some(())
    })
    .await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    publisher.gate.add_permits(1);
    for task in waiting {
        assert_eq!(&*task.await.unwrap().unwrap().subject, "u1");
    }
    assert_eq!((publisher.requests(), servers.failures()), (1, 0));
}

#[tokio::test]
async fn a_token_does_not_wait_longer_than_it_may() {
    let publisher = Publisher::start(String::new()).await;
    publisher.close_the_gate();
    let issuers = issuers(&[publisher.issuer("i")]);
    let pace = FetchPace {
        wait_deadline: Duration::from_millis(10),
        ..CALM
    };
    let servers = following(&issuers, pace);
    let refused = verify(&servers, &issuers, &token("i", "d1")).await;
    assert_eq!(refused, Err(TokenError::KeysUnavailable));
    assert!(refused.unwrap_err().is_temporary());
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let publisher = Publisher::start(good(&set_of(&["d1"]))).await;
    let issuers = issuers(&[publisher.issuer("i")]);
    let servers = following(&issuers, PROMPT);
    verify(&servers, &issuers, &token("i", "d1")).await.unwrap();
    let unknown = verify(&servers, &issuers, &token("i", "d2")).await;
    assert!(
        matches!(unknown, Err(TokenError::UnknownKey(_))),
        "{unknown:?}"
    );
    publisher.answer_with(good(&set_of(&["d2"])));
    verify(&servers, &issuers, &token("i", "d2")).await.unwrap();
    let given_up = verify(&servers, &issuers, &token("i", "d1")).await;
    assert!(
        matches!(given_up, Err(TokenError::UnknownKey(_))),
        "{given_up:?}"
    );
}

#[tokio::test]
async fn unknown_keys_do_not_press_the_issuer() {
    let publisher = Publisher::start(good(&set_of(&["d1"]))).await;
    let issuers = issuers(&[publisher.issuer("i")]);
    let servers = following(&issuers, CALM);
    for number in 0..500 {
        let refused = verify(&servers, &issuers, &token("i", &format!("k{number}"))).await;
        assert!(
            matches!(refused, Err(TokenError::UnknownKey(_))),
            "{refused:?}"
        );
    }
    verify(&servers, &issuers, &token("i", "d1")).await.unwrap();
    assert_eq!(publisher.requests(), 1);
}

#[tokio::test]
async fn a_bad_token_never_makes_anything_be_fetched() {
    let publisher = Publisher::start(good(&set_of(&["d1"]))).await;
    let issuers = issuers(&[publisher.issuer("i")]);
    let servers = following(&issuers, PROMPT);
    let first = token("i", "d1");
    verify(&servers, &issuers, &first).await.unwrap();
    let requests = publisher.requests();
    for bad in [
        "",
        "a.b.c",
        &first[..first.len() - 2],
        &token("j", "d9"),
        &first.repeat(50),
    ] {
        verify(&servers, &issuers, bad).await.unwrap_err();
    }
    assert_eq!(publisher.requests(), requests);
}

#[tokio::test]
async fn the_last_good_keys_stay_whatever_is_answered() {
    let publisher = Publisher::start(good(&set_of(&["d1"]))).await;
    let issuers = issuers(&[publisher.issuer("i")]);
    let servers = following(&issuers, BUSY);
    let token = token("i", "d1");
    verify(&servers, &issuers, &token).await.unwrap();
    let huge = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{",
        u64::MAX / 2
    );
    let endless = format!(
        "HTTP/1.1 200 OK\r\n\r\n{}",
        " ".repeat(limits::JWKS_BYTES_MAX + 1)
    );
    let heads = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    for answer in [
        String::new(),
        "garbage".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned(),
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        good("<html>"),
        good(r#"{"keys":[]}"#),
        good(&set_of(&["d1"]).replace("\"d1\"", "1")),
        huge,
        endless,
        heads,
    ] {
        publisher.answer_with(answer.clone());
        let failures = servers.failures();
        // The second fetch began after the answer was changed.
        eventually("two further fetches failed", async || {
            (servers.failures() >= failures + 2).then_some(())
        })
        .await;
        let shown: String = answer.chars().take(60).collect();
        assert!(verify(&servers, &issuers, &token).await.is_ok(), "{shown}");
    }
    publisher.task.abort();
    let failures = servers.failures();
    eventually("two further fetches failed", async || {
        (servers.failures() >= failures + 2).then_some(())
    })
    .await;
    verify(&servers, &issuers, &token).await.unwrap();
}

#[tokio::test]
async fn a_key_that_its_issuer_gave_up_is_trusted_no_longer() {
    let publisher = Publisher::start(good(&set_of(&["d1", "d2"]))).await;
    let issuers = issuers(&[publisher.issuer("i")]);
    let servers = following(&issuers, BUSY);
    verify(&servers, &issuers, &token("i", "d1")).await.unwrap();
    publisher.answer_with(good(&set_of(&["d2"])));
    eventually("the old key is taken no longer", async || {
        verify(&servers, &issuers, &token("i", "d1")).await.err()
    })
    .await;
    verify(&servers, &issuers, &token("i", "d2")).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_delays_no_other_and_is_given_up() {
    let (silent, other) = (
        Publisher::start(String::new()).await,
        Publisher::start(good(&set_of(&["d1"]))).await,
    );
    silent.close_the_gate();
    let issuers = issuers(&[silent.issuer("silent"), other.issuer("other")]);
    let pace = FetchPace {
        fetch_deadline: Duration::from_millis(20),
        ..CALM
    };
    let servers = following(&issuers, pace);
    let refused = verify(&servers, &issuers, &token("silent", "d1")).await;
    assert_eq!(refused, Err(TokenError::KeysUnavailable));
    assert_eq!(servers.failures(), 1);
    // On a busy machine the other may need more than its deadline: then it is followed anew.
    eventually("the other is fetched in time", async || {
        servers.follow(&Issuers::default());
        servers.follow(&issuers);
        verify(&servers, &issuers, &token("other", "d1")).await.ok()
    })
    .await;
}

#[tokio::test]
async fn what_is_followed_on_keeps_its_keys_and_what_is_not_is_asked_no_more() {
    let (stays, goes) = (
        Publisher::start(good(&set_of(&["d1"]))).await,
        Publisher::start(good(&set_of(&["d1"]))).await,
    );
    let both = issuers(&[stays.issuer("stays"), goes.issuer("goes")]);
    let one = issuers(&[stays.issuer("stays")]);
    let servers = following(&both, CALM);
    verify(&servers, &both, &token("stays", "d1"))
        .await
        .unwrap();
    verify(&servers, &both, &token("goes", "d1")).await.unwrap();
    servers.follow(&one);
    verify(&servers, &one, &token("stays", "d1")).await.unwrap();
    let gone = verify(&servers, &both, &token("goes", "d1")).await;
    assert_eq!(gone, Err(TokenError::KeysUnavailable));
    assert_eq!((stays.requests(), goes.requests()), (1, 1));
}

#[tokio::test]
async fn keys_come_by_https_from_whom_is_trusted() {
    let pem = |name: &str| fixture(name).into_bytes();
    let certificate = CertificateDer::from_pem_slice(&pem("tls-certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&pem("tls-key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let publisher = Publisher::start_with(good(&set_of(&["d1"])), Some(tls)).await;
    let of_host = |host: &str| {
        let issuer = publisher
            .issuer("i")
            .replace("http://127.0.0.1", &format!("https://{host}"));
        issuers(&[issuer])
    };
    let mut authorities = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(&pem("tls-authority.pem")).unwrap();
    authorities.add(authority).unwrap();
    for (fetcher, host, is_trusted) in [
        (KeyFetcher::trusting(authorities.clone()), "localhost", true),
        (KeyFetcher::trusting(authorities), "127.0.0.1", false),
        (KeyFetcher::new(), "localhost", false),
    ] {
        let issuers = of_host(host);
        let servers = KeyServers::new(fetcher, CALM);
        servers.follow(&issuers);
        let verified = verify(&servers, &issuers, &token("i", "d1")).await;
        assert_eq!(verified.is_ok(), is_trusted, "{host} {verified:?}");
        assert_eq!(servers.failures(), u64::from(!is_trusted));
    }
    assert_eq!(
        publisher.requests(),
        1,
        "what is not trusted is asked nothing"
    );
}

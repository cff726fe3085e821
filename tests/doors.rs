//! Who gets in where: each door refuses what is no token, each route is listed with what it asks, and nonsense is refused
//! with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::{SinkExt, StreamExt};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use livelog::access::Policy;
use livelog::protocol::{ParsedRequest, RequestKind};
use livelog::value::{Document, read};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::client::End;
use crate::support::guarded::{AccessFile, bearer, expiring, session, token};
use crate::support::{Client, DEADLINE, Database, Server};

fn fixture(name: &str) -> String {
    format!("{}/fixtures/identity/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A server that trusts a secret and, under another name, a pair of keys.
async fn guarded() -> (Server, AccessFile) {
    let roles = json!({
        "user": {"read": true, "create": true, "update": true, "delete": true, "broadcast": {"send": true, "hear": true}},
        "operator": {"operator": true},
    });
    let issuers = json!([
        {"iss": "test", "aud": "livelog", "algorithms": ["HS256"], "secretFile": "secret.txt"},
        {"iss": "pair", "aud": "livelog", "algorithms": ["RS256"], "pemFile": fixture("rsa-public.pem"), "kid": "r1"},
    ]);
    let file = AccessFile::new(&roles, &json!({"issuers": issuers}));
    let database = Database::alone().await;
    let server = Server::on(database, &["--access", &file.path(), "--socketio"]).await;
    (server, file)
}

/// Signs any text.
fn sign(header: &str, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(header), encode(&claims.to_string()));
    let signature = crypto::sign(signed.as_bytes(), key, algorithm).unwrap();
    format!("{signed}.{signature}")
}

fn claims_of(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// What is no good token, and how it is refused.
fn tampered() -> Vec<(&'static str, String, &'static str)> {
    let good = token("ann", &json!({}));
    let claims = claims_of(&good);
    let mut of_pair = claims.clone();
    of_pair["iss"] = json!("pair");
    let text = |name: &str| std::fs::read_to_string(fixture(name)).unwrap();
    let rsa = EncodingKey::from_rsa_pem(text("rsa.pem").as_bytes()).unwrap();
    let public = EncodingKey::from_secret(text("rsa-public.pem").as_bytes());
    let secret = EncodingKey::from_secret(b"a secret of thirty-two bytes, or more");
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let [_, body, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("a token has three parts");
    };
    let changed = encode(&claims.to_string().replace("ann", "eve"));
    let head = good.split('.').next().unwrap();
    let hs = |header: &str| sign(header, &claims, &secret, Algorithm::HS256);
    let rs = |header: &str| sign(header, &of_pair, &rsa, Algorithm::RS256);
    let later = claims["iat"].as_i64().unwrap() + 100_000;
    let unknown = "unauthenticated";
    vec![
        (
            "alg none",
            format!("{}.{body}.", encode(r#"{"alg":"none"}"#)),
            unknown,
        ),
        (
            "alg none, signed",
            format!("{}.{body}.{signature}", encode(r#"{"alg":"NONE"}"#)),
            unknown,
        ),
        ("no signature", format!("{head}.{body}."), unknown),
        ("two parts", format!("{head}.{body}"), unknown),
        (
            "other claims",
            format!("{head}.{changed}.{signature}"),
            unknown,
        ),
        (
            "signed with the public key",
            sign(
                r#"{"alg":"HS256","kid":"r1"}"#,
                &of_pair,
                &public,
                Algorithm::HS256,
            ),
            unknown,
        ),
        (
            "the pair's name, signed with the secret",
            sign(r#"{"alg":"HS256"}"#, &of_pair, &secret, Algorithm::HS256),
            unknown,
        ),
        (
            "the secret's name, signed with the pair",
            sign(r#"{"alg":"RS256"}"#, &claims, &rsa, Algorithm::RS256),
            unknown,
        ),
        (
            "another audience",
            token("ann", &json!({"aud": "others"})),
            unknown,
        ),
        ("no audience", token("ann", &json!({"aud": null})), unknown),
        (
            "another issuer",
            token("ann", &json!({"iss": "eve"})),
            unknown,
        ),
        ("expired", expiring("ann", &json!({}), -31), "token_expired"),
        (
            "an expiry that is no number",
            token("ann", &json!({"exp": "never"})),
            unknown,
        ),
        ("not yet", token("ann", &json!({"nbf": later})), unknown),
        (
            "issued in the future",
            token("ann", &json!({"iat": later})),
            unknown,
        ),
        (
            "an unknown kid",
            rs(r#"{"alg":"RS256","kid":"../../dev/null"}"#),
            unknown,
        ),
        (
            "a crit header",
            hs(r#"{"alg":"HS256","crit":["exp"]}"#),
            unknown,
        ),
        (
            "huge",
            format!("{head}.{}.{signature}", "A".repeat(20_000)),
            unknown,
        ),
        (
            "a key that there is not",
            "lk_nobody_0123456789abcdef".to_owned(),
            unknown,
        ),
        ("no token at all", "undefined".to_owned(), unknown),
    ]
}

/// The status with which the handshake of a socket is refused.
async fn handshake(server: &Server, path: &str, header: (&'static str, &str)) -> u16 {
    match server.try_connect(path, &[header]).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("{other:?} is no refusal"),
    }
}

async fn visitor(server: &Server) -> Client {
    let url = format!("ws://{}/ws", server.address());
    let visitor = Client::unwelcome(server.dial().await, &url, &[]).await;
    visitor.unwrap()
}

fn auth(token: &str) -> Value {
    json!({"type": "AUTH", "id": 1, "payload": {"token": token}})
}

/// Knocks over Socket.IO: the error's code.
async fn knock_socketio(server: &Server, token: &str) -> String {
    let url = format!(
        "ws://{}/socket.io/?EIO=4&transport=websocket",
        server.address()
    );
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let connect = format!("40{}", json!({"token": token}));
    socket.send(Message::text(connect)).await.unwrap();
    loop {
        let message = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap();
        let message = message.unwrap().unwrap();
        let text = message.to_text().unwrap();
        if let Some(error) = text.strip_prefix("44") {
            let error: Value = serde_json::from_str(error).unwrap();
            let found = [&error["data"]["error"]["code"], &error["data"]["code"]];
            return found
                .into_iter()
                .find_map(Value::as_str)
                .unwrap_or(text)
                .to_owned();
        }
        assert!(text.starts_with('0'), "{text}");
    }
}

#[tokio::test]
async fn a_token_that_was_tampered_with_opens_no_door() {
    let (server, _file) = guarded().await;
    let closes = BTreeMap::from([("unauthenticated", 4502), ("token_expired", 4003)]);
    for (what, token, code) in tampered() {
        let mut client = visitor(&server).await;
        client.send(&auth(&token)).await;
        let error = client.frame().await.unwrap();
        assert_eq!(error["error"]["code"], code, "{what}: {error}");
        assert_eq!(
            client.frame().await,
            Err(End::Closed(closes[code])),
            "{what}"
        );
        let shown = bearer(&token);
        let subprotocol = format!("livelog.v1, bearer.{token}");
        for (path, header) in [
            ("/ws", ("authorization", shown.as_str())),
            ("/ws", ("sec-websocket-protocol", subprotocol.as_str())),
        ] {
            assert_eq!(
                handshake(&server, path, header).await,
                401,
                "{what}: {header:?}"
            );
        }
        assert_eq!(knock_socketio(&server, &token).await, code, "{what}");
        for (method, path, accept) in [
            ("GET", "/api/events", "*/*"),
            ("GET", "/api/changes", "text/event-stream"),
            ("GET", "/api/changes", "application/json"),
            ("POST", "/api/events", "*/*"),
            ("DELETE", "/api/events/a", "*/*"),
            ("GET", "/metrics", "*/*"),
        ] {
            let request = server.http(method, path).header("accept", accept);
            let request = request.header("authorization", &shown).json(&json!({}));
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 401, "{what}: {method} {path}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{what}");
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["error"]["code"], code, "{what}: {method} {path}");
        }
        assert!(!server.logged().contains(&token), "{what} is in the log");
    }
    let mut client = session(&server, "/ws", &token("ann", &json!({}))).await;
    client.lives().await;
}

#[tokio::test]
async fn a_token_over_the_bound_of_a_message_is_refused_before_it_is_looked_at() {
    let (server, _file) = guarded().await;
    let mut client = visitor(&server).await;
    assert!(client.try_send(&auth(&"x".repeat(300 * 1024))).await);
    let ended = client.frame().await;
    let refused = ended.as_ref().is_ok_and(|frame| frame["type"] == "error");
    assert!(refused || ended == Err(End::Closed(4502)), "{ended:?}");
    if refused {
        assert_eq!(client.frame().await, Err(End::Closed(4502)));
    }
}

#[tokio::test]
async fn an_auth_may_come_late_and_in_pieces_and_twice_at_once() {
    let (server, _file) = guarded().await;
    let token = token("ann", &json!({}));
    let text = auth(&token).to_string();
    let mut client = visitor(&server).await;
    let (first, rest) = text.split_at(text.len() / 2);
    let piece = |text: &str, code: Data, is_last: bool| {
        Message::Frame(Frame::message(text.to_owned(), OpCode::Data(code), is_last))
    };
    client.send_message(piece(first, Data::Text, false)).await;
    let nothing = client.frame_within(Duration::from_secs(6)).await;
    assert_eq!(nothing, None, "half a frame is answered by nothing");
    client.send_message(piece(rest, Data::Continue, true)).await;
    assert_eq!(client.frame().await.unwrap()["success"], true);
    assert_eq!(client.frame().await.unwrap()["type"], "welcome");
    let mut client = visitor(&server).await;
    client
        .send_all([
            auth(&token),
            auth(&token),
            json!({"type": "FETCH", "id": 2}),
        ])
        .await;
    let mut said = Vec::new();
    while said.len() < 4 {
        let frame = client.frame().await.unwrap();
        said.push(
            frame["request"]
                .as_str()
                .or(frame["type"].as_str())
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(
        said,
        ["AUTH", "welcome", "AUTH", "FETCH"],
        "one welcome, and a renewal"
    );
}

#[tokio::test]
async fn who_says_half_of_it_or_nothing_is_closed_in_time_and_keeps_nobody_out() {
    let (server, _file) = guarded().await;
    let mut silent = Vec::new();
    for number in 0..100 {
        let mut client = visitor(&server).await;
        if number % 2 == 0 {
            let half = Frame::message(
                r#"{"type":"AUTH","payl"#.to_owned(),
                OpCode::Data(Data::Text),
                false,
            );
            client.send_message(Message::Frame(half)).await;
        }
        silent.push(client);
    }
    let mut client = session(&server, "/ws", &token("ann", &json!({}))).await;
    client.lives().await;
    for (number, client) in silent.iter_mut().enumerate() {
        // Half a frame may be found to be stuck before it is found to be late.
        let codes: &[u16] = if number % 2 == 0 {
            &[4001, 4502]
        } else {
            &[4502]
        };
        let end = client.frame().await;
        let is_in_time = matches!(end, Err(End::Closed(code)) if codes.contains(&code));
        assert!(is_in_time, "{end:?}");
    }
    client.lives().await;
}

#[tokio::test]
async fn two_ways_to_show_who_one_is_do_not_add_up() {
    let (server, _file) = guarded().await;
    let good = bearer(&token("ann", &json!({})));
    let bad = format!("livelog.v1, bearer.{}", "x".repeat(20));
    let headers = [
        ("authorization", good.as_str()),
        ("sec-websocket-protocol", bad.as_str()),
    ];
    let mut client = server.try_connect("/ws", &headers).await.unwrap();
    client.lives().await;
    let twice = server
        .http("GET", "/api/events")
        .header("authorization", &good);
    let twice = twice
        .header("authorization", "Bearer x")
        .send()
        .await
        .unwrap();
    assert_eq!(twice.status(), 400, "no header stands twice");
    let beside = server
        .http("GET", "/api/events")
        .header("authorization", "Bearer x");
    let beside = beside.header("sec-websocket-protocol", good.replace("Bearer ", "bearer."));
    assert_eq!(beside.send().await.unwrap().status(), 401);
}

/// What a route asks of who comes.
#[derive(Clone, Copy, PartialEq)]
enum Asks {
    Nothing,
    /// Credentials with any role.
    Credentials,
    Operator,
    /// A socket may show its credentials later.
    Handshake,
}

/// Every route of the router.
const ROUTES: [(&str, &str, Asks); 20] = [
    ("/", "GET", Asks::Nothing),
    ("/console/{file}", "GET", Asks::Nothing),
    ("/manual/{file}", "GET", Asks::Nothing),
    ("/client.js", "GET", Asks::Nothing),
    ("/client/{file}", "GET", Asks::Nothing),
    ("/ws", "GET", Asks::Handshake),
    ("/metrics", "GET", Asks::Operator),
    ("/api/events", "GET", Asks::Credentials),
    ("/api/events", "POST", Asks::Credentials),
    ("/api/events/{id}", "GET", Asks::Credentials),
    ("/api/events/{id}", "PATCH", Asks::Credentials),
    ("/api/events/{id}", "DELETE", Asks::Credentials),
    ("/api/events/{id}/history", "GET", Asks::Credentials),
    ("/api/events/{id}/restore", "POST", Asks::Credentials),
    ("/api/batch", "POST", Asks::Credentials),
    ("/api/broadcast", "POST", Asks::Credentials),
    ("/api/changes", "GET", Asks::Credentials),
    ("/healthz", "GET", Asks::Nothing),
    ("/readyz", "GET", Asks::Nothing),
    ("/socket.io/", "GET,POST", Asks::Handshake),
];

/// The paths of the routes in the source of the router.
fn routes_in_source() -> BTreeSet<String> {
    let route = regex::Regex::new(r#"\.route\(\s*"([^"]+)""#).unwrap();
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transport")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            found.extend(route.captures_iter(&text).map(|found| found[1].to_owned()));
        }
    }
    found
}

/// An address of this route, and a body that it takes.
fn example(path: &str) -> (String, Value) {
    let address = match path {
        "/console/{file}" => "/console/main.js",
        "/manual/{file}" => "/manual/index.md",
        "/client/{file}" => "/client/livelog.js",
        "/socket.io/" => "/socket.io/?EIO=4&transport=polling",
        path => {
            return (
                path.replace("{id}", "none"),
                match path {
                    "/api/events/{id}/restore" => json!({"version": 1}),
                    "/api/batch" => {
                        json!({"commands": [{"type": "DELETE", "payload": {"id": "none"}}]})
                    }
                    _ => json!({"n": 1}),
                },
            );
        }
    };
    (address.to_owned(), json!({}))
}

#[tokio::test]
async fn every_route_is_listed_and_asks_for_credentials_or_is_for_everybody() {
    let listed = ROUTES.iter().map(|(path, ..)| (*path).to_owned());
    let mut listed: BTreeSet<String> = listed.collect();
    listed.insert("/socket.io".to_owned());
    assert_eq!(
        routes_in_source(),
        listed,
        "a route that is new is listed here, with what it asks"
    );
    let (server, _file) = guarded().await;
    for path in listed.iter().filter(|path| !path.starts_with("/socket.io")) {
        let (address, _) = example(path);
        let answer = server.http("OPTIONS", &address).send().await.unwrap();
        let allowed = answer.headers()["allow"].to_str().unwrap().to_owned();
        let allowed: BTreeSet<&str> = allowed
            .split(',')
            .filter(|method| !["HEAD", "OPTIONS"].contains(method))
            .collect();
        let known = ROUTES.iter().filter(|(known, ..)| known == path);
        assert_eq!(
            allowed,
            known.map(|(_, method, _)| *method).collect(),
            "{path}"
        );
    }
    let user = bearer(&token("ann", &json!({})));
    let operator = bearer(&token("ann", &json!({"role": "operator"})));
    for (path, method, asks) in ROUTES {
        let (address, body) = example(path);
        let ask = async |shown: Option<&str>| {
            let mut request = server.http(method.split(',').next().unwrap(), &address);
            if let Some(shown) = shown {
                request = request.header("authorization", shown);
            }
            if !["GET", "DELETE"]
                .iter()
                .any(|bare| method.starts_with(bare))
            {
                request = request.json(&body);
            }
            request.send().await.unwrap().status().as_u16()
        };
        let (nobody, nonsense) = (ask(None).await, ask(Some("Bearer nonsense")).await);
        let (ann, olga) = (ask(Some(&user)).await, ask(Some(&operator)).await);
        let answers = (nobody, nonsense, ann, olga);
        match asks {
            Asks::Nothing => assert_eq!(answers, (200, 200, 200, 200), "{method} {path}"),
            Asks::Operator => assert_eq!(answers, (401, 401, 403, 200), "{method} {path}"),
            // A GET that is no handshake, or what opens a session of which nothing is said yet.
            Asks::Handshake => {
                assert!([200, 426].contains(&nobody), "{method} {path}: {answers:?}");
                assert!(
                    [401, 426, 200].contains(&nonsense),
                    "{method} {path}: {answers:?}"
                );
            }
            Asks::Credentials => {
                assert_eq!((nobody, nonsense), (401, 401), "{method} {path}");
                for status in [ann, olga] {
                    assert!(
                        [200, 201, 403, 404].contains(&status),
                        "{method} {path}: {answers:?}"
                    );
                }
            }
        }
    }
}

/// JSON of any shape, with words that parsers know.
fn json_like() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("token"),
        Just("role"),
        Just("roles"),
        Just("read"),
        Just("hide"),
        Just("create"),
        Just("update"),
        Just("delete"),
        Just("after"),
        Just("before"),
        Just("only"),
        Just("never"),
        Just("set"),
        Just("broadcast"),
        Just("send"),
        Just("hear"),
        Just("past"),
        Just("limits"),
        Just("writes"),
        Just("perSecond"),
        Just("burst"),
        Just("sessions"),
        Just("anonymous"),
        Just("revoke"),
        Just("sub"),
        Just("key"),
        Just("issuers"),
        Just("keys"),
        Just("$or"),
        Just("$and"),
        Just("$nor"),
        Just("$not"),
        Just("$in"),
        Just("$nin"),
        Just("$claim"),
        Just("$elemMatch"),
        Just("$exists"),
        Just("a"),
        Just("a.b"),
        Just("_id"),
        Just(""),
        Just("a..b"),
        Just("\u{0}"),
        Just("$where"),
        Just("user"),
        Just("authors"),
        Just("operator"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6f64).prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        Just(json!("all")),
        Just(json!("2026-01-01T00:00:00Z")),
    ];
    leaf.prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A role at its place in a file, so that what is beneath is reached.
fn file_like() -> impl Strategy<Value = Value> {
    let role = prop::collection::btree_map(
        prop_oneof![
            Just("read"),
            Just("hide"),
            Just("create"),
            Just("update"),
            Just("delete"),
            Just("set"),
            Just("broadcast"),
            Just("past"),
            Just("authors"),
            Just("operator"),
            Just("limits"),
        ],
        json_like(),
        0..4,
    );
    let role = role.prop_map(|role| {
        let role = role
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        json!({"roles": {"user": role.collect::<serde_json::Map<_, _>>()}})
    });
    let rest = (json_like(), json_like(), json_like()).prop_map(|(revoke, anonymous, claim)| {
        json!({"roles": {"user": {"read": true}}, "revoke": revoke, "anonymous": anonymous, "roleClaim": claim})
    });
    prop_oneof![json_like(), role, rest]
}

/// Whether each name of a path is there, up to one that is missing.
fn leads_somewhere(file: &Value, path: &str) -> bool {
    let mut rest = path;
    let mut value = file;
    loop {
        let step = match value {
            Value::Object(fields) => {
                let known = fields.iter().filter(|(name, _)| {
                    rest == name.as_str()
                        || rest
                            .strip_prefix(name.as_str())
                            .is_some_and(|rest| rest.starts_with('.'))
                });
                known
                    .max_by_key(|(name, _)| name.len())
                    .map(|(name, value)| (name.len(), value))
            }
            Value::Array(items) => {
                let index = rest.split('.').next().unwrap();
                index
                    .parse::<usize>()
                    .ok()
                    .and_then(|at| Some((index.len(), items.get(at)?)))
            }
            _ => None,
        };
        let Some((length, next)) = step else {
            // A name that is missing, or what is expected there.
            return !rest.contains(' ');
        };
        if length == rest.len() {
            return true;
        }
        (rest, value) = (&rest[length + 1..], next);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_access_file_is_taken_or_refused_with_a_place_in_it(file in file_like()) {
        let Value::Object(fields) = &file else { return Ok(()) };
        let document: Document = match read(&file.to_string(), "") {
            Ok(document) => document,
            Err(_) => return Ok(()),
        };
        if let Err(invalid) = Policy::parse(&document) {
            prop_assert!(!invalid.path.is_empty() || fields.contains_key(""), "{}: {}", file, invalid);
            prop_assert!(leads_somewhere(&file, &invalid.path), "{}: {}", file, invalid);
            prop_assert!(!invalid.reason.is_empty());
        }
    }

    #[test]
    fn any_payload_of_an_auth_is_taken_or_refused_with_a_place_in_it_and_without_the_token(payload in json_like(), secret in "[a-z]{12}") {
        let mut payload = payload;
        if let Some(fields) = payload.as_object_mut() {
            fields.entry("token").or_insert(json!(secret));
        }
        let text = json!({"type": "AUTH", "id": 1, "payload": payload}).to_string();
        match ParsedRequest::parse(&text) {
            Ok(parsed) => prop_assert_eq!(parsed.kind, RequestKind::Auth),
            Err(refused) => {
                prop_assert_eq!(refused.kind, Some(RequestKind::Auth));
                // What is no object at all has no place but its own.
                let path = refused.failure.path.clone();
                prop_assert!(!payload.is_object() || path.is_some_and(|path| path.starts_with("payload")), "{}", text);
                prop_assert!(!refused.failure.message.contains(&secret), "{}", refused.failure.message);
                let shown = format!("{:?}", refused.failure);
                prop_assert!(!shown.contains(&secret), "{}", shown);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}", tail in "[\\[\\]{}\",:a-z0-9\\\\]{0,80}") {
        for text in [text.clone(), tail.clone(), format!(r#"{{"type":"AUTH","payload":{tail}"#), format!(r#"{{"type":"AUTH","payload":{{"token":{tail}}}}}"#)] {
            let _ = ParsedRequest::parse(&text);
        }
        let _ = read(&tail, "").map(|document| Policy::parse(&document));
    }
}

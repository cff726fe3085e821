//! Who gets in, how, and how long.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use crate::support::client::End;
use crate::support::guarded::{AccessFile, bearer, expiring, get, serve, session, token};
use crate::support::{Client, Database, Server, eventually};

fn mine() -> Value {
    let mine = json!({"owner": {"$claim": "sub"}});
    json!({"user": {
        "read": {"$or": [{"public": true}, mine]},
        "create": {"after": mine}, "update": {"before": mine, "after": mine}, "delete": {"before": mine},
        "set": {"owner": {"$claim": "sub"}},
        "broadcast": {"send": true, "hear": true},
    }})
}

async fn guarded(roles: &Value, more: &Value) -> (Server, AccessFile) {
    let file = AccessFile::new(roles, more);
    let server = serve(Database::alone().await, &file).await;
    (server, file)
}

fn status_of(error: Error) -> u16 {
    match error {
        Error::Http(answer) => answer.status().as_u16(),
        other => panic!("no answer: {other}"),
    }
}

/// A socket that shows nothing.
async fn visitor(server: &Server) -> Client {
    let url = format!("ws://{}/ws", server.address());
    let visitor = Client::unwelcome(server.dial().await, &url, &[]).await;
    visitor.unwrap()
}

async fn show(client: &mut Client, token: &str) {
    client
        .send(&json!({"type": "AUTH", "id": "a", "payload": {"token": token}}))
        .await;
}

/// What is said next is this error, and then the end.
async fn assert_shut(client: &mut Client, code: &str, close: u16) {
    let error = client.frame().await.unwrap();
    assert_eq!(error["error"]["code"], code, "{error}");
    assert_eq!(client.frame().await, Err(End::Closed(close)));
}

#[tokio::test]
async fn a_socket_that_shows_nothing_is_told_nothing_and_closed() {
    let (server, _file) = guarded(&mine(), &json!({})).await;
    let mut silent = visitor(&server).await;
    for first in [
        "{\"type\":\"FETCH\",\"payload\":{}}",
        "{\"type\":\"PING\"}",
        "[",
        "x",
    ] {
        let mut visitor = visitor(&server).await;
        visitor.send_text(first).await;
        assert_shut(&mut visitor, "unauthenticated", 4502).await;
    }
    let end = silent.frame_within(Duration::from_secs(15)).await;
    assert_eq!(
        end,
        Some(Err(End::Closed(4502))),
        "after ten seconds of silence"
    );
}

#[tokio::test]
async fn a_first_frame_that_shows_a_token_opens_the_session() {
    let (server, _file) = guarded(&mine(), &json!({})).await;
    let mut client = visitor(&server).await;
    show(&mut client, &token("ann", &json!({}))).await;
    let answer = client.frame().await.unwrap();
    assert_eq!(
        (&answer["success"], &answer["id"]),
        (&json!(true), &json!("a"))
    );
    let who = &answer["data"];
    assert_eq!(
        (&who["role"], &who["sub"], &who["iss"]),
        (&json!("user"), &json!("ann"), &json!("test"))
    );
    let welcome = client.frame().await.unwrap();
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(welcome["expiresAt"], who["expiresAt"]);
    assert!(
        welcome["expiresAt"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
    client.create(json!({"n": 1})).await;
    assert_eq!(client.change().await["data"]["owner"], "ann");
}

#[tokio::test]
async fn bad_credentials_shut_every_door() {
    let (server, _file) = guarded(&mine(), &json!({})).await;
    let good = token("ann", &json!({}));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let cases = [
        (format!("{signed}.AAAA"), "unauthenticated", 4502, 401),
        ("lk_nobody_00".to_owned(), "unauthenticated", 4502, 401),
        ("x".repeat(9_000), "unauthenticated", 4502, 401),
        (
            token("ann", &json!({"aud": "others"})),
            "unauthenticated",
            4502,
            401,
        ),
        (
            token("ann", &json!({"nbf": 99_999_999_999_i64})),
            "unauthenticated",
            4502,
            401,
        ),
        (expiring("ann", &json!({}), -31), "token_expired", 4003, 401),
        (
            token("ann", &json!({"role": "nobody"})),
            "forbidden",
            4503,
            403,
        ),
        (token("ann", &json!({"role": 7})), "forbidden", 4503, 403),
        (
            token("ann", &json!({"livelog": {"read": {"$where": "1"}}})),
            "forbidden",
            4503,
            403,
        ),
    ];
    for (token, code, close, status) in cases {
        let mut visitor = visitor(&server).await;
        show(&mut visitor, &token).await;
        assert_shut(&mut visitor, code, close).await;
        let (answered, body) = get(&server, "/api/events", &token).await;
        assert_eq!(
            (answered, &body["error"]["code"]),
            (status, &json!(code)),
            "{body}"
        );
        let shown = bearer(&token);
        let refused = server
            .try_connect("/ws", &[("authorization", &shown)])
            .await;
        assert_eq!(status_of(refused.unwrap_err()), status, "{code}");
        assert!(!server.logged().contains(&token), "a token is in the log");
    }
    let answer = server.http("GET", "/api/events").send().await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            &answer.headers()["www-authenticate"]
        ),
        (401, &"Bearer".parse().unwrap())
    );
    let basic = server
        .http("GET", "/api/events")
        .header("authorization", "Basic YTpi");
    assert_eq!(basic.send().await.unwrap().status(), 401);
    let (status, _) = server.get("/api/events", &[("token", &good)]).await;
    assert_eq!(status, 401, "an address is never looked into");
}

#[tokio::test]
async fn a_page_shows_its_token_as_a_subprotocol() {
    let (server, _file) = guarded(&mine(), &json!({})).await;
    let token = token("ann", &json!({}));
    let offered = format!("livelog.v1, bearer.{token}");
    let headers = [("sec-websocket-protocol", offered.as_str())];
    let mut client = server.try_connect("/ws", &headers).await.unwrap();
    client.lives().await;
    let (_, unknown) = offered.split_once(", ").unwrap();
    let headers = [("sec-websocket-protocol", &unknown[..unknown.len() - 4])];
    let refused = server.try_connect("/ws", &headers).await;
    assert_eq!(status_of(refused.unwrap_err()), 401);
}

#[tokio::test]
async fn an_api_key_gets_in_until_the_file_has_it_no_longer() {
    let made = livelog::identity::NewApiKey::make("k1", "user", &[7; 32]).unwrap();
    let entry = serde_json::to_value(&made.entry).unwrap();
    let keys = json!({"keys": [entry]});
    let (server, file) = guarded(&mine(), &keys).await;
    let mut client = session(&server, "/ws", &made.key).await;
    assert_eq!(client.welcome.get("expiresAt"), None);
    client.create(json!({"n": 1})).await;
    assert_eq!(client.change().await["data"]["owner"], "k1");
    file.write(&mine(), &json!({}));
    assert_eq!(client.end().await, End::Closed(4502));
    assert_eq!(get(&server, "/api/events", &made.key).await.0, 401);
}

#[tokio::test]
async fn who_is_signed_in_without_a_role_has_the_one_for_that_and_no_other_gets_in_by_it() {
    let more = json!({"signedIn": "user", "roleClaim": "job"});
    let (server, _file) = guarded(&mine(), &more).await;
    let shown = async |claims: &Value| get(&server, "/api/events", &token("ann", claims)).await.0;
    assert_eq!(shown(&json!({})).await, 200);
    assert_eq!(shown(&json!({"job": "user"})).await, 200);
    for job in [
        json!("boss"),
        json!(null),
        json!([]),
        json!({"is": "user"}),
        json!(1),
    ] {
        assert_eq!(shown(&json!({"job": job})).await, 403, "{job}");
    }
    assert_eq!(server.get("/api/events", &[]).await.0, 401);
    let session = session(&server, "/ws", &token("ann", &json!({}))).await;
    assert_eq!(session.welcome["role"], "user");
}

#[tokio::test]
async fn who_shows_nothing_is_anonymous_if_there_is_a_role_for_that() {
    let mut roles = mine();
    roles["guest"] = json!({"read": {"public": true}});
    let (server, _file) = guarded(&roles, &json!({"anonymous": "guest"})).await;
    let mut ann = session(&server, "/ws", &token("ann", &json!({}))).await;
    ann.create(json!({"_id": "open", "public": true})).await;
    ann.create(json!({"_id": "own"})).await;
    let mut client = server.connect("/ws").await;
    let seen = client.ok("FETCH", json!({})).await;
    assert_eq!(seen["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        client.refused("CREATE", json!({"n": 1})).await["code"],
        "forbidden"
    );
    assert_eq!(server.get("/api/events/own", &[]).await.0, 404);
    client
        .ok("SUBSCRIBE", json!({"sub": "all", "snapshot": true}))
        .await;
    assert_eq!(
        client.next_told().await["data"].as_array().unwrap().len(),
        1
    );
    assert_eq!(client.next_told().await["type"], "live");
    let answer = client
        .ok("AUTH", json!({"token": token("ann", &json!({}))}))
        .await;
    assert_eq!(answer["data"]["sub"], "ann");
    let reset = client.next_told().await;
    assert_eq!(
        (&reset["type"], &reset["reason"]),
        (&json!("reset"), &json!("access_changed"))
    );
    assert_eq!(
        client.next_told().await["data"].as_array().unwrap().len(),
        2
    );
    assert_eq!(client.notice().await["reason"], "access_changed");
    ann.create(json!({"_id": "later"})).await;
    assert_eq!(client.change().await["eventId"], "later");
    client.create(json!({"n": 1})).await;
}

#[tokio::test]
async fn a_session_is_renewed_by_the_same_person_alone_and_ends_with_its_credentials() {
    let (server, _file) = guarded(&mine(), &json!({})).await;
    // Its leeway of thirty seconds ends in four.
    let short = expiring("ann", &json!({}), -26);
    let mut renewed = session(&server, "/ws", &short).await;
    let mut left = session(&server, "/ws", &short).await;
    let mut stream = server
        .http("GET", "/api/changes")
        .header("authorization", bearer(&short))
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    let refused = renewed
        .refused("AUTH", json!({"token": token("bob", &json!({}))}))
        .await;
    assert_eq!(refused["code"], "forbidden");
    let refused = renewed.refused("AUTH", json!({"token": "nonsense"})).await;
    assert_eq!(refused["code"], "unauthenticated");
    let answer = renewed
        .ok("AUTH", json!({"token": token("ann", &json!({}))}))
        .await;
    assert!(answer["data"]["expiresAt"].is_string());
    assert_eq!(left.end().await, End::Closed(4003));
    let mut said = String::new();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        said.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(
        said.contains("event: failure") && said.contains("token_expired"),
        "{said}"
    );
    renewed.create(json!({"n": 1})).await;
}

#[tokio::test]
async fn a_changed_file_reaches_those_who_are_in() {
    let (server, file) = guarded(&mine(), &json!({})).await;
    let ann_token = token("ann", &json!({}));
    let mut ann = session(&server, "/ws", &ann_token).await;
    let mut bob = session(&server, "/ws?changes=none", &token("bob", &json!({}))).await;
    ann.create(json!({"_id": "open", "public": true})).await;
    bob.create(json!({"_id": "bobs"})).await;
    bob.ok(
        "SUBSCRIBE",
        json!({"sub": "all", "snapshot": true, "filter": {"secret": null}}),
    )
    .await;
    assert_eq!(bob.next_told().await["data"].as_array().unwrap().len(), 2);
    assert_eq!(bob.next_told().await["type"], "live");
    bob.ok(
        "SUBSCRIBE",
        json!({"sub": "hidden", "filter": {"public": true}}),
    )
    .await;
    assert_eq!(bob.next_told().await["sub"], "hidden");
    let mut roles = mine();
    roles["user"]["read"] = json!({"owner": {"$claim": "sub"}});
    roles["user"]["hide"] = json!(["public"]);
    file.write(&roles, &json!({"revoke": [{"sub": "ann"}]}));
    assert_eq!(ann.end().await, End::Closed(4502));
    let mut told = Vec::new();
    while told.len() < 4 {
        told.push(bob.next_told().await);
    }
    let of = |sub: &str| {
        told.iter()
            .filter(|frame| frame["sub"] == sub)
            .collect::<Vec<_>>()
    };
    let all = of("all");
    assert_eq!(all[0]["reason"], "access_changed");
    assert_eq!(all[1]["data"].as_array().unwrap().len(), 1, "{}", all[1]);
    assert_eq!(all[1]["data"][0]["_id"], "bobs");
    let hidden = of("hidden");
    assert_eq!(
        hidden[0]["error"]["code"], "forbidden",
        "its filter asks for what is hidden now"
    );
    assert_eq!(get(&server, "/api/events", &ann_token).await.0, 401);
    assert_eq!(
        server
            .http("GET", "/healthz")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn a_file_that_is_no_good_lets_no_server_start_and_changes_nothing_on_one_that_runs() {
    let (server, file) = guarded(&mine(), &json!({})).await;
    let token = token("ann", &json!({}));
    let mut ann = session(&server, "/ws", &token).await;
    for (text, reason) in [
        ("{", "not JSON"),
        (r#"{"roles": {"user": {"reed": true}}}"#, "roles.user.reed"),
        (
            r#"{"roles": {}, "keys": [{"id": "k", "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "role": "x"}]}"#,
            "keys.0.role",
        ),
        (
            r#"{"roles": {}, "issuers": [{"iss": "a", "aud": "b", "algorithms": ["HS256"], "secretFile": "gone.txt"}]}"#,
            "gone.txt",
        ),
    ] {
        file.write_text(text);
        eventually("the file is found to be no good", async || {
            server.logged().contains(reason).then_some(())
        })
        .await;
        let database = Database::alone().await;
        let said = Server::spawn(&database, &["--access", &file.path()]).await;
        let said = said.expect_err("it does not start");
        assert!(
            said.contains("access file") && said.contains(reason),
            "{said}"
        );
    }
    ann.create(json!({"n": 1})).await;
    assert_eq!(get(&server, "/api/events", &token).await.0, 200);
}

#[tokio::test]
async fn a_server_that_others_can_reach_says_who_may_come_in() {
    let database = Database::alone().await;
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let said = Server::spawn_at(listen, &database, &[]).await;
        let said = said.expect_err("it does not start");
        assert!(
            said.contains("--access") && said.contains("--open-to-all"),
            "{said}"
        );
    }
    let file = AccessFile::new(&mine(), &json!({}));
    let said = Server::spawn(&database, &["--access", &file.path(), "--open-to-all"]).await;
    assert!(
        said.expect_err("one of them is wrong")
            .contains("--open-to-all")
    );
}

#[tokio::test]
async fn metrics_are_for_operators_and_health_is_for_everybody() {
    let mut roles = mine();
    roles["operator"] = json!({"operator": true});
    let (server, _file) = guarded(&roles, &json!({})).await;
    let user = token("ann", &json!({}));
    let operator = token("olga", &json!({"role": "operator"}));
    assert_eq!(server.status("/metrics").await, 401);
    assert_eq!(get(&server, "/metrics", &user).await.0, 403);
    let (status, text) = get(&server, "/metrics", &operator).await;
    assert_eq!(status, 200);
    assert!(text.as_str().unwrap().contains("livelog_"));
    for path in ["/healthz", "/readyz", "/client.js", "/", "/manual/index.md"] {
        assert_eq!(server.status(path).await, 200, "{path}");
    }
    let ready = server.get("/readyz", &[]).await.1;
    assert_eq!(
        ready.get("seq"),
        None,
        "strangers are not told how far the log is"
    );
    let both = token("eve", &json!({"role": ["user", "operator"]}));
    let asked = server
        .http("GET", "/metrics")
        .header("authorization", bearer(&both));
    let asked = asked
        .header("livelog-role", "operator")
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), 200, "the role that is asked for");
    assert_eq!(
        get(&server, "/metrics", &both).await.0,
        403,
        "the first of several"
    );
}

#[tokio::test]
async fn where_nobody_guards_credentials_are_for_others() {
    let server = Server::in_folder().await;
    let mut client = session(&server, "/ws", "anything").await;
    let answer = client.ok("AUTH", json!({"token": "anything"})).await;
    assert_eq!(answer["data"], json!({}));
    assert_eq!(get(&server, "/metrics", "anything").await.0, 200);
}

#[tokio::test]
async fn the_rule_is_the_same_on_every_path() {
    let mut roles = mine();
    roles["user"]["hide"] = json!(["secret"]);
    roles["service"] = json!({"read": true, "create": true, "update": true, "delete": true, "past": "all", "broadcast": {"send": true, "hear": true}});
    let (server, _file) = guarded(&roles, &json!({})).await;
    let service_token = token("s", &json!({"role": "service"}));
    let ann_token = token("ann", &json!({}));
    let mut service = session(&server, "/ws?changes=none", &service_token).await;
    let mut ann = session(&server, "/ws", &ann_token).await;
    let mut named = session(&server, "/ws?changes=none", &ann_token).await;
    named.ok("SUBSCRIBE", json!({"sub": "s", "after": 0})).await;
    service
        .create(json!({"_id": "a", "owner": "ann", "n": 1, "secret": 1}))
        .await;
    service
        .create(json!({"_id": "b", "owner": "bob", "n": 1}))
        .await;
    service
        .ok("UPDATE", json!({"id": "a", "mergePatch": {"secret": 2}}))
        .await;
    service
        .ok("UPDATE", json!({"id": "b", "mergePatch": {"owner": "ann"}}))
        .await;
    service
        .ok("UPDATE", json!({"id": "b", "mergePatch": {"owner": "bob"}}))
        .await;
    service.ok("DELETE", json!({"id": "b"})).await;
    service.ok("DELETE", json!({"id": "a"})).await;
    let expected = json!([
        ["a", "create"],
        ["b", "enter"],
        ["b", "leave"],
        ["a", "delete"]
    ]);
    let told = |changes: &[Value]| -> Value {
        changes
            .iter()
            .map(|change| json!([change["eventId"], change["kind"]]))
            .collect()
    };
    assert_eq!(told(&ann.changes(4).await), expected);
    let mut heard = Vec::new();
    while heard.len() < 4 {
        let frame = named.next_told().await;
        if frame["type"] == "change" {
            heard.push(frame);
        }
    }
    assert_eq!(told(&heard), expected);
    assert!(
        !heard
            .iter()
            .any(|change| change.to_string().contains("secret")),
        "{heard:?}"
    );
    let (_, page) = get(&server, "/api/changes?after=0", &ann_token).await;
    assert_eq!(told(page["data"].as_array().unwrap()), expected);
    for path in ["/api/events/a", "/api/events/b", "/api/events/none"] {
        assert_eq!(get(&server, path, &ann_token).await.0, 404);
    }
    let (status, body) = get(&server, "/api/events/a/history", &ann_token).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("forbidden")));
    let (status, body) = get(
        &server,
        "/api/events?filter=%7B%22secret%22%3A2%7D",
        &ann_token,
    )
    .await;
    assert_eq!(
        (status, &body["error"]["path"]),
        (403, &json!("query.filter.secret"))
    );
    let history = get(&server, "/api/events/b/history", &service_token)
        .await
        .1;
    assert_eq!(history["data"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn who_did_it_is_told_to_roles_that_may_know() {
    let mut roles = mine();
    roles["auditor"] = json!({"read": true, "past": "all", "authors": true});
    let made = livelog::identity::NewApiKey::make("k1", "user", &[7; 32]).unwrap();
    let keys = json!({"keys": [serde_json::to_value(&made.entry).unwrap()]});
    let (server, _file) = guarded(&roles, &keys).await;
    let auditor_token = token("olga", &json!({"role": "auditor"}));
    let mut auditor = session(&server, "/ws", &auditor_token).await;
    let mut ann = session(&server, "/ws", &token("ann", &json!({}))).await;
    let mut key = session(&server, "/ws?changes=none", &made.key).await;
    ann.create(json!({"_id": "a"})).await;
    key.create(json!({"_id": "k"})).await;
    let by_ann = json!({"iss": "test", "sub": "ann"});
    assert_eq!(auditor.change().await["by"], by_ann);
    assert_eq!(auditor.change().await["by"], json!({"key": "k1"}));
    assert_eq!(ann.change().await.get("by"), None);
    let history = get(&server, "/api/events/a/history", &auditor_token)
        .await
        .1;
    assert_eq!(history["data"][0]["by"], by_ann);
    let page = get(&server, "/api/changes?after=0", &auditor_token).await.1;
    assert_eq!(page["data"][0]["by"], by_ann);
}

#[test]
fn a_file_is_checked_and_its_roles_are_told() {
    let mut roles = mine();
    roles["user"]["read"]["$or"][1] = json!({"team": {"$in": {"$claim": "teams"}}});
    let file = AccessFile::new(&roles, &json!({"anonymous": "user"}));
    let folder = crate::support::database::scratch();
    let data = folder.path().join("data");
    let check = |arguments: &[&str]| {
        let path = file.path();
        let words = ["access", "check", &path, "--data", data.to_str().unwrap()];
        let output = std::process::Command::new(crate::support::server::BINARY)
            .args(words)
            .args(arguments)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (is_good, said) = check(&[]);
    assert!(
        is_good && said.contains("is good: roles user; who shows nothing is user"),
        "{said}"
    );
    let (is_good, said) = check(&[
        "--role",
        "user",
        "--claims",
        r#"{"sub":"ann","teams":["x"]}"#,
    ]);
    assert!(is_good, "{said}");
    assert!(
        said.contains(r#"{"$or":[{"public":true},{"team":{"$in":["x"]}}]}"#),
        "{said}"
    );
    assert!(
        said.contains(r#"delete.before   {"owner":"ann"}"#),
        "{said}"
    );
    assert!(
        said.contains(r#"set             {"owner":"ann"}"#),
        "{said}"
    );
    assert!(said.contains("limits          none"), "{said}");
    let (_, said) = check(&["--role", "user"]);
    assert!(
        said.contains("set             no writes: a claim is missing"),
        "{said}"
    );
    assert!(
        said.contains(r#"read            {"$or":[{"public":true}]}"#),
        "{said}"
    );
    assert!(
        said.contains("delete.before   nothing: a claim is missing"),
        "{said}"
    );
    let (is_good, said) = check(&["--role", "usr"]);
    assert!(!is_good && said.contains("no role \"usr\""), "{said}");
    file.write_text("{\"roles\":{\"a\":{\"read\":1}}}");
    let (is_good, said) = check(&[]);
    assert!(!is_good && said.contains("roles.a.read"), "{said}");
    let nearly_closed = json!({
        "revoke": [{"key": "k7"}],
        "roles": {"a": {
            "hide": ["x.y", "z"],
            "update": {"only": ["t"], "never": ["t.u"]},
            "limits": {"writes": {"perSecond": 5, "burst": 9}, "sessions": 2},
            "past": "all",
        }},
    });
    file.write_text(&nearly_closed.to_string());
    let (is_good, said) = check(&["--role", "a"]);
    assert!(is_good, "{said}");
    for expected in [
        "note: nobody gets in",
        r#"note: revoke: there is no key "k7""#,
        "hide            x.y, z",
        "update.only     t\n",
        "update.never    t.u",
        "past            all",
        "limits          5 writes a second, 9 at once; 2 sessions",
    ] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
}

#[test]
fn the_files_that_the_manual_shows_are_good() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/access");
    let manual = livelog_manual("access");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let output = std::process::Command::new(crate::support::server::BINARY)
                .args(["access", "check"])
                .arg(&path)
                .output()
                .unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(output.status.success(), "{said}");
            let text = std::fs::read_to_string(&path).unwrap();
            // Its digests are too long for a page.
            let is_shown = path.ends_with("start.json") || manual.contains(text.trim());
            assert!(is_shown, "{} is not in the manual", path.display());
            count += 1;
        }
    }
    assert!(count > 5);
}

fn livelog_manual(page: &str) -> String {
    let path = format!(
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/{}.md"),
        page
    );
    std::fs::read_to_string(path).unwrap()
}

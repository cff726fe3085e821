//! Declared indexes: built while the server serves, the same answers with and without, gone when nobody declares them.

use std::sync::Arc;

use mongodb::bson::doc;
use serde_json::{Value, json};

use crate::support::guarded::AccessFile;
use crate::support::server::BINARY;
use crate::support::{Database, Server, eventually, guarded, on_every_store};

on_every_store!(
    answers_are_the_same_with_and_without_an_index,
    an_index_is_built_beside_writes_and_removed_when_nobody_declares_it,
    a_rebuilt_view_has_its_indexes_again,
);

/// More than a plan takes for few.
const EVENTS: usize = 6_000;

const DECLARED: [&str; 6] = ["--index", "owner", "--index", "-due", "--index", "tags"];

/// Events of a hundred owners, with arrays and what is missing among them.
async fn stock(server: &Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let events = (0..EVENTS).map(|n| {
        let mut event = json!({"_id": format!("e{n:05}"), "owner": format!("u{}", n % 100), "due": n * 7 % 1_000});
        match n % 5 {
            0 => event["tags"] = json!([format!("t{}", n % 30), "all"]),
            1 => event["tags"] = json!(null),
            2 => event["due"] = json!([n, n % 10]),
            _ => {}
        }
        json!({"type": "CREATE", "payload": event})
    });
    let events: Vec<Value> = events.collect();
    for few in events.chunks(200) {
        client.send_all(few.iter().cloned()).await;
        for _ in few {
            assert_eq!(client.answer().await["success"], true);
        }
    }
}

const QUERIES: [&str; 10] = [
    r#"filter={"owner":"u7"}"#,
    r#"filter={"owner":{"$in":["u7","u8","nobody"]}}&sort={"due":-1}&limit=20"#,
    r#"filter={"due":{"$gte":990}}"#,
    r#"sort={"due":-1}&limit=30"#,
    r#"sort={"due":1}&limit=30&filter={"owner":{"$ne":"u1"}}"#,
    r#"filter={"tags":"t5"}&sort={"owner":1}"#,
    r#"filter={"tags":null}&limit=40"#,
    r#"filter={"tags":{"$exists":true},"owner":"u0"}"#,
    r#"filter={"$or":[{"owner":"u3"},{"due":{"$lt":2}}]}&sort={"_id":-1}"#,
    r#"filter={"owner":{"$regex":"^u9"},"tags":{"$size":2}}"#,
];

/// The answer to a list, asked as in an address.
async fn list(server: &Server, query: &str) -> (u16, Value) {
    let parameters = query.split('&').map(|pair| pair.split_once('=').unwrap());
    let parameters: Vec<(&str, &str)> = parameters.collect();
    server.get("/api/events", &parameters).await
}

async fn answers(server: &Server) -> Vec<Value> {
    let mut answers = Vec::new();
    for query in QUERIES {
        let (status, answer) = list(server, query).await;
        assert_eq!(status, 200, "{query}: {answer}");
        answers.push(answer["data"].clone());
    }
    answers
}

async fn until_built(server: &Server) {
    eventually("all indexes are built", async || {
        let (_, ready) = server.get("/readyz", &[]).await;
        ready["building"].is_null().then_some(())
    })
    .await;
}

async fn plan(server: &Server, query: &str) -> Value {
    let (status, explained) = list(server, &format!("explain=true&{query}")).await;
    assert_eq!(status, 200, "{explained}");
    explained["data"].clone()
}

async fn answers_are_the_same_with_and_without_an_index(server: Server) {
    stock(&server).await;
    let without = answers(&server).await;
    assert!(
        without
            .iter()
            .all(|data| data.as_array().is_some_and(|data| !data.is_empty()))
    );
    let database = server.stop().await;
    let is_embedded = database.is_folder();
    let server = Server::on(database, &DECLARED).await;
    until_built(&server).await;
    assert_eq!(answers(&server).await, without);
    if !is_embedded {
        return;
    }
    for (query, plan_is, names) in [
        (QUERIES[0], "index", json!(["owner"])),
        (QUERIES[2], "index", json!(["-due"])),
        (QUERIES[3], "order", json!(["-due"])),
        (QUERIES[5], "index", json!(["tags"])),
        (QUERIES[8], "index", json!(["-due", "owner"])),
    ] {
        let plan = plan(&server, query).await;
        assert_eq!(
            (&plan["plan"], &plan["indexes"]),
            (&json!(plan_is), &names),
            "{query}"
        );
        let examined = plan["eventsExamined"].as_u64().unwrap();
        assert!(examined < EVENTS as u64 / 5, "{query}: {plan}");
        assert!(plan["wouldHelp"].is_null(), "{plan}");
    }
    let plan = plan(&server, r#"filter={"nothing":1}"#).await;
    assert_eq!(
        (&plan["plan"], &plan["wouldHelp"]),
        (&json!("scan"), &json!("nothing"))
    );
    assert_eq!(plan["eventsExamined"], EVENTS);
    let metrics = server.http("GET", "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains(r#"livelog_queries_total{plan="order"}"#),
        "{metrics}"
    );
    assert!(metrics.contains("livelog_indexes 3"), "{metrics}");
}

async fn an_index_is_built_beside_writes_and_removed_when_nobody_declares_it(server: Server) {
    stock(&server).await;
    let database = server.stop().await;
    let server = Server::on(Arc::clone(&database), &DECLARED).await;
    let mut client = server.connect("/ws?changes=none").await;
    for n in (0..600).map(|n| n * 10) {
        let update = json!({"id": format!("e{n:05}"), "updateData": {"owner": "moved"}});
        client.ok("UPDATE", update).await;
    }
    until_built(&server).await;
    let (_, moved) = list(&server, r#"filter={"owner":"moved"}"#).await;
    assert_eq!(moved["data"].as_array().unwrap().len(), 600);
    let database = server.stop().await;
    let (code, said) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
    let server = Server::on(Arc::clone(&database), &["--index", "due"]).await;
    until_built(&server).await;
    let database = server.stop().await;
    let store = database.store().await;
    match database.is_folder() {
        true => {
            let kept = store.indexes().into_iter().map(|index| index.name);
            assert_eq!(kept.collect::<Vec<_>>(), ["due"]);
        }
        false => assert_eq!(names(&database).await, ["_id_", "livelog due"]),
    }
    store.close().await;
}

async fn a_rebuilt_view_has_its_indexes_again(server: Server) {
    stock(&server).await;
    let database = server.stop().await;
    let server = Server::on(Arc::clone(&database), &DECLARED).await;
    until_built(&server).await;
    let before = answers(&server).await;
    let database = server.stop().await;
    let (code, said) = database.livelog("replay").await;
    assert_eq!(code, Some(0), "{said}");
    let server = Server::on(Arc::clone(&database), &DECLARED).await;
    until_built(&server).await;
    assert_eq!(answers(&server).await, before);
    let database = server.stop().await;
    let (code, said) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

/// Of the indexes on the view.
async fn names(database: &Database) -> Vec<String> {
    let events = database.driver().await;
    let events = events.collection::<mongodb::bson::Document>("events");
    let mut names = events.list_index_names().await.unwrap();
    names.sort();
    names
}

#[tokio::test]
async fn the_indexes_of_others_are_left_alone() {
    let server = Server::start_with(&["--index", "owner"]).await;
    until_built(&server).await;
    let database = server.stop().await;
    let events = database.driver().await;
    let events = events.collection::<mongodb::bson::Document>("events");
    let theirs = mongodb::IndexModel::builder()
        .keys(doc! { "a": 1, "b": -1 })
        .build();
    events.create_index(theirs).await.unwrap();
    drop(Server::on(Arc::clone(&database), &[]).await.stop().await);
    assert_eq!(names(&database).await, ["_id_", "a_1_b_-1"]);
}

#[tokio::test]
async fn what_cannot_be_declared_is_refused_at_the_start() {
    let folder = Database::folder();
    for (declared, said) in [
        (
            &["--index", "a..b"][..],
            "--index: a..b: a path must not have empty segments",
        ),
        (
            &["--index", "a", "--index", "a"][..],
            "--index: a is declared twice",
        ),
        (&["--index", "_id"][..], "--index: _id needs no index"),
    ] {
        let refused = Server::spawn(&folder, declared).await.unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
    if cfg!(feature = "mongodb") {
        let shared = Database::shared().await;
        let refused = Server::spawn(&shared, &["--index", "b,a.0"])
            .await
            .unwrap_err();
        assert!(
            refused.contains("on MongoDB an index has no number on its paths"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn what_is_erased_is_found_in_no_index() {
    const SECRET: &str = "Ada-Lovelace-1815";
    let server = Server::on(Database::folder(), &["--index", "name"]).await;
    let mut client = server.connect("/ws?changes=none").await;
    client
        .create(json!({"_id": "person", "name": SECRET}))
        .await;
    client
        .create(json!({"_id": "other", "name": "somebody"}))
        .await;
    // Moves to the tables what is in memory.
    let large = "x".repeat(200_000);
    for _ in 0..100 {
        client.create(json!({"text": large})).await;
    }
    until_built(&server).await;
    let database = server.stop().await;
    let (code, said) = database.livelog("redact --event person").await;
    assert_eq!(code, Some(0), "{said}");
    let file = std::fs::read_dir(database.path()).unwrap();
    for file in file {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let secret = SECRET.as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    let server = Server::on(Arc::clone(&database), &["--index", "name"]).await;
    let plan = plan(&server, r#"filter={"name":"somebody"}"#).await;
    assert_eq!(
        (&plan["plan"], &plan["found"]),
        (&json!("index"), &json!(1))
    );
    let database = server.stop().await;
    let (code, said) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn explain_tells_what_a_query_takes_instead_of_its_events() {
    let server = Server::on(Database::folder(), &["--index", "owner"]).await;
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..5 {
        client.create(json!({"owner": format!("u{n}")})).await;
    }
    until_built(&server).await;
    let payload = json!({"filter": {"owner": "u3"}, "explain": true});
    let told = client.ok("FETCH", payload).await;
    assert_eq!(told["seq"], 5);
    assert!(told["data"]["milliseconds"].is_number(), "{told}");
    let mut report = told["data"].clone();
    report.as_object_mut().unwrap().remove("milliseconds");
    let expected = json!({
        "plan": "index", "indexes": ["owner"], "keysExamined": 1, "eventsExamined": 1, "found": 1,
    });
    assert_eq!(report, expected);
    let refused = client.refused("FETCH", json!({"explain": 1})).await;
    assert_eq!(
        (&refused["code"], &refused["path"]),
        (&json!("invalid_filter"), &json!("payload.explain"))
    );
    let (status, refused) = list(&server, "explain=yes").await;
    assert_eq!(
        (status, &refused["error"]["path"]),
        (400, &json!("query.explain"))
    );
}

/// How many events are examined tells of those that are not seen.
#[tokio::test]
async fn who_sees_but_a_part_is_not_told_what_a_query_takes() {
    let roles = json!({
        "all": {"read": true},
        "some": {"read": {"public": true}},
        "most": {"read": true, "hide": ["secret"]},
    });
    let file = AccessFile::new(&roles, &json!({}));
    let server = guarded::serve(Database::folder(), &file).await;
    for (role, is_told) in [("all", true), ("some", false), ("most", false)] {
        let token = guarded::token("somebody", &json!({"role": role}));
        let mut client = guarded::session(&server, "/ws?changes=none", &token).await;
        let answer = client.request("FETCH", json!({"explain": true})).await;
        assert_eq!(answer["success"], is_told, "{role}: {answer}");
        if !is_told {
            assert_eq!(answer["error"]["code"], "forbidden");
        }
    }
}

/// Each look-up reads all of them, so they count for its plan, and for what it may gather.
#[tokio::test]
async fn events_that_an_index_keeps_apart_are_not_gathered_without_bound() {
    let server = Server::on(Database::folder(), &["--index", "name"]).await;
    let mut client = server.connect("/ws?changes=none").await;
    client.create(json!({"_id": "x", "name": "x"})).await;
    until_built(&server).await;
    let query = r#"filter={"name":"x"}"#;
    let before = plan(&server, query).await;
    assert_eq!(
        (&before["plan"], &before["found"]),
        (&json!("index"), &json!(1))
    );
    let long = "y".repeat(1_200);
    let create = json!({"type": "CREATE", "payload": {"name": long}});
    for _ in 0..11 {
        client
            .send_all(std::iter::repeat_n(create.clone(), 200))
            .await;
        for _ in 0..200 {
            assert_eq!(client.answer().await["success"], true);
        }
    }
    let after = plan(&server, query).await;
    assert_eq!(
        (&after["plan"], &after["found"]),
        (&json!("scan"), &json!(1))
    );
    assert_eq!(after["keysExamined"], 0);
}

/// `livelog bench queries` fills a server, and is answered whatever it asks.
#[tokio::test]
async fn the_load_generator_asks_what_an_index_helps_with() {
    let declared = ["--index", "owner", "--index", "due"];
    let server = Server::on(Database::folder(), &declared).await;
    let url = format!("ws://{}/ws", server.address());
    let words = [
        "bench", "--json", "queries", "--events", "450", "--times", "2",
    ];
    let asking = tokio::task::spawn_blocking(move || {
        let mut command = std::process::Command::new(BINARY);
        command.args(words).args(["--url", &url]).output().unwrap()
    });
    let output = asking.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["events"], 450);
    for question in [
        "equality,_100_hits",
        "snapshot_until_live",
        "count_of_100",
        "stats_of_all",
    ] {
        let figure = format!("{question}_p50_ms");
        assert!(report[&figure].is_number(), "{figure}: {report}");
    }
    let mut client = server.connect("/ws?changes=none").await;
    let all = client.ok("FETCH", json!({"count": true, "limit": 0})).await;
    assert_eq!(all["count"], 450);
}

//! `GET /metrics`: what a node counts of itself.

use std::collections::{BTreeMap, HashSet};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Database, Server, eventually, on_every_store};

on_every_store!(
    a_node_counts_what_it_is_asked_and_what_came_of_it,
    a_node_tells_how_far_it_and_the_log_are,
    what_clients_write_is_in_no_metric,
);

async fn scrape(server: &Server) -> String {
    let answer = server.http("GET", "/metrics").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let kind = answer.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    answer.text().await.unwrap()
}

/// Every sample by its name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let parsed = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("NAME VALUE");
        (name.to_owned(), value.parse().expect(line))
    });
    parsed.collect()
}

async fn value(server: &Server, name: &str) -> f64 {
    samples(&scrape(server).await)
        .get(name)
        .copied()
        .unwrap_or(0.0)
}

/// Waits until a sample is as it should be: what is counted after an answer was sent may come a moment later.
async fn until(server: &Server, name: &str, is_right: impl Fn(f64) -> bool) {
    let what = format!("{name} is as it should be");
    let look = async || is_right(value(server, name).await).then_some(());
    eventually(&what, look).await;
}

async fn a_node_counts_what_it_is_asked_and_what_came_of_it(server: Server) {
    let mut client = server.client().await;
    for n in 0..3 {
        client
            .ok("CREATE", json!({"_id": format!("e{n}"), "n": n}))
            .await;
    }
    client.refused("CREATE", json!({"_id": "e0"})).await;
    client
        .refused("UPDATE", json!({"id": "gone", "updateData": {"n": 1}}))
        .await;
    client.ok("FETCH", json!({})).await;
    client
        .refused("FETCH", json!({"filter": {"$where": "1"}}))
        .await;
    client.ok("BROADCAST", json!({"n": 1})).await;
    let (status, _) = server.get("/api/events/e1", &[]).await;
    assert_eq!(status, 200);
    let posted = server
        .http("POST", "/api/events")
        .json(&json!({"_id": "e0"}));
    assert_eq!(posted.send().await.unwrap().status().as_u16(), 409);

    for (verb, outcome, count) in [
        ("CREATE", "done", 3.0),
        ("CREATE", "already_exists", 2.0),
        ("UPDATE", "not_found", 1.0),
        ("FETCH", "done", 2.0),
        ("FETCH", "invalid_filter", 1.0),
        ("BROADCAST", "done", 1.0),
    ] {
        let name = format!("livelog_requests_total{{verb=\"{verb}\",outcome=\"{outcome}\"}}");
        until(&server, &name, |found| found == count).await;
    }
    let read = server.get("/api/changes", &[]).await;
    assert_eq!(read.0, 200);
    let pages = "livelog_log_reads_total{reason=\"page\"}";
    until(&server, pages, |count| count == 1.0).await;
    until(&server, "livelog_commit_changes_sum", |sum| sum == 3.0).await;
    until(&server, "livelog_commit_duration_seconds_count", |count| {
        count >= 1.0
    })
    .await;
    until(
        &server,
        "livelog_delivery_duration_seconds_count",
        |count| count >= 1.0,
    )
    .await;
}

async fn a_node_tells_how_far_it_and_the_log_are(server: Server) {
    let mut client = server.client().await;
    let sessions = "livelog_sessions{transport=\"websocket\"}";
    until(&server, sessions, |open| open == 1.0).await;
    for n in 0..5 {
        client.ok("CREATE", json!({"n": n})).await;
    }
    client
        .ok("SUBSCRIBE", json!({"sub": "a", "filter": {"n": 1}}))
        .await;
    client
        .ok("SUBSCRIBE", json!({"sub": "b", "filter": {"n": 1}}))
        .await;
    until(&server, "livelog_head_seq", |seq| seq == 5.0).await;
    until(&server, "livelog_node_seq", |seq| seq == 5.0).await;
    until(&server, "livelog_subscriptions", |count| count == 2.0).await;
    until(&server, "livelog_filters", |count| count == 1.0).await;
    until(&server, "livelog_window_bytes", |bytes| bytes > 0.0).await;
    until(
        &server,
        "livelog_frames_sent_total{transport=\"websocket\"}",
        |frames| frames >= 12.0,
    )
    .await;
    drop(client);
    until(&server, sessions, |open| open == 0.0).await;
    until(&server, "livelog_subscriptions", |count| count == 0.0).await;
    until(&server, "livelog_filters", |count| count == 0.0).await;
}

async fn what_clients_write_is_in_no_metric(server: Server) {
    let mut client = server.client().await;
    let secret = "abracadabra";
    client
        .ok("CREATE", json!({"_id": secret, secret: secret}))
        .await;
    client.send(&json!({"type": secret})).await;
    assert_eq!(client.answer().await["success"], false);
    client
        .ok("SUBSCRIBE", json!({"sub": secret, "filter": {secret: 1}}))
        .await;
    client
        .ok("FETCH", json!({"filter": {secret: secret}}))
        .await;
    server.get(&format!("/api/events/{secret}"), &[]).await;
    server.get(&format!("/{secret}"), &[]).await;
    let text = scrape(&server).await;
    assert!(!text.contains(secret), "{text}");
}

#[tokio::test]
async fn a_request_is_found_by_its_name_in_the_answer_and_in_the_log() {
    let arguments = ["--log-format", "json", "--log", "livelog=debug"];
    let server = Server::on(Database::alone().await, &arguments).await;
    let named = server
        .http("GET", "/api/events")
        .header("x-request-id", "order-41");
    let answer = named.send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "order-41");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = server.http("GET", "/nowhere").header("traceparent", parent);
    let answer = traced.send().await.unwrap();
    assert_eq!(
        answer.headers()["x-request-id"],
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    let unnamed = server.http("GET", "/api/events").send().await.unwrap();
    assert!(!unnamed.headers()["x-request-id"].is_empty());
    let stranger = server
        .http("GET", "/api/events")
        .header("host", "evil.example");
    let answer = stranger.header("x-request-id", "order-42").send().await;
    assert_eq!(answer.unwrap().status(), 403);
    let line = eventually("it is logged", async || {
        let logged = server.logged();
        let mut lines = logged.lines();
        lines
            .find(|line| line.contains("turned away"))
            .map(str::to_owned)
    });
    let entry: serde_json::Value = serde_json::from_str(&line.await).unwrap();
    assert_eq!(entry["span"]["id"], "order-42", "{entry}");
    assert_eq!(entry["fields"].get("suppressed"), None, "{entry}");
    for line in server.logged().lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(entry["level"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn a_scrape_is_as_prometheus_reads_it() {
    let server = Server::in_folder().await;
    let mut client = server.client().await;
    client.ok("CREATE", json!({"n": 1})).await;
    client.refused("DELETE", json!({"id": "gone"})).await;
    client.ok("FETCH", json!({})).await;
    let text = scrape(&server).await;
    each_family_is_described_once(&text);
    judged_by_promtool(&text);
}

fn each_family_is_described_once(text: &str) {
    let described = |word: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(word));
        lines
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect()
    };
    let (helped, typed) = (described("# HELP "), described("# TYPE "));
    assert_eq!(helped, typed);
    let families: HashSet<&String> = helped.iter().collect();
    assert_eq!(families.len(), helped.len(), "{helped:?}");
    for name in samples(text).keys() {
        let name = name.split('{').next().unwrap();
        let endings = ["_bucket", "_sum", "_count"];
        let base = endings.iter().find_map(|ending| name.strip_suffix(ending));
        let is_described = |name: &str| families.contains(&name.to_owned());
        assert!(
            is_described(name) || base.is_some_and(is_described),
            "{name}"
        );
    }
}

/// Prometheus' own linter, which `.ci/run` installs. Elsewhere it judges where it is found.
fn judged_by_promtool(text: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        assert!(
            std::env::var_os("CI").is_none(),
            "promtool is not installed"
        );
        println!("promtool is not installed: only the form of the metrics was checked");
        return;
    };
    let mut stdin = promtool.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, text.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{said}\n{text}"
    );
}

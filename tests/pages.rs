//! `GET /api/changes` without a stream: the log in pages of JSON.

use serde_json::{Value, json};

use crate::support::subscriber::seq;
use crate::support::{Load, Server, Subscriber, on_every_store};

on_every_store!(
    pages_of_the_log_are_what_subscriptions_are_told,
    who_reads_page_after_page_under_load_misses_nothing,
);

/// The pages after a position until there is no more, and how far the log went then.
async fn pages(server: &Server, after: u64, parameters: &[(&str, &str)]) -> (Vec<Vec<Value>>, u64) {
    let mut pages = Vec::new();
    let mut after = after.to_string();
    loop {
        let mut all = vec![("after", after.as_str())];
        all.extend_from_slice(parameters);
        let (status, body) = server.get("/api/changes", &all).await;
        assert_eq!((status, &body["success"]), (200, &json!(true)), "{body}");
        pages.push(body["data"].as_array().unwrap().clone());
        match body.get("next") {
            Some(next) => after = next.to_string(),
            None => return (pages, seq(&body)),
        }
    }
}

async fn pages_of_the_log_are_what_subscriptions_are_told(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    assert_eq!(pages(&server, 0, &[]).await, (vec![vec![]], 0));
    for n in 0..50 {
        let id = format!("e{n}");
        client.create(json!({"_id": id, "n": n % 10, "m": n})).await;
        for n in 0..4 {
            client
                .ok("UPDATE", json!({"id": id, "updateData": {"n": n}}))
                .await;
        }
    }
    server.until_fed(250).await;
    let lengths = async |parameters: &[(&str, &str)]| {
        let (pages, head) = pages(&server, 0, parameters).await;
        assert_eq!(head, 250);
        pages.iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(lengths(&[]).await, [100, 100, 50]);
    assert_eq!(lengths(&[("limit", "125")]).await, [125, 125]);
    assert_eq!(lengths(&[("limit", "1000")]).await, [250]);
    // A page looks at so many changes of the log, whether the filter sees anything of them or not.
    assert_eq!(
        lengths(&[("limit", "100"), ("filter", r#"{"m":1}"#)]).await,
        [5, 0, 0]
    );
    assert_eq!(pages(&server, 250, &[]).await, (vec![vec![]], 250));
    let mut subscriber = Subscriber::new("s", json!({"n": {"$gt": 1}}), Some(&["n"]));
    subscriber.begin(&mut client, json!({"after": 3})).await;
    subscriber.until_live(&mut client).await;
    let parameters = [
        ("filter", r#"{"n":{"$gt":1}}"#),
        ("fields", "n"),
        ("limit", "7"),
    ];
    let (paged, _) = pages(&server, 3, &parameters).await;
    assert_eq!(paged.concat(), subscriber.changes);
}

/// As a client does that has no stream: from `next`, or where there is none from how far the log went.
async fn who_reads_page_after_page_under_load_misses_nothing(server: Server) {
    let load = Load::start(&[&server], 4).await;
    let mut heard: Vec<u64> = Vec::new();
    let mut after = 0;
    while heard.len() < 3_000 {
        let (pages, head) = pages(&server, after, &[("limit", "1000")]).await;
        heard.extend(pages.concat().iter().map(seq));
        after = head;
    }
    load.stop().await;
    let expected: Vec<u64> = (1..=heard.len() as u64).collect();
    assert!(
        heard == expected,
        "{:?}",
        heard
            .iter()
            .zip(&expected)
            .find(|(heard, seq)| heard != seq)
    );
}

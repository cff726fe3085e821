//! More at once than a node remembers for a filter, and filters that see one change in thousands.

use futures::future::join_all;
use serde_json::json;

use super::judge;
use crate::support::{Client, Database, Server, Subscriber, on_every_store};

on_every_store!(a_burst_is_told_from_the_window_once_in_order);

const WRITERS: usize = 12;
const ROUNDS: usize = 4;
/// Requests that one session may have on the way.
const AT_ONCE: usize = 64;

/// All at once, so that hundreds of changes come to the feed in one piece.
async fn write(server: &Server) -> u64 {
    let mut writers: Vec<Client> = Vec::new();
    for _ in 0..WRITERS {
        writers.push(server.connect("/ws?changes=none").await);
    }
    for round in 0..ROUNDS {
        let writing = writers
            .iter_mut()
            .enumerate()
            .map(async |(writer, client)| {
                let event = |n: usize| json!({"_id": format!("e{round}-{writer}-{n}"), "n": n});
                let create = |n: usize| json!({"type": "CREATE", "payload": event(n)});
                client.send_all((0..AT_ONCE).map(create)).await;
                for _ in 0..AT_ONCE {
                    assert_eq!(client.answer().await["success"], true);
                }
            });
        join_all(writing).await;
    }
    let end = json!({"_id": END, "n": [0, 7]});
    writers[0].create(end).await.1
}

const END: &str = "end";

/// Subscriptions from the start, before the writing or after it; how often the window overran them.
async fn tell_all(server: &Server) -> usize {
    let mut client = server.connect("/ws?changes=none").await;
    let subscribers = |when: &str| {
        let filters = [
            json!({}),
            json!({"n": 7}),
            json!({"_id": {"$in": ["e0-0-0", "e3-11-63", END]}}),
            json!({"_id": END}),
        ];
        let named = |(n, filter)| Subscriber::new(&format!("{when}{n}"), filter, Some(&["n"]));
        filters
            .into_iter()
            .enumerate()
            .map(named)
            .collect::<Vec<_>>()
    };
    let mut all = subscribers("before");
    for subscriber in &mut all {
        subscriber.begin(&mut client, json!({})).await;
    }
    let last = write(server).await;
    for mut subscriber in subscribers("after") {
        subscriber.begin(&mut client, json!({"after": 0})).await;
        all.push(subscriber);
    }
    while all
        .iter()
        .any(|subscriber| !subscriber.was_told_of(END) || !subscriber.is_live())
    {
        let frame = client.next_told().await;
        let whose = all
            .iter_mut()
            .find(|subscriber| frame["sub"] == *subscriber.name);
        whose.expect("somebody asked for it").hear(frame);
    }
    let log = judge::log(server, last).await;
    assert_eq!(log.len(), WRITERS * ROUNDS * AT_ONCE + 1);
    all.iter()
        .for_each(|subscriber| judge::check(subscriber, &log));
    all.iter().map(|subscriber| subscriber.overruns).sum()
}

async fn a_burst_is_told_from_the_window_once_in_order(server: Server) {
    assert_eq!(tell_all(&server).await, 0, "the window holds all of it");
}

#[tokio::test]
async fn a_burst_that_overruns_the_window_is_told_from_the_log_once_in_order() {
    let server = Server::on(Database::alone().await, &["--window-bytes", "20000"]).await;
    assert!(tell_all(&server).await > 0);
}

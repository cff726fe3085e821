//! What sessions are pushed: order, resume, broadcasts, slow readers.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::client::{COME_BACK, Client, End};
use crate::support::load::check_log;
use crate::support::{Load, Server, on_every_store};

on_every_store!(
    a_change_tells_what_happened,
    a_change_is_the_same_live_and_from_the_log,
    sessions_that_join_under_load_hear_exactly_what_follows_their_welcome,
    an_answered_write_is_heard_by_sessions_opened_before_and_not_after,
    changes_none_hears_only_answers_and_broadcasts,
    a_session_resumes_where_another_ended_without_loss_or_duplicate,
    a_position_that_is_not_in_this_log_gets_a_reset_and_then_what_follows,
    a_session_that_stops_reading_loses_nothing_and_holds_up_nobody,
    many_small_changes_overrun_a_sleeping_session_and_reach_it_from_the_log,
);

async fn a_change_tells_what_happened(server: Server) {
    let mut writer = server.connect("/ws?changes=none").await;
    let mut watcher = server.client().await;
    let created = writer
        .ok("CREATE", json!({"_id": "e", "a": 1, "b": {"c": 1}}))
        .await;
    let updated = writer
        .ok("UPDATE", json!({"id": "e", "updateData": {"b.c": 2}}))
        .await;
    writer.ok("DELETE", json!({"id": "e"})).await;
    let heard = watcher.changes(3).await;
    let at = |change: &Value| change["at"].as_str().unwrap().to_owned();
    assert_eq!(
        heard[0],
        json!({"type": "change", "seq": 1, "kind": "create", "eventId": "e", "version": 1,
               "at": created["data"]["_createdAt"], "data": created["data"]})
    );
    assert_eq!(
        heard[1],
        json!({"type": "change", "seq": 2, "kind": "update", "eventId": "e", "version": 2,
               "at": updated["data"]["_updatedAt"], "data": updated["data"],
               "patch": {"set": {"b.c": 2}, "unset": []}})
    );
    assert_eq!(
        heard[2],
        json!({"type": "change", "seq": 3, "kind": "delete", "eventId": "e", "version": 3, "at": at(&heard[2])})
    );
    assert!(at(&heard[0]) <= at(&heard[1]) && at(&heard[1]) <= at(&heard[2]));
}

async fn a_change_is_the_same_live_and_from_the_log(server: Server) {
    let mut live = server.client().await;
    live.ok(
        "CREATE",
        json!({"_id": "e", "a": 1, "b": [1.0, {"c": null}]}),
    )
    .await;
    live.ok(
        "UPDATE",
        json!({"id": "e", "updateData": {"a": 2.0, "b.1.c": "x"}}),
    )
    .await;
    live.ok("DELETE", json!({"id": "e"})).await;
    let mut resumed = server.connect("/ws?after=0").await;
    let texts = |changes: Vec<Value>| changes.iter().map(Value::to_string).collect::<Vec<_>>();
    assert_eq!(
        texts(live.changes(3).await),
        texts(resumed.changes(3).await)
    );
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn every_change_reaches_every_session_of_every_node_once_and_in_order() {
    let one = Server::start().await;
    let two = one.beside().await;
    let mut watchers: Vec<Client> = Vec::new();
    for node in [&one, &two, &one, &two] {
        watchers.push(node.client().await);
    }
    let load = Load::bounded(&[&one, &two], 8, 400).await;
    let told = load.finish().await;
    assert_eq!(
        (
            told.acknowledged.len(),
            told.refused.len(),
            told.unanswered.len()
        ),
        (3200, 0, 0)
    );
    let logged = check_log(&one, &told).await;
    for mut watcher in watchers {
        let heard = watcher.changes_through(3200).await;
        let heard: Vec<&str> = heard
            .iter()
            .map(|change| change["eventId"].as_str().unwrap())
            .collect();
        assert_eq!(heard, logged[..3200]);
    }
}

async fn sessions_that_join_under_load_hear_exactly_what_follows_their_welcome(server: Server) {
    let load = Load::start(&[&server], 4).await;
    let mut starts = Vec::new();
    for round in 1..=10 {
        load.until_answered(round * 50).await;
        let mut client = server.client().await;
        let heard = client.changes(50).await;
        assert_eq!(heard[0]["seq"], client.start() + 1);
        assert_eq!(heard[49]["seq"], client.start() + 50);
        starts.push(client.start());
    }
    assert!(starts.is_sorted() && starts[9] > starts[0], "{starts:?}");
    check_log(&server, &load.stop().await).await;
}

async fn an_answered_write_is_heard_by_sessions_opened_before_and_not_after(server: Server) {
    for round in 0..20 {
        let mut before = server.client().await;
        let (_, seq) = before.create(json!({"round": round})).await;
        assert_eq!(before.change().await["seq"], seq);
    }
}

async fn changes_none_hears_only_answers_and_broadcasts(server: Server) {
    let mut silent = server.connect("/ws?changes=none").await;
    let mut loud = server.client().await;
    silent.create(json!({})).await;
    loud.create(json!({})).await;
    // When the loud one has heard both, and the silent one a broadcast after that, nothing is on its way.
    loud.changes(2).await;
    loud.ok("BROADCAST", json!("done")).await;
    silent.broadcast().await;
    assert_eq!(silent.changes.len(), 0);
    silent.lives().await;
}

async fn a_session_resumes_where_another_ended_without_loss_or_duplicate(server: Server) {
    let load = Load::start(&[&server], 4).await;
    let mut heard = 0;
    for pieces in [1, 7, 50, 300, 2, 100] {
        let mut client = server.connect(&format!("/ws?after={heard}")).await;
        assert_eq!(client.start(), heard);
        for change in client.changes(pieces).await {
            heard += 1;
            assert_eq!(change["seq"], heard);
        }
    }
    let told = load.stop().await;
    check_log(&server, &told).await;
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn a_session_resumes_on_another_node_by_epoch() {
    let one = Server::start().await;
    let two = one.beside().await;
    let mut first = one.client().await;
    first.create(json!({"n": 1})).await;
    first.create(json!({"n": 2})).await;
    let epoch = first.welcome["epoch"].as_str().unwrap();
    let mut second = two.connect(&format!("/ws?after=1&epoch={epoch}")).await;
    assert_eq!(second.welcome["epoch"], epoch);
    assert_eq!(second.change().await["seq"], 2);
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn a_session_resumes_on_a_node_that_has_just_started() {
    let one = Server::start().await;
    let mut first = one.client().await;
    for n in 0..3 {
        first.create(json!({"n": n})).await;
    }
    // Nothing was written since, so this node knows the three from the log alone.
    let two = one.beside().await;
    let mut second = two.connect("/ws?after=1").await;
    assert_eq!(second.start(), 1);
    assert_eq!(second.change().await["seq"], 2);
    assert_eq!(second.change().await["seq"], 3);
    first.create(json!({})).await;
    assert_eq!(second.change().await["seq"], 4);
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn who_wants_no_changes_gets_none_from_the_log_either() {
    let one = Server::start().await;
    let mut first = one.client().await;
    first.create(json!({})).await;
    let two = one.beside().await;
    let mut silent = two.connect("/ws?changes=none&after=0").await;
    silent.create(json!({})).await;
    silent.ok("BROADCAST", json!("done")).await;
    silent.broadcast().await;
    assert_eq!(silent.changes.len(), 0);
}

async fn a_position_that_is_not_in_this_log_gets_a_reset_and_then_what_follows(server: Server) {
    let mut writer = server.client().await;
    writer.create(json!({})).await;
    writer.change().await;
    let other = uuid::Uuid::new_v4();
    for path in [
        "/ws?after=1000".to_owned(),
        format!("/ws?after=0&epoch={other}"),
    ] {
        let mut client = server.connect(&path).await;
        let head = client.start();
        let reset = client.notice().await;
        assert_eq!(
            (&reset["type"], &reset["earliest"]),
            (&json!("reset"), &json!(1)),
            "{reset}"
        );
        assert!(
            reset["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty())
        );
        writer.create(json!({})).await;
        assert_eq!(client.change().await["seq"], head + 1, "{path}");
        writer.change().await;
    }
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn broadcasts_reach_every_session_of_every_node_once_and_in_order() {
    let one = Server::start().await;
    let two = one.beside().await;
    let mut sender = one.connect("/ws?changes=none").await;
    let mut listeners = Vec::new();
    for node in [&one, &two, &one, &two] {
        listeners.push(node.client().await);
    }
    for n in 0..20 {
        sender.ok("BROADCAST", json!({"n": n})).await;
    }
    // The end is told by a change, which comes by the same way.
    for listener in &mut listeners {
        for n in 0..20 {
            assert_eq!(listener.broadcast().await["payload"], json!({"n": n}));
        }
    }
    sender.ok("BROADCAST", json!("last")).await;
    for listener in &mut listeners {
        assert_eq!(listener.broadcast().await["payload"], "last");
        assert!(listener.broadcasts.is_empty());
    }
}

async fn a_session_that_stops_reading_loses_nothing_and_holds_up_nobody(server: Server) {
    let mut asleep = server.client().await;
    let mut awake = server.client().await;
    // More than sockets and the live window together hold: 64 events of 256 KiB are 16 MiB, and each is
    // pushed whole. The writers are not held up, or this ends by its deadline.
    let mut writer = server.connect("/ws?changes=none").await;
    let text = "x".repeat(250_000);
    let mut last = 0;
    for n in 0..120 {
        last = writer.create(json!({"n": n, "text": text})).await.1;
        assert_eq!(awake.change().await["seq"], last);
    }
    let mut heard = 0;
    loop {
        if let Some(change) = asleep.changes.pop_front() {
            heard += 1;
            assert_eq!(change["seq"], heard);
            if heard == last {
                break;
            }
            continue;
        }
        if let Err(end) = asleep.read().await {
            // A session too slow to be kept is told to come back if it reads that in time, and does.
            let told = matches!(end, End::Closed(code) if COME_BACK.contains(&code));
            assert!(told || end == End::Lost, "{end:?}");
            asleep = server.connect(&format!("/ws?after={heard}")).await;
        }
    }
}

async fn many_small_changes_overrun_a_sleeping_session_and_reach_it_from_the_log(server: Server) {
    let mut asleep = server.client().await;
    // In batches: who takes nothing for ten seconds is closed, and one by one they may take longer.
    let mut writer = server.connect("/ws?changes=none").await;
    let create = json!({"type": "CREATE", "payload": {}});
    let batch = json!({"type": "BATCH", "payload": {"commands": vec![create; 100]}});
    let mut acknowledged = HashMap::new();
    for _ in 0..120 / 40 {
        writer.send_all(vec![batch.clone(); 40]).await;
        for _ in 0..40 {
            let answer = writer.answer().await;
            for event in answer["data"].as_array().unwrap() {
                let id = event["_id"].as_str().unwrap().to_owned();
                acknowledged.insert(event["_seq"].as_u64().unwrap(), id);
            }
        }
    }
    assert_eq!(acknowledged.len(), 12_000);
    let heard = asleep.changes_through(12_000).await;
    let by_seq: HashMap<u64, &str> = heard
        .iter()
        .map(|change| {
            (
                change["seq"].as_u64().unwrap(),
                change["eventId"].as_str().unwrap(),
            )
        })
        .collect();
    for (seq, event) in &acknowledged {
        assert_eq!(by_seq[seq], event);
    }
}

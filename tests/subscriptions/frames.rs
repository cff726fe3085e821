//! What follows the answer to a SUBSCRIBE.

use serde_json::{Value, json};

use crate::support::subscriber::seq;
use crate::support::{Client, Load, Server, Subscriber, on_every_store};

on_every_store!(
    a_subscription_with_nothing_to_catch_up_is_live_at_once,
    a_subscription_catches_up_and_then_is_live,
    a_snapshot_has_the_writes_that_were_sent_before_it,
    nothing_comes_before_the_first_answer_or_after_the_last,
    a_broadcast_reaches_a_session_once_however_much_it_subscribes_to,
    the_default_feed_goes_on_beside_subscriptions,
);

async fn a_subscription_with_nothing_to_catch_up_is_live_at_once(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    client.create(json!({"_id": "e", "a": 1})).await;
    server.until_fed(1).await;
    let frames = async |client: &mut Client, payload: Value, count: usize| {
        client
            .send(&json!({"type": "SUBSCRIBE", "id": "c", "payload": payload}))
            .await;
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(client.frame().await.unwrap());
        }
        client.lives().await;
        assert_eq!(client.told.len(), 0, "{:?}", client.told);
        frames
    };
    for (name, more) in [
        ("now", json!({})),
        ("after", json!({"after": 1})),
        ("latest", json!({"after": 1, "mode": "latest"})),
    ] {
        let response = json!({"type": "response", "id": "c", "request": "SUBSCRIBE", "success": true, "seq": 1, "sub": name});
        let live = json!({"type": "live", "sub": name, "seq": 1});
        let payload = Subscriber::new(name, json!({}), None).payload(more);
        assert_eq!(frames(&mut client, payload, 2).await, [response, live]);
    }
    let payload = json!({"sub": "empty", "filter": {"a": 2}, "snapshot": true});
    let told = frames(&mut client, payload, 3).await;
    assert_eq!(
        told[1],
        json!({"type": "snapshot", "sub": "empty", "seq": 1, "data": [], "more": false})
    );
    assert_eq!(told[2], json!({"type": "live", "sub": "empty", "seq": 1}));
}

async fn a_subscription_catches_up_and_then_is_live(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..5 {
        client.create(json!({"n": n})).await;
    }
    server.until_fed(5).await;
    let mut subscriber = Subscriber::new("s", json!({}), None);
    subscriber.begin(&mut client, json!({"after": 2})).await;
    assert_eq!(subscriber.start, 2);
    subscriber.until_live(&mut client).await;
    let told: Vec<u64> = subscriber.changes.iter().map(seq).collect();
    assert_eq!((told, subscriber.position), (vec![3, 4, 5], Some(5)));
    // A position with which it can go on is no reason for a snapshot.
    let mut subscriber = Subscriber::new("t", json!({}), None);
    subscriber
        .begin(&mut client, json!({"after": 4, "snapshot": true}))
        .await;
    subscriber.until_live(&mut client).await;
    assert_eq!(subscriber.changes.len(), 1);
}

async fn a_snapshot_has_the_writes_that_were_sent_before_it(server: Server) {
    let mut client = server.client().await;
    for round in 0..10 {
        let create = |n: usize| json!({"type": "CREATE", "payload": {"round": round, "n": n}});
        let name = format!("s{round}");
        let mut subscriber = Subscriber::new(&name, json!({"round": round}), Some(&["n"]));
        let subscribe =
            json!({"type": "SUBSCRIBE", "payload": subscriber.payload(json!({"snapshot": true}))});
        client
            .send_all((0..20).map(create).chain([subscribe]))
            .await;
        for _ in 0..20 {
            assert_eq!(client.answer().await["success"], true);
        }
        let answer = client.answer().await;
        subscriber.begun(&answer, &json!({"snapshot": true}));
        // The filters of the rounds before see none of it, so all that is told now is told to this one.
        subscriber.until_live(&mut client).await;
        assert_eq!(subscriber.snapshot.unwrap().len(), 20, "round {round}");
    }
}

async fn nothing_comes_before_the_first_answer_or_after_the_last(server: Server) {
    let load = Load::start(&[&server], 4).await;
    load.until_answered(50).await;
    let mut client = server.connect("/ws?changes=none").await;
    for round in 0..20 {
        let mut subscriber = Subscriber::new("s", json!({}), None);
        let more = [json!({}), json!({"after": 0}), json!({"snapshot": true})][round % 3].clone();
        client
            .send(&json!({"type": "SUBSCRIBE", "payload": subscriber.payload(more.clone())}))
            .await;
        // Whatever came of the one before would stand before this answer.
        let first = client.frame().await.unwrap();
        assert_eq!(first["type"], "response", "{first}");
        subscriber.begun(&first, &more);
        for _ in 0..round {
            subscriber.hear(client.next_told().await);
        }
        client.ok("UNSUBSCRIBE", json!({"sub": "s"})).await;
        for frame in client.told.drain(..) {
            subscriber.hear(frame);
        }
    }
    client.ok("BROADCAST", json!("last")).await;
    client.broadcast().await;
    assert_eq!(client.told.len(), 0);
    load.stop().await;
}

async fn a_broadcast_reaches_a_session_once_however_much_it_subscribes_to(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..5 {
        client
            .ok("SUBSCRIBE", json!({"sub": format!("s{n}")}))
            .await;
    }
    for n in 0..5 {
        client.ok("BROADCAST", json!(n)).await;
        // A change after each, so that the subscriptions have something to tell as well.
        client.create(json!({})).await;
    }
    let frames = 5 * (1 + 5);
    while client.told.len() < frames {
        client.read().await.unwrap();
    }
    for n in 0..5 {
        assert_eq!(client.broadcast().await["payload"], n);
    }
    client.lives().await;
    assert_eq!((client.broadcasts.len(), client.told.len()), (0, frames));
}

async fn the_default_feed_goes_on_beside_subscriptions(server: Server) {
    let mut client = server.client().await;
    let mut odd = Subscriber::new("odd", json!({"odd": true}), Some(&["n"]));
    odd.begin(&mut client, json!({})).await;
    for n in 0..10 {
        client
            .create(json!({"_id": format!("e{n}"), "n": n, "odd": n % 2 == 1}))
            .await;
    }
    let heard = client.changes_through(10).await;
    odd.until_told_of(&mut client, "e9").await;
    assert_eq!(heard.len(), 10);
    assert!(
        heard
            .iter()
            .all(|change| change.get("sub").is_none() && change["data"]["odd"].is_boolean())
    );
    let data: Vec<&Value> = odd.changes.iter().map(|change| &change["data"]).collect();
    let expected = [1, 3, 5, 7, 9].map(|n| json!({"_id": format!("e{n}"), "n": n}));
    assert_eq!(data, expected.iter().collect::<Vec<_>>());
    client.ok("UNSUBSCRIBE", json!({"sub": "odd"})).await;
    client.create(json!({"odd": true})).await;
    assert_eq!(seq(&client.change().await), 11);
    assert_eq!(client.told.len(), 0);
}

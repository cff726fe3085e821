//! PING: asks whether a session lives, in a message, since a web page sees no ping frames.

use std::time::Duration;

use serde_json::json;

use crate::support::by_hand::{Raw, message};
use crate::support::client::error_of;
use crate::support::{Server, on_every_store};

on_every_store!(a_ping_is_answered_at_once_whatever_else_is_owed);

async fn a_ping_is_answered_at_once_whatever_else_is_owed(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let (_, seq) = client.create(json!({})).await;
    server.until_fed(seq).await;
    // It waits for a seq that never comes, and what is asked after it waits for it.
    client
        .send_all([
            json!({"type": "FETCH", "id": "f", "payload": {"minSeq": seq + 1}}),
            json!({"type": "FETCH", "id": "g"}),
            json!({"type": "PING", "id": "p"}),
            json!({"type": "PING"}),
        ])
        .await;
    let pongs = [client.frame().await, client.frame().await];
    assert_eq!(
        pongs,
        [
            Ok(json!({"type": "pong", "id": "p", "seq": seq})),
            Ok(json!({"type": "pong", "seq": seq}))
        ]
    );
    assert_eq!(error_of(&client.answer().await)["code"], "seq_not_reached");
    assert_eq!(client.answer().await["id"], "g");
}

#[tokio::test]
async fn a_ping_takes_nothing_and_has_no_command_id() {
    let server = Server::in_folder().await;
    let mut client = server.connect("/ws?changes=none").await;
    for (ping, path) in [
        (json!({"type": "PING", "payload": {"n": 1}}), "payload.n"),
        (json!({"type": "PING", "payload": [1]}), "payload"),
        (json!({"type": "PING", "commandId": "c"}), "commandId"),
    ] {
        client.send(&ping).await;
        let answer = client.answer().await;
        assert_eq!(answer["request"], "PING");
        let error = error_of(&answer);
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("bad_request"), &json!(path))
        );
    }
    for payload in [json!(null), json!({})] {
        let ping = json!({"type": "PING", "payload": payload});
        client.send(&ping).await;
        let pong = client.frame().await;
        assert_eq!(pong, Ok(json!({"type": "pong", "seq": 0})));
    }
}

/// Pongs that nobody takes are not piled up: the socket is read no further, and each is answered in the end.
#[tokio::test]
async fn a_flood_of_pings_is_answered_one_by_one_when_it_is_read() {
    const PINGS: u32 = 50_000;
    let server = Server::in_folder().await;
    let mut raw = Raw::session(&server, "/ws?changes=none").await;
    let flood = (0..PINGS).flat_map(|id| message(&format!(r#"{{"type":"PING","id":{id}}}"#)));
    let flood: Vec<u8> = flood.collect();
    raw.try_send(&flood, Duration::from_secs(1)).await;
    raw.read_until(|bytes| bytes.len() > flood.len() / 2).await;
    let pongs = raw.heard().messages.split_off(1);
    assert!(pongs.len() > 1_000);
    for (id, pong) in pongs.iter().enumerate() {
        assert_eq!(*pong, json!({"type": "pong", "id": id, "seq": 0}));
    }
}

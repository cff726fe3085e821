//! BATCH: several commands, all or none.

use serde_json::{Value, json};

use crate::support::client::error_of;
use crate::support::{Server, on_every_store};

on_every_store!(
    a_batch_is_carried_out_whole_and_in_order,
    one_refusal_refuses_the_whole_batch_and_is_named,
    a_batch_that_cannot_be_read_is_refused_with_the_place,
    a_batch_is_bounded_in_commands_and_in_bytes,
    a_repeated_batch_has_the_answer_it_had,
    batches_of_many_clients_do_not_mix,
    a_batch_over_http_is_the_same,
);

fn batch(commands: &[(&str, Value)]) -> Value {
    let commands: Vec<Value> = commands
        .iter()
        .map(|(kind, payload)| json!({"type": kind, "payload": payload}))
        .collect();
    json!({ "commands": commands })
}

async fn a_batch_is_carried_out_whole_and_in_order(server: Server) {
    let mut client = server.client().await;
    let answer = client
        .ok(
            "BATCH",
            batch(&[
                ("CREATE", json!({"_id": "a", "n": 1})),
                ("CREATE", json!({"n": 2})),
                (
                    "UPDATE",
                    json!({"id": "a", "updateData": {"n": 3}, "expectedVersion": 1}),
                ),
                ("CREATE", json!({"_id": "b"})),
                ("DELETE", json!({"id": "b"})),
            ]),
        )
        .await;
    assert_eq!(answer["seq"], 5);
    let data = answer["data"].as_array().unwrap();
    let seqs: Vec<&Value> = data.iter().map(|event| &event["_seq"]).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 4], "the deleted event is told as it was");
    assert_eq!(
        (&data[2]["n"], &data[2]["_version"]),
        (&json!(3), &json!(2))
    );
    let heard = client.changes_through(5).await;
    let kinds: Vec<&Value> = heard.iter().map(|change| &change["kind"]).collect();
    assert_eq!(kinds, ["create", "create", "update", "create", "delete"]);
    let fetched = client.ok("FETCH", json!({})).await;
    assert_eq!(fetched["data"].as_array().unwrap().len(), 2);
}

async fn one_refusal_refuses_the_whole_batch_and_is_named(server: Server) {
    let mut client = server.client().await;
    client.create(json!({"_id": "e", "n": 1})).await;
    for (refused, code, path) in [
        (
            ("CREATE", json!({"_id": "a"})),
            "already_exists",
            "payload.commands.2",
        ),
        (
            ("UPDATE", json!({"id": "z", "updateData": {"n": 1}})),
            "not_found",
            "payload.commands.2",
        ),
        (
            ("DELETE", json!({"id": "e", "expectedVersion": 1})),
            "version_conflict",
            "payload.commands.2",
        ),
        (
            ("UPDATE", json!({"id": "e", "updateData": {"n.x": 1}})),
            "does_not_fit",
            "payload.commands.2.payload.updateData.n.x",
        ),
    ] {
        let error = client
            .refused(
                "BATCH",
                batch(&[
                    ("CREATE", json!({"_id": "a"})),
                    ("UPDATE", json!({"id": "e", "updateData": {"n": 2}})),
                    refused,
                    ("DELETE", json!({"id": "e"})),
                ]),
            )
            .await;
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!(code), &json!(path)),
            "{error}"
        );
    }
    // What a refused batch would have made is not there for those who come after.
    client.ok("CREATE", json!({"_id": "a", "n": 7})).await;
    let updated = client
        .ok("UPDATE", json!({"id": "e", "updateData": {"n": 3}}))
        .await;
    assert_eq!(
        (&updated["seq"], &updated["data"]["_version"]),
        (&json!(3), &json!(2))
    );
}

async fn a_batch_that_cannot_be_read_is_refused_with_the_place(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let good = json!({"type": "CREATE", "payload": {}});
    for (payload, path) in [
        (json!({}), "payload.commands"),
        (json!({"commands": {}}), "payload.commands"),
        (json!({"commands": []}), "payload.commands"),
        (json!({"commands": [good, 1]}), "payload.commands.1"),
        (json!({"commands": [good, {}]}), "payload.commands.1.type"),
        (
            json!({"commands": [{"type": "FETCH", "payload": {}}]}),
            "payload.commands.0.type",
        ),
        (
            json!({"commands": [{"type": "CREATE"}]}),
            "payload.commands.0.payload",
        ),
        (
            json!({"commands": [{"type": "CREATE", "payload": {"_seq": 1}}]}),
            "payload.commands.0.payload._seq",
        ),
        (
            json!({"commands": [{"type": "CREATE", "commandId": "c", "payload": {}}]}),
            "payload.commands.0.commandId",
        ),
    ] {
        let error = client.refused("BATCH", payload).await;
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("bad_request"), &json!(path))
        );
    }
    assert_eq!(server.get("/readyz", &[]).await.1["seq"], 0);
}

async fn a_batch_is_bounded_in_commands_and_in_bytes(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let creates = |count: usize| batch(&vec![("CREATE", json!({"n": 1})); count]);
    let answer = client.ok("BATCH", creates(100)).await;
    assert_eq!(answer["seq"], 100);
    let error = client.refused("BATCH", creates(101)).await;
    assert_eq!(
        (&error["code"], &error["path"]),
        (&json!("bad_request"), &json!("payload.commands"))
    );
    client
        .create(json!({"_id": "e", "text": "x".repeat(200 * 1024)}))
        .await;
    let updates = |count: usize| {
        batch(&vec![
            ("UPDATE", json!({"id": "e", "updateData": {"n": 1}}));
            count
        ])
    };
    let error = client.refused("BATCH", updates(21)).await;
    assert_eq!(error["code"], "batch_too_large", "{error}");
    let answer = client.ok("BATCH", updates(5)).await;
    assert_eq!(answer["seq"], 106);
}

async fn a_repeated_batch_has_the_answer_it_had(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let payload = batch(&[
        ("CREATE", json!({"_id": "a", "n": 1})),
        ("UPDATE", json!({"id": "a", "updateData": {"n": 2}})),
        ("CREATE", json!({})),
    ]);
    let request = json!({"type": "BATCH", "id": 1, "commandId": "b", "payload": payload});
    client.send(&request).await;
    let mut first = client.answer().await;
    assert_eq!(first["type"], "response", "{first}");
    first["duplicate"] = json!(true);
    // Together in one commit, and again after a restart.
    client.send_all([request.clone(), request.clone()]).await;
    assert_eq!(client.answer().await, first);
    assert_eq!(client.answer().await, first);
    let server = Server::on(server.stop().await, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    client.send(&request).await;
    assert_eq!(client.answer().await, first);
    let shorter = batch(&[("CREATE", json!({"_id": "a", "n": 1}))]);
    client
        .send(&json!({"type": "BATCH", "commandId": "b", "payload": shorter}))
        .await;
    assert_eq!(
        error_of(&client.answer().await)["code"],
        "command_id_reused"
    );
    assert_eq!(server.get("/readyz", &[]).await.1["seq"], 3);
}

async fn batches_of_many_clients_do_not_mix(server: Server) {
    const CLIENTS: usize = 8;
    const BATCHES: usize = 25;
    let mut watcher = server.client().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(server.connect("/ws?changes=none").await);
    }
    for (at, client) in clients.iter_mut().enumerate() {
        let requests = (0..BATCHES).map(|n| {
            let mine = ("CREATE", json!({"client": at, "batch": n}));
            json!({"type": "BATCH", "payload": batch(&vec![mine; 4])})
        });
        client.send_all(requests).await;
    }
    for client in &mut clients {
        for _ in 0..BATCHES {
            let answer = client.answer().await;
            assert_eq!(answer["type"], "response", "{answer}");
        }
    }
    let heard = watcher
        .changes_through((4 * CLIENTS * BATCHES) as u64)
        .await;
    for four in heard.chunks(4) {
        let whose = |change: &Value| {
            (
                change["data"]["client"].clone(),
                change["data"]["batch"].clone(),
            )
        };
        assert!(
            four.iter().all(|change| whose(change) == whose(&four[0])),
            "{four:?}"
        );
    }
}

async fn a_batch_over_http_is_the_same(server: Server) {
    let payload = batch(&[
        ("CREATE", json!({"_id": "a"})),
        ("DELETE", json!({"id": "a"})),
    ]);
    for again in [false, true] {
        let request = server.http("POST", "/api/batch").json(&payload);
        let response = request.header("Idempotency-Key", "b").send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let body: Value = response.json().await.unwrap();
        assert_eq!(
            (&body["seq"], body["data"].as_array().unwrap().len()),
            (&json!(2), 2)
        );
        assert_eq!(body.get("duplicate").is_some(), again);
    }
    let refused = batch(&[("CREATE", json!({})), ("DELETE", json!({"id": "a"}))]);
    let response = server
        .http("POST", "/api/batch")
        .json(&refused)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 404);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["path"], "payload.commands.1");
}

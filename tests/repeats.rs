//! Promise 2: a command that is repeated under its id has its effect once, and the answer it had.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::client::{Client, error_of};
use crate::support::{Server, on_every_store};

on_every_store!(
    a_repeated_command_has_the_answer_it_had_and_no_second_effect,
    an_id_given_to_another_command_is_refused,
    a_command_is_known_by_what_it_asks_however_it_is_written,
    a_command_is_the_same_over_http_and_over_the_socket,
    a_batch_repeated_beside_another_order_with_its_id_has_its_whole_answer,
    a_large_batch_is_answered_whole_again,
    what_an_earlier_livelog_kept_of_a_command_is_still_known,
    a_command_repeated_in_one_batch_is_carried_out_once,
    what_was_refused_is_decided_anew,
    a_command_id_that_is_none_is_refused,
    a_repetition_is_known_after_a_restart_and_after_a_rebuild,
    ten_thousand_lost_answers_are_found_again,
);

/// Sends a command under an id and waits for its answer.
async fn command(client: &mut Client, id: &str, kind: &str, payload: Value) -> Value {
    let request = json!({"type": kind, "id": id, "commandId": id, "payload": payload});
    client.send(&request).await;
    client.answer().await
}

/// The answer to the first try, said of a repetition.
fn repeated(mut answer: Value) -> Value {
    answer["duplicate"] = json!(true);
    answer
}

async fn a_repeated_command_has_the_answer_it_had_and_no_second_effect(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let commands = [
        ("CREATE", json!({"_id": "e", "n": 1})),
        ("CREATE", json!({"n": 1})),
        ("UPDATE", json!({"id": "e", "updateData": {"n": 2}})),
        ("DELETE", json!({"id": "e", "expectedVersion": 2})),
    ];
    let mut answers = Vec::new();
    for (at, (kind, payload)) in commands.iter().enumerate() {
        let answer = command(&mut client, &format!("c{at}"), kind, payload.clone()).await;
        assert_eq!(answer["type"], "response", "{answer}");
        assert_eq!(answer.get("duplicate"), None, "{answer}");
        answers.push(answer);
    }
    // Not in the order of the first time, and by another session.
    let mut other = server.connect("/ws?changes=none").await;
    for (at, (kind, payload)) in commands.iter().enumerate().rev() {
        let again = command(&mut other, &format!("c{at}"), kind, payload.clone()).await;
        assert_eq!(again, repeated(answers[at].clone()));
    }
    assert_eq!(server.get("/readyz", &[]).await.1["seq"], 4);
}

async fn an_id_given_to_another_command_is_refused(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    command(&mut client, "c", "CREATE", json!({"_id": "e", "n": 1})).await;
    for (kind, payload) in [
        ("CREATE", json!({"_id": "e", "n": 2})),
        ("CREATE", json!({"_id": "f", "n": 1})),
        ("DELETE", json!({"id": "e"})),
        ("UPDATE", json!({"id": "e", "updateData": {"n": 1}})),
    ] {
        let error = error_of(&command(&mut client, "c", kind, payload).await);
        assert_eq!(error["code"], "command_id_reused", "{error}");
        assert_eq!(error["path"], "commandId", "{error}");
        assert_eq!(error["retryable"], false, "{error}");
    }
    // White space is no difference.
    let text = r#"{"type":"CREATE","commandId":"c","payload":{ "_id": "e",  "n": 1 }}"#;
    client.send_text(text).await;
    assert_eq!(client.answer().await["duplicate"], true);
}

async fn a_command_repeated_in_one_batch_is_carried_out_once(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let request = json!({"type": "CREATE", "commandId": "c", "payload": {"n": 1}});
    let other = json!({"type": "CREATE", "commandId": "c", "payload": {"n": 2}});
    client
        .send_all([request.clone(), request.clone(), other, request])
        .await;
    let first = client.answer().await;
    assert_eq!(client.answer().await, repeated(first.clone()));
    assert_eq!(
        error_of(&client.answer().await)["code"],
        "command_id_reused"
    );
    assert_eq!(client.answer().await, repeated(first));
    assert_eq!(server.get("/readyz", &[]).await.1["seq"], 1);
}

async fn what_was_refused_is_decided_anew(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let update = json!({"id": "e", "updateData": {"n": 2}});
    let refused = command(&mut client, "u", "UPDATE", update.clone()).await;
    assert_eq!(error_of(&refused)["code"], "not_found");
    client.create(json!({"_id": "e", "n": 1})).await;
    let answer = command(&mut client, "u", "UPDATE", update).await;
    assert_eq!((&answer["seq"], answer.get("duplicate")), (&json!(2), None));
}

async fn a_command_id_that_is_none_is_refused(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for id in [json!(1), json!(""), json!({}), json!("x".repeat(129))] {
        let request = json!({"type": "CREATE", "commandId": id, "payload": {}});
        client.send(&request).await;
        let error = error_of(&client.answer().await);
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("bad_request"), &json!("commandId")),
            "{error}"
        );
    }
    let longest = "x".repeat(128);
    let answer = command(&mut client, &longest[..64], "CREATE", json!({})).await;
    assert_eq!(answer["type"], "response", "{answer}");
    client
        .send(&json!({"type": "CREATE", "commandId": longest, "payload": {}}))
        .await;
    assert_eq!(client.answer().await["seq"], 2);
}

async fn a_repetition_is_known_after_a_restart_and_after_a_rebuild(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let payload = json!({"_id": "e", "n": 1});
    let first = command(&mut client, "c", "CREATE", payload.clone()).await;
    let database = server.stop().await;
    let server = Server::on(database, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let again = command(&mut client, "c", "CREATE", payload.clone()).await;
    assert_eq!(again, repeated(first.clone()));
    let database = server.kill().await;
    assert_eq!(database.livelog("replay").await.0, Some(0));
    let server = Server::on(database, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let again = command(&mut client, "c", "CREATE", payload).await;
    assert_eq!(again, repeated(first));
}

/// The connection is cut right after the commands were sent: nobody knows what became of them.
async fn ten_thousand_lost_answers_are_found_again(server: Server) {
    const ROUNDS: usize = 200;
    const COMMANDS: usize = 50;
    let mut told: HashMap<String, u64> = HashMap::new();
    let mut repeats = 0;
    for round in 0..ROUNDS {
        let commands: Vec<Value> = (0..COMMANDS)
            .map(|at| {
                let id = format!("{round}-{at}");
                json!({"type": "CREATE", "id": id, "commandId": id, "payload": {"n": at}})
            })
            .collect();
        let mut lost = server.connect("/ws?changes=none").await;
        lost.send_all(commands.clone()).await;
        drop(lost);
        let mut client = server.connect("/ws?changes=none").await;
        client.send_all(commands).await;
        for at in 0..COMMANDS {
            let answer = client.answer().await;
            assert_eq!(answer["id"], format!("{round}-{at}"), "{answer}");
            assert_eq!(answer["type"], "response", "{answer}");
            repeats += usize::from(answer["duplicate"] == true);
            let seq = answer["seq"].as_u64().unwrap();
            told.insert(answer["id"].as_str().unwrap().to_owned(), seq);
        }
    }
    println!("{repeats} of {} had been carried out", ROUNDS * COMMANDS);
    let mut seqs: Vec<u64> = told.into_values().collect();
    seqs.sort_unstable();
    let all: Vec<u64> = (1..=(ROUNDS * COMMANDS) as u64).collect();
    assert_eq!(
        seqs, all,
        "each has its own place in the log, and nothing else is there"
    );
    assert!(repeats > 0, "no answer was lost");
    assert_eq!(server.get("/readyz", &[]).await.1["seq"], all.len());
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn nodes_know_each_others_commands() {
    let one = Server::start().await;
    let two = one.beside().await;
    let mut at_one = one.connect("/ws?changes=none").await;
    let mut at_two = two.connect("/ws?changes=none").await;
    for round in 0..50 {
        let id = format!("c{round}");
        let request = json!({"type": "CREATE", "id": id, "commandId": id, "payload": {"n": round}});
        at_one.send(&request).await;
        at_two.send(&request).await;
        let (first, second) = (at_one.answer().await, at_two.answer().await);
        assert_eq!(first["seq"], round + 1, "{first}");
        assert_eq!(second["seq"], first["seq"], "{second}");
        assert_eq!(second["data"], first["data"]);
        let repeats = [&first, &second].map(|answer| answer["duplicate"] == true);
        assert!(repeats[0] != repeats[1], "one of them carried it out");
    }
}

#[tokio::test]
async fn a_log_that_moves_to_mongodb_takes_its_commands_along() {
    let server = Server::in_folder().await;
    let mut client = server.connect("/ws?changes=none").await;
    let first = command(&mut client, "c", "CREATE", json!({"_id": "e", "n": 1})).await;
    let database = server.stop().await;
    let exported = database.run("export", std::process::Stdio::null()).await;
    let other = crate::support::Database::shared().await;
    let stdin = crate::support::database::stdin(&exported.stdout);
    let imported = other.run("import", stdin).await;
    assert!(imported.status.success(), "{imported:?}");
    let server = Server::on(other, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let again = command(&mut client, "c", "CREATE", json!({"_id": "e", "n": 1})).await;
    assert_eq!(again, repeated(first));
}

/// Sends the same command as other text.
async fn repeat_as(client: &mut Client, texts: &[&str]) -> Vec<Value> {
    let mut answers = Vec::new();
    for text in texts {
        client.send_text(text).await;
        answers.push(client.answer().await);
    }
    answers
}

async fn a_command_is_known_by_what_it_asks_however_it_is_written(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for texts in [
        [
            r#"{"type":"CREATE","commandId":"c","payload":{"_id":"e","a":{"x":1,"y":[{"p":1,"q":2}]},"f":15.0}}"#,
            r#"{"payload":{"f":1.5e1,"a":{"y":[{"q":2,"p":1}],"x":1},"_id":"\u0065"},"commandId":"c","type":"CREATE"}"#,
        ],
        [
            r#"{"type":"UPDATE","commandId":"u","payload":{"id":"e","updateData":{"$inc":{"n":1,"m":2},"$set":{"s":1}}}}"#,
            r#"{"type":"UPDATE","commandId":"u","payload":{"expectedVersion":null,"updateData":{"$set":{"s":1},"$inc":{"m":2,"n":1}},"id":"e"}}"#,
        ],
        [
            r#"{"type":"RESTORE","commandId":"r","payload":{"id":"e","version":1}}"#,
            r#"{"type":"RESTORE","commandId":"r","payload":{"version":1,"id":"e","expectedVersion":null}}"#,
        ],
        [
            r#"{"type":"BATCH","commandId":"b","payload":{"commands":[{"type":"CREATE","payload":{"a":1,"b":2}},{"type":"DELETE","payload":{"id":"e","expectedVersion":3}}]}}"#,
            r#"{"type":"BATCH","commandId":"b","payload":{"commands":[{"payload":{"b":2,"a":1},"type":"CREATE"},{"payload":{"expectedVersion":3,"id":"e"},"type":"DELETE"}]}}"#,
        ],
    ] {
        let answers = repeat_as(&mut client, &texts).await;
        assert_eq!(answers[0]["type"], "response", "{}", answers[0]);
        assert_eq!(answers[1], repeated(answers[0].clone()), "{}", texts[1]);
    }
    for text in [
        r#"{"type":"CREATE","commandId":"c","payload":{"_id":"e","a":{"x":1,"y":[{"p":1,"q":2}]},"f":15}}"#,
        r#"{"type":"UPDATE","commandId":"u","payload":{"id":"e","updateData":{"$inc":{"n":2,"m":1},"$set":{"s":1}}}}"#,
        r#"{"type":"RESTORE","commandId":"r","payload":{"id":"e","version":1,"expectedVersion":2}}"#,
        r#"{"type":"BATCH","commandId":"b","payload":{"commands":[{"type":"DELETE","payload":{"id":"e","expectedVersion":3}},{"type":"CREATE","payload":{"a":1,"b":2}}]}}"#,
    ] {
        let answers = repeat_as(&mut client, &[text]).await;
        assert_eq!(error_of(&answers[0])["code"], "command_id_reused", "{text}");
    }
}

async fn a_command_is_the_same_over_http_and_over_the_socket(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let path = "/api/events/e";
    let merge = [("content-type", "application/merge-patch+json")];
    for (kind, payload, method, path, headers, body) in [
        (
            "CREATE",
            json!({"_id": "e", "a": 1, "b": 2}),
            "POST",
            "/api/events",
            &[][..],
            r#"{"b":2,"a":1,"_id":"e"}"#,
        ),
        (
            "UPDATE",
            json!({"id": "e", "updateData": {"a": 2}}),
            "PATCH",
            path,
            &[],
            r#"{"a":2}"#,
        ),
        (
            "UPDATE",
            json!({"id": "e", "mergePatch": {"b": null}, "expectedVersion": 2}),
            "PATCH",
            path,
            &merge,
            r#"{"b":null}"#,
        ),
        (
            "RESTORE",
            json!({"id": "e", "version": 1}),
            "POST",
            "/api/events/e/restore",
            &[],
            r#"{"version":1}"#,
        ),
        (
            "BATCH",
            json!({"commands": [{"type": "DELETE", "payload": {"id": "e"}}]}),
            "POST",
            "/api/batch",
            &[],
            r#"{"commands":[{"payload":{"id":"e"},"type":"DELETE"}]}"#,
        ),
    ] {
        let id = format!("{kind} {}", body.len());
        let first = command(&mut client, &id, kind, payload.clone()).await;
        assert_eq!(first["type"], "response", "{first}");
        let mut request = server
            .http(method, path)
            .body(body)
            .header("Idempotency-Key", &id);
        request = request.header("content-type", "application/json");
        if !headers.is_empty() {
            request = server
                .http(method, path)
                .body(body)
                .header("Idempotency-Key", &id);
            request = request
                .header(headers[0].0, headers[0].1)
                .header("If-Match", "\"2\"");
        }
        let again: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(
            (&again["duplicate"], &again["seq"], &again["data"]),
            (&json!(true), &first["seq"], &first["data"]),
            "{id}: {again}"
        );
    }
}

/// In one commit with an order that is shorter, or longer, and was given the same id by mistake.
async fn a_batch_repeated_beside_another_order_with_its_id_has_its_whole_answer(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let create = |n: usize| json!({"type": "CREATE", "payload": {"n": n}});
    let batch = |id: &str, count: usize| {
        let commands: Vec<Value> = (0..count).map(create).collect();
        json!({"type": "BATCH", "commandId": id, "payload": {"commands": commands}})
    };
    for round in 0..10 {
        let id = format!("b{round}");
        let request = batch(&id, 20);
        client.send(&request).await;
        let first = repeated(client.answer().await);
        assert_eq!(first["data"].as_array().unwrap().len(), 20, "{first}");
        let single = json!({"type": "CREATE", "commandId": id, "payload": {"n": 0}});
        let others = [single.clone(), batch(&id, 3), batch(&id, 30)];
        let mut requests = vec![request.clone()];
        for other in others {
            requests.extend([other, request.clone()]);
        }
        // Whichever of them is counted, none may be taken for all.
        requests.push(single);
        client.send_all(requests).await;
        for at in 0..8 {
            let answer = client.answer().await;
            match at % 2 {
                0 => assert_eq!(answer, first, "{at}"),
                _ => assert_eq!(error_of(&answer)["code"], "command_id_reused"),
            }
        }
    }
}

/// Its changes are more than a page of the log.
async fn a_large_batch_is_answered_whole_again(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let text = "x".repeat(150_000);
    client.create(json!({"_id": "e", "text": text})).await;
    let update =
        json!({"type": "UPDATE", "payload": {"id": "e", "updateData": {"$inc": {"n": 1}}}});
    let commands = json!({"commands": vec![update; 25]});
    let first = command(&mut client, "b", "BATCH", commands.clone()).await;
    assert_eq!(first["type"], "response", "{}", first["error"]);
    let again = command(&mut client, "b", "BATCH", commands).await;
    assert_eq!(again["data"].as_array().map(Vec::len), Some(25));
    assert_eq!(again, repeated(first));
}

/// Digests over the text of the payload, as they are in the logs of earlier livelogs.
async fn what_an_earlier_livelog_kept_of_a_command_is_still_known(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let database = server.database.another().await;
    let log = include_bytes!("../fixtures/export/commands.ndjson");
    let imported = database
        .run("import", crate::support::database::stdin(log))
        .await;
    assert!(imported.status.success(), "{imported:?}");
    client.create(json!({})).await;
    let server = Server::on(database, &[]).await;
    let mut client = server.connect("/ws?changes=none").await;
    let texts = [
        r#"{"type":"CREATE","commandId":"c1","payload":{"_id":"e","n":1,"a":[1.0,null]}}"#,
        r#"{"type":"BATCH","commandId":"b1","payload":{"commands":[{"type":"UPDATE","payload":{"id":"e","updateData":{"n":2}}},{"type":"CREATE","payload":{"_id":"f"}}]}}"#,
        r#"{"type":"CREATE","commandId":"c1","payload":{"_id":"e","n":2,"a":[1.0,null]}}"#,
    ];
    let answers = repeat_as(&mut client, &texts).await;
    assert_eq!(
        (&answers[0]["duplicate"], &answers[0]["seq"]),
        (&json!(true), &json!(1)),
        "{}",
        answers[0]
    );
    assert_eq!(
        (&answers[1]["duplicate"], &answers[1]["seq"]),
        (&json!(true), &json!(4)),
        "{}",
        answers[1]
    );
    assert_eq!(answers[1]["data"].as_array().unwrap().len(), 2);
    assert_eq!(error_of(&answers[2])["code"], "command_id_reused");
}

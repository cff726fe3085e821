//! Several nodes on one MongoDB, and what MongoDB itself refuses.

use std::sync::Arc;

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::{ensure_distinct, ensure_taken, session};
use crate::support::dice::{Dice, number};
use crate::support::{Database, Server, eventually};

const EMAIL: [&str; 2] = ["--unique", "email"];

#[tokio::test]
async fn of_two_nodes_that_take_a_value_exactly_one_gets_it() {
    const VALUES: usize = 2_000;
    let one = Server::start_with(&EMAIL).await;
    let two = Server::on(Arc::clone(&one.database), &EMAIL).await;
    let mut sessions = [session(&one).await, session(&two).await];
    let mut won = [0, 0];
    let mut dice = Dice::new(3, 0);
    for few in (0..VALUES).collect::<Vec<_>>().chunks_mut(50) {
        // To both before either has answered, each in an order of its own.
        for client in &mut sessions {
            dice.shuffle(few);
            let create = |value: &usize| json!({"type": "CREATE", "payload": {"email": value}});
            client.send_all(few.iter().map(create)).await;
        }
        for (client, won) in sessions.iter_mut().zip(&mut won) {
            for _ in &*few {
                let answer = client.answer().await;
                let is_won = answer["success"] == true;
                assert!(
                    is_won || answer["error"]["code"] == "not_unique",
                    "{answer}"
                );
                *won += usize::from(is_won);
            }
        }
    }
    println!("{won:?} won");
    assert_eq!(won.iter().sum::<usize>(), VALUES);
    ensure_distinct(&one, VALUES).await;
}

/// The head as MongoDB has it: its format, and its unique indexes.
async fn declared(database: &Database) -> (i64, Vec<String>) {
    let meta = database.driver().await.collection::<Document>("meta");
    let head = meta
        .find_one(doc! { "_id": "head" })
        .await
        .unwrap()
        .unwrap();
    let names = head.get_array("unique").cloned().unwrap_or_default();
    let names = names.iter().map(|name| name.as_str().unwrap().to_owned());
    (head.get_i64("format").unwrap(), names.collect())
}

#[tokio::test]
async fn a_node_that_keeps_other_indexes_unique_cannot_write_any_more() {
    let mut before = Server::start().await;
    let mut knows_nothing = session(&before).await;
    knows_nothing.create(json!({"email": "Ada"})).await;
    assert_eq!(declared(&before.database).await, (2, vec![]));
    let mut first = Server::on(Arc::clone(&before.database), &EMAIL).await;
    assert_eq!(
        declared(&first.database).await,
        (3, vec!["email".to_owned()])
    );
    knows_nothing
        .send(&json!({"type": "CREATE", "payload": {"email": "Ada"}}))
        .await;
    assert!(!before.exit().await.success());
    let said = "another node was started with other unique indexes (email instead of none)";
    assert!(before.logged().contains(said), "{}", before.logged());
    // What it was asked for last is not done.
    ensure_distinct(&first, 1).await;
    ensure_taken(
        &mut session(&first).await,
        "CREATE",
        json!({"email": "Ada"}),
        "payload.email",
    )
    .await;
    // With the same it may stand beside.
    let beside = Server::on(Arc::clone(&first.database), &EMAIL).await;
    ensure_taken(
        &mut session(&beside).await,
        "CREATE",
        json!({"email": "Ada"}),
        "payload.email",
    )
    .await;
    session(&first).await.create(json!({"email": "Bob"})).await;
    let database = beside.stop().await;
    let last = Server::on(database, &["--index", "email"]).await;
    assert_eq!(declared(&last.database).await, (2, vec![]));
    let mut writer = session(&first).await;
    writer
        .send(&json!({"type": "CREATE", "payload": {"email": "Eve"}}))
        .await;
    assert!(!first.exit().await.success());
    ensure_distinct(&last, 2).await;
    session(&last).await.create(json!({"email": "Ada"})).await;
}

#[tokio::test]
async fn what_is_written_while_events_are_checked_is_checked_too() {
    let writes = Server::start().await;
    let mut client = session(&writes).await;
    for n in 0..500 {
        client.create(json!({"n": n, "email": n})).await;
    }
    let database = Arc::clone(&writes.database);
    let starting = tokio::spawn(async move { Server::spawn(&database, &EMAIL).await });
    let mut n = 500;
    let server = loop {
        if starting.is_finished() {
            break starting.await.unwrap();
        }
        client
            .send(&json!({"type": "CREATE", "payload": {"email": n}}))
            .await;
        n += 1;
        match client.try_answer().await {
            Ok(answer) if answer["success"] == true => {}
            // It knows nothing of it, so it is out.
            _ => break starting.await.unwrap(),
        }
    };
    match server {
        Ok(server) => {
            let (_, all) = server.get("/api/events", &[]).await;
            let count = all["data"].as_array().unwrap().len();
            ensure_distinct(&server, count).await;
        }
        Err(said) => assert!(said.contains("other nodes wrote while"), "{said}"),
    }
}

#[tokio::test]
async fn an_index_that_somebody_drops_is_made_again_when_it_is_looked_into() {
    let server = Server::start_with(&EMAIL).await;
    let mut client = session(&server).await;
    client.create(json!({"email": "Ada"})).await;
    let events = server
        .database
        .driver()
        .await
        .collection::<Document>("events");
    events.drop_index("livelog email").await.unwrap();
    ensure_taken(
        &mut client,
        "CREATE",
        json!({"email": "Ada"}),
        "payload.email",
    )
    .await;
    let names = events.list_index_names().await.unwrap();
    assert!(names.contains(&"livelog email".to_owned()), "{names:?}");
}

#[tokio::test]
async fn arrays_in_two_fields_of_an_index_are_refused_by_the_path_of_one() {
    let server = Server::start_with(&["--index", "a,b", "--unique", "t,a.x"]).await;
    let mut client = session(&server).await;
    for (fields, path) in [
        (json!({"a": [1], "b": [2]}), "payload.b"),
        (json!({"t": [1], "a": {"x": []}}), "payload.a.x"),
        (json!({"t": [1], "a": [{"x": 1}]}), "payload.a.x"),
    ] {
        let error = client.refused("CREATE", fields).await;
        assert_eq!(
            (&error["code"], &error["path"]),
            (&json!("not_indexable"), &json!(path)),
            "{error}"
        );
    }
    client
        .create(json!({"_id": "e", "a": [1], "b": 2, "t": 1}))
        .await;
    let between =
        |b: Value| json!({"type": "UPDATE", "payload": {"id": "e", "updateData": {"b": b}}});
    let refused = client
        .refused(
            "BATCH",
            json!({"commands": [between(json!([])), between(json!(1))]}),
        )
        .await;
    assert_eq!(refused["path"], "payload.commands.0.payload.b", "{refused}");
    client
        .ok("UPDATE", json!({"id": "e", "updateData": {"b": 3}}))
        .await;
    let database = server.stop().await;
    // What is in the way is named, whether it is to be unique or not.
    let server = Server::on(Arc::clone(&database), &[]).await;
    session(&server)
        .await
        .create(json!({"_id": "wide", "a": [1], "b": [1]}))
        .await;
    let database = server.stop().await;
    let refused = Server::spawn(&database, &["--unique", "a,b"])
        .await
        .unwrap_err();
    assert!(
        refused.contains("unique index a,b: event wide has arrays in two of its fields"),
        "{refused}"
    );
    let server = Server::on(Arc::clone(&database), &["--index", "a,b"]).await;
    eventually("it is said", async || {
        let logged = server.logged();
        (logged.contains("wide") && logged.contains("arrays in two of its fields")).then_some(())
    })
    .await;
    let database = server.stop().await;
    // What was once between two changes is in nobody's way.
    let server = Server::on(Arc::clone(&database), &[]).await;
    session(&server)
        .await
        .ok("UPDATE", json!({"id": "wide", "updateData": {"b": 1}}))
        .await;
    let database = Server::on(server.stop().await, &["--index", "a,b"])
        .await
        .stop()
        .await;
    let (code, said) = database.livelog("replay").await;
    assert_eq!(code, Some(0), "{said}");
    let names = database
        .driver()
        .await
        .collection::<Document>("events")
        .list_index_names()
        .await
        .unwrap();
    assert!(names.contains(&"livelog a,b".to_owned()), "{names:?}");
}

/// Of random documents just those are refused that MongoDB would refuse.
#[tokio::test]
async fn what_mongodb_cannot_index_is_what_is_refused() {
    let seed =
        number("LIVELOG_UNIQUE_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("LIVELOG_UNIQUE_SEED={seed:#x}");
    let mut dice = Dice::new(seed, 1);
    let mut all = 0;
    for index in ["a,b", "a.b,a.c", "a,a.b", "a.b.c,a.b", "b,a.b,a.c"] {
        let server = Server::start_with(&["--index", index]).await;
        let database = server.database.driver().await;
        let judged = database.collection::<Document>("judged");
        let keys: Document = index
            .split(',')
            .map(|path| (path.to_owned(), 1.into()))
            .collect();
        let model = mongodb::IndexModel::builder().keys(keys).build();
        judged.create_index(model).await.unwrap();
        let mut client = session(&server).await;
        let mut refusals = 0;
        for _ in 0..150 {
            let fields = json!({"a": random(&mut dice, 0), "b": random(&mut dice, 1)});
            let theirs = judged
                .insert_one(mongodb::bson::serialize_to_document(&fields).unwrap())
                .await;
            let answer = client.request("CREATE", fields.clone()).await;
            assert_eq!(
                answer["success"] == true,
                theirs.is_ok(),
                "{index}: {fields}: {answer} {theirs:?}"
            );
            refusals += usize::from(theirs.is_err());
        }
        println!("{index}: {refusals} of 150 refused");
        all += refusals;
    }
    assert!(all > 10, "{all} refused");
}

fn random(dice: &mut Dice, depth: u64) -> Value {
    match dice.below(5 + depth) {
        0 | 1 => {
            let count = dice.below(3);
            json!(
                (0..count)
                    .map(|_| random(dice, depth + 1))
                    .collect::<Vec<_>>()
            )
        }
        2 | 3 => {
            let mut object = json!({});
            for name in ["b", "c"] {
                if dice.below(4) > 0 {
                    object[name] = random(dice, depth + 1);
                }
            }
            object
        }
        _ => json!(dice.below(3)),
    }
}

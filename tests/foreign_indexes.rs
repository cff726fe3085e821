//! Indexes and validators that others put on livelog's collections: what does not fit them is refused, and nothing else.

use std::time::Instant;

use livelog::limits;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};

use crate::support::{Client, Server, eventually};

/// An index of somebody's, by name; and fields that do not fit it.
struct Case {
    index: Document,
    fields: Value,
}

fn case(name: &str, key: Document, options: Document, fields: Value) -> Case {
    let mut index = doc! { "name": name, "key": key };
    index.extend(options);
    Case { index, fields }
}

fn cases() -> Vec<Case> {
    let none = Document::new;
    let unique = || doc! { "unique": true, "sparse": true };
    let partial = doc! { "unique": true, "partialFilterExpression": { "kept": true } };
    vec![
        case(
            "their_text",
            doc! { "title": "text" },
            none(),
            json!({"title": "secret", "language": "klingon"}),
        ),
        case(
            "their_hashes",
            doc! { "h": "hashed" },
            none(),
            json!({"h": ["secret", 2]}),
        ),
        case(
            "their_globe",
            doc! { "g": "2dsphere" },
            none(),
            json!({"g": {"type": "Point", "coordinates": [999, 999]}, "title": "secret"}),
        ),
        case(
            "their_plane",
            doc! { "flat": "2d" },
            none(),
            json!({"flat": [999, 999], "title": "secret"}),
        ),
        case(
            "their_arrays",
            doc! { "p": 1, "q": 1 },
            none(),
            json!({"p": ["secret", 1], "q": [1, 2]}),
        ),
        case(
            "their_one",
            doc! { "u": 1 },
            unique(),
            json!({"u": "secret"}),
        ),
        case(
            "their_kept",
            doc! { "s": 1 },
            partial,
            json!({"s": "secret", "kept": true}),
        ),
    ]
}

/// What one client sends that does not fit is refused, and all else that it and another send meanwhile is done.
async fn refuses(one: &mut Client, other: &mut Client, fields: &Value) {
    let asked = Instant::now();
    let command =
        |id: usize, fields: &Value| json!({"type": "CREATE", "id": id, "payload": fields});
    let fitting = json!({"n": 1});
    let mixed = (0..20).map(|id| command(id, if id == 7 { fields } else { &fitting }));
    one.send_all(mixed).await;
    other
        .send_all((0..20).map(|id| command(id, &fitting)))
        .await;
    for id in 0..20 {
        let answer = one.answer().await;
        assert_eq!(answer["id"], id);
        assert_eq!(answer["success"], id != 7, "{answer}");
        if id == 7 {
            let error = &answer["error"];
            assert_eq!(
                (&error["code"], &error["retryable"]),
                (&json!("internal"), &json!(false))
            );
        }
        assert_eq!(other.answer().await["success"], true);
    }
    assert!(
        asked.elapsed() < limits::APPEND_DEADLINE,
        "{:?}",
        asked.elapsed()
    );
}

async fn clients(server: &Server) -> [Client; 2] {
    [
        server.connect("/ws?changes=none").await,
        server.connect("/ws?changes=none").await,
    ]
}

#[tokio::test]
async fn what_does_not_fit_an_index_of_others_is_refused_at_once_and_holds_up_nobody() {
    let server = Server::start().await;
    let driver = server.database.driver().await;
    let [mut one, mut other] = clients(&server).await;
    for fields in [json!({"u": "secret"}), json!({"s": "secret", "kept": true})] {
        one.create(fields).await;
    }
    for Case { index, fields } in cases() {
        let name = index.get_str("name").unwrap().to_owned();
        let create = doc! { "createIndexes": "events", "indexes": [index] };
        driver.run_command(create).await.unwrap();
        refuses(&mut one, &mut other, &fields).await;
        eventually("the log names the index", async || {
            server.logged().contains(&name).then_some(())
        })
        .await;
        let drop = doc! { "dropIndexes": "events", "index": &name };
        driver.run_command(drop).await.unwrap();
        one.create(json!({"fits": "again"})).await;
    }
    let logged = server.logged();
    assert!(!logged.contains("secret"), "{logged}");
    assert!(!logged.contains("corrupt"), "{logged}");
    let kinds = logged
        .matches("the database refuses what livelog writes")
        .count();
    assert!(
        kinds <= cases().len(),
        "said more than once a kind: {logged}"
    );
    assert_eq!(server.status("/readyz").await, 200);
    let (code, said) = server.database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn what_a_validator_of_others_refuses_is_refused_at_once() {
    let server = Server::start().await;
    let driver = server.database.driver().await;
    let [mut one, mut other] = clients(&server).await;
    one.create(json!({})).await;
    let validate = async |collection: &str, validator: Document| {
        let command = doc! { "collMod": collection, "validator": validator };
        driver.run_command(command).await.unwrap();
    };
    let title: Bson = doc! { "$ne": "secret" }.into();
    for (collection, field) in [("events", "title"), ("log", "data.title")] {
        validate(collection, doc! { field: title.clone() }).await;
        refuses(&mut one, &mut other, &json!({"title": "secret"})).await;
        let said = format!("DocumentValidationFailure (121) of a document of {collection}");
        eventually("the log names the validator", async || {
            let logged = server.logged();
            let mut lines = logged.lines().filter(|line| line.contains(&said));
            lines.any(|line| line.contains("a validator")).then_some(())
        })
        .await;
        validate(collection, doc! {}).await;
        one.create(json!({"title": "secret"})).await;
    }
    assert!(!server.logged().contains("secret"));
}

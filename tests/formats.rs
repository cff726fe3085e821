//! What earlier livelogs wrote is read, and what later ones write is refused by name.

use std::path::Path;
use std::sync::Arc;

use bson::{RawDocumentBuf, doc};
use serde_json::{Value, json};

use crate::support::{Database, Server};

/// A data file of embedded format 3: its length, and each page that is not all zeros at its place.
const EMBEDDED: &str = include_str!("../fixtures/logs/embedded-3.hex");

/// The same file as format 5 has it.
const EMBEDDED_5: &str = include_str!("../fixtures/logs/embedded-5.hex");

/// The documents of a database of format 1, with their collections.
const MONGODB: &str = include_str!("../fixtures/logs/mongodb-1.hex");

/// What the livelog that wrote them said of them.
const EMBEDDED_SAID: &str = "81 changes into 2 events as of seq 81, digest sha256:448a2c13bccfe3a94444ac6a4deec9e08c15e404f149bd94ef41e1feb3f937c2";
const MONGODB_SAID: &str = "81 changes into 2 events as of seq 81, digest sha256:dd9a7513fec98ff0839b937b94b368bddb58c98d59b924c27773fad91d9b1413";

#[tokio::test]
async fn a_data_file_of_the_livelogs_before_is_read_and_goes_on() {
    for written in [EMBEDDED, EMBEDDED_5] {
        let database = Database::folder();
        std::fs::write(database.path().join("livelog.redb"), file(written)).unwrap();
        reads_and_goes_on(database, EMBEDDED_SAID).await;
    }
}

#[tokio::test]
async fn a_database_of_the_livelog_before_is_read_and_goes_on() {
    let database = Database::shared().await;
    fill(&database).await;
    reads_and_goes_on(database, MONGODB_SAID).await;
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn file(pages: &str) -> Vec<u8> {
    let mut lines = pages.lines();
    let length = lines.next().unwrap().strip_prefix("length ").unwrap();
    let mut file = vec![0; length.parse().unwrap()];
    for line in lines {
        let (at, page) = line.split_once(' ').unwrap();
        let (at, page) = (at.parse::<usize>().unwrap(), bytes(page));
        file[at..at + page.len()].copy_from_slice(&page);
    }
    file
}

async fn fill(database: &Database) {
    let driver = database.driver().await;
    for line in MONGODB.lines() {
        let (collection, document) = line.split_once(' ').unwrap();
        let document = RawDocumentBuf::from_bytes(bytes(document)).unwrap();
        let collection = driver.collection::<RawDocumentBuf>(collection);
        collection.insert_one(document).await.unwrap();
    }
}

/// The log's story, as its reader tells it: `a` lived twice, `b` was erased, and many commands had ids.
async fn reads_and_goes_on(database: Arc<Database>, said: &str) {
    let (code, verified) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{verified}");
    assert!(verified.contains(said), "{verified}");

    let server = Server::on(Arc::clone(&database), &[]).await;
    let (_, first) = server.get("/api/events/a", &[("at", "2")]).await;
    assert_eq!(first["data"]["title"], "grüße 😀", "{first}");
    assert_eq!(first["data"]["big"], json!(9_223_372_036_854_775_807_i64));
    let whole = [("order", "oldest"), ("limit", "500")];
    let (_, history) = server.get("/api/events/a/history", &whole).await;
    let seqs: Vec<u64> = history["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["seq"].as_u64().unwrap())
        .collect();
    let expected: Vec<u64> = [1, 2, 6, 7, 8]
        .into_iter()
        .chain(10..80)
        .chain([81])
        .collect();
    assert_eq!(seqs, expected);
    let (_, erased) = server.get("/api/events/b/history", &whole).await;
    assert_eq!(erased["data"][0]["redacted"], true, "{erased}");

    let repeated = server
        .http("PATCH", "/api/events/a")
        .header("Idempotency-Key", "count 10");
    let repeated = repeated
        .json(&json!({ "$inc": { "count": 1 } }))
        .send()
        .await
        .unwrap();
    let repeated: Value = serde_json::from_str(&repeated.text().await.unwrap()).unwrap();
    assert_eq!(repeated["seq"], 20, "{repeated}");
    let mut client = server.connect("/ws?after=79").await;
    let told = client.changes_through(81).await;
    assert_eq!(told.len(), 2, "{told:?}");
    let (_, seq) = client.create(json!({ "_id": "d" })).await;
    assert_eq!(seq, 82);
    let again = client
        .ok("RESTORE", json!({ "id": "a", "version": 60 }))
        .await;
    assert_eq!(again["seq"], 83, "{again}");
    drop(client);
    let database = server.stop().await;
    let (code, verified) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{verified}");
}

#[tokio::test]
async fn a_database_of_a_newer_format_is_refused_and_left_alone() {
    let database = Database::shared().await;
    let driver = database.driver().await;
    let heads = driver.collection::<bson::Document>("meta");
    // Whatever else a later livelog may have made of its head.
    let head = doc! { "_id": "head", "format": 4_i64, "epoch": 7, "seq": { "of": "another kind" } };
    heads.insert_one(&head).await.unwrap();
    for command in [
        "verify",
        "replay",
        "export",
        "import",
        "serve --listen 127.0.0.1:0",
    ] {
        let (code, said) = database.livelog(command).await;
        assert_eq!(code, Some(1), "{command}: {said}");
        assert!(
            said.contains("format 4") && said.contains("format 3"),
            "{command}: {said}"
        );
    }
    let found = heads.find_one(doc! {}).await.unwrap();
    assert_eq!(found, Some(head));
    assert_eq!(driver.list_collection_names().await.unwrap(), ["meta"]);
}

#[tokio::test]
async fn a_running_node_ends_when_a_later_livelog_takes_its_database_over() {
    let mut server = Server::start().await;
    let mut client = server.client().await;
    client.create(json!({ "n": 1 })).await;
    let heads = server
        .database
        .driver()
        .await
        .collection::<bson::Document>("meta");
    let marked = doc! { "$set": { "format": 4_i64 } };
    heads
        .update_one(doc! { "_id": "head" }, marked)
        .await
        .unwrap();
    let status = server.exit().await;
    assert!(!status.success(), "{status}");
    let logged = server.logged();
    assert!(logged.contains("format 4 by a later livelog"), "{logged}");
}

/// The livelogs before refuse any format of MongoDB but 1, and any data file but 1 to 3, or 1 to 5.
#[tokio::test]
async fn what_this_livelog_has_opened_is_refused_by_the_one_before() {
    let database = Database::shared().await;
    fill(&database).await;
    let heads = database.driver().await.collection::<bson::Document>("meta");
    for (format, serves) in [(1, false), (2, true)] {
        assert_eq!(database.livelog("verify").await.0, Some(0));
        if serves {
            drop(Server::on(Arc::clone(&database), &[]).await.stop().await);
        }
        let head = heads.find_one(doc! { "_id": "head" }).await.unwrap();
        assert_eq!(head.unwrap().get_i64("format").unwrap(), format);
    }

    for (written, format) in [(EMBEDDED, 3), (EMBEDDED_5, 5)] {
        let folder = Database::folder();
        let path = folder.path().join("livelog.redb");
        std::fs::write(&path, file(written)).unwrap();
        assert_eq!(format_of(&path), format);
        assert_eq!(folder.livelog("verify").await.0, Some(0));
        assert_eq!(
            format_of(&path),
            format,
            "who only reads leaves it as it is"
        );
        drop(Server::on(Arc::clone(&folder), &[]).await.stop().await);
        assert_eq!(format_of(&path), 6);
    }
}

fn format_of(file: &Path) -> u128 {
    use redb::ReadableDatabase;
    let meta: redb::TableDefinition<'_, &str, u128> = redb::TableDefinition::new("meta");
    let database = redb::Database::open(file).unwrap();
    let table = database.begin_read().unwrap().open_table(meta).unwrap();
    table.get("format").unwrap().unwrap().value()
}

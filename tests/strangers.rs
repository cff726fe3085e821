//! What is not livelog's: databases, documents and names that no command may harm, fill or take for its own.

use std::sync::Arc;

use futures::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use serde_json::json;

use crate::support::database::{livelog, scratch};
use crate::support::{Database, Server, mongod};

/// What the server that livelog replaces leaves in its collection, by the types of its driver.
fn mongoose() -> Vec<Document> {
    let document = |n: i32| {
        let now = DateTime::now();
        doc! { "_id": ObjectId::new(), "field1": format!("value {n}"), "createdAt": now, "__v": 0 }
    };
    (0..3).map(document).collect()
}

/// Everything a database holds: each collection, its documents and its indexes.
async fn contents(database: &Database) -> Vec<(String, Vec<Document>, Vec<String>)> {
    let driver = database.driver().await;
    let mut names = driver.list_collection_names().await.unwrap();
    names.sort_unstable();
    let mut contents = Vec::new();
    for name in names {
        let collection = driver.collection::<Document>(&name);
        let find = collection.find(doc! {}).sort(doc! { "_id": 1 });
        let documents = find.await.unwrap().try_collect().await.unwrap();
        let indexes = collection.list_index_names().await.unwrap();
        contents.push((name, documents, indexes));
    }
    contents
}

/// Every command that opens a store.
const COMMANDS: [&str; 6] = [
    "serve --listen 127.0.0.1:0",
    "replay",
    "verify",
    "export",
    "import",
    "redact --event e1",
];

#[tokio::test]
async fn no_command_harms_a_database_that_is_not_livelogs() {
    for name in ["events", "log", "broadcasts", "meta", "events_replaced"] {
        let database = Database::shared().await;
        let driver = database.driver().await;
        let collection = driver.collection::<Document>(name);
        collection.insert_many(mongoose()).await.unwrap();
        let before = contents(&database).await;
        for command in COMMANDS {
            let (code, said) = database.livelog(command).await;
            assert_eq!(code, Some(1), "{command} on {name}: {said}");
            for word in [name, "3 documents", "ObjectId", "--database", "adopt"] {
                assert!(said.contains(word), "{command} does not say {word}: {said}");
            }
        }
        assert_eq!(contents(&database).await, before, "{name}");
    }
}

/// Collections as others make them, before a livelog is there: what a refusal says of each, and what makes it fit.
fn unfit() -> Vec<(Document, &'static str, Document)> {
    let capped = |name: &str| doc! { "create": name, "capped": true, "size": 100_000 };
    let index = |name: &str, index: Document| doc! { "createIndexes": name, "indexes": [index] };
    let collation = doc! { "locale": "en", "strength": 1 };
    let hour = doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 3_600 };
    let soon = doc! { "key": { "_createdAt": 1 }, "name": "soon", "expireAfterSeconds": 1 };
    let unnamed = doc! { "key": { "event": 1, "_id": -1 }, "name": "theirs", "unique": true };
    let mut unfit = Vec::new();
    for name in ["events", "log", "meta", "broadcasts"] {
        let validator = doc! { "create": name, "validator": { "theirs": { "$exists": true } } };
        let collated = doc! { "create": name, "collation": collation.clone() };
        let view = doc! { "create": name, "viewOn": "theirs", "pipeline": [] };
        let drop = || doc! { "drop": name };
        unfit.push((capped(name), "is capped", drop()));
        unfit.push((collated, "has a collation", drop()));
        unfit.push((view, "is no ordinary collection", drop()));
        let lift = doc! { "collMod": name, "validator": {} };
        unfit.push((validator, "has a validator", lift));
    }
    for (name, made, said) in [
        (
            "broadcasts",
            hour,
            "\"at_1\" in the place of one of livelog's",
        ),
        ("events", soon, "\"soon\" by which MongoDB removes"),
        (
            "log",
            unnamed,
            "\"theirs\" in the place of one of livelog's",
        ),
    ] {
        let drop = doc! { "dropIndexes": name, "index": made.get_str("name").unwrap() };
        unfit.push((index(name, made), said, drop));
    }
    unfit
}

/// The collections of a database and all that is said of them.
async fn layout(database: &Database) -> Vec<Document> {
    let driver = database.driver().await;
    let listing = driver.run_command(doc! { "listCollections": 1 }).await;
    let listing = listing.unwrap();
    let listed = listing.get_document("cursor").unwrap();
    let batch = listed.get_array("firstBatch").unwrap();
    let mut layout: Vec<Document> = batch
        .iter()
        .map(|found| found.as_document().unwrap().clone())
        .collect();
    layout.sort_by_key(|found| found.get_str("name").unwrap().to_owned());
    layout
}

#[tokio::test]
async fn collections_that_cannot_keep_a_log_are_refused_by_name_before_anything_is_made() {
    for (make, reason, remedy) in unfit() {
        let database = Database::shared().await;
        let driver = database.driver().await;
        driver.run_command(make.clone()).await.unwrap();
        let before = layout(&database).await;
        let (_, name) = make.iter().next().unwrap();
        let Err(said) = Server::spawn(&database, &[]).await else {
            panic!("{make} is served");
        };
        for word in [name.as_str().unwrap(), reason, "db."] {
            let is_view = reason.starts_with("is no ordinary");
            assert!(said.contains(word) || is_view, "{make}: no {word}: {said}");
        }
        assert_eq!(layout(&database).await, before, "{make}");
        driver.run_command(remedy).await.unwrap();
        let server = Server::on(database, &[]).await;
        server.client().await.create(json!({})).await;
    }
}

#[tokio::test]
async fn a_log_is_copied_into_no_database_of_others() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.ok("CREATE", json!({"n": 1})).await;
    let target = Database::shared().await;
    let events = target.driver().await.collection::<Document>("events");
    events.insert_many(mongoose()).await.unwrap();
    let before = contents(&target).await;
    let words = format!("replay --until 1 --into {}", target.name());
    let (code, said) = server.database.livelog(&words).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not livelog's"), "{said}");
    assert_eq!(contents(&target).await, before);
}

#[tokio::test]
async fn an_application_that_keeps_a_head_of_its_own_is_not_taken_for_a_log() {
    let database = Database::shared().await;
    let meta = database.driver().await.collection::<Document>("meta");
    meta.insert_one(doc! { "_id": "head", "title": "ours" })
        .await
        .unwrap();
    let before = contents(&database).await;
    for command in COMMANDS {
        let (code, said) = database.livelog(command).await;
        assert_eq!(code, Some(1), "{command}: {said}");
    }
    assert_eq!(contents(&database).await, before);
}

#[tokio::test]
async fn reads_pass_over_documents_of_others_and_verify_lists_them() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for n in 0..3 {
        client
            .ok("CREATE", json!({"_id": format!("e{n}"), "n": n}))
            .await;
    }
    let events = server
        .database
        .driver()
        .await
        .collection::<Document>("events");
    let strangers = mongoose();
    events.insert_many(&strangers).await.unwrap();
    events
        .insert_one(doc! { "_id": "note", "text": "no event" })
        .await
        .unwrap();
    let page = client.ok("FETCH", json!({})).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 3, "{page}");
    let (_, listed) = server.get("/api/events", &[]).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 3, "{listed}");

    let (code, said) = server.database.livelog("verify").await;
    assert_eq!(code, Some(1), "{said}");
    let ids = strangers
        .iter()
        .map(|stranger| stranger.get_object_id("_id").unwrap().to_hex());
    for id in ids.chain(["note".to_owned()]) {
        assert!(said.contains(&id), "{id} is not listed: {said}");
    }
}

#[tokio::test]
async fn a_replay_loses_no_document_that_the_log_never_named() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.ok("CREATE", json!({"_id": "e1", "n": 1})).await;
    let driver = server.database.driver().await;
    let events = driver.collection::<Document>("events");
    let shaped_as_an_event = {
        let mut copy = events
            .find_one(doc! { "_id": "e1" })
            .await
            .unwrap()
            .unwrap();
        copy.insert("_id", "extra");
        copy
    };
    for stranger in [mongoose().remove(0), shaped_as_an_event] {
        let id: Bson = stranger.get("_id").unwrap().clone();
        events.insert_one(&stranger).await.unwrap();
        let (code, said) = server.database.livelog("replay").await;
        assert_eq!(code, Some(1), "{said}");
        let name = id
            .as_object_id()
            .map_or("extra".to_owned(), |id| id.to_hex());
        assert!(said.contains(&name), "{said}");
        let kept = events.find_one(doc! { "_id": id.clone() }).await.unwrap();
        assert_eq!(kept, Some(stranger));
        // What the replay kept aside before it saw that stops no server.
        server.beside().await;
        events.delete_one(doc! { "_id": id }).await.unwrap();
    }
    let (code, said) = server.database.livelog("replay").await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn what_a_replay_replaced_is_kept_until_the_next_start() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.ok("CREATE", json!({"_id": "e1", "n": 1})).await;
    let driver = server.database.driver().await;
    // Somebody else's field in livelog's own event: the rebuilt view does not have it.
    let events = driver.collection::<Document>("events");
    let touched = doc! { "$set": { "theirs": true } };
    events
        .update_one(doc! { "_id": "e1" }, touched)
        .await
        .unwrap();
    let before = events.find_one(doc! {}).await.unwrap();
    let (code, said) = server.database.livelog("replay").await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = server.database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
    let replaced = driver.collection::<Document>("events_replaced");
    assert_eq!(replaced.find_one(doc! {}).await.unwrap(), before);

    let next = server.beside().await;
    assert_eq!(replaced.find_one(doc! {}).await.unwrap(), None);
    drop(next);
}

#[tokio::test]
async fn what_another_program_keeps_where_a_replay_keeps_the_view_is_not_touched() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.ok("CREATE", json!({"_id": "e1", "n": 1})).await;
    let driver = server.database.driver().await;
    let theirs = driver.collection::<Document>("events_replaced");
    theirs
        .insert_one(doc! { "_id": 7, "mine": 1 })
        .await
        .unwrap();
    let kept = async || theirs.find_one(doc! {}).await.unwrap();
    let before = kept().await;
    for command in ["replay", "redact --event e1", "serve --listen 127.0.0.1:0"] {
        let (code, said) = server.database.livelog(command).await;
        assert_eq!(code, Some(1), "{command}: {said}");
        for word in ["events_replaced", "none of livelog's", "renameCollection"] {
            assert!(said.contains(word), "{command} does not say {word}: {said}");
        }
        assert_eq!(kept().await, before, "{command}");
    }
    // Nor is it refused to look, nor a start when it is gone.
    let (code, said) = server.database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
    theirs.drop().await.unwrap();
    let view = doc! { "create": "events_replaced", "viewOn": "events", "pipeline": [] };
    driver.run_command(view).await.unwrap();
    let (code, said) = server.database.livelog("replay").await;
    assert_eq!(code, Some(1), "{said}");
    theirs.drop().await.unwrap();
    server.beside().await;
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_not_made_by_those_who_only_look() {
    let database = Database::shared().await;
    for command in [
        "replay",
        "verify",
        "export",
        "redact --event e1",
        "replay --until 0 --into other",
    ] {
        let (code, said) = database.livelog(command).await;
        assert_eq!(code, Some(1), "{command}: {said}");
        assert!(
            said.contains("there is no livelog in the database"),
            "{command}: {said}"
        );
        assert!(said.contains(database.name()), "{command}: {said}");
    }
    assert!(contents(&database).await.is_empty());
}

#[tokio::test]
async fn a_start_says_which_database_it_is_whoever_names_it() {
    let database = Database::shared().await;
    let (uri, name) = (mongod::uri().await, database.name());
    let (hosts, options) = uri.split_once("/?").unwrap_or((&uri, ""));
    let hosts = hosts.trim_end_matches('/');
    for (arguments, said) in [
        (vec!["--mongodb", &uri, "--database", name], name),
        (
            vec!["--mongodb", &format!("{hosts}/{name}?{options}")],
            name,
        ),
        (
            vec!["--mongodb", &format!("mongodb://127.0.0.1:1/?{options}")],
            "events_db",
        ),
    ] {
        // The port is taken, or MongoDB is not there: it ends of itself.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let output = livelog(&[&["serve", "--listen", &address], &arguments[..]].concat()).await;
        let logged = String::from_utf8(output.stderr).unwrap();
        let said = format!("in MongoDB, in the database {said};");
        assert!(logged.contains(&said), "{logged}");
    }
}

#[tokio::test]
async fn names_that_are_no_database_or_mongodbs_own_are_refused_as_such() {
    let uri = mongod::uri().await;
    let long = "x".repeat(64);
    let cases = [
        ("admin", "MongoDB's own"),
        ("local", "MongoDB's own"),
        ("config", "MongoDB's own"),
        ("a.b", "must not have '.'"),
        ("a b", "must not have ' '"),
        ("a/b", "must not have '/'"),
        ("$a", "must not have '$'"),
        (long.as_str(), "at most 63 bytes"),
    ];
    for (name, reason) in cases {
        for command in ["serve", "verify", "import"] {
            let output = livelog(&[command, "--mongodb", &uri, "--database", name]).await;
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{command} {name}: {said}");
            let lines = said.lines().filter(|line| line.starts_with("livelog: "));
            let said: Vec<&str> = lines.collect();
            let times = said.concat().matches(reason).count();
            assert_eq!(times, 1, "{command} {name}: {said:?}");
        }
    }
}

#[tokio::test]
async fn a_name_that_differs_from_a_databases_in_case_alone_is_refused_with_that_name() {
    let server = Server::start().await;
    let (uri, there) = (mongod::uri().await, server.database.name());
    let other = there.to_uppercase();
    for command in ["serve", "verify", "import"] {
        let output = livelog(&[command, "--mongodb", &uri, "--database", &other]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        let advice = format!("--database {there}");
        assert!(said.contains(&advice), "{command}: {said}");
    }
}

#[tokio::test]
async fn a_link_to_data_that_is_not_there_is_not_replaced_by_an_empty_log() {
    let (folder, volume) = (scratch(), scratch());
    let (link, target) = (
        folder.path().join("livelog.redb"),
        volume.path().join("gone.redb"),
    );
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let whole = scratch();
    let dangling = whole.path().join("data");
    std::os::unix::fs::symlink(volume.path().join("nowhere"), &dangling).unwrap();
    for dir in [folder.path(), &dangling] {
        let dir = dir.to_str().unwrap();
        for command in ["serve", "verify", "export", "replay", "import", "redact"] {
            let mut words = vec![command, "--data", dir];
            words.extend(["--event", "e1"].iter().filter(|_| command == "redact"));
            let output = livelog(&words).await;
            assert_eq!(output.status.code(), Some(1), "{command} {dir}");
        }
    }
    assert!(link.is_symlink() && dangling.is_symlink());
    assert_eq!(std::fs::read_dir(volume.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_written_anew_replaces_the_file_and_not_a_link_to_it() {
    let (folder, volume) = (scratch(), scratch());
    let database = Database::folder();
    let server = Server::on(Arc::clone(&database), &[]).await;
    let mut client = server.client().await;
    client
        .ok("CREATE", json!({"_id": "e1", "secret": "abracadabra"}))
        .await;
    drop(client);
    server.stop().await;
    let (link, target) = (
        folder.path().join("livelog.redb"),
        volume.path().join("there.redb"),
    );
    std::fs::copy(database.path().join("livelog.redb"), &target).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();

    let dir = folder.path().to_str().unwrap();
    let output = livelog(&["redact", "--data", dir, "--event", "e1"]).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(link.is_symlink());
    let bytes = std::fs::read(&target).unwrap();
    let holds_secret = bytes.windows(11).any(|bytes| bytes == b"abracadabra");
    assert!(
        !holds_secret,
        "the file that the link leads to still has it"
    );
    let output = livelog(&["verify", "--data", dir]).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_looked_into_is_not_taken_for_an_empty_one() {
    let folder = scratch();
    // A file where the folder should be: every look below it fails with something else than "not found".
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    for command in ["verify", "import", "serve"] {
        let output = livelog(&[command, "--data", file.to_str().unwrap()]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("cannot use the data folder"), "{said}");
        assert!(said.contains("it is a file, not a folder"), "{said}");
    }
}

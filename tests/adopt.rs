//! Moving in: what Mongoose and others left in MongoDB becomes a livelog, and goes on becoming one until the cut-over.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{Bson, DateTime, Document, doc};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::disk::Mounted;
use crate::support::database::{command, output};
use crate::support::dice::{Dice, number};
use crate::support::npm;
use crate::support::process::Process;
use crate::support::server::BINARY;
use crate::support::{DEADLINE, Database, Mongod, Server, mongod};

/// For what writes documents with Mongoose, which may have to be installed first.
const WRITER_DEADLINE: Duration = Duration::from_secs(300);

/// A fact about each kind of store that is moved into.
macro_rules! into_every_store {
    ($($fact:ident),* $(,)?) => {
        mod into_mongodb {
            $(
                #[tokio::test]
                async fn $fact() {
                    super::$fact(crate::support::Database::shared().await).await;
                }
            )*
        }

        mod into_a_folder {
            $(
                #[tokio::test]
                async fn $fact() {
                    super::$fact(crate::support::Database::folder()).await;
                }
            )*
        }
    };
}

into_every_store!(
    what_mongoose_wrote_is_adopted_as_it_was,
    an_adopted_log_can_be_exported_moved_updated_and_erased,
    what_cannot_be_is_refused_by_name_and_can_be_mended,
    following_goes_on_after_a_kill_and_does_everything_once,
    a_dry_run_says_of_the_store_what_a_real_run_would,
);

/// The collection of another program, in a database of its own.
struct Source {
    uri: String,
    name: String,
    database: mongodb::Database,
}

impl Source {
    /// One with this document.
    async fn holding(document: Document) -> Self {
        let new = Self::new().await;
        new.events().insert_one(document).await.unwrap();
        new
    }

    async fn new() -> Self {
        Self::on(mongod::uri().await).await
    }

    async fn on(uri: String) -> Self {
        let name = format!("source_{}", uuid::Uuid::new_v4().simple());
        let client = mongodb::Client::with_uri_str(&uri).await.unwrap();
        let database = client.database(&name);
        Self {
            uri,
            name,
            database,
        }
    }

    fn events(&self) -> mongodb::Collection<Document> {
        self.database.collection("events")
    }

    /// What MongoDB says that all of it comes to.
    async fn hash(&self) -> String {
        let hash = self.database.run_command(doc! { "dbHash": 1 }).await;
        hash.unwrap().get_str("md5").unwrap().to_owned()
    }

    /// `livelog adopt` of it, with more words.
    fn adopt(&self, into: &Database, words: &[&str]) -> Vec<String> {
        let own = [
            "adopt",
            "--from",
            &self.uri,
            "--source-database",
            &self.name,
        ];
        let own = own.iter().chain(&["--collection", "events"]);
        let words = own.chain(words).map(|word| (*word).to_owned());
        words.chain(into.arguments()).collect()
    }

    async fn adopted(&self, into: &Database, words: &[&str]) -> Output {
        let mut livelog = command();
        livelog.args(self.adopt(into, words)).stdin(Stdio::null());
        output(livelog).await
    }
}

/// What it said, after checking that it did as told.
fn succeeded(output: &Output) -> String {
    let said = [&*output.stdout, &*output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

/// What it said, after checking that it did not.
fn failed(output: &Output) -> String {
    let said = [&*output.stdout, &*output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

async fn is_untouched(database: &Database) -> bool {
    match database.is_folder() {
        true => std::fs::read_dir(database.path()).unwrap().next().is_none(),
        false => {
            let names = database.driver().await.list_collection_names().await;
            names.unwrap().is_empty()
        }
    }
}

async fn verified(database: &Database) {
    let (code, said) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

/// All events by their ids, without what the log says of them.
async fn events(server: &Server) -> BTreeMap<String, Value> {
    let (_, all) = server.get("/api/events", &[]).await;
    let events = all["data"].as_array().unwrap().iter().map(|event| {
        let mut event = event.clone();
        let fields = event.as_object_mut().unwrap();
        fields.remove("_version");
        fields.remove("_seq");
        (event["_id"].as_str().unwrap().to_owned(), event)
    });
    events.collect()
}

async fn what_mongoose_wrote_is_adopted_as_it_was(into: Arc<Database>) {
    let source = Source::new().await;
    let arguments = [&source.uri, &source.name, "60"];
    let said = npm::run("adopt/write.mjs", &arguments, WRITER_DEADLINE).await;
    let written = said.lines().last().unwrap();
    let mut expected: Vec<Value> = serde_json::from_str(written).unwrap();
    for event in &mut expected {
        let total: i64 = event["total"].as_str().unwrap().parse().unwrap();
        event["total"] = json!(total);
    }
    let before = source.hash().await;

    let said = succeeded(&source.adopted(&into, &["--dry-run"]).await);
    for word in [
        "60 ObjectIds",
        "60 decimals",
        "60 UUIDs",
        "60 __v",
        "60 createdAt",
        "60 events",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(is_untouched(&into).await);

    let said = succeeded(&source.adopted(&into, &[]).await);
    assert!(
        said.contains("adopted 60 changes into 60 events as of seq 60"),
        "{said}"
    );
    verified(&into).await;
    assert_eq!(source.hash().await, before);
    let again = failed(&source.adopted(&into, &[]).await);
    assert!(
        again.contains("the store is not empty: its log ends at 60"),
        "{again}"
    );

    let server = Server::on(into, &[]).await;
    let found = events(&server).await;
    let by_id = expected
        .iter()
        .map(|event| (event["_id"].as_str().unwrap().to_owned(), event.clone()));
    assert_eq!(found, by_id.collect());
    // The log begins with the move: before it there was nothing, though the events are older.
    let created = expected[0]["_createdAt"].as_str().unwrap();
    let (_, then) = server.get("/api/events", &[("at", created)]).await;
    assert_eq!(then["data"], json!([]), "{then}");
    let newest = [("sort", r#"{"_createdAt":-1}"#), ("limit", "1")];
    let (_, newest) = server.get("/api/events", &newest).await;
    assert_eq!(newest["data"][0]["_id"], expected[59]["_id"]);
    server.stop().await;
}

async fn an_adopted_log_can_be_exported_moved_updated_and_erased(into: Arc<Database>) {
    let source = Source::new().await;
    let id = ObjectId::new();
    let (created, updated) = (DateTime::from_millis(0), DateTime::from_millis(86_400_000));
    let old =
        doc! { "_id": id, "a": 1, "secret": "xyzzy", "createdAt": created, "updatedAt": updated };
    source.events().insert_one(old).await.unwrap();
    // Clocks differ: what is of tomorrow is of now.
    let tomorrow = DateTime::from_millis(DateTime::now().timestamp_millis() + 86_400_000);
    let new = doc! { "_id": "new", "createdAt": tomorrow };
    source.events().insert_one(new).await.unwrap();
    let said = succeeded(&source.adopted(&into, &[]).await);
    assert!(said.contains("1 document with a time to come"), "{said}");

    let log = into.run("export", Stdio::null()).await.stdout;
    for other in [Database::shared().await, Database::folder()] {
        let imported = other
            .run("import", crate::support::database::stdin(&log))
            .await;
        succeeded(&imported);
        verified(&other).await;
        assert_eq!(other.run("export", Stdio::null()).await.stdout, log);
    }
    let (code, said) = into.livelog("replay").await;
    assert_eq!(code, Some(0), "{said}");

    let server = Server::on(into, &[]).await;
    let mut client = server.connect("/ws?after=0").await;
    let change = client.changes_through(2).await;
    assert_eq!(
        change[1]["data"]["_createdAt"], "1970-01-01T00:00:00.000Z",
        "{change:?}"
    );
    assert_eq!(change[1]["data"]["_updatedAt"], "1970-01-02T00:00:00.000Z");
    assert_eq!(change[0]["data"]["_createdAt"], change[0]["at"]);
    let id = id.to_hex();
    let update = json!({ "id": id, "updateData": { "a": 2 }, "expectedVersion": 1 });
    let answer = client.ok("UPDATE", update).await;
    assert_eq!(answer["data"]["_createdAt"], "1970-01-01T00:00:00.000Z");
    assert!(answer["data"]["_updatedAt"].as_str() >= change[1]["at"].as_str());
    let restored = client
        .ok("RESTORE", json!({ "id": id, "version": 1 }))
        .await;
    assert_eq!(restored["data"]["a"], 1);
    drop(client);
    let into = server.stop().await;
    verified(&into).await;
    let (code, said) = into.livelog(&format!("redact --event {id}")).await;
    assert_eq!(code, Some(0), "{said}");
    let log = String::from_utf8(into.run("export", Stdio::null()).await.stdout).unwrap();
    assert!(!log.contains("xyzzy"), "{log}");
    verified(&into).await;
}

/// Of each, why it is refused.
fn misfits() -> Vec<(Document, &'static str)> {
    let nested = (0..33).fold(doc! { "a": 1 }, |inner, _| doc! { "a": inner });
    vec![
        (
            doc! { "_id": "a", "meta": { "x.y": 1 } },
            "meta.x.y: names must not contain a dot",
        ),
        (
            doc! { "_id": "b", "list": [{ "$$hashKey": 1 }] },
            "list.0.$$hashKey: names must not begin with $",
        ),
        (doc! { "_id": "c", "": 1 }, "names must not be empty"),
        (
            doc! { "_id": "d", "_hidden": 1 },
            "_hidden: names beginning with _ are the server's",
        ),
        (
            doc! { "_id": "e", "at": DateTime::from_millis(i64::MAX) },
            "at: a date that RFC 3339 cannot say",
        ),
        (
            doc! { "_id": "f", "deep": nested },
            "nested deeper than 32 levels",
        ),
        (
            doc! { "_id": "g", "long": "x".repeat(1_100_000) },
            "be more than 1048576 bytes of JSON",
        ),
        (doc! { "_id": { "a": 1 } }, "_id: its _id is a document"),
        (doc! { "_id": 1.5 }, "a fraction"),
        (doc! { "_id": 1e300 }, "a number beyond 64 bits"),
        (doc! { "_id": f64::NAN }, "NaN or infinity"),
        (doc! { "_id": true }, "of another type"),
        (doc! { "_id": ".." }, "an id must not be . or .."),
        (
            doc! { "_id": "x".repeat(129) },
            "an id must not exceed 128 bytes",
        ),
        (
            doc! { "_id": "7" },
            "another document became the same event before: ids are text here (event 7)",
        ),
    ]
}

async fn what_cannot_be_is_refused_by_name_and_can_be_mended(into: Arc<Database>) {
    let source = Source::new().await;
    let good = doc! { "_id": 7, "n": 1 };
    let misfits = misfits();
    let all = misfits.iter().map(|(document, _)| document).chain([&good]);
    source.events().insert_many(all).await.unwrap();

    let said = failed(&source.adopted(&into, &[]).await);
    assert!(
        said.contains("read 16 documents") && said.contains("refused 15 documents"),
        "{said}"
    );
    for (_, reason) in &misfits {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    assert!(
        said.contains("(--rename='list.$$hashKey=NAME', or --drop='list.$$hashKey')"),
        "{said}"
    );
    assert!(said.contains("nothing was written"), "{said}");
    assert!(is_untouched(&into).await);

    let mended = [
        "--rename",
        r"meta.x\.y=xy",
        "--drop",
        "list.$$hashKey",
        "--rename",
        "=empty",
    ];
    let mended = [
        &mended[..],
        &["--rename", "_hidden=hidden", "--skip-refused"],
    ]
    .concat();
    let said = succeeded(&source.adopted(&into, &mended).await);
    assert!(said.contains("refused 11 documents"), "{said}");
    assert!(said.contains("adopted 5 changes into 5 events"), "{said}");
    verified(&into).await;
    let server = Server::on(into, &[]).await;
    let events = events(&server).await;
    let without_times = |id: &str| {
        let mut event = events[id].clone();
        let fields = event.as_object_mut().unwrap();
        fields.retain(|name, _| !name.starts_with('_'));
        event
    };
    assert_eq!(without_times("a"), json!({ "meta": { "xy": 1 } }));
    assert_eq!(without_times("b"), json!({ "list": [{}] }));
    assert_eq!(without_times("c"), json!({ "empty": 1 }));
    assert_eq!(without_times("d"), json!({ "hidden": 1 }));
    assert_eq!(without_times("7"), json!({ "n": 1 }));
    server.stop().await;
}

#[tokio::test]
async fn every_type_of_bson_becomes_what_the_table_says() {
    let source = Source::new().await;
    let id = ObjectId::parse_str("65a1b2c3d4e5f60718293a4b").unwrap();
    let binary = |subtype: u8, bytes: Vec<u8>| bson::Binary {
        subtype: subtype.into(),
        bytes,
    };
    let regex = bson::Regex {
        pattern: cstr!("^a.*$").into(),
        options: cstr!("im").into(),
    };
    let document = doc! {
        "_id": id,
        "int32": i32::MIN, "int64": i64::MAX, "low": i64::MIN, "double": 1.0, "tiny": 5e-324,
        "nan": f64::NAN, "infinite": f64::NEG_INFINITY,
        "text": "grüße\u{0}", "null": null, "flag": true,
        "date": DateTime::from_millis(-1), "ref": id,
        "decimal": "1E+3".parse::<bson::Decimal128>().unwrap(),
        "uuid": binary(4, (0..16).collect()), "olduuid": binary(3, (0..16).collect()),
        "binary": binary(0, vec![251, 255]), "none": binary(128, vec![]),
        "stamp": bson::Timestamp { time: u32::MAX, increment: 2 },
        "regex": Bson::RegularExpression(regex),
        "symbol": Bson::Symbol("s".to_owned()), "code": Bson::JavaScriptCode("f()".to_owned()),
        "scoped": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
            code: "g()".to_owned(), scope: doc! { "x": id },
        }),
        "min": Bson::MinKey, "max": Bson::MaxKey, "undefined": Bson::Undefined,
        "dbref": { "$ref": "users", "$id": id, "$db": "app", "more": 1 },
        "nested": [[{ "_id": id, "__v": 3, "createdAt": DateTime::from_millis(0) }]],
        "createdAt": "not a time", "updatedAt": "2024-02-01T01:00:00+01:00",
    };
    source.events().insert_one(document).await.unwrap();
    let into = Database::folder();
    let said = succeeded(&source.adopted(&into, &[]).await);
    assert!(said.contains("2 NaNs and infinities"), "{said}");
    let server = Server::on(into, &[]).await;
    let hex = "65a1b2c3d4e5f60718293a4b";
    let expected = json!({
        "_id": hex, "_createdAt": "2024-01-12T21:44:35.000Z", "_updatedAt": "2024-02-01T00:00:00.000Z",
        "int32": i32::MIN, "int64": i64::MAX, "low": i64::MIN, "double": 1.0, "tiny": 5e-324,
        "nan": null, "infinite": null,
        "text": "grüße\u{0}", "null": null, "flag": true,
        "date": "1969-12-31T23:59:59.999Z", "ref": hex, "decimal": "1E+3",
        "uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f", "olduuid": "AAECAwQFBgcICQoLDA0ODw==",
        "binary": "+/8=", "none": "", "stamp": { "t": u32::MAX, "i": 2 }, "regex": "/^a.*$/im",
        "symbol": "s", "code": "f()", "scoped": { "code": "g()", "scope": { "x": hex } },
        "min": "MinKey", "max": "MaxKey", "undefined": null,
        "dbref": { "ref": "users", "id": hex, "db": "app", "more": 1 },
        "nested": [[{ "_id": hex, "__v": 3, "createdAt": "1970-01-01T00:00:00.000Z" }]],
        "createdAt": "not a time",
    });
    assert_eq!(events(&server).await[hex], expected);
    server.stop().await;
}

/// `livelog adopt --follow`, while it runs.
struct Following {
    process: Process,
    lines: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Following {
    fn start(source: &Source, into: &Database, words: &[&str]) -> Self {
        let words = [&["--follow"], words].concat();
        let arguments = source.adopt(into, &words);
        let (out, error) = (Stdio::piped(), Stdio::inherit());
        let process = Process::start(Path::new(BINARY), arguments, None, out, error);
        let mut process = process.unwrap();
        let stdout = BufReader::new(process.take_stdout().unwrap());
        let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, lines }
    }

    /// Waits for a line with this word.
    async fn says(&mut self, word: &str) -> String {
        let said = async {
            let mut all = String::new();
            while let Some(line) = self.lines.recv().await {
                if line.contains(word) {
                    return line;
                }
                all += &line;
            }
            panic!("it ended without {word:?}: {all}");
        };
        let said = tokio::time::timeout(DEADLINE, said).await;
        said.unwrap_or_else(|_| panic!("it never said {word:?}"))
    }

    async fn ends(mut self) {
        let status = self.process.wait(DEADLINE).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Changes the source at random, each document by its number.
async fn write_randomly(source: &Source, dice: &mut Dice, count: usize) {
    let events = source.events();
    for _ in 0..count {
        let id = ObjectId::from_bytes([u8::try_from(dice.below(40)).unwrap(); 12]);
        let (n, by_id) = (
            i64::try_from(dice.below(1_000_000)).unwrap(),
            doc! { "_id": id },
        );
        let now = DateTime::now();
        match dice.below(5) {
            0 => drop(events.delete_one(by_id).await.unwrap()),
            1 => {
                let document = doc! { "n": n, "when": now, "createdAt": now, "__v": 0 };
                let replace = events.replace_one(by_id, document).upsert(true);
                replace.await.unwrap();
            }
            2 => {
                let update = doc! { "$unset": { "n": 1 }, "$push": { "list": { "n": n } } };
                events.update_one(by_id, update).await.unwrap();
            }
            _ => {
                let update = doc! { "$set": { "n": n, "deep.er": n, "updatedAt": now }, "$inc": { "__v": 1 } };
                events.update_one(by_id, update).upsert(true).await.unwrap();
            }
        }
    }
}

/// What the writer of the test writes, as JSON.
fn plain(value: Bson) -> Value {
    match value {
        Bson::Int64(number) => json!(number),
        Bson::Array(items) => items.into_iter().map(plain).collect(),
        Bson::Document(document) => {
            let fields = document
                .into_iter()
                .map(|(name, value)| (name, plain(value)));
            Value::Object(fields.collect())
        }
        other => panic!("the test writes no {other:?}"),
    }
}

/// The source's documents, as they are to be.
async fn documents(source: &Source) -> BTreeMap<String, Value> {
    use futures::TryStreamExt;
    let found = source.events().find(doc! {}).await.unwrap();
    let found: Vec<Document> = found.try_collect().await.unwrap();
    let documents = found.into_iter().map(|document| {
        let id = document.get_object_id("_id").unwrap().to_hex();
        let mut fields = serde_json::Map::new();
        for (name, value) in document {
            let value = match value {
                _ if ["_id", "__v", "createdAt", "updatedAt"].contains(&&*name) => continue,
                Bson::DateTime(time) => json!(time.try_to_rfc3339_string().unwrap()),
                value => plain(value),
            };
            fields.insert(name, value);
        }
        (id, Value::Object(fields))
    });
    documents.collect()
}

fn without_meta(events: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let events = events.into_iter().map(|(id, mut event)| {
        let fields = event.as_object_mut().unwrap();
        fields.retain(|name, _| !name.starts_with('_'));
        if let Some(Value::String(when)) = fields.get("when") {
            // The driver writes no zeros at the end of a second.
            let when = bson::DateTime::parse_rfc3339_str(when).unwrap();
            let when = when.try_to_rfc3339_string().unwrap();
            fields.insert("when".to_owned(), json!(when));
        }
        (id, event)
    });
    events.collect()
}

async fn following_goes_on_after_a_kill_and_does_everything_once(into: Arc<Database>) {
    let seed = number("LIVELOG_SEED").unwrap_or_else(rand_seed);
    eprintln!("LIVELOG_SEED={seed}");
    let mut dice = Dice::new(seed, 0);
    let source = Source::new().await;
    write_randomly(&source, &mut dice, 100).await;
    let copied = source.events().count_documents(doc! {}).await.unwrap();
    let copied = usize::try_from(copied).unwrap();

    let mut following = Following::start(&source, &into, &[]);
    write_randomly(&source, &mut dice, 60).await;
    following.says("adopted").await;
    for _ in 0..4 {
        let before = dice.below(80);
        write_randomly(&source, &mut dice, before).await;
        // Killed wherever it is.
        drop(following);
        let after = dice.below(40);
        write_randomly(&source, &mut dice, after).await;
        following = Following::start(&source, &into, &[]);
        following.says("following").await;
    }
    write_randomly(&source, &mut dice, 50).await;
    // What was written before it is told to stop is taken in.
    following.process.signal(Signal::INT).unwrap();
    following.says("cut over now").await;
    following.ends().await;
    verified(&into).await;

    let server = Server::on(into, &[]).await;
    assert_eq!(
        without_meta(events(&server).await),
        documents(&source).await
    );
    let (_, page) = server.get("/api/changes", &[("limit", "1000")]).await;
    let changes = page["data"].as_array().unwrap();
    let times: Vec<&str> = changes
        .iter()
        .map(|change| change["at"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted());
    // Nothing twice: no more changes than there were documents and writes.
    let most = copied + 60 + 4 * 118 + 50;
    assert!(
        (copied..=most).contains(&changes.len()),
        "{}",
        changes.len()
    );
    server.stop().await;
}

fn rand_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

#[tokio::test]
async fn each_change_of_the_source_is_one_change_here_while_a_server_serves_it() {
    let source = Source::holding(doc! { "_id": "a", "n": 0 }).await;
    let into = Database::shared().await;
    let mut following = Following::start(&source, &into, &["--until-idle", "3"]);
    following.says("caught up: ").await;
    let server = Server::on(Arc::clone(&into), &[]).await;
    let mut client = server.connect("/ws?after=0").await;
    assert_eq!(client.change().await["kind"], "create");
    let by_id = doc! { "_id": "a" };
    for n in 1..4 {
        let update = doc! { "$set": { "n": n } };
        source
            .events()
            .update_one(by_id.clone(), update)
            .await
            .unwrap();
        let change = client.change().await;
        assert_eq!(
            (&change["kind"], &change["data"]["n"]),
            (&json!("update"), &json!(n))
        );
    }
    source.events().delete_one(by_id).await.unwrap();
    assert_eq!(client.change().await["kind"], "delete");
    let created = DateTime::from_millis(1_000);
    source
        .events()
        .insert_one(doc! { "_id": "a", "createdAt": created })
        .await
        .unwrap();
    let change = client.change().await;
    assert_eq!(
        (&change["kind"], &change["version"]),
        (&json!("create"), &json!(6))
    );
    assert_eq!(change["data"]["_createdAt"], "1970-01-01T00:00:01.000Z");
    // More fields than one update may name.
    let wide: Document = (0..1_500)
        .map(|n| (format!("f{n}"), Bson::from(n)))
        .collect();
    source
        .events()
        .replace_one(doc! { "_id": "a" }, wide)
        .await
        .unwrap();
    assert_eq!(client.change().await["kind"], "delete");
    assert_eq!(client.change().await["data"]["f1499"], 1_499);
    let said = following.says("followed").await;
    assert!(said.contains("1 created, 4 updated, 1 deleted"), "{said}");
    following.ends().await;
    drop(client);
    let into = server.stop().await;
    verified(&into).await;
    let again = failed(&source.adopted(&into, &[]).await);
    assert!(again.contains("goes on with --follow"), "{again}");
    let other = Source::new().await;
    other.events().insert_one(doc! {}).await.unwrap();
    let said = failed(&other.adopted(&into, &["--follow"]).await);
    assert!(
        said.contains(&format!("follows {}.events, not", source.name)),
        "{said}"
    );
}

#[tokio::test]
async fn a_source_that_is_written_all_the_time_is_caught_up_with() {
    let source = Source::holding(doc! { "_id": "a" }).await;
    let into = Database::folder();
    let mut following = Following::start(&source, &into, &[]);
    let writing = async {
        loop {
            source.events().insert_one(doc! {}).await.unwrap();
        }
    };
    let said = tokio::select! {
        said = following.says("caught up: ") => said,
        () = writing => unreachable!("it is written until it is said"),
    };
    assert!(said.contains("created"), "{said}");
    following.process.signal(Signal::INT).unwrap();
    following.says("cut over now").await;
    following.ends().await;
    verified(&into).await;
}

#[tokio::test]
async fn a_document_that_cannot_be_ends_the_following_until_it_is_mended_or_left_out() {
    let source = Source::holding(doc! { "_id": "a", "n": 0 }).await;
    let into = Database::folder();
    let mut following = Following::start(&source, &into, &[]);
    following.says("caught up: ").await;
    source
        .events()
        .insert_one(doc! { "_id": "b" })
        .await
        .unwrap();
    let bad = doc! { "_bad": 1 };
    source
        .events()
        .replace_one(doc! { "_id": "a" }, bad)
        .await
        .unwrap();
    source
        .events()
        .insert_one(doc! { "_id": "c" })
        .await
        .unwrap();
    let status = following.process.wait(DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(1));
    let idle = ["--follow", "--until-idle", "1"];
    let said = failed(&source.adopted(&into, &idle).await);
    for word in ["_id a: _bad: names beginning with _", "--skip-refused"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let left_out = [&idle[..], &["--skip-refused"]].concat();
    let said = succeeded(&source.adopted(&into, &left_out).await);
    assert!(
        said.contains("refused 1 document:") && said.contains("1 deleted"),
        "{said}"
    );
    let server = Server::on(into, &[]).await;
    let ids: Vec<String> = events(&server).await.into_keys().collect();
    assert_eq!(ids, ["b", "c"]);
    server.stop().await;
}

#[tokio::test]
async fn a_copy_that_was_cut_off_is_no_livelog_to_go_on_with() {
    let source = Source::new().await;
    let many = (0..30_000).map(|n| doc! { "n": n, "text": "x".repeat(200) });
    source.events().insert_many(many).await.unwrap();
    let into = Database::shared().await;
    let mut following = Following::start(&source, &into, &[]);
    following.says("integers").await;
    let heads = into.driver().await.collection::<Document>("log");
    let is_written = async || heads.find_one(doc! {}).await.unwrap().map(drop);
    crate::support::eventually("something is written", is_written).await;
    drop(following);
    let said = failed(&source.adopted(&into, &["--follow"]).await);
    assert!(said.contains("cut off while it was copied"), "{said}");
    let said = failed(&source.adopted(&into, &[]).await);
    for told in [
        "the store is not empty",
        "cut off while it was copied",
        &format!("drop the database {}", into.name()),
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let (code, told) = into.livelog("verify").await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("cut off while it was copied"), "{told}");
    // What it says to do, and then the same command.
    into.driver().await.drop().await.unwrap();
    succeeded(&source.adopted(&into, &[]).await);
    verified(&into).await;
}

#[tokio::test]
async fn a_standalone_server_is_copied_from_and_cannot_be_followed() {
    let standalone = Mongod::start_standalone().await.unwrap();
    let source = Source::on(standalone.uri()).await;
    source.events().insert_one(doc! { "_id": 1 }).await.unwrap();
    let into = Database::folder();
    let said = failed(&source.adopted(&into, &["--follow"]).await);
    assert!(
        said.contains("standalone") && said.contains("--replSet"),
        "{said}"
    );
    assert!(is_untouched(&into).await);
    succeeded(&source.adopted(&into, &[]).await);
    verified(&into).await;
}

#[tokio::test]
async fn a_source_that_is_not_there_is_told_by_name() {
    let source = Source::new().await;
    source.database.create_collection("event").await.unwrap();
    let into = Database::folder();
    let said = failed(&source.adopted(&into, &[]).await);
    assert!(
        said.contains("there is no collection events to adopt"),
        "{said}"
    );
    assert!(said.contains("has event"), "{said}");
    let nowhere = Source {
        uri: "mongodb://user:hunter2@127.0.0.1:1/".to_owned(),
        ..source
    };
    let said = failed(&nowhere.adopted(&into, &[]).await);
    assert!(
        said.contains("cannot reach MongoDB at 127.0.0.1:1"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    for wrong in ["a.b", "a=b.c", "a=$b", "a=_b", "_id=b", "a=b=c", r"a\b=c"] {
        let said = failed(&nowhere.adopted(&into, &["--rename", wrong]).await);
        assert!(said.contains("--rename"), "{wrong}: {said}");
    }
    assert!(is_untouched(&into).await);
}

/// The options that a refusal tells, as the shell that they are pasted into reads them, with another name.
fn pasted(said: &str, option: &str, name: &str) -> Vec<String> {
    let remedies = said.lines().filter_map(|line| {
        let (_, remedy) = line.split_once(" (--rename=")?;
        let (rename, drop) = remedy.strip_suffix(')')?.split_once(", or --drop=")?;
        Some(match option {
            "--drop" => format!("--drop={drop}"),
            _ => format!(
                "--rename={}",
                rename.replace("=NAME'", &format!("={name}'"))
            ),
        })
    });
    let script = format!("printf '%s\\n' {}", remedies.collect::<Vec<_>>().join(" "));
    let shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    let words = String::from_utf8(shell.stdout).unwrap();
    words.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_a_refusal_tells_to_do_mends_it_and_nothing_else_when_it_is_pasted() {
    let names = ["a.b", "$it's", "", "_x=y", "-\\$.", "n\nl."];
    for option in ["--drop", "--rename"] {
        let fields = names.iter().map(|name| ((*name).to_owned(), Bson::from(1)));
        let mut document: Document = fields.collect();
        document.insert("_id", "x");
        document.insert("a", doc! { "b": 1, "c.d": 1 });
        let source = Source::holding(document).await;
        let into = Database::folder();
        let said = failed(&source.adopted(&into, &[]).await);
        assert!(said.contains("refused 1 document:"), "{said}");
        let mut words = pasted(&said, option, "n");
        assert_eq!(words.len(), names.len() + 1, "{said}");
        for (index, word) in words.iter_mut().enumerate() {
            if option == "--rename" {
                *word = format!("{}{index}", word.as_str());
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        succeeded(&source.adopted(&into, &words).await);
        let server = Server::on(into, &[]).await;
        let mut event = events(&server).await.remove("x").unwrap();
        let event = event.as_object_mut().unwrap();
        event.retain(|name, _| !name.starts_with('_'));
        let nested = event.remove("a").unwrap();
        match option {
            "--drop" => {
                assert_eq!(nested, json!({ "b": 1 }));
                assert!(event.is_empty(), "{event:?}");
            }
            _ => {
                assert_eq!(nested, json!({ "b": 1, "n6": 1 }));
                assert_eq!(event.len(), names.len(), "{event:?}");
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn what_no_field_was_there_for_is_told_at_the_end() {
    let source = Source::holding(doc! { "_id": "a", "met": 1, "_bad": 1 }).await;
    let into = Database::folder();
    let words = [
        "--drop", "met", "--drop", "a.b", "--rename", "q=r", "--rename", "_bad=bad",
    ];
    for dry in [&["--dry-run"][..], &[]] {
        let words = [&words[..], dry].concat();
        let said = succeeded(&source.adopted(&into, &words).await);
        for option in ["--drop 'a.b'", "--rename 'q=r'"] {
            let warning = format!("warning: {option} was met by no field");
            assert!(said.contains(&warning), "{option}: {said}");
        }
        assert_eq!(said.matches("warning").count(), 2, "{said}");
    }
    // The misspelt option is why it is refused.
    let said = failed(
        &source
            .adopted(&Database::folder(), &["--drop", "_bda"])
            .await,
    );
    assert!(said.contains("warning: --drop '_bda'"), "{said}");
}

async fn a_dry_run_says_of_the_store_what_a_real_run_would(into: Arc<Database>) {
    let source = Source::holding(doc! { "_id": "a" }).await;
    let bad = Source::holding(doc! { "_id": "b", "_bad": 1 }).await;
    succeeded(&source.adopted(&into, &["--dry-run"]).await);
    assert!(is_untouched(&into).await);
    succeeded(&source.adopted(&into, &[]).await);
    for words in [&[][..], &["--dry-run"]] {
        let said = failed(&source.adopted(&into, words).await);
        assert!(
            said.contains("the store is not empty: its log ends at 1"),
            "{said}"
        );
    }
    let said = failed(&bad.adopted(&into, &["--dry-run"]).await);
    for told in ["_bad: names beginning", "the store is not empty"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let said = failed(&source.adopted(&into, &["--follow"]).await);
    assert!(said.contains("without --follow"), "{said}");
    let log = into.run("export", Stdio::null()).await.stdout;
    assert_eq!(
        log.iter().filter(|byte| **byte == b'\n').count(),
        3,
        "{log:?}"
    );
}

#[tokio::test]
async fn a_dry_run_says_that_a_folder_cannot_be_had_and_changes_nothing() {
    let source = Source::holding(doc! { "_id": "a" }).await;
    let adopted = async |data: &Path, dry: &[&str]| {
        let mut livelog = command();
        livelog.args([
            "adopt",
            "--from",
            &source.uri,
            "--source-database",
            &source.name,
        ]);
        livelog
            .args(["--collection", "events", "--data"])
            .arg(data)
            .args(dry);
        output(livelog).await
    };
    let folder = crate::support::database::scratch();
    let missing = folder.path().join("new/livelog");
    succeeded(&adopted(&missing, &["--dry-run"]).await);
    assert!(!missing.parent().unwrap().exists());

    let served = Database::folder();
    let server = Server::on(Arc::clone(&served), &[]).await;
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let foreign = folder.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("livelog.redb"), "something else").unwrap();
    for (data, reason) in [
        (served.path(), "in use by another livelog"),
        (&file, "it is a file, not a folder"),
        (&file.join("below"), "cannot use the data folder"),
        (&foreign, "is not a livelog data file"),
    ] {
        for dry in [&["--dry-run"][..], &[]] {
            let said = failed(&adopted(data, dry).await);
            assert!(said.contains(reason), "{reason}: {said}");
            assert_eq!(said.contains("would become"), !dry.is_empty(), "{said}");
        }
    }
    let read_only = missing.parent().unwrap();
    std::fs::create_dir(read_only).unwrap();
    if let Some(_mounted) = Mounted::over(read_only, "ro") {
        for dry in [&["--dry-run"][..], &[]] {
            let said = failed(&adopted(&missing, dry).await);
            assert!(said.contains("Read-only file system"), "{said}");
        }
    }
    let written = std::fs::read(foreign.join("livelog.redb")).unwrap();
    assert_eq!(written, b"something else");
    server.stop().await;
}

#[tokio::test]
async fn a_dry_run_says_that_a_database_is_another_programs_and_writes_nothing_into_a_livelog() {
    let source = Source::holding(doc! { "_id": "a" }).await;
    let into = Database::shared().await;
    let events = into.driver().await.collection::<Document>("events");
    events.insert_one(doc! { "_id": "x" }).await.unwrap();
    let said = failed(&source.adopted(&into, &["--dry-run"]).await);
    assert!(said.contains("is not livelog's"), "{said}");

    let into = Database::shared().await;
    into.store().await.close().await;
    let database = into.driver().await;
    let hash = async || {
        let hash = database.run_command(doc! { "dbHash": 1 }).await.unwrap();
        hash.get_str("md5").unwrap().to_owned()
    };
    let before = hash().await;
    succeeded(&source.adopted(&into, &["--dry-run"]).await);
    assert_eq!(hash().await, before);
}

#[tokio::test]
async fn a_view_is_copied_and_cannot_be_followed() {
    let source = Source::holding(doc! { "_id": "a", "n": 1 }).await;
    let pipeline = vec![doc! { "$set": { "m": 2 } }];
    let collections = source.events().clone_with_type::<Document>();
    let renamed = source.database.collection::<Document>("originals");
    let document = collections.find_one(doc! {}).await.unwrap().unwrap();
    renamed.insert_one(document).await.unwrap();
    collections.drop().await.unwrap();
    let view = source
        .database
        .create_collection("events")
        .view_on("originals");
    view.pipeline(pipeline).await.unwrap();

    let into = Database::folder();
    for words in [&["--follow"][..], &["--follow", "--dry-run"]] {
        let said = failed(&source.adopted(&into, words).await);
        assert!(said.contains("it is a view of originals"), "{said}");
        assert!(!said.contains("read 1"), "{said}");
    }
    assert!(is_untouched(&into).await);
    succeeded(&source.adopted(&into, &[]).await);
    let server = Server::on(into, &[]).await;
    assert_eq!(events(&server).await["a"]["m"], 2);
    server.stop().await;
}

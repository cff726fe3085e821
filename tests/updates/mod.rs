//! Update operators, judged by a real MongoDB.
//!
//! Documents and updates are generated, and what livelog decides, or refuses, must be what MongoDB does:
//! to the kind of each number and the order of fields. `LIVELOG_UPDATES` sets how many updates are compared
//! (10 000 when unset); `LIVELOG_SEED` repeats a run that failed.

mod generated;
mod served;

use std::sync::Arc;

use bson::{Bson, doc};
use futures::TryStreamExt;
use livelog::domain::{
    Change, Command, Event, EventId, EventState, Seq, Stamp, Timestamp, Update, decide,
};
use livelog::protocol::Failure;
use livelog::query::{Conditions, Fields};
use livelog::value::{Document, Steps, Value};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::filters::generated::name;
use crate::filters::judge::{from_bson_document, json, on_generated, to_bson_document};
use crate::support::dice;
use generated::case;

/// What livelog makes of an update; the path of the offender where it refuses.
fn decided(before: &Document, update: &Document) -> Result<Change, String> {
    let payload = Document::from_iter([
        ("id", Value::from("e")),
        ("updateData", update.clone().into()),
    ]);
    let update = Update::parse(payload, &mut Conditions::default());
    let command = Command::Update(update.map_err(|invalid| invalid.path)?);
    let at = Timestamp::parse("2026-01-31T12:00:00.000Z").unwrap();
    let current = Event {
        id: EventId::parse("e").unwrap(),
        version: 1,
        seq: Seq::new(1),
        created_at: at,
        updated_at: at,
        fields: before.clone(),
    };
    let stamp = Stamp {
        seq: Seq::new(2),
        at,
    };
    let state = EventState {
        id: current.id.clone(),
        current: Some(Arc::new(current)),
        last_version: 0,
        earlier: None,
    };
    decide(&state, &command, stamp, &Steps::unbounded()).map_err(|rejection| {
        Failure::from(rejection)
            .path
            .expect("it names the operator")
    })
}

fn after(change: &Change) -> &Document {
    &change.after().expect("an update leaves its event").fields
}

/// A MongoDB that updates documents.
struct Judge {
    runtime: Runtime,
    database: mongodb::Database,
}

impl Judge {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(async {
            let uri = crate::support::mongod::uri().await;
            let client = mongodb::Client::with_uri_str(uri).await.unwrap();
            client.database(&format!("updates-{}", uuid::Uuid::new_v4()))
        });
        Self { runtime, database }
    }

    fn leave(&self) {
        let dropping = async { self.database.drop().await };
        self.runtime.block_on(dropping).unwrap();
    }

    /// Each document after its update; the message where MongoDB refuses.
    fn updated<'a>(
        &self,
        cases: impl Iterator<Item = (&'a Document, &'a Document)>,
    ) -> Vec<Result<Document, String>> {
        let cases = cases.enumerate().map(|(n, (before, update))| {
            let id = i64::try_from(n).unwrap();
            let mut document = doc! { "_id": id };
            document.extend(to_bson_document(before));
            (
                document,
                doc! { "q": { "_id": id }, "u": to_bson_document(update) },
            )
        });
        let (documents, updates): (Vec<_>, Vec<_>) = cases.unzip();
        self.runtime
            .block_on(self.run(documents, updates))
            .expect("MongoDB answers")
    }

    async fn run(
        &self,
        documents: Vec<bson::Document>,
        updates: Vec<bson::Document>,
    ) -> mongodb::error::Result<Vec<Result<Document, String>>> {
        let events = self.database.collection::<bson::Document>("events");
        events.delete_many(doc! {}).await?;
        events.insert_many(documents).await?;
        let command = doc! { "update": "events", "updates": updates, "ordered": false };
        let answer = self.database.run_command(command).await?;
        let found = events.find(doc! {}).sort(doc! { "_id": 1 }).await?;
        let found: Vec<bson::Document> = found.try_collect().await?;
        let mut results: Vec<Result<Document, String>> = found
            .into_iter()
            .map(|mut document| {
                document.remove("_id");
                Ok(from_bson_document(document))
            })
            .collect();
        for error in answer.get_array("writeErrors").into_iter().flatten() {
            let error = error.as_document().expect("an error is a document");
            let index = error.get("index").and_then(Bson::as_i32).unwrap();
            let message = error.get_str("errmsg").unwrap_or_default().to_owned();
            results[usize::try_from(index).unwrap()] = Err(message);
        }
        Ok(results)
    }
}

const UPDATES_PER_SET: usize = 250;

#[test]
fn operators_do_in_memory_what_they_do_in_mongodb() {
    let updates = dice::number("LIVELOG_UPDATES").unwrap_or(10_000);
    let sets = u32::try_from(updates.div_ceil(UPDATES_PER_SET as u64)).unwrap();
    // As many on average; of any number, so that a failure shrinks to one.
    let cases = prop::collection::vec(case(), 1..2 * UPDATES_PER_SET);
    let judge = Judge::start();
    let outcome = on_generated(sets, &cases, |cases| {
        let theirs = judge.updated(cases.iter().map(|(before, update)| (before, update)));
        for ((before, update), theirs) in cases.iter().zip(theirs) {
            let ours = decided(before, update).map(|change| json(after(&change)));
            let context = || format!("{} {}: {theirs:?}", json(before), json(update));
            match &theirs {
                Ok(theirs) if !is_json(&theirs.clone().into()) => {
                    prop_assert!(ours.is_err(), "{}", context());
                }
                Ok(theirs) => prop_assert_eq!(ours, Ok(json(theirs)), "{}", context()),
                Err(why) if sees_what_others_did(why, update) => {}
                Err(_) => prop_assert!(ours.is_err(), "ours {:?}: {}", ours, context()),
            }
        }
        Ok(())
    });
    judge.leave();
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// MongoDB lets a `$rename` see the places with which another operator of the same update filled an array,
/// if its source is in there; to livelog the source is missing.
fn sees_what_others_did(why: &str, update: &Document) -> bool {
    let of_source = [
        "The source field cannot be an array element",
        "cannot use the part",
    ];
    update.len() > 1 && of_source.iter().any(|start| why.starts_with(start))
}

/// JSON has no infinity, so livelog refuses to make one where MongoDB does.
fn is_json(value: &Value) -> bool {
    match value {
        Value::Float(number) => number.is_finite(),
        Value::Array(items) => items.iter().all(is_json),
        Value::Object(document) => document.iter().all(|(_, value)| is_json(value)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_) => true,
    }
}

#[test]
fn what_operators_did_can_be_told_in_parts() {
    let wanted = prop::collection::vec(name(), 1..3).prop_map(|names| names.join("."));
    let input = (case(), wanted);
    let outcome = on_generated(2_000, &input, |((before, update), wanted)| {
        let Ok(change) = decided(&before, &update) else {
            return Ok(());
        };
        let patch = change.patch().expect("an update has one");
        let fields = Fields::parse(&Value::Array(vec![wanted.into()]), "fields").unwrap();
        let part = fields.project_patch(patch, &before, after(&change));
        let told = part.apply(&fields.project(&before));
        prop_assert_eq!(
            told.map(|told| json(&told)),
            Ok(json(&fields.project(after(&change)))),
            "{}",
            json(patch)
        );
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A line of the tables under `fixtures/update`.
#[derive(Debug, serde::Deserialize)]
struct Case {
    before: Document,
    update: Document,
    after: Option<Document>,
    /// Below `updateData`: where the offender stands.
    refused: Option<String>,
    /// What MongoDB makes of it where livelog refuses on purpose.
    mongodb: Option<Document>,
}

fn table() -> Vec<Case> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/update");
    let files = std::fs::read_dir(folder).expect("the tables are there");
    let lines = files.flat_map(|file| {
        let path = file.expect("the folder can be read").path();
        let text = std::fs::read_to_string(&path).expect("a table can be read");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines
    });
    lines
        .map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

#[test]
fn the_tables_hold_in_memory() {
    let table = table();
    assert!(table.len() >= 130, "{} cases", table.len());
    for case in &table {
        let ours = decided(&case.before, &case.update).map(|change| json(after(&change)));
        let expected = match (&case.after, &case.refused) {
            (Some(after), None) => Ok(json(after)),
            (None, Some(name)) if name.is_empty() => Err("payload.updateData".to_owned()),
            (None, Some(path)) => Err(format!("payload.updateData.{path}")),
            _ => panic!("neither accepted nor refused: {case:?}"),
        };
        assert_eq!(
            ours,
            expected,
            "{} {}",
            json(&case.before),
            json(&case.update)
        );
    }
}

#[test]
fn the_tables_hold_in_mongodb() {
    let table = table();
    let judge = Judge::start();
    let theirs = judge.updated(table.iter().map(|case| (&case.before, &case.update)));
    let differ = table.iter().zip(theirs).filter_map(|(case, theirs)| {
        let expected = case.after.as_ref().or(case.mongodb.as_ref()).map(json);
        let (before, update) = (json(&case.before), json(&case.update));
        (theirs.as_ref().ok().map(json) != expected)
            .then(|| format!("{before} {update}: {theirs:?}"))
    });
    let differ: Vec<String> = differ.collect();
    judge.leave();
    assert!(differ.is_empty(), "{differ:#?}");
}

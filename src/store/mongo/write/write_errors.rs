//! What the error of a single document in a write command means.
//!
//! | error | kind | the append |
//! |---|---|---|
//! | a code that passes (see [`code::TRANSIENT`]) | `Transient` | is tried again |
//! | a duplicate key of an index of livelog's, or of no index that is named | `OwnKeyTaken` | fails: log or view are not what the head says |
//! | a duplicate key of an index of others, a validator of others, anything else | `Permanent` | fails, and would again |
//!
//! A permanent kind is logged once, with what to do about it. The server's own message quotes the document, so only
//! the name of an index is taken from it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bson::Document;
use futures::TryStreamExt;
use mongodb::{Database, IndexModel};

use crate::store::StoreError;
use crate::store::mongo::open::{collections, declared};
use crate::store::mongo::wire::call;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, code, within};

/// What it means that a document was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WriteErrorKind {
    /// The same write may succeed later.
    Transient(String),
    /// It never will.
    Permanent(String),
    /// Another document has a key that is livelog's to give.
    OwnKeyTaken,
}

/// Classifies write errors, and logs each permanent kind once.
#[derive(Debug)]
pub(super) struct WriteErrors {
    database: Database,
    logged: Mutex<HashSet<String>>,
}

/// Kinds that are logged. Bounded because others choose the names of their indexes.
const KINDS_MAX: usize = 100;

/// Indexes that one log line names.
const NAMED_MAX: usize = 10;

impl WriteErrors {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            logged: Mutex::default(),
        }
    }

    /// What the error of a write to a collection means. The caller does not wait for the log line.
    pub(super) fn classify(&self, collection: &str, error: &Document) -> WriteErrorKind {
        let kind = classify(collection, error);
        if let WriteErrorKind::Permanent(reason) = &kind
            && self.is_new(reason)
        {
            let (database, collection) = (self.database.clone(), collection.to_owned());
            tokio::spawn(log(database, collection, reason.clone()));
        }
        kind
    }

    fn is_new(&self, reason: &str) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.len() < KINDS_MAX && logged.insert(reason.to_owned())
    }
}

fn classify(collection: &str, error: &Document) -> WriteErrorKind {
    let number = error.get_i32("code").unwrap_or(0);
    if code::TRANSIENT.contains(&number) {
        return WriteErrorKind::Transient(call::error_with_code(number));
    }
    let name = code::name(number);
    if number != code::DUPLICATE_KEY {
        return WriteErrorKind::Permanent(format!(
            "{name} ({number}) of a document of {collection}"
        ));
    }
    let Ok(keys) = error.get_document("keyPattern") else {
        return WriteErrorKind::OwnKeyTaken;
    };
    if collections::is_own(collection, keys) {
        return WriteErrorKind::OwnKeyTaken;
    }
    let names: Vec<&str> = keys.keys().map(String::as_str).collect();
    let index = index_name(error).map_or_else(|| format!("on {}", names.join(", ")), quoted);
    WriteErrorKind::Permanent(format!(
        "{name} ({number}) by the unique index {index} of {collection}"
    ))
}

fn quoted(name: &str) -> String {
    format!("{name:?}")
}

/// `E11000 duplicate key error collection: DATABASE.COLLECTION index: NAME dup key: {…}`
fn index_name(error: &Document) -> Option<&str> {
    let (_, rest) = error.get_str("errmsg").ok()?.split_once(" index: ")?;
    let (name, _) = rest.split_once(" dup key: ")?;
    Some(name)
}

/// Logs the reason, and which indexes and validators of others there are as far as the database says.
async fn log(database: Database, collection: String, reason: String) {
    let others = others(&database, &collection).await;
    let others = others.unwrap_or_else(|failure| {
        let error = StoreError::from(failure);
        format!("which it does not tell ({error})")
    });
    tracing::error!(
        "the database refuses what livelog writes: {reason}. Others have put there: {others}. Commands that do not fit \
         are answered `internal`, and all others are carried out. Drop the index \
         (db.{collection}.dropIndex(\"NAME\")), or take the validator away \
         (db.runCommand({{collMod: \"{collection}\", validator: {{}}}})), or keep such commands from coming"
    );
}

/// The indexes and the validator on a collection that are not livelog's, in words.
async fn others(database: &Database, collection: &str) -> Result<String, CallError> {
    let (listed, name) = (database.clone(), collection.to_owned());
    let found = within(CALL_DEADLINE, async move {
        let indexes = listed.collection::<Document>(&name).list_indexes().await?;
        let indexes = indexes.try_collect::<Vec<IndexModel>>().await?;
        let collections = listed
            .list_collections()
            .filter(bson::doc! { "name": name });
        let collections = collections.await?.try_collect::<Vec<_>>().await?;
        Ok((indexes, collections))
    });
    let (indexes, collections) = found.await?;
    let added = indexes
        .into_iter()
        .filter(|index| !collections::is_own(collection, &index.keys));
    let names = added
        .filter_map(|index| index.options.and_then(|options| options.name))
        .filter(|name| !declared::is_declared(name));
    let mut others: Vec<String> = names
        .take(NAMED_MAX)
        .map(|name| format!("the index {name:?}"))
        .collect();
    let has_validator = collections
        .iter()
        .any(|found| collections::has_validator(&found.options));
    others.extend(has_validator.then(|| "a validator".to_owned()));
    Ok(match others.is_empty() {
        true => "nothing that is there any more".to_owned(),
        false => others.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn duplicate(keys: Document, index: &str) -> Document {
        let said = format!(
            "E11000 duplicate key error collection: d.events index: {index} dup key: {{ a: \"secret\" }}"
        );
        doc! { "code": 11_000, "keyPattern": keys, "keyValue": { "a": "secret" }, "errmsg": said }
    }

    #[test]
    fn an_index_of_others_is_named_and_what_the_document_holds_is_not() {
        let WriteErrorKind::Permanent(said) =
            classify("events", &duplicate(doc! { "a": 1 }, "a_1"))
        else {
            panic!("it is taken for another refusal");
        };
        assert_eq!(
            said,
            "DuplicateKey (11000) by the unique index \"a_1\" of events"
        );
        let error = doc! { "code": 17_262, "errmsg": "language override unsupported: secret" };
        let said = "Location17262 (17262) of a document of events".to_owned();
        assert_eq!(classify("events", &error), WriteErrorKind::Permanent(said));
    }

    #[test]
    fn what_stands_in_livelogs_own_places_and_what_passes_are_no_refusals_of_others() {
        let taken = duplicate(doc! { "_id": 1 }, "_id_");
        assert_eq!(classify("events", &taken), WriteErrorKind::OwnKeyTaken);
        let taken = duplicate(doc! { "command.id": 1 }, "command.id_1");
        assert_eq!(classify("log", &taken), WriteErrorKind::OwnKeyTaken);
        for code in [388, 112] {
            let transient = classify("events", &doc! { "code": code });
            assert!(matches!(transient, WriteErrorKind::Transient(_)), "{code}");
        }
    }
}

//! What the database refuses to write, for good: others have put an index or a validator on livelog's collections, and
//! a document does not fit it.
//!
//! Said once a kind, with what to do. The server's own message quotes the document, so that of it only the name of an
//! index is passed on.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bson::Document;
use futures::TryStreamExt;
use mongodb::{Database, IndexModel};

use crate::store::mongo::open::layout;
use crate::store::mongo::wire::call;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, code, within};

/// What it means that a document was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RefusedWrite {
    /// The same may be taken later.
    ForNow(String),
    /// It never will be.
    ForGood(String),
    /// Something stands in its place.
    Taken,
}

/// Which kinds of refusals there were.
#[derive(Debug)]
pub(super) struct Refusals {
    database: Database,
    said: Mutex<HashSet<String>>,
}

/// Kinds that are told apart: names of indexes are others' to choose.
const KINDS_MAX: usize = 100;

/// Indexes that are named.
const NAMED_MAX: usize = 10;

impl Refusals {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            said: Mutex::default(),
        }
    }

    /// What the error of a write to a collection means. One that is for good is logged, beside whoever waits.
    pub(crate) fn judge(&self, collection: &str, error: &Document) -> RefusedWrite {
        let refused = judge(collection, error);
        if let RefusedWrite::ForGood(kind) = &refused
            && self.is_new(kind)
        {
            let telling = tell(self.database.clone(), collection.to_owned(), kind.clone());
            tokio::spawn(telling);
        }
        refused
    }

    fn is_new(&self, kind: &str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.len() < KINDS_MAX && said.insert(kind.to_owned())
    }
}

fn judge(collection: &str, error: &Document) -> RefusedWrite {
    let number = error.get_i32("code").unwrap_or(0);
    if code::PASSING.contains(&number) {
        return RefusedWrite::ForNow(call::answered(number));
    }
    let name = code::name(number);
    if number != code::DUPLICATE_KEY {
        return RefusedWrite::ForGood(format!("{name} ({number}) of a document of {collection}"));
    }
    let Ok(keys) = error.get_document("keyPattern") else {
        return RefusedWrite::Taken;
    };
    if layout::is_own(collection, keys) {
        return RefusedWrite::Taken;
    }
    let names: Vec<&str> = keys.keys().map(String::as_str).collect();
    let index = index_name(error).map_or_else(|| format!("on {}", names.join(", ")), quoted);
    RefusedWrite::ForGood(format!(
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

/// Says what stands in the way as far as the database tells.
async fn tell(database: Database, collection: String, kind: String) {
    let others = others(&database, &collection).await;
    let others = others.unwrap_or_else(|_| "which it does not tell".to_owned());
    tracing::error!(
        "the database refuses what livelog writes: {kind}. Others have put there: {others}. Commands that do not fit \
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
        .filter(|index| !layout::is_own(collection, &index.keys));
    let names = added.filter_map(|index| index.options.and_then(|options| options.name));
    let mut others: Vec<String> = names
        .take(NAMED_MAX)
        .map(|name| format!("the index {name:?}"))
        .collect();
    let has_validator = collections
        .iter()
        .any(|found| layout::has_validator(&found.options));
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
        let RefusedWrite::ForGood(said) = judge("events", &duplicate(doc! { "a": 1 }, "a_1"))
        else {
            panic!("it is taken for another refusal");
        };
        assert_eq!(
            said,
            "DuplicateKey (11000) by the unique index \"a_1\" of events"
        );
        let error = doc! { "code": 17_262, "errmsg": "language override unsupported: secret" };
        let said = "Location17262 (17262) of a document of events".to_owned();
        assert_eq!(judge("events", &error), RefusedWrite::ForGood(said));
    }

    #[test]
    fn what_stands_in_livelogs_own_places_and_what_passes_are_no_refusals_of_others() {
        let taken = duplicate(doc! { "_id": 1 }, "_id_");
        assert_eq!(judge("events", &taken), RefusedWrite::Taken);
        let taken = duplicate(doc! { "command.id": 1 }, "command.id_1");
        assert_eq!(judge("log", &taken), RefusedWrite::Taken);
        for code in [388, 112] {
            let passing = judge("events", &doc! { "code": code });
            assert!(matches!(passing, RefusedWrite::ForNow(_)), "{code}");
        }
    }
}

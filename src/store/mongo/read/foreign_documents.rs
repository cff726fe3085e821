//! Documents of other programs in livelog's collections.
//!
//! An event has a string as its `_id` and integers as `_version` and `_seq`. A document of the view without one of
//! these was written by another program: reads of the view skip it, and a rebuild refuses to lose it. So was an event
//! that the log does not know, and a document in the log beyond the head.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::raw::{RawBsonRef, RawDocument};
use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::options::Hint;
use mongodb::{Cursor, Database};

use super::history;
use crate::domain::EventId;
use crate::query::Direction;
use crate::store::mongo::wire::call::{CallError, QUERY_CALL_DEADLINE, within};
use crate::store::mongo::{EVENTS, LOG, head};
use crate::store::{HistoryRange, StoreError};

/// The most documents that are listed: more would tell the operator nothing new.
const FOREIGN_MAX: usize = 100;

/// How long the database may scan the whole view, for a command that only its operator waits for.
pub(crate) const LISTING_DEADLINE: Duration = Duration::from_secs(240);

/// See [`Store::foreign_documents`](crate::store::Store::foreign_documents). Reads the ids of the whole view.
pub(crate) async fn list(
    database: &Database,
    is_known: &(dyn for<'a> Fn(&'a EventId) -> bool + Sync),
) -> Result<Vec<String>, StoreError> {
    let mut foreign = beyond_the_head(database).await?;
    foreign.extend(misshapen(database).await?);
    let mut ids = ids(database).await?;
    while foreign.len() < FOREIGN_MAX {
        let (next, rest) = within(QUERY_CALL_DEADLINE, async move {
            let next = ids.try_next().await?;
            Ok((next, ids))
        })
        .await?;
        ids = rest;
        let Some(document) = next else { break };
        let text = document.get_str("_id").unwrap_or_default();
        let is_foreign = match EventId::stored(text) {
            Ok(id) => !is_known(&id) && history::history(database, &id, FIRST).await?.is_empty(),
            Err(_) => true,
        };
        if is_foreign {
            foreign.push(format!("event {text}"));
        }
    }
    Ok(foreign)
}

/// Shows whether the log has a change of an event.
const FIRST: HistoryRange = HistoryRange {
    direction: Direction::Ascending,
    after: None,
    limit: 1,
};

/// Documents in the log where the next entries belong, which therefore cannot be written. The head is read again after
/// them, because an append moves both together.
async fn beyond_the_head(database: &Database) -> Result<Vec<String>, StoreError> {
    let head = head::read(database, QUERY_CALL_DEADLINE).await?;
    let log = database.collection::<Document>(LOG);
    let after = doc! { "_id": { "$gt": head.seq.get().cast_signed() } };
    let found = within(QUERY_CALL_DEADLINE, async move {
        let find = log.find(after).sort(doc! { "_id": 1 });
        let find = find.projection(doc! { "_id": 1 }).limit(BEYOND_MAX);
        find.await?.try_collect::<Vec<Document>>().await
    });
    let found = found.await?;
    let head = head::read(database, QUERY_CALL_DEADLINE).await?.seq.get();
    let ids = found.iter().filter_map(|document| document.get("_id"));
    let beyond = ids.filter(|id| number(id).is_none_or(|seq| seq > head.cast_signed()));
    Ok(beyond
        .map(|id| format!("the document with the _id {id} in {LOG}, beyond the head"))
        .collect())
}

/// Documents beyond the head that are listed.
const BEYOND_MAX: i64 = 10;

fn number(id: &Bson) -> Option<i64> {
    id.as_i64().or_else(|| id.as_i32().map(i64::from))
}

/// A filter that matches documents which are not shaped as events.
pub(crate) fn is_misshapen() -> Document {
    let not = |types: &[&str]| doc! { "$not": { "$type": types } };
    doc! { "$or": [
        { "_id": not(&["string"]) },
        { "_version": not(&["int", "long"]) },
        { "_seq": not(&["int", "long"]) },
    ] }
}

async fn misshapen(database: &Database) -> Result<Vec<String>, StoreError> {
    let events = database.collection::<Document>(EVENTS);
    let limit = i64::try_from(FOREIGN_MAX).expect("a small number");
    let found = within(LISTING_DEADLINE, async move {
        let find = events.find(is_misshapen()).projection(doc! { "_id": 1 });
        let found = find.limit(limit).max_time(LISTING_DEADLINE).await?;
        found.try_collect::<Vec<Document>>().await
    });
    let found = found.await?;
    Ok(found
        .iter()
        .map(|document| match document.get("_id") {
            Some(id) => format!("the document with the _id {id} in {EVENTS}"),
            None => format!("a document without an _id in {EVENTS}"),
        })
        .collect())
}

/// The ids of the view, from the index alone, so that a large view is not read for them.
async fn ids(database: &Database) -> Result<Cursor<Document>, CallError> {
    let events = database.collection::<Document>(EVENTS);
    within(QUERY_CALL_DEADLINE, async move {
        let find = events
            .find(doc! { "_id": { "$type": "string" } })
            .projection(doc! { "_id": 1 })
            .hint(Hint::Keys(doc! { "_id": 1 }));
        find.await
    })
    .await
}

/// Whether a document that cannot be read as an event is another program's, and not a damaged event. Logged once: a
/// view with one such document tends to have many.
pub(super) fn is_foreign(document: &RawDocument) -> bool {
    let is_text = matches!(document.get("_id"), Ok(Some(RawBsonRef::String(_))));
    let is_number = |name| {
        let found = document.get(name);
        matches!(found, Ok(Some(RawBsonRef::Int32(_) | RawBsonRef::Int64(_))))
    };
    if is_text && is_number("_version") && is_number("_seq") {
        return false;
    }
    static LOGGED: AtomicBool = AtomicBool::new(false);
    if !LOGGED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "the collection {EVENTS} holds documents that are not livelog's, and reads skip them: \
             `livelog verify` lists them"
        );
    }
    true
}

//! The history of an event: its changes, from one index of the log.
//!
//! The index is by event and from the newest change back. A history is one range of it, in either direction; skipping
//! changes costs steps in the index and reads no entry. A page is in the order of its direction, begins beyond the
//! change that is named, and ends early once it passes [`limits::LOG_PAGE_BYTES_MAX`].

use std::sync::Arc;

use bson::raw::{RawBsonRef, RawDocument};
use bson::{Document, doc};
use futures::StreamExt;
use mongodb::Database;
use mongodb::options::Hint;
use mongodb::raw_batch_cursor::RawBatch;

use crate::domain::{Change, EventId};
use crate::limits;
use crate::query::Direction;
use crate::store::mongo::wire::call::{QUERY_CALL_DEADLINE, within};
use crate::store::mongo::wire::decode;
use crate::store::mongo::wire::decode::BsonError;
use crate::store::mongo::{LOG, collection};
use crate::store::{HistoryRange, StoreError};

/// The index of the log by event.
pub(crate) fn index() -> Document {
    doc! { "event": 1, "_id": -1 }
}

/// See [`Store::history`](crate::store::Store::history).
pub(crate) async fn history(
    database: &Database,
    id: &EventId,
    range: HistoryRange,
) -> Result<Vec<Arc<Change>>, StoreError> {
    page(database, id, range, 0).await
}

/// The changes of a range without the first `skipped`, which are skipped in the index alone.
pub(super) async fn page(
    database: &Database,
    id: &EventId,
    range: HistoryRange,
    skipped: u64,
) -> Result<Vec<Arc<Change>>, StoreError> {
    debug_assert!(range.limit > 0, "to MongoDB a limit of 0 is none");
    let log = collection(database, LOG);
    let (beyond, order) = match range.direction {
        Direction::Ascending => ("$gt", 1),
        Direction::Descending => ("$lt", -1),
    };
    let mut filter = doc! { "event": id.as_str() };
    if let Some(after) = range.after {
        filter.insert("_id", doc! { beyond: after.get().cast_signed() });
    }
    let size = u32::try_from(range.limit).unwrap_or(u32::MAX);
    let batch = within(QUERY_CALL_DEADLINE, async move {
        let find = log.find(filter).sort(doc! { "_id": order });
        let find = find.hint(Hint::Keys(index()));
        let find = find.skip(skipped).limit(i64::from(size)).batch_size(size);
        let mut batches = find.max_time(limits::QUERY_DEADLINE).batch().await?;
        batches.next().await.transpose()
    });
    let Some(batch) = batch.await? else {
        return Ok(Vec::new());
    };
    let mut changes = Vec::new();
    let mut bytes = 0;
    for entry in documents(&batch)? {
        if bytes >= limits::LOG_PAGE_BYTES_MAX {
            break;
        }
        let entry = entry?;
        bytes += entry.as_bytes().len();
        changes.push(Arc::new(decode::entry(entry)?));
    }
    Ok(changes)
}

/// The documents of a batch of the log.
pub(super) fn documents(
    batch: &RawBatch,
) -> Result<impl Iterator<Item = Result<&RawDocument, StoreError>>, StoreError> {
    let entries = batch.doc_slices().map_err(|_| unreadable())?;
    Ok(entries.into_iter().map(|entry| match entry {
        Ok(RawBsonRef::Document(document)) => Ok(document),
        _ => Err(unreadable()),
    }))
}

/// An answer about the log that is not BSON.
pub(super) fn unreadable() -> StoreError {
    BsonError::new("not BSON").at("the log")
}

//! Reading the log: pages of changes, and where commands and batches are in it.
//!
//! A page begins directly after the seq that is asked for and has no gap. An entry that is missing or cannot be read
//! ends the page before it, and is an error only if it would be the first.

use bson::raw::{RawBsonRef, RawDocument};
use bson::{RawDocumentBuf, doc};
use futures::{StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::raw_batch_cursor::RawBatch;
use std::sync::Arc;

use crate::domain::{Change, CommandId, Seq};
use crate::limits;
use crate::store::mongo::wire::call::{CALL_DEADLINE, QUERY_CALL_DEADLINE, code, within};
use crate::store::mongo::wire::decode;
use crate::store::mongo::{COMMAND_ID, LOG, collection};
use crate::store::{Batch, StoreError};

/// Contiguous changes, and whether the log may hold more after them.
#[derive(Debug)]
pub(crate) struct EntriesPage {
    pub(crate) changes: Vec<Arc<Change>>,
    pub(crate) more: bool,
}

/// Changes after `after`: at most `limit`, and no more once they pass [`limits::LOG_PAGE_BYTES_MAX`].
pub(crate) async fn page(
    database: &Database,
    after: Seq,
    limit: usize,
) -> Result<EntriesPage, StoreError> {
    if limit == 0 {
        return Ok(EntriesPage {
            changes: Vec::new(),
            more: true,
        });
    }
    let batch = first_batch(database, after, limit).await?;
    let Some(batch) = batch else {
        return Ok(EntriesPage {
            changes: Vec::new(),
            more: false,
        });
    };
    let entries = batch.doc_slices().map_err(|_| unreadable_after(after))?;
    let mut changes = Vec::new();
    let mut next = after.next();
    let mut bytes = 0;
    for entry in entries {
        if bytes > limits::LOG_PAGE_BYTES_MAX {
            return Ok(EntriesPage {
                changes,
                more: true,
            });
        }
        let Ok(RawBsonRef::Document(entry)) = entry else {
            return Err(unreadable_after(after));
        };
        bytes += entry.as_bytes().len();
        match change_at(entry, next) {
            Ok(change) => changes.push(Arc::new(change)),
            Err(unreadable) if changes.is_empty() => return Err(unreadable),
            // The next page begins with it, and fails.
            Err(_) => {
                return Ok(EntriesPage {
                    changes,
                    more: true,
                });
            }
        }
        next = next.next();
    }
    let more = changes.len() == limit || is_open(&batch);
    Ok(EntriesPage { changes, more })
}

async fn first_batch(
    database: &Database,
    after: Seq,
    limit: usize,
) -> Result<Option<RawBatch>, StoreError> {
    let log = collection(database, LOG);
    let filter = doc! { "_id": { "$gt": after.get().cast_signed() } };
    let size = u32::try_from(limit).unwrap_or(u32::MAX);
    let batch = within(QUERY_CALL_DEADLINE, async move {
        let find = log
            .find(filter)
            .sort(doc! { "_id": 1 })
            .limit(i64::from(size))
            .batch_size(size)
            .max_time(limits::QUERY_DEADLINE);
        find.batch().await?.next().await.transpose()
    });
    Ok(batch.await?)
}

/// Whether the server kept a cursor because not everything fitted into this batch.
pub(super) fn is_open(batch: &RawBatch) -> bool {
    let cursor = batch.as_raw_document().get_document("cursor");
    cursor.is_ok_and(|cursor| cursor.get_i64("id").is_ok_and(|id| id != 0))
}

/// The change of this entry, whose seq must be `next`: a gap would be a lost change.
fn change_at(entry: &RawDocument, next: Seq) -> Result<Change, StoreError> {
    let change = decode::change(entry).map_err(|unreadable| unreadable.at(next))?;
    if change.seq == next {
        return Ok(change);
    }
    Err(StoreError::Corrupt {
        at: next.into(),
        reason: format!("missing; the entry found there is {}", change.seq),
    })
}

fn unreadable_after(after: Seq) -> StoreError {
    StoreError::Corrupt {
        at: after.next().into(),
        reason: "not BSON".to_owned(),
    }
}

/// See [`Store::answered`](crate::store::Store::answered).
pub(crate) async fn answered(
    database: &Database,
    ids: &[CommandId],
) -> Result<Vec<(CommandId, Seq)>, StoreError> {
    let log = collection(database, LOG);
    let ids: Vec<&str> = ids.iter().map(CommandId::as_str).collect();
    let filter = doc! { COMMAND_ID: { "$in": ids } };
    let batches = within(QUERY_CALL_DEADLINE, async move {
        let find = log.find(filter).projection(doc! { COMMAND_ID: 1 });
        let find = find.max_time(limits::QUERY_DEADLINE);
        find.batch().await?.try_collect::<Vec<RawBatch>>().await
    });
    let mut answered = Vec::new();
    for batch in &batches.await? {
        let entries = batch
            .doc_slices()
            .map_err(|_| unreadable_after(Seq::ZERO))?;
        for entry in entries {
            let Ok(RawBsonRef::Document(entry)) = entry else {
                return Err(unreadable_after(Seq::ZERO));
            };
            let command = decode::command_seq(entry);
            answered.push(command.map_err(|unreadable| unreadable.at("a command's log entry"))?);
        }
    }
    Ok(answered)
}

/// Whether the log holds exactly this batch: its first entry has the batch's id, and its last entry is there. Entries
/// are appended all or none, so those between are there too.
pub(crate) async fn holds(database: &Database, batch: &Batch) -> Result<bool, StoreError> {
    let first = batch.after.next();
    let last = batch.after.plus(batch.changes.len());
    let Some(opening) = entry(database, first).await? else {
        return Ok(false);
    };
    if decode::batch(&opening) != Some(batch.id) {
        return Ok(false);
    }
    Ok(entry(database, last).await?.is_some())
}

async fn entry(database: &Database, seq: Seq) -> Result<Option<RawDocumentBuf>, StoreError> {
    let log = collection(database, LOG);
    let found = within(CALL_DEADLINE, async move {
        let filter = doc! { "_id": seq.get().cast_signed() };
        let find = log.find_one(filter).projection(doc! { "batch": 1 });
        find.max_time(CALL_DEADLINE).await
    });
    match found.await {
        Ok(found) => Ok(found),
        Err(late) if late.code() == Some(code::MAX_TIME_EXPIRED) => Err(StoreError::Unavailable(
            "the log did not answer in time".to_owned(),
        )),
        Err(failure) => Err(failure.into()),
    }
}

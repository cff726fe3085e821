//! The one document that orders everything: `meta` `{_id: "head"}`.
//!
//! | field | changed by | how |
//! |---|---|---|
//! | `seq` | every append | grows by the batch's length; compared with the batch's `after` |
//! | `epoch` | the first node, `adopt` | set where there is no head; compared with `seq` |
//! | `view` | a rebuild's end; with `unique` | grows by 1 |
//! | `unique` | a node that was started with others | set, with `view` |
//! | `hold` | a rebuild | set where there is none or an expired one; removed by the rebuild, or once it has expired |
//! | `turn` | a node that lost many races | set where there is none; removed by any append, or once it has expired |
//! | `format` | a node of a later livelog; with `unique` | grows; [`FORMAT_UNIQUE`] while there are unique indexes |
//!
//! Every append compares and sets `seq`, `epoch`, `view`, `hold` and `turn` in one update inside its transaction: two
//! appends, or an append and a rebuild's hold, can never both succeed on the head that they read. `hold` and `turn`
//! expire by the server's clock, never by a node's.
//!
//! A node keeps those indexes unique that `unique` named when it was opened, or that it has written there. `view` changes
//! with it, so the next append of a node that keeps others finds another number, reads the head, and fails by name.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::raw::RawBsonRef;
use bson::{Document, RawDocument, doc};
use mongodb::Database;
use uuid::Uuid;

use super::identity::CollectionUuids;
use super::wire::call::{CALL_DEADLINE, CallError, code, within};
use super::wire::decode;
use super::wire::decode::BsonError;
use super::{META, meta};
use crate::budget::Budget;
use crate::domain::Seq;
use crate::store::failure_signal::FailureSignal;
use crate::store::{Epoch, StoreError};

/// The format that this code writes. Another number was written by another livelog.
pub(super) const FORMAT: i64 = 2;

/// While there are unique indexes, so that an earlier livelog, which would not keep them so, refuses the database.
pub(super) const FORMAT_UNIQUE: i64 = 3;

/// The oldest format that is read. In 1 every life of an event begins at version 1: a livelog of that time would read a
/// later log as if it did, so it must refuse it.
pub(super) const FORMAT_MIN: i64 = 1;

/// The head as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: Seq,
    pub(super) epoch: Epoch,
    /// How often the view was replaced.
    pub(super) view: i64,
    /// The rebuild that pauses the writers.
    pub(super) hold: Option<Uuid>,
    /// The writer that has the write lease: the stored field `turn`.
    pub(super) lease: Option<String>,
    pub(super) format: i64,
    /// The names of the unique indexes, in order.
    pub(super) unique: Vec<String>,
}

pub(super) fn filter() -> Document {
    doc! { "_id": "head" }
}

/// Writes the head of an empty log if there is none. Of several nodes the first one's epoch stands.
pub(super) async fn create(database: &Database) -> Result<(), CallError> {
    let meta = database.collection::<Document>(META);
    let head = initial(Uuid::new_v4());
    let inserted = within(CALL_DEADLINE, async move { meta.insert_one(head).await });
    match inserted.await {
        Err(failure) if failure.code() == Some(code::DUPLICATE_KEY) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// The head of an empty log.
fn initial(epoch: Uuid) -> Document {
    doc! {
        "_id": "head",
        "format": FORMAT,
        "seq": 0_i64,
        "epoch": epoch.to_string(),
        "view": 0_i64,
    }
}

/// The format of the log that is there, if there is one. Nothing else is read, because the rest may mean anything.
pub(super) async fn format(database: &Database) -> Result<Option<i64>, StoreError> {
    let meta = meta(database);
    let found = within(CALL_DEADLINE, async move { meta.find_one(filter()).await });
    let Some(head) = found.await? else {
        return Ok(None);
    };
    match head.get_i64("format") {
        Ok(format) => Ok(Some(format)),
        Err(_) => Err(BsonError::new("format is missing or of another type").at("meta head")),
    }
}

/// Marks a log of an older format as one of this format: a livelog of that time refuses it from then on.
pub(super) async fn upgrade(database: &Database) -> Result<(), CallError> {
    let meta = meta(database);
    let older = doc! { "_id": "head", "format": { "$gte": FORMAT_MIN, "$lt": FORMAT } };
    let update = doc! { "$set": { "format": FORMAT } };
    let updated = within(CALL_DEADLINE, async move {
        meta.update_one(older, update).await
    });
    updated.await.map(drop)
}

/// The log that a node has opened. Each read of the head checks that it is still that log: under a running node a
/// database can be dropped, and another log be created in it.
#[derive(Debug, Clone)]
pub(super) struct OpenedLog {
    pub(super) database: Database,
    pub(super) epoch: Epoch,
    /// The collections that belong to it.
    pub(super) identity: Arc<CollectionUuids>,
    pub(super) failure_signal: Arc<FailureSignal>,
    /// For answers that are sorted here and not by the database.
    pub(super) sort_budget: Budget,
    /// The names of the indexes that this node keeps unique, in order.
    pub(super) unique: Arc<Mutex<Vec<String>>>,
}

impl OpenedLog {
    /// Reads the head.
    pub(super) async fn head(&self, deadline: Duration) -> Result<Head, StoreError> {
        self.check(read(&self.database, deadline).await)
    }

    /// Passes on a head that is this log's. Any other one fails the store: nothing that is read from now on belongs to
    /// what was read before.
    pub(super) fn check(&self, head: Result<Head, StoreError>) -> Result<Head, StoreError> {
        let reason = match head {
            Ok(head) if head.format > FORMAT_UNIQUE => {
                format!(
                    "its database was marked as format {} by a later livelog",
                    head.format
                )
            }
            Ok(head) if head.epoch != self.epoch => format!(
                "its database holds another log, with epoch {} instead of {}",
                head.epoch, self.epoch
            ),
            Ok(head) => {
                let kept = self.unique();
                if head.unique == *kept {
                    return Ok(head);
                }
                format!(
                    "another node was started with other unique indexes ({} instead of {}): all are to be started with \
                     the same",
                    listed(&head.unique),
                    listed(&kept)
                )
            }
            Err(StoreError::Corrupt { reason, .. }) => {
                format!("the head of its log cannot be read: {reason}")
            }
            Err(error) => return Err(error),
        };
        self.failure_signal.fail(reason.clone());
        Err(StoreError::Unavailable(reason))
    }
}

impl OpenedLog {
    /// See the field.
    pub(super) fn unique(&self) -> MutexGuard<'_, Vec<String>> {
        self.unique.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(" "),
    }
}

/// Writes which indexes are unique into the head, if it is still as it was `read`; if some are new also only while the
/// log ends there, since no event was compared with those that came later. Returns whether it did.
pub(super) async fn declare_unique(
    database: &Database,
    read: &Head,
    unique: &[String],
) -> Result<bool, CallError> {
    let meta = meta(database);
    let epoch = read.epoch.to_string();
    let mut filter = doc! { "_id": "head", "epoch": epoch, "view": read.view };
    if unique.iter().any(|name| !read.unique.contains(name)) {
        filter.insert("seq", read.seq.get().cast_signed());
    }
    let mut update = match unique {
        [] => doc! { "$unset": { "unique": "" }, "$set": { "format": FORMAT } },
        unique => doc! { "$set": { "unique": unique, "format": FORMAT_UNIQUE } },
    };
    update.insert("$inc", doc! { "view": 1_i64 });
    let updated = within(CALL_DEADLINE, async move {
        meta.update_one(filter, update).await
    });
    Ok(updated.await?.matched_count == 1)
}

/// Reads the head of whichever log is there.
pub(super) async fn read(database: &Database, deadline: Duration) -> Result<Head, StoreError> {
    let meta = meta(database);
    let found = within(deadline, async move {
        meta.find_one(filter()).max_time(deadline).await
    });
    match found.await {
        Ok(document) => parse(document.as_deref()),
        // A head that is not read in time means a store out of reach, not a slow query.
        Err(failure) if failure.code() == Some(code::MAX_TIME_EXPIRED) => {
            Err(CallError::Late(deadline).into())
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Writes another epoch into the head if it stands at `seq`. Returns whether it did.
pub(super) async fn adopt(database: &Database, epoch: Epoch, seq: Seq) -> Result<bool, CallError> {
    let meta = meta(database);
    let filter = doc! { "_id": "head", "seq": seq.get().cast_signed() };
    let update = doc! { "$set": { "epoch": epoch.to_string() } };
    let updated = within(CALL_DEADLINE, async move {
        meta.update_one(filter, update).await
    });
    Ok(updated.await?.matched_count == 1)
}

/// Decodes the head, if it was found.
pub(super) fn parse(document: Option<&RawDocument>) -> Result<Head, StoreError> {
    let head = match document {
        Some(document) => decode(document),
        None => Err(BsonError::new("it is gone")),
    };
    head.map_err(|unreadable| unreadable.at("meta head"))
}

fn decode(head: &RawDocument) -> Result<Head, BsonError> {
    let uuid = |text: &str| Uuid::parse_str(text).map_err(|_| BsonError::new("an id is no UUID"));
    let hold = match head.get_document("hold") {
        Ok(hold) => Some(uuid(decode::text(hold, "id")?)?),
        Err(_) => None,
    };
    let lease = match head.get_document("turn") {
        Ok(lease) => Some(decode::text(lease, "writer")?.to_owned()),
        Err(_) => None,
    };
    let view = decode::number(head, "view")?;
    Ok(Head {
        seq: decode::seq(head, "seq")?,
        epoch: Epoch(uuid(decode::text(head, "epoch")?)?),
        view: view.cast_signed(),
        hold,
        lease,
        format: decode::number(head, "format")?.cast_signed(),
        unique: unique(head)?,
    })
}

fn unique(head: &RawDocument) -> Result<Vec<String>, BsonError> {
    let Ok(names) = head.get_array("unique") else {
        return Ok(Vec::new());
    };
    let name = |name: bson::error::Result<RawBsonRef<'_>>| name.ok()?.as_str().map(str::to_owned);
    let names: Option<Vec<String>> = names.into_iter().map(name).collect();
    names.ok_or_else(|| BsonError::new("a unique index has no name"))
}

/// Removes the field `hold` or `turn` if it has expired by the server's clock: the rebuild or node that set it died or
/// stalled.
pub(super) async fn clear_expired(database: &Database, field: &str) -> Result<(), CallError> {
    let meta = meta(database);
    let until = format!("${field}.until");
    let expired = doc! {
        "_id": "head",
        field: { "$exists": true },
        "$expr": { "$lt": [until, "$$NOW"] },
    };
    let update = doc! { "$unset": { field: "" } };
    within(CALL_DEADLINE, async move {
        meta.update_one(expired, update).await
    })
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What livelog writes for an empty log of format 2, and a head of format 1 as the first livelog left it.
    #[test]
    fn a_head_is_what_it_was_and_one_of_the_format_before_is_read() {
        let epoch = Uuid::from_u128(7);
        let json = r#"{ "_id": "head", "format": 2, "seq": 0, "epoch": "00000000-0000-0000-0000-000000000007", "view": 0 }"#;
        assert_eq!(initial(epoch).to_string(), json);
        let older = doc! { "_id": "head", "format": 1_i64, "seq": 81_i64, "epoch": epoch.to_string(), "view": 2_i64 };
        let older = bson::RawDocumentBuf::try_from(&older).unwrap();
        let head = parse(Some(&*older)).unwrap();
        assert_eq!(
            (head.seq, head.epoch, head.view, head.hold, head.lease),
            (Seq::new(81), Epoch(epoch), 2, None, None)
        );
    }
}

//! Redacting an event: erasing the contents of its changes, in place.
//!
//! From the newest change back, up to [`CHANGES_AT_ONCE`] in one transaction each. MongoDB's oplog and its backups
//! hold the contents for as long as they are kept.

use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::error::TRANSIENT_TRANSACTION_ERROR;
use mongodb::options::{Hint, TransactionOptions};
use mongodb::{ClientSession, Collection, Database};

use super::replaced_view;
use crate::domain::{CommandKey, EventId, Seq};
use crate::store::StoreError;
use crate::store::mongo::read::history;
use crate::store::mongo::tail::broadcasts;
use crate::store::mongo::wire::call::{CALL_DEADLINE, backoff, within};
use crate::store::mongo::{LOG, durable};
use crate::value::hex;

/// Changes in one transaction. Hardly an event has more. A reader of one that has may find the later half erased:
/// then the log contradicts itself until the redaction is done.
const CHANGES_AT_ONCE: i64 = 10_000;

/// How long the transaction may take, attempts included.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a transaction that conflicts with another is tried again.
const TRIES_MAX: u32 = 8;

/// See [`Store::redact`](crate::store::Store::redact).
pub(crate) async fn redact(
    database: &Database,
    id: &EventId,
    upto: Seq,
) -> Result<u64, StoreError> {
    ensure_deleted(database, id, upto).await?;
    let mut erased = 0;
    loop {
        match erase_some(database, id, upto).await? {
            0 => break,
            some => erased += some,
        }
    }
    // The view that a rebuild replaced has the contents too.
    replaced_view::remove(database).await?;
    // Also if an earlier call erased everything and was cut off before this.
    broadcasts::announce_redaction(database).await?;
    Ok(erased)
}

async fn ensure_deleted(database: &Database, id: &EventId, upto: Seq) -> Result<(), StoreError> {
    let log = database.collection::<Document>(LOG);
    let deletion = doc! { "_id": upto.get().cast_signed(), "event": id.as_str(), "kind": "delete" };
    let found = within(CALL_DEADLINE, async move { log.find_one(deletion).await });
    match found.await? {
        Some(_) => Ok(()),
        None => {
            let reason = format!("change {upto} is not the deletion of event {id}");
            Err(StoreError::Refused(reason))
        }
    }
}

async fn erase_some(database: &Database, id: &EventId, upto: Seq) -> Result<u64, StoreError> {
    let log = database.collection::<Document>(LOG);
    let client = database.client().clone();
    let wanted = doc! {
        "event": id.as_str(),
        "_id": { "$lte": upto.get().cast_signed() },
        "redacted": { "$exists": false },
    };
    let erased = within(DEADLINE, async move {
        let mut session = client.start_session().await?;
        let mut tries = 0;
        loop {
            match transaction(&log, &wanted, &mut session).await {
                Err(error)
                    if error.contains_label(TRANSIENT_TRANSACTION_ERROR) && tries < TRIES_MAX =>
                {
                    let (least, most) = (Duration::from_millis(5), Duration::from_millis(500));
                    tokio::time::sleep(backoff(tries, least, most)).await;
                    tries += 1;
                }
                ended => return ended,
            }
        }
    });
    Ok(erased.await?)
}

async fn transaction(
    log: &Collection<Document>,
    wanted: &Document,
    session: &mut ClientSession,
) -> mongodb::error::Result<u64> {
    let options = TransactionOptions::builder()
        .write_concern(durable())
        .build();
    session.start_transaction().with_options(options).await?;
    let newest = log
        .find(wanted.clone())
        .projection(doc! { "_id": 1 })
        .sort(doc! { "_id": -1 })
        .limit(CHANGES_AT_ONCE)
        .hint(Hint::Keys(history::index()));
    let mut newest = newest.session(&mut *session).await?;
    let newest: Vec<Document> = newest.stream(session).try_collect().await?;
    let seqs: Vec<_> = newest.iter().filter_map(|entry| entry.get("_id")).collect();
    if seqs.is_empty() {
        session.abort_transaction().await?;
        return Ok(0);
    }
    let update = log.update_many(doc! { "_id": { "$in": seqs } }, erasure());
    let updated = update.session(&mut *session).await?;
    session.commit_transaction().await?;
    Ok(updated.modified_count)
}

/// [`Change::redact`](crate::domain::Change::redact) as an update of the database.
fn erasure() -> Vec<Document> {
    let forgotten = hex(&CommandKey::FORGOTTEN);
    let command = doc! { "$cond": [
        { "$ifNull": ["$command", false] },
        { "id": "$command.id", "digest": forgotten },
        "$$REMOVE",
    ] };
    vec![
        doc! { "$set": {
            "redacted": true,
            "prior": { "$ifNull": ["$before._seq", "$$REMOVE"] },
            "command": command,
        } },
        doc! { "$unset": ["data", "after", "before", "patch"] },
    ]
}

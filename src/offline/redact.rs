//! Redacting an event: it is deleted, so that every client drops it, and then the contents of its changes are erased.
//!
//! The changes stay in the log, marked as redacted: seqs have no gap, and the view is still the fold of the log.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;

use crate::domain::{ChangeKind, CommandBatch, CommandKind, EventId, Rejection, Seq};
use crate::engine::{Engine, Order, SubmitError};
use crate::fairness::Requester;
use crate::query::Direction;
use crate::store;
use crate::store::{HistoryRange, Store, StoreOptions};
use crate::value::{Document, Value};

/// A client may create the event again between its deletion and the erasure.
const ATTEMPTS_MAX: usize = 5;

/// Deletes an event if it exists, and erases the contents of its changes; prints how many.
///
/// # Errors
/// If the event never existed, or the store cannot be reached.
pub async fn redact(options: &StoreOptions, id: &EventId) -> anyhow::Result<ExitCode> {
    let store = store::open_existing(options).await?;
    let redacted = erase(&store, id).await;
    store.close().await;
    let (count, last) = redacted?;
    println!("redacted {count} changes of event {id}, the last at seq {last}");
    if let StoreOptions::Mongo(_) = options {
        eprintln!("MongoDB's oplog and backups hold the contents for as long as they are kept");
    }
    Ok(ExitCode::SUCCESS)
}

async fn erase(store: &Arc<dyn Store>, id: &EventId) -> anyhow::Result<(u64, Seq)> {
    let newest = HistoryRange {
        direction: Direction::Descending,
        after: None,
        limit: 1,
    };
    for _ in 0..ATTEMPTS_MAX {
        let history = store.history(id, newest).await?;
        let Some(last) = history.first() else {
            bail!("there never was an event {id}");
        };
        if last.kind() == ChangeKind::Delete {
            return Ok((store.redact(id, last.seq).await?, last.seq));
        }
        delete(store, id).await?;
    }
    bail!("event {id} is created again and again")
}

/// Deletes the event through an engine of its own, as a server does for a client.
async fn delete(store: &Arc<dyn Store>, id: &EventId) -> anyhow::Result<()> {
    let (engine, tasks) = Engine::start(store, &Arc::default());
    let payload = Document::from_iter([("id", Value::from(id.as_str()))]);
    let batch = CommandBatch::parse(CommandKind::Delete, payload, None);
    let batch = batch.expect("an id is all that a DELETE needs");
    let outcome = engine
        .submit(&Requester::alone(), Order::unguarded(batch))?
        .await?;
    drop(engine);
    tasks.committer.await?;
    match outcome {
        Ok(_) | Err(SubmitError::Rejected(Rejection::NotFound { .. }, _)) => Ok(()),
        Err(error) => bail!("event {id} cannot be deleted: {error}"),
    }
}

//! Erasing an event: it is deleted, so that everyone lets go of it, and then what happened to it is forgotten.
//!
//! The log keeps the places of its changes, marked as redacted: every seq stays where it is, and the view is the
//! fold of the log as before.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;

use crate::domain::{CommandBatch, EventId, Kind, Rejection, Seq, Verb};
use crate::engine::{Engine, Requester, SubmitError};
use crate::query::Direction;
use crate::store;
use crate::store::{HistoryRange, Store, StoreOptions};
use crate::value::{Document, Value};

/// Somebody may create the event again between its deletion and what follows.
const ATTEMPTS_MAX: usize = 5;

/// Deletes an event if it is there, and erases what happened to it; prints how much that was.
///
/// # Errors
/// If there never was such an event, or the store cannot be reached.
pub async fn redact(options: &StoreOptions, id: &EventId) -> anyhow::Result<ExitCode> {
    let store = store::open_existing(options).await?;
    let redacted = erase(&store, id).await;
    store.close().await;
    let (count, upto) = redacted?;
    println!("redacted {count} changes of event {id}, the last at seq {upto}");
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
        if last.kind() == Kind::Delete {
            return Ok((store.redact(id, last.seq).await?, last.seq));
        }
        delete(store, id).await?;
    }
    bail!("event {id} is created again and again")
}

/// By a writer of its own, as if a client had asked for it.
async fn delete(store: &Arc<dyn Store>, id: &EventId) -> anyhow::Result<()> {
    let (engine, tasks) = Engine::start(store, &Arc::default());
    let payload = Document::from_iter([("id", Value::from(id.as_str()))]);
    let order = CommandBatch::parse(Verb::Delete, payload, None);
    let order = order.expect("an id is all that a DELETE needs");
    let outcome = engine.submit(&Requester::new(), order)?.await?;
    drop(engine);
    tasks.committer.await?;
    match outcome {
        Ok(_) | Err(SubmitError::Rejected(Rejection::NotFound { .. }, _)) => Ok(()),
        Err(refused) => bail!("event {id} cannot be deleted: {refused}"),
    }
}

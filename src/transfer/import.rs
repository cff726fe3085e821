//! Loading an exported log into an empty store.
//!
//! The store takes the log's identity last, when everything is in and proven: of a log loaded by half,
//! no position of the original is good.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use futures::StreamExt;
use indicatif::ProgressBar;
use uuid::Uuid;

use super::source::Source;
use crate::domain::Seq;
use crate::query::Query;
use crate::replay::{self, Ledger};
use crate::store::{AppendError, Batch, Store, StoreError};

/// A store out of reach is tried this often: each time takes [`crate::limits::APPEND_DEADLINE`].
const ATTEMPTS_MAX: usize = 4;

pub(super) async fn import(store: &dyn Store, input: impl BufRead) -> anyhow::Result<Ledger> {
    ensure_empty(store).await?;
    let mut source = Source::open(input).context("nothing was loaded")?;
    let mut loaded = Seq::ZERO;
    load(store, &mut source, &mut loaded)
        .await
        .with_context(|| match loaded {
            Seq::ZERO => "nothing was loaded".to_owned(),
            _ => format!(
                "loaded 1..{loaded} of {}, so remove this store before you try again",
                source.header.head
            ),
        })?;
    Ok(source.ledger)
}

async fn ensure_empty(store: &dyn Store) -> anyhow::Result<()> {
    let head = store.head().await?;
    ensure!(
        head == Seq::ZERO,
        "the store is not empty: its log ends at {head}. Import into another folder or database"
    );
    let mut view = store.find(&Arc::new(Query::everything())).await?.events;
    ensure!(
        view.next().await.is_none(),
        "the store is not empty: there are events without a log. Import into another database"
    );
    Ok(())
}

async fn load(
    store: &dyn Store,
    source: &mut Source<impl BufRead>,
    loaded: &mut Seq,
) -> anyhow::Result<()> {
    let bar = match stdin_is_a_pipe() {
        // The program at its other end may show one of its own on the same terminal.
        true => ProgressBar::hidden(),
        false => replay::progress(source.header.head),
    };
    loop {
        let changes = source.batch()?;
        if changes.is_empty() {
            break;
        }
        let batch = Arc::new(Batch {
            id: Uuid::new_v4(),
            after: *loaded,
            changes,
        });
        append(store, &batch).await?;
        *loaded = loaded.plus(batch.changes.len());
        bar.set_position(loaded.get());
    }
    bar.finish_and_clear();
    store
        .adopt(source.header.epoch, *loaded)
        .await
        .context("the changes are there, and the log's epoch is not")
}

/// Appends, again where the outcome is unknown: at most one attempt takes effect.
async fn append(store: &dyn Store, batch: &Arc<Batch>) -> anyhow::Result<()> {
    let mut attempts = 1;
    loop {
        match store.append(batch).await {
            Ok(()) => return Ok(()),
            Err(AppendError::Moved) if attempts > 1 && store.holds(batch).await? => return Ok(()),
            Err(AppendError::Moved) => bail!("another livelog wrote to the store meanwhile"),
            Err(AppendError::Unknown(_) | AppendError::Failed(StoreError::Unavailable(_)))
                if attempts < ATTEMPTS_MAX =>
            {
                attempts += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn stdin_is_a_pipe() -> bool {
    let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let kind = stdin.and_then(|stdin| stdin.metadata());
    kind.is_ok_and(|kind| kind.file_type().is_fifo())
}

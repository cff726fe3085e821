//! Bulk loading: appends a log to an empty store, batch by batch.
//!
//! Invariants: the loader is the only writer of the store, its batches are contiguous from seq 1, and each takes effect
//! at most once.

use std::sync::Arc;

use anyhow::{bail, ensure};

use crate::domain::{Change, Seq};
use crate::store::{AppendError, Batch, MoveProgress, Site, Store, StoreError};

/// Attempts to append a batch to an unavailable store. Each takes [`crate::limits::APPEND_DEADLINE`].
const ATTEMPTS_MAX: usize = 4;

/// Refuses a store that holds anything.
pub(super) fn ensure_empty(site: &Site) -> anyhow::Result<()> {
    ensure!(
        site.head == Seq::ZERO,
        "the store is not empty: its log ends at {}. Name another folder or database",
        site.head
    );
    ensure!(
        !site.has_events,
        "the store is not empty: there are events without a log. Name another database"
    );
    Ok(())
}

/// A store that is being filled, and how far.
pub(super) struct BulkLoader<'a> {
    store: &'a dyn Store,
    /// The last change in the store.
    pub(super) seq: Seq,
}

impl<'a> BulkLoader<'a> {
    /// Begins, if the store is empty. What is loaded is not looked at for unique indexes: there are none from here on, until
    /// a server declares them and checks them anew.
    pub(super) async fn begin(store: &'a dyn Store) -> anyhow::Result<Self> {
        let site = Site::of(store, MoveProgress::NOTE).await?;
        ensure_empty(&site)?;
        if !store.index_rules().unique.is_empty() {
            store.declare_indexes(&[]).await?;
        }
        let seq = site.head;
        Ok(Self { store, seq })
    }

    /// Appends the next changes.
    pub(super) async fn append(&mut self, changes: Vec<Arc<Change>>) -> anyhow::Result<()> {
        let batch = Arc::new(Batch::new(self.seq, changes));
        self.append_until_known(&batch).await?;
        self.seq = self.seq.plus(batch.changes.len());
        Ok(())
    }

    /// Appends again while the outcome is unknown: at most one attempt takes effect.
    async fn append_until_known(&self, batch: &Arc<Batch>) -> anyhow::Result<()> {
        let mut attempts = 1;
        loop {
            match self.store.append(batch).await {
                Ok(()) => return Ok(()),
                Err(AppendError::Moved) if attempts > 1 && self.store.holds(batch).await? => {
                    return Ok(());
                }
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

    /// How far a load came that failed, and what to do about its store.
    pub(super) fn progress(&self, head: Seq) -> String {
        match self.seq {
            Seq::ZERO => "nothing was loaded".to_owned(),
            seq => format!("loaded 1..{seq} of {head}, so remove this store before you try again"),
        }
    }
}

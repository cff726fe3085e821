//! Filling an empty store with a log, batch by batch.

use std::sync::Arc;

use anyhow::{bail, ensure};
use futures::StreamExt;
use uuid::Uuid;

use crate::domain::{Change, Seq};
use crate::query::Query;
use crate::store::{AppendError, Batch, Store, StoreError};

/// A store out of reach is tried this often: each time takes [`crate::limits::APPEND_DEADLINE`].
const ATTEMPTS_MAX: usize = 4;

/// A store being filled, which nobody else may write to.
pub(super) struct BulkLoader<'a> {
    store: &'a dyn Store,
    /// The last change that is there.
    pub(super) seq: Seq,
}

impl<'a> BulkLoader<'a> {
    /// Begins, if the store holds nothing.
    pub(super) async fn begin(store: &'a dyn Store) -> anyhow::Result<Self> {
        let head = store.head().await?;
        ensure!(
            head == Seq::ZERO,
            "the store is not empty: its log ends at {head}. Name another folder or database"
        );
        let mut view = store.find(&Arc::new(Query::everything())).await?.events;
        ensure!(
            view.next().await.is_none(),
            "the store is not empty: there are events without a log. Name another database"
        );
        Ok(Self { store, seq: head })
    }

    /// Appends the next changes.
    pub(super) async fn append(&mut self, changes: Vec<Arc<Change>>) -> anyhow::Result<()> {
        let batch = Arc::new(Batch {
            id: Uuid::new_v4(),
            after: self.seq,
            changes,
        });
        self.append_for_certain(&batch).await?;
        self.seq = self.seq.plus(batch.changes.len());
        Ok(())
    }

    /// Appends again where the outcome is unknown: at most one attempt takes effect.
    async fn append_for_certain(&self, batch: &Arc<Batch>) -> anyhow::Result<()> {
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

    /// What to do about a store that was filled by half.
    pub(super) fn remains(&self, head: Seq) -> String {
        match self.seq {
            Seq::ZERO => "nothing was loaded".to_owned(),
            seq => format!("loaded 1..{seq} of {head}, so remove this store before you try again"),
        }
    }
}

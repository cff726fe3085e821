//! What readers, tails and the writer's thread have in common.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::hub::Hub;
use super::snapshot::Snapshot;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::{Epoch, StoreError};

/// How long one step of reading may take: a disk that hangs must not hang whoever asks. Beyond the
/// deadline of a query, which ends by itself.
const READ_DEADLINE: Duration = limits::COMMAND_DEADLINE;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) epoch: Epoch,
    pub(super) hub: Hub,
    /// Whether a rebuild holds the writers off.
    pub(super) held: watch::Sender<bool>,
    current: Mutex<Arc<Snapshot>>,
    failure: OnceLock<String>,
}

impl Shared {
    pub(super) fn new(epoch: Epoch, snapshot: Snapshot) -> Self {
        Self {
            epoch,
            hub: Hub::new(snapshot.seq),
            held: watch::Sender::new(false),
            current: Mutex::new(Arc::new(snapshot)),
            failure: OnceLock::new(),
        }
    }

    /// The store as of the last acknowledged change.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current())
    }

    /// From now on readers see this. Only the writer calls it, before it acknowledges.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        let old = std::mem::replace(&mut *self.current(), Arc::new(snapshot));
        // Outside the lock: the last to hold a snapshot takes its overlay apart.
        drop(old);
    }

    /// Notes that nothing can be written any more, and says so once.
    pub(super) fn fail(&self, reason: &str) {
        if self.failure.set(reason.to_owned()).is_ok() {
            tracing::error!(
                reason,
                "the data file cannot be written: no more writes until livelog is restarted"
            );
        }
    }

    /// Why nothing can be written any more.
    pub(super) fn failure(&self) -> Option<StoreError> {
        let reason = self.failure.get()?;
        Some(StoreError::Unavailable(format!(
            "it stopped writing after an error and needs a restart: {reason}"
        )))
    }

    /// Changes after `after`, of what is acknowledged now.
    pub(super) async fn read(
        &self,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        let snapshot = self.snapshot();
        blocking(move || snapshot.changes(after, limit)).await
    }

    fn current(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads where waiting for the disk holds up nobody.
///
/// redb panics on pages that cannot be its own; then the file is corrupt, and the program goes on.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let working = tokio::task::spawn_blocking(work);
    match tokio::time::timeout(READ_DEADLINE, working).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(StoreError::Corrupt {
            at: "the data file".to_owned(),
            reason: "reading it panicked".to_owned(),
        }),
        Err(_) => Err(StoreError::Unavailable(format!(
            "no answer in {READ_DEADLINE:?}"
        ))),
    }
}

//! What readers, tails and the writer's thread share: the current snapshot, and whether anything can be written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use super::read::snapshot::Snapshot;
use super::tail::notifier::LocalNotifier;
use crate::budget::Budget;
use crate::domain::{Change, Seq};
use crate::fairness::FairPermits;
use crate::limits;
use crate::panics::expecting;
use crate::store::failure_signal::FailureSignal;
use crate::store::{AppendError, CorruptAt, Epoch, StoreError};

/// How long one step of reading may take: a disk that hangs must not hang the caller. Longer than the deadline of a
/// query, which ends its own steps.
const READ_DEADLINE: Duration = limits::COMMAND_DEADLINE;

/// Steps of queries that run at once, of pages and of listings each: each takes a core.
fn readers_max() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2))
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) epoch: Epoch,
    pub(super) notifier: LocalNotifier,
    pub(super) failure_signal: FailureSignal,
    /// Whether a rebuild holds the writers.
    pub(super) writers_held: watch::Sender<bool>,
    current: Mutex<Arc<Snapshot>>,
    trouble: Mutex<Option<Trouble>>,
    /// A step of a query with a limit takes one of `page_permits`, a step of one without a limit one of
    /// `listing_permits`: neither kind waits for the other.
    pub(super) page_permits: Arc<FairPermits>,
    pub(super) listing_permits: Arc<FairPermits>,
    /// Changes when an index may be to be built.
    pub(super) index_work: watch::Sender<u64>,
    /// For the sort keys of queries that are not in the order of ids.
    pub(super) sort_budget: Budget,
}

/// Why nothing is written at the moment.
#[derive(Debug)]
struct Trouble {
    error: StoreError,
    /// The batch that may be in the file or not.
    in_doubt: Option<Uuid>,
}

impl Shared {
    pub(super) fn new(epoch: Epoch, snapshot: Snapshot) -> Self {
        Self {
            epoch,
            notifier: LocalNotifier::new(snapshot.seq),
            failure_signal: FailureSignal::default(),
            writers_held: watch::Sender::new(false),
            current: Mutex::new(Arc::new(snapshot)),
            trouble: Mutex::default(),
            page_permits: FairPermits::new(readers_max()),
            listing_permits: FairPermits::new(readers_max()),
            index_work: watch::Sender::new(0),
            sort_budget: Budget::new(limits::SORTS_BYTES_MAX),
        }
    }

    /// The store as of the last acknowledged change.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock_current())
    }

    /// From now on readers see this. Only the writer calls it, before it acknowledges.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        let mut current = self.lock_current();
        let (old, new) = (current.seq, snapshot.seq);
        assert!(old <= new, "readers would go back from {old} to {new}");
        let old = std::mem::replace(&mut *current, Arc::new(snapshot));
        drop(current);
        // Outside the lock: dropping the last reference to a snapshot frees its memtable.
        drop(old);
    }

    /// Nothing can be written until [`resume_writes`](Self::resume_writes). Logs why, once for each kind of error.
    pub(super) fn stop_writes(&self, error: StoreError) {
        let mut trouble = self.lock_trouble();
        let in_doubt = trouble.as_ref().and_then(|trouble| trouble.in_doubt);
        let is_known = trouble.as_ref().is_some_and(|trouble| {
            std::mem::discriminant(&trouble.error) == std::mem::discriminant(&error)
        });
        if !is_known {
            tracing::error!(%error, "no writes until this is over; reads go on");
        }
        *trouble = Some(Trouble { error, in_doubt });
    }

    /// The batch that stopped the writing may be in the file or not.
    pub(super) fn mark_in_doubt(&self, batch: Uuid) {
        if let Some(trouble) = &mut *self.lock_trouble() {
            trouble.in_doubt = Some(batch);
        }
    }

    /// The batch that may be in the file or not.
    pub(super) fn in_doubt(&self) -> Option<Uuid> {
        self.lock_trouble().as_ref()?.in_doubt
    }

    /// Appends are written again.
    pub(super) fn resume_writes(&self) {
        if self.lock_trouble().take().is_some() {
            tracing::info!("writes go on");
        }
    }

    /// Why nothing can be written at the moment.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        let trouble = self.lock_trouble();
        trouble.as_ref().map(|trouble| trouble.error.clone())
    }

    /// The outcome of an append while nothing can be written.
    pub(super) fn refusal(&self, batch: Uuid) -> Option<AppendError> {
        let trouble = self.lock_trouble();
        let Trouble { error, in_doubt } = trouble.as_ref()?;
        Some(match *in_doubt == Some(batch) {
            true => AppendError::Unknown(error.to_string()),
            false => AppendError::Failed(error.clone()),
        })
    }

    /// Acknowledged changes after `after`.
    pub(super) async fn read(
        &self,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        let mut limit = limit;
        loop {
            let snapshot = self.snapshot();
            match blocking(move || snapshot.changes(after, limit)).await {
                // A page of the file is damaged, and the entries read before it are lost with it: try fewer.
                Err(StoreError::Corrupt {
                    at: CorruptAt::Other(_),
                    ..
                }) if limit > 1 => limit /= 2,
                Err(StoreError::Corrupt {
                    at: CorruptAt::Other(_),
                    reason,
                }) => {
                    let at = after.next().into();
                    return Err(StoreError::Corrupt { at, reason });
                }
                result => return result,
            }
        }
    }

    fn lock_trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_current(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads on a thread that may wait for the disk, up to a deadline.
///
/// redb panics on pages that it did not write; then the file is corrupt, and the program goes on.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::time::timeout(READ_DEADLINE, on_a_thread(work)).await {
        Ok(result) => result.flatten(),
        Err(_) => Err(StoreError::Unavailable(format!(
            "no answer in {READ_DEADLINE:?}"
        ))),
    }
}

/// The same without a deadline, for any work on the file.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(|| expecting(work)).await {
        Ok(result) => result.ok_or_else(misread),
        Err(error) if error.is_cancelled() => {
            Err(StoreError::Unavailable("the process ends".to_owned()))
        }
        Err(_) => Err(misread()),
    }
}

/// The error for a panic of redb over what it read. The panic hook has logged the panic.
fn misread() -> StoreError {
    StoreError::Corrupt {
        at: "the data file".into(),
        reason: "a page of it is not what was written".to_owned(),
    }
}

//! What readers, tails and the writer's thread have in common.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use super::read::snapshot::Snapshot;
use super::tail::notifier::LocalNotifier;
use crate::budget::Budget;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::fate::Fate;
use crate::store::panics::expecting;
use crate::store::{AppendError, Epoch, Spot, StoreError};

/// How long one step of reading may take: a disk that hangs must not hang whoever asks. Beyond the
/// deadline of a query, which ends by itself.
const READ_DEADLINE: Duration = limits::COMMAND_DEADLINE;

/// Steps of answers that are worked on at once, of pages and of listings each: each takes a core.
fn readers_max() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2))
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) epoch: Epoch,
    pub(super) hub: LocalNotifier,
    pub(super) fate: Fate,
    /// Whether a rebuild holds the writers off.
    pub(super) held: watch::Sender<bool>,
    current: Mutex<Arc<Snapshot>>,
    trouble: Mutex<Option<Trouble>>,
    /// Turns of those who read pages, and of those who list everything: neither waits for the other.
    pub(super) pages: Arc<Semaphore>,
    pub(super) listings: Arc<Semaphore>,
    /// For the orders of answers that are not the file's own.
    pub(super) orders: Budget,
}

/// Why nothing is written at the moment.
#[derive(Debug)]
struct Trouble {
    error: StoreError,
    /// The batch of which nobody knows whether it is in the file.
    doubt: Option<Uuid>,
}

impl Shared {
    pub(super) fn new(epoch: Epoch, snapshot: Snapshot) -> Self {
        Self {
            epoch,
            hub: LocalNotifier::new(snapshot.seq),
            fate: Fate::default(),
            held: watch::Sender::new(false),
            current: Mutex::new(Arc::new(snapshot)),
            trouble: Mutex::default(),
            pages: Arc::new(Semaphore::new(readers_max())),
            listings: Arc::new(Semaphore::new(readers_max())),
            orders: Budget::new(limits::ORDERS_BYTES_MAX),
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

    /// Notes that nothing can be written until [`resume`](Self::resume), and says why, once for each kind.
    pub(super) fn stop(&self, error: StoreError) {
        let mut trouble = self.trouble_now();
        let doubt = trouble.as_ref().and_then(|trouble| trouble.doubt);
        let is_known = trouble.as_ref().is_some_and(|trouble| {
            std::mem::discriminant(&trouble.error) == std::mem::discriminant(&error)
        });
        if !is_known {
            tracing::error!(%error, "no writes until this is over; reads go on");
        }
        *trouble = Some(Trouble { error, doubt });
    }

    /// Notes that the batch may be in the file or not.
    pub(super) fn doubt(&self, batch: Uuid) {
        if let Some(trouble) = &mut *self.trouble_now() {
            trouble.doubt = Some(batch);
        }
    }

    /// Notes that what stopped the writing is over.
    pub(super) fn resume(&self) {
        if self.trouble_now().take().is_some() {
            tracing::info!("writes go on");
        }
    }

    /// Why nothing can be written at the moment.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        let trouble = self.trouble_now();
        trouble.as_ref().map(|trouble| trouble.error.clone())
    }

    /// What an append hears while nothing can be written.
    pub(super) fn refusal(&self, batch: Uuid) -> Option<AppendError> {
        let trouble = self.trouble_now();
        let Trouble { error, doubt } = trouble.as_ref()?;
        Some(match *doubt == Some(batch) {
            true => AppendError::Unknown(error.to_string()),
            false => AppendError::Failed(error.clone()),
        })
    }

    /// Changes after `after`, of what is acknowledged now.
    pub(super) async fn read(
        &self,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        let mut limit = limit;
        loop {
            let snapshot = self.snapshot();
            match blocking(move || snapshot.changes(after, limit)).await {
                // A page of the file is broken, and what was read before it is lost with it: fewer may do.
                Err(StoreError::Corrupt {
                    at: Spot::Other(_), ..
                }) if limit > 1 => limit /= 2,
                Err(StoreError::Corrupt {
                    at: Spot::Other(_),
                    reason,
                }) => {
                    let at = after.next().into();
                    return Err(StoreError::Corrupt { at, reason });
                }
                read => return read,
            }
        }
    }

    fn trouble_now(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
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
    match tokio::time::timeout(READ_DEADLINE, on_a_thread(work)).await {
        Ok(outcome) => outcome.flatten(),
        Err(_) => Err(StoreError::Unavailable(format!(
            "no answer in {READ_DEADLINE:?}"
        ))),
    }
}

/// Works on the file without a deadline.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(|| expecting(work)).await {
        Ok(done) => done.ok_or_else(misread),
        Err(error) if error.is_cancelled() => {
            Err(StoreError::Unavailable("the process ends".to_owned()))
        }
        Err(_) => Err(misread()),
    }
}

/// What it means that redb did not understand what it read.
fn misread() -> StoreError {
    StoreError::Corrupt {
        at: "the data file".into(),
        reason: "a page of it is not what was written".to_owned(),
    }
}

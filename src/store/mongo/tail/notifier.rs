//! Where this node's own appends and the change stream's notifications meet the tail.
//!
//! A batch appended here is handed to the tail as it is: without the change stream's delay and without a read of the
//! log. The notifier never blocks a writer: a batch for which the tail's queue has no room is read from the log.
//!
//! | the change stream reports a batch that is | then |
//! |---|---|
//! | in flight here | nothing: the end of its append hands it over, or has the log read if the outcome is not certain |
//! | any other | the tail reads the log, unless it is past the batch |
//!
//! At most one batch is in flight, because the task that appends it holds the node's session.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::domain::Seq;
use crate::store::{Batch, Broadcast};

/// What is queued for the tail.
#[derive(Debug)]
pub(super) enum TailMessage {
    /// Appended by this node.
    OwnBatch(Arc<Batch>),
    Broadcast(Broadcast),
    /// Some node erased something.
    Redaction,
    /// The change stream was lost, and is open again.
    Reopened,
}

/// Wakes the tail when the log may hold more than it has read.
#[derive(Debug, Default)]
pub(super) struct LogWakeup {
    /// The highest seq known to be in the log. Never decreases.
    reached: AtomicU64,
    /// Read the log whatever is known.
    must_read: AtomicBool,
    notify: Notify,
}

impl LogWakeup {
    /// The log holds an entry at `seq`.
    pub(super) fn wake_at(&self, seq: Seq) {
        self.reached.fetch_max(seq.get(), Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// The log may hold anything.
    pub(super) fn wake(&self) {
        self.must_read.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }

    /// Whether a tail whose next change is `next` must read the log. Resets what [`wake`](Self::wake) has set.
    pub(super) fn take_due(&self, next: Seq) -> bool {
        let must_read = self.must_read.swap(false, Ordering::SeqCst);
        must_read || self.reached.load(Ordering::SeqCst) >= next.get()
    }
}

/// How the notifier and the watcher reach the tail.
#[derive(Debug, Clone)]
pub(super) struct TailSender {
    pub(super) messages: mpsc::Sender<TailMessage>,
    pub(super) wakeup: Arc<LogWakeup>,
}

/// Connects the writer with the tail, if there is one.
#[derive(Debug, Default)]
pub(crate) struct StreamNotifier {
    /// The batch being appended: the change stream can report it before its commit is answered.
    in_flight: Mutex<Option<Uuid>>,
    tail: Mutex<Option<TailSender>>,
}

impl StreamNotifier {
    /// Puts this tail in the place of an older one.
    pub(super) fn connect(&self, tail: TailSender) {
        *self.tail() = Some(tail);
    }

    pub(crate) fn append_begins(&self, batch: Uuid) {
        *self.in_flight() = Some(batch);
    }

    /// Hands the batch over if it was appended; otherwise the tail reads the log.
    pub(crate) fn append_ended(&self, batch: &Arc<Batch>, appended: bool) {
        if let Some(tail) = &*self.tail() {
            let message = TailMessage::OwnBatch(Arc::clone(batch));
            if !appended || tail.messages.try_send(message).is_err() {
                tail.wakeup.wake();
            }
        }
        let ended = self.in_flight().take();
        debug_assert_eq!(ended, Some(batch.id), "one append at a time");
    }

    /// Whether [`append_ended`](Self::append_ended) will be called for this batch.
    pub(super) fn is_in_flight(&self, batch: Uuid) -> bool {
        *self.in_flight() == Some(batch)
    }

    fn in_flight(&self) -> MutexGuard<'_, Option<Uuid>> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self) -> MutexGuard<'_, Option<TailSender>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_reads_the_log_once_for_a_wakeup_and_until_it_is_past_a_known_entry() {
        let wakeup = LogWakeup::default();
        let next = Seq::new(5);
        assert!(!wakeup.take_due(next));
        wakeup.wake();
        assert!(wakeup.take_due(next) && !wakeup.take_due(next));
        wakeup.wake_at(Seq::new(5));
        wakeup.wake_at(Seq::new(3));
        assert!(wakeup.take_due(next) && wakeup.take_due(next));
        assert!(!wakeup.take_due(next.next()));
    }
}

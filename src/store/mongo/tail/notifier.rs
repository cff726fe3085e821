//! Where this node's own appends and the watcher's doorbell meet the tail.
//!
//! A batch appended here is handed to the tail as it is: neither the change stream's delay nor a
//! read of the log. The hub never blocks a writer: what does not fit is read from the log instead.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::domain::Seq;
use crate::store::{Batch, Broadcast};

/// What the tail waits for, besides the bell.
#[derive(Debug)]
pub(crate) enum Signal {
    /// Appended by this node.
    Own(Arc<Batch>),
    Broadcast(Broadcast),
    /// Some node erased something.
    Redaction,
    /// The change stream was lost, and is open again.
    Reopened,
}

/// Rings when the log may hold more than the tail has seen.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// The furthest place known to be in the log.
    reached: AtomicU64,
    /// Look at the log whatever is known.
    look: AtomicBool,
    notify: Notify,
}

impl Bell {
    /// The log holds an entry at `seq`.
    pub(super) fn ring(&self, seq: Seq) {
        self.reached.fetch_max(seq.get(), Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// The log may hold anything.
    pub(super) fn alarm(&self) {
        self.look.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }

    pub(super) async fn rung(&self) {
        self.notify.notified().await;
    }

    /// Whether the log must be read by one who expects `next`. Answers an alarm once.
    pub(super) fn calls_for(&self, next: Seq) -> bool {
        let look = self.look.swap(false, Ordering::SeqCst);
        look || self.reached.load(Ordering::SeqCst) >= next.get()
    }
}

/// The tail's end of the line.
#[derive(Debug, Clone)]
pub(crate) struct StreamReceiver {
    pub(super) signals: mpsc::Sender<Signal>,
    pub(super) bell: Arc<Bell>,
}

/// Connects the writer with the tail, if there is one.
#[derive(Debug, Default)]
pub(crate) struct StreamNotifier {
    /// The batch being appended: its doorbell can ring before its commit is answered.
    in_flight: Mutex<Option<Uuid>>,
    line: Mutex<Option<StreamReceiver>>,
}

impl StreamNotifier {
    /// Puts the tail's line in place of an older one.
    pub(crate) fn connect(&self, line: StreamReceiver) {
        *self.line() = Some(line);
    }

    pub(crate) fn begin(&self, batch: Uuid) {
        *self.in_flight() = Some(batch);
    }

    /// Hands the batch on if it was appended; otherwise the log has to tell.
    pub(crate) fn end(&self, batch: &Arc<Batch>, appended: bool) {
        if let Some(line) = &*self.line() {
            let signal = Signal::Own(Arc::clone(batch));
            if !appended || line.signals.try_send(signal).is_err() {
                line.bell.alarm();
            }
        }
        *self.in_flight() = None;
    }

    /// Whether this batch will be handed on by [`end`](Self::end).
    pub(super) fn awaits(&self, batch: Uuid) -> bool {
        *self.in_flight() == Some(batch)
    }

    fn in_flight(&self) -> std::sync::MutexGuard<'_, Option<Uuid>> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Option<StreamReceiver>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

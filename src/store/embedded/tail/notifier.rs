//! Notifies tails of appends and broadcasts.
//!
//! A batch is sent as it is, so that a tail need not read it from the log. The writer never waits here: a batch that
//! finds a tail's queue too full is not sent, and the tail sees by the head what it missed and reads that from the log.
//!
//! Invariant: the head never decreases.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::domain::Seq;
use crate::store::{Batch, Broadcast, TailEvent};

/// Events in the queue of a tail. When it is full, a publisher of broadcasts waits.
const QUEUE_MAX: usize = 1_024;

/// A batch is sent only if fewer events than this are queued: it can be large, and is in the log.
const BATCHES_MAX: usize = 64;

/// The senders to all tails, and the head for those that missed something.
#[derive(Debug)]
pub(crate) struct LocalNotifier {
    senders: Mutex<Vec<mpsc::Sender<TailEvent>>>,
    head: watch::Sender<Seq>,
}

/// A tail's end.
#[derive(Debug)]
pub(super) struct LocalReceiver {
    pub(super) events: mpsc::Receiver<TailEvent>,
    pub(super) head: watch::Receiver<Seq>,
}

impl LocalNotifier {
    pub(crate) fn new(head: Seq) -> Self {
        Self {
            senders: Mutex::default(),
            head: watch::Sender::new(head),
        }
    }

    /// Receives everything from now on.
    pub(super) fn subscribe(&self) -> LocalReceiver {
        let (sender, events) = mpsc::channel(QUEUE_MAX);
        let mut senders = self.senders();
        senders.retain(|sender| !sender.is_closed());
        senders.push(sender);
        LocalReceiver {
            events,
            head: self.head.subscribe(),
        }
    }

    /// Sends a durable batch, before moving the head, so that a tail that receives it need not read the log.
    pub(crate) fn notify_appended(&self, batch: &Arc<Batch>) {
        for sender in &*self.senders() {
            if sender.max_capacity() - sender.capacity() < BATCHES_MAX {
                // It fails only if the tail is gone.
                drop(sender.try_send(TailEvent::Changes(batch.changes.clone())));
            }
        }
        self.advance_head(batch.after.plus(batch.changes.len()));
    }

    /// Moves the head. Tails read from the log what they received no batch for.
    pub(crate) fn advance_head(&self, head: Seq) {
        let old = self.head.send_replace(head);
        debug_assert!(old <= head, "the head goes back from {old} to {head}");
    }

    /// Says that something was erased. A tail whose queue is full does not receive it.
    pub(crate) fn notify_redaction(&self) {
        for sender in &*self.senders() {
            drop(sender.try_send(TailEvent::Redaction));
        }
    }

    /// Sends broadcasts, waiting for queues that are full.
    pub(crate) async fn publish(&self, broadcasts: &[Broadcast]) {
        let senders = self.senders().clone();
        for sender in senders {
            for broadcast in broadcasts {
                // It fails only if the tail is gone.
                drop(sender.send(TailEvent::Broadcast(broadcast.clone())).await);
            }
        }
    }

    fn senders(&self) -> MutexGuard<'_, Vec<mpsc::Sender<TailEvent>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

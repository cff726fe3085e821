//! Where the writer's appends and broadcasts meet the tails.
//!
//! A batch is handed over as it is, without a look into the log. Nothing here holds up the writer:
//! a tail that is behind sees by the head what it missed, and reads it from the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::domain::Seq;
use crate::store::{Batch, Broadcast, TailEvent};

/// Broadcasts, and batches among them, that wait for a tail. Beyond this who broadcasts waits.
const TIDINGS_MAX: usize = 1_024;

/// A batch is only put behind fewer than this: it can be large, and is in the log anyhow.
const BATCHES_MAX: usize = 64;

/// The lines to the tails, and the head for those that missed something.
#[derive(Debug)]
pub(crate) struct LocalNotifier {
    lines: Mutex<Vec<mpsc::Sender<TailEvent>>>,
    head: watch::Sender<Seq>,
}

/// A tail's end of its line.
#[derive(Debug)]
pub(crate) struct LocalReceiver {
    pub(super) tidings: mpsc::Receiver<TailEvent>,
    pub(crate) head: watch::Receiver<Seq>,
}

impl LocalNotifier {
    pub(crate) fn new(head: Seq) -> Self {
        Self {
            lines: Mutex::default(),
            head: watch::Sender::new(head),
        }
    }

    /// A line that hears everything from now on.
    pub(super) fn connect(&self) -> LocalReceiver {
        let (sender, tidings) = mpsc::channel(TIDINGS_MAX);
        let mut lines = self.lines();
        lines.retain(|line| !line.is_closed());
        lines.push(sender);
        LocalReceiver {
            tidings,
            head: self.head.subscribe(),
        }
    }

    /// Hands a durable batch on. The line before the head: who hears the line needs no log.
    pub(crate) fn appended(&self, batch: &Arc<Batch>) {
        for line in &*self.lines() {
            if line.max_capacity() - line.capacity() < BATCHES_MAX {
                // A tail that is gone hears nothing.
                let _ = line.try_send(TailEvent::Changes(batch.changes.clone()));
            }
        }
        self.head
            .send_replace(batch.after.plus(batch.changes.len()));
    }

    /// Says how far the log goes, to read there what no batch was handed on of.
    pub(crate) fn reached(&self, head: Seq) {
        self.head.send_replace(head);
    }

    /// Says that something was erased. A tail with as much before it as a line takes hears nothing.
    pub(crate) fn redacted(&self) {
        for line in &*self.lines() {
            let _ = line.try_send(TailEvent::Redaction);
        }
    }

    /// Hands broadcasts on, waiting for lines that are full.
    pub(crate) async fn publish(&self, broadcasts: &[Broadcast]) {
        let lines = self.lines().clone();
        for line in lines {
            for broadcast in broadcasts {
                // A tail that is gone hears nothing.
                let _ = line.send(TailEvent::Broadcast(broadcast.clone())).await;
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<mpsc::Sender<TailEvent>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

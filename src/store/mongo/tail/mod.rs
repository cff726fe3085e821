//! The log as it grows: own batches as they are handed over, everything else read from the log.
//!
//! The log is the truth. Whatever rings, arrives twice, or not at all, what is yielded begins where
//! the last ended.

pub(super) mod broadcasts;
pub(super) mod change_stream;
pub(super) mod notifier;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use mongodb::Database;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::head;
use super::read::log;
use super::read::log::EntriesPage;
use super::wire::call::{CALL_DEADLINE, backoff};
use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::{Batch, Spot, StoreError, TailEvent};
use crate::telemetry::Throttle;
use change_stream::Watcher;
use notifier::{Bell, Signal, StreamNotifier, StreamReceiver};

/// How often the log is looked at though nothing rang: a change stream can stall without an error.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How long the change stream may take to open at first.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);

/// Batches and broadcasts that wait for the tail. Batches beyond it are read from the log.
const SIGNALS_MAX: usize = 64;

/// Pauses between two attempts to read the log.
const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// Begins to watch, and then to yield. Dropping the stream ends the watching.
pub(super) async fn tail(
    log: &head::OpenedLog,
    watched: Database,
    hub: &Arc<StreamNotifier>,
    after: Seq,
) -> Result<BoxStream<'static, TailEvent>, StoreError> {
    let (sender, signals) = mpsc::channel(SIGNALS_MAX);
    let bell = Arc::new(Bell::default());
    bell.alarm();
    let line = StreamReceiver {
        signals: sender,
        bell: Arc::clone(&bell),
    };
    hub.connect(line.clone());
    let stop = CancellationToken::new();
    let opened = Arc::new(Notify::new());
    let watcher = Watcher {
        opened: Arc::clone(&opened),
        database: watched,
        hub: Arc::clone(hub),
        line,
        identity: Arc::clone(&log.identity),
        fate: Arc::clone(&log.fate),
        stop: stop.clone(),
        complaints: Throttle::default(),
    };
    let (fate, stopped) = (Arc::clone(&log.fate), stop.clone());
    tokio::spawn(async move { fate.guard("the watcher", &stopped, watcher.run()).await });
    let tail = MongoTail {
        log: log.clone(),
        next: after.next(),
        head: after,
        behind: false,
        failures: 0,
        signals,
        bell,
        _stop: stop.drop_guard(),
    };
    tokio::time::timeout(OPEN_DEADLINE, opened.notified())
        .await
        .map_err(|_| StoreError::Unavailable("cannot open the change stream".to_owned()))?;
    let yielding = stream::unfold(tail, |mut tail| async move {
        let tidings = tail.next().await;
        Some((tidings, tail))
    });
    Ok(yielding.boxed())
}

struct MongoTail {
    log: head::OpenedLog,
    /// The place of the next change to yield.
    next: Seq,
    /// The head, when it was last looked at.
    head: Seq,
    /// Whether the log may hold it already.
    behind: bool,
    failures: u32,
    signals: mpsc::Receiver<Signal>,
    bell: Arc<Bell>,
    _stop: DropGuard,
}

impl MongoTail {
    async fn next(&mut self) -> TailEvent {
        loop {
            self.behind |= self.bell.calls_for(self.next);
            let tidings = match self.behind {
                true => self.catch_up().await,
                false => self.wait().await,
            };
            if let Some(tidings) = tidings {
                return tidings;
            }
        }
    }

    /// Reads the next page of the log. What is handed over meanwhile is dropped later as known.
    async fn catch_up(&mut self) -> Option<TailEvent> {
        let after = self.next.before();
        let page = log::page(&self.log.database, after, limits::LOG_PAGE_COUNT).await;
        // The head is looked at after the page: if it is still this log's, so is what was read before it.
        match (page, self.log.head(CALL_DEADLINE).await) {
            (Ok(EntriesPage { changes, more }), Ok(head)) => {
                (self.failures, self.head) = (0, head.seq);
                self.behind = more;
                self.take(changes)
            }
            (
                Err(StoreError::Corrupt {
                    at: Spot::Log(seq), ..
                }),
                Ok(head),
            ) => self.pass_over(seq, head.seq),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, %after, "cannot read the log");
                let pause = backoff(self.failures, PAUSE_LEAST, PAUSE_MOST);
                self.failures += 1;
                tokio::time::sleep(pause).await;
                None
            }
        }
    }

    /// What to do about an entry that cannot be read, with the head as it was found after that.
    fn pass_over(&mut self, seq: Seq, head: Seq) -> Option<TailEvent> {
        let was_there = seq <= std::mem::replace(&mut self.head, head);
        // Beyond the head is no log, whatever is there; and an entry that was appended between the two looks is
        // looked for again.
        self.behind = seq <= head;
        if seq != self.next || !was_there {
            return None;
        }
        self.next = seq.next();
        Some(TailEvent::Unreadable(seq))
    }

    async fn wait(&mut self) -> Option<TailEvent> {
        tokio::select! {
            // Own batches first: with them at hand a bell needs no reading.
            biased;
            Some(signal) = self.signals.recv() => self.hear(signal),
            () = self.bell.rung() => None,
            () = tokio::time::sleep(LOOK_INTERVAL) => {
                self.behind = true;
                None
            }
        }
    }

    fn hear(&mut self, signal: Signal) -> Option<TailEvent> {
        match signal {
            Signal::Broadcast(broadcast) => Some(TailEvent::Broadcast(broadcast)),
            Signal::Redaction => Some(TailEvent::Redaction),
            Signal::Reopened => Some(TailEvent::Reopened),
            Signal::Own(batch) => self.own(&batch),
        }
    }

    fn own(&mut self, batch: &Batch) -> Option<TailEvent> {
        let last = batch.after.plus(batch.changes.len());
        if batch.after.next() == self.next {
            return self.take(batch.changes.clone());
        }
        // Another node's changes lie before it, or it was read from the log already.
        self.behind |= last >= self.next;
        None
    }

    fn take(&mut self, changes: Vec<Arc<Change>>) -> Option<TailEvent> {
        self.next = changes.last()?.seq.next();
        Some(TailEvent::Changes(changes))
    }
}

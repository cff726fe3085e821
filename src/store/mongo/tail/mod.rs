//! The log as it grows: own batches as they are handed over, everything else read from the log.
//!
//! The log is the truth, and notifications only say when to read it: one that is late, doubled or lost changes when a
//! change is yielded, never which.
//!
//! Invariants of [`MongoTail`]:
//!
//! - `next` only grows. Changes are yielded in pages that begin at `next` and have no gap; then `next` follows the last.
//! - An entry is yielded as unreadable only if it is `next` and a head read before the page was already at it or
//!   beyond. Nothing beyond the head is part of the log.
//! - `behind` is set by whatever may mean that the log holds `next`: a wakeup, an own batch that does not begin at
//!   `next`, [`READ_INTERVAL`] without either. Only a page that was the end of the log resets it.

pub(super) mod broadcasts;
mod change_stream;
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
use crate::store::{Batch, CorruptAt, StoreError, TailEvent};
use crate::telemetry::Throttle;
use change_stream::Watcher;
use notifier::{LogWakeup, StreamNotifier, TailMessage, TailSender};

/// How often the log is read without a wakeup: a change stream can stall without an error.
const READ_INTERVAL: Duration = Duration::from_secs(5);

/// How long the change stream may take to open for the first time.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);

/// Batches and broadcasts queued for the tail. Batches beyond this are read from the log.
const MESSAGES_MAX: usize = 64;

/// Pauses between two attempts to read the log.
const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// Opens the change stream, and yields from then on. Dropping the stream ends the watcher.
pub(super) async fn tail(
    log: &head::OpenedLog,
    watched: Database,
    notifier: &Arc<StreamNotifier>,
    after: Seq,
) -> Result<BoxStream<'static, TailEvent>, StoreError> {
    let (sender, messages) = mpsc::channel(MESSAGES_MAX);
    let wakeup = Arc::new(LogWakeup::default());
    wakeup.wake();
    let sender = TailSender {
        messages: sender,
        wakeup: Arc::clone(&wakeup),
    };
    notifier.connect(sender.clone());
    let stop = CancellationToken::new();
    let opened = Arc::new(Notify::new());
    let watcher = Watcher {
        opened: Arc::clone(&opened),
        database: watched,
        notifier: Arc::clone(notifier),
        tail: sender,
        identity: Arc::clone(&log.identity),
        failure_signal: Arc::clone(&log.failure_signal),
        stop: stop.clone(),
        unreadable: Throttle::default(),
    };
    let (failure_signal, stopped) = (Arc::clone(&log.failure_signal), stop.clone());
    tokio::spawn(async move {
        failure_signal
            .guard("the watcher", &stopped, watcher.run())
            .await
    });
    let tail = MongoTail {
        log: log.clone(),
        next: after.next(),
        head: after,
        behind: false,
        failures: 0,
        messages,
        wakeup,
        _stop: stop.drop_guard(),
    };
    tokio::time::timeout(OPEN_DEADLINE, opened.notified())
        .await
        .map_err(|_| StoreError::Unavailable("cannot open the change stream".to_owned()))?;
    let yielding = stream::unfold(tail, |mut tail| async move {
        let event = tail.next().await;
        Some((event, tail))
    });
    Ok(yielding.boxed())
}

struct MongoTail {
    log: head::OpenedLog,
    /// The seq of the next change to yield.
    next: Seq,
    /// The head, when it was last read.
    head: Seq,
    /// Whether the log may already hold the change at `next`.
    behind: bool,
    failures: u32,
    messages: mpsc::Receiver<TailMessage>,
    wakeup: Arc<LogWakeup>,
    _stop: DropGuard,
}

impl MongoTail {
    async fn next(&mut self) -> TailEvent {
        loop {
            self.behind |= self.wakeup.take_due(self.next);
            let event = match self.behind {
                true => self.catch_up().await,
                false => self.wait().await,
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    /// Reads the next page of the log. Own batches that are queued meanwhile are later dropped as already yielded.
    async fn catch_up(&mut self) -> Option<TailEvent> {
        let after = self.next.before();
        let page = log::page(&self.log.database, after, limits::LOG_PAGE_COUNT).await;
        // The head is read after the page: if it is still this log's, so is the page.
        match (page, self.log.head(CALL_DEADLINE).await) {
            (Ok(EntriesPage { changes, more }), Ok(head)) => {
                (self.failures, self.head) = (0, head.seq);
                self.behind = more;
                self.take_changes(changes)
            }
            (
                Err(StoreError::Corrupt {
                    at: CorruptAt::Log(seq),
                    ..
                }),
                Ok(head),
            ) => self.skip_unreadable(seq, head.seq),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, %after, "cannot read the log");
                let pause = backoff(self.failures, PAUSE_LEAST, PAUSE_MOST);
                self.failures += 1;
                tokio::time::sleep(pause).await;
                None
            }
        }
    }

    /// Skips the entry at `seq`, which cannot be read, if it is part of the log; `head` was read after it.
    fn skip_unreadable(&mut self, seq: Seq, head: Seq) -> Option<TailEvent> {
        let was_there = seq <= std::mem::replace(&mut self.head, head);
        // Beyond the head is no log, whatever is there; and an entry that was appended between the page and the head is
        // read again.
        self.behind = seq <= head;
        if seq != self.next || !was_there {
            return None;
        }
        self.next = seq.next();
        Some(TailEvent::Unreadable(seq))
    }

    async fn wait(&mut self) -> Option<TailEvent> {
        tokio::select! {
            // Own batches first: they can make the read that a wakeup asks for needless.
            biased;
            Some(message) = self.messages.recv() => self.receive(message),
            () = self.wakeup.woken() => None,
            () = tokio::time::sleep(READ_INTERVAL) => {
                self.behind = true;
                None
            }
        }
    }

    fn receive(&mut self, message: TailMessage) -> Option<TailEvent> {
        match message {
            TailMessage::Broadcast(broadcast) => Some(TailEvent::Broadcast(broadcast)),
            TailMessage::Redaction => Some(TailEvent::Redaction),
            TailMessage::Reopened => Some(TailEvent::Reopened),
            TailMessage::OwnBatch(batch) => self.take_batch(&batch),
        }
    }

    fn take_batch(&mut self, batch: &Batch) -> Option<TailEvent> {
        let last = batch.after.plus(batch.changes.len());
        if batch.after.next() == self.next {
            return self.take_changes(batch.changes.clone());
        }
        // Another node's changes come before it, or it was already read from the log.
        self.behind |= last >= self.next;
        None
    }

    /// Yields changes that begin at `next`. `None` if there are none.
    fn take_changes(&mut self, changes: Vec<Arc<Change>>) -> Option<TailEvent> {
        let (first, last) = (changes.first()?.seq, changes.last()?.seq);
        assert_eq!(first, self.next, "a page begins where the last one ended");
        assert_eq!(
            last.next(),
            self.next.plus(changes.len()),
            "a page has no gap"
        );
        self.next = last.next();
        Some(TailEvent::Changes(changes))
    }
}

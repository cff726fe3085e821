//! The log as it grows: appends as they are handed over, everything earlier or missed read from the log.
//!
//! Whatever arrives twice, late or not at all, what is yielded begins where the last ended.

pub(super) mod notifier;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use super::shared::Shared;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::{Spot, StoreError, TailEvent};
use notifier::LocalReceiver;

/// Between two attempts to read a log that cannot be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Begins to yield. Broadcasts are heard from this call on.
pub(super) fn tail(shared: &Arc<Shared>, after: Seq) -> BoxStream<'static, TailEvent> {
    let tail = EmbeddedTail {
        line: shared.hub.connect(),
        shared: Arc::clone(shared),
        next: after.next(),
    };
    stream::unfold(tail, |mut tail| async move {
        let tidings = tail.next().await;
        Some((tidings, tail))
    })
    .boxed()
}

struct EmbeddedTail {
    shared: Arc<Shared>,
    line: LocalReceiver,
    /// The place of the next change to yield.
    next: Seq,
}

impl EmbeddedTail {
    async fn next(&mut self) -> TailEvent {
        loop {
            let next = self.next;
            let tidings = tokio::select! {
                // The line first: with a batch at hand the log need not be read.
                biased;
                Some(tidings) = self.line.tidings.recv() => self.hear(tidings),
                () = reached(&mut self.line.head, next) => self.catch_up().await,
            };
            if let Some(tidings) = tidings {
                return tidings;
            }
        }
    }

    fn hear(&mut self, tidings: TailEvent) -> Option<TailEvent> {
        match tidings {
            TailEvent::Broadcast(_)
            | TailEvent::Unreadable(_)
            | TailEvent::Redaction
            | TailEvent::Reopened => Some(tidings),
            TailEvent::Changes(changes) if changes.first()?.seq == self.next => self.take(changes),
            // Read from the log already; or something before it was missed, as the head will tell.
            TailEvent::Changes(_) => None,
        }
    }

    async fn catch_up(&mut self) -> Option<TailEvent> {
        let after = self.next.before();
        match self.shared.read(after, limits::LOG_PAGE_COUNT).await {
            Ok(changes) => self.take(changes),
            // It was acknowledged, so it is there, and it stays as it is.
            Err(StoreError::Corrupt {
                at: Spot::Log(seq), ..
            }) if seq == self.next => {
                self.next = seq.next();
                Some(TailEvent::Unreadable(seq))
            }
            Err(error) => {
                tracing::warn!(%error, %after, "cannot read the log");
                tokio::time::sleep(PAUSE).await;
                None
            }
        }
    }

    fn take(&mut self, changes: Vec<Arc<Change>>) -> Option<TailEvent> {
        self.next = changes.last()?.seq.next();
        Some(TailEvent::Changes(changes))
    }
}

async fn reached(head: &mut watch::Receiver<Seq>, seq: Seq) {
    // The sender lives in what the tail shares with the store, so it does not go before the tail.
    let _ = head.wait_for(|head| *head >= seq).await;
}

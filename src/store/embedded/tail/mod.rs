//! Tailing the log: batches as the notifier sends them, everything earlier or missed read from the log.
//!
//! | the batch received, or the page read | |
//! |---|---|
//! | begins at `next` | is yielded, and `next` moves past its last change |
//! | begins before `next` | was read from the log already: dropped |
//! | begins beyond `next` | something before it was missed: dropped, and the head has it read from the log |
//!
//! Invariant: what is yielded begins at `next`, so it is contiguous whatever arrives twice, late or not at all.

pub(super) mod notifier;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use super::shared::Shared;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::{CorruptAt, StoreError, TailEvent};
use notifier::LocalReceiver;

/// Between two attempts to read a log that cannot be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Begins to yield. Broadcasts are received from this call on.
pub(super) fn tail(shared: &Arc<Shared>, after: Seq) -> BoxStream<'static, TailEvent> {
    let tail = EmbeddedTail {
        receiver: shared.notifier.subscribe(),
        shared: Arc::clone(shared),
        next: after.next(),
    };
    stream::unfold(tail, |mut tail| async move {
        let event = tail.next().await;
        Some((event, tail))
    })
    .boxed()
}

struct EmbeddedTail {
    shared: Arc<Shared>,
    receiver: LocalReceiver,
    /// The seq of the next change to yield.
    next: Seq,
}

impl EmbeddedTail {
    async fn next(&mut self) -> TailEvent {
        loop {
            let next = self.next;
            let event = tokio::select! {
                // The queue first: a batch that was received need not be read from the log.
                biased;
                Some(event) = self.receiver.events.recv() => self.receive(event),
                () = until_head(&mut self.receiver.head, next) => self.catch_up().await,
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    fn receive(&mut self, event: TailEvent) -> Option<TailEvent> {
        match event {
            TailEvent::Broadcast(_)
            | TailEvent::Unreadable(_)
            | TailEvent::Redaction
            | TailEvent::Reopened => Some(event),
            TailEvent::Changes(changes) if changes.first()?.seq == self.next => {
                self.pass_on(changes)
            }
            TailEvent::Changes(_) => None,
        }
    }

    async fn catch_up(&mut self) -> Option<TailEvent> {
        let after = self.next.before();
        match self.shared.read(after, limits::LOG_PAGE_COUNT).await {
            Ok(changes) => self.pass_on(changes),
            // The entry was acknowledged, so it exists, and reading it again would fail again.
            Err(StoreError::Corrupt {
                at: CorruptAt::Log(seq),
                ..
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

    fn pass_on(&mut self, changes: Vec<Arc<Change>>) -> Option<TailEvent> {
        assert_eq!(
            changes.first()?.seq,
            self.next,
            "what is yielded is contiguous"
        );
        debug_assert!(
            self.next
                .before()
                .is_followed_by(changes.iter().map(|change| change.seq)),
            "a batch and a page of the log are contiguous"
        );
        self.next = changes.last()?.seq.next();
        Some(TailEvent::Changes(changes))
    }
}

async fn until_head(head: &mut watch::Receiver<Seq>, seq: Seq) {
    let reached = head.wait_for(|head| *head >= seq).await;
    drop(reached.expect("the sender is in `Shared`, which the tail holds"));
}

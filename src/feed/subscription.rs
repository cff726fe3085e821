//! What a session pulls frames from: every change that a filter sees, or a live list.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Notify;

use super::filter_reader::FilterReader;
use super::lists::ListReader;
use super::notice::Notice;
use super::outlet::Frames;
use super::snapshot::SubscriptionError;
use crate::domain::Seq;
use crate::fairness::Holding;
use crate::value::Steps;

/// Pulled: nothing is buffered for a client that does not ask for more.
#[derive(Debug)]
pub enum Subscription {
    /// Every change that a filter sees.
    Changes(Box<FilterReader>),
    /// The first events of an order.
    List(Box<ListReader>),
}

impl Subscription {
    /// Keeps what is held for its filter as long as it lives.
    pub fn hold(&mut self, filter: Holding) {
        match self {
            Self::Changes(changes) => changes.hold(filter),
            Self::List(list) => list.hold(filter),
        }
    }

    /// What was handed out is as of this, or nothing up to here is still to come.
    pub fn seq(&self) -> Seq {
        match self {
            Self::Changes(changes) => changes.seq(),
            Self::List(list) => list.seq(),
        }
    }

    /// Bytes that its filter takes in memory, if no other subscription shares it.
    pub fn approx_filter_bytes(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.approx_filter_bytes(),
            Self::List(list) => list.approx_filter_bytes(),
        }
    }

    fn wakeup(&self) -> &Arc<Notify> {
        match self {
            Self::Changes(changes) => changes.wakeup(),
            Self::List(list) => list.wakeup(),
        }
    }

    /// Waits until [`take`](Self::take) may have something. Safe to drop and call again.
    pub async fn ready(&mut self) {
        let wakeup = Arc::clone(self.wakeup());
        loop {
            let ready = std::future::poll_fn(|context| self.poll_ready(context));
            tokio::select! {
                () = ready => return,
                () = wakeup.notified() => {}
            }
        }
    }

    /// Whether [`take`](Self::take) may have something. What comes while this is pending notifies the `wakeup` that it was
    /// begun with, not the context's waker.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Changes(changes) => changes.poll_ready(context),
            Self::List(list) => list.poll_ready(),
        }
    }

    /// Hands out what is there without waiting, up to about one flush and as long as `slice` has steps left.
    ///
    /// # Errors
    /// If it cannot go on. The subscription is over then.
    pub fn take(
        &mut self,
        slice: &Steps,
        out: &mut impl FnMut(Notice),
    ) -> Result<(), SubscriptionError> {
        match self {
            Self::Changes(changes) => changes.take(slice, &mut Frames(out)),
            Self::List(list) => list.take(out),
        }
    }
}

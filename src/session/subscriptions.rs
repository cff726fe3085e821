//! The named subscriptions of a session.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Notify;

use super::Outbox;
use crate::limits;
use crate::node::{Notice, Subscription};
use crate::protocol;
use crate::protocol::{Code, Failure, RequestKind, SubName};
use crate::value::{Invalid, Steps};

/// Each takes its turn: none can keep the others from being heard.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    named: Vec<NamedSubscription>,
    /// Rings when one of them has a match.
    bell: Arc<Notify>,
    /// Whose turn is next.
    turn: usize,
    /// Whether judging took its share of time: others have their turn first.
    is_tired: bool,
}

#[derive(Debug)]
struct NamedSubscription {
    name: SubName,
    subscription: Subscription,
    /// Whether it may have something to take.
    is_ready: bool,
}

impl Subscriptions {
    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    pub(super) fn add(&mut self, name: SubName, subscription: Subscription) {
        self.named.push(NamedSubscription {
            name,
            subscription,
            is_ready: false,
        });
    }

    /// Whether there was one of this name.
    pub(super) fn remove(&mut self, name: &SubName) -> bool {
        let known = self.named.iter().position(|known| known.name == *name);
        known.map(|at| self.named.remove(at)).is_some()
    }

    /// Why one of this name, with a filter of this weight, cannot be added.
    pub(super) fn check(&self, name: &SubName, weight: usize) -> Result<(), Failure> {
        if self.named.iter().any(|known| known.name == *name) {
            let reason = format!("there is a subscription {:?} already", name.as_str());
            let taken = Invalid::new("payload.sub", reason);
            return Err(Failure::at(Code::SubscriptionExists, taken));
        }
        if self.named.len() >= limits::SESSION_SUBSCRIPTIONS_MAX {
            let message = format!(
                "a session has at most {} subscriptions",
                limits::SESSION_SUBSCRIPTIONS_MAX
            );
            return Err(Failure::new(Code::TooManySubscriptions, message));
        }
        let weights = self
            .named
            .iter()
            .map(|known| known.subscription.filter_weight());
        if weights.sum::<usize>() + weight > limits::SESSION_FILTER_BYTES_MAX {
            let most = limits::SESSION_FILTER_BYTES_MAX / 1024 / 1024;
            let message = format!("the filters of a session take at most {most} MiB, compiled");
            return Err(Failure::new(Code::TooManySubscriptions, message));
        }
        Ok(())
    }

    /// Waits until [`take`](Self::take) may have something. Safe to drop and call again.
    pub(super) async fn ready(&mut self) {
        if std::mem::take(&mut self.is_tired) {
            tokio::task::yield_now().await;
        }
        let bell = self.bell();
        loop {
            let ready = std::future::poll_fn(|context| self.poll_ready(context));
            tokio::select! {
                () = ready => return,
                () = bell.notified() => {}
            }
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut found = Poll::Pending;
        for named in &mut self.named {
            named.is_ready |= named.subscription.poll_ready(context).is_ready();
            if named.is_ready {
                found = Poll::Ready(());
            }
        }
        found
    }

    /// Looks which of them may have something, also while others keep the session from waiting for them.
    pub(super) async fn look(&mut self) {
        let look = |context: &mut Context<'_>| {
            let _ = self.poll_ready(context);
            Poll::Ready(())
        };
        std::future::poll_fn(look).await;
    }

    /// Whether one of them may have something, as far as [`ready`](Self::ready) or [`look`](Self::look) saw.
    pub(super) fn have_news(&self) -> bool {
        self.named.iter().any(|named| named.is_ready)
    }

    /// Adds what is there without waiting, up to about one flush.
    pub(super) fn take(&mut self, outbox: &mut Outbox) {
        let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
        for _ in 0..self.named.len() {
            self.is_tired = slice.left() < limits::MATCH_STEPS_INLINE;
            let (count, bytes) = outbox.size();
            let is_full = count >= limits::FLUSH_COUNT_MAX || bytes >= limits::FLUSH_BYTES_MAX;
            if self.is_tired || is_full {
                return;
            }
            let at = self.turn % self.named.len();
            self.turn = at + 1;
            let named = &mut self.named[at];
            if std::mem::take(&mut named.is_ready)
                && let Err(failure) = named.take(&slice, outbox)
            {
                let error = protocol::error(None, Some(RequestKind::Subscribe), &failure);
                outbox.push(error.of(&named.name), None);
                self.named.remove(at);
                return;
            }
        }
        self.is_tired = slice.left() < limits::MATCH_STEPS_INLINE;
    }
}

impl NamedSubscription {
    fn take(&mut self, slice: &Steps, outbox: &mut Outbox) -> Result<(), Failure> {
        let name = &self.name;
        let mut out = |notice: Notice| {
            outbox.note(notice.heard);
            outbox.push(notice.frame.of(name), None);
        };
        self.subscription
            .take(slice, &mut out)
            .map_err(Failure::from)
    }
}

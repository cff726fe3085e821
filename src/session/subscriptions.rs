//! The subscriptions of a session: those that it named, and perhaps its default feed.
//!
//! They are served round-robin, so that none can starve the others: by frames (a flush takes so many) and by time (one
//! slice of judging is shared by all that a call serves). Invariants: a name is there once, and a subscription that
//! has failed is removed with the frame that says so.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Notify;

use super::Outbox;
use crate::limits;
use crate::node::{Notice, Subscription};
use crate::protocol;
use crate::protocol::{Code, Failure, RequestKind, SubName, Subscribe};
use crate::value::{Invalid, Steps};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    entries: Vec<NamedSubscription>,
    /// Notified when one of them has a match.
    wakeup: Arc<Notify>,
    /// The round-robin position, modulo their number.
    next: usize,
    /// Whether judging has used up its slice: other tasks run before the next one.
    is_slice_used: bool,
}

#[derive(Debug)]
struct NamedSubscription {
    /// `None` is the default feed of who does not see everything.
    name: Option<SubName>,
    /// What its client asked for.
    asked: Box<Subscribe>,
    /// `None` while it begins anew.
    subscription: Option<Subscription>,
    /// Whether it may have frames.
    is_ready: bool,
}

impl Subscriptions {
    pub(super) fn wakeup(&self) -> Arc<Notify> {
        Arc::clone(&self.wakeup)
    }

    fn position(&self, name: Option<&SubName>) -> Option<usize> {
        let mut names = self.entries.iter().map(|known| known.name.as_ref());
        names.position(|known| known == name)
    }

    /// Adds a subscription that passes [`check`](Self::check).
    pub(super) fn add(
        &mut self,
        name: Option<SubName>,
        asked: Box<Subscribe>,
        subscription: Subscription,
    ) {
        debug_assert!(
            self.position(name.as_ref()).is_none(),
            "a name is there once"
        );
        self.entries.push(NamedSubscription {
            name,
            asked,
            subscription: Some(subscription),
            is_ready: false,
        });
    }

    /// Whether there was one of this name.
    pub(super) fn remove(&mut self, name: &SubName) -> bool {
        self.abandon(Some(name))
    }

    /// Adds a default feed that has yet to begin.
    pub(super) fn add_default(&mut self) {
        self.entries.push(NamedSubscription {
            name: None,
            asked: Box::new(Subscribe::everything()),
            subscription: None,
            is_ready: false,
        });
    }

    /// The names of all, `None` for the default feed.
    pub(super) fn names(&self) -> Vec<Option<SubName>> {
        self.entries
            .iter()
            .map(|known| known.name.clone())
            .collect()
    }

    /// Ends one for now; what has to be asked for so that it begins anew.
    pub(super) fn suspend(&mut self, name: Option<&SubName>) -> Option<Subscribe> {
        let index = self.position(name)?;
        let entry = &mut self.entries[index];
        entry.subscription = None;
        entry.is_ready = false;
        Some(entry.asked.anew())
    }

    /// Goes on with one that was suspended; `false` if it has been ended meanwhile.
    pub(super) fn resume(&mut self, name: Option<&SubName>, subscription: Subscription) -> bool {
        match self.position(name) {
            None => false,
            Some(index) => {
                self.entries[index].subscription = Some(subscription);
                true
            }
        }
    }

    /// Ends one; whether it was there. `None` is the default feed.
    pub(super) fn abandon(&mut self, name: Option<&SubName>) -> bool {
        let index = self.position(name);
        index.map(|index| self.entries.remove(index)).is_some()
    }

    /// Whether one of this name, with a filter of so many bytes, can be added where there may be `most`.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(
        &self,
        name: &SubName,
        filter_bytes: usize,
        most: usize,
    ) -> Result<(), Failure> {
        if self.position(Some(name)).is_some() {
            let reason = format!("there is a subscription {:?} already", name.as_str());
            let taken = Invalid::new("payload.sub", reason);
            return Err(Failure::at(Code::SubscriptionExists, taken));
        }
        let named = self.entries.iter().filter(|known| known.name.is_some());
        if named.count() >= most {
            let message = format!("a session has at most {most} subscriptions");
            return Err(Failure::new(Code::TooManySubscriptions, message));
        }
        let known = self
            .entries
            .iter()
            .filter_map(|known| known.subscription.as_ref())
            .map(Subscription::approx_filter_bytes);
        if known.sum::<usize>() + filter_bytes > limits::SESSION_FILTER_BYTES_MAX {
            let most = limits::SESSION_FILTER_BYTES_MAX / 1024 / 1024;
            let message = format!("the filters of a session take at most {most} MiB, compiled");
            return Err(Failure::new(Code::TooManySubscriptions, message));
        }
        Ok(())
    }

    /// Waits until [`take`](Self::take) may have frames. Safe to drop and call again.
    pub(super) async fn ready(&mut self) {
        if std::mem::take(&mut self.is_slice_used) {
            tokio::task::yield_now().await;
        }
        let wakeup = self.wakeup();
        loop {
            let ready = std::future::poll_fn(|context| self.poll_ready(context));
            tokio::select! {
                () = ready => return,
                () = wakeup.notified() => {}
            }
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut ready = Poll::Pending;
        for entry in &mut self.entries {
            let Some(subscription) = &mut entry.subscription else {
                continue;
            };
            entry.is_ready |= subscription.poll_ready(context).is_ready();
            if entry.is_ready {
                ready = Poll::Ready(());
            }
        }
        ready
    }

    /// Polls all of them once without waiting: while the session has other work it never waits for them in
    /// [`ready`](Self::ready).
    pub(super) async fn poll_once(&mut self) {
        let poll = |context: &mut Context<'_>| {
            let _ = self.poll_ready(context);
            Poll::Ready(())
        };
        std::future::poll_fn(poll).await;
    }

    /// Whether one of them may have frames, as of the last poll.
    pub(super) fn is_any_ready(&self) -> bool {
        self.entries.iter().any(|entry| entry.is_ready)
    }

    /// Takes the frames that are there without waiting, up to about one flush.
    ///
    /// # Errors
    /// If the default feed cannot go on.
    pub(super) fn take(&mut self, outbox: &mut Outbox) -> Result<(), Failure> {
        let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
        for _ in 0..self.entries.len() {
            self.is_slice_used = slice.left() < limits::MATCH_STEPS_INLINE;
            let (count, bytes) = outbox.size();
            let is_full = count >= limits::FLUSH_COUNT_MAX || bytes >= limits::FLUSH_BYTES_MAX;
            if self.is_slice_used || is_full {
                return Ok(());
            }
            let index = self.next % self.entries.len();
            self.next = index + 1;
            let entry = &mut self.entries[index];
            if std::mem::take(&mut entry.is_ready)
                && let Err(failure) = entry.take(&slice, outbox)
            {
                let Some(name) = self.entries.remove(index).name else {
                    return Err(failure);
                };
                let error = protocol::error(None, Some(RequestKind::Subscribe), &failure);
                outbox.push(error.for_subscription(&name), None);
                return Ok(());
            }
        }
        self.is_slice_used = slice.left() < limits::MATCH_STEPS_INLINE;
        Ok(())
    }
}

impl NamedSubscription {
    fn take(&mut self, slice: &Steps, outbox: &mut Outbox) -> Result<(), Failure> {
        let name = &self.name;
        let mut push = |notice: Notice| match name {
            Some(name) => {
                outbox.note_received(notice.arrived);
                outbox.push(notice.frame.for_subscription(name), None);
            }
            // A default feed says nothing of how far behind it is.
            None if notice.frame_type == "change" => {
                outbox.note_received(notice.arrived);
                outbox.push(notice.frame, None);
            }
            None => {}
        };
        match &mut self.subscription {
            None => Ok(()),
            Some(subscription) => subscription.take(slice, &mut push).map_err(Failure::from),
        }
    }
}

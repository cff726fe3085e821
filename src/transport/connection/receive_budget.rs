//! Bounds what clients send that is not whole yet: the head of a request, its body, a message. It is held in memory
//! until the rest has arrived, so beyond a little a connection is read only with a share of the node's receive
//! budget.
//!
//! | state      | is read                                      | next state                                        |
//! |------------|----------------------------------------------|---------------------------------------------------|
//! | `Free`     | up to [`limits::MESSAGE_FREE_BYTES`] a message | `Waiting`, once that is used up                 |
//! | `Waiting`  | not                                          | `Admitted` with a share; `Free`, if the allowance was renewed |
//! | `Admitted` | without a bound                              | `Free`, once the message is whole                 |
//!
//! While the budget is exhausted, an `Admitted` client that is too slow for its share is closed, or its body refused.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::byte_counters::{ByteCounters, PROGRESS_CHECK_INTERVAL};
use crate::limits;
use crate::node::{Budget, Share};

/// How many bytes of a connection may be received in all. Shared by the stream, which stops there, and by the
/// connection's [`ReceiveBudget`], which raises it.
#[derive(Debug)]
pub(crate) struct ReceiveAllowance {
    limit: AtomicU64,
    /// An [`Awaited`].
    awaited: AtomicU8,
    reader: AtomicWaker,
    /// The task of the [`ReceiveBudget`].
    watcher: AtomicWaker,
    is_changed: AtomicBool,
    /// Whether a part of a message has arrived and no more, and the watcher knows it.
    has_partial: AtomicBool,
    evicted: Notify,
}

/// What happens next on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Awaited {
    /// The client sends the rest of a request's head, or of a message.
    Message,
    /// The client sends the rest of a body; if it is too slow it can be answered so.
    Body,
    /// The server answers.
    Answer,
}

const UNBOUNDED: u64 = u64::MAX;

impl Default for ReceiveAllowance {
    fn default() -> Self {
        Self {
            limit: AtomicU64::new(limits::MESSAGE_FREE_BYTES),
            awaited: AtomicU8::new(Awaited::Message as u8),
            reader: AtomicWaker::new(),
            watcher: AtomicWaker::new(),
            is_changed: AtomicBool::new(false),
            has_partial: AtomicBool::new(false),
            evicted: Notify::new(),
        }
    }
}

impl ReceiveAllowance {
    /// Ready while more may be read of a connection that has received so many bytes.
    pub(super) fn poll(&self, received: u64, context: &Context<'_>) -> Poll<()> {
        if !self.is_used_up(received) {
            return Poll::Ready(());
        }
        self.reader.register(context.waker());
        // It may have been raised before the waker was registered.
        if !self.is_used_up(received) {
            return Poll::Ready(());
        }
        self.notify_watcher();
        Poll::Pending
    }

    /// Ready once the bound is lifted; what is left of a bounded allowance does not count.
    pub(super) fn poll_lifted(&self, received: u64, context: &Context<'_>) -> Poll<()> {
        if self.is_lifted() {
            return Poll::Ready(());
        }
        self.limit.fetch_min(received, Ordering::AcqRel);
        self.poll(received, context)
    }

    pub(crate) fn is_used_up(&self, received: u64) -> bool {
        received >= self.limit.load(Ordering::Acquire)
    }

    /// What was received so far is whole and dealt with: the next message may begin.
    pub(super) fn renew(&self, received: u64) {
        self.set_awaited(Awaited::Message);
        self.has_partial.store(false, Ordering::Release);
        let limit = received.saturating_add(limits::MESSAGE_FREE_BYTES);
        let before = self.limit.swap(limit, Ordering::AcqRel);
        if before == UNBOUNDED || before <= received {
            self.notify_watcher();
        }
        self.reader.wake();
    }

    /// Everything that has arrived is read, so many bytes in all: perhaps a part of a message, whose rest may never
    /// come.
    pub(super) fn note_partial(&self, received: u64) {
        let limit = self.limit.load(Ordering::Acquire);
        let is_partial = received.saturating_add(limits::MESSAGE_FREE_BYTES) > limit;
        if is_partial && limit != UNBOUNDED && !self.has_partial.swap(true, Ordering::AcqRel) {
            self.notify_watcher();
        }
    }

    /// Lifts the bound: there is a share for what arrives, or it is dropped.
    pub(crate) fn lift(&self) {
        self.limit.store(UNBOUNDED, Ordering::Release);
        self.reader.wake();
    }

    pub(super) fn is_lifted(&self) -> bool {
        self.limit.load(Ordering::Acquire) == UNBOUNDED
    }

    pub(crate) fn set_awaited(&self, awaited: Awaited) {
        self.awaited.store(awaited as u8, Ordering::Release);
    }

    fn is_awaiting(&self, awaited: Awaited) -> bool {
        self.awaited.load(Ordering::Acquire) == awaited as u8
    }

    fn notify_watcher(&self) {
        self.is_changed.store(true, Ordering::Release);
        self.watcher.wake();
    }

    /// Waits for the next change. Cheaper than a [`Notify`], in every iteration of every session.
    async fn changed(&self) {
        poll_fn(|context| {
            self.watcher.register(context.waker());
            match self.is_changed.swap(false, Ordering::AcqRel) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Refuses the body that is awaited, for it arrives too slowly. `false` if no body is.
    pub(super) fn evict_body(&self) -> bool {
        let is_body = self.is_awaiting(Awaited::Body);
        if is_body {
            self.evicted.notify_waiters();
        }
        is_body
    }

    /// Waits until the body that is being read is refused for its slowness.
    pub(crate) async fn body_evicted(&self) {
        self.evicted.notified().await;
    }
}

/// Reserves a share of the node's budget for one connection while what it sends needs one; see the [module](self).
pub(crate) struct ReceiveBudget {
    counters: ByteCounters,
    budget: Budget,
    state: ReceiveState,
}

/// What the connection has to act upon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReceiveEvent {
    /// A part of a message has arrived.
    Partial,
    /// The client is too slow for the share that it holds while others wait for one.
    TooSlow,
}

enum ReceiveState {
    Free,
    Waiting(BoxFuture<'static, Share>),
    Admitted(ReceivePermit),
}

struct ReceivePermit {
    _share: Share,
    /// Bytes received by then.
    received: u64,
    /// How long the server waited for the client since then.
    waited: Duration,
    /// When to check whether the rest arrives fast enough.
    next_check: Instant,
}

impl ReceiveBudget {
    pub(crate) fn new(counters: ByteCounters, budget: Budget) -> Self {
        Self {
            counters,
            budget,
            state: ReceiveState::Free,
        }
    }

    /// Whether the connection is not read, for want of a share.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, ReceiveState::Waiting(_))
    }

    /// Waits until the client is too slow for the share that it holds while others wait for one.
    pub(crate) async fn too_slow(&mut self) {
        while self.next_event().await != ReceiveEvent::TooSlow {}
    }

    /// Reserves and returns shares for as long as it is polled. Safe to drop and call again.
    pub(crate) async fn next_event(&mut self) -> ReceiveEvent {
        loop {
            let allowance = self.counters.allowance();
            let is_used_up = allowance.is_used_up(self.counters.received());
            match &mut self.state {
                ReceiveState::Free if is_used_up => {
                    let budget = self.budget.clone();
                    let share = async move { budget.reserve(limits::MESSAGE_SHARE_BYTES).await };
                    self.state = ReceiveState::Waiting(Box::pin(share));
                }
                ReceiveState::Free => {
                    allowance.changed().await;
                    if allowance.has_partial.load(Ordering::Acquire) {
                        return ReceiveEvent::Partial;
                    }
                }
                ReceiveState::Waiting(_) if !is_used_up => self.state = ReceiveState::Free,
                ReceiveState::Waiting(share) => tokio::select! {
                    share = share => {
                        allowance.lift();
                        self.state = ReceiveState::Admitted(ReceivePermit::new(share, &self.counters));
                    }
                    () = allowance.changed() => {}
                },
                ReceiveState::Admitted(_) if !allowance.is_lifted() => {
                    self.state = ReceiveState::Free;
                }
                ReceiveState::Admitted(admission) => tokio::select! {
                    () = allowance.changed() => {}
                    () = sleep_until(admission.next_check) => {
                        admission.count_waiting(&self.counters);
                        if self.budget.is_out() && admission.is_too_slow(&self.counters) {
                            return ReceiveEvent::TooSlow;
                        }
                    }
                },
            }
        }
    }
}

impl ReceivePermit {
    fn new(share: Share, counters: &ByteCounters) -> Self {
        Self {
            _share: share,
            received: counters.received(),
            waited: Duration::ZERO,
            next_check: Instant::now() + PROGRESS_CHECK_INTERVAL,
        }
    }

    /// Bytes that have arrived and are not read yet are not the client's delay.
    fn count_waiting(&mut self, counters: &ByteCounters) {
        if counters.is_read_pending() && !counters.allowance().is_awaiting(Awaited::Answer) {
            self.waited += PROGRESS_CHECK_INTERVAL;
        }
        self.next_check = Instant::now() + PROGRESS_CHECK_INTERVAL;
    }

    fn is_too_slow(&self, counters: &ByteCounters) -> bool {
        debug_assert!(counters.received() >= self.received, "it only grows");
        let earned = (counters.received() - self.received) / limits::PRESSURE_BYTES_PER_SECOND;
        self.waited >= limits::PRESSURE_GRACE + Duration::from_secs(earned)
    }
}

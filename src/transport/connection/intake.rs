//! What a client sends before it is whole - the head of a request, its body, a message - is held until the rest has
//! come. A little is read from everyone; a connection that sends more is read on only once the node has room for it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::meter::{LOOK_INTERVAL, Meter};
use crate::limits;
use crate::node::{Budget, Share};

/// How many bytes in all a connection may have sent.
#[derive(Debug)]
pub(crate) struct Allowance {
    most: AtomicU64,
    /// An [`Awaited`].
    awaited: AtomicU8,
    reader: AtomicWaker,
    /// Woken by what is to be seen to.
    attendant: AtomicWaker,
    is_changed: AtomicBool,
    /// Whether it is known that a part has come, and no more.
    has_half: AtomicBool,
    evicted: Notify,
}

/// What the next thing is that happens on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Awaited {
    /// The client sends the rest of a request's head, or of a message.
    Message,
    /// The client sends the rest of a body, and can be told that it is too slow.
    Body,
    /// The server answers what has come.
    Answer,
}

const UNBOUNDED: u64 = u64::MAX;

impl Default for Allowance {
    fn default() -> Self {
        Self {
            most: AtomicU64::new(limits::MESSAGE_FREE_BYTES),
            awaited: AtomicU8::new(Awaited::Message as u8),
            reader: AtomicWaker::new(),
            attendant: AtomicWaker::new(),
            is_changed: AtomicBool::new(false),
            has_half: AtomicBool::new(false),
            evicted: Notify::new(),
        }
    }
}

impl Allowance {
    /// Ready while more may be read of a connection that has sent so many bytes.
    pub(super) fn poll(&self, read: u64, context: &Context<'_>) -> Poll<()> {
        if !self.is_used_up(read) {
            return Poll::Ready(());
        }
        self.reader.register(context.waker());
        // It may have been raised in between.
        if !self.is_used_up(read) {
            return Poll::Ready(());
        }
        self.change();
        Poll::Pending
    }

    /// Ready once there is room for whatever comes: a little is not enough.
    pub(super) fn poll_lifted(&self, read: u64, context: &Context<'_>) -> Poll<()> {
        if self.is_lifted() {
            return Poll::Ready(());
        }
        self.most.fetch_min(read, Ordering::AcqRel);
        self.poll(read, context)
    }

    pub(crate) fn is_used_up(&self, read: u64) -> bool {
        read >= self.most.load(Ordering::Acquire)
    }

    /// What has come so far is whole and done with: the next may begin.
    pub(super) fn renew(&self, read: u64) {
        self.awaits(Awaited::Message);
        self.has_half.store(false, Ordering::Release);
        let most = read.saturating_add(limits::MESSAGE_FREE_BYTES);
        let before = self.most.swap(most, Ordering::AcqRel);
        if before == UNBOUNDED || before <= read {
            self.change();
        }
        self.reader.wake();
    }

    /// Everything that has come is read, so many bytes in all: perhaps a part, whose rest may never come.
    pub(super) fn note_half(&self, read: u64) {
        let most = self.most.load(Ordering::Acquire);
        let is_half = read.saturating_add(limits::MESSAGE_FREE_BYTES) > most;
        if is_half && most != UNBOUNDED && !self.has_half.swap(true, Ordering::AcqRel) {
            self.change();
        }
    }

    /// Whatever comes is read, to be dropped or because there is room for it.
    pub(crate) fn lift(&self) {
        self.most.store(UNBOUNDED, Ordering::Release);
        self.reader.wake();
    }

    /// Says what happens next; see [`Awaited`].
    pub(crate) fn awaits(&self, what: Awaited) {
        self.awaited.store(what as u8, Ordering::Release);
    }

    fn is_awaiting(&self, what: Awaited) -> bool {
        self.awaited.load(Ordering::Acquire) == what as u8
    }

    fn change(&self) {
        self.is_changed.store(true, Ordering::Release);
        self.attendant.wake();
    }

    /// Waits for the next change. Costs less than a [`Notify`], in every turn of every session.
    async fn changed(&self) {
        poll_fn(|context| {
            self.attendant.register(context.waker());
            match self.is_changed.swap(false, Ordering::AcqRel) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    pub(super) fn is_lifted(&self) -> bool {
        self.most.load(Ordering::Acquire) == UNBOUNDED
    }

    /// Has a body that comes too slowly refused, if it is a body that is awaited.
    pub(super) fn evict(&self) -> bool {
        let is_body = self.is_awaiting(Awaited::Body);
        if is_body {
            self.evicted.notify_waiters();
        }
        is_body
    }

    /// Waits until room is taken from a client whose body comes too slowly.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

/// Takes room for one connection when what it sends needs some, and gives it back.
pub(crate) struct Intake {
    meter: Meter,
    budget: Budget,
    state: AllowanceState,
}

/// What is to be seen to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attention {
    /// A part of a message has come.
    Half,
    /// The client is too slow for the room that it holds and others wait for.
    Overdue,
}

enum AllowanceState {
    /// Little has come.
    Free,
    /// Nothing is read until there is room.
    Waiting(BoxFuture<'static, Share>),
    /// Read on, until what comes is whole.
    Admitted(Admitted),
}

struct Admitted {
    _room: Share,
    /// What had come by then.
    from: u64,
    /// For how long it was the client who was waited for since then.
    waited: Duration,
    /// When to look whether the rest comes fast enough.
    look: Instant,
}

impl Intake {
    pub(crate) fn new(meter: Meter, budget: Budget) -> Self {
        Self {
            meter,
            budget,
            state: AllowanceState::Free,
        }
    }

    /// Whether nothing is read, for want of room.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, AllowanceState::Waiting(_))
    }

    /// Ends when the client is too slow for the room that it holds and others wait for.
    pub(crate) async fn overdue(&mut self) {
        while self.attend().await != Attention::Overdue {}
    }

    /// Sees to the room of a connection for as long as it is polled. Safe to drop and call again.
    pub(crate) async fn attend(&mut self) -> Attention {
        loop {
            let allowance = self.meter.allowance();
            let is_used_up = allowance.is_used_up(self.meter.read());
            match &mut self.state {
                AllowanceState::Free if is_used_up => {
                    let budget = self.budget.clone();
                    let room = async move { budget.reserve(limits::MESSAGE_ROOM_BYTES).await };
                    self.state = AllowanceState::Waiting(Box::pin(room));
                }
                AllowanceState::Free => {
                    allowance.changed().await;
                    if allowance.has_half.load(Ordering::Acquire) {
                        return Attention::Half;
                    }
                }
                AllowanceState::Waiting(_) if !is_used_up => self.state = AllowanceState::Free,
                AllowanceState::Waiting(room) => tokio::select! {
                    room = room => {
                        allowance.lift();
                        self.state = AllowanceState::Admitted(Admitted::now(room, &self.meter));
                    }
                    () = allowance.changed() => {}
                },
                AllowanceState::Admitted(_) if !allowance.is_lifted() => {
                    self.state = AllowanceState::Free
                }
                AllowanceState::Admitted(admitted) => tokio::select! {
                    () = allowance.changed() => {}
                    () = sleep_until(admitted.look) => {
                        admitted.look(&self.meter);
                        if self.budget.is_out() && admitted.is_overdue(&self.meter) {
                            return Attention::Overdue;
                        }
                    }
                },
            }
        }
    }
}

impl Admitted {
    fn now(room: Share, meter: &Meter) -> Self {
        Self {
            _room: room,
            from: meter.read(),
            waited: Duration::ZERO,
            look: Instant::now() + LOOK_INTERVAL,
        }
    }

    /// What has come and is not read yet is not the client's fault.
    fn look(&mut self, meter: &Meter) {
        if meter.is_starving() && !meter.allowance().is_awaiting(Awaited::Answer) {
            self.waited += LOOK_INTERVAL;
        }
        self.look = Instant::now() + LOOK_INTERVAL;
    }

    fn is_overdue(&self, meter: &Meter) -> bool {
        let earned = (meter.read() - self.from) / limits::CROWDED_BYTES_PER_SECOND;
        self.waited >= limits::CROWDED_GRACE + Duration::from_secs(earned)
    }
}

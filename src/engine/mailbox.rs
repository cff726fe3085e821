//! The queue before the writer: bounded in bytes, fair to its requesters, and with a deadline for each item.
//!
//! Every queued item holds as many permits of one semaphore as it has bytes, from [`Sender::send`] until it is answered:
//! also while a group of them is with the writer. So `MAILBOX_BYTES_MAX` bounds all of them together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::SubmitError;
use crate::fairness::{FairQueue, Requester, Waiting};
use crate::limits;
use crate::telemetry::Throttle;

/// What a requester asks of the writer, and where the answer goes.
pub(super) struct Queued<T, A> {
    pub(super) content: T,
    pub(super) requester: Requester,
    reply: oneshot::Sender<Result<A, SubmitError>>,
    pub(super) arrived: Instant,
    bytes: usize,
    /// Whether it costs no more than its bytes, whatever the state of what it changes.
    has_known_cost: bool,
    /// As many as `bytes`; given back when it is answered.
    permits: OwnedSemaphorePermit,
}

impl<T, A> Queued<T, A> {
    /// Sends the answer. If the receiver is gone, the client has left; what was done stands.
    pub(super) fn answer(self, outcome: Result<A, SubmitError>) {
        drop(self.reply.send(outcome));
    }
}

impl<T, A> Waiting for Queued<T, A> {
    fn cost(&self) -> usize {
        match self.has_known_cost {
            true => self.bytes,
            false => self.bytes.max(self.requester.expected_cost()),
        }
    }

    fn is_heavy(&self) -> bool {
        !self.has_known_cost && self.requester.expected_cost() >= HEAVY_BYTES_MIN
    }
}

/// Items that are expected to cost less are light.
const HEAVY_BYTES_MIN: usize = 16 * 1024;

/// The end that requesters hold.
#[derive(Debug)]
pub(super) struct Sender<T, A> {
    queue: mpsc::UnboundedSender<Queued<T, A>>,
    free_bytes: Arc<Semaphore>,
}

impl<T, A> Clone for Sender<T, A> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            free_bytes: Arc::clone(&self.free_bytes),
        }
    }
}

/// What an item costs beside its content: without it, millions of tiny ones would fit.
const QUEUED_BYTES: usize = 256;

/// Receives the answer to an item.
pub(super) type Reply<A> = oneshot::Receiver<Result<A, SubmitError>>;

impl<T, A> Sender<T, A> {
    /// Queues an item of so many bytes. `has_known_cost` says that these are all that it costs.
    pub(super) fn send(
        &self,
        requester: &Requester,
        content: T,
        bytes: usize,
        has_known_cost: bool,
    ) -> Result<Reply<A>, SubmitError> {
        let bytes = bytes + QUEUED_BYTES;
        let count = u32::try_from(bytes).map_err(|_| SubmitError::Busy)?;
        let permits = Arc::clone(&self.free_bytes)
            .try_acquire_many_owned(count)
            .map_err(|_| SubmitError::Busy)?;
        let (reply, answer) = oneshot::channel();
        self.queue
            .send(Queued {
                content,
                requester: requester.clone(),
                reply,
                arrived: Instant::now(),
                bytes,
                has_known_cost,
                permits,
            })
            .map_err(|_| SubmitError::ShuttingDown)?;
        Ok(answer)
    }
}

/// The end that one task empties, a group at a time.
pub(super) struct Mailbox<T, A> {
    incoming: mpsc::UnboundedReceiver<Queued<T, A>>,
    waiting: FairQueue<Queued<T, A>>,
    /// When the store last carried something out.
    last_progress: Instant,
    /// When to look for items that waited too long.
    next_expiry: Instant,
    expiry_throttle: Throttle,
}

impl<T, A> Mailbox<T, A> {
    pub(super) fn new() -> (Sender<T, A>, Self) {
        let (queue, incoming) = mpsc::unbounded_channel();
        let free_bytes = Arc::new(Semaphore::new(limits::MAILBOX_BYTES_MAX));
        let now = Instant::now();
        (
            Sender { queue, free_bytes },
            Self {
                incoming,
                waiting: FairQueue::default(),
                last_progress: now,
                next_expiry: now,
                expiry_throttle: Throttle::default(),
            },
        )
    }

    /// The next items, fairly among their requesters, up to the bounds of one commit; at least one. `None` once every
    /// sender is gone.
    pub(super) async fn take_group(&mut self) -> Option<Vec<Queued<T, A>>> {
        loop {
            if self.waiting.is_empty() {
                let item = self.incoming.recv().await?;
                self.enqueue(item);
            }
            self.receive();
            if self.next_expiry <= Instant::now() {
                self.expire();
            }
            let group = self.next_group();
            if !group.is_empty() {
                return Some(group);
            }
        }
    }

    /// Some light items, one heavy item whatever it costs, and what else fits: a flood of either kind delays the other
    /// by one commit at most. A heavy item may fill the group alone, so some light ones go before it.
    fn next_group(&mut self) -> Vec<Queued<T, A>> {
        const ALL: usize = limits::COMMIT_BYTES_MAX;
        let mut group = Fitting::default();
        while group.take(&mut self.waiting, false, ALL / 4) {}
        group.take(&mut self.waiting, true, usize::MAX);
        while group.take(&mut self.waiting, false, ALL) {}
        while group.take(&mut self.waiting, true, ALL) {}
        debug_assert!(!group.items.is_empty() || self.waiting.is_empty());
        group.items
    }

    /// Puts items back that were taken too early, before all others of their requesters and in their old order.
    pub(super) fn put_back(&mut self, items: impl DoubleEndedIterator<Item = Queued<T, A>>) {
        for item in items.rev() {
            let requester = item.requester.clone();
            self.waiting.put_back(&requester, item);
        }
    }

    /// Charges a requester for what an item turned out to cost beyond what it was expected to.
    pub(super) fn charge(&mut self, item: &Queued<T, A>, bytes: usize) {
        if item.has_known_cost {
            return;
        }
        let expected = item.cost();
        item.requester.record_cost(bytes);
        if bytes > expected {
            self.waiting.charge(&item.requester, bytes - expected);
        }
    }

    /// The store has carried something out, so it is not away: the deadline of what still waits begins anew.
    pub(super) fn note_progress(&mut self) {
        self.last_progress = Instant::now();
    }

    /// When an item that arrived then has waited too long for a store that makes no progress.
    pub(super) fn deadline(&self, arrived: Instant) -> Instant {
        self.last_progress.max(arrived) + limits::COMMAND_DEADLINE
    }

    /// Waits for `work`, and meanwhile refuses items that have waited too long.
    pub(super) async fn expire_while<F: Future>(&mut self, work: F) -> F::Output {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                output = &mut work => return output,
                () = sleep_until(self.next_expiry) => self.expire(),
            }
        }
    }

    fn enqueue(&mut self, item: Queued<T, A>) {
        debug_assert_eq!(item.permits.num_permits(), item.bytes, "bytes are paid for");
        let requester = item.requester.clone();
        self.waiting.push(&requester, item);
    }

    fn receive(&mut self) {
        while let Ok(item) = self.incoming.try_recv() {
            self.enqueue(item);
        }
    }

    fn expire(&mut self) {
        self.receive();
        let now = Instant::now();
        self.next_expiry = now + EXPIRY_INTERVAL;
        let is_stalled = self.last_progress + limits::COMMAND_DEADLINE <= now;
        let why = |item: &Queued<T, A>| {
            let waited = now.duration_since(item.arrived);
            if is_stalled && waited >= limits::COMMAND_DEADLINE {
                return Some(SubmitError::Unavailable);
            }
            (waited >= limits::COMMAND_QUEUE_DEADLINE).then_some(SubmitError::Busy)
        };
        let mut expired = 0_u64;
        self.waiting.expire(
            |item| why(item).is_some(),
            |item| {
                expired += 1;
                let why = why(&item).unwrap_or(SubmitError::Busy);
                item.answer(Err(why));
            },
        );
        if expired > 0 {
            self.expiry_throttle.log(|suppressed| {
                let idle = self.last_progress.elapsed();
                tracing::warn!(
                    expired,
                    is_stalled,
                    ?idle,
                    suppressed,
                    "what waited too long for the writer is refused"
                );
            });
        }
    }
}

/// A group being filled.
struct Fitting<T, A> {
    items: Vec<Queued<T, A>>,
    /// What they are expected to cost.
    bytes: usize,
}

impl<T, A> Default for Fitting<T, A> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            bytes: 0,
        }
    }
}

impl<T, A> Fitting<T, A> {
    /// Takes the next item of this kind, if there is one and the group costs no more than `bytes_max` with it. Any item
    /// fits into an empty group.
    fn take(
        &mut self,
        waiting: &mut FairQueue<Queued<T, A>>,
        is_heavy: bool,
        bytes_max: usize,
    ) -> bool {
        // The last of `COMMIT_COUNT_MAX` is left to a heavy item.
        let is_open = |count: usize| count + usize::from(!is_heavy) < limits::COMMIT_COUNT_MAX;
        if !is_open(self.items.len()) {
            return false;
        }
        let is_first = self.items.is_empty();
        let fits =
            |item: &Queued<T, A>| is_first || self.bytes.saturating_add(item.cost()) <= bytes_max;
        let Some(item) = waiting.pop_if(is_heavy, fits) else {
            return false;
        };
        self.bytes += item.cost();
        self.items.push(item);
        true
    }
}

/// How precisely the deadlines are kept.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(250);

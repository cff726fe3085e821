//! What waits for the writer: paid for in bytes, taken in turns of its sources, and not for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::SubmitError;
use super::round_robin::{Requester, RoundRobin, Waiting};
use crate::limits;

/// Something asked, and where its answer goes.
pub(super) struct Queued<T, A> {
    pub(super) content: T,
    pub(super) source: Requester,
    pub(super) reply: oneshot::Sender<Result<A, SubmitError>>,
    pub(super) arrived: Instant,
    bytes: usize,
    /// Whether it costs no more than its bytes, whatever it is about.
    is_plain: bool,
    /// Given back when it is answered.
    _room: OwnedSemaphorePermit,
}

impl<T, A> Waiting for Queued<T, A> {
    fn cost(&self) -> usize {
        match self.is_plain {
            true => self.bytes,
            false => self.bytes.max(self.source.expected()),
        }
    }

    fn is_heavy(&self) -> bool {
        !self.is_plain && self.source.expected() >= LIGHT_BYTES
    }
}

/// What costs less is light.
const LIGHT_BYTES: usize = 16 * 1024;

/// The end that clients hold.
#[derive(Debug)]
pub(super) struct Sender<T, A> {
    letters: mpsc::UnboundedSender<Queued<T, A>>,
    room: Arc<Semaphore>,
}

impl<T, A> Clone for Sender<T, A> {
    fn clone(&self) -> Self {
        Self {
            letters: self.letters.clone(),
            room: Arc::clone(&self.room),
        }
    }
}

/// What a small letter costs beside its content: without it, millions of tiny ones would fit.
const LETTER_BYTES: usize = 256;

/// What is done with a letter.
pub(super) type Reply<A> = oneshot::Receiver<Result<A, SubmitError>>;

impl<T, A> Sender<T, A> {
    pub(super) fn send(
        &self,
        source: &Requester,
        content: T,
        bytes: usize,
        is_plain: bool,
    ) -> Result<Reply<A>, SubmitError> {
        let bytes = bytes + LETTER_BYTES;
        let cost = u32::try_from(bytes).map_err(|_| SubmitError::Busy)?;
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(cost)
            .map_err(|_| SubmitError::Busy)?;
        let (reply, answer) = oneshot::channel();
        self.letters
            .send(Queued {
                content,
                source: source.clone(),
                reply,
                arrived: Instant::now(),
                bytes,
                is_plain,
                _room: room,
            })
            .map_err(|_| SubmitError::ShuttingDown)?;
        Ok(answer)
    }
}

/// The end that one task empties, a batch at a time.
pub(super) struct Mailbox<T, A> {
    letters: mpsc::UnboundedReceiver<Queued<T, A>>,
    waiting: RoundRobin<Queued<T, A>>,
    /// When the store last did something of what it was asked.
    progress: Instant,
    /// When to look for letters that waited too long.
    look: Instant,
}

impl<T, A> Mailbox<T, A> {
    pub(super) fn new() -> (Sender<T, A>, Self) {
        let (sender, letters) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(limits::MAILBOX_BYTES_MAX));
        let now = Instant::now();
        (
            Sender {
                letters: sender,
                room,
            },
            Self {
                letters,
                waiting: RoundRobin::default(),
                progress: now,
                look: now,
            },
        )
    }

    /// What waits, in turns of its sources, up to the bounds of a batch; at least one letter. `None` once every
    /// sender is gone.
    pub(super) async fn take_batch(&mut self) -> Option<Vec<Queued<T, A>>> {
        loop {
            if self.waiting.is_empty() {
                let letter = self.letters.recv().await?;
                self.keep(letter);
            }
            self.receive();
            if self.look <= Instant::now() {
                self.expire();
            }
            let batch = self.fitting();
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    /// Some of what is light, one of what is heavy whatever it costs, and what else fits: a flood of either delays the
    /// other by no more than the batch. One that is heavy may fill it alone, so some of what is light goes before.
    fn fitting(&mut self) -> Vec<Queued<T, A>> {
        const ALL: usize = limits::BATCH_BYTES_MAX;
        let mut batch = Fitting::default();
        while batch.take(&mut self.waiting, false, ALL / 4) {}
        batch.take(&mut self.waiting, true, usize::MAX);
        while batch.take(&mut self.waiting, false, ALL) {}
        while batch.take(&mut self.waiting, true, ALL) {}
        batch.letters
    }

    /// Puts letters back that were taken too early, in their old order.
    pub(super) fn put_back(&mut self, letters: impl DoubleEndedIterator<Item = Queued<T, A>>) {
        for letter in letters.rev() {
            let source = letter.source.clone();
            self.waiting.put_back(&source, letter);
        }
    }

    /// Lets a source pay for what a letter of it turned out to cost.
    pub(super) fn charge(&mut self, letter: &Queued<T, A>, bytes: usize) {
        if letter.is_plain {
            return;
        }
        let known = letter.cost();
        letter.source.note(bytes);
        if bytes > known {
            self.waiting.charge(&letter.source, bytes - known);
        }
    }

    /// The store did as it was asked: who waits, waits for others and not for nothing.
    pub(super) fn note_progress(&mut self) {
        self.progress = Instant::now();
    }

    /// When what arrived then has waited too long for a store that does nothing.
    pub(super) fn patience(&self, arrived: Instant) -> Instant {
        self.progress.max(arrived) + limits::COMMAND_DEADLINE
    }

    /// Waits for `work` while letters that wait too long are answered.
    pub(super) async fn attend<F: Future>(&mut self, work: F) -> F::Output {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                output = &mut work => return output,
                () = sleep_until(self.look) => self.expire(),
            }
        }
    }

    fn keep(&mut self, letter: Queued<T, A>) {
        let source = letter.source.clone();
        self.waiting.push(&source, letter);
    }

    fn receive(&mut self) {
        while let Ok(letter) = self.letters.try_recv() {
            self.keep(letter);
        }
    }

    fn expire(&mut self) {
        self.receive();
        let now = Instant::now();
        self.look = now + EXPIRY_INTERVAL;
        let stalled = self.progress + limits::COMMAND_DEADLINE <= now;
        let why = |letter: &Queued<T, A>| {
            let waited = now.duration_since(letter.arrived);
            if stalled && waited >= limits::COMMAND_DEADLINE {
                return Some(SubmitError::Unavailable);
            }
            (waited >= limits::COMMAND_TURN_DEADLINE).then_some(SubmitError::Busy)
        };
        self.waiting.expire(
            |letter| why(letter).is_some(),
            |letter| {
                let why = why(&letter).unwrap_or(SubmitError::Busy);
                // A dropped receiver is a client that left.
                let _ = letter.reply.send(Err(why));
            },
        );
    }
}

/// A batch being filled.
struct Fitting<T, A> {
    letters: Vec<Queued<T, A>>,
    bytes: usize,
}

impl<T, A> Default for Fitting<T, A> {
    fn default() -> Self {
        Self {
            letters: Vec::new(),
            bytes: 0,
        }
    }
}

impl<T, A> Fitting<T, A> {
    /// Takes the next letter of this kind, if there is one and the batch comes to no more bytes than these with it. Into
    /// an empty batch any fits.
    fn take(
        &mut self,
        waiting: &mut RoundRobin<Queued<T, A>>,
        is_heavy: bool,
        most: usize,
    ) -> bool {
        // The last place is for one that is heavy.
        let is_open = |count: usize| count + usize::from(!is_heavy) < limits::BATCH_COUNT_MAX;
        if !is_open(self.letters.len()) {
            return false;
        }
        let is_first = self.letters.is_empty();
        let fits =
            |letter: &Queued<T, A>| is_first || self.bytes.saturating_add(letter.cost()) <= most;
        let Some(letter) = waiting.pop_if(is_heavy, fits) else {
            return false;
        };
        self.bytes += letter.cost();
        self.letters.push(letter);
        true
    }
}

/// How exactly the deadlines are kept.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(250);

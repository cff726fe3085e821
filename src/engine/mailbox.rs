//! A queue that is paid for in bytes, and whose letters expire.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Refused;
use crate::limits;

/// Something asked, and where its answer goes.
pub(super) struct Letter<T, A> {
    pub(super) content: T,
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<A>,
    pub(super) deadline: Instant,
    /// Given back when it is answered.
    _room: OwnedSemaphorePermit,
}

/// The end that clients hold.
#[derive(Debug)]
pub(super) struct Sender<T, A> {
    letters: mpsc::UnboundedSender<Letter<T, A>>,
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

impl<T, A> Sender<T, A> {
    pub(super) fn send(&self, content: T, bytes: usize) -> Result<oneshot::Receiver<A>, Refused> {
        let cost = u32::try_from(bytes + LETTER_BYTES).map_err(|_| Refused::Busy)?;
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(cost)
            .map_err(|_| Refused::Busy)?;
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + limits::COMMAND_DEADLINE;
        self.letters
            .send(Letter {
                content,
                bytes,
                reply,
                deadline,
                _room: room,
            })
            .map_err(|_| Refused::ShuttingDown)?;
        Ok(answer)
    }
}

/// The end that one task empties, a batch at a time.
pub(super) struct Mailbox<T, A> {
    letters: mpsc::UnboundedReceiver<Letter<T, A>>,
    /// Received and not yet taken, oldest first; so the first to expire stands in front.
    waiting: VecDeque<Letter<T, A>>,
}

impl<T, A> Mailbox<T, A> {
    pub(super) fn new() -> (Sender<T, A>, Self) {
        let (sender, letters) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(limits::MAILBOX_BYTES_MAX));
        (
            Sender {
                letters: sender,
                room,
            },
            Self {
                letters,
                waiting: VecDeque::new(),
            },
        )
    }

    /// All that waits, up to the bounds of a batch; at least one letter. `None` once every sender is gone.
    pub(super) async fn take_batch(&mut self) -> Option<Vec<Letter<T, A>>> {
        if self.waiting.is_empty() {
            self.waiting.push_back(self.letters.recv().await?);
        }
        self.receive();
        let mut bytes = 0;
        let fitting = self
            .waiting
            .iter()
            .take(limits::BATCH_COUNT_MAX)
            .take_while(|letter| {
                bytes += letter.bytes;
                bytes <= limits::BATCH_BYTES_MAX
            });
        let count = fitting.count().max(1);
        Some(self.waiting.drain(..count).collect())
    }

    /// Puts letters back that were taken too early, in their old order.
    pub(super) fn put_back(&mut self, letters: impl DoubleEndedIterator<Item = Letter<T, A>>) {
        for letter in letters.rev() {
            self.waiting.push_front(letter);
        }
    }

    /// Waits for `work` while letters that expire meanwhile are answered with `answer`.
    pub(super) async fn attend<F: Future>(&mut self, work: F, answer: impl Fn() -> A) -> F::Output {
        tokio::pin!(work);
        let mut look = interval_at(Instant::now() + EXPIRY_INTERVAL, EXPIRY_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                output = &mut work => return output,
                _ = look.tick() => self.expire(&answer),
            }
        }
    }

    fn receive(&mut self) {
        while let Ok(letter) = self.letters.try_recv() {
            self.waiting.push_back(letter);
        }
    }

    fn expire(&mut self, answer: &impl Fn() -> A) {
        self.receive();
        let now = Instant::now();
        while let Some(letter) = self.waiting.pop_front_if(|letter| letter.deadline <= now) {
            // A dropped receiver is a client that left.
            let _ = letter.reply.send(answer());
        }
    }
}

/// How exactly the deadline is kept.
const EXPIRY_INTERVAL: std::time::Duration = std::time::Duration::from_millis(250);

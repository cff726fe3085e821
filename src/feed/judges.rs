//! Judging what takes long, where nobody waits for it.
//!
//! The pump and the tasks of sessions judge changes themselves as long as that takes next to no time. What takes more
//! comes here: to a thread of its own, piece by piece, each piece bounded in steps, and for at most half of the time.
//! So whoever asks costly questions waits for others who do, and nobody else for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// Steps of one piece of work; then another has its turn.
pub(super) const JOB_STEPS: u64 = 500_000;

/// Where all of a node's costly judging is done.
#[derive(Debug)]
pub(super) struct Judges {
    turns: Arc<Semaphore>,
}

/// A piece of work: what it came to, and how long it took.
pub(super) type Job<T> = AbortOnDropHandle<(T, Duration)>;

impl Judges {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            turns: Arc::new(Semaphore::new(1)),
        })
    }

    /// Does `work`, which is bounded in steps, when its turn comes.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Job<T> {
        let turns = Arc::clone(&self.turns);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let turn = turns.acquire_owned().await;
            let turn = turn.expect("the semaphore is never closed");
            let timed = move || {
                let started = Instant::now();
                let done = work();
                let took = started.elapsed();
                (done, took, turn)
            };
            let (done, took, turn) = tokio::task::spawn_blocking(timed)
                .await
                .expect("judging does not panic");
            // As long a rest as the work was: then everyone else has the processor.
            tokio::spawn(async move {
                tokio::time::sleep(took).await;
                drop(turn);
            });
            (done, took)
        }))
    }
}

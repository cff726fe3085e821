//! The executor of costly filters: judges changes on a thread that nobody else waits for.
//!
//! The pump and the tasks of sessions judge changes themselves as long as that takes next to no time. What takes more
//! runs here: one job at a time, each bounded in steps, for at most half of the time. So subscriptions with costly
//! filters wait for each other, by turns of their principals, and no other subscription waits for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use crate::fairness::{FairPermits, Requester};

/// Steps of one job; then the next job runs.
pub(super) const JOB_STEPS: u64 = 500_000;

/// The node's executor of costly filters.
#[derive(Debug, Clone)]
pub(super) struct JudgePool {
    /// One permit: the job that runs, or the pause after it, holds it.
    permits: Arc<FairPermits>,
}

/// The executor, for the jobs of one requester. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Judges {
    pool: JudgePool,
    requester: Requester,
}

/// A job that was spawned: its result, and how long it ran. Dropping it cancels it.
pub(super) type Job<T> = AbortOnDropHandle<(T, Duration)>;

impl JudgePool {
    pub(super) fn new() -> Self {
        Self {
            permits: FairPermits::new(1),
        }
    }

    /// For what this requester has to be judged.
    pub(super) fn of(&self, requester: &Requester) -> Judges {
        Judges {
            pool: self.clone(),
            requester: requester.clone(),
        }
    }
}

impl Judges {
    /// Runs `work`, which is bounded in steps, once the jobs before it have run.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Job<T> {
        let Self { pool, requester } = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let permit = pool.permits.acquire(&requester).await;
            let timed = move || {
                let started = Instant::now();
                let result = work();
                let took = started.elapsed();
                (result, took, permit)
            };
            let (result, took, permit) = tokio::task::spawn_blocking(timed)
                .await
                .expect("judging does not panic");
            // A pause as long as the job was: the processor is for everyone else meanwhile.
            tokio::spawn(async move {
                tokio::time::sleep(took).await;
                drop(permit);
            });
            (result, took)
        }))
    }
}

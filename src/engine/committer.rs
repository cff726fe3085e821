//! The task that decides, appends and answers: the only writer of its node.
//!
//! It works on one [`Submission`] at a time, a group of command batches that are appended as one [`Batch`]:
//!
//! 1. Load the [`DecisionContext`], defer what there is no room for, and decide the rest; look up who holds what they take
//!    of unique indexes.
//! 2. Append the changes after the context's head, by compare-and-set. Where all are refused there is nothing to append,
//!    so the head is read again: refusals too are answered only if what they rest on still holds.
//! 3. Answer all. If another node wrote first, take in what it wrote and begin again with 1.
//!
//! Invariants: `cache` holds events as they are at `head`. A successful append proves both current; what another node
//! wrote is read from the log and applied; after anything else both are dropped. The seqs of a batch are contiguous after
//! its `after`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::cache::EventCache;
use super::clock::Clock;
use super::context::DecisionContext;
use super::mailbox::Mailbox;
use super::submission::Submission;
use super::{Done, Order, SubmitError};
use crate::domain::{Change, Seq};
use crate::indexes::IndexRules;
use crate::limits;
use crate::metrics::Metrics;
use crate::store::{AppendError, Batch, Store, StoreError};
use crate::telemetry::Throttle;

/// See the module for its invariants.
pub(super) struct Committer {
    pub(super) store: Arc<dyn Store>,
    /// Of the store, as it was opened.
    pub(super) index_rules: Arc<IndexRules>,
    mailbox: Mailbox<Order, Done>,
    pub(super) head: Option<Seq>,
    pub(super) cache: EventCache,
    pub(super) clock: Clock,
    /// Events that are loaded at once: as many as there was room for lately.
    pub(super) load_limit: usize,
    /// Command batches that are taken up together: fewer after the store refused something in them.
    group_limit: usize,
    metrics: Arc<Metrics>,
    unavailable_throttle: Throttle,
    refused_throttle: Throttle,
}

/// Why nothing was decided, or what was decided is certainly not appended.
pub(super) enum AttemptError {
    /// Another node wrote first: decide again.
    Moved,
    /// What was cached or loaded may be wrong: load and decide again.
    Replaced,
    Failed(StoreError),
}

/// How a submission ended.
enum SubmissionEnd {
    /// All have their answers.
    Answered,
    /// None has: the store refuses something in it.
    Refused,
}

/// Between attempts to reach a store that is away, or to get in before another node.
const RETRY_DELAY: Duration = Duration::from_millis(50);

impl Committer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        mailbox: Mailbox<Order, Done>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            index_rules: Arc::new(store.index_rules()),
            store,
            mailbox,
            head: None,
            cache: EventCache::default(),
            clock: Clock::default(),
            load_limit: limits::COMMIT_COUNT_MAX,
            group_limit: limits::COMMIT_COUNT_MAX,
            metrics,
            unavailable_throttle: Throttle::default(),
            refused_throttle: Throttle::default(),
        }
    }

    /// Runs until the last [`super::Engine`] is dropped and every command is answered.
    pub(super) async fn run(mut self) {
        while let Some(queued) = self.mailbox.take_group().await {
            let mut submission = Submission::new(queued);
            self.defer(&mut submission, self.group_limit);
            while let SubmissionEnd::Refused = self.commit(&mut submission).await {
                self.bisect(&mut submission);
            }
        }
    }

    /// The store refuses something in it: tries the first half alone, until the offender is found, so that a client
    /// which sends such commands again and again delays the others by a few commits each time. What is deferred stays
    /// before all else of its requester.
    fn bisect(&mut self, submission: &mut Submission) {
        let count = submission.len();
        self.group_limit = (count / 2).max(1);
        if count > 1 {
            return self.defer(submission, self.group_limit);
        }
        submission.refuse(&SubmitError::Internal);
        // The store works, so the deadline of what still waits begins anew.
        self.mailbox.note_progress();
    }

    /// Decides and appends until all have their answers, or the store refuses.
    async fn commit(&mut self, submission: &mut Submission) -> SubmissionEnd {
        while !submission.is_answered() {
            match self.attempt(submission).await {
                Ok(()) => {}
                Err(AttemptError::Moved) => self.catch_up(submission).await,
                Err(AttemptError::Replaced) => self.invalidate(),
                Err(AttemptError::Failed(error)) => match transient(&error) {
                    Some(why) => {
                        self.note_store_error(&error);
                        submission.refuse(&why);
                    }
                    None => {
                        self.metrics.store_failed(error.kind());
                        self.refused_throttle.log(|suppressed| {
                            tracing::error!(%error, suppressed, "the store refused a batch");
                        });
                        return SubmissionEnd::Refused;
                    }
                },
            }
        }
        SubmissionEnd::Answered
    }

    async fn attempt(&mut self, submission: &mut Submission) -> Result<(), AttemptError> {
        let context = self.load_context(submission).await?;
        let (decided, context) = self.decide(submission, context).await?;
        if submission.is_answered() {
            // Nothing was written: the deadline passed, or the only command batch is too large to decide.
            return Ok(());
        }
        for (queued, cost) in submission.queued().zip(&decided.costs) {
            self.mailbox.charge(queued, *cost);
        }
        if decided.changes.is_empty() {
            self.confirm_head(&context, submission).await?;
        } else {
            self.append(&context, decided.changes, submission).await?;
        }
        self.mailbox.note_progress();
        submission.answer(decided.outcomes);
        Ok(())
    }

    /// Puts the command batches after the first `count` back into the mailbox.
    pub(super) fn defer(&mut self, submission: &mut Submission, count: usize) {
        self.mailbox.put_back(submission.split_off(count));
    }

    /// A submission of refusals appends nothing, so checks against the store's head that the state behind them still
    /// holds. What was read from the store just now, at once, needs no check.
    async fn confirm_head(
        &mut self,
        context: &DecisionContext,
        submission: &mut Submission,
    ) -> Result<(), AttemptError> {
        let store = Arc::clone(&self.store);
        if !context.is_mixed {
            return Ok(());
        }
        match self.read_store(submission, store.head()).await? == context.head {
            true => Ok(()),
            false => Err(AttemptError::Moved),
        }
    }

    async fn append(
        &mut self,
        context: &DecisionContext,
        changes: Vec<Arc<Change>>,
        submission: &mut Submission,
    ) -> Result<(), AttemptError> {
        let head = context.head;
        let batch = Arc::new(Batch::new(head, changes));
        let began = Instant::now();
        self.append_until_certain(&batch, submission).await?;
        self.metrics.committed(batch.changes.len(), began.elapsed());
        self.group_limit = (self.group_limit * 2).min(limits::COMMIT_COUNT_MAX);
        self.head = Some(head.plus(batch.changes.len()));
        self.clock.observe(&batch.changes);
        // The append proves the context, so what was deferred need not be loaded again.
        for event in &context.loaded {
            self.cache.insert(event);
        }
        for change in &batch.changes {
            self.cache.apply(change);
        }
        Ok(())
    }

    /// Appends, and where the outcome is in doubt finds out what it was.
    ///
    /// Appending the same batch again is safe and decides it: either it takes effect now, or the head
    /// has moved, and then the log shows whose batch moved it. Clients whose deadline passes meanwhile are answered
    /// `Unknown`; the writer cannot go on before it knows.
    async fn append_until_certain(
        &mut self,
        batch: &Arc<Batch>,
        submission: &mut Submission,
    ) -> Result<(), AttemptError> {
        let store = Arc::clone(&self.store);
        let mut in_doubt = false;
        loop {
            let appended = self
                .await_store(submission, &SubmitError::Unknown, store.append(batch))
                .await;
            match appended {
                Ok(()) => return Ok(()),
                Err(AppendError::Moved | AppendError::Replaced) if in_doubt => {
                    return self.resolve_doubt(batch, submission).await;
                }
                Err(AppendError::Moved) => return Err(AttemptError::Moved),
                Err(AppendError::Replaced) => return Err(AttemptError::Replaced),
                Err(AppendError::Failed(error)) if !in_doubt => {
                    return Err(AttemptError::Failed(error));
                }
                Err(AppendError::Failed(error)) => self.note_store_error(&error),
                Err(AppendError::Unknown(reason)) => {
                    if !in_doubt {
                        tracing::warn!(%reason, batch.after = batch.after.get(), "the outcome of a commit is in doubt");
                    }
                    in_doubt = true;
                }
            }
            let retry = self.await_store(submission, &SubmitError::Unknown, sleep(RETRY_DELAY));
            let has_failed = tokio::select! {
                () = retry => false,
                _ = store.failed() => true,
            };
            if has_failed {
                submission.refuse(&SubmitError::Unknown);
                sleep(RETRY_DELAY).await;
            }
        }
    }

    /// The head has moved while the outcome was in doubt: finds out whether this batch moved it.
    async fn resolve_doubt(
        &mut self,
        batch: &Batch,
        submission: &mut Submission,
    ) -> Result<(), AttemptError> {
        let store = Arc::clone(&self.store);
        loop {
            let held = self
                .await_store(submission, &SubmitError::Unknown, store.holds(batch))
                .await;
            match held {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(AttemptError::Replaced),
                Err(error) => {
                    self.note_store_error(&error);
                    self.await_store(submission, &SubmitError::Unknown, sleep(RETRY_DELAY))
                        .await
                }
            }
        }
    }

    /// Waits for a read of the store, while nothing is written: past the deadline clients are answered `Unavailable`.
    pub(super) async fn read_store<T>(
        &mut self,
        submission: &mut Submission,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, AttemptError> {
        self.await_store(submission, &SubmitError::Unavailable, read)
            .await
            .map_err(AttemptError::Failed)
    }

    /// Waits for the store. Past the deadline the submission is refused with `why`, and what still queues behind it
    /// with `Unavailable`.
    async fn await_store<T>(
        &mut self,
        submission: &mut Submission,
        why: &SubmitError,
        work: impl Future<Output = T>,
    ) -> T {
        let deadline = match submission.oldest_arrival() {
            Some(arrived) => self.mailbox.deadline(arrived),
            None => Instant::now(),
        };
        let on_refused = || {
            self.unavailable_throttle.log(|suppressed| {
                tracing::warn!(%why, suppressed, "the store did not answer in time");
            });
        };
        let refusing = submission.refuse_at(deadline, why, on_refused, work);
        self.mailbox.expire_while(refusing).await
    }

    /// Applies what another node wrote, so that the cache holds at its head.
    async fn catch_up(&mut self, submission: &mut Submission) {
        let store = Arc::clone(&self.store);
        let Some(head) = self.head else { return };
        let read = store.read(head, limits::LOG_PAGE_COUNT);
        match self.read_store(submission, read).await {
            Ok(changes) if !changes.is_empty() => {
                debug_assert!(head.is_followed_by(changes.iter().map(|change| change.seq)));
                self.clock.observe(&changes);
                for change in &changes {
                    self.cache.apply(change);
                }
                self.head = changes.last().map(|last| last.seq);
            }
            // The head moved, yet the log has nothing after it: the cache cannot be trusted.
            Ok(_) => self.invalidate(),
            Err(error) => {
                if let AttemptError::Failed(error) = error {
                    self.note_store_error(&error);
                }
                self.invalidate();
            }
        }
    }

    /// Counts an error of the store, and logs now and then why it is unavailable: clients learn only that it is. About a
    /// disk that takes no writes the store itself logs.
    fn note_store_error(&self, error: &StoreError) {
        self.metrics.store_failed(error.kind());
        if let StoreError::Unavailable(_) = error {
            self.unavailable_throttle.log(|suppressed| {
                tracing::warn!(%error, suppressed, "commands wait for the store");
            });
        }
    }

    fn invalidate(&mut self) {
        self.head = None;
        self.cache.clear();
    }
}

/// The answer to clients if the store's state is at fault; `None` if it refuses what it was given.
fn transient(error: &StoreError) -> Option<SubmitError> {
    match error {
        StoreError::Unavailable(_) | StoreError::QueryTooSlow => Some(SubmitError::Unavailable),
        StoreError::Full(_) => Some(SubmitError::StorageFull),
        StoreError::Unwritable(_) => Some(SubmitError::StorageFailed),
        StoreError::FilterTooSlow(_)
        | StoreError::Redacted
        | StoreError::Refused(_)
        | StoreError::Corrupt { .. } => None,
    }
}

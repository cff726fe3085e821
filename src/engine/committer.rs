//! The task that decides, appends and answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::cache::EventCache;
use super::clock::Clock;
use super::context::{DecisionContext, decide_all};
use super::mailbox::Mailbox;
use super::submission::Submission;
use super::{Done, SubmitError};
use crate::domain::{Change, CommandBatch, Seq};
use crate::limits;
use crate::metrics::Metrics;
use crate::store::{AppendError, Batch, Store, StoreError};
use crate::telemetry::Throttle;

/// Invariant: `recent` holds events as they are at `head`. A successful append proves both current;
/// what another node wrote is read from the log and taken in; after anything else both are forgotten.
pub(super) struct Committer {
    pub(super) store: Arc<dyn Store>,
    mailbox: Mailbox<CommandBatch, Done>,
    pub(super) head: Option<Seq>,
    pub(super) recent: EventCache,
    pub(super) clock: Clock,
    /// Events that are asked for at once: as many as there was room for lately.
    pub(super) load_count: usize,
    /// Orders that are taken up together: fewer where the store lately refused something in them.
    batch_count: usize,
    metrics: Arc<Metrics>,
    complaints: Throttle,
    /// About what the store refuses for good.
    refusals: Throttle,
}

/// Why nothing was decided, or what was decided is certainly not appended.
pub(super) enum AttemptError {
    /// Another node wrote first: decide again.
    Moved,
    /// What was remembered may be wrong: load and decide again.
    Replaced,
    Failed(StoreError),
}

/// How a submission ended.
enum SubmissionEnd {
    /// Everyone has an answer.
    Answered,
    /// Nobody has: the store refuses something in it.
    Refused,
}

/// Between attempts to reach a store that is away, or to get in before another node.
const RETRY_DELAY: Duration = Duration::from_millis(50);

impl Committer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        mailbox: Mailbox<CommandBatch, Done>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            store,
            mailbox,
            head: None,
            recent: EventCache::default(),
            clock: Clock::default(),
            load_count: limits::BATCH_COUNT_MAX,
            batch_count: limits::BATCH_COUNT_MAX,
            metrics,
            complaints: Throttle::default(),
            refusals: Throttle::default(),
        }
    }

    /// Runs until the last [`super::Engine`] is dropped and every command is answered.
    pub(super) async fn run(mut self) {
        while let Some(letters) = self.mailbox.take_batch().await {
            let mut submission = Submission::open(letters);
            self.put_off(&mut submission, self.batch_count);
            while let SubmissionEnd::Refused = self.commit(&mut submission).await {
                self.narrow(&mut submission);
            }
        }
    }

    /// The store refuses something in it: finds out what, by halves, so that one who sends such things again and again
    /// holds up the others by a few commits each time. What is put off stays before all else of its source.
    fn narrow(&mut self, submission: &mut Submission) {
        let count = submission.len();
        self.batch_count = (count / 2).max(1);
        if count > 1 {
            return self.put_off(submission, self.batch_count);
        }
        submission.refuse(&SubmitError::Internal);
        // It was answered, so whoever waits does not wait for nothing.
        self.mailbox.note_progress();
    }

    /// Decides and appends until everyone has an answer, or the store refuses.
    async fn commit(&mut self, submission: &mut Submission) -> SubmissionEnd {
        while !submission.is_answered() {
            match self.attempt(submission).await {
                Ok(()) => {}
                Err(AttemptError::Moved) => self.catch_up(submission).await,
                Err(AttemptError::Replaced) => self.forget(),
                Err(AttemptError::Failed(error)) => match passing(&error) {
                    Some(refused) => {
                        self.note(&error);
                        submission.refuse(&refused);
                    }
                    None => {
                        self.metrics.store_failed(error.kind());
                        self.refusals.warn(|kept_back| {
                            tracing::error!(%error, kept_back, "the store refused a batch");
                        });
                        return SubmissionEnd::Refused;
                    }
                },
            }
        }
        SubmissionEnd::Answered
    }

    async fn attempt(&mut self, submission: &mut Submission) -> Result<(), AttemptError> {
        let mut facts = self.learn(submission).await?;
        if submission.is_answered() {
            // Before anything was written: the deadline passed, or it cannot be decided.
            return Ok(());
        }
        let decided = decide_all(submission.orders(), &mut facts, self.clock.now());
        self.put_off(submission, decided.outcomes.len());
        for (letter, cost) in submission.letters().zip(&decided.costs) {
            self.mailbox.charge(letter, *cost);
        }
        if decided.changes.is_empty() {
            self.confirm(&facts, submission).await?;
        } else {
            self.append(&facts, decided.changes, submission).await?;
        }
        self.mailbox.note_progress();
        submission.answer(decided.outcomes);
        Ok(())
    }

    /// Lets the letters after the first `count` wait for a batch to come.
    pub(super) fn put_off(&mut self, submission: &mut Submission, count: usize) {
        self.mailbox.put_back(submission.put_off(count));
    }

    /// Makes sure that nothing but refusals rests on facts that still hold. An append would prove it.
    async fn confirm(
        &mut self,
        facts: &DecisionContext,
        submission: &mut Submission,
    ) -> Result<(), AttemptError> {
        let store = Arc::clone(&self.store);
        if !facts.remembered {
            return Ok(());
        }
        match self.ask(submission, store.head()).await? == facts.head {
            true => Ok(()),
            false => Err(AttemptError::Moved),
        }
    }

    async fn append(
        &mut self,
        facts: &DecisionContext,
        changes: Vec<Arc<Change>>,
        submission: &mut Submission,
    ) -> Result<(), AttemptError> {
        let head = facts.head;
        let batch = Arc::new(Batch {
            id: Uuid::now_v7(),
            after: head,
            changes,
        });
        let began = Instant::now();
        self.append_for_certain(&batch, submission).await?;
        self.metrics.committed(batch.changes.len(), began.elapsed());
        self.batch_count = (self.batch_count * 2).min(limits::BATCH_COUNT_MAX);
        self.head = Some(head.plus(batch.changes.len()));
        self.clock.see(&batch.changes);
        // That it could be appended proves what it was decided on, and what was put off need not be loaded again.
        facts
            .loaded
            .iter()
            .for_each(|event| self.recent.meet(event));
        batch
            .changes
            .iter()
            .for_each(|change| self.recent.learn(change));
        Ok(())
    }

    /// Appends, and where the outcome was lost finds out what it was.
    ///
    /// Appending the same batch again is safe and settles it: either it takes effect now, or the head
    /// has moved, and then the log tells by whom. Callers whose deadline passes meanwhile hear
    /// `Unknown`; the writer cannot go on before it knows.
    async fn append_for_certain(
        &mut self,
        batch: &Arc<Batch>,
        submission: &mut Submission,
    ) -> Result<(), AttemptError> {
        let store = Arc::clone(&self.store);
        let mut in_doubt = false;
        loop {
            let appended = self
                .attend(submission, &SubmitError::Unknown, store.append(batch))
                .await;
            match appended {
                Ok(()) => return Ok(()),
                Err(AppendError::Moved | AppendError::Replaced) if in_doubt => {
                    return self.settle(batch, submission).await;
                }
                Err(AppendError::Moved) => return Err(AttemptError::Moved),
                Err(AppendError::Replaced) => return Err(AttemptError::Replaced),
                Err(AppendError::Failed(error)) if !in_doubt => {
                    return Err(AttemptError::Failed(error));
                }
                Err(AppendError::Failed(error)) => self.note(&error),
                Err(AppendError::Unknown(reason)) => {
                    if !in_doubt {
                        tracing::warn!(%reason, batch.after = batch.after.get(), "the outcome of a commit is in doubt");
                    }
                    in_doubt = true;
                }
            }
            let waited = self.attend(submission, &SubmitError::Unknown, sleep(RETRY_DELAY));
            let is_over = tokio::select! {
                () = waited => false,
                _ = store.failed() => true,
            };
            if is_over {
                submission.refuse(&SubmitError::Unknown);
                sleep(RETRY_DELAY).await;
            }
        }
    }

    /// The head has moved while the outcome was in doubt: was it this batch that moved it?
    async fn settle(
        &mut self,
        batch: &Batch,
        submission: &mut Submission,
    ) -> Result<(), AttemptError> {
        let store = Arc::clone(&self.store);
        loop {
            let held = self
                .attend(submission, &SubmitError::Unknown, store.holds(batch))
                .await;
            match held {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(AttemptError::Replaced),
                Err(error) => {
                    self.note(&error);
                    self.attend(submission, &SubmitError::Unknown, sleep(RETRY_DELAY))
                        .await
                }
            }
        }
    }

    /// Asks the store something, while nothing is written: who waits too long hears `Unavailable`.
    pub(super) async fn ask<T>(
        &mut self,
        submission: &mut Submission,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, AttemptError> {
        self.attend(submission, &SubmitError::Unavailable, question)
            .await
            .map_err(AttemptError::Failed)
    }

    /// Waits for work with the store. Those of the submission who wait past their deadline hear `why`;
    /// those who still queue behind it hear `Unavailable`.
    async fn attend<T>(
        &mut self,
        submission: &mut Submission,
        why: &SubmitError,
        work: impl Future<Output = T>,
    ) -> T {
        let deadline = match submission.since() {
            Some(arrived) => self.mailbox.patience(arrived),
            None => Instant::now(),
        };
        let watched = submission.watch(deadline, why, work);
        self.mailbox.attend(watched).await
    }

    /// Takes in what another node wrote, so that what is remembered holds at its head.
    async fn catch_up(&mut self, submission: &mut Submission) {
        let store = Arc::clone(&self.store);
        let Some(head) = self.head else { return };
        match self
            .ask(submission, store.read(head, limits::LOG_PAGE_COUNT))
            .await
        {
            Ok(changes) if !changes.is_empty() => {
                self.clock.see(&changes);
                changes.iter().for_each(|change| self.recent.learn(change));
                self.head = changes.last().map(|last| last.seq);
            }
            // The head moved, yet there is nothing: nothing that is remembered can be trusted.
            Ok(_) => self.forget(),
            Err(setback) => {
                if let AttemptError::Failed(error) = setback {
                    self.note(&error);
                }
                self.forget();
            }
        }
    }

    /// Counts an error of the store, and says now and then in the log why it is out of reach: clients hear only
    /// that it is. Of a disk that takes no writes the store itself speaks.
    fn note(&self, error: &StoreError) {
        self.metrics.store_failed(error.kind());
        if let StoreError::Unavailable(_) = error {
            self.complaints.warn(|kept_back| {
                tracing::warn!(%error, kept_back, "commands wait for the store");
            });
        }
    }

    fn forget(&mut self) {
        self.head = None;
        self.recent.forget();
    }
}

/// What callers hear if it is the store's state that is at fault, not what it was asked to take.
fn passing(error: &StoreError) -> Option<SubmitError> {
    match error {
        StoreError::Unavailable(_) | StoreError::QueryTooSlow => Some(SubmitError::Unavailable),
        StoreError::Full(_) => Some(SubmitError::StorageFull),
        StoreError::Unwritable(_) => Some(SubmitError::StorageFailed),
        StoreError::FilterTooSlow(_)
        | StoreError::Erased
        | StoreError::Refused(_)
        | StoreError::Corrupt { .. } => None,
    }
}

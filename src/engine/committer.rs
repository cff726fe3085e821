//! The task that decides, appends and answers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use uuid::Uuid;

use super::clock::Clock;
use super::facts::{Answered, Facts, LastVersions, Sources, States, decide_all};
use super::mailbox::Mailbox;
use super::recent::Recent;
use super::submission::Submission;
use super::{Outcome, Refused};
use crate::domain::{Change, CommandId, EventId, Order, Seq};
use crate::limits;
use crate::store::{AppendError, Batch, Store, StoreError};

/// Invariant: `recent` holds events as they are at `head`. A successful append proves both current;
/// what another node wrote is read from the log and taken in; after anything else both are forgotten.
pub(super) struct Committer {
    store: Arc<dyn Store>,
    mailbox: Mailbox<Order, Outcome>,
    head: Option<Seq>,
    recent: Recent,
    clock: Clock,
}

/// Why nothing was decided, or what was decided is certainly not appended.
enum Setback {
    /// Another node wrote first: decide again.
    Moved,
    /// What was remembered may be wrong: load and decide again.
    Replaced,
    Failed(StoreError),
}

/// How a submission ended.
enum Ended {
    /// Everyone has an answer.
    Answered,
    /// Nobody has: the store refuses something in it.
    Refused,
}

/// Between attempts to reach a store that is away, or to get in before another node.
const RETRY_DELAY: Duration = Duration::from_millis(50);

impl Committer {
    pub(super) fn new(store: Arc<dyn Store>, mailbox: Mailbox<Order, Outcome>) -> Self {
        Self {
            store,
            mailbox,
            head: None,
            recent: Recent::default(),
            clock: Clock::default(),
        }
    }

    /// Runs until the last [`super::Engine`] is dropped and every command is answered.
    pub(super) async fn run(mut self) {
        while let Some(letters) = self.mailbox.take_batch().await {
            let mut submission = Submission::open(letters);
            if let Ended::Refused = self.commit(&mut submission).await {
                self.commit_singly(submission).await;
            }
        }
    }

    /// The store refuses something in it: finds out what, one by one.
    async fn commit_singly(&mut self, submission: Submission) {
        for mut alone in submission.split() {
            if let Ended::Refused = self.commit(&mut alone).await {
                alone.refuse(&Refused::Internal);
            }
        }
    }

    /// Decides and appends until everyone has an answer, or the store refuses.
    async fn commit(&mut self, submission: &mut Submission) -> Ended {
        while !submission.is_answered() {
            match self.attempt(submission).await {
                Ok(()) => {}
                Err(Setback::Moved) => self.catch_up(submission).await,
                Err(Setback::Replaced) => self.forget(),
                Err(Setback::Failed(error)) => match passing(&error) {
                    Some(refused) => submission.refuse(&refused),
                    None => {
                        tracing::error!(%error, "the store refused a batch");
                        return Ended::Refused;
                    }
                },
            }
        }
        Ended::Answered
    }

    async fn attempt(&mut self, submission: &mut Submission) -> Result<(), Setback> {
        let mut facts = self.learn(submission).await?;
        if submission.is_answered() {
            // The deadline passed before anything was written.
            return Ok(());
        }
        let decided = decide_all(submission.orders(), &mut facts, self.clock.now());
        self.mailbox
            .put_back(submission.put_off(decided.outcomes.len()));
        if decided.changes.is_empty() {
            self.confirm(&facts, submission).await?;
        } else {
            self.append(facts.head, decided.changes, submission).await?;
        }
        submission.answer(decided.outcomes);
        Ok(())
    }

    /// The head, and the events that the commands name, as they are there.
    async fn learn(&mut self, submission: &mut Submission) -> Result<Facts, Setback> {
        let store = Arc::clone(&self.store);
        let head = match self.head {
            Some(head) => head,
            None => self.ask(submission, store.head()).await?,
        };
        self.head = Some(head);
        let mut states = States::new();
        let mut missing = HashSet::new();
        for id in submission.targets() {
            match self.recent.get(id) {
                Some(event) => drop(states.insert(id.clone(), event)),
                None => drop(missing.insert(id.clone())),
            }
        }
        let remembered = !states.is_empty();
        if !missing.is_empty() {
            let ids: Vec<EventId> = missing.into_iter().collect();
            let loaded = self.ask(submission, store.load(&ids)).await?;
            states.extend(
                loaded
                    .into_iter()
                    .map(|event| (event.id.clone(), Arc::new(event))),
            );
        }
        let last_versions = self.learn_last_versions(&states, submission).await?;
        Ok(Facts {
            head,
            states,
            last_versions,
            answered: self.learn_answered(submission).await?,
            sources: self.learn_sources(submission).await?,
            remembered,
        })
    }

    /// The highest versions of events that may be created anew: of those that are not there, or may be gone when
    /// their turn comes. The view does not tell them.
    async fn learn_last_versions(
        &mut self,
        states: &States,
        submission: &mut Submission,
    ) -> Result<LastVersions, Setback> {
        let ends = submission.ends();
        let may_be_reborn = |id: &&EventId| !states.contains_key(*id) || ends.contains(*id);
        let reborn: HashSet<&EventId> = submission.births().filter(may_be_reborn).collect();
        if reborn.is_empty() {
            return Ok(LastVersions::new());
        }
        let ids: Vec<EventId> = reborn.into_iter().cloned().collect();
        let store = Arc::clone(&self.store);
        let found = self.ask(submission, store.last_versions(&ids)).await?;
        Ok(found.into_iter().collect())
    }

    /// The commands among these that were carried out before. Asked after the head is known: should another
    /// node carry one out meanwhile, the head moves, and nothing of this is appended.
    async fn learn_answered(&mut self, submission: &mut Submission) -> Result<Answered, Setback> {
        let counts = submission.command_ids();
        if counts.is_empty() {
            return Ok(Answered::new());
        }
        let store = Arc::clone(&self.store);
        let ids: Vec<CommandId> = counts.keys().cloned().collect();
        let mut answered = Answered::new();
        for first in self.ask(submission, store.answered(&ids)).await? {
            let Some(key) = first.command.clone() else {
                continue;
            };
            let rest = store.read(first.seq, counts.get(&key.id).map_or(0, |count| count - 1));
            let rest = self.ask(submission, rest).await?;
            let changes = std::iter::once(first).chain(rest).collect();
            answered.insert(key.id.clone(), changes);
        }
        Ok(answered)
    }

    /// The changes whose contents are asked for. The past stays as it is, so what is read holds at any head.
    async fn learn_sources(&mut self, submission: &mut Submission) -> Result<Sources, Setback> {
        let store = Arc::clone(&self.store);
        let mut sources = Sources::new();
        for (id, version) in submission.sources() {
            let found = self.ask(submission, store.version(&id, version)).await?;
            sources.extend(found.map(|change| ((id, version), change)));
        }
        Ok(sources)
    }

    /// Makes sure that nothing but refusals rests on facts that still hold. An append would prove it.
    async fn confirm(&mut self, facts: &Facts, submission: &mut Submission) -> Result<(), Setback> {
        let store = Arc::clone(&self.store);
        if !facts.remembered {
            return Ok(());
        }
        match self.ask(submission, store.head()).await? == facts.head {
            true => Ok(()),
            false => Err(Setback::Moved),
        }
    }

    async fn append(
        &mut self,
        head: Seq,
        changes: Vec<Arc<Change>>,
        submission: &mut Submission,
    ) -> Result<(), Setback> {
        let batch = Arc::new(Batch {
            id: Uuid::now_v7(),
            after: head,
            changes,
        });
        self.append_for_certain(&batch, submission).await?;
        self.head = Some(head.plus(batch.changes.len()));
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
    ) -> Result<(), Setback> {
        let store = Arc::clone(&self.store);
        let mut in_doubt = false;
        loop {
            let appended = self
                .attend(submission, &Refused::Unknown, store.append(batch))
                .await;
            match appended {
                Ok(()) => return Ok(()),
                Err(AppendError::Moved | AppendError::Replaced) if in_doubt => {
                    return self.settle(batch, submission).await;
                }
                Err(AppendError::Moved) => return Err(Setback::Moved),
                Err(AppendError::Replaced) => return Err(Setback::Replaced),
                Err(AppendError::Failed(error)) if !in_doubt => return Err(Setback::Failed(error)),
                Err(AppendError::Failed(_)) => {}
                Err(AppendError::Unknown(reason)) => {
                    tracing::warn!(%reason, batch.after = batch.after.get(), "the outcome of a commit is in doubt");
                    in_doubt = true;
                }
            }
            self.attend(submission, &Refused::Unknown, sleep(RETRY_DELAY))
                .await;
        }
    }

    /// The head has moved while the outcome was in doubt: was it this batch that moved it?
    async fn settle(&mut self, batch: &Batch, submission: &mut Submission) -> Result<(), Setback> {
        let store = Arc::clone(&self.store);
        loop {
            let held = self
                .attend(submission, &Refused::Unknown, store.holds(batch))
                .await;
            match held {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Setback::Replaced),
                Err(_) => {
                    self.attend(submission, &Refused::Unknown, sleep(RETRY_DELAY))
                        .await
                }
            }
        }
    }

    /// Asks the store something, while nothing is written: who waits too long hears `Unavailable`.
    async fn ask<T>(
        &mut self,
        submission: &mut Submission,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Setback> {
        self.attend(submission, &Refused::Unavailable, question)
            .await
            .map_err(Setback::Failed)
    }

    /// Waits for work with the store. Those of the submission who wait past their deadline hear `why`;
    /// those who still queue behind it hear `Unavailable`.
    async fn attend<T>(
        &mut self,
        submission: &mut Submission,
        why: &Refused,
        work: impl Future<Output = T>,
    ) -> T {
        let watched = submission.watch(why, work);
        self.mailbox
            .attend(watched, || Err(Refused::Unavailable))
            .await
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
                changes.iter().for_each(|change| self.recent.learn(change));
                self.head = changes.last().map(|last| last.seq);
            }
            // The head moved, yet there is nothing: nothing that is remembered can be trusted.
            Ok(_) | Err(_) => self.forget(),
        }
    }

    fn forget(&mut self) {
        self.head = None;
        self.recent.forget();
    }
}

/// What callers hear if it is the store's state that is at fault, not what it was asked to take.
fn passing(error: &StoreError) -> Option<Refused> {
    match error {
        StoreError::Unavailable(_) | StoreError::QueryTooSlow => Some(Refused::Unavailable),
        StoreError::Full(_) => Some(Refused::StorageFull),
        StoreError::Unwritable(_) => Some(Refused::StorageFailed),
        StoreError::CannotSort
        | StoreError::SortTooLarge
        | StoreError::Refused(_)
        | StoreError::Corrupt { .. } => None,
    }
}

//! The task that decides, appends and answers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use uuid::Uuid;

use super::clock::Clock;
use super::mailbox::Mailbox;
use super::recent::Recent;
use super::submission::{Replies, Submission};
use super::{Outcome, Refused};
use crate::domain::{Change, Command, Event, EventId, Seq, Stamp, Timestamp, decide};
use crate::limits;
use crate::store::{AppendError, Batch, Store, StoreError};

/// Invariant: `recent` holds events as they are at `head`. A successful append proves both current;
/// when it fails otherwise than certainly, both are forgotten and learned anew.
pub(super) struct Committer {
    store: Arc<dyn Store>,
    mailbox: Mailbox<Command, Outcome>,
    head: Option<Seq>,
    recent: Recent,
    clock: Clock,
}

/// Decided, not yet durable.
struct Decided {
    outcomes: Vec<Outcome>,
    changes: Vec<Arc<Change>>,
}

/// What there is to decide on.
struct Facts {
    head: Seq,
    states: States,
    /// Some of it was remembered rather than read now, so another node may have changed it.
    remembered: bool,
}

/// Why a batch was certainly not appended.
enum Setback {
    Moved,
    Failed(StoreError),
}

/// How an attempt to commit ended.
enum Attempt {
    /// Everyone has an answer.
    Answered,
    /// Another node wrote first: decide again.
    Moved,
    /// The store refuses something in it: find out what, one by one.
    Refused,
}

/// Between attempts to reach a store that is away, or to get in before another node.
const RETRY_DELAY: Duration = Duration::from_millis(50);

impl Committer {
    pub(super) fn new(store: Arc<dyn Store>, mailbox: Mailbox<Command, Outcome>) -> Self {
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
            let mut rest = Some(Submission::open(letters));
            while let Some(mut submission) = rest.take() {
                let ended = self.commit(&mut submission, &mut rest).await;
                if matches!(ended, Attempt::Refused) {
                    self.commit_singly(submission).await;
                }
            }
        }
    }

    async fn commit_singly(&mut self, submission: Submission) {
        for mut alone in submission.split() {
            if matches!(self.commit(&mut alone, &mut None).await, Attempt::Refused) {
                alone.replies.refuse(&Refused::Internal);
            }
        }
    }

    /// Decides and appends until everyone has an answer, or the store refuses. Commands whose changes
    /// would be too much for one append are left in `rest`.
    async fn commit(
        &mut self,
        submission: &mut Submission,
        rest: &mut Option<Submission>,
    ) -> Attempt {
        while !submission.replies.refuse_if_late(&Refused::Unavailable) {
            match self.attempt(submission, rest).await {
                Attempt::Moved => self.forget(),
                ended @ (Attempt::Answered | Attempt::Refused) => return ended,
            }
        }
        Attempt::Answered
    }

    async fn attempt(
        &mut self,
        submission: &mut Submission,
        rest: &mut Option<Submission>,
    ) -> Attempt {
        let mut facts = match self.learn(submission).await {
            Ok(facts) => facts,
            Err(error) => return fail(&mut submission.replies, &error),
        };
        let decided = decide_all(&submission.commands, &mut facts, self.clock.now());
        submission.put_off(decided.outcomes.len(), rest);
        let settled = match decided.changes.is_empty() {
            true => self.confirm(&facts).await,
            false => {
                self.append(facts.head, decided.changes, &mut submission.replies)
                    .await
            }
        };
        match settled {
            Ok(()) => submission.replies.answer(decided.outcomes),
            Err(Setback::Moved) => return Attempt::Moved,
            Err(Setback::Failed(error)) => return fail(&mut submission.replies, &error),
        }
        Attempt::Answered
    }

    /// Makes sure that nothing but refusals rests on facts that still hold. An append would prove it.
    async fn confirm(&mut self, facts: &Facts) -> Result<(), Setback> {
        if !facts.remembered {
            return Ok(());
        }
        let store = Arc::clone(&self.store);
        match self.attend(async move { store.head().await }).await {
            Ok(head) if head == facts.head => Ok(()),
            Ok(_) => Err(Setback::Moved),
            Err(error) => Err(Setback::Failed(error)),
        }
    }

    /// The head, and the events that the commands name, as they are there.
    async fn learn(&mut self, submission: &Submission) -> Result<Facts, StoreError> {
        let store = Arc::clone(&self.store);
        let head = match self.head {
            Some(head) => head,
            None => self.attend(async move { store.head().await }).await?,
        };
        self.head = Some(head);
        let mut states = States::new();
        let mut missing = HashSet::new();
        for id in submission
            .commands
            .iter()
            .filter_map(|(_, command)| command.target())
        {
            match self.recent.get(id) {
                Some(event) => drop(states.insert(id.clone(), event)),
                None => drop(missing.insert(id.clone())),
            }
        }
        let remembered = !states.is_empty();
        if !missing.is_empty() {
            let ids: Vec<EventId> = missing.into_iter().collect();
            let store = Arc::clone(&self.store);
            let loaded = self.attend(async move { store.load(&ids).await }).await?;
            states.extend(
                loaded
                    .into_iter()
                    .map(|event| (event.id.clone(), Arc::new(event))),
            );
        }
        Ok(Facts {
            head,
            states,
            remembered,
        })
    }

    async fn append(
        &mut self,
        head: Seq,
        changes: Vec<Arc<Change>>,
        replies: &mut Replies,
    ) -> Result<(), Setback> {
        let batch = Arc::new(Batch {
            id: Uuid::now_v7(),
            after: head,
            changes,
        });
        self.append_for_certain(&batch, replies).await?;
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
        replies: &mut Replies,
    ) -> Result<(), Setback> {
        let mut in_doubt = false;
        loop {
            let store = Arc::clone(&self.store);
            let same = Arc::clone(batch);
            let appending = replies.watch(async move { store.append(&same).await });
            match self.attend(appending).await {
                Ok(()) => return Ok(()),
                Err(AppendError::Moved) if in_doubt => return self.settle(batch, replies).await,
                Err(AppendError::Moved) => return Err(Setback::Moved),
                Err(AppendError::Failed(error)) if !in_doubt => return Err(Setback::Failed(error)),
                Err(AppendError::Failed(_)) => {}
                Err(AppendError::Unknown(reason)) => {
                    tracing::warn!(%reason, batch.after = batch.after.get(), "the outcome of a commit is in doubt");
                    in_doubt = true;
                }
            }
            self.attend(replies.watch(sleep(RETRY_DELAY))).await;
        }
    }

    /// The head has moved while the outcome was in doubt: was it this batch that moved it?
    async fn settle(&mut self, batch: &Arc<Batch>, replies: &mut Replies) -> Result<(), Setback> {
        loop {
            let store = Arc::clone(&self.store);
            let same = Arc::clone(batch);
            let looking = replies.watch(async move { store.holds(&same).await });
            match self.attend(looking).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Setback::Moved),
                Err(_) => self.attend(replies.watch(sleep(RETRY_DELAY))).await,
            }
        }
    }

    async fn attend<F: Future>(&mut self, work: F) -> F::Output {
        self.mailbox
            .attend(work, || Err(Refused::Unavailable))
            .await
    }

    fn forget(&mut self) {
        self.head = None;
        self.recent.forget();
    }
}

/// Events as they are at the point of deciding; one that is not there is not there.
type States = HashMap<EventId, Arc<Event>>;

/// Decides the commands in order, each seeing what the ones before it did, until their changes are
/// enough for one append: a small command can make a large change.
fn decide_all(commands: &[(EventId, Command)], facts: &mut Facts, at: Timestamp) -> Decided {
    let states = &mut facts.states;
    let mut decided = Decided {
        outcomes: Vec::with_capacity(commands.len()),
        changes: Vec::new(),
    };
    let mut bytes = 0;
    for (id, command) in commands {
        if bytes >= limits::BATCH_BYTES_MAX {
            break;
        }
        let stamp = Stamp {
            seq: facts.head.plus(decided.changes.len()).next(),
            at,
        };
        let outcome = decide(id.clone(), states.get(id).cloned(), command, stamp).map(Arc::new);
        if let Ok(change) = &outcome {
            match change.after() {
                Some(event) => drop(states.insert(id.clone(), Arc::clone(event))),
                None => drop(states.remove(id)),
            }
            bytes += change.weight();
            decided.changes.push(Arc::clone(change));
        }
        decided.outcomes.push(outcome.map_err(Refused::Rejected));
    }
    decided
}

/// Nothing was written, certainly: either everyone hears so, or the culprit has to be found.
fn fail(replies: &mut Replies, error: &StoreError) -> Attempt {
    match error {
        StoreError::Unavailable(_) | StoreError::QueryTooSlow => {
            replies.refuse(&Refused::Unavailable);
            Attempt::Answered
        }
        StoreError::CannotSort
        | StoreError::SortTooLarge
        | StoreError::Refused(_)
        | StoreError::Corrupt { .. } => {
            tracing::error!(%error, "the store refused a batch");
            Attempt::Refused
        }
    }
}

//! Loads the decision context: of the command batches of a submission, in order, as many as the budget has room for. The
//! others are deferred.
//!
//! What is loaded at once is at most [`limits::CONTEXT_BYTES_MAX`], or what the first command batch alone needs, up to
//! [`limits::COMMAND_BATCH_CONTEXT_BYTES_MAX`], and the one event or change beyond either that was last read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::SubmitError;
use super::committer::{AttemptError, Committer};
use super::context::{DecisionContext, DedupHits, LastVersions, RestoreSources, States};
use super::holders::Holders;
use super::submission::Submission;
use crate::domain::{Change, CommandId, Event, EventId, Rejection, Seq};
use crate::limits;
use crate::store::StoreError;

/// Bytes that may still be loaded.
struct LoadBudget(usize);

impl LoadBudget {
    fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    fn is_left(&self) -> bool {
        self.0 > 0
    }
}

/// The events that command batches name, as far as they are known.
#[derive(Default)]
struct KnownEvents {
    states: States,
    /// The part of `states` that was read from the store.
    loaded: Vec<Arc<Event>>,
    /// How many command batches, from the first on, have all their events in `states` or `missing`.
    count: usize,
    /// Events that are to be loaded.
    missing: Vec<EventId>,
    /// Whether the cache had some of them.
    is_cached: bool,
}

impl Committer {
    /// The head, and the state there that the command batches are decided on. Batches for which there is no room are
    /// deferred; the first is refused if it alone needs too much.
    pub(super) async fn load_context(
        &mut self,
        submission: &mut Submission,
    ) -> Result<DecisionContext, AttemptError> {
        let head = match self.head {
            Some(head) => head,
            None => self.load_head(submission).await?,
        };
        let mut budget = LoadBudget(limits::CONTEXT_BYTES_MAX);
        let known = self.load_states(submission, &mut budget).await?;
        let last_versions = self.load_last_versions(&known.states, submission).await?;
        Ok(DecisionContext {
            head,
            states: known.states,
            loaded: known.loaded,
            last_versions,
            dedup_hits: self.load_dedup_hits(submission, &mut budget).await?,
            restore_sources: self.load_restore_sources(submission, &mut budget).await?,
            holders: Holders::new(Arc::clone(&self.index_rules)),
            is_mixed: known.is_cached,
        })
    }

    /// The head of the log, with the time of its last change, which no later change may precede.
    async fn load_head(&mut self, submission: &mut Submission) -> Result<Seq, AttemptError> {
        let store = Arc::clone(&self.store);
        let head = self.read_store(submission, store.head()).await?;
        if head != Seq::ZERO {
            match self
                .read_store(submission, store.read(head.before(), 1))
                .await
            {
                Ok(last) => self.clock.observe(&last),
                // Readers of that change are told; writing goes on without its time.
                Err(AttemptError::Failed(error @ StoreError::Corrupt { .. })) => {
                    tracing::error!(%error, "the time of the log's last change cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        self.head = Some(head);
        Ok(head)
    }

    async fn load_states(
        &mut self,
        submission: &mut Submission,
        budget: &mut LoadBudget,
    ) -> Result<KnownEvents, AttemptError> {
        let mut known = self.take_from_cache(submission, budget);
        let unread = self.load_missing(submission, &mut known, budget).await?;
        if !unread.is_empty() {
            let mut batches = submission.named_targets().take(known.count);
            let first_unread =
                batches.position(|mut targets| targets.any(|id| unread.contains(id)));
            known.count = first_unread.unwrap_or(known.count);
        }
        if known.count == 0 {
            self.load_first(submission, &mut known, &unread, budget)
                .await?;
        }
        self.defer(submission, known.count);
        Ok(known)
    }

    /// Loads missing events while there is room; returns those that were not read.
    async fn load_missing(
        &mut self,
        submission: &mut Submission,
        known: &mut KnownEvents,
        budget: &mut LoadBudget,
    ) -> Result<HashSet<EventId>, AttemptError> {
        let mut missing = std::mem::take(&mut known.missing);
        if missing.is_empty() {
            return Ok(HashSet::new());
        }
        let store = Arc::clone(&self.store);
        let loaded = self
            .read_store(submission, store.load(&missing, budget.0))
            .await?;
        for event in loaded.events.into_iter().map(Arc::new) {
            budget.spend(event.approx_bytes());
            known.states.insert(event.id.clone(), Arc::clone(&event));
            known.loaded.push(event);
        }
        let unread = missing.split_off(loaded.looked_at.min(missing.len()));
        self.load_limit = match unread.is_empty() {
            true => (self.load_limit * 2).min(limits::COMMIT_COUNT_MAX),
            false => loaded.looked_at,
        };
        Ok(unread.into_iter().collect())
    }

    /// Loads the rest of the events that the first command batch names, on a larger budget of its own.
    async fn load_first(
        &mut self,
        submission: &mut Submission,
        known: &mut KnownEvents,
        unread: &HashSet<EventId>,
        budget: &mut LoadBudget,
    ) -> Result<(), AttemptError> {
        let first = submission.named_targets().next().into_iter().flatten();
        let missing: HashSet<&EventId> = first.filter(|id| unread.contains(*id)).collect();
        known.missing = missing.into_iter().cloned().collect();
        *budget = LoadBudget(limits::COMMAND_BATCH_CONTEXT_BYTES_MAX - limits::CONTEXT_BYTES_MAX);
        let unread = self.load_missing(submission, known, budget).await?;
        match unread.is_empty() {
            true => known.count = 1,
            false => submission.refuse_first(too_large()),
        }
        Ok(())
    }

    /// Takes events that are named from the cache, command batch by command batch while there is room; at least those of
    /// the first.
    fn take_from_cache(&mut self, submission: &Submission, budget: &mut LoadBudget) -> KnownEvents {
        let mut known = KnownEvents::default();
        let mut missing = HashSet::new();
        for targets in submission.named_targets() {
            let is_enough = !budget.is_left() || known.missing.len() >= self.load_limit;
            if known.count > 0 && is_enough {
                break;
            }
            known.count += 1;
            for id in targets {
                if known.states.contains_key(id) || missing.contains(id) {
                    continue;
                }
                match self.cache.get(id) {
                    Some(event) => {
                        budget.spend(event.approx_bytes());
                        known.states.insert(id.clone(), event);
                    }
                    None => {
                        missing.insert(id.clone());
                        known.missing.push(id.clone());
                    }
                }
            }
        }
        known.is_cached = !known.states.is_empty();
        known
    }

    /// The highest versions of events that may be created again: of those that do not exist, or may be deleted by an
    /// earlier command. The view does not hold them.
    async fn load_last_versions(
        &mut self,
        states: &States,
        submission: &mut Submission,
    ) -> Result<LastVersions, AttemptError> {
        let deleted = submission.deleted();
        let may_be_absent = |id: &&EventId| !states.contains_key(*id) || deleted.contains(*id);
        let recreated: HashSet<&EventId> = submission.created().filter(may_be_absent).collect();
        if recreated.is_empty() {
            return Ok(LastVersions::new());
        }
        let ids: Vec<EventId> = recreated.into_iter().cloned().collect();
        let store = Arc::clone(&self.store);
        let versions = store.last_versions(&ids);
        let versions = self.read_store(submission, versions).await?;
        Ok(versions.into_iter().collect())
    }

    /// The changes of command batches that were carried out before. Read after the head is known: should another node
    /// carry one out meanwhile, the head moves, and nothing of this is appended.
    async fn load_dedup_hits(
        &mut self,
        submission: &mut Submission,
        budget: &mut LoadBudget,
    ) -> Result<DedupHits, AttemptError> {
        let command_ids: Vec<Option<(CommandId, usize)>> = submission.command_ids().collect();
        let ids: HashSet<&CommandId> = command_ids.iter().flatten().map(|(id, _)| id).collect();
        let ids: Vec<CommandId> = ids.into_iter().cloned().collect();
        if ids.is_empty() {
            return Ok(DedupHits::new());
        }
        let store = Arc::clone(&self.store);
        let first_seqs = self.read_store(submission, store.answered(&ids)).await?;
        let first_seqs: HashMap<CommandId, Seq> = first_seqs.into_iter().collect();
        let mut dedup_hits = DedupHits::new();
        for (index, (id, count)) in command_ids.into_iter().enumerate().filter_map(with_index) {
            let held = dedup_hits.get(&id).map_or(0, Vec::len);
            let Some(first) = first_seqs.get(&id).filter(|_| held < count) else {
                continue;
            };
            if index > 0 && !budget.is_left() {
                self.defer(submission, index);
                break;
            }
            let changes = self.read_from(submission, *first, count).await?;
            for change in &changes {
                budget.spend(change.approx_bytes());
            }
            dedup_hits.insert(id, changes);
        }
        Ok(dedup_hits)
    }

    /// So many changes of the log from `first` on, or all there are.
    async fn read_from(
        &mut self,
        submission: &mut Submission,
        first: Seq,
        count: usize,
    ) -> Result<Vec<Arc<Change>>, AttemptError> {
        let store = Arc::clone(&self.store);
        let mut changes: Vec<Arc<Change>> = Vec::new();
        while changes.len() < count {
            let after = first.before().plus(changes.len());
            let read = store.read(after, count - changes.len());
            match self.read_store(submission, read).await? {
                page if page.is_empty() => break,
                page => changes.extend(page),
            }
        }
        Ok(changes)
    }

    /// The changes whose contents RESTOREs name. The log does not change, so they hold at any head.
    async fn load_restore_sources(
        &mut self,
        submission: &mut Submission,
        budget: &mut LoadBudget,
    ) -> Result<RestoreSources, AttemptError> {
        let store = Arc::clone(&self.store);
        let mut sources = RestoreSources::new();
        let mut spent = 0;
        for (index, id, version) in submission.restored_versions() {
            if sources.contains_key(&(id.clone(), version)) {
                continue;
            }
            if index > 0 && !budget.is_left() {
                self.defer(submission, index);
                break;
            }
            if spent > limits::COMMAND_BATCH_CONTEXT_BYTES_MAX {
                submission.refuse_first(too_large());
                self.defer(submission, 0);
                break;
            }
            let read = store.version(&id, version);
            if let Some(change) = self.read_store(submission, read).await? {
                budget.spend(change.approx_bytes());
                spent += change.approx_bytes();
                sources.insert((id, version), change);
            }
        }
        Ok(sources)
    }
}

/// The index of a command batch in its submission, beside what it has.
fn with_index<T>((index, item): (usize, Option<T>)) -> Option<(usize, T)> {
    Some((index, item?))
}

fn too_large() -> SubmitError {
    SubmitError::Rejected(Rejection::BatchTooLarge, None)
}

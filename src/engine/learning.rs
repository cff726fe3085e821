//! What the committer learns before it decides: of the orders that are next, in order, as many as there is room
//! for.
//!
//! Whatever they weigh, what is known at once is [`limits::FACTS_BYTES_MAX`], or what the first order alone
//! takes, up to [`limits::ORDER_FACTS_BYTES_MAX`], and the one thing beyond either that was last looked up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::SubmitError;
use super::committer::{AttemptError, Committer};
use super::context::{DecisionContext, DedupHits, LastVersions, RestoreSources, States};
use super::submission::Submission;
use crate::domain::{Change, CommandId, Event, EventId, Rejection, Seq};
use crate::limits;
use crate::store::StoreError;

/// Bytes that may still be taken in.
struct LoadBudget(usize);

impl LoadBudget {
    fn take(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    fn is_left(&self) -> bool {
        self.0 > 0
    }
}

/// What is known of the events that orders name.
#[derive(Default)]
struct KnownEvents {
    states: States,
    loaded: Vec<Arc<Event>>,
    /// Orders, from the first on, whose events were looked at as far as there was room.
    orders: usize,
    /// Of those events the ones to be loaded.
    missing: Vec<EventId>,
    remembered: bool,
}

impl Committer {
    /// The head, and what the orders rest on, as it is there. Orders for which there is no room are put off; the
    /// first is refused if there could never be.
    pub(super) async fn learn(
        &mut self,
        submission: &mut Submission,
    ) -> Result<DecisionContext, AttemptError> {
        let head = match self.head {
            Some(head) => head,
            None => self.learn_head(submission).await?,
        };
        let mut room = LoadBudget(limits::FACTS_BYTES_MAX);
        let known = self.learn_states(submission, &mut room).await?;
        let last_versions = self.learn_last_versions(&known.states, submission).await?;
        Ok(DecisionContext {
            head,
            states: known.states,
            loaded: known.loaded,
            last_versions,
            answered: self.learn_answered(submission, &mut room).await?,
            sources: self.learn_sources(submission, &mut room).await?,
            remembered: known.remembered,
        })
    }

    /// The end of the log, and the time there, before which nothing may happen any more.
    async fn learn_head(&mut self, submission: &mut Submission) -> Result<Seq, AttemptError> {
        let store = Arc::clone(&self.store);
        let head = self.ask(submission, store.head()).await?;
        if head != Seq::ZERO {
            match self.ask(submission, store.read(head.before(), 1)).await {
                Ok(last) => self.clock.see(&last),
                // Whoever reads it hears so; it is no reason to write nothing any more.
                Err(AttemptError::Failed(error @ StoreError::Corrupt { .. })) => {
                    tracing::error!(%error, "the time of the log's last change cannot be read");
                }
                Err(setback) => return Err(setback),
            }
        }
        self.head = Some(head);
        Ok(head)
    }

    async fn learn_states(
        &mut self,
        submission: &mut Submission,
        room: &mut LoadBudget,
    ) -> Result<KnownEvents, AttemptError> {
        let mut known = self.remember(submission, room);
        let unknown = self.load(submission, &mut known, room).await?;
        if !unknown.is_empty() {
            let mut orders = submission.targets().take(known.orders);
            let at = orders.position(|mut targets| targets.any(|id| unknown.contains(id)));
            known.orders = at.unwrap_or(known.orders);
        }
        if known.orders == 0 {
            self.load_first(submission, &mut known, &unknown, room)
                .await?;
        }
        self.put_off(submission, known.orders);
        Ok(known)
    }

    /// Loads what is missing while there is room; what was not looked at.
    async fn load(
        &mut self,
        submission: &mut Submission,
        known: &mut KnownEvents,
        room: &mut LoadBudget,
    ) -> Result<HashSet<EventId>, AttemptError> {
        let mut missing = std::mem::take(&mut known.missing);
        if missing.is_empty() {
            return Ok(HashSet::new());
        }
        let store = Arc::clone(&self.store);
        let loaded = self.ask(submission, store.load(&missing, room.0)).await?;
        for event in loaded.events.into_iter().map(Arc::new) {
            room.take(event.weight());
            known.states.insert(event.id.clone(), Arc::clone(&event));
            known.loaded.push(event);
        }
        let unknown = missing.split_off(loaded.looked_at.min(missing.len()));
        self.load_count = match unknown.is_empty() {
            true => (self.load_count * 2).min(limits::BATCH_COUNT_MAX),
            false => loaded.looked_at,
        };
        Ok(unknown.into_iter().collect())
    }

    /// Loads the rest of what the first order names, for which the room of a batch is not enough.
    async fn load_first(
        &mut self,
        submission: &mut Submission,
        known: &mut KnownEvents,
        unknown: &HashSet<EventId>,
        room: &mut LoadBudget,
    ) -> Result<(), AttemptError> {
        let first = submission.targets().next().into_iter().flatten();
        let missing: HashSet<&EventId> = first.filter(|id| unknown.contains(*id)).collect();
        known.missing = missing.into_iter().cloned().collect();
        *room = LoadBudget(limits::ORDER_FACTS_BYTES_MAX - limits::FACTS_BYTES_MAX);
        match self.load(submission, known, room).await?.is_empty() {
            true => known.orders = 1,
            false => submission.refuse_first(too_large()),
        }
        Ok(())
    }

    /// What is remembered of the events that are named, order by order while there is room; at least one order.
    fn remember(&mut self, submission: &Submission, room: &mut LoadBudget) -> KnownEvents {
        let mut known = KnownEvents::default();
        let mut missing = HashSet::new();
        for targets in submission.targets() {
            let is_enough = !room.is_left() || known.missing.len() >= self.load_count;
            if known.orders > 0 && is_enough {
                break;
            }
            known.orders += 1;
            for id in targets {
                if known.states.contains_key(id) || missing.contains(id) {
                    continue;
                }
                match self.recent.get(id) {
                    Some(event) => {
                        room.take(event.weight());
                        known.states.insert(id.clone(), event);
                    }
                    None => {
                        missing.insert(id.clone());
                        known.missing.push(id.clone());
                    }
                }
            }
        }
        known.remembered = !known.states.is_empty();
        known
    }

    /// The highest versions of events that may be created anew: of those that are not there, or may be gone when
    /// their turn comes. The view does not tell them.
    async fn learn_last_versions(
        &mut self,
        states: &States,
        submission: &mut Submission,
    ) -> Result<LastVersions, AttemptError> {
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

    /// What was carried out before of these. Asked after the head is known: should another node carry one out
    /// meanwhile, the head moves, and nothing of this is appended.
    async fn learn_answered(
        &mut self,
        submission: &mut Submission,
        room: &mut LoadBudget,
    ) -> Result<DedupHits, AttemptError> {
        let keyed: Vec<Option<(CommandId, usize)>> = submission.keyed().collect();
        let ids: HashSet<&CommandId> = keyed.iter().flatten().map(|(id, _)| id).collect();
        let ids: Vec<CommandId> = ids.into_iter().cloned().collect();
        if ids.is_empty() {
            return Ok(DedupHits::new());
        }
        let store = Arc::clone(&self.store);
        let places = self.ask(submission, store.answered(&ids)).await?;
        let places: HashMap<CommandId, Seq> = places.into_iter().collect();
        let mut answered = DedupHits::new();
        for (at, (id, count)) in keyed.into_iter().enumerate().filter_map(with_place) {
            let held = answered.get(&id).map_or(0, Vec::len);
            let Some(first) = places.get(&id).filter(|_| held < count) else {
                continue;
            };
            if at > 0 && !room.is_left() {
                self.put_off(submission, at);
                break;
            }
            let changes = self.read_from(submission, *first, count).await?;
            changes.iter().for_each(|change| room.take(change.weight()));
            answered.insert(id, changes);
        }
        Ok(answered)
    }

    /// So many changes of the log from one on, or all there are.
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
            match self.ask(submission, read).await? {
                page if page.is_empty() => break,
                page => changes.extend(page),
            }
        }
        Ok(changes)
    }

    /// The changes whose contents are asked for. The past stays as it is, so what is read holds at any head.
    async fn learn_sources(
        &mut self,
        submission: &mut Submission,
        room: &mut LoadBudget,
    ) -> Result<RestoreSources, AttemptError> {
        let store = Arc::clone(&self.store);
        let mut sources = RestoreSources::new();
        let mut spent = 0;
        for (at, id, version) in submission.sources() {
            if sources.contains_key(&(id.clone(), version)) {
                continue;
            }
            if at > 0 && !room.is_left() {
                self.put_off(submission, at);
                break;
            }
            if spent > limits::ORDER_FACTS_BYTES_MAX {
                submission.refuse_first(too_large());
                self.put_off(submission, 0);
                break;
            }
            let found = self.ask(submission, store.version(&id, version)).await?;
            if let Some(change) = found {
                room.take(change.weight());
                spent += change.weight();
                sources.insert((id, version), change);
            }
        }
        Ok(sources)
    }
}

/// The place of an order in its batch, beside what it has.
fn with_place<T>((at, it): (usize, Option<T>)) -> Option<(usize, T)> {
    Some((at, it?))
}

fn too_large() -> SubmitError {
    SubmitError::Rejected(Rejection::OrderTooLarge, None)
}

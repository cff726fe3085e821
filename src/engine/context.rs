//! What a batch is decided on, and the decisions.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Done, Outcome, SubmitError};
use crate::domain::{
    Change, Command, CommandBatch, CommandId, Event, EventId, EventState, Kind, Rejection, Seq,
    Stamp, Timestamp, Together, decide,
};
use crate::limits;
use crate::value::Steps;

/// Decided, not yet durable.
pub(super) struct Decided {
    pub(super) outcomes: Vec<Outcome>,
    /// Of each outcome: bytes that it took to decide and to write it.
    pub(super) costs: Vec<usize>,
    pub(super) changes: Vec<Arc<Change>>,
}

/// What there is to decide on.
pub(super) struct DecisionContext {
    pub(super) head: Seq,
    pub(super) states: States,
    /// Of those that are not there, or may be gone when a command brings them back.
    pub(super) last_versions: LastVersions,
    /// Of the states those that were read now.
    pub(super) loaded: Vec<Arc<Event>>,
    pub(super) answered: DedupHits,
    pub(super) sources: RestoreSources,
    /// Some of it was remembered rather than read now, so another node may have changed it.
    pub(super) remembered: bool,
}

/// Events as they are at the point of deciding; one that is not there is not there.
pub(super) type States = HashMap<EventId, Arc<Event>>;

/// The highest version that an event ever had; one that never was is not there.
pub(super) type LastVersions = HashMap<EventId, u64>;

/// Changes by the id of the order that they carried out.
pub(super) type DedupHits = HashMap<CommandId, Vec<Arc<Change>>>;

/// Changes by the event and the version that they left it at.
pub(super) type RestoreSources = HashMap<(EventId, u64), Arc<Change>>;

/// Decides the orders one after the other, each seeing what the ones before it did, until their changes are
/// enough for one append (a small command can make a large change) or have taken long enough to decide.
pub(super) fn decide_all<'a>(
    orders: impl Iterator<Item = (&'a [EventId], &'a CommandBatch)>,
    facts: &mut DecisionContext,
    at: Timestamp,
) -> Decided {
    let mut decided = Decided {
        outcomes: Vec::new(),
        costs: Vec::new(),
        changes: Vec::new(),
    };
    let mut bytes = 0;
    let mut steps = 0;
    for (ids, order) in orders {
        if bytes >= limits::BATCH_BYTES_MAX || steps >= limits::BATCH_STEPS_MAX {
            break;
        }
        let head = facts.head.plus(decided.changes.len());
        let outcome = match facts.answer(order) {
            Some(answer) => answer,
            None => {
                let own = Steps::new(limits::ORDER_STEPS_MAX);
                let stamp = Stamp { seq: head, at };
                let outcome = facts.decide(ids, order, stamp, &decided.changes, &own);
                steps += own.taken();
                outcome
            }
        };
        let cost = match &outcome {
            Ok(done) => weight(&done.changes),
            Err(_) => facts.weight_of(ids),
        };
        if let Ok(done) = &outcome
            && !done.is_repeated
        {
            bytes += cost;
            decided.changes.extend_from_slice(&done.changes);
        }
        decided.costs.push(cost);
        decided.outcomes.push(outcome);
    }
    decided
}

fn weight(changes: &[Arc<Change>]) -> usize {
    changes.iter().map(|change| change.weight()).sum()
}

impl DecisionContext {
    /// Bytes of what these events are.
    fn weight_of(&self, ids: &[EventId]) -> usize {
        let states = ids.iter().filter_map(|id| self.states.get(id));
        states.map(|event| event.weight()).sum()
    }

    /// The answer to an order that was carried out before.
    fn answer(&self, order: &CommandBatch) -> Option<Outcome> {
        let asked = order.key.as_ref()?;
        let changes = self.answered.get(&asked.key.id)?;
        let first = changes.first()?;
        // More were read if another order in the batch has the same id.
        let own = order.commands.len().min(changes.len());
        if let Some(erased) = changes[..own].iter().find(|change| change.is_redacted()) {
            let id = erased.event_id().clone();
            return Some(Err(SubmitError::Rejected(Rejection::Redacted { id }, None)));
        }
        let kept = first.command.as_ref();
        Some(match kept.is_some_and(|kept| asked.is_of(kept)) {
            true => Ok(Done {
                changes: changes[..own].to_vec(),
                is_repeated: true,
            }),
            false => {
                let id = asked.key.id.clone();
                Err(SubmitError::Rejected(
                    Rejection::CommandIdReused { id },
                    None,
                ))
            }
        })
    }

    /// Decides all commands of an order after `head`, or none, and takes their changes in for those who come
    /// after. `decided` are the changes before, which the log does not have yet.
    fn decide(
        &mut self,
        ids: &[EventId],
        order: &CommandBatch,
        head: Stamp,
        decided: &[Arc<Change>],
        steps: &Steps,
    ) -> Outcome {
        let mut changes: Vec<Arc<Change>> = Vec::with_capacity(ids.len());
        let mut together = Together::default();
        for (at, (id, command)) in ids.iter().zip(&order.commands).enumerate() {
            let stamp = Stamp {
                seq: head.seq.plus(at).next(),
                ..head
            };
            let state = EventState {
                id: id.clone(),
                current: self.states.get(id).cloned(),
                last_version: self.last_versions.get(id).copied().unwrap_or(0),
                earlier: self.source(command, decided, &changes),
            };
            let admitted = order.guard.check(&state);
            match admitted.and_then(|()| decide(&state, command, stamp, steps)) {
                Ok(change) => {
                    // The first stands for all: they are found one after the other.
                    let first = order.key.as_ref().filter(|_| at == 0);
                    let command = first.map(|asked| Arc::clone(&asked.key));
                    let change = Arc::new(Change { command, ..change });
                    self.take_in(&change);
                    changes.push(change);
                    if order.commands.len() > 1 && !together.take_in(&changes) {
                        self.undo(&changes);
                        return Err(SubmitError::Rejected(Rejection::OrderTooLarge, None));
                    }
                }
                Err(rejection) => {
                    self.undo(&changes);
                    let at = (order.commands.len() > 1).then_some(at);
                    return Err(SubmitError::Rejected(rejection, at));
                }
            }
        }
        if let Some(asked) = &order.key {
            self.answered.insert(asked.key.id.clone(), changes.clone());
        }
        Ok(Done {
            changes,
            is_repeated: false,
        })
    }

    /// The newest change that left the event at the version asked for.
    fn source(
        &self,
        command: &Command,
        decided: &[Arc<Change>],
        own: &[Arc<Change>],
    ) -> Option<Arc<Change>> {
        let (id, version) = command.source()?;
        let is_it = |change: &&Arc<Change>| change.event_id() == id && change.version() == version;
        let unwritten = own.iter().rev().chain(decided.iter().rev()).find(is_it);
        let written = || self.sources.get(&(id.clone(), version));
        unwritten.or_else(written).cloned()
    }

    fn take_in(&mut self, change: &Change) {
        let id = change.event_id();
        self.put(id, change.after());
        if change.kind() == Kind::Delete {
            let last = self.last_versions.entry(id.clone()).or_default();
            // An older log may have had higher ones in a life before.
            *last = change.version().max(*last);
        }
    }

    fn undo(&mut self, changes: &[Arc<Change>]) {
        for change in changes.iter().rev() {
            let id = change.event_id();
            self.put(id, change.before());
            if change.kind() == Kind::Create {
                // It may have been deleted again meanwhile.
                self.last_versions.insert(id.clone(), change.version() - 1);
            }
        }
    }

    fn put(&mut self, id: &EventId, event: Option<&Arc<Event>>) {
        match event {
            Some(event) => drop(self.states.insert(id.clone(), Arc::clone(event))),
            None => drop(self.states.remove(id)),
        }
    }
}

//! The decision context of a group of command batches, and the decisions.
//!
//! Each decision is applied to the context at once, so the next command is decided on what those before it did; a command
//! batch that is rejected is rolled back. Nothing here is durable: the committer appends the changes, or drops them
//! together with the context.

use std::collections::HashMap;
use std::sync::Arc;

use super::holders::{Holders, Undone};
use super::{Done, Order, Outcome, SubmitError};
use crate::domain::{
    BatchSize, Change, ChangeKind, Command, CommandBatch, CommandId, Event, EventId, EventState,
    Rejection, Seq, Stamp, Timestamp,
};
use crate::limits;
use crate::value::Steps;

/// Decisions that are not yet durable: of the first command batches of a group, in order.
pub(super) struct Decided {
    pub(super) outcomes: Vec<Outcome>,
    /// For each outcome, the bytes that it took to decide and to write it.
    pub(super) costs: Vec<usize>,
    /// Of all outcomes, contiguous after the context's head.
    pub(super) changes: Vec<Arc<Change>>,
}

/// The state that commands are decided on, as of `head`.
#[derive(Clone)]
pub(super) struct DecisionContext {
    pub(super) head: Seq,
    pub(super) states: States,
    /// Of events that are not in `states`, or may be deleted before a command creates them again.
    pub(super) last_versions: LastVersions,
    /// The part of `states` that was read from the store now.
    pub(super) loaded: Vec<Arc<Event>>,
    pub(super) dedup_hits: DedupHits,
    pub(super) restore_sources: RestoreSources,
    /// Of unique indexes.
    pub(super) holders: Holders,
    /// Whether some of it came from the cache, or was read after the rest, so that it may be of another head.
    pub(super) is_mixed: bool,
}

/// Events as they are when the next command is decided; absent are those that do not exist.
pub(super) type States = HashMap<EventId, Arc<Event>>;

/// The highest version that an event ever had; absent are those that never existed.
pub(super) type LastVersions = HashMap<EventId, u64>;

/// Changes that were carried out before, by the id of their command batch.
pub(super) type DedupHits = HashMap<CommandId, Vec<Arc<Change>>>;

/// Changes by their event and the version that they gave it.
pub(super) type RestoreSources = HashMap<(EventId, u64), Arc<Change>>;

/// Decides command batches one after the other, each on what those before it did, until their changes fill one
/// append (a small command can make a large change) or took enough steps to decide; or take as much of unique indexes as is
/// looked up at once, or what must be looked up first.
pub(super) fn decide_all<'a>(
    submitted: impl Iterator<Item = (&'a [EventId], &'a Order)>,
    context: &mut DecisionContext,
    at: Timestamp,
) -> Decided {
    let mut decided = Decided {
        outcomes: Vec::new(),
        costs: Vec::new(),
        changes: Vec::new(),
    };
    let mut bytes = 0;
    let mut steps = 0;
    for (ids, order) in submitted {
        let is_full = bytes >= limits::COMMIT_BYTES_MAX
            || steps >= limits::COMMIT_PULL_STEPS_MAX
            || context.holders.assumed_count() >= limits::UNIQUE_KEYS_LOOKED_UP_MAX;
        if is_full {
            break;
        }
        let head = context.head.plus(decided.changes.len());
        let outcome = match context.dedup_answer(&order.commands) {
            Some(answer) => answer,
            None => {
                let own = Steps::new(limits::PULL_STEPS_MAX);
                let stamp = Stamp { seq: head, at };
                let outcome = context.decide(ids, order, stamp, &decided.changes, &own);
                steps += own.taken();
                match outcome {
                    Some(outcome) => outcome,
                    None => break,
                }
            }
        };
        let cost = match &outcome {
            Ok(done) => bytes_of_changes(&done.changes),
            Err(_) => context.bytes_of(ids),
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

fn bytes_of_changes(changes: &[Arc<Change>]) -> usize {
    changes.iter().map(|change| change.approx_bytes()).sum()
}

impl DecisionContext {
    /// Bytes of these events' states.
    fn bytes_of(&self, ids: &[EventId]) -> usize {
        let states = ids.iter().filter_map(|id| self.states.get(id));
        states.map(|event| event.approx_bytes()).sum()
    }

    /// The answer to a command batch whose id was carried out before.
    fn dedup_answer(&self, commands: &CommandBatch) -> Option<Outcome> {
        let key = commands.key.as_ref()?;
        let changes = self.dedup_hits.get(&key.key.id)?;
        let first = changes.first()?;
        // More were read if a larger command batch in the group has the same id.
        let own = commands.commands.len().min(changes.len());
        if let Some(erased) = changes[..own].iter().find(|change| change.is_redacted()) {
            let id = erased.event_id().clone();
            return Some(Err(SubmitError::Rejected(Rejection::Redacted { id }, None)));
        }
        let stored = first.command.as_ref();
        Some(match stored.is_some_and(|stored| key.is_of(stored)) {
            true => Ok(Done {
                changes: changes[..own].to_vec(),
                is_repeated: true,
            }),
            false => Err(SubmitError::Rejected(Rejection::CommandIdReused, None)),
        })
    }

    /// Decides all commands of a batch after `head`, or none, and applies their changes for the batches after it.
    /// `decided` are the changes before, which the log does not have yet. `None` if something must be looked up first.
    fn decide(
        &mut self,
        ids: &[EventId],
        order: &Order,
        head: Stamp,
        decided: &[Arc<Change>],
        steps: &Steps,
    ) -> Option<Outcome> {
        let mut changes: Vec<Arc<Change>> = Vec::with_capacity(ids.len());
        let decided = match self.decide_each(ids, order, head, decided, steps, &mut changes) {
            Ok(()) => self.holders.take(&changes),
            refused => refused,
        };
        let commands = &order.commands;
        match decided {
            Ok(()) => {}
            Err(Undone::Unknown) => {
                self.roll_back(&changes);
                return None;
            }
            Err(Undone::Rejected(rejection, index)) => {
                self.roll_back(&changes);
                let index = index.filter(|_| commands.commands.len() > 1);
                return Some(Err(SubmitError::Rejected(rejection, index)));
            }
        }
        if let Some(key) = &commands.key {
            self.dedup_hits.insert(key.key.id.clone(), changes.clone());
        }
        Some(Ok(Done {
            changes,
            is_repeated: false,
        }))
    }

    /// Decides the commands of a batch one after the other, and applies their changes.
    fn decide_each(
        &mut self,
        ids: &[EventId],
        Order { commands, grant }: &Order,
        head: Stamp,
        decided: &[Arc<Change>],
        steps: &Steps,
        changes: &mut Vec<Arc<Change>>,
    ) -> Result<(), Undone> {
        debug_assert_eq!(ids.len(), commands.commands.len());
        let mut batch_size = BatchSize::default();
        for (index, (id, command)) in ids.iter().zip(&commands.commands).enumerate() {
            let stamp = Stamp {
                seq: head.seq.plus(index).next(),
                ..head
            };
            let state = EventState {
                id: id.clone(),
                current: self.states.get(id).cloned(),
                last_version: self.last_versions.get(id).copied().unwrap_or(0),
                earlier: self.restore_source(command, decided, changes),
            };
            let rejected = |rejection| Undone::Rejected(rejection, Some(index));
            let change = grant
                .decide(&state, &commands.precondition, command, stamp, steps)
                .map_err(rejected)?;
            self.holders.check(&change).map_err(rejected)?;
            // The first change carries the key of all: the others follow it in the log.
            let key = commands.key.as_ref().filter(|_| index == 0);
            let command = key.map(|key| Arc::clone(&key.key));
            let change = Arc::new(Change { command, ..change });
            self.apply(&change);
            changes.push(change);
            if commands.commands.len() > 1 && !batch_size.add_last(changes) {
                return Err(Undone::Rejected(Rejection::BatchTooLarge, None));
            }
        }
        Ok(())
    }

    /// The newest change that gave the event the version that a RESTORE names.
    fn restore_source(
        &self,
        command: &Command,
        decided: &[Arc<Change>],
        own: &[Arc<Change>],
    ) -> Option<Arc<Change>> {
        let (id, version) = command.source()?;
        let gave_it =
            |change: &&Arc<Change>| change.event_id() == id && change.version() == version;
        let unwritten = own.iter().rev().chain(decided.iter().rev()).find(gave_it);
        let written = || self.restore_sources.get(&(id.clone(), version));
        unwritten.or_else(written).cloned()
    }

    fn apply(&mut self, change: &Change) {
        let id = change.event_id();
        self.set_state(id, change.after());
        if change.kind() == ChangeKind::Delete {
            let last = self.last_versions.entry(id.clone()).or_default();
            // In older logs a version can be higher in an earlier life of the event.
            *last = change.version().max(*last);
        }
    }

    fn roll_back(&mut self, changes: &[Arc<Change>]) {
        for change in changes.iter().rev() {
            let id = change.event_id();
            self.set_state(id, change.before());
            if change.kind() == ChangeKind::Create {
                // A later command of the batch may have deleted it again, which raised its last version.
                self.last_versions.insert(id.clone(), change.version() - 1);
            }
        }
    }

    fn set_state(&mut self, id: &EventId, event: Option<&Arc<Event>>) {
        match event {
            Some(event) => drop(self.states.insert(id.clone(), Arc::clone(event))),
            None => drop(self.states.remove(id)),
        }
    }
}

//! What a batch is decided on, and the decisions.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Done, Outcome, Refused};
use crate::domain::{
    Change, CommandId, Event, EventId, Order, Rejection, Seq, Stamp, Timestamp, decide,
};
use crate::limits;

/// Decided, not yet durable.
pub(super) struct Decided {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) changes: Vec<Arc<Change>>,
}

/// What there is to decide on.
pub(super) struct Facts {
    pub(super) head: Seq,
    pub(super) states: States,
    pub(super) answered: Answered,
    /// Some of it was remembered rather than read now, so another node may have changed it.
    pub(super) remembered: bool,
}

/// Events as they are at the point of deciding; one that is not there is not there.
pub(super) type States = HashMap<EventId, Arc<Event>>;

/// Changes by the id of the command that they carried out.
pub(super) type Answered = HashMap<CommandId, Arc<Change>>;

/// Decides the commands in order, each seeing what the ones before it did, until their changes are
/// enough for one append: a small command can make a large change.
pub(super) fn decide_all<'a>(
    orders: impl Iterator<Item = (&'a EventId, &'a Order)>,
    facts: &mut Facts,
    at: Timestamp,
) -> Decided {
    let mut decided = Decided {
        outcomes: Vec::new(),
        changes: Vec::new(),
    };
    let mut bytes = 0;
    for (id, order) in orders {
        if bytes >= limits::BATCH_BYTES_MAX {
            break;
        }
        let stamp = Stamp {
            seq: facts.head.plus(decided.changes.len()).next(),
            at,
        };
        let outcome = match facts.answer(order) {
            Some(answer) => answer,
            None => facts.decide(id, order, stamp),
        };
        if let Ok(done) = &outcome
            && !done.is_repeated
        {
            bytes += done.change.weight();
            decided.changes.push(Arc::clone(&done.change));
        }
        decided.outcomes.push(outcome.map_err(Refused::Rejected));
    }
    decided
}

impl Facts {
    /// The answer to a command that was carried out before.
    fn answer(&self, order: &Order) -> Option<Result<Done, Rejection>> {
        let key = order.key.as_ref()?;
        let change = self.answered.get(&key.id)?;
        Some(match change.command.as_ref() == Some(key) {
            true => Ok(Done {
                change: Arc::clone(change),
                is_repeated: true,
            }),
            false => Err(Rejection::CommandIdReused { id: key.id.clone() }),
        })
    }

    /// Decides, and takes the change in for those who come after.
    fn decide(&mut self, id: &EventId, order: &Order, stamp: Stamp) -> Result<Done, Rejection> {
        let current = self.states.get(id).cloned();
        let change = Arc::new(Change {
            command: order.key.clone(),
            ..decide(id.clone(), current, &order.command, stamp)?
        });
        match change.after() {
            Some(event) => drop(self.states.insert(id.clone(), Arc::clone(event))),
            None => drop(self.states.remove(id)),
        }
        if let Some(key) = &order.key {
            self.answered.insert(key.id.clone(), Arc::clone(&change));
        }
        Ok(Done {
            change,
            is_repeated: false,
        })
    }
}

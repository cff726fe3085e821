//! Changes of the view that its table does not have yet.
//!
//! Random writes to the view's table cost several times the append to the log, so they wait here,
//! where the next change of the same event replaces them. A clone is a snapshot and costs nothing.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use crate::domain::{Change, Event, EventId};

/// What the view holds at an id: an event, or nothing since it was deleted.
pub(super) type Slot = Option<Arc<Event>>;

/// Ids whose slot differs from what the table holds, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Overlay {
    slots: OrdMap<EventId, Slot>,
    bytes: usize,
}

impl Overlay {
    /// `None` if the table knows best.
    pub(super) fn get(&self, id: &EventId) -> Option<&Slot> {
        self.slots.get(id)
    }

    /// The event as the change left it.
    pub(super) fn apply(&mut self, change: &Change) {
        let (id, slot) = (change.event_id(), change.after().cloned());
        self.bytes += weight(id, &slot);
        if let Some(old) = self.slots.insert(id.clone(), slot) {
            self.bytes -= weight(id, &old);
        }
    }

    /// Forgets a slot that the table now has.
    pub(super) fn remove(&mut self, id: &EventId) {
        if let Some(old) = self.slots.remove(id) {
            self.bytes -= weight(id, &old);
        }
    }

    /// Roughly the bytes this takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn range(
        &self,
        from: Bound<EventId>,
        to: Bound<EventId>,
    ) -> impl DoubleEndedIterator<Item = (&EventId, &Slot)> {
        self.slots.range((from, to))
    }
}

/// Roughly the bytes a slot takes in memory.
pub(super) fn weight(id: &EventId, slot: &Slot) -> usize {
    64 + id.as_str().len() + slot.as_ref().map_or(0, |event| event.weight())
}

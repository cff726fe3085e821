//! Cache of recently used events, so that changing a busy event needs no read.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::{Change, Event, EventId};
use crate::limits;

/// Events as they are at the writer's head, bounded in bytes.
///
/// Two generations: when the young one is full it becomes the old one, and what was the old one is evicted, except for
/// events that were used meanwhile. Valid only together with the head that the writer knows: see
/// [`clear`](Self::clear).
#[derive(Debug, Default)]
pub(super) struct EventCache {
    young: HashMap<EventId, Arc<Event>>,
    old: HashMap<EventId, Arc<Event>>,
    /// Of the young generation; an event that was replaced in it counts twice, so the bound is never passed.
    young_bytes: usize,
}

impl EventCache {
    pub(super) fn get(&mut self, id: &EventId) -> Option<Arc<Event>> {
        if let Some(event) = self.young.get(id) {
            return Some(Arc::clone(event));
        }
        let event = self.old.remove(id)?;
        self.insert_young(Arc::clone(&event));
        Some(event)
    }

    /// Applies a durable change.
    pub(super) fn apply(&mut self, change: &Change) {
        match change.after() {
            Some(event) => self.insert(event),
            None => {
                self.young.remove(change.event_id());
                self.old.remove(change.event_id());
            }
        }
    }

    /// Adds an event as it is at the head.
    pub(super) fn insert(&mut self, event: &Arc<Event>) {
        self.old.remove(&event.id);
        self.insert_young(Arc::clone(event));
    }

    /// Evicts everything: another node may have changed any of it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn insert_young(&mut self, event: Arc<Event>) {
        self.young_bytes += event.approx_bytes();
        self.young.insert(event.id.clone(), event);
        if self.young_bytes > limits::EVENT_CACHE_BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

//! Recently used events, so that changing a busy event needs no read.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::{Change, Event, EventId};
use crate::limits;

/// Events as of the writer's head, bounded in bytes.
///
/// Two generations: when the young one is full it becomes the old one, whose events are forgotten
/// unless they were used meanwhile. Only a writer that knows its head may keep it: see
/// [`forget`](Self::forget).
#[derive(Debug, Default)]
pub(super) struct EventCache {
    young: HashMap<EventId, Arc<Event>>,
    old: HashMap<EventId, Arc<Event>>,
    young_bytes: usize,
}

impl EventCache {
    pub(super) fn get(&mut self, id: &EventId) -> Option<Arc<Event>> {
        if let Some(event) = self.young.get(id) {
            return Some(Arc::clone(event));
        }
        let event = self.old.remove(id)?;
        self.keep(Arc::clone(&event));
        Some(event)
    }

    /// Takes in what a durable change made of its event.
    pub(super) fn learn(&mut self, change: &Change) {
        match change.after() {
            Some(event) => self.meet(event),
            None => {
                self.young.remove(change.event_id());
                self.old.remove(change.event_id());
            }
        }
    }

    /// Takes in an event as it is at the head.
    pub(super) fn meet(&mut self, event: &Arc<Event>) {
        self.old.remove(&event.id);
        self.keep(Arc::clone(event));
    }

    /// Forgets everything: another node may have changed any of it.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn keep(&mut self, event: Arc<Event>) {
        self.young_bytes += event.weight();
        self.young.insert(event.id.clone(), event);
        if self.young_bytes > limits::RECENT_EVENTS_BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

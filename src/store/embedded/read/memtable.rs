//! The memtable: changes of the view that are not flushed to its table yet.
//!
//! Random writes to the view's table cost several times the append to the log, so they are collected here, where the
//! next change of the same event replaces them. A clone is a snapshot and costs nothing.
//!
//! An entry is an event, or a tombstone (`None`) for one that is deleted, and hides the table's row. The milestones of
//! an event (see `history`) are flushed together: those here are the latest, and all before them are in their table.
//! After a start, some may be in both.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::domain::{Change, Event, EventId, Seq};
use crate::store::embedded::format::milestone::{LAST, Milestone, is_milestone};

/// What the view holds at an id: an event, or a tombstone.
pub(crate) type MemtableEntry = Option<Arc<Event>>;

/// Ids whose entry differs from what the table holds, in order, and their milestones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memtable {
    entries: OrdMap<EventId, MemtableEntry>,
    milestones: OrdSet<Milestone>,
    bytes: usize,
}

impl Memtable {
    /// `None` if the table knows best.
    pub(crate) fn get(&self, id: &EventId) -> Option<&MemtableEntry> {
        self.entries.get(id)
    }

    /// The event as the change left it.
    pub(crate) fn apply(&mut self, change: &Change) {
        let (id, entry) = (change.event_id(), change.after().cloned());
        self.bytes += approx_bytes(id, &entry);
        if let Some(old) = self.entries.insert(id.clone(), entry) {
            self.bytes -= approx_bytes(id, &old);
        }
        if is_milestone(change.kind(), change.version()) {
            self.milestones.insert((id.clone(), change.seq));
        }
    }

    /// Forgets an entry that the table now has.
    pub(crate) fn remove(&mut self, id: &EventId) {
        if let Some(old) = self.entries.remove(id) {
            self.bytes -= approx_bytes(id, &old);
        }
    }

    /// Forgets a milestone that the table now has.
    pub(crate) fn remove_milestone(&mut self, milestone: &Milestone) {
        self.milestones.remove(milestone);
    }

    /// Roughly the bytes this takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn range(
        &self,
        from: Bound<EventId>,
        to: Bound<EventId>,
    ) -> impl DoubleEndedIterator<Item = (&EventId, &MemtableEntry)> {
        self.entries.range((from, to))
    }

    pub(crate) fn milestones(
        &self,
        range: impl RangeBounds<Milestone>,
    ) -> impl DoubleEndedIterator<Item = &Milestone> {
        self.milestones.range(range)
    }

    /// Those of one event.
    pub(crate) fn milestones_of(
        &self,
        id: &EventId,
    ) -> impl DoubleEndedIterator<Item = &Milestone> {
        self.milestones((id.clone(), Seq::ZERO)..=(id.clone(), LAST))
    }
}

/// Roughly the bytes an entry takes in memory.
pub(crate) fn approx_bytes(id: &EventId, entry: &MemtableEntry) -> usize {
    64 + id.as_str().len() + entry.as_ref().map_or(0, |event| event.approx_bytes())
}

//! The memtable: changes of the view that are not flushed to its table yet.
//!
//! Random writes to the view's table cost several times the append to the log, so they are collected here, where the
//! next change of the same event replaces them. A clone is a snapshot and costs nothing.
//!
//! An entry is an event, or a tombstone (`None`) for one that is deleted, and hides the table's row. The milestones of
//! an event (see `history`) are flushed together: those here are the latest, and all before them are in their table.
//! After a start, some may be in both.
//!
//! What indexes the file has, the memtable has too, of its own entries.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::entry_bytes::EntryBytes;
use crate::domain::{Change, Event, EventId, Seq};
use crate::indexes::{FieldSet, Index, RecordKeys};
use crate::store::embedded::format::index;
use crate::store::embedded::format::milestone::{LAST, Milestone, is_milestone};

/// What the view holds at an id: an event, or a tombstone.
pub(crate) type MemtableEntry = Option<Arc<Event>>;

/// Ids whose entry differs from what the table holds, in order, and their milestones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memtable {
    entries: OrdMap<EventId, MemtableEntry>,
    milestones: OrdSet<Milestone>,
    indexes: Vec<MemtableIndex>,
    bytes: usize,
}

/// An index of the entries.
#[derive(Debug, Clone)]
pub(crate) struct MemtableIndex {
    index: Arc<Index>,
    /// As those of the index's table.
    entries: OrdMap<EntryBytes, u16>,
    spread: FieldSet,
}

impl Memtable {
    /// Empty, with these indexes.
    pub(crate) fn new(indexes: impl IntoIterator<Item = Arc<Index>>) -> Self {
        Self {
            indexes: indexes.into_iter().map(MemtableIndex::new).collect(),
            ..Self::default()
        }
    }

    /// The same with these indexes.
    pub(crate) fn indexed_by(&self, indexes: impl IntoIterator<Item = Arc<Index>>) -> Self {
        let mut indexed = Self {
            milestones: self.milestones.clone(),
            ..Self::new(indexes)
        };
        for (id, entry) in &self.entries {
            indexed.insert(id, entry);
        }
        indexed
    }

    /// In the order of those of the file.
    pub(crate) fn index(&self, place: usize) -> &MemtableIndex {
        &self.indexes[place]
    }

    /// Whether it knows better than the table.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    /// `None` if the table knows best.
    pub(crate) fn get(&self, id: &EventId) -> Option<&MemtableEntry> {
        self.entries.get(id)
    }

    /// The event as the change left it.
    pub(crate) fn apply(&mut self, change: &Change) {
        let id = change.event_id();
        self.insert(id, &change.after().cloned());
        if is_milestone(change.kind(), change.version()) {
            self.milestones.insert((id.clone(), change.seq));
        }
    }

    fn insert(&mut self, id: &EventId, entry: &MemtableEntry) {
        self.bytes += approx_bytes(id, entry);
        let old = self.entries.insert(id.clone(), entry.clone());
        if let Some(old) = &old {
            self.bytes -= approx_bytes(id, old);
        }
        self.move_keys(id, old.flatten().as_deref(), entry.as_deref());
    }

    /// Forgets an entry that the table now has.
    pub(crate) fn remove(&mut self, id: &EventId) {
        if let Some(old) = self.entries.remove(id) {
            self.bytes -= approx_bytes(id, &old);
            self.move_keys(id, old.as_deref(), None);
        }
    }

    fn move_keys(&mut self, id: &EventId, old: Option<&Event>, new: Option<&Event>) {
        for index in &mut self.indexes {
            let (come, gone) = index.move_keys(id, old, new);
            self.bytes = self.bytes + come - gone;
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

impl MemtableIndex {
    fn new(index: Arc<Index>) -> Self {
        Self {
            index,
            entries: OrdMap::new(),
            spread: FieldSet::default(),
        }
    }

    /// Replaces the entries of an event; returns the bytes that came and that went.
    fn move_keys(
        &mut self,
        id: &EventId,
        old: Option<&Event>,
        new: Option<&Event>,
    ) -> (usize, usize) {
        let keys = |event: &Event| self.index.keys_of(event);
        let old = old.map_or_else(RecordKeys::default, keys);
        let new = new.map_or_else(RecordKeys::default, keys);
        if old.keys == new.keys {
            return (0, 0);
        }
        self.spread = self.spread.union(new.spread);
        let (mut come, mut gone) = (0, 0);
        let id = id.as_str().as_bytes();
        for key in &old.keys {
            let entry = EntryBytes::of(key, id);
            gone += ENTRY_BYTES + entry.heap_bytes();
            self.entries.remove(&entry);
        }
        for key in &new.keys {
            let entry = EntryBytes::of(key, id);
            come += ENTRY_BYTES + entry.heap_bytes();
            self.entries.insert(entry, index::key_length(key));
        }
        (come, gone)
    }

    /// The fields that lead to an array in some event, or did.
    pub(crate) fn spread(&self) -> FieldSet {
        self.spread
    }

    pub(crate) fn range<'a>(
        &'a self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], u16)> + use<'a> {
        let entries = self.entries.range::<_, [u8]>(range);
        entries.map(|(entry, key_length)| (entry.as_slice(), *key_length))
    }
}

/// Bytes of an index's entry, besides those that are not in place.
const ENTRY_BYTES: usize = size_of::<EntryBytes>() + 8;

/// Roughly the bytes an entry takes in memory.
pub(crate) fn approx_bytes(id: &EventId, entry: &MemtableEntry) -> usize {
    64 + id.as_str().len() + entry.as_ref().map_or(0, |event| event.approx_bytes())
}

//! The entries of an index in a snapshot: the memtable's merged over the table's, but for those whose event the memtable
//! has: it knows better.

use std::iter::Peekable;
use std::ops::Bound;

use redb::{AccessGuard, ReadableTableMetadata, StorageError};

use super::memtable::Memtable;
use super::snapshot::Snapshot;
use crate::domain::EventId;
use crate::indexes::{FieldSet, Index, Indexes, KeyRange};
use crate::query::Direction;
use crate::store::StoreError;
use crate::store::embedded::format::index;
use crate::store::embedded::format::tables::read_error;

type EntryRow = Result<
    (
        AccessGuard<'static, &'static [u8]>,
        AccessGuard<'static, u16>,
    ),
    StorageError,
>;

type MemtableRow<'a> = (&'a [u8], u16);

/// A key, and the event that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexEntry {
    entry: Vec<u8>,
    key_length: u16,
    pub(super) id: EventId,
}

/// From where to where, as bytes of entries.
pub(super) type EntryBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A merge iterator.
pub(super) struct IndexEntries<'a> {
    direction: Direction,
    memtable: &'a Memtable,
    rows: Peekable<Box<dyn Iterator<Item = EntryRow> + 'a>>,
    entries: Peekable<Box<dyn Iterator<Item = MemtableRow<'a>> + 'a>>,
}

impl IndexEntry {
    pub(super) fn key(&self) -> &[u8] {
        &self.entry[..self.key_length.into()]
    }

    fn parse(entry: &[u8], key_length: u16) -> Result<Self, StoreError> {
        let (_, id) = index::parts(entry, key_length)?;
        let id = EventId::stored(id).map_err(|reason| StoreError::Corrupt {
            at: "an entry of an index".into(),
            reason,
        })?;
        Ok(Self {
            entry: entry.to_vec(),
            key_length,
            id,
        })
    }
}

/// The bounds of a range.
pub(super) fn bounds(range: &KeyRange) -> EntryBounds<'_> {
    let end = range.end().map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(&range.from), end)
}

impl Snapshot {
    /// As it was declared.
    pub(super) fn index_name(&self, place: usize) -> String {
        let (kept, _) = &self.indexes[place];
        kept.index.name().to_owned()
    }

    /// The entries of an index, in this direction.
    pub(super) fn index_entries(
        &self,
        place: usize,
        bounds: EntryBounds<'_>,
        direction: Direction,
    ) -> Result<IndexEntries<'_>, StoreError> {
        let (_, table) = &self.indexes[place];
        let empty = is_empty(bounds);
        let rows = table.range::<&[u8]>(if empty { NOTHING } else { bounds });
        let rows = rows.map_err(read_error)?;
        let entries = self
            .memtable
            .index(place)
            .range(if empty { NOTHING } else { bounds });
        let (rows, entries): (
            Box<dyn Iterator<Item = EntryRow>>,
            Box<dyn Iterator<Item = _>>,
        ) = match direction {
            Direction::Ascending => (Box::new(rows), Box::new(entries)),
            Direction::Descending => (Box::new(rows.rev()), Box::new(entries.rev())),
        };
        Ok(IndexEntries {
            direction,
            memtable: &self.memtable,
            rows: rows.peekable(),
            entries: entries.peekable(),
        })
    }
}

/// Bounds between which nothing lies.
const NOTHING: EntryBounds<'static> = (Bound::Included(&[]), Bound::Excluded(&[]));

/// Ranges of maps must not end before they begin.
fn is_empty((from, to): EntryBounds<'_>) -> bool {
    match (from, to) {
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        _ => false,
    }
}

impl IndexEntries<'_> {
    /// Passes over rows whose event is in the memtable; returns whether the next entry is the table's.
    fn is_next_in_table(&mut self) -> Option<bool> {
        while let Some(Ok((entry, key_length))) = self.rows.peek() {
            let parts = index::parts(entry.value(), key_length.value());
            let is_stale = parts.is_ok_and(|(_, id)| self.memtable.has(id));
            if !is_stale {
                break;
            }
            self.rows.next();
        }
        match (self.rows.peek(), self.entries.peek()) {
            (None, None) => None,
            // A row that cannot be read has no place: its error is yielded at once.
            (Some(_), None) | (Some(Err(_)), Some(_)) => Some(true),
            (None, Some(_)) => Some(false),
            (Some(Ok((row, _))), Some((entry, _))) => {
                let order = self.direction.apply(row.value().cmp(entry));
                Some(order.is_lt())
            }
        }
    }
}

impl Iterator for IndexEntries<'_> {
    type Item = Result<IndexEntry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_next_in_table()? {
            let row = self.rows.next()?.map_err(read_error);
            return Some(
                row.and_then(|(entry, key)| IndexEntry::parse(entry.value(), key.value())),
            );
        }
        let (entry, key_length) = self.entries.next()?;
        Some(IndexEntry::parse(entry, key_length))
    }
}

/// For a plan: entries are counted in the table and in the memtable, and so are some twice.
impl Indexes for Snapshot {
    type Error = StoreError;

    fn usable(&self) -> impl Iterator<Item = (usize, &Index, FieldSet)> {
        let all = self.indexes.iter().enumerate();
        let whole = all.filter(|(_, (kept, _))| kept.state.is_whole);
        whole.map(|(place, (kept, _))| {
            let spread = kept
                .state
                .spread()
                .union(self.memtable.index(place).spread());
            (place, &*kept.index, spread)
        })
    }

    fn count(&self, index: usize, ranges: &[KeyRange], most: usize) -> Result<usize, StoreError> {
        let (_, table) = &self.indexes[index];
        let mut count = 0;
        for range in ranges {
            let bounds = bounds(range);
            let left = most.saturating_sub(count);
            for row in table.range::<&[u8]>(bounds).map_err(read_error)?.take(left) {
                row.map_err(read_error)?;
                count += 1;
            }
            let left = most.saturating_sub(count);
            count += self.memtable.index(index).range(bounds).take(left).count();
            if count >= most {
                break;
            }
        }
        Ok(count)
    }

    fn has_wide(&self, index: usize) -> Result<bool, StoreError> {
        let wide = KeyRange::wide();
        let mut entries = self.index_entries(index, bounds(&wide), Direction::Ascending)?;
        Ok(entries.next().transpose()?.is_some())
    }

    fn events(&self) -> usize {
        let rows = self.view.len().unwrap_or(0);
        usize::try_from(rows).unwrap_or(usize::MAX)
    }
}

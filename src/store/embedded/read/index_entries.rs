//! The entries of an index in a snapshot.

use std::ops::Bound;
use std::sync::Arc;

use redb::ReadableTableMetadata;

use super::snapshot::Snapshot;
use super::steps::ReadDeadline;
use crate::domain::EventId;
use crate::indexes::{FieldSet, Index, Indexes, KeyRange, UniqueKey};
use crate::query::Direction;
use crate::store::StoreError;
use crate::store::embedded::format::index;
use crate::store::embedded::format::tables::read_error;

/// A key, and the event that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexEntry {
    entry: Vec<u8>,
    key_length: u16,
    pub(super) id: EventId,
}

/// Entries that were passed over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) count: usize,
    /// Where the others are, if there may be others.
    pub(super) rest: Option<KeyRange>,
}

/// In one direction.
pub(super) type IndexEntries = Box<dyn Iterator<Item = Result<IndexEntry, StoreError>>>;

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

impl Snapshot {
    /// As it was declared.
    pub(super) fn index_name(&self, place: usize) -> String {
        let (kept, _) = &self.indexes[place];
        kept.index.name().to_owned()
    }

    /// The entries of a range of an index, in this direction.
    pub(super) fn index_entries(
        &self,
        place: usize,
        range: &KeyRange,
        direction: Direction,
    ) -> Result<IndexEntries, StoreError> {
        let (_, table) = &self.indexes[place];
        let rows = table.range::<&[u8]>(bounds(range)).map_err(read_error)?;
        let parsed = |row: Result<_, redb::StorageError>| {
            let (entry, key_length): (redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, u16>) =
                row.map_err(read_error)?;
            IndexEntry::parse(entry.value(), key_length.value())
        };
        Ok(match direction {
            Direction::Ascending => Box::new(rows.map(parsed)),
            Direction::Descending => Box::new(rows.rev().map(parsed)),
        })
    }

    /// Counts the entries of a range until the step is over.
    pub(super) fn pass_entries(
        &self,
        place: usize,
        range: &KeyRange,
    ) -> Result<Passed, StoreError> {
        let mut clock = ReadDeadline::start();
        let (_, table) = &self.indexes[place];
        let mut count = 0;
        for row in table.range::<&[u8]>(bounds(range)).map_err(read_error)? {
            let (entry, _) = row.map_err(read_error)?;
            count += 1;
            if clock.is_over() {
                let rest = Some(range.beyond(entry.value(), Direction::Ascending));
                return Ok(Passed { count, rest });
            }
        }
        Ok(Passed { count, rest: None })
    }
}

/// See [`Store::holders`](crate::store::Store::holders).
impl Snapshot {
    pub(crate) fn holders(
        &self,
        index: &str,
        keys: &[Arc<UniqueKey>],
    ) -> Result<Vec<(usize, EventId)>, StoreError> {
        let mut kept = self.indexes.iter();
        let place = kept.position(|(kept, _)| kept.index.name() == index);
        let unknown = || StoreError::Refused(format!("the index {index} is not declared"));
        let place = place.ok_or_else(unknown)?;
        let mut holders = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            let range = KeyRange::beginning_with(key.bytes.clone());
            for entry in self.index_entries(place, &range, Direction::Ascending)? {
                holders.push((number, entry?.id));
            }
        }
        Ok(holders)
    }
}

/// The bounds of a range; one that ends before it begins is empty.
fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let from = range.from.as_slice();
    let to = range
        .end()
        .map_or(Bound::Unbounded, |end| Bound::Excluded(end.max(from)));
    (Bound::Included(from), to)
}

impl Indexes for Snapshot {
    type Error = StoreError;

    fn usable(&self) -> impl Iterator<Item = (usize, &Index, FieldSet)> {
        let all = self.indexes.iter().enumerate();
        let whole = all.filter(|(_, (kept, _))| kept.state.is_whole);
        whole.map(|(place, (kept, _))| (place, &*kept.index, kept.state.spread()))
    }

    fn count(&self, index: usize, ranges: &[KeyRange], most: usize) -> Result<usize, StoreError> {
        let (_, table) = &self.indexes[index];
        let wide = KeyRange::wide();
        let mut count = 0;
        for range in ranges.iter().chain([&wide]) {
            let rows = table.range::<&[u8]>(bounds(range)).map_err(read_error)?;
            for row in rows.take(most - count) {
                row.map_err(read_error)?;
                count += 1;
            }
            if count == most {
                break;
            }
        }
        Ok(count)
    }

    fn has_wide(&self, index: usize) -> Result<bool, StoreError> {
        let mut entries = self.index_entries(index, &KeyRange::wide(), Direction::Ascending)?;
        Ok(entries.next().transpose()?.is_some())
    }

    fn events(&self) -> usize {
        let rows = self.view.len().unwrap_or(0);
        usize::try_from(rows).unwrap_or(usize::MAX)
    }
}

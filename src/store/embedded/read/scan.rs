//! Scanning the events of a snapshot in the order of their ids: the memtable merged over the table.
//!
//! | the next id is in | the event yielded |
//! |---|---|
//! | the table | the row |
//! | the memtable | the entry; none if it is a tombstone |
//! | both | the same, and the row is skipped: the memtable is newer |
//!
//! Invariant: ids are yielded in the scan's direction, each at most once, because both sources are sorted by id and
//! have each id once.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Bound;

use redb::{AccessGuard, StorageError};

use super::memtable::MemtableEntry;
use super::snapshot::Snapshot;
use crate::domain::{Event, EventId};
use crate::query::Direction;
use crate::store::StoreError;
use crate::store::embedded::format::decode;
use crate::store::embedded::format::tables::read_error;

type ScanRow = Result<
    (
        AccessGuard<'static, &'static str>,
        AccessGuard<'static, &'static [u8]>,
    ),
    StorageError,
>;

/// A merge iterator over the events of a snapshot.
pub(crate) struct Scan<'a> {
    direction: Direction,
    rows: Peekable<Box<dyn Iterator<Item = ScanRow> + 'a>>,
    entries: Peekable<Box<dyn Iterator<Item = (&'a EventId, &'a MemtableEntry)> + 'a>>,
}

/// Which source has the next id.
enum ScanSource {
    Table,
    Memtable,
    Both,
}

impl<'a> Scan<'a> {
    /// From after some id, or from the first one in this direction.
    pub(crate) fn begin(
        snapshot: &'a Snapshot,
        direction: Direction,
        after: Option<&EventId>,
    ) -> Result<Self, StoreError> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.clone()));
        let (from, to) = match direction {
            Direction::Ascending => (start, Bound::Unbounded),
            Direction::Descending => (Bound::Unbounded, start),
        };
        let bounds = (
            from.as_ref().map(EventId::as_str),
            to.as_ref().map(EventId::as_str),
        );
        let rows = snapshot.view.range::<&str>(bounds).map_err(read_error)?;
        let entries = snapshot.memtable.range(from.clone(), to.clone());
        let (rows, entries): (
            Box<dyn Iterator<Item = ScanRow>>,
            Box<dyn Iterator<Item = _>>,
        ) = match direction {
            Direction::Ascending => (Box::new(rows), Box::new(entries)),
            Direction::Descending => (Box::new(rows.rev()), Box::new(entries.rev())),
        };
        Ok(Self {
            direction,
            rows: rows.peekable(),
            entries: entries.peekable(),
        })
    }

    fn next_source(&mut self) -> Option<ScanSource> {
        let order = match (self.rows.peek(), self.entries.peek()) {
            (None, None) => return None,
            // A row that cannot be read has no id: its error is yielded at once.
            (Some(_), None) | (Some(Err(_)), Some(_)) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(Ok((row, _))), Some((id, _))) => {
                let order = row.value().cmp(id.as_str());
                match self.direction {
                    Direction::Ascending => order,
                    Direction::Descending => order.reverse(),
                }
            }
        };
        Some(match order {
            Ordering::Less => ScanSource::Table,
            Ordering::Greater => ScanSource::Memtable,
            Ordering::Equal => ScanSource::Both,
        })
    }

    fn row(&mut self) -> Option<Result<Event, StoreError>> {
        let row = self.rows.next()?;
        Some(
            row.map_err(read_error)
                .and_then(|(id, bytes)| decode::event(id.value(), bytes.value())),
        )
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Event, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_source()? {
                ScanSource::Table => return self.row(),
                ScanSource::Memtable => {}
                ScanSource::Both => drop(self.rows.next()),
            }
            if let (_, Some(event)) = self.entries.next()? {
                return Some(Ok((**event).clone()));
            }
        }
    }
}

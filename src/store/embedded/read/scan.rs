//! Walking over events of a snapshot in the order of their ids: table and overlay, merged.

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
use crate::store::embedded::format::tables::fault;

type ScanRow = Result<
    (
        AccessGuard<'static, &'static str>,
        AccessGuard<'static, &'static [u8]>,
    ),
    StorageError,
>;

/// Events of a snapshot, from after some id, in one direction.
pub(super) struct Scan<'a> {
    direction: Direction,
    rows: Peekable<Box<dyn Iterator<Item = ScanRow> + 'a>>,
    slots: Peekable<Box<dyn Iterator<Item = (&'a EventId, &'a MemtableEntry)> + 'a>>,
}

/// Who has the next id.
enum Next {
    Row,
    Slot,
    /// Both: the overlay's is newer.
    SlotOverRow,
}

impl<'a> Scan<'a> {
    pub(crate) fn begin(
        snapshot: &'a Snapshot,
        direction: Direction,
        after: Option<&EventId>,
    ) -> Result<Self, StoreError> {
        let edge = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.clone()));
        let (from, to) = match direction {
            Direction::Ascending => (edge, Bound::Unbounded),
            Direction::Descending => (Bound::Unbounded, edge),
        };
        let bounds = (
            from.as_ref().map(EventId::as_str),
            to.as_ref().map(EventId::as_str),
        );
        let rows = snapshot.view.range::<&str>(bounds).map_err(fault)?;
        let slots = snapshot.overlay.range(from.clone(), to.clone());
        let (rows, slots): (
            Box<dyn Iterator<Item = ScanRow>>,
            Box<dyn Iterator<Item = _>>,
        ) = match direction {
            Direction::Ascending => (Box::new(rows), Box::new(slots)),
            Direction::Descending => (Box::new(rows.rev()), Box::new(slots.rev())),
        };
        Ok(Self {
            direction,
            rows: rows.peekable(),
            slots: slots.peekable(),
        })
    }

    fn whose_turn(&mut self) -> Option<Next> {
        let order = match (self.rows.peek(), self.slots.peek()) {
            (None, None) => return None,
            // An error is told at once.
            (Some(Err(_)) | Some(_), None) | (Some(Err(_)), Some(_)) => Ordering::Less,
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
            Ordering::Less => Next::Row,
            Ordering::Greater => Next::Slot,
            Ordering::Equal => Next::SlotOverRow,
        })
    }

    fn row(&mut self) -> Option<Result<Event, StoreError>> {
        let row = self.rows.next()?;
        Some(
            row.map_err(fault)
                .and_then(|(id, bytes)| decode::event(id.value(), bytes.value())),
        )
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Event, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.whose_turn()? {
                Next::Row => return self.row(),
                Next::Slot => {}
                Next::SlotOverRow => drop(self.rows.next()),
            }
            if let (_, Some(event)) = self.slots.next()? {
                return Some(Ok((**event).clone()));
            }
        }
    }
}

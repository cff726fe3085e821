//! The history of an event: its changes, and what it was as of any seq.
//!
//! Each change names the prior change of its event, so a history is a chain through the log, from the event in the view
//! back to its creation. **Milestones** are skip pointers into it: every so many changes of an event, and each
//! deletion, which the view no longer leads to. Between any seq and the event's next milestone is only a short segment
//! of the chain. An event that changes little has no milestone, and its changes cost nothing but their log entries: an
//! index of all changes would cost a third of the throughput.
//!
//! Where a search enters the chain, to find the changes up to `upto` or after `after`:
//!
//! | a milestone beyond that seq | the event is in the view | the chain is entered at |
//! |---|---|---|
//! | yes | | the first such milestone |
//! | no | yes | the event's last change |
//! | no | no | the last milestone, which is the deletion |
//!
//! Milestones are in a table and in the memtable. The memtable's are the later ones, but after a start some may be in
//! both. So [`Snapshot::milestones`] reads the table up to the memtable's first one, exclusively, and then the
//! memtable:
//!
//! ```text
//! table      m1  m2  m3  m4
//! memtable               m4  m5  m6
//!            |-- table --|- memtable -|
//! ```
//!
//! Invariants: a change's prior change is before it, so every chain ends; milestones are yielded once each, in order.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use redb::{ReadableTable, WriteTransaction};

use super::scan::Scan;
use super::snapshot::Snapshot;
use crate::domain::{Change, ChangeKind, Event, EventId, Seq};
use crate::limits;
use crate::query::{Direction, Query};
use crate::store::embedded::format::decode;
use crate::store::embedded::format::milestone::{LAST, Milestone, is_milestone};
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{LOG, read_error};
use crate::store::{HistoryRange, StoreError, is_seen_now};

/// Milestones that are sorted at once before they are written.
const SORTED_AT_ONCE: usize = 200_000;

/// Fills the table of milestones from the log, for a file of a format that had none.
pub(crate) fn build_milestones(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let log = transaction.open_table(LOG)?;
    let mut milestones: Vec<Milestone> = Vec::new();
    for entry in log.iter()? {
        let (seq, value) = entry?;
        let seq = Seq::new(seq.value());
        let header = decode::header(seq, value.value());
        let header = header.map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        if is_milestone(header.kind, header.version) {
            milestones.push((header.id, seq));
        }
        if milestones.len() == SORTED_AT_ONCE {
            flush_sorted(transaction, &mut milestones)?;
        }
    }
    flush_sorted(transaction, &mut milestones)
}

fn flush_sorted(
    transaction: &WriteTransaction,
    milestones: &mut Vec<Milestone>,
) -> Result<(), redb::Error> {
    milestones.sort_unstable();
    tables::write_milestones(transaction, milestones.iter())?;
    milestones.clear();
    Ok(())
}

impl Snapshot {
    /// See [`Store::history`](crate::store::Store::history).
    pub(crate) fn history(
        &self,
        id: &EventId,
        range: HistoryRange,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        let mut page = HistoryGather::new(range.limit);
        match range.direction {
            Direction::Descending => {
                let from = range.after.map_or(LAST, Seq::before);
                let mut next = self.last_change(id, from)?;
                while let Some(seq) = next.filter(|_| page.has_room()) {
                    let change = self.change(seq)?;
                    next = self.prior(id, seq, change.prior())?;
                    page.push(change);
                }
            }
            Direction::Ascending => {
                let mut after = range.after.unwrap_or(Seq::ZERO);
                while let Some(segment) = self.segment(id, after)?.filter(|_| page.has_room()) {
                    for seq in segment {
                        if page.has_room() {
                            page.push(self.change(seq)?);
                        }
                        after = seq;
                    }
                }
            }
        }
        Ok(page.changes)
    }

    /// The event as of that seq; `None` if there was none.
    pub(super) fn event_at(
        &self,
        id: &EventId,
        as_of: &PastView,
    ) -> Result<Option<Event>, StoreError> {
        match self.last_change(id, as_of.seq)? {
            Some(seq) => as_of.event_after(&self.change(seq)?),
            None => Ok(None),
        }
    }

    /// Every event that ever existed, from after some id, as of that seq.
    pub(super) fn scan_at<'a>(
        &'a self,
        as_of: &'a PastView,
        direction: Direction,
        after: Option<&EventId>,
    ) -> Result<PastScan<'a>, StoreError> {
        Ok(PastScan {
            snapshot: self,
            as_of,
            direction,
            current: Scan::begin(self, direction, after)?.peekable(),
            with_milestones: self.next_id(after, direction)?,
        })
    }

    /// The last change of the event up to `upto`, inclusively.
    fn last_change(&self, id: &EventId, upto: Seq) -> Result<Option<Seq>, StoreError> {
        let mut seq = match upto {
            // No milestone is beyond.
            LAST => None,
            _ => self.milestones(id, upto.next(), LAST)?.next().transpose()?,
        };
        if seq.is_none() {
            seq = self.newest_change(id)?;
        }
        while let Some(later) = seq.filter(|seq| *seq > upto) {
            let prior = self.header(later)?.prior;
            seq = self.prior(id, later, prior)?;
        }
        Ok(seq)
    }

    /// The event's last change: the view's, or its deletion.
    pub(super) fn newest_change(&self, id: &EventId) -> Result<Option<Seq>, StoreError> {
        match self.seq_of(id)? {
            Some(seq) => Ok(Some(seq)),
            None => self.milestone_before(id, LAST, 0),
        }
    }

    /// The change of the event before the one at `seq`, which names it as `named`. A creation names none: then it is
    /// the deletion that ended the event's life before, if there was one.
    pub(crate) fn prior(
        &self,
        id: &EventId,
        seq: Seq,
        named: Option<Seq>,
    ) -> Result<Option<Seq>, StoreError> {
        match named {
            Some(prior) => Ok(Some(prior)),
            None => self.milestone_before(id, seq, 0),
        }
    }

    /// The changes of the event after `after`, in order, up to its next milestone; `None` if there are none. They are
    /// of one life, because a deletion is a milestone.
    pub(super) fn segment(&self, id: &EventId, after: Seq) -> Result<Option<Vec<Seq>>, StoreError> {
        let milestone = self.milestones(id, after.next(), LAST)?.next();
        let mut next = match milestone.transpose()? {
            Some(seq) => Some(seq),
            None => self.newest_change(id)?,
        };
        let mut segment = Vec::new();
        while let Some(seq) = next.filter(|seq| *seq > after) {
            segment.push(seq);
            next = self.header(seq)?.prior;
        }
        segment.reverse();
        Ok((!segment.is_empty()).then_some(segment))
    }

    /// The last milestone of the event before `seq`, after skipping `skipped` others.
    pub(super) fn milestone_before(
        &self,
        id: &EventId,
        seq: Seq,
        skipped: u64,
    ) -> Result<Option<Seq>, StoreError> {
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let mut milestones = self.milestones(id, Seq::ZERO, seq.before())?.rev();
        milestones.nth(skipped).transpose()
    }

    /// Milestones of the event from `from` to `to`, both inclusive: the table's, then the memtable's, as the header
    /// says.
    pub(super) fn milestones<'a>(
        &'a self,
        id: &EventId,
        from: Seq,
        to: Seq,
    ) -> Result<impl DoubleEndedIterator<Item = Result<Seq, StoreError>> + use<'a>, StoreError>
    {
        debug_assert!(from <= to, "no milestones are from {from} to {to}");
        let first_in_memory = self
            .memtable
            .milestones_of(id)
            .next()
            .map_or(LAST, |(_, seq)| *seq);
        // The table's part ends before the memtable's first, and is empty if that one is before `from`.
        let end = to.get().saturating_add(1).min(first_in_memory.get());
        let rows = (id.as_str(), from.get())..(id.as_str(), end.max(from.get()));
        let rows = self.milestones.range(rows).map_err(read_error)?;
        let rows = rows.map(|row| Ok(Seq::new(row.map_err(read_error)?.0.value().1)));
        let in_memory = (id.clone(), from)..=(id.clone(), to);
        let in_memory = self.memtable.milestones(in_memory).map(|(_, seq)| Ok(*seq));
        Ok(rows.chain(in_memory))
    }

    /// The id of the next event with milestones after `after`, in this direction. All milestones of `after` itself are
    /// skipped: the bound is after its last, or before its first.
    fn next_id(
        &self,
        after: Option<&EventId>,
        direction: Direction,
    ) -> Result<Option<EventId>, StoreError> {
        let edge = |seq| after.map_or(Bound::Unbounded, |id| Bound::Excluded((id.clone(), seq)));
        let (from, to) = match direction {
            Direction::Ascending => (edge(LAST), Bound::Unbounded),
            Direction::Descending => (Bound::Unbounded, edge(Seq::ZERO)),
        };
        let bounds = (key(&from), key(&to));
        let rows = self.milestones.range::<(&str, u64)>(bounds);
        let mut rows = rows.map_err(read_error)?;
        let mut in_memory = self.memtable.milestones((from.clone(), to.clone()));
        let (row, in_memory) = match direction {
            Direction::Ascending => (rows.next(), in_memory.next()),
            Direction::Descending => (rows.next_back(), in_memory.next_back()),
        };
        let row = match row.transpose().map_err(read_error)? {
            Some((milestone, _)) => Some(stored_id(milestone.value().0)?),
            None => None,
        };
        let ids = row.into_iter().chain(in_memory.map(|(id, _)| id.clone()));
        Ok(match direction {
            Direction::Ascending => ids.min(),
            Direction::Descending => ids.max(),
        })
    }
}

/// The seq that an answer is as of.
#[derive(Debug, Clone)]
pub(super) struct PastView {
    pub(super) seq: Seq,
    /// What of the past may be told of.
    pub(super) query: Arc<Query>,
    /// Whether `seq` was the head when the answer began. Then an event that was erased since fails the answer, which
    /// would otherwise lack an event that existed. A read of the past finds no erased event.
    pub(super) began_at_head: bool,
}

impl PastView {
    /// Whether the event may be told of, by what it is now.
    pub(super) fn is_seen_now(&self, current: Option<&Event>) -> Result<bool, StoreError> {
        is_seen_now(&self.query, current)
    }

    /// The event that its last change left, if it left one.
    fn event_after(&self, last: &Change) -> Result<Option<Event>, StoreError> {
        match self.began_at_head && last.is_redacted() && last.kind() != ChangeKind::Delete {
            true => Err(StoreError::Redacted),
            false => Ok(last.after().map(|event| (**event).clone())),
        }
    }
}

/// What a scan of the past finds at an id.
pub(super) enum Scanned {
    Present(Event),
    /// No event, as of that seq, or none that may be told of.
    Absent(EventId),
}

/// See [`Snapshot::scan_at`].
pub(super) struct PastScan<'a> {
    snapshot: &'a Snapshot,
    as_of: &'a PastView,
    direction: Direction,
    /// The events that exist now.
    current: Peekable<Scan<'a>>,
    /// The next event with milestones: a deleted event has at least one.
    with_milestones: Option<EventId>,
}

impl PastScan<'_> {
    /// The next event; `None` is the end.
    fn step(&mut self) -> Result<Option<Scanned>, StoreError> {
        let order = match (self.current.peek(), &self.with_milestones) {
            (None, None) => return Ok(None),
            (Some(Ok(event)), Some(id)) => self.direction.apply(event.id.cmp(id)),
            (Some(_), _) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        let id = match order {
            Ordering::Less => None,
            Ordering::Equal | Ordering::Greater => self.take_id()?,
        };
        let current = match order {
            Ordering::Less | Ordering::Equal => self.current.next().transpose()?,
            Ordering::Greater => None,
        };
        if !self.as_of.is_seen_now(current.as_ref())? {
            let id = current.map(|event| event.id).or(id);
            return Ok(id.map(Scanned::Absent));
        }
        match (current, id) {
            (Some(event), _) if event.seq <= self.as_of.seq => Ok(Some(Scanned::Present(event))),
            (Some(Event { id, .. }), _) | (None, Some(id)) => {
                let event = self.snapshot.event_at(&id, self.as_of)?;
                Ok(Some(event.map_or(Scanned::Absent(id), Scanned::Present)))
            }
            (None, None) => Ok(None),
        }
    }

    /// Takes the id of the next event with milestones, and looks up the one after it.
    fn take_id(&mut self) -> Result<Option<EventId>, StoreError> {
        let after = self.with_milestones.as_ref();
        let next = self.snapshot.next_id(after, self.direction)?;
        Ok(std::mem::replace(&mut self.with_milestones, next))
    }
}

impl Iterator for PastScan<'_> {
    type Item = Result<Scanned, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// A page of changes, bounded in number and bytes.
struct HistoryGather {
    changes: Vec<Arc<Change>>,
    limit: usize,
    bytes: usize,
}

impl HistoryGather {
    fn new(limit: usize) -> Self {
        Self {
            changes: Vec::new(),
            limit,
            bytes: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.changes.len() < self.limit && self.bytes < limits::LOG_PAGE_BYTES_MAX
    }

    fn push(&mut self, change: Change) {
        self.bytes += change.approx_bytes();
        self.changes.push(Arc::new(change));
    }
}

fn key(bound: &Bound<Milestone>) -> Bound<(&str, u64)> {
    bound.as_ref().map(|(id, seq)| (id.as_str(), seq.get()))
}

fn stored_id(text: &str) -> Result<EventId, StoreError> {
    EventId::stored(text).map_err(|reason| StoreError::Corrupt {
        at: "the milestones".into(),
        reason,
    })
}

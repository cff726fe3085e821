//! The history of events: which changes each has seen, and what it was at any place of the log.
//!
//! Each change names the one before it of the same event, so a history is a chain through the log, from the
//! event in the view back to its creation. To enter it anywhere, a table keeps **milestones**: every so
//! many changes of an event, and its deletion, from which the chain goes on when the event is no more. Between
//! any place of the log and the next milestone is only a short piece of chain. An event that changes little
//! has none, and its changes cost nothing but their entries in the log: an index of all changes would cost a
//! third of the throughput.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use redb::{ReadableTable, WriteTransaction};

use super::scan::Scan;
use super::snapshot::Snapshot;
use crate::domain::{Change, Event, EventId, Kind, Seq};
use crate::limits;
use crate::query::Direction;
use crate::store::embedded::format::decode;
use crate::store::embedded::format::decode::ChangeHeader;
use crate::store::embedded::format::milestone::{LAST, Milestone, is_milestone};
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{LOG, fault};
use crate::store::{HistoryRange, StoreError};

/// Milestones that are put in order before they are written.
const INDEXED_AT_ONCE: usize = 200_000;

/// Finds the milestones of a file that has none.
pub(crate) fn index(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let log = transaction.open_table(LOG)?;
    let mut milestones: Vec<Milestone> = Vec::new();
    for entry in log.iter()? {
        let (seq, value) = entry?;
        let seq = Seq::new(seq.value());
        let link = decode::link(seq, value.value());
        let link = link.map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        if is_milestone(link.kind, link.version) {
            milestones.push((link.id, seq));
        }
        if milestones.len() == INDEXED_AT_ONCE {
            write(transaction, &mut milestones)?;
        }
    }
    write(transaction, &mut milestones)
}

fn write(
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
        stretch: HistoryRange,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        let mut page = HistoryGather::new(stretch.limit);
        match stretch.direction {
            Direction::Descending => {
                let from = stretch.after.map_or(LAST, Seq::before);
                let mut next = self.last_change(id, from)?;
                while let Some(seq) = next.filter(|_| page.has_room()) {
                    let change = self.change(seq)?;
                    next = self.prior(id, seq, change.prior())?;
                    page.push(change);
                }
            }
            Direction::Ascending => {
                let mut after = stretch.after.unwrap_or(Seq::ZERO);
                while let Some(piece) = self.piece(id, after)?.filter(|_| page.has_room()) {
                    for seq in piece {
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

    /// The event as it was then; `None` if it was not there.
    pub(super) fn event_at(
        &self,
        id: &EventId,
        as_of: PastView,
    ) -> Result<Option<Event>, StoreError> {
        match self.last_change(id, as_of.seq)? {
            Some(seq) => as_of.left_by(&self.change(seq)?),
            None => Ok(None),
        }
    }

    /// Each event that there ever was, from after some id, as it was then.
    pub(super) fn walk_at<'a>(
        &'a self,
        as_of: PastView,
        direction: Direction,
        after: Option<&EventId>,
    ) -> Result<PastScan<'a>, StoreError> {
        Ok(PastScan {
            snapshot: self,
            as_of,
            direction,
            living: Scan::begin(self, direction, after)?.peekable(),
            known: self.next_id(after, direction)?,
        })
    }

    /// The last change of the event up to a place.
    fn last_change(&self, id: &EventId, upto: Seq) -> Result<Option<Seq>, StoreError> {
        let mut seq = match upto {
            LAST => None,
            _ => self.milestones(id, upto.next(), LAST)?.next().transpose()?,
        };
        if seq.is_none() {
            seq = self.newest_change(id)?;
        }
        while let Some(later) = seq.filter(|seq| *seq > upto) {
            let prior = self.link(later)?.prior;
            seq = self.prior(id, later, prior)?;
        }
        Ok(seq)
    }

    /// That of the view, or its deletion.
    pub(super) fn newest_change(&self, id: &EventId) -> Result<Option<Seq>, StoreError> {
        match self.seq_of(id)? {
            Some(seq) => Ok(Some(seq)),
            None => self.milestone_back(id, LAST, 0),
        }
    }

    /// The change before the one at `seq`, which names it unless it created the event: then it is what ended
    /// the event's life before, if there was one.
    pub(crate) fn prior(
        &self,
        id: &EventId,
        seq: Seq,
        named: Option<Seq>,
    ) -> Result<Option<Seq>, StoreError> {
        match named {
            Some(prior) => Ok(Some(prior)),
            None => self.milestone_back(id, seq, 0),
        }
    }

    /// The changes of the event after some place, up to its next milestone; `None` if there are none.
    pub(super) fn piece(&self, id: &EventId, after: Seq) -> Result<Option<Vec<Seq>>, StoreError> {
        let milestone = self
            .milestones(id, after.next(), LAST)?
            .next()
            .transpose()?;
        let mut next = match milestone {
            Some(seq) => Some(seq),
            None => self.newest_change(id)?,
        };
        let mut piece = Vec::new();
        while let Some(seq) = next.filter(|seq| *seq > after) {
            piece.push(seq);
            next = self.link(seq)?.prior;
        }
        piece.reverse();
        Ok((!piece.is_empty()).then_some(piece))
    }

    pub(crate) fn link(&self, seq: Seq) -> Result<ChangeHeader, StoreError> {
        self.entry(seq, decode::link)
    }

    /// The milestone of the event that is before `seq`, `count` others passed over.
    pub(super) fn milestone_back(
        &self,
        id: &EventId,
        seq: Seq,
        count: u64,
    ) -> Result<Option<Seq>, StoreError> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut back = self.milestones(id, Seq::ZERO, seq.before())?.rev();
        back.nth(count).transpose()
    }

    /// Milestones of the event from one place to another: those in the table, then the later ones in the overlay.
    pub(crate) fn milestones<'a>(
        &'a self,
        id: &EventId,
        from: Seq,
        to: Seq,
    ) -> Result<impl DoubleEndedIterator<Item = Result<Seq, StoreError>> + use<'a>, StoreError>
    {
        let first_held = self
            .overlay
            .milestones_of(id)
            .next()
            .map_or(LAST, |held| held.1);
        let end = to.get().saturating_add(1).min(first_held.get());
        let rows = (id.as_str(), from.get())..(id.as_str(), end.max(from.get()));
        let rows = self.milestones.range(rows).map_err(fault)?;
        let rows = rows.map(|row| Ok(Seq::new(row.map_err(fault)?.0.value().1)));
        let held = (id.clone(), from)..=(id.clone(), to.max(from));
        let held = self.overlay.milestones(held).map(|(_, seq)| *seq);
        Ok(rows.chain(held.filter(move |seq| *seq <= to).map(Ok)))
    }

    /// The next event with milestones, going in this direction.
    fn next_id(
        &self,
        after: Option<&EventId>,
        direction: Direction,
    ) -> Result<Option<EventId>, StoreError> {
        let here = |seq| after.map_or(Bound::Unbounded, |id| Bound::Excluded((id.clone(), seq)));
        let (from, to) = match direction {
            Direction::Ascending => (here(LAST), Bound::Unbounded),
            Direction::Descending => (Bound::Unbounded, here(Seq::ZERO)),
        };
        let bounds = (key(&from), key(&to));
        let rows = self.milestones.range::<(&str, u64)>(bounds);
        let mut rows = rows.map_err(fault)?;
        let mut held = self.overlay.milestones((from.clone(), to.clone()));
        let (row, held) = match direction {
            Direction::Ascending => (rows.next(), held.next()),
            Direction::Descending => (rows.next_back(), held.next_back()),
        };
        let row = match row.transpose().map_err(fault)? {
            Some((milestone, _)) => Some(read_id(milestone.value().0)?),
            None => None,
        };
        let ids = row.into_iter().chain(held.map(|(id, _)| id.clone()));
        Ok(match direction {
            Direction::Ascending => ids.min(),
            Direction::Descending => ids.max(),
        })
    }
}

/// The place of the log that an answer is as of.
#[derive(Debug, Clone, Copy)]
pub(super) struct PastView {
    pub(crate) seq: Seq,
    /// Whether the answer was begun when the log was there: then it has no place for what was erased since. A read
    /// of the past finds no such event.
    pub(super) is_begun: bool,
}

impl PastView {
    fn left_by(self, last: &Change) -> Result<Option<Event>, StoreError> {
        match self.is_begun && last.is_redacted() && last.kind() != Kind::Delete {
            true => Err(StoreError::Erased),
            false => Ok(last.after().map(|event| (**event).clone())),
        }
    }
}

/// An event on the way through those that there ever were.
pub(super) enum Met {
    There(Event),
    /// It was not there.
    Gone(EventId),
}

/// See [`Snapshot::walk_at`].
pub(super) struct PastScan<'a> {
    snapshot: &'a Snapshot,
    as_of: PastView,
    direction: Direction,
    living: Peekable<Scan<'a>>,
    /// The next event with milestones: those that are gone have at least one.
    known: Option<EventId>,
}

impl PastScan<'_> {
    /// The next event; `None` is the end.
    fn step(&mut self) -> Result<Option<Met>, StoreError> {
        let order = match (self.living.peek(), &self.known) {
            (None, None) => return Ok(None),
            (Some(Ok(living)), Some(known)) => self.direction.apply(living.id.cmp(known)),
            (Some(_), _) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        let known = match order {
            Ordering::Less => None,
            Ordering::Equal | Ordering::Greater => self.advance()?,
        };
        let living = match order {
            Ordering::Less | Ordering::Equal => self.living.next().transpose()?,
            Ordering::Greater => None,
        };
        match (living, known) {
            (Some(living), _) if living.seq <= self.as_of.seq => Ok(Some(Met::There(living))),
            (Some(Event { id, .. }), _) | (None, Some(id)) => {
                let event = self.snapshot.event_at(&id, self.as_of)?;
                Ok(Some(event.map_or(Met::Gone(id), Met::There)))
            }
            (None, None) => Ok(None),
        }
    }

    fn advance(&mut self) -> Result<Option<EventId>, StoreError> {
        let next = self.snapshot.next_id(self.known.as_ref(), self.direction)?;
        Ok(std::mem::replace(&mut self.known, next))
    }
}

impl Iterator for PastScan<'_> {
    type Item = Result<Met, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Changes as many as are asked for, and not too many bytes of them.
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
        self.bytes += change.weight();
        self.changes.push(Arc::new(change));
    }
}

fn key(bound: &Bound<Milestone>) -> Bound<(&str, u64)> {
    bound.as_ref().map(|(id, seq)| (id.as_str(), seq.get()))
}

fn read_id(text: &str) -> Result<EventId, StoreError> {
    EventId::stored(text).map_err(|reason| StoreError::Corrupt {
        at: "the milestones".into(),
        reason,
    })
}

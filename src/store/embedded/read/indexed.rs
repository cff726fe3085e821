//! Answers by an index: the ids of what may match, as of one snapshot, in the order in which they are wanted.
//!
//! An index tells of the snapshot that it is read in. So all ids are gathered while that is held; the events themselves
//! are read later, as of the snapshot's seq.

use super::index_entries::{IndexEntries, IndexEntry};
use super::snapshot::Snapshot;
use super::steps::ReadDeadline;
use crate::domain::{Event, EventId};
use crate::indexes::{Indexes, KeyRange, OrderedRange, RangeLookup};
use crate::limits;
use crate::query::{Cursor, Direction, Query};
use crate::store::{QueryCost, StoreError, admitted};
use crate::value::Steps;

/// An answer in the order of an index has so many ids at once, if it has no limit.
const GATHER_COUNT: usize = 1_024;

/// A walk that has looked at this part of all events is given up: a scan would not look at more.
const GIVE_UP_PART: usize = 8;

/// It may always look at so many.
const GIVE_UP_MIN: usize = 10_000;

/// The ids that the look-ups name, each once and in order.
pub(super) fn candidates(
    snapshot: &Snapshot,
    lookups: &[RangeLookup],
    cost: &QueryCost,
) -> Result<Vec<EventId>, StoreError> {
    let mut ids = Vec::new();
    for RangeLookup { index, ranges } in lookups {
        let wide = KeyRange::wide();
        for range in ranges.iter().chain([&wide]) {
            let entries = snapshot.index_entries(*index, range, Direction::Ascending)?;
            for entry in entries {
                ids.push(entry?.id);
            }
        }
    }
    cost.looked_at_keys(ids.len());
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// What a walk along an index comes to.
pub(super) enum Walked {
    /// The step is over.
    Unfinished(Walk),
    /// The next ids of the answer, and the position after them if more may be asked for.
    Found {
        ids: Vec<EventId>,
        rest: Option<Cursor>,
    },
    /// Too few events match.
    GivenUp,
}

/// A walk along an index, in the order of an answer.
pub(super) struct Walk {
    index: usize,
    ordered: OrderedRange,
    after: Option<IndexEntry>,
    found: Vec<EventId>,
    wanted: usize,
    looked_at: usize,
}

impl Walk {
    pub(super) fn new(index: usize, ordered: OrderedRange, query: &Query) -> Self {
        let wanted = query
            .limit
            .map_or(GATHER_COUNT, |limit| limit.saturating_add(1));
        Self {
            index,
            ordered,
            after: None,
            found: Vec::new(),
            wanted: wanted.min(GATHER_COUNT),
            looked_at: 0,
        }
    }

    /// Goes on until enough is found or the step is over.
    pub(super) fn go_on(
        mut self,
        snapshot: &Snapshot,
        query: &Query,
        cost: &QueryCost,
    ) -> Result<Walked, StoreError> {
        let mut clock = ReadDeadline::start();
        let most = GIVE_UP_MIN.max(snapshot.events() / GIVE_UP_PART);
        let (index, _) = &snapshot.indexes[self.index];
        let mut entries = OrderedEntries::after(snapshot, &self, query)?;
        while let Some(entry) = entries.next()? {
            self.looked_at += 1;
            cost.looked_at_keys(1);
            cost.looked_at_event();
            if let Some(event) = snapshot.event(&entry.id)? {
                let steps = Steps::new(limits::MATCH_STEPS_MAX);
                let (ordered, index) = (&self.ordered, &index.index);
                let is_its_place =
                    entry.key() == index.sort_key_of(ordered, query, &event, &steps)?;
                if is_its_place && let Some(event) = admitted(query, event)? {
                    self.found.push(event.id.clone());
                    if self.found.len() >= self.wanted {
                        return self.end(query, &event);
                    }
                }
            }
            if self.looked_at > most {
                return Ok(Walked::GivenUp);
            }
            if clock.is_over() {
                self.after = Some(entry);
                return Ok(Walked::Unfinished(self));
            }
        }
        Ok(Walked::Found {
            ids: self.found,
            rest: None,
        })
    }

    fn end(self, query: &Query, last: &Event) -> Result<Walked, StoreError> {
        let is_all = query.limit.is_some_and(|limit| self.found.len() > limit);
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        let rest = match is_all {
            true => None,
            false => Some(query.cursor_of(last, &steps)?),
        };
        Ok(Walked::Found {
            ids: self.found,
            rest,
        })
    }
}

/// Entries in the order of an answer: keys in one direction, and the ids of one key in the other or the same.
struct OrderedEntries<'a> {
    snapshot: &'a Snapshot,
    index: usize,
    keys: Direction,
    ids: Direction,
    /// The keys that are left, without the one at hand.
    left: KeyRange,
    /// The entries of one key; or of all, where keys and ids have one direction.
    at_hand: Option<IndexEntries>,
}

impl<'a> OrderedEntries<'a> {
    /// From after the walk's last entry, or from after the query's cursor.
    fn after(snapshot: &'a Snapshot, walk: &Walk, query: &Query) -> Result<Self, StoreError> {
        let ordered = &walk.ordered;
        let keys = match ordered.is_backward {
            false => Direction::Ascending,
            true => Direction::Descending,
        };
        let mut entries = Self {
            snapshot,
            index: walk.index,
            keys,
            ids: ordered.ids,
            left: ordered.range.clone(),
            at_hand: None,
        };
        let (index, _) = &snapshot.indexes[walk.index];
        match &walk.after {
            Some(last) => entries.pass(last.key(), last.id.as_str())?,
            None => {
                if let Some((key, id)) = index.index.cursor_key(ordered, query) {
                    entries.pass(&key, &id)?;
                }
            }
        }
        Ok(entries)
    }

    /// Passes over everything up to this entry.
    fn pass(&mut self, key: &[u8], id: &str) -> Result<(), StoreError> {
        let entry = [key, id.as_bytes()].concat();
        let same = KeyRange::beginning_with(key.to_vec());
        let is_within = self.left.from.as_slice() <= key && key < self.left.to.as_slice();
        if self.keys == self.ids {
            self.left = self.left.beyond(&entry, self.keys);
            return Ok(());
        }
        if is_within {
            let rest = same.beyond(&entry, self.ids);
            self.take(&rest)?;
        }
        self.leave(&same);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<IndexEntry>, StoreError> {
        loop {
            if let Some(entry) = self.at_hand.as_mut().and_then(Iterator::next) {
                return entry.map(Some);
            }
            let rest = self.left.clone();
            if self.keys == self.ids {
                self.left.to.clone_from(&rest.from);
                if rest.from >= rest.to {
                    return Ok(None);
                }
                self.take(&rest)?;
                continue;
            }
            let mut entries = self.snapshot.index_entries(self.index, &rest, self.keys)?;
            let Some(first) = entries.next().transpose()? else {
                return Ok(None);
            };
            let same = KeyRange::beginning_with(first.key().to_vec());
            self.take(&same)?;
            self.leave(&same);
        }
    }

    /// Puts the entries of a range at hand.
    fn take(&mut self, range: &KeyRange) -> Result<(), StoreError> {
        let entries = self.snapshot.index_entries(self.index, range, self.ids)?;
        self.at_hand = Some(entries);
        Ok(())
    }

    /// What is left is beyond these keys.
    fn leave(&mut self, keys: &KeyRange) {
        match self.keys {
            Direction::Ascending => self.left.from = keys.to.clone().max(self.left.from.clone()),
            Direction::Descending => self.left.to = keys.from.clone().min(self.left.to.clone()),
        }
    }
}

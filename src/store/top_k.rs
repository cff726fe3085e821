//! Top-k: the first ids of an answer in an order other than that of ids.
//!
//! Both stores collect the sort key and the id of each match, in memory that is bounded for each read and for all
//! together. If there is no room for all of them, the first part is kept, and another pass collects the rest.
//!
//! Invariant: what is kept is a prefix of the answer among the events offered so far, and at least one of them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::budget::{Budget, Share};
use crate::domain::{Event, EventId};
use crate::limits;
use crate::query::{Cursor, Query};
use crate::value::{Steps, TooCostly};

/// Collects candidates for the answer: of each match its sort key and its id.
///
/// Twice as many as wanted are collected before the worse half is dropped, so that the cost of sorting is shared by all
/// that were offered in between. The worse half is also dropped if there is no room for more; another pass collects
/// those again.
pub(super) struct TopK {
    query: Arc<Query>,
    /// How many to keep: one more than the limit, which tells the caller whether more remain; or as many as there was
    /// room for.
    wanted: usize,
    /// Whether candidates were dropped for lack of room.
    is_partial: bool,
    candidates: Vec<(Cursor, EventId)>,
    bytes: usize,
    room: TopRoom,
    /// The last candidate, once as many as wanted are kept: what sorts after it is dropped.
    worst: Option<Cursor>,
}

/// The ids of an answer, in its order.
pub(super) struct TopOrder {
    pub(super) ids: VecDeque<EventId>,
    /// The query for what is still to be collected after them.
    pub(super) rest: Option<Arc<Query>>,
    room: Option<Share>,
}

impl TopK {
    /// All but [`limits::SORT_FREE_BYTES`] of the candidates' memory is taken from `budget`.
    pub(super) fn new(query: &Arc<Query>, budget: &Budget) -> Self {
        Self {
            query: Arc::clone(query),
            wanted: query
                .limit
                .map_or(usize::MAX, |limit| limit.saturating_add(1)),
            is_partial: false,
            candidates: Vec::new(),
            bytes: 0,
            room: TopRoom::new(budget),
            worst: None,
        }
    }

    pub(super) fn offer(&mut self, event: &Event) -> Result<(), TooCostly> {
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        if !self.query.admits(event, &steps)? || self.is_beyond_worst(event, &steps)? {
            return Ok(());
        }
        let cursor = self.query.cursor_of(event, &steps)?;
        self.bytes += approx_bytes(&cursor, &event.id);
        self.candidates.push((cursor, event.id.clone()));
        if self.candidates.len() / 2 >= self.wanted {
            self.shrink();
        }
        if !self.room.has_for(self.bytes) {
            self.halve();
        }
        Ok(())
    }

    pub(super) fn into_order(mut self) -> TopOrder {
        self.shrink();
        let last = self.worst.filter(|_| self.is_partial);
        let rest = last.map(|cursor| Arc::new(self.query.after(cursor)));
        let ids: VecDeque<EventId> = self.candidates.into_iter().map(|(_, id)| id).collect();
        let bytes = ids.iter().map(|id| ID_BYTES + id.as_str().len()).sum();
        TopOrder {
            room: self.room.keep(bytes),
            ids,
            rest,
        }
    }

    fn is_beyond_worst(&self, event: &Event, steps: &Steps) -> Result<bool, TooCostly> {
        let Some(worst) = &self.worst else {
            return Ok(false);
        };
        let order = self.query.compare_with_cursor(event, worst, steps)?;
        Ok(order.is_gt())
    }

    /// Keeps half of the candidates, and at least one.
    fn halve(&mut self) {
        let half = self.candidates.len().div_ceil(2).min(self.wanted);
        if half < self.candidates.len() {
            self.is_partial = true;
            self.wanted = half;
            self.shrink();
        }
    }

    /// Sorts the candidates and drops those beyond the wanted ones.
    fn shrink(&mut self) {
        debug_assert!(self.wanted > 0, "one is always kept");
        let query = &self.query;
        self.candidates
            .sort_unstable_by(|(a, _), (b, _)| query.compare_cursors(a, b));
        if self.candidates.len() >= self.wanted {
            self.candidates.truncate(self.wanted);
            self.worst = self.candidates.last().map(|(cursor, _)| cursor.clone());
        }
        self.bytes = self
            .candidates
            .iter()
            .map(|(cursor, id)| approx_bytes(cursor, id))
            .sum();
    }
}

impl TopOrder {
    /// These ids, in this order: too few to take room of the budget.
    #[cfg(feature = "embedded")]
    pub(super) fn of(ids: Vec<EventId>) -> Self {
        Self {
            ids: ids.into(),
            rest: None,
            room: None,
        }
    }

    /// These ids, in this order; `None` if there is no room for them.
    #[cfg(feature = "embedded")]
    pub(super) fn held(ids: Vec<EventId>, budget: &Budget) -> Option<Self> {
        let bytes: usize = ids.iter().map(|id| ID_BYTES + id.as_str().len()).sum();
        let mut room = TopRoom::new(budget);
        room.has_for(bytes).then(|| Self {
            room: room.keep(bytes),
            ..Self::of(ids)
        })
    }

    /// The query that collects the rest, once the last id was taken; gives their room back.
    pub(super) fn next(&mut self) -> Option<Arc<Query>> {
        if !self.ids.is_empty() {
            return None;
        }
        self.room = None;
        self.rest.take()
    }
}

/// The memory that the candidates of one answer may take.
struct TopRoom {
    budget: Budget,
    share: Option<Share>,
}

/// Room is taken from the budget in pieces of this size.
const PIECE_BYTES: usize = 1024 * 1024;

impl TopRoom {
    fn new(budget: &Budget) -> Self {
        Self {
            budget: budget.clone(),
            share: None,
        }
    }

    /// Whether there is room for so many bytes. Takes more of the budget if it is free, and never waits for it.
    fn has_for(&mut self, bytes: usize) -> bool {
        let taken = self.share.as_ref().map_or(0, Share::bytes);
        if bytes <= limits::SORT_FREE_BYTES + taken {
            return true;
        }
        if bytes > limits::SORT_BYTES_MAX {
            return false;
        }
        let missing = bytes - limits::SORT_FREE_BYTES - taken;
        let Some(more) = self.budget.try_reserve(missing.max(PIECE_BYTES)) else {
            return false;
        };
        let share = match self.share.take() {
            Some(share) => share.and(more),
            None => more,
        };
        let taken = self.share.insert(share).bytes();
        bytes <= limits::SORT_FREE_BYTES + taken
    }

    /// The share for so many bytes; gives back the rest.
    fn keep(self, bytes: usize) -> Option<Share> {
        let mut share = self.share?;
        share.shrink_to(bytes.saturating_sub(limits::SORT_FREE_BYTES));
        (share.bytes() > 0).then_some(share)
    }
}

/// Bytes of an id besides its text.
const ID_BYTES: usize = 40;

fn approx_bytes(cursor: &Cursor, id: &EventId) -> usize {
    ID_BYTES + id.as_str().len() + cursor.approx_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Seq, Timestamp};
    use crate::value::{Document, Value};

    /// Events of three hundred different values, in no order.
    fn events() -> Vec<Event> {
        let at = Timestamp::parse("2026-01-31T12:00:00.000Z").expect("a time");
        let event = |n: i64| {
            let n = n * 7_919 % 5_000;
            let fields = [("n", Value::Int(n % 300))]
                .into_iter()
                .collect::<Document>();
            Event {
                id: EventId::parse(&format!("e{n}")).expect("an id"),
                version: 1,
                seq: Seq::ZERO,
                created_at: at,
                updated_at: at,
                fields,
            }
        };
        (0..5_000).map(event).collect()
    }

    /// All ids in order, and how many passes it took.
    fn order(events: &[Event], budget: &Budget) -> (Vec<EventId>, usize) {
        let asked = serde_json::from_str::<Document>(r#"{"sort":{"n":-1}}"#).expect("JSON");
        let mut query = Arc::new(Query::parse(&asked, "").expect("a query"));
        let (mut ids, mut passes) = (Vec::new(), 0);
        loop {
            let mut top = TopK::new(&query, budget);
            for event in events {
                top.offer(event).expect("cheap");
            }
            let mut order = top.into_order();
            passes += 1;
            ids.extend(order.ids.drain(..));
            match order.next() {
                Some(rest) => query = rest,
                None => return (ids, passes),
            }
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_collected_in_further_passes() {
        let events = events();
        let ample = Budget::new(limits::SORTS_BYTES_MAX);
        let (expected, passes) = order(&events, &ample);
        assert_eq!((expected.len(), passes), (5_000, 1));
        assert_eq!(ample.taken(), 0, "it is given back");
        let (ids, passes) = order(&events, &Budget::new(0));
        assert!(passes > 3, "{passes}");
        assert_eq!(ids, expected);
    }
}

//! The events of an answer in an order that is not the file's own: all of them, or the first so many.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::budget::{Budget, Share};
use crate::domain::{Event, EventId};
use crate::limits;
use crate::query::{Cursor, Query};
use crate::value::{Steps, TooCostly};

/// Gathers the places of matching events; with a limit only of those that can be in the answer.
///
/// Twice the limit is gathered before the worse half is thrown out: what that costs is shared by all
/// that were offered in between. The same is done where there is no room for more, and what was thrown out then is
/// gathered again when the rest is wanted.
pub(super) struct TopK {
    query: Arc<Query>,
    /// One more than the limit, by which a caller learns whether more remain; or as many as there was room for.
    wanted: usize,
    is_partial: bool,
    gathered: Vec<(Cursor, EventId)>,
    bytes: usize,
    room: TopRoom,
    /// Whatever comes after this is not in the answer.
    worst: Option<Cursor>,
}

/// The ids of an answer, in its order.
pub(super) struct TopOrder {
    pub(super) ids: VecDeque<EventId>,
    /// What is still to be gathered after them.
    pub(super) rest: Option<Arc<Query>>,
    room: Option<Share>,
}

impl TopK {
    /// What is gathered beyond a little takes room of `budget`.
    pub(super) fn new(query: &Arc<Query>, budget: &Budget) -> Self {
        Self {
            query: Arc::clone(query),
            wanted: query
                .limit
                .map_or(usize::MAX, |limit| limit.saturating_add(1)),
            is_partial: false,
            gathered: Vec::new(),
            bytes: 0,
            room: TopRoom::new(budget),
            worst: None,
        }
    }

    pub(super) fn offer(&mut self, event: &Event) -> Result<(), TooCostly> {
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        if !self.query.admits(event, &steps)? || self.is_hopeless(event, &steps)? {
            return Ok(());
        }
        let place = self.query.place_of(event, &steps)?;
        self.bytes += weight(&place, &event.id);
        self.gathered.push((place, event.id.clone()));
        if self.gathered.len() / 2 >= self.wanted {
            self.shrink();
        }
        if !self.room.holds(self.bytes) {
            self.halve();
        }
        Ok(())
    }

    pub(super) fn into_order(mut self) -> TopOrder {
        self.shrink();
        let last = self.worst.filter(|_| self.is_partial);
        let rest = last.map(|place| Arc::new(self.query.after(place)));
        let ids: VecDeque<EventId> = self.gathered.into_iter().map(|(_, id)| id).collect();
        let bytes = ids.iter().map(|id| ID_BYTES + id.as_str().len()).sum();
        TopOrder {
            room: self.room.keep(bytes),
            ids,
            rest,
        }
    }

    fn is_hopeless(&self, event: &Event, steps: &Steps) -> Result<bool, TooCostly> {
        let Some(worst) = &self.worst else {
            return Ok(false);
        };
        let order = self.query.compare_with_place(event, worst, steps)?;
        Ok(order.is_gt())
    }

    /// Goes on with half of what it has. One is always kept.
    fn halve(&mut self) {
        let half = self.gathered.len().div_ceil(2).min(self.wanted);
        if half < self.gathered.len() {
            self.is_partial = true;
            self.wanted = half;
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        let query = &self.query;
        self.gathered
            .sort_unstable_by(|(a, _), (b, _)| query.compare_places(a, b));
        if self.gathered.len() >= self.wanted {
            self.gathered.truncate(self.wanted);
            self.worst = self.gathered.last().map(|(place, _)| place.clone());
        }
        self.bytes = self
            .gathered
            .iter()
            .map(|(place, id)| weight(place, id))
            .sum();
    }
}

impl TopOrder {
    /// These, in this order: little enough to take no room.
    #[cfg(feature = "embedded")]
    pub(super) fn of(ids: Vec<EventId>) -> Self {
        Self {
            ids: ids.into(),
            rest: None,
            room: None,
        }
    }

    /// What is to be gathered now, after the last of the ids was taken out; their room is given back.
    pub(super) fn next(&mut self) -> Option<Arc<Query>> {
        if !self.ids.is_empty() {
            return None;
        }
        self.room = None;
        self.rest.take()
    }
}

/// What one order may hold.
struct TopRoom {
    budget: Budget,
    share: Option<Share>,
}

/// Room is taken in pieces of this.
const PIECE_BYTES: usize = 1024 * 1024;

impl TopRoom {
    fn new(budget: &Budget) -> Self {
        Self {
            budget: budget.clone(),
            share: None,
        }
    }

    /// Whether so many bytes may be held. Takes more if there is more, and never waits for it.
    fn holds(&mut self, bytes: usize) -> bool {
        let taken = self.share.as_ref().map_or(0, Share::bytes);
        if bytes <= limits::ORDER_FREE_BYTES + taken {
            return true;
        }
        if bytes > limits::SORT_BYTES_MAX {
            return false;
        }
        let Some(more) = self.budget.try_reserve(PIECE_BYTES) else {
            return false;
        };
        let share = match self.share.take() {
            Some(share) => share.and(more),
            None => more,
        };
        let taken = self.share.insert(share).bytes();
        bytes <= limits::ORDER_FREE_BYTES + taken
    }

    /// What is kept for so many bytes.
    fn keep(self, bytes: usize) -> Option<Share> {
        let mut share = self.share?;
        share.shrink_to(bytes.saturating_sub(limits::ORDER_FREE_BYTES));
        (share.bytes() > 0).then_some(share)
    }
}

/// What an id takes beside its text.
const ID_BYTES: usize = 40;

fn weight(place: &Cursor, id: &EventId) -> usize {
    ID_BYTES + id.as_str().len() + place.weight()
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
    fn what_there_is_no_room_for_is_gathered_in_further_passes() {
        let events = events();
        let ample = Budget::new(limits::ORDERS_BYTES_MAX);
        let (expected, passes) = order(&events, &ample);
        assert_eq!((expected.len(), passes), (5_000, 1));
        assert_eq!(ample.taken(), 0, "it is given back");
        let (ids, passes) = order(&events, &Budget::new(0));
        assert!(passes > 3, "{passes}");
        assert_eq!(ids, expected);
    }
}

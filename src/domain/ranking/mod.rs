//! A ranking: the first events of an order, kept up change by change, and each change of it as [`Move`]s.
//!
//! | before \ after | not shown | shown |
//! |---|---|---|
//! | not shown | nothing | [`Move::In`], and [`Move::Out`] of the event that it pushes out |
//! | shown | [`Move::Out`], and [`Move::In`] of the event that comes next | [`Move::Stay`] |
//!
//! It knows some events beyond those that it shows, its reserve: as long as it has one, what comes next is known. When none
//! is left, what it shows would have a hole: then the change is [`Short`], and the caller reads the events anew.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Change, Event, EventId, VisibleKind};
use crate::query::{Cursor, Query};
use crate::value::{Steps, TooCostly};

/// The first events of an order, of which the first are shown and the others are in reserve.
#[derive(Debug)]
pub struct Ranking {
    query: Arc<Query>,
    /// How many it shows, if there are as many.
    shown: usize,
    /// Those that are shown, then the reserve: at most [`capacity`](Self::capacity). Every event that matches is here, or
    /// sorts after all of them.
    ranked: Vec<RankedEvent>,
    /// Whether every event that matches is ranked.
    is_whole: bool,
    bytes: usize,
}

/// An event, and where it stands in the order.
#[derive(Debug)]
pub struct RankedEvent {
    position: Cursor,
    event: Arc<Event>,
}

/// A step from one state of what is shown to the next. In their order they are applied by taking the event out, if it is
/// there, and putting it in at its index.
#[derive(Debug, Clone)]
pub enum Move {
    /// The event is shown no more.
    Out {
        /// [`VisibleKind::Delete`] if it exists no more, else [`VisibleKind::Leave`].
        kind: VisibleKind,
        /// Which one.
        id: EventId,
        /// Its version after the change.
        version: u64,
    },
    /// The event is shown from now on.
    In {
        /// [`VisibleKind::Create`] if it did not exist before, else [`VisibleKind::Enter`].
        kind: VisibleKind,
        /// As it is now.
        event: Arc<Event>,
        /// Its place, from 0.
        index: usize,
    },
    /// The event was shown, and is.
    Stay {
        /// As it was shown before.
        before: Arc<Event>,
        /// As it is now.
        event: Arc<Event>,
        /// Its place, from 0.
        index: usize,
        /// Whether its place among the others is another.
        is_moved: bool,
    },
}

/// An event that is not known comes next. The ranking is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short;

impl Ranking {
    /// A ranking by this query's order that shows nothing yet.
    pub fn new(query: &Arc<Query>, shown: usize) -> Self {
        Self {
            query: Arc::clone(query),
            shown,
            ranked: Vec::new(),
            is_whole: true,
            bytes: 0,
        }
    }

    /// How many events it is to know of which so many are shown: with half as many in reserve, and some.
    pub fn capacity(shown: usize) -> usize {
        match shown {
            0 => 0,
            _ => shown + shown / 2 + 10,
        }
    }

    /// Roughly the bytes that its events take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events that it shows, in their order.
    pub fn shown(&self) -> impl ExactSizeIterator<Item = &Arc<Event>> {
        let ranked = &self.ranked[..self.shown.min(self.ranked.len())];
        ranked.iter().map(|ranked| &ranked.event)
    }

    /// Shows the first events of the order, given in that order, in the place of what it showed; `is_whole` says that there are
    /// no others. Returns what leads from the one to the other.
    pub fn renew(&mut self, ranked: Vec<RankedEvent>, is_whole: bool) -> Vec<Move> {
        debug_assert!(
            ranked.is_sorted_by(|a, b| self.order(&a.position, &b.position).is_lt()),
            "they come in their order"
        );
        let mut before: Vec<Arc<Event>> = self.shown().map(Arc::clone).collect();
        self.bytes = ranked.iter().map(RankedEvent::bytes).sum();
        self.ranked = ranked;
        self.is_whole = is_whole;
        self.trim();
        let mut moves = Vec::new();
        before.retain(|event| {
            let stays = self.shown().any(|shown| shown.id == event.id);
            if !stays {
                moves.push(Move::out(VisibleKind::Leave, event));
            }
            stays
        });
        for (index, event) in self.shown().enumerate() {
            moves.extend(step_to(event, index, &mut before));
        }
        moves
    }

    /// Takes in a change of which its filter sees this; `after` is the event that it shows after the change.
    ///
    /// # Errors
    /// If it cannot.
    pub fn apply(
        &mut self,
        change: &Change,
        seen: VisibleKind,
        after: Option<RankedEvent>,
    ) -> Result<Vec<Move>, Short> {
        let id = change.event_id();
        let from = self.ranked.iter().position(|known| known.event.id == *id);
        let place = after.and_then(|ranked| Some((self.place(&ranked, from)?, ranked)));
        let count = self.ranked.len() - usize::from(from.is_some()) + usize::from(place.is_some());
        if count < self.shown && !self.is_whole {
            return Err(Short);
        }
        let before = from.map(|from| (from, self.take(from)));
        let to = place.map(|(to, ranked)| self.put(to, ranked));
        let shown = |index: usize| index < self.shown;
        let before = before.filter(|(from, _)| shown(*from));
        let moves = match (before, to.filter(|to| shown(*to))) {
            (None, None) => Vec::new(),
            (Some((from, before)), Some(to)) => vec![Move::Stay {
                before: before.event,
                event: Arc::clone(&self.ranked[to].event),
                index: to,
                is_moved: from != to,
            }],
            (Some(_), None) => self.moves_out(change, seen),
            (None, Some(to)) => self.moves_in(seen, to),
        };
        self.trim();
        Ok(moves)
    }

    /// Gives up its reserve until its events take so many bytes; whether they do.
    pub fn fits(&mut self, bytes_max: usize) -> bool {
        while self.bytes > bytes_max && self.ranked.len() > self.shown {
            self.take(self.ranked.len() - 1);
            self.is_whole = false;
        }
        self.bytes <= bytes_max
    }

    /// The changed event is shown no more, and has made room.
    fn moves_out(&self, change: &Change, seen: VisibleKind) -> Vec<Move> {
        let kind = match seen {
            VisibleKind::Delete => VisibleKind::Delete,
            _ => VisibleKind::Leave,
        };
        let out = Move::Out {
            kind,
            id: change.event_id().clone(),
            version: change.version(),
        };
        let last = self.shown.saturating_sub(1);
        let next = self.ranked.get(last).map(|next| Move::In {
            kind: VisibleKind::Enter,
            event: Arc::clone(&next.event),
            index: last,
        });
        [Some(out), next].into_iter().flatten().collect()
    }

    /// The changed event is shown, and has taken room.
    fn moves_in(&self, seen: VisibleKind, to: usize) -> Vec<Move> {
        let kind = match seen {
            VisibleKind::Create => VisibleKind::Create,
            _ => VisibleKind::Enter,
        };
        let pushed = self.ranked.get(self.shown);
        let pushed = pushed.map(|pushed| Move::out(VisibleKind::Leave, &pushed.event));
        let entered = Move::In {
            kind,
            event: Arc::clone(&self.ranked[to].event),
            index: to,
        };
        pushed.into_iter().chain([entered]).collect()
    }

    /// Where it comes, once the event at `without` is taken out; `None` if that is beyond what is known.
    fn place(&self, ranked: &RankedEvent, without: Option<usize>) -> Option<usize> {
        let is_before = |known: &RankedEvent| self.order(&known.position, &ranked.position).is_lt();
        let others = |range: &[RankedEvent]| range.partition_point(is_before);
        let (place, count) = match without {
            None => (others(&self.ranked), self.ranked.len()),
            Some(without) => {
                let (first, rest) = self.ranked.split_at(without);
                let place = match others(first) {
                    place if place < without => place,
                    place => place + others(&rest[1..]),
                };
                (place, self.ranked.len() - 1)
            }
        };
        (place < count || self.is_whole).then_some(place)
    }

    fn order(&self, a: &Cursor, b: &Cursor) -> Ordering {
        self.query.compare_cursors(a, b)
    }

    fn take(&mut self, index: usize) -> RankedEvent {
        let taken = self.ranked.remove(index);
        self.bytes -= taken.bytes();
        taken
    }

    fn put(&mut self, index: usize, ranked: RankedEvent) -> usize {
        self.bytes += ranked.bytes();
        self.ranked.insert(index, ranked);
        index
    }

    fn trim(&mut self) {
        while self.ranked.len() > Self::capacity(self.shown) {
            self.take(self.ranked.len() - 1);
            self.is_whole = false;
        }
    }
}

impl RankedEvent {
    /// Where an event stands in the query's order.
    ///
    /// # Errors
    /// If the steps run out before that is known.
    pub fn of(query: &Query, event: &Arc<Event>, steps: &Steps) -> Result<Self, TooCostly> {
        Ok(Self {
            position: query.cursor_of(&**event, steps)?,
            event: Arc::clone(event),
        })
    }

    fn bytes(&self) -> usize {
        self.position.approx_bytes() + self.event.approx_bytes()
    }
}

impl Move {
    fn out(kind: VisibleKind, event: &Event) -> Self {
        Self::Out {
            kind,
            id: event.id.clone(),
            version: event.version,
        }
    }

    /// The kind that it is told as.
    pub fn kind(&self) -> VisibleKind {
        match self {
            Self::Out { kind, .. } | Self::In { kind, .. } => *kind,
            Self::Stay { .. } => VisibleKind::Update,
        }
    }

    /// Roughly the bytes of the events that it holds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Out { id, .. } => 64 + id.as_str().len(),
            Self::In { event, .. } => event.approx_bytes(),
            Self::Stay { before, event, .. } => before.approx_bytes() + event.approx_bytes(),
        }
    }
}

/// How the event comes to this index, before which all are in their places; `rest` are the others that were shown, in the
/// order in which they still stand. `None` if it stands there as it is.
fn step_to(event: &Arc<Event>, index: usize, rest: &mut Vec<Arc<Event>>) -> Option<Move> {
    let event = Arc::clone(event);
    let Some(from) = rest.iter().position(|before| before.id == event.id) else {
        return Some(Move::In {
            kind: VisibleKind::Enter,
            event,
            index,
        });
    };
    let before = rest.remove(from);
    let is_moved = from != 0;
    (is_moved || before.seq != event.seq).then_some(Move::Stay {
        before,
        event,
        index,
        is_moved,
    })
}

//! The first so many events of an order that is not the file's own.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::{Event, EventId, Steps, TooCostly};
use crate::limits;
use crate::query::{Cursor, Query};
use crate::store::StoreError;

/// Gathers the places of matching events; with a limit only of those that can be in the answer.
///
/// Twice the limit is gathered before the worse half is thrown out: what that costs is shared by all
/// that were offered in between.
pub(super) struct Top {
    query: Arc<Query>,
    /// One more than the limit, by which a caller learns whether more remain.
    wanted: usize,
    gathered: Vec<(Cursor, EventId)>,
    bytes: usize,
    /// Whatever comes after this is not in the answer.
    worst: Option<Cursor>,
}

impl Top {
    pub(super) fn new(query: &Arc<Query>) -> Self {
        Self {
            query: Arc::clone(query),
            wanted: query
                .limit
                .map_or(usize::MAX, |limit| limit.saturating_add(1)),
            gathered: Vec::new(),
            bytes: 0,
            worst: None,
        }
    }

    pub(super) fn offer(&mut self, event: &Event) -> Result<(), StoreError> {
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        if !self.query.admits(event, &steps)? || self.is_hopeless(event, &steps)? {
            return Ok(());
        }
        let place = self.query.place_of(event, &steps)?;
        self.bytes += weight(&place, &event.id);
        self.gathered.push((place, event.id.clone()));
        if self.gathered.len() / 2 >= self.wanted || self.bytes > limits::SORT_BYTES_MAX {
            self.shrink();
        }
        match self.bytes > limits::SORT_BYTES_MAX {
            true => Err(StoreError::SortTooLarge),
            false => Ok(()),
        }
    }

    pub(super) fn into_ids(mut self) -> VecDeque<EventId> {
        self.shrink();
        self.gathered.into_iter().map(|(_, id)| id).collect()
    }

    fn is_hopeless(&self, event: &Event, steps: &Steps) -> Result<bool, TooCostly> {
        let Some(worst) = &self.worst else {
            return Ok(false);
        };
        let order = self.query.compare_with_place(event, worst, steps)?;
        Ok(order.is_gt())
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

fn weight(place: &Cursor, id: &EventId) -> usize {
    16 + id.as_str().len() + place.weight()
}

//! Matches, counted by judging events.

use super::{StoreError, admitted};
use crate::domain::Event;
use crate::limits;
use crate::query::{Count, Query};

/// Events that were judged, and how many of them match.
#[derive(Debug)]
pub(super) struct MatchTally {
    matching: u64,
    judged: u64,
    most: u64,
}

impl MatchTally {
    /// At most [`limits::COUNT_EVENTS_MAX`] are judged; but all for who sees but some, to whom the number of the others
    /// must make no difference.
    pub(super) fn of(query: &Query) -> Self {
        let most = match query.filter.rule() {
            None => limits::COUNT_EVENTS_MAX,
            Some(_) => u64::MAX,
        };
        Self {
            matching: 0,
            judged: 0,
            most,
        }
    }

    /// Judges one more, unless that is one too many; returns whether it is.
    pub(super) fn add(&mut self, query: &Query, event: Event) -> Result<bool, StoreError> {
        self.judged += 1;
        if !self.is_over() && admitted(query, event)?.is_some() {
            self.matching += 1;
        }
        Ok(self.is_over())
    }

    /// Whether more were there than may be judged.
    pub(super) fn is_over(&self) -> bool {
        self.judged > self.most
    }

    /// What it comes to, if no event is left.
    pub(super) fn count(&self) -> Count {
        match self.is_over() {
            true => Count::AtLeast(self.matching),
            false => Count::Exactly(self.matching),
        }
    }
}

//! The writer's clock: wall time that never runs backwards along the log.

use std::sync::Arc;

use crate::domain::{Change, Timestamp};
use crate::wall_clock;

/// Gives the time of a batch of changes, never earlier than the log's last change: a wall clock that is set
/// back, or behind another node's, must not make the log's times run backwards.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Option<Timestamp>,
}

impl Clock {
    /// Notes the times of changes in the log, from any node.
    pub(super) fn observe(&mut self, changes: &[Arc<Change>]) {
        let times = changes.iter().map(|change| change.at);
        self.last = times.chain(self.last).max();
    }

    pub(super) fn now(&mut self) -> Timestamp {
        let now = wall_clock::now();
        self.last.map_or(now, |last| last.max(now))
    }
}

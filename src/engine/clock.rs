//! The writer's clock: wall time that never runs backwards along the log.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use crate::domain::{Change, Timestamp};

/// The time by the wall clock, which may be set back.
pub(crate) fn wall_time() -> Timestamp {
    ago(Duration::ZERO)
}

/// The time so long ago.
pub(crate) fn ago(time: Duration) -> Timestamp {
    let then = Timestamp::from_millis((Utc::now() - time).timestamp_millis());
    then.expect("the wall clock is within the years 0 to 9999")
}

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
        let now = wall_time();
        self.last.map_or(now, |last| last.max(now))
    }
}

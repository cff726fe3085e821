//! The writer's clock: wall time that never runs backwards along the log.

use std::sync::Arc;

use chrono::{SecondsFormat, Utc};

use crate::domain::{Change, Timestamp};

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
        let text = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let now =
            Timestamp::parse(&text).expect("chrono writes years up to 9999 in this very shape");
        self.last.map_or(now, |last| last.max(now))
    }
}

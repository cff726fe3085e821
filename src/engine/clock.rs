//! The writer's clock.

use chrono::{SecondsFormat, Utc};

use crate::domain::Timestamp;

/// Tells the time for a batch of changes, never earlier than it told before: a wall clock that is set
/// back must not make the log's times run backwards.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Option<Timestamp>,
}

impl Clock {
    pub(super) fn now(&mut self) -> Timestamp {
        let text = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let now =
            Timestamp::parse(&text).expect("chrono writes years up to 9999 in this very shape");
        let now = self.last.map_or(now, |last| last.max(now));
        self.last = Some(now);
        now
    }
}

//! The time by the wall clock, which may be set back. What orders the log is the engine's own clock.

use std::time::Duration;

use chrono::Utc;

use crate::domain::Timestamp;

/// The time of now.
pub(crate) fn now() -> Timestamp {
    ago(Duration::ZERO)
}

/// The time so long ago.
pub(crate) fn ago(time: Duration) -> Timestamp {
    let then = Timestamp::from_millis((Utc::now() - time).timestamp_millis());
    then.expect("the wall clock is within the years 0 to 9999")
}

//! Which changes of an event its history is found by; see `history`.

use crate::domain::{EventId, Kind, Seq};

/// A change that an event's history is found by: in order, those of each event together.
pub(crate) type Milestone = (EventId, Seq);

/// Versions from one milestone to the next. More would cost less to write, and more to read.
pub(crate) const INTERVAL: u64 = 64;

/// After every change.
pub(crate) const LAST: Seq = Seq::new(u64::MAX);

/// Whether a change is one.
pub(crate) fn is_milestone(kind: Kind, version: u64) -> bool {
    kind == Kind::Delete || version.is_multiple_of(INTERVAL)
}

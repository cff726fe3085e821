//! Milestones: the changes of an event by which its history is entered, see `history`.

use crate::domain::{ChangeKind, EventId, Seq};

/// A skip pointer into the history of an event. They are ordered by event, then by seq.
pub(crate) type Milestone = (EventId, Seq);

/// Versions from one milestone to the next. More would cost less to write, and more to read.
pub(crate) const INTERVAL: u64 = 64;

/// After every change.
pub(crate) const LAST: Seq = Seq::new(u64::MAX);

/// Whether a change of this kind, to this version, is a milestone.
pub(crate) fn is_milestone(kind: ChangeKind, version: u64) -> bool {
    kind == ChangeKind::Delete || version.is_multiple_of(INTERVAL)
}

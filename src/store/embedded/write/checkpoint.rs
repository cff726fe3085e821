//! Moving held-back changes of the view into its table, and milestones into theirs, a little with each append.
//!
//! A round walks once over the overlay, in the order of ids. Slots change while it goes on, so the
//! table is then ahead in places; that is harmless, because the log after [`covered`](Checkpoint::covered)
//! tells every such event anew, whole. When the round is through, everything up to where it began is
//! in the table, and only then does `covered` move: in the transaction that wrote the last of it.
//!
//! Doing it all at once instead would hold up the writer for a tenth of a second every time.

use std::ops::Bound;

use crate::domain::{EventId, Seq};
use crate::limits;
use crate::store::embedded::format::milestone::Milestone;
use crate::store::embedded::read::memtable;
use crate::store::embedded::read::memtable::{Memtable, MemtableEntry};

/// An append moves at least twice as many slots as it has changes, so that a round ends though more come
/// in; and at least this part of the overlay's bound, so that it ends soon.
const STEP_PART: usize = 256;

/// How far the view's table has come.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    covered: Seq,
    round: Option<CheckpointRound>,
    /// Bytes of overlay at which a round begins.
    overlay_bytes_max: usize,
}

#[derive(Debug, Clone)]
struct CheckpointRound {
    /// The head when it began.
    until: Seq,
    /// The slots up to this one are done.
    done: Bound<EventId>,
}

/// What one transaction moves.
#[derive(Debug, Default)]
pub(crate) struct CheckpointStep {
    pub(crate) slots: Vec<(EventId, MemtableEntry)>,
    /// Of the events in these slots.
    pub(crate) milestones: Vec<Milestone>,
    /// What `covered` becomes with it.
    pub(crate) covered: Option<Seq>,
    round: Option<CheckpointRound>,
}

impl Checkpoint {
    pub(crate) fn new(covered: Seq, overlay_bytes_max: usize) -> Self {
        Self {
            covered,
            round: None,
            overlay_bytes_max,
        }
    }

    /// Bytes of overlay at which a round begins.
    pub(crate) fn overlay_bytes_max(&self) -> usize {
        self.overlay_bytes_max
    }

    /// What to move with an append of `changes` that makes the head `head` and the overlay `overlay`.
    pub(super) fn plan(&self, overlay: &Memtable, head: Seq, changes: usize) -> CheckpointStep {
        let round = match &self.round {
            Some(round) => round.clone(),
            None if self.is_due(overlay, head) => CheckpointRound {
                until: head,
                done: Bound::Unbounded,
            },
            None => return CheckpointStep::default(),
        };
        let (mut step, mut bytes) = (CheckpointStep::default(), 0);
        for (id, slot) in overlay.range(round.done.clone(), Bound::Unbounded) {
            if step.slots.len() >= 2 * changes && bytes >= self.overlay_bytes_max / STEP_PART {
                let done = step.slots.last().map_or(round.done, past);
                step.round = Some(CheckpointRound { done, ..round });
                return step;
            }
            bytes += memtable::weight(id, slot);
            step.slots.push((id.clone(), slot.clone()));
            step.milestones.extend(overlay.milestones_of(id).cloned());
        }
        step.covered = Some(round.until);
        step
    }

    /// The step is durable: the overlay without what it moved.
    pub(crate) fn done(&mut self, step: CheckpointStep, overlay: &mut Memtable) {
        for (id, _) in &step.slots {
            overlay.remove(id);
        }
        for milestone in &step.milestones {
            overlay.remove_milestone(milestone);
        }
        self.covered = step.covered.unwrap_or(self.covered);
        self.round = step.round;
    }

    /// The table was replaced by one that is as of `covered`.
    pub(crate) fn restart(&mut self, covered: Seq) {
        self.covered = covered;
        self.round = None;
    }

    fn is_due(&self, overlay: &Memtable, head: Seq) -> bool {
        overlay.bytes() > self.overlay_bytes_max
            || head.get() - self.covered.get() > limits::EMBEDDED_UNCOVERED_MAX
    }
}

fn past((id, _): &(EventId, MemtableEntry)) -> Bound<EventId> {
    Bound::Excluded(id.clone())
}

//! Flushing the memtable into the view's table, and its milestones into theirs, a little with each append.
//!
//! A round goes once over the memtable, in the order of ids, and ends after the last one:
//!
//! | | no round | in a round |
//! |---|---|---|
//! | **an append** | begins a round if the memtable is due, with the new head as its `target` | flushes entries from `after` on |
//! | **the step is durable** | | its entries leave the memtable; `after` moves on, or the round ends and `flushed` is `target` |
//! | **the view is replaced** | `flushed` is the head | so it is, and the round is dropped |
//!
//! Invariants: `flushed <= target <= head`; `flushed` never decreases; it moves in the transaction that writes the last
//! of the round. Events change during a round, so the table may be ahead of `flushed` in places. That is harmless: the
//! log after `flushed` has every such change, and each holds its event whole.
//!
//! Flushing everything at once would stop the writer for a tenth of a second each time.

use std::ops::Bound;

use crate::domain::{EventId, Seq};
use crate::limits;
use crate::store::embedded::format::milestone::Milestone;
use crate::store::embedded::read::memtable;
use crate::store::embedded::read::memtable::{Memtable, MemtableEntry};

/// A step flushes at least twice as many entries as the append has changes, so that a round ends although entries are
/// added meanwhile; and at least this part of the memtable's bound, so that it ends soon.
const STEP_PART: usize = 256;

/// How far the memtable is flushed.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    flushed: Seq,
    round: Option<CheckpointRound>,
    memtable_bytes_max: usize,
}

#[derive(Debug, Clone)]
struct CheckpointRound {
    /// The head when the round began.
    target: Seq,
    /// Begins after the entries that are flushed.
    after: Bound<EventId>,
}

/// What one transaction flushes.
#[derive(Debug, Default)]
pub(super) struct CheckpointStep {
    pub(super) entries: Vec<(EventId, MemtableEntry)>,
    /// Of the events of these entries.
    pub(super) milestones: Vec<Milestone>,
    /// The new value of `flushed`, if the step ends its round.
    pub(super) flushed: Option<Seq>,
    round: Option<CheckpointRound>,
}

impl Checkpoint {
    /// A round begins when the memtable takes more than `memtable_bytes_max` bytes.
    pub(crate) fn new(flushed: Seq, memtable_bytes_max: usize) -> Self {
        Self {
            flushed,
            round: None,
            memtable_bytes_max,
        }
    }

    pub(crate) fn memtable_bytes_max(&self) -> usize {
        self.memtable_bytes_max
    }

    /// What to flush with an append of `changes` changes that makes the head `head` and the memtable `memtable`.
    pub(super) fn plan(&self, memtable: &Memtable, head: Seq, changes: usize) -> CheckpointStep {
        assert!(self.flushed <= head, "only what is in the log is flushed");
        let round = match &self.round {
            Some(round) => round.clone(),
            None if self.is_due(memtable, head) => CheckpointRound {
                target: head,
                after: Bound::Unbounded,
            },
            None => return CheckpointStep::default(),
        };
        assert!(
            (self.flushed..=head).contains(&round.target),
            "a round that ends at {} moves on from {}",
            round.target,
            self.flushed
        );
        let (mut step, mut bytes) = (CheckpointStep::default(), 0);
        for (id, entry) in memtable.range(round.after.clone(), Bound::Unbounded) {
            if step.entries.len() >= 2 * changes && bytes >= self.memtable_bytes_max / STEP_PART {
                let after = step.entries.last().map_or(round.after, beyond);
                step.round = Some(CheckpointRound { after, ..round });
                return step;
            }
            bytes += memtable::approx_bytes(id, entry);
            step.entries.push((id.clone(), entry.clone()));
            step.milestones.extend(memtable.milestones_of(id).cloned());
        }
        step.flushed = Some(round.target);
        step
    }

    /// The step is durable: removes what it flushed from the memtable.
    pub(super) fn complete(&mut self, step: CheckpointStep, memtable: &mut Memtable) {
        for (id, _) in &step.entries {
            memtable.remove(id);
        }
        for milestone in &step.milestones {
            memtable.remove_milestone(milestone);
        }
        self.flushed = step.flushed.unwrap_or(self.flushed);
        self.round = step.round;
    }

    /// The view's table was replaced by one that holds everything up to `flushed`.
    pub(super) fn restart(&mut self, flushed: Seq) {
        assert!(self.flushed <= flushed, "the view never goes back");
        self.flushed = flushed;
        self.round = None;
    }

    fn is_due(&self, memtable: &Memtable, head: Seq) -> bool {
        memtable.bytes() > self.memtable_bytes_max
            || head.get() - self.flushed.get() > limits::EMBEDDED_UNFLUSHED_MAX
    }
}

fn beyond((id, _): &(EventId, MemtableEntry)) -> Bound<EventId> {
    Bound::Excluded(id.clone())
}

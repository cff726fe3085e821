//! Evaluates a subscription's filter over changes: inline while that is cheap, else on the judges' thread.
//!
//! A pass stops at the first change that is too costly to judge inline. That change and the ones after it go to the
//! judges as one job; the subscription waits for the verdicts, and the next pass begins with them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;

use super::judges::{JOB_STEPS, Job, Judges};
use super::outlet::Outlet;
use super::shared_change::SharedChange;
use super::snapshot::SubscriptionError;
use crate::domain::VisibleKind;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::query::{Fields, Filter};
use crate::value::{Steps, TooCostly};

/// Changes examined in one pass; then the session serves its other subscriptions.
const PASS_COUNT_MAX: usize = 1_000;

/// Changes handed to the judges as one job.
const JOB_COUNT_MAX: usize = 64;

/// What the filter sees of changes, in the order of their seqs; `None` is nothing.
pub(super) type Verdicts = VecDeque<(Seq, Option<VisibleKind>)>;

/// One subscription's jobs with the judges, and the verdicts that came back.
#[derive(Debug)]
pub(super) struct OffloadedVerdicts {
    judges: Judges,
    /// Of the next changes, as far as they were judged.
    verdicts: Verdicts,
    job: Option<Job<(Verdicts, Result<(), TooCostly>)>>,
    /// Of all jobs since the end of the log was last reached.
    judged_for: Duration,
    is_too_slow: bool,
}

impl OffloadedVerdicts {
    pub(super) fn new(judges: Judges) -> Self {
        Self {
            judges,
            verdicts: VecDeque::new(),
            job: None,
            judged_for: Duration::ZERO,
            is_too_slow: false,
        }
    }

    /// Waits until no job runs.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(job) = &mut self.job else {
            return Poll::Ready(());
        };
        let joined = ready!(job.poll_unpin(context));
        self.job = None;
        let ((verdicts, outcome), took) = joined.expect("judging does not panic");
        self.verdicts.extend(verdicts);
        self.judged_for += took;
        // Matches before the change that took too long are still handed out.
        let is_over = outcome.is_err() && self.verdicts.is_empty();
        self.is_too_slow |= is_over || self.judged_for > limits::JUDGE_TIME_MAX;
        Poll::Ready(())
    }

    /// Whether a job runs.
    pub(super) fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    /// Whether the filter is still cheap enough.
    ///
    /// # Errors
    /// If a change took too many steps, or all of them too much time.
    pub(super) fn check(&self) -> Result<(), SubscriptionError> {
        match self.is_too_slow {
            true => Err(SubscriptionError::FilterTooSlow),
            false => Ok(()),
        }
    }

    /// Starts the time of [`limits::JUDGE_TIME_MAX`] anew: the end of the log is reached.
    pub(super) fn reset_time(&mut self) {
        self.judged_for = Duration::ZERO;
    }

    fn spawn(&mut self, filter: &Arc<Filter>, changes: Vec<Arc<Change>>) {
        debug_assert!(
            self.job.is_none(),
            "verdicts come back in the order of the log"
        );
        let filter = Arc::clone(filter);
        let work = move || judge_all(&filter, &changes);
        self.job = Some(self.judges.spawn(work));
    }

    /// What the filter sees of a change; the outer `None` if that is too costly to judge inline.
    fn verdict(
        &mut self,
        filter: &Filter,
        change: &Change,
        slice: &Steps,
    ) -> Option<Option<VisibleKind>> {
        while let Some((seq, seen)) = self.verdicts.pop_front_if(|(seq, _)| *seq <= change.seq) {
            // A change that was redacted since then is another one: its verdict is void.
            if seq == change.seq && !change.is_redacted() {
                return Some(seen);
            }
        }
        let own = Steps::new(limits::MATCH_STEPS_INLINE);
        let verdict = filter.visible_kind(change, &own);
        slice.spend(own.taken());
        verdict.ok()
    }
}

/// Judges the first change, and the others as long as there are steps left. Stops at one that takes more than it may.
fn judge_all(filter: &Filter, changes: &[Arc<Change>]) -> (Verdicts, Result<(), TooCostly>) {
    let mut verdicts = Verdicts::new();
    let mut taken = 0;
    for change in changes {
        if taken >= JOB_STEPS {
            break;
        }
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        match filter.visible_kind(change, &steps) {
            Ok(seen) => verdicts.push_back((change.seq, seen)),
            Err(costly) => return (verdicts, Err(costly)),
        }
        taken += steps.taken();
    }
    (verdicts, Ok(()))
}

/// The changes of which the filter sees something; judged inline while that is cheap.
pub(super) async fn judge_page(
    judges: &Judges,
    filter: &Arc<Filter>,
    changes: &[Arc<Change>],
) -> Result<Vec<(Arc<Change>, VisibleKind)>, TooCostly> {
    let mut verdicts = judge_inline(filter, changes);
    while verdicts.len() < changes.len() {
        let unjudged = changes[verdicts.len()..].to_vec();
        let filter = Arc::clone(filter);
        let job = judges.spawn(move || judge_all(&filter, &unjudged));
        let ((more, outcome), _) = job.await.expect("judging does not panic");
        verdicts.extend(more);
        outcome?;
    }
    let seen = changes.iter().zip(verdicts);
    let seen = seen.filter_map(|(change, (_, seen))| Some((Arc::clone(change), seen?)));
    Ok(seen.collect())
}

/// Judges changes up to one that is too costly to judge inline.
fn judge_inline(filter: &Filter, changes: &[Arc<Change>]) -> Verdicts {
    let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
    let verdicts = changes.iter().map_while(|change| {
        let steps = Steps::new(limits::MATCH_STEPS_INLINE.min(slice.left()));
        let seen = filter.visible_kind(change, &steps).ok()?;
        slice.spend(steps.taken());
        Some((change.seq, seen))
    });
    verdicts.collect()
}

/// One pass over changes in the order of the log: hands out those that the filter sees, until a flush is full, the
/// slice of steps is spent, or a change is too costly.
pub(super) struct FilterPass<'a> {
    judged: &'a mut OffloadedVerdicts,
    filter: &'a Arc<Filter>,
    fields: &'a Arc<Fields>,
    slice: &'a Steps,
    /// Every change up to here was examined.
    pub(super) seq: Seq,
    examined: usize,
    sent: usize,
    bytes: usize,
    /// The first change that is too costly to judge inline, and those after it.
    unjudged: Vec<Arc<Change>>,
}

impl<'a> FilterPass<'a> {
    pub(super) fn new(
        judged: &'a mut OffloadedVerdicts,
        filter: &'a Arc<Filter>,
        fields: &'a Arc<Fields>,
        slice: &'a Steps,
        seq: Seq,
    ) -> Self {
        Self {
            judged,
            filter,
            fields,
            slice,
            seq,
            examined: 0,
            sent: 0,
            bytes: 0,
            unjudged: Vec::new(),
        }
    }

    /// Examines the next change; `seen` is the group's verdict, if it has one. Returns whether to go on. The change was
    /// examined if `seq` is not before it.
    pub(super) fn examine(
        &mut self,
        entry: &SharedChange,
        seen: Option<VisibleKind>,
        out: &mut impl Outlet,
    ) -> bool {
        if entry.change.seq <= self.seq {
            return true;
        }
        if !self.unjudged.is_empty() {
            // Nothing is handed out ahead of a change that waits for its verdict.
            return seen.is_some() || self.defer(entry);
        }
        if self.is_full() {
            return false;
        }
        let verdict = match seen {
            Some(seen) => Some(Some(seen)),
            None => {
                let change = &entry.change;
                self.judged.verdict(self.filter, change, self.slice)
            }
        };
        let Some(verdict) = verdict else {
            return self.defer(entry);
        };
        self.examined += 1;
        self.seq = entry.change.seq;
        if let Some(seen) = verdict
            && self.fields.tell(&entry.change, seen)
        {
            self.sent += 1;
            self.bytes += out.change(entry, seen, self.fields);
        }
        true
    }

    /// Ends the pass; every change up to the seq that it returns was examined. Hands unjudged changes to the judges.
    pub(super) fn finish(self) -> Seq {
        if !self.unjudged.is_empty() {
            self.judged.spawn(self.filter, self.unjudged);
        }
        self.seq
    }

    /// Leaves a change to the judges; whether the job has room for more.
    fn defer(&mut self, entry: &SharedChange) -> bool {
        self.unjudged.push(Arc::clone(&entry.change));
        self.unjudged.len() < JOB_COUNT_MAX
    }

    fn is_full(&self) -> bool {
        self.examined >= PASS_COUNT_MAX
            || self.sent >= limits::FLUSH_COUNT_MAX
            || self.bytes >= limits::FLUSH_BYTES_MAX
            || self.slice.left() < limits::MATCH_STEPS_INLINE
    }
}

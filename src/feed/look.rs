//! A subscription's look at changes: which of them its filter sees, and who finds that out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;

use super::entry::SharedChange;
use super::judges::{JOB_STEPS, Job, Judges};
use super::snapshot::SnapshotError;
use super::subscription::Notice;
use crate::domain::VisibleKind;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::query::{Fields, Filter};
use crate::value::{Steps, TooCostly};

/// Entries looked at before others have their turn.
const LOOK_MAX: usize = 1_000;

/// Changes that are judged together where nobody waits.
const JOB_CHANGES: usize = 64;

/// Whether the filter sees something of a change, once that is known.
pub(super) type Verdicts = VecDeque<(Seq, Option<VisibleKind>)>;

/// What one subscription has judged elsewhere.
#[derive(Debug)]
pub(super) struct JudgedElsewhere {
    judges: Arc<Judges>,
    /// The next changes, as far as they were judged.
    known: Verdicts,
    job: Option<Job<(Verdicts, Result<(), TooCostly>)>>,
    /// Since the end of the log was last reached.
    took: Duration,
    is_too_slow: bool,
}

impl JudgedElsewhere {
    pub(super) fn new(judges: &Arc<Judges>) -> Self {
        Self {
            judges: Arc::clone(judges),
            known: VecDeque::new(),
            job: None,
            took: Duration::ZERO,
            is_too_slow: false,
        }
    }

    /// Waits until nothing is being judged.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(job) = &mut self.job else {
            return Poll::Ready(());
        };
        let done = ready!(job.poll_unpin(context));
        self.job = None;
        let ((verdicts, outcome), took) = done.expect("judging does not panic");
        self.known.extend(verdicts);
        self.took += took;
        // What was judged before one change took too long is told before.
        let is_over = outcome.is_err() && self.known.is_empty();
        self.is_too_slow |= is_over || self.took > limits::JUDGE_TIME_MAX;
        Poll::Ready(())
    }

    /// Whether something is being judged.
    pub(super) fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    /// # Errors
    /// If a change took too many steps, or all of them too much time.
    pub(super) fn check(&self) -> Result<(), SnapshotError> {
        match self.is_too_slow {
            true => Err(SnapshotError::FilterTooSlow),
            false => Ok(()),
        }
    }

    /// The end of the log is reached.
    pub(super) fn rest(&mut self) {
        self.took = Duration::ZERO;
    }

    fn begin(&mut self, filter: &Arc<Filter>, changes: Vec<Arc<Change>>) {
        let filter = Arc::clone(filter);
        let work = move || judge_all(&filter, &changes);
        self.job = Some(self.judges.begin(work));
    }

    /// What the filter sees of a change; `None` if it takes too long to find out here.
    fn verdict(
        &mut self,
        filter: &Filter,
        change: &Change,
        slice: &Steps,
    ) -> Option<Option<VisibleKind>> {
        while let Some((seq, seen)) = self.known.pop_front_if(|(seq, _)| *seq <= change.seq) {
            // What was erased since then is something else.
            if seq == change.seq && !change.is_redacted() {
                return Some(seen);
            }
        }
        let own = Steps::new(limits::MATCH_STEPS_INLINE);
        let verdict = filter.sees(change, &own);
        slice.spend(own.taken());
        verdict.ok()
    }
}

/// The first of these changes at least; the others as long as there are steps left. One that takes more than it may is
/// the last.
fn judge_all(filter: &Filter, changes: &[Arc<Change>]) -> (Verdicts, Result<(), TooCostly>) {
    let mut verdicts = Verdicts::new();
    let mut taken = 0;
    for change in changes {
        if taken >= JOB_STEPS {
            break;
        }
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        match filter.sees(change, &steps) {
            Ok(seen) => verdicts.push_back((change.seq, seen)),
            Err(costly) => return (verdicts, Err(costly)),
        }
        taken += steps.taken();
    }
    (verdicts, Ok(()))
}

/// Those of the changes of which the filter sees something: found out here while that takes no time.
pub(super) async fn judge_page(
    judges: &Judges,
    filter: &Arc<Filter>,
    changes: &[Arc<Change>],
) -> Result<Vec<(Arc<Change>, VisibleKind)>, TooCostly> {
    let mut verdicts = judge_here(filter, changes);
    while verdicts.len() < changes.len() {
        let left = changes[verdicts.len()..].to_vec();
        let filter = Arc::clone(filter);
        let job = judges.begin(move || judge_all(&filter, &left));
        let ((more, outcome), _) = job.await.expect("judging does not panic");
        verdicts.extend(more);
        outcome?;
    }
    let seen = changes.iter().zip(verdicts);
    let seen = seen.filter_map(|(change, (_, seen))| Some((Arc::clone(change), seen?)));
    Ok(seen.collect())
}

/// The first of these changes, up to one that takes too long.
fn judge_here(filter: &Filter, changes: &[Arc<Change>]) -> Verdicts {
    let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
    let verdicts = changes.iter().map_while(|change| {
        let steps = Steps::new(limits::MATCH_STEPS_INLINE.min(slice.left()));
        let seen = filter.sees(change, &steps).ok()?;
        slice.spend(steps.taken());
        Some((change.seq, seen))
    });
    verdicts.collect()
}

/// Looking through changes for those that the filter sees, until there is enough of something.
pub(super) struct Look<'a> {
    judged: &'a mut JudgedElsewhere,
    filter: &'a Arc<Filter>,
    fields: &'a Arc<Fields>,
    slice: &'a Steps,
    /// Every change up to here was looked at.
    pub(super) seq: Seq,
    looked: usize,
    told: usize,
    bytes: usize,
    /// Changes that take too long to judge here, and those after them.
    left: Vec<Arc<Change>>,
}

impl<'a> Look<'a> {
    pub(super) fn new(
        judged: &'a mut JudgedElsewhere,
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
            looked: 0,
            told: 0,
            bytes: 0,
            left: Vec::new(),
        }
    }

    /// Looks at the next change, of which is known what it is `seen` as, if anybody knows. Whether to go on: a
    /// change was looked at if `seq` is not before it.
    pub(super) fn at(
        &mut self,
        entry: &SharedChange,
        seen: Option<VisibleKind>,
        out: &mut impl FnMut(Notice),
    ) -> bool {
        if entry.change.seq <= self.seq {
            return true;
        }
        if !self.left.is_empty() {
            return seen.is_some() || self.leave(entry);
        }
        if self.has_enough() {
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
            return self.leave(entry);
        };
        self.looked += 1;
        self.seq = entry.change.seq;
        if let Some(seen) = verdict {
            let frame = entry.frame(seen, self.fields);
            self.told += 1;
            self.bytes += frame.len();
            out(Notice::change(entry, frame));
        }
        true
    }

    /// Where it came to. What was left is begun to be judged.
    pub(super) fn end(self) -> Seq {
        if !self.left.is_empty() {
            self.judged.begin(self.filter, self.left);
        }
        self.seq
    }

    fn leave(&mut self, entry: &SharedChange) -> bool {
        self.left.push(Arc::clone(&entry.change));
        self.left.len() < JOB_CHANGES
    }

    fn has_enough(&self) -> bool {
        self.looked >= LOOK_MAX
            || self.told >= limits::FLUSH_COUNT_MAX
            || self.bytes >= limits::FLUSH_BYTES_MAX
            || self.slice.left() < limits::MATCH_STEPS_INLINE
    }
}

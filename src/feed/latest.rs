//! What became of events after a position: many changes, told as the few they come to.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;

use super::judges::{JOB_STEPS, Job, Judges};
use super::log::{LogPage, PageRead, SharedLog};
use super::snapshot::{SnapshotError, SnapshotPermit};
use crate::domain::VisibleKind;
use crate::domain::{Change, EventId, Seq};
use crate::limits;
use crate::protocol;
use crate::protocol::Frame;
use crate::query::{Fields, Filter};
use crate::store::StoreError;
use crate::value::{Steps, TooCostly};

/// The changes from a position to the head as it was, being gathered, then told.
#[derive(Debug)]
pub(super) struct Latest {
    /// Changes up to here are gathered.
    pub(super) seq: Seq,
    until: Seq,
    filter: Arc<Filter>,
    log: Arc<SharedLog>,
    turn: SnapshotPermit,
    reading: Option<PageRead>,
    /// Why no more can be gathered.
    broken: Option<StoreError>,
    /// The first and the last change of each event.
    touched: HashMap<EventId, Span>,
    bytes: usize,
    judges: Arc<Judges>,
    job: Option<Job<Result<Judging, TooCostly>>>,
    /// Of judging, altogether.
    took: Duration,
    is_too_slow: bool,
    /// What they came to, the last first.
    outcomes: Vec<(Arc<Change>, VisibleKind)>,
}

/// An event's first change of those that are gathered, and its last.
type Span = (Arc<Change>, Arc<Change>);

/// What is still to be judged, and what was.
type Judging = (Vec<Span>, Vec<(Arc<Change>, VisibleKind)>);

impl Latest {
    /// Gathers changes after the first of these places, up to the other.
    pub(super) fn new(
        log: &Arc<SharedLog>,
        judges: &Arc<Judges>,
        filter: &Arc<Filter>,
        (after, until): (Seq, Seq),
        turn: SnapshotPermit,
    ) -> Self {
        Self {
            seq: after,
            until,
            filter: Arc::clone(filter),
            log: Arc::clone(log),
            turn,
            reading: None,
            broken: None,
            touched: HashMap::new(),
            bytes: 0,
            judges: Arc::clone(judges),
            job: None,
            took: Duration::ZERO,
            is_too_slow: false,
            outcomes: Vec::new(),
        }
    }

    /// Gathers until there is something to tell, or nothing more to gather.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.poll_judged(context));
            let is_over = self.is_too_slow || self.broken.is_some();
            if is_over || !self.outcomes.is_empty() || self.seq >= self.until {
                return Poll::Ready(());
            }
            let (log, seq) = (&self.log, self.seq);
            let reading = self.reading.get_or_insert_with(|| log.read(seq));
            let page = ready!(reading.poll_unpin(context));
            self.reading = None;
            match page {
                Ok(page) => self.gather(&page),
                Err(error) => self.broken = Some(error),
            }
            if self.seq == self.until || self.bytes >= limits::LATEST_BYTES_MAX {
                let touched = self.touched.drain().map(|(_, span)| span).collect();
                self.bytes = 0;
                self.judge((touched, Vec::new()));
            }
        }
    }

    fn poll_judged(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(job) = &mut self.job {
            let done = ready!(job.poll_unpin(context));
            self.job = None;
            let (judged, took) = done.expect("judging does not panic");
            self.took += took;
            self.is_too_slow |= judged.is_err() || self.took > limits::JUDGE_TIME_MAX;
            match judged {
                Ok((left, outcomes)) if left.is_empty() => {
                    self.outcomes = outcomes;
                    self.outcomes
                        .sort_unstable_by_key(|(change, _)| std::cmp::Reverse(change.seq));
                }
                Ok(judging) if !self.is_too_slow => self.judge(judging),
                Ok(_) | Err(_) => {}
            }
        }
        Poll::Ready(())
    }

    fn judge(&mut self, judging: Judging) {
        let filter = Arc::clone(&self.filter);
        self.job = Some(self.judges.begin(move || judge_some(&filter, judging)));
    }

    /// Hands out what is ready, up to one flush; `true` when all is told.
    pub(super) fn take(
        &mut self,
        fields: &Fields,
        mut out: impl FnMut(Seq, Frame),
    ) -> Result<bool, SnapshotError> {
        self.turn.check()?;
        if self.is_too_slow {
            return Err(SnapshotError::FilterTooSlow);
        }
        if let Some(error) = &self.broken {
            return Err(SnapshotError::Store(error.clone()));
        }
        let rest = self.outcomes.len().saturating_sub(limits::FLUSH_COUNT_MAX);
        for (change, seen) in self.outcomes.drain(rest..).rev() {
            let frame = protocol::latest(&change, seen, fields);
            self.turn.earn(frame.len());
            out(change.seq, frame);
        }
        Ok(self.outcomes.is_empty() && self.seq == self.until)
    }

    fn gather(&mut self, page: &LogPage) {
        for entry in &page.entries {
            let change = &entry.change;
            if change.seq <= self.seq || change.seq > self.until {
                continue;
            }
            self.seq = change.seq;
            self.bytes += change.weight();
            match self.touched.get_mut(change.event_id()) {
                Some((first, last)) => {
                    if !Arc::ptr_eq(first, last) {
                        self.bytes -= last.weight();
                    }
                    *last = Arc::clone(change);
                }
                None => {
                    let span = (Arc::clone(change), Arc::clone(change));
                    self.touched.insert(change.event_id().clone(), span);
                }
            }
        }
    }
}

/// Goes on for as long as one job may take.
fn judge_some(filter: &Filter, (mut left, mut outcomes): Judging) -> Result<Judging, TooCostly> {
    let mut taken = 0;
    while taken < JOB_STEPS {
        let Some((first, last)) = left.pop() else {
            break;
        };
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        let before = filter.standing_before(&first, &steps)?;
        let seen = before.to(filter.standing_after(&last, &steps)?);
        outcomes.extend(seen.map(|seen| (last, seen)));
        taken += steps.taken();
    }
    Ok((left, outcomes))
}

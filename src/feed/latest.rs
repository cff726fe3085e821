//! Mode `latest`: what became of events after a position. Many changes of an event are sent as one.
//!
//! Works in rounds: gathers the first and the last change of each event from the log, up to a bound in bytes; has them
//! judged; hands the outcomes out; and goes on with the next round until it has gathered every change up to `until`.
//!
//! Who does not see everything is told what the changes come to that it [sees](super::sight): others are not gathered, so
//! they are neither the first nor the last of an event, and an event of which there are no others is not told of.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;

use super::judges::{JOB_STEPS, Job, Judges};
use super::shared_log::{LogPage, PageRead, SharedLog};
use super::sight::{Sifting, Sight};
use super::snapshot::{SnapshotPermit, SubscriptionError};
use crate::domain::VisibleKind;
use crate::domain::{Change, EventId, Seq};
use crate::limits;
use crate::protocol;
use crate::protocol::Frame;
use crate::query::{Fields, Filter};
use crate::store::StoreError;
use crate::value::{Steps, TooCostly};

/// The changes from a position to the head as it was at the start: gathered, judged, then handed out.
#[derive(Debug)]
pub(super) struct Latest {
    /// Changes up to here are gathered.
    pub(super) seq: Seq,
    until: Seq,
    filter: Arc<Filter>,
    log: Arc<SharedLog>,
    permit: SnapshotPermit,
    reading: Option<PageRead>,
    /// `None` sees everything.
    sight: Option<Sight>,
    /// A page that was read, and what is seen of it.
    sifting: Option<(Arc<LogPage>, Sifting)>,
    /// Why no more can be gathered.
    read_error: Option<StoreError>,
    /// The first and the last change of each event of this round.
    spans: HashMap<EventId, Span>,
    /// Of the changes in `spans`.
    bytes: usize,
    judges: Judges,
    job: Option<Job<Result<Judging, TooCostly>>>,
    /// Of all jobs together.
    judged_for: Duration,
    is_too_slow: bool,
    /// What this round is to hand out, the last change first.
    outcomes: Vec<(Arc<Change>, VisibleKind)>,
}

/// An event's first gathered change, and its last.
type Span = (Arc<Change>, Arc<Change>);

/// Spans that are still to be judged, and the outcomes of those that were.
type Judging = (Vec<Span>, Vec<(Arc<Change>, VisibleKind)>);

impl Latest {
    /// Gathers changes after the first of these seqs, up to the other.
    pub(super) fn new(
        log: &Arc<SharedLog>,
        judges: &Judges,
        (filter, fields): (&Arc<Filter>, &Arc<Fields>),
        (after, until): (Seq, Seq),
        permit: SnapshotPermit,
    ) -> Self {
        debug_assert!(after <= until, "the head only moves forward");
        Self {
            seq: after,
            until,
            filter: Arc::clone(filter),
            log: Arc::clone(log),
            permit,
            reading: None,
            sight: Sight::of(filter, fields),
            sifting: None,
            read_error: None,
            spans: HashMap::new(),
            bytes: 0,
            judges: judges.clone(),
            job: None,
            judged_for: Duration::ZERO,
            is_too_slow: false,
            outcomes: Vec::new(),
        }
    }

    /// Gathers until there is something to hand out, or nothing more to gather.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.poll_judged(context));
            let is_over = self.is_too_slow || self.read_error.is_some();
            if is_over || !self.outcomes.is_empty() || self.seq >= self.until {
                return Poll::Ready(());
            }
            ready!(self.poll_gathered(context));
            if self.seq == self.until || self.bytes >= limits::LATEST_BYTES_MAX {
                let spans = self.spans.drain().map(|(_, span)| span).collect();
                self.bytes = 0;
                self.judge((spans, Vec::new()));
            }
        }
    }

    /// Gathers the next page, or finds out that it cannot.
    fn poll_gathered(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.sifting.is_none() {
            let (log, seq) = (&self.log, self.seq);
            let reading = self.reading.get_or_insert_with(|| log.read(seq));
            let page = ready!(reading.poll_unpin(context));
            self.reading = None;
            match (page, &self.sight) {
                (Err(error), _) => self.read_error = Some(error),
                (Ok(page), None) => self.gather(&page, |_| true),
                (Ok(page), Some(sight)) => {
                    let changes = page.entries.iter().map(|entry| &entry.change);
                    let new = changes.filter(|change| change.seq > seq).cloned();
                    let sifting = sight.sift(&self.judges, new.collect());
                    self.sifting = Some((page, sifting));
                }
            }
        }
        if let Some((_, sifting)) = &mut self.sifting {
            let seen = ready!(sifting.poll_unpin(context)).expect("judging does not panic");
            let (page, _) = self.sifting.take().expect("it was there");
            match seen {
                Ok(seen) => self.gather(&page, |seq| seen.binary_search(&seq).is_ok()),
                Err(TooCostly) => self.is_too_slow = true,
            }
        }
        Poll::Ready(())
    }

    fn poll_judged(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(job) = &mut self.job {
            let joined = ready!(job.poll_unpin(context));
            self.job = None;
            let (judged, took) = joined.expect("judging does not panic");
            self.judged_for += took;
            self.is_too_slow |= judged.is_err() || self.judged_for > limits::JUDGE_TIME_MAX;
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
        self.job = Some(self.judges.spawn(move || judge_some(&filter, judging)));
    }

    /// Hands out what is ready, up to one flush; `true` once everything up to `until` is handed out.
    pub(super) fn take(
        &mut self,
        fields: &Fields,
        mut out: impl FnMut(Seq, Frame),
    ) -> Result<bool, SubscriptionError> {
        self.permit.check()?;
        if self.is_too_slow {
            return Err(SubscriptionError::FilterTooSlow);
        }
        if let Some(error) = &self.read_error {
            return Err(SubscriptionError::Store(error.clone()));
        }
        let from = self.outcomes.len().saturating_sub(limits::FLUSH_COUNT_MAX);
        for (change, seen) in self.outcomes.drain(from..).rev() {
            let frame = protocol::latest(&change, seen, fields);
            self.permit.extend(frame.len());
            out(change.seq, frame);
        }
        Ok(self.outcomes.is_empty() && self.seq == self.until)
    }

    fn gather(&mut self, page: &LogPage, is_seen: impl Fn(Seq) -> bool) {
        for entry in &page.entries {
            let change = &entry.change;
            if change.seq <= self.seq || change.seq > self.until {
                continue;
            }
            debug_assert_eq!(change.seq, self.seq.next(), "no change is passed over");
            self.seq = change.seq;
            if !is_seen(change.seq) {
                continue;
            }
            self.bytes += change.approx_bytes();
            match self.spans.get_mut(change.event_id()) {
                Some((first, last)) => {
                    if !Arc::ptr_eq(first, last) {
                        self.bytes -= last.approx_bytes();
                    }
                    *last = Arc::clone(change);
                }
                None => {
                    let span = (Arc::clone(change), Arc::clone(change));
                    self.spans.insert(change.event_id().clone(), span);
                }
            }
        }
    }
}

/// Judges spans until the steps of one job are spent.
fn judge_some(filter: &Filter, (mut left, mut outcomes): Judging) -> Result<Judging, TooCostly> {
    let mut taken = 0;
    while taken < JOB_STEPS {
        let Some((first, last)) = left.pop() else {
            break;
        };
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        let before = filter.visibility_before(&first, &steps)?;
        let seen = before.to(filter.visibility_after(&last, &steps)?);
        outcomes.extend(seen.map(|seen| (last, seen)));
        taken += steps.taken();
    }
    Ok((left, outcomes))
}

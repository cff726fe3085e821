//! One filter's position in the feed: a snapshot or the log until the window is reached, then the window,
//! then the group's matches; and back to the log when the window has moved on.
//!
//! | position | what is handed out | `seq` | left when |
//! |---|---|---|---|
//! | `Snapshot` | pages of the events that match as of `seq` | what they are as of; stands | the last page is taken: seek |
//! | `Latest` | what became of events up to a seq | changes up to it are gathered; their outcomes may still wait | everything up to that seq is handed out: seek |
//! | `Reading` | nothing: a page of the log with the change after `seq` is being read | as below | it is read: `Page`; it cannot be: `Broken` |
//! | `Page` | the page's changes that the filter sees | every change up to it was handed out, or the filter sees nothing of it | all are examined: seek |
//! | `Window(index)` | the same of the window's items from `index` on | as above | all are examined: `Matches { more: true }`; not all, or the window has moved on: seek |
//! | `Matches { more: true }` | the group's matches after `seq` | as above; lags while nothing matches | none is left: `Matches { more: false }`, after `live` if it was not live; see below |
//! | `Matches { more: false }` | the group's matches from the pending one on | as above | there is one: as `more: true`; see below |
//! | `Broken` | nothing: `take` returns the error | as above | never |
//!
//! Seek: `Window` if the window continues after `seq`, else `Reading`, after `behind` if it was live. In both `Matches` it
//! seeks if the group forgot what it needs, or the window has moved on without a match: `seq` moves up to just before
//! that match first, since nothing in between is seen by the filter.
//!
//! Invariants: `seq` never moves back. `Matches { more: false }` implies `is_live`. While the judges have a job, `take`
//! hands out nothing.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use tokio::sync::Notify;

use super::fanout::Membership;
use super::filter_pass::{FilterPass, OffloadedVerdicts};
use super::group::{FilterMatch, NotRemembered};
use super::judges::Judges;
use super::latest::Latest;
use super::live_window::LiveWindow;
use super::notice::Notice;
use super::outlet::Outlet;
use super::shared_log::{LogPage, PageRead, SharedLog};
use super::snapshot::{SnapshotFeed, SnapshotPermit, SubscriptionError};
use super::window::{Lagged, WindowContent, WindowIndex};
use crate::domain::Seq;
use crate::fairness::Holding;
use crate::limits;
use crate::protocol;
use crate::query::Fields;
use crate::store::{QueryResult, StoreError};
use crate::value::Steps;

/// Where a subscription begins.
#[derive(Debug)]
pub enum Start {
    /// With the changes from now on.
    Now,
    /// With every change after a position.
    After(Seq),
    /// With what became of the events after a position.
    Latest(Seq, SnapshotPermit),
    /// With the events as they are.
    Snapshot(QueryResult, SnapshotPermit),
}

/// Every change of which the filter sees something, once each, in order.
///
/// Pulled: nothing is buffered for a client that does not ask for more.
#[derive(Debug)]
pub struct FilterReader {
    live: Arc<LiveWindow>,
    log: Arc<SharedLog>,
    membership: Membership,
    wakeup: Arc<Notify>,
    fields: Arc<Fields>,
    /// What it means depends on `position`; it never moves back.
    seq: Seq,
    position: FilterPosition,
    judged: OffloadedVerdicts,
    /// Whether the client was last told that it receives changes as they happen.
    is_live: bool,
    /// For its filter.
    holding: Option<Holding>,
}

#[derive(Debug)]
enum FilterPosition {
    Snapshot(Box<SnapshotFeed>),
    Latest(Box<Latest>),
    /// Behind the window: the next page of the log is being read.
    Reading(PageRead),
    /// Behind the window, with a page of the log to examine.
    Page(Arc<LogPage>),
    /// The next change cannot be read.
    Broken(StoreError),
    /// Examining every item of the window, from this one on.
    Window(WindowIndex),
    /// At the window's end: the group finds the matches. `more` says that it had others when they were last taken.
    Matches {
        more: bool,
    },
}

impl FilterReader {
    pub(super) fn new(
        live: Arc<LiveWindow>,
        log: Arc<SharedLog>,
        judges: Judges,
        membership: Membership,
        wakeup: Arc<Notify>,
        fields: Arc<Fields>,
        start: Start,
    ) -> Self {
        let head = live.seq();
        let filter = &membership.group.filter;
        let (seq, position) = match start {
            Start::Now => (head, FilterPosition::Matches { more: true }),
            Start::After(after) => (after, FilterPosition::after(after, &live, &log)),
            Start::Latest(after, permit) => {
                let span = (after, head.max(after));
                let latest = Latest::new(&log, &judges, (filter, &fields), span, permit);
                (after, FilterPosition::Latest(Box::new(latest)))
            }
            Start::Snapshot(result, permit) => {
                let snapshot = SnapshotFeed::new(result, &fields, permit);
                (snapshot.seq, FilterPosition::Snapshot(Box::new(snapshot)))
            }
        };
        Self {
            live,
            log,
            membership,
            wakeup,
            fields,
            seq,
            position,
            judged: OffloadedVerdicts::new(judges),
            is_live: false,
            holding: None,
        }
    }

    /// Keeps what is held for its filter as long as it lives.
    pub fn hold(&mut self, filter: Holding) {
        self.holding = Some(filter);
    }

    /// Every change up to here was handed out, or the filter sees nothing of it.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Notified when there may be more.
    pub(super) fn wakeup(&self) -> &Arc<Notify> {
        &self.wakeup
    }

    /// Bytes that its filter takes in memory, if no other subscription shares it.
    pub fn approx_filter_bytes(&self) -> usize {
        self.membership.group.filter.approx_bytes()
    }

    /// Whether [`take`](Self::take) may have something. Matches that come while this is pending notify the
    /// `wakeup`, not the context's waker.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.judged.poll_ready(context));
        match &mut self.position {
            FilterPosition::Snapshot(snapshot) => return snapshot.poll_ready(context),
            FilterPosition::Latest(latest) => return latest.poll_ready(context),
            FilterPosition::Reading(page) => {
                self.position = match ready!(page.poll_unpin(context)) {
                    Ok(page) => FilterPosition::Page(page),
                    Err(error) => FilterPosition::Broken(error),
                };
            }
            FilterPosition::Page(..) | FilterPosition::Window(_) | FilterPosition::Broken(_) => {}
            FilterPosition::Matches { more } => {
                if !*more && !self.membership.member.has_pending() {
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }

    /// Hands out what is there without waiting, up to about one flush and as long as `slice` has steps left.
    ///
    /// # Errors
    /// If it cannot go on. The subscription is over then.
    pub(super) fn take(
        &mut self,
        slice: &Steps,
        out: &mut impl Outlet,
    ) -> Result<(), SubscriptionError> {
        self.judged.check()?;
        if self.judged.is_busy() {
            return Ok(());
        }
        match &mut self.position {
            FilterPosition::Snapshot(snapshot) => {
                let (frame, is_last) = snapshot.take()?;
                out.notice(Notice::new("snapshot", None, frame));
                if is_last {
                    self.seek(out);
                }
            }
            FilterPosition::Latest(latest) => {
                let send = |_, frame| out.notice(Notice::new("change", None, frame));
                let is_done = latest.take(&self.fields, send)?;
                let gathered = latest.seq;
                self.advance(gathered);
                if is_done {
                    self.seek(out);
                }
            }
            FilterPosition::Reading(_) => {}
            FilterPosition::Broken(error) => return Err(SubscriptionError::Store(error.clone())),
            FilterPosition::Page(page) => {
                let page = Arc::clone(page);
                self.take_from_page(&page, slice, out);
            }
            FilterPosition::Window(index) => {
                let index = *index;
                self.take_from_window(index, slice, out);
            }
            FilterPosition::Matches { more } => {
                let more = *more;
                self.take_matches(more, slice, out);
            }
        }
        Ok(())
    }

    fn take_from_page(&mut self, page: &Arc<LogPage>, slice: &Steps, out: &mut impl Outlet) {
        let from = page
            .entries
            .partition_point(|entry| entry.change.seq <= self.seq);
        let mut pass = self.filter_pass(slice);
        for entry in &page.entries[from..] {
            if !pass.examine(entry, None, out) {
                break;
            }
        }
        let examined = pass.finish();
        self.advance(examined);
        let last = page.entries.last();
        if last.is_none_or(|last| last.change.seq <= self.seq) {
            self.seek(out);
        }
    }

    fn take_from_window(&mut self, from: WindowIndex, slice: &Steps, out: &mut impl Outlet) {
        let live = Arc::clone(&self.live);
        let mut pass = self.filter_pass(slice);
        let mut last_shown = pass.seq;
        let read = live.read(from, |item| {
            last_shown = last_shown.max(item.seq);
            match &item.content {
                WindowContent::Change(entry) => pass.examine(entry, None, out),
                WindowContent::Broadcast(_) => true,
            }
        });
        let examined = pass.finish();
        self.advance(examined);
        match read {
            // The group has judged, or will judge, every change after `seq`: from here on it finds the matches.
            Ok(_) if last_shown <= self.seq => {
                self.position = FilterPosition::Matches { more: true }
            }
            Ok(_) | Err(Lagged) => self.seek(out),
        }
    }

    fn filter_pass<'a>(&'a mut self, slice: &'a Steps) -> FilterPass<'a> {
        let filter = &self.membership.group.filter;
        FilterPass::new(&mut self.judged, filter, &self.fields, slice, self.seq)
    }

    /// Hands out matches that the group remembers. `more` says that it had more when they were last taken.
    fn take_matches(&mut self, more: bool, slice: &Steps, out: &mut impl Outlet) {
        debug_assert!(
            more || self.is_live,
            "`live` is sent when nothing more is left"
        );
        let first_pending = self.membership.member.take_pending();
        let from = match first_pending {
            // The matches left from last time precede any that came since.
            _ if more => self.seq.next(),
            // Between `seq` and it nothing matches. `seq` alone may be older than the group remembers: it does not move
            // while the filter sees nothing.
            Some(first) => first.max(self.seq.next()),
            None => return,
        };
        match self.membership.group.matches(from, limits::FLUSH_COUNT_MAX) {
            Ok((matches, more)) => self.send_matches(&matches, more, slice, out),
            Err(NotRemembered) => {
                self.advance(from.before());
                self.seek(out);
            }
        }
    }

    /// Hands out these matches as far as the window holds them and the flush has room. Nothing between them, or
    /// between `seq` and the first, is seen by the filter. `more` says that the group has others after them.
    fn send_matches(
        &mut self,
        matches: &[FilterMatch],
        more: bool,
        slice: &Steps,
        out: &mut impl Outlet,
    ) {
        let live = Arc::clone(&self.live);
        let mut pass = self.filter_pass(slice);
        let mut is_full = false;
        live.entries(matches.iter().copied(), |entry, seen| {
            is_full = !pass.examine(entry, seen, out);
            !is_full
        });
        let examined = pass.finish();
        self.advance(examined);
        let mut seqs = matches.iter().map(|(seq, _)| *seq);
        match seqs.find(|seq| *seq > self.seq) {
            None => self.reach_end(more, out),
            Some(_) if is_full || self.judged.is_busy() => {
                self.position = FilterPosition::Matches { more: true };
            }
            // It has left the window, and everything before it was handed out.
            Some(evicted) => {
                self.advance(evicted.before());
                self.seek(out);
            }
        }
    }

    /// All matches that were taken are handed out. Unless the group has more, the subscription is live.
    fn reach_end(&mut self, more: bool, out: &mut impl Outlet) {
        self.position = FilterPosition::Matches { more };
        if more {
            return;
        }
        self.judged.reset_time();
        if !self.is_live {
            self.is_live = true;
            let frame = protocol::live(self.seq);
            out.notice(Notice::new("live", Some(self.seq), frame));
        }
    }

    /// Goes on after `seq`: in the window if it reaches back that far, else in the log.
    fn seek(&mut self, out: &mut impl Outlet) {
        self.position = FilterPosition::after(self.seq, &self.live, &self.log);
        if self.is_live && matches!(self.position, FilterPosition::Reading(_)) {
            self.is_live = false;
            self.log.metrics.falls_behind.inc();
            let frame = protocol::behind(self.seq);
            out.notice(Notice::new("behind", Some(self.seq), frame));
        }
    }

    /// Every change up to `seq` is handed out now, or the filter sees nothing of it.
    fn advance(&mut self, seq: Seq) {
        debug_assert!(self.seq <= seq, "a change is handed out once");
        self.seq = seq;
    }
}

impl FilterPosition {
    fn after(seq: Seq, live: &LiveWindow, log: &Arc<SharedLog>) -> Self {
        match live.index_after(seq) {
            Some(index) => Self::Window(index),
            None => Self::Reading(log.read(seq)),
        }
    }
}

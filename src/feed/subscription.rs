//! One filter's position in the feed: a snapshot or the log until the window is reached, then the window;
//! and back to the log when the window has moved on.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures::FutureExt;
use tokio::sync::Notify;

use super::entry::SharedChange;
use super::fanout::Membership;
use super::group::NotRemembered;
use super::judges::Judges;
use super::latest::Latest;
use super::live::LiveWindow;
use super::log::{LogPage, PageRead, SharedLog};
use super::look::{JudgedElsewhere, Look};
use super::snapshot::{SnapshotError, SnapshotFeed, SnapshotPermit};
use super::window::{Lagged, WindowContent, WindowIndex};
use crate::domain::Seq;
use crate::domain::VisibleKind;
use crate::limits;
use crate::protocol;
use crate::protocol::Frame;
use crate::query::Fields;
use crate::store::{QueryResult, StoreError};
use crate::value::Steps;

/// Where a subscription begins.
#[derive(Debug)]
pub enum Start {
    /// With what follows.
    Now,
    /// With every change after a position.
    After(Seq),
    /// With what became of the events after a position.
    Latest(Seq, SnapshotPermit),
    /// With the events as they are.
    Snapshot(QueryResult, SnapshotPermit),
}

/// What a subscription tells: a frame without the subscription's name.
#[derive(Debug)]
pub struct Notice {
    /// The frame's type.
    pub word: &'static str,
    /// The position to resume from after this frame, if it is one.
    pub position: Option<Seq>,
    /// The message.
    pub frame: Frame,
    /// When this node heard of the change that it tells.
    pub heard: Option<Instant>,
}

/// Every change of which the filter sees something, once each, in order.
///
/// Pulled: nothing is buffered for a client that does not ask for more.
#[derive(Debug)]
pub struct Subscription {
    live: Arc<LiveWindow>,
    log: Arc<SharedLog>,
    membership: Membership,
    bell: Arc<Notify>,
    fields: Arc<Fields>,
    /// Every change up to here was handed out, or the filter sees nothing of it.
    seq: Seq,
    position: SubscriptionPosition,
    judged: JudgedElsewhere,
    /// Whether the client was told that it hears of changes as they happen.
    is_live: bool,
}

#[derive(Debug)]
enum SubscriptionPosition {
    Snapshot(Box<SnapshotFeed>),
    Latest(Box<Latest>),
    /// Behind the window: the next page of the log is being read.
    Reading(PageRead),
    /// Behind the window, with a page of the log to look at.
    Page(Arc<LogPage>),
    /// What comes next cannot be read.
    Broken(StoreError),
    /// Looking at every item of the window.
    Window(WindowIndex),
    /// At the window's end: the group knows what matches. `more` was there when it last looked.
    Matches {
        more: bool,
    },
}

impl Subscription {
    pub(super) fn new(
        live: Arc<LiveWindow>,
        log: Arc<SharedLog>,
        judges: &Arc<Judges>,
        membership: Membership,
        bell: Arc<Notify>,
        fields: Arc<Fields>,
        start: Start,
    ) -> Self {
        let head = live.seq();
        let filter = &membership.group.filter;
        let (seq, position) = match start {
            Start::Now => (head, SubscriptionPosition::Matches { more: true }),
            Start::After(after) => (after, SubscriptionPosition::after(after, &live, &log)),
            Start::Latest(after, turn) => {
                let latest = Latest::new(&log, judges, filter, (after, head.max(after)), turn);
                (after, SubscriptionPosition::Latest(Box::new(latest)))
            }
            Start::Snapshot(found, turn) => {
                let snapshot = SnapshotFeed::new(found, &fields, turn);
                (
                    snapshot.seq,
                    SubscriptionPosition::Snapshot(Box::new(snapshot)),
                )
            }
        };
        Self {
            live,
            log,
            membership,
            bell,
            fields,
            seq,
            position,
            judged: JudgedElsewhere::new(judges),
            is_live: false,
        }
    }

    /// Every change up to here was handed out, or the filter sees nothing of it.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Bytes that its filter takes in memory, if it is the only one with that.
    pub fn filter_weight(&self) -> usize {
        self.membership.group.filter.weight()
    }

    /// Waits until [`take`](Self::take) may have something. Safe to drop and call again.
    pub async fn ready(&mut self) {
        let bell = Arc::clone(&self.bell);
        loop {
            let ready = std::future::poll_fn(|context| self.poll_ready(context));
            tokio::select! {
                () = ready => return,
                () = bell.notified() => {}
            }
        }
    }

    /// Whether [`take`](Self::take) may have something. When matches come while this is pending, the
    /// bell rings instead of the context's waker.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.judged.poll_ready(context));
        match &mut self.position {
            SubscriptionPosition::Snapshot(snapshot) => return snapshot.poll_ready(context),
            SubscriptionPosition::Latest(latest) => return latest.poll_ready(context),
            SubscriptionPosition::Reading(page) => {
                self.position = match ready!(page.poll_unpin(context)) {
                    Ok(page) => SubscriptionPosition::Page(page),
                    Err(error) => SubscriptionPosition::Broken(error),
                };
            }
            SubscriptionPosition::Page(..)
            | SubscriptionPosition::Window(_)
            | SubscriptionPosition::Broken(_) => {}
            SubscriptionPosition::Matches { more } => {
                if !*more && self.is_live && !self.membership.member.has_news() {
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }

    /// Hands out what is there without waiting, up to about one flush and as long as `slice` has steps left.
    ///
    /// # Errors
    /// If it broke off: it is over.
    pub fn take(
        &mut self,
        slice: &Steps,
        out: &mut impl FnMut(Notice),
    ) -> Result<(), SnapshotError> {
        self.judged.check()?;
        if self.judged.is_busy() {
            return Ok(());
        }
        match &mut self.position {
            SubscriptionPosition::Snapshot(snapshot) => {
                let (frame, last) = snapshot.take()?;
                out(Notice::new("snapshot", None, frame));
                if last {
                    self.seek(out);
                }
            }
            SubscriptionPosition::Latest(latest) => {
                let tell = |_, frame| out(Notice::new("change", None, frame));
                let done = latest.take(&self.fields, tell)?;
                self.seq = latest.seq;
                if done {
                    self.seek(out);
                }
            }
            SubscriptionPosition::Reading(_) => {}
            SubscriptionPosition::Broken(error) => return Err(SnapshotError::Store(error.clone())),
            SubscriptionPosition::Page(page) => {
                let page = Arc::clone(page);
                self.look_at_page(&page, slice, out);
            }
            SubscriptionPosition::Window(place) => {
                let place = *place;
                self.look_at_window(place, slice, out);
            }
            SubscriptionPosition::Matches { more } => {
                let more = *more;
                self.take_matches(more, slice, out);
            }
        }
        Ok(())
    }

    fn look_at_page(&mut self, page: &Arc<LogPage>, slice: &Steps, out: &mut impl FnMut(Notice)) {
        let from = page
            .entries
            .partition_point(|entry| entry.change.seq <= self.seq);
        let mut look = self.look(slice);
        for entry in &page.entries[from..] {
            if !look.at(entry, None, out) {
                break;
            }
        }
        self.seq = look.end();
        let last = page.entries.last();
        if last.is_none_or(|last| last.change.seq <= self.seq) {
            self.seek(out);
        }
    }

    fn look_at_window(&mut self, place: WindowIndex, slice: &Steps, out: &mut impl FnMut(Notice)) {
        let live = Arc::clone(&self.live);
        let mut look = self.look(slice);
        let mut end = look.seq;
        let read = live.read(place, |item| {
            end = end.max(item.seq);
            match &item.content {
                WindowContent::Change(entry) => look.at(entry, None, out),
                WindowContent::Broadcast(_) => true,
            }
        });
        self.seq = look.end();
        match read {
            Ok(_) if end <= self.seq => {
                self.position = SubscriptionPosition::Matches { more: true }
            }
            Ok(_) | Err(Lagged) => self.seek(out),
        }
    }

    fn look<'a>(&'a mut self, slice: &'a Steps) -> Look<'a> {
        let filter = &self.membership.group.filter;
        Look::new(&mut self.judged, filter, &self.fields, slice, self.seq)
    }

    fn take_matches(&mut self, more: bool, slice: &Steps, out: &mut impl FnMut(Notice)) {
        let first = self.membership.member.look();
        if first.is_none() && !more && self.is_live {
            return;
        }
        // What was left unread comes before the first match since.
        let from = match first {
            Some(first) if !more => first.max(self.seq.next()),
            _ => self.seq.next(),
        };
        let mut matches = Vec::new();
        let group = &self.membership.group;
        match group.matches(from, limits::FLUSH_COUNT_MAX, &mut matches) {
            Ok(more) => self.tell_matches(&matches, more, slice, out),
            Err(NotRemembered) => {
                self.seq = from.before();
                self.seek(out);
            }
        }
    }

    fn tell_matches(
        &mut self,
        found: &[(Seq, Option<VisibleKind>)],
        more: bool,
        slice: &Steps,
        out: &mut impl FnMut(Notice),
    ) {
        let live = Arc::clone(&self.live);
        let seqs = found.iter().map(|(seq, _)| *seq);
        let mut look = self.look(slice);
        let mut seen = found.iter().map(|(_, seen)| *seen);
        let mut is_cut = false;
        live.entries(seqs, |entry| {
            let seen = seen.next().expect("as many as there are seqs");
            is_cut = !look.at(entry, seen, out);
            !is_cut
        });
        self.seq = look.end();
        match found.iter().find(|(seq, _)| *seq > self.seq) {
            None => self.arrive(more, out),
            Some(_) if is_cut || self.judged.is_busy() => {
                self.position = SubscriptionPosition::Matches { more: true };
            }
            // The window has moved on: nothing before this one was missed.
            Some((missed, _)) => {
                self.seq = missed.before();
                self.seek(out);
            }
        }
    }

    fn arrive(&mut self, more: bool, out: &mut impl FnMut(Notice)) {
        self.position = SubscriptionPosition::Matches { more };
        if !more {
            self.judged.rest();
        }
        if !more && !self.is_live {
            self.is_live = true;
            out(Notice::new(
                "live",
                Some(self.seq),
                protocol::live(self.seq),
            ));
        }
    }

    /// Goes on after `seq`: in the window if it reaches back that far, else in the log.
    fn seek(&mut self, out: &mut impl FnMut(Notice)) {
        self.position = SubscriptionPosition::after(self.seq, &self.live, &self.log);
        if self.is_live && matches!(self.position, SubscriptionPosition::Reading(_)) {
            self.is_live = false;
            self.log.metrics.falls_behind.inc();
            let frame = protocol::behind(self.seq);
            out(Notice::new("behind", Some(self.seq), frame));
        }
    }
}

impl SubscriptionPosition {
    fn after(seq: Seq, live: &LiveWindow, log: &Arc<SharedLog>) -> Self {
        match live.place_after(seq) {
            Some(place) => Self::Window(place),
            None => Self::Reading(log.read(seq)),
        }
    }
}

impl Notice {
    fn new(word: &'static str, position: Option<Seq>, frame: Frame) -> Self {
        Self {
            word,
            position,
            frame,
            heard: None,
        }
    }

    pub(super) fn change(entry: &SharedChange, frame: Frame) -> Self {
        Self {
            heard: Some(entry.heard),
            ..Self::new("change", Some(entry.change.seq), frame)
        }
    }
}

//! One filter's position in the feed: a snapshot or the log until the window is reached, then the window;
//! and back to the log when the window has moved on.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::audience::Membership;
use super::entry::Entry;
use super::group::Forgotten;
use super::latest::Latest;
use super::live::Live;
use super::log::{Log, Page};
use super::snapshot::{Interrupted, Snapshot, Turn};
use super::window::{Content, Overrun, Place};
use crate::domain::Seq;
use crate::limits;
use crate::protocol::{self, Frame};
use crate::query::{Fields, Filter, Seen};
use crate::store::Found;

/// Entries looked at before others have their turn.
const LOOK_MAX: usize = 1_000;

/// Where a subscription begins.
#[derive(Debug)]
pub enum Start {
    /// With what follows.
    Now,
    /// With every change after a position.
    After(Seq),
    /// With what became of the events after a position.
    Latest(Seq, Turn),
    /// With the events as they are.
    Snapshot(Found, Turn),
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
}

/// Every change of which the filter sees something, once each, in order.
///
/// Pulled: nothing is buffered for a client that does not ask for more.
#[derive(Debug)]
pub struct Subscription {
    live: Arc<Live>,
    log: Arc<Log>,
    membership: Membership,
    bell: Arc<Notify>,
    fields: Arc<Fields>,
    /// Every change up to here was handed out, or the filter sees nothing of it.
    seq: Seq,
    position: Position,
    /// Whether the client was told that it hears of changes as they happen.
    is_live: bool,
}

#[derive(Debug)]
enum Position {
    Snapshot(Box<Snapshot>),
    Latest(Box<Latest>),
    /// Behind the window: the next page of the log is being read.
    Reading(AbortOnDropHandle<Arc<Page>>),
    /// Behind the window, with a page of the log to look at from here on.
    Page(Arc<Page>, usize),
    /// Looking at every item of the window.
    Window(Place),
    /// At the window's end: the group knows what matches. `more` was there when it last looked.
    Matches {
        more: bool,
    },
}

impl Subscription {
    pub(super) fn new(
        live: Arc<Live>,
        log: Arc<Log>,
        membership: Membership,
        bell: Arc<Notify>,
        fields: Arc<Fields>,
        start: Start,
    ) -> Self {
        let head = live.seq();
        let filter = &membership.group.filter;
        let (seq, position) = match start {
            Start::Now => (head, Position::Matches { more: true }),
            Start::After(after) => (after, Position::after(after, &live, &log)),
            Start::Latest(after, turn) => {
                let latest = Latest::new(&log, filter, after, head.max(after), turn);
                (after, Position::Latest(Box::new(latest)))
            }
            Start::Snapshot(found, turn) => {
                let snapshot = Snapshot::new(found, &fields, turn);
                (snapshot.seq, Position::Snapshot(Box::new(snapshot)))
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
            is_live: false,
        }
    }

    /// Every change up to here was handed out, or the filter sees nothing of it.
    pub fn seq(&self) -> Seq {
        self.seq
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
        match &mut self.position {
            Position::Snapshot(snapshot) => return snapshot.poll_ready(context),
            Position::Latest(latest) => return latest.poll_ready(context),
            Position::Reading(page) => {
                let page = ready!(page.poll_unpin(context));
                self.position = Position::Page(page.expect("reading the log does not panic"), 0);
            }
            Position::Page(..) | Position::Window(_) => {}
            Position::Matches { more } => {
                if !*more && self.is_live && !self.membership.member.has_news() {
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }

    /// Hands out what is there without waiting, up to about one flush.
    ///
    /// # Errors
    /// If it broke off before it was live: it is over.
    pub fn take(&mut self, out: &mut impl FnMut(Notice)) -> Result<(), Interrupted> {
        match &mut self.position {
            Position::Snapshot(snapshot) => {
                let (frame, last) = snapshot.take()?;
                out(Notice::new("snapshot", None, frame));
                if last {
                    self.seek(out);
                }
            }
            Position::Latest(latest) => {
                let tell = |_, frame| out(Notice::new("change", None, frame));
                let done = latest.take(&self.fields, tell)?;
                self.seq = latest.seq;
                if done {
                    self.seek(out);
                }
            }
            Position::Reading(_) => {}
            Position::Page(page, at) => {
                let (page, at) = (Arc::clone(page), *at);
                self.look_at_page(&page, at, out);
            }
            Position::Window(place) => {
                let place = *place;
                self.look_at_window(place, out);
            }
            Position::Matches { more } => {
                let more = *more;
                self.take_matches(more, out);
            }
        }
        Ok(())
    }

    fn look_at_page(&mut self, page: &Arc<Page>, from: usize, out: &mut impl FnMut(Notice)) {
        let mut look = Look::new(self.seq);
        for (at, entry) in page.entries.iter().enumerate().skip(from) {
            if look.has_enough() {
                self.seq = look.seq;
                self.position = Position::Page(Arc::clone(page), at);
                return;
            }
            look.at(entry, &self.membership.group.filter, &self.fields, out);
        }
        self.seq = look.seq;
        self.seek(out);
    }

    fn look_at_window(&mut self, place: Place, out: &mut impl FnMut(Notice)) {
        let mut look = Look::new(self.seq);
        let mut at_end = true;
        let read = self.live.read(place, |item| {
            at_end = !look.has_enough();
            if let Content::Change(entry) = &item.content
                && at_end
            {
                look.at(entry, &self.membership.group.filter, &self.fields, out);
            }
            at_end
        });
        self.seq = look.seq;
        match read {
            Ok(_) if at_end => self.position = Position::Matches { more: true },
            Ok(place) => self.position = Position::Window(place),
            Err(Overrun) => self.seek(out),
        }
    }

    fn take_matches(&mut self, more: bool, out: &mut impl FnMut(Notice)) {
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
            Ok(more) => self.tell_matches(&matches, more, out),
            Err(Forgotten) => {
                self.seq = from.before();
                self.seek(out);
            }
        }
    }

    fn tell_matches(&mut self, found: &[(Seq, Seen)], more: bool, out: &mut impl FnMut(Notice)) {
        let (mut told, mut bytes) = (0, 0);
        let fields = &self.fields;
        let seqs = found.iter().map(|(seq, _)| *seq);
        let mut is_full = false;
        self.live.entries(seqs, |entry| {
            let frame = entry.frame(found[told].1, fields);
            told += 1;
            bytes += frame.len();
            is_full = bytes >= limits::FLUSH_BYTES_MAX;
            out(Notice::change(entry, frame));
            !is_full
        });
        if let Some((last, _)) = told.checked_sub(1).map(|last| found[last]) {
            self.seq = last;
        }
        match found.get(told) {
            None => self.arrive(more, out),
            Some(_) if is_full => self.position = Position::Matches { more: true },
            // The window has moved on: nothing before this one was missed.
            Some((missed, _)) => {
                self.seq = missed.before();
                self.seek(out);
            }
        }
    }

    fn arrive(&mut self, more: bool, out: &mut impl FnMut(Notice)) {
        self.position = Position::Matches { more };
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
        self.position = Position::after(self.seq, &self.live, &self.log);
        if self.is_live && matches!(self.position, Position::Reading(_)) {
            self.is_live = false;
            let frame = protocol::behind(self.seq);
            out(Notice::new("behind", Some(self.seq), frame));
        }
    }
}

impl Position {
    fn after(seq: Seq, live: &Live, log: &Arc<Log>) -> Self {
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
        }
    }

    fn change(entry: &Entry, frame: Frame) -> Self {
        Self::new("change", Some(entry.change.seq), frame)
    }
}

/// Looking through changes for those that the filter sees.
struct Look {
    seq: Seq,
    looked: usize,
    told: usize,
    bytes: usize,
}

impl Look {
    fn new(seq: Seq) -> Self {
        Self {
            seq,
            looked: 0,
            told: 0,
            bytes: 0,
        }
    }

    fn has_enough(&self) -> bool {
        self.looked >= LOOK_MAX
            || self.told >= limits::FLUSH_COUNT_MAX
            || self.bytes >= limits::FLUSH_BYTES_MAX
    }

    fn at(
        &mut self,
        entry: &Entry,
        filter: &Filter,
        fields: &Arc<Fields>,
        out: &mut impl FnMut(Notice),
    ) {
        if entry.change.seq <= self.seq {
            return;
        }
        self.looked += 1;
        self.seq = entry.change.seq;
        if let Some(seen) = filter.sees(&entry.change) {
            let frame = entry.frame(seen, fields);
            self.told += 1;
            self.bytes += frame.len();
            out(Notice::change(entry, frame));
        }
    }
}

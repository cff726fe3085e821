//! A session's default feed: every change from a position on, and broadcasts.
//!
//! | position | what is handed out next | left when |
//! |---|---|---|
//! | `Live(index)` | the item of the window at `index` | the window has moved on without it: seek |
//! | `Reading` | nothing: a page of the log with the change after `seq` is being read | it is read: `Page`; it cannot be: `Broken` |
//! | `Page(page, index)` | the entry of the page at `index` | all entries are handed out: seek |
//! | `Broken` | nothing: `take` returns the error | never |
//!
//! Seek: `Live` if the window continues after `seq`, else `Reading`. In every position `seq` means that each change up to
//! it was handed out, exactly once; it moves one change at a time. A listener of broadcasts alone is always `Live`, and
//! its `seq` stays where it began; one that hears none of them either is beyond every index, and never wakes.
//!
//! Of broadcasts it hands out those that it hears. That is judged here, for each listener: the payload was parsed once for
//! all when it came.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::live_window::{LiveWindow, PayloadJudge};
use super::shared_broadcast::SharedBroadcast;
use super::shared_log::{LogPage, PageRead, SharedLog};
use super::window::{Lagged, WindowContent, WindowIndex};
use crate::domain::{Hearing, Seq};
use crate::limits;
use crate::protocol::Frame;
use crate::store::StoreError;
use crate::value::Steps;

/// What a session wants to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Every change, and broadcasts.
    Changes,
    /// Broadcasts alone.
    Broadcasts,
}

/// Every change after a position, once each, in order; and broadcasts while it keeps up.
///
/// Pulled: nothing is buffered for a session that does not ask for more.
#[derive(Debug)]
pub struct Listener {
    live: Arc<LiveWindow>,
    /// The end of what it is interested in: beyond its own index there may be something to hand out.
    window_end: watch::Receiver<WindowIndex>,
    log: Arc<SharedLog>,
    interest: Interest,
    hearing: Hearing,
    /// If it does not hear every broadcast.
    judge: Option<PayloadJudge>,
    /// Every change up to here was handed out (or is of no interest).
    seq: Seq,
    position: ListenerPosition,
    /// When the first of the live changes handed out since [`arrived`](Self::arrived) arrived at this node.
    arrived: Option<Instant>,
}

#[derive(Debug)]
enum ListenerPosition {
    /// The next item of the window.
    Live(WindowIndex),
    /// Behind the window: the next page of the log is being read.
    Reading(PageRead),
    /// Behind the window, with a page of the log to hand out from this entry on.
    Page(Arc<LogPage>, usize),
    /// The next change cannot be read.
    Broken(StoreError),
}

impl Listener {
    pub(super) fn new(
        live: Arc<LiveWindow>,
        log: Arc<SharedLog>,
        after: Option<Seq>,
        interest: Interest,
        hearing: &Hearing,
    ) -> Self {
        let judge = payload_judge(&live, hearing);
        let window_end = match interest {
            Interest::Changes => live.watch(),
            Interest::Broadcasts => live.watch_broadcasts(),
        };
        let (end, head) = live.end();
        // Without changes there is no position in the log to resume from.
        let after = after.filter(|_| interest == Interest::Changes);
        let mut new = Self {
            live,
            window_end,
            log,
            interest,
            hearing: hearing.clone(),
            judge,
            seq: after.unwrap_or(head),
            position: ListenerPosition::Live(start(end, interest, hearing)),
            arrived: None,
        };
        if after.is_some() {
            new.seek();
        }
        new
    }

    /// What it hands out.
    pub fn interest(&self) -> Interest {
        self.interest
    }

    /// Hands out no further change, and goes on where it is with broadcasts, of which it hears others from now on.
    pub fn leave_changes(&mut self, hearing: &Hearing) {
        self.judge = payload_judge(&self.live, hearing);
        self.hearing = hearing.clone();
        self.interest = Interest::Broadcasts;
        self.window_end = self.live.watch_broadcasts();
        let (end, _) = self.live.end();
        let is_within = matches!(self.position, ListenerPosition::Live(index) if index <= end);
        if !is_within || hearing.is_nothing() {
            self.position = ListenerPosition::Live(start(end, self.interest, hearing));
        }
    }

    /// Every change up to here was handed out.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// When the first of the live changes handed out since the last call arrived at this node.
    pub fn arrived(&mut self) -> Option<Instant> {
        self.arrived.take()
    }

    /// Waits until [`take`](Self::take) may have something. Safe to drop and call again.
    pub async fn ready(&mut self) {
        match &mut self.position {
            ListenerPosition::Live(index) => {
                let index = *index;
                let moved = self.window_end.wait_for(|end| *end > index).await;
                moved.expect("this listener keeps the window alive");
            }
            ListenerPosition::Reading(page) => {
                self.position = match page.await {
                    Ok(page) => ListenerPosition::Page(page, 0),
                    Err(error) => ListenerPosition::Broken(error),
                };
            }
            ListenerPosition::Page(..) | ListenerPosition::Broken(_) => {}
        }
    }

    /// Hands out what is there without waiting, up to one flush.
    ///
    /// # Errors
    /// If the log cannot be read there. The listener is over then.
    pub fn take(&mut self, mut out: impl FnMut(Frame)) -> Result<(), StoreError> {
        match (&mut self.position, self.interest) {
            // A session is woken for other reasons too: then the window's lock is not taken.
            (ListenerPosition::Live(index), _) if *self.window_end.borrow() <= *index => {}
            (ListenerPosition::Live(index), Interest::Broadcasts) => {
                let mut flush = Flush::default();
                *index = self.live.read_broadcasts(*index, |broadcast| {
                    if flush.is_full() {
                        return false;
                    }
                    if let Some(frame) = flush.heard(broadcast, &self.hearing) {
                        flush.count(&frame);
                        out(frame);
                    }
                    true
                });
            }
            (ListenerPosition::Live(index), Interest::Changes) => {
                let index = *index;
                match self.read_window(index, out) {
                    Ok(index) => self.position = ListenerPosition::Live(index),
                    Err(Lagged) => {
                        self.log.metrics.falls_behind.inc();
                        self.seek();
                    }
                }
            }
            (ListenerPosition::Page(page, index), _) => {
                let (page, index) = (Arc::clone(page), *index);
                self.read_page(&page, index, out);
            }
            (ListenerPosition::Reading(_), _) => {}
            (ListenerPosition::Broken(error), _) => return Err(error.clone()),
        }
        Ok(())
    }

    fn read_window(
        &mut self,
        from: WindowIndex,
        mut out: impl FnMut(Frame),
    ) -> Result<WindowIndex, Lagged> {
        let mut flush = Flush::default();
        let (seq, arrived, hearing) = (&mut self.seq, &mut self.arrived, &self.hearing);
        self.live.read(from, |item| {
            if flush.is_full() {
                return false;
            }
            let frame = match &item.content {
                WindowContent::Broadcast(broadcast) => flush.heard(broadcast, hearing),
                WindowContent::Change(entry) => (entry.change.seq > *seq).then(|| entry.plain()),
            };
            if let Some(frame) = frame {
                if let WindowContent::Change(entry) = &item.content {
                    arrived.get_or_insert(entry.arrived);
                }
                flush.count(&frame);
                out(frame);
            }
            debug_assert!(item.seq <= seq.next(), "no change is passed over");
            *seq = item.seq.max(*seq);
            true
        })
    }

    fn read_page(&mut self, page: &Arc<LogPage>, from: usize, mut out: impl FnMut(Frame)) {
        let mut flush = Flush::default();
        for (index, entry) in page.entries.iter().enumerate().skip(from) {
            if flush.is_full() {
                self.position = ListenerPosition::Page(Arc::clone(page), index);
                return;
            }
            // Pages begin at fixed seqs, perhaps before this position.
            if entry.change.seq > self.seq {
                debug_assert_eq!(
                    entry.change.seq,
                    self.seq.next(),
                    "no change is passed over"
                );
                let frame = entry.plain();
                flush.count(&frame);
                out(frame);
                self.seq = entry.change.seq;
            }
        }
        self.seek();
    }

    /// Goes on after `seq`: in the window if it reaches back that far, else in the log.
    fn seek(&mut self) {
        debug_assert_eq!(self.interest, Interest::Changes);
        self.position = match self.live.index_after(self.seq) {
            Some(index) => ListenerPosition::Live(index),
            None => ListenerPosition::Reading(self.log.read(self.seq)),
        };
    }
}

/// Taken before its position is known: every broadcast from there on is to be parsed.
fn payload_judge(live: &LiveWindow, hearing: &Hearing) -> Option<PayloadJudge> {
    (!hearing.is_everything()).then(|| live.judge_payloads())
}

/// Where in the window it begins, of which this is the end.
fn start(end: WindowIndex, interest: Interest, hearing: &Hearing) -> WindowIndex {
    match interest {
        Interest::Broadcasts if hearing.is_nothing() => WindowIndex::MAX,
        _ => end,
    }
}

/// Counts what is handed out at once, and what it took to judge broadcasts.
struct Flush {
    count: usize,
    bytes: usize,
    slice: Steps,
}

impl Default for Flush {
    fn default() -> Self {
        Self {
            count: 0,
            bytes: 0,
            slice: Steps::new(limits::JUDGE_SLICE_STEPS),
        }
    }
}

impl Flush {
    fn count(&mut self, frame: &Frame) {
        self.count += 1;
        self.bytes += frame.len();
    }

    /// The frame of a broadcast, for who hears it.
    fn heard(&self, broadcast: &SharedBroadcast, hearing: &Hearing) -> Option<Frame> {
        let own = Steps::new(limits::MATCH_STEPS_INLINE);
        let frame = broadcast.frame(hearing, &own).cloned();
        self.slice.spend(own.taken());
        frame
    }

    fn is_full(&self) -> bool {
        self.count >= limits::FLUSH_COUNT_MAX
            || self.bytes >= limits::FLUSH_BYTES_MAX
            || self.slice.left() < limits::MATCH_STEPS_INLINE
    }
}

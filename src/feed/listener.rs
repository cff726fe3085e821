//! What a session hears without asking: every change from a position on, and broadcasts.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::live::LiveWindow;
use super::log::{LogPage, PageRead, SharedLog};
use super::window::{Lagged, WindowContent, WindowIndex, WindowItem};
use crate::domain::Seq;
use crate::limits;
use crate::protocol::Frame;
use crate::store::StoreError;

/// What a session wants to hear.
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
    /// Moves when there may be something to hear.
    end: watch::Receiver<WindowIndex>,
    log: Arc<SharedLog>,
    interest: Interest,
    /// Every change up to here was handed out (or is of no interest).
    seq: Seq,
    position: ListenerPosition,
    /// When this node heard of the first change that was handed out last.
    heard: Option<Instant>,
}

#[derive(Debug)]
enum ListenerPosition {
    /// The next item of the window.
    Live(WindowIndex),
    /// Behind the window: the next page of the log is being read.
    Reading(PageRead),
    /// Behind the window, with a page of the log to hand out from here on.
    Page(Arc<LogPage>, usize),
    /// What comes next cannot be read.
    Broken(StoreError),
}

impl Listener {
    pub(super) fn new(
        live: Arc<LiveWindow>,
        log: Arc<SharedLog>,
        after: Option<Seq>,
        interest: Interest,
    ) -> Self {
        let end = match interest {
            Interest::Changes => live.watch(),
            Interest::Broadcasts => live.watch_broadcasts(),
        };
        let (now, head) = live.now();
        // Who wants no changes has no position in the log to go on from.
        let after = after.filter(|_| interest == Interest::Changes);
        let mut new = Self {
            live,
            end,
            log,
            interest,
            seq: after.unwrap_or(head),
            position: ListenerPosition::Live(now),
            heard: None,
        };
        if after.is_some() {
            new.seek();
        }
        new
    }

    /// Every change up to here was handed out.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// When this node heard of the first of the live changes handed out since this was last asked.
    pub fn heard(&mut self) -> Option<Instant> {
        self.heard.take()
    }

    /// Waits until [`take`](Self::take) may have something. Safe to drop and call again.
    pub async fn ready(&mut self) {
        match &mut self.position {
            ListenerPosition::Live(place) => {
                let place = *place;
                let more = self.end.wait_for(|end| *end > place).await;
                more.expect("this listener keeps the window alive");
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
    /// If it cannot go on, because the log cannot be read there: it is over.
    pub fn take(&mut self, mut tell: impl FnMut(Frame)) -> Result<(), StoreError> {
        match (&mut self.position, self.interest) {
            // A session is woken for other reasons too: then the window is not touched.
            (ListenerPosition::Live(place), _) if *self.end.borrow() <= *place => {}
            (ListenerPosition::Live(place), Interest::Broadcasts) => {
                let tell = |frame: &Frame| tell(frame.clone());
                *place = self.live.read_broadcasts(*place, tell);
            }
            (ListenerPosition::Live(place), Interest::Changes) => {
                let place = *place;
                match self.read_window(place, tell) {
                    Ok(place) => self.position = ListenerPosition::Live(place),
                    Err(Lagged) => {
                        self.log.metrics.falls_behind.inc();
                        self.seek();
                    }
                }
            }
            (ListenerPosition::Page(page, at), _) => {
                let (page, at) = (Arc::clone(page), *at);
                self.read_page(&page, at, tell);
            }
            (ListenerPosition::Reading(_), _) => {}
            (ListenerPosition::Broken(error), _) => return Err(error.clone()),
        }
        Ok(())
    }

    fn read_window(
        &mut self,
        place: WindowIndex,
        mut tell: impl FnMut(Frame),
    ) -> Result<WindowIndex, Lagged> {
        let mut flush = Flush::default();
        let (seq, heard) = (&mut self.seq, &mut self.heard);
        self.live.read(place, |item| {
            if flush.is_full() {
                return false;
            }
            if let Some(frame) = frame(item, *seq) {
                if let WindowContent::Change(entry) = &item.content {
                    heard.get_or_insert(entry.heard);
                }
                flush.count(&frame);
                tell(frame);
            }
            *seq = item.seq.max(*seq);
            true
        })
    }

    fn read_page(&mut self, page: &Arc<LogPage>, from: usize, mut tell: impl FnMut(Frame)) {
        let mut flush = Flush::default();
        for (at, entry) in page.entries.iter().enumerate().skip(from) {
            if flush.is_full() {
                self.position = ListenerPosition::Page(Arc::clone(page), at);
                return;
            }
            // A page begins where pages do, perhaps before this position.
            if entry.change.seq > self.seq {
                let frame = entry.plain();
                flush.count(&frame);
                tell(frame);
                self.seq = entry.change.seq;
            }
        }
        self.seek();
    }

    /// Goes on after `seq`: in the window if it reaches back that far, else in the log.
    fn seek(&mut self) {
        self.position = match self.live.place_after(self.seq) {
            Some(place) => ListenerPosition::Live(place),
            None => ListenerPosition::Reading(self.log.read(self.seq)),
        };
    }
}

/// What is handed out at once.
#[derive(Default)]
struct Flush {
    count: usize,
    bytes: usize,
}

impl Flush {
    fn count(&mut self, frame: &Frame) {
        self.count += 1;
        self.bytes += frame.len();
    }

    fn is_full(&self) -> bool {
        self.count >= limits::FLUSH_COUNT_MAX || self.bytes >= limits::FLUSH_BYTES_MAX
    }
}

/// What a session hears of an item that has heard of every change up to `seq`.
fn frame(item: &WindowItem, seq: Seq) -> Option<Frame> {
    match &item.content {
        WindowContent::Broadcast(frame) => Some(frame.clone()),
        WindowContent::Change(entry) => (entry.change.seq > seq).then(|| entry.plain()),
    }
}

//! One session's position in the feed: read the log until the window is reached, then the window;
//! and back to the log when the window has moved on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::Log;
use super::live::{Found, Interest, Live, Place};
use crate::domain::{Change, Seq};
use crate::limits;
use crate::protocol::{self, Frame};

/// Every change after a position, once each, in order; and broadcasts while it keeps up.
///
/// Pulled: nothing is buffered for a session that does not ask for more.
#[derive(Debug)]
pub struct Subscription {
    live: Arc<Live>,
    end: watch::Receiver<Place>,
    log: Log,
    interest: Interest,
    /// Every change up to here was handed out (or is of no interest).
    seq: Seq,
    position: Position,
}

#[derive(Debug)]
enum Position {
    /// The next item of the window.
    Live(Place),
    /// Behind the window: the next page of the log is being read.
    Reading(AbortOnDropHandle<Vec<Arc<Change>>>),
    /// Behind the window, with a page of the log to hand out.
    Page(Vec<Arc<Change>>),
}

/// Between attempts to read the log from a store that is away.
const RETRY_DELAY: Duration = Duration::from_millis(500);

impl Subscription {
    pub(super) fn new(live: Arc<Live>, log: Log, after: Option<Seq>, interest: Interest) -> Self {
        let end = live.watch();
        let (now, head) = live.now();
        // Who wants no changes has no position in the log to go on from.
        let after = after.filter(|_| interest == Interest::Changes);
        let mut new = Self {
            live,
            end,
            log,
            interest,
            seq: after.unwrap_or(head),
            position: Position::Live(now),
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

    /// Waits until [`take`](Self::take) may have something. Safe to drop and call again.
    pub async fn ready(&mut self) {
        match &mut self.position {
            Position::Live(place) => {
                let place = *place;
                let more = self.end.wait_for(|end| *end > place).await;
                more.expect("this subscription keeps the window alive");
            }
            Position::Reading(page) => {
                let page = page.await.expect("reading the log does not panic");
                self.position = Position::Page(page);
            }
            Position::Page(_) => {}
        }
    }

    /// Adds what is there without waiting: a page of the log, or of the window up to one flush.
    pub fn take(&mut self, frames: &mut Vec<Frame>) {
        match &mut self.position {
            Position::Live(place) => {
                match self.live.read(*place, self.seq, self.interest, frames) {
                    Found::Read(after, seq) => {
                        *place = after;
                        self.seq = seq;
                    }
                    Found::Overrun => self.fall_behind(),
                }
            }
            Position::Page(changes) => {
                frames.extend(changes.iter().map(|change| protocol::change(change)));
                self.seq = changes.last().map_or(self.seq, |last| last.seq);
                self.seek();
            }
            Position::Reading(_) => {}
        }
    }

    fn fall_behind(&mut self) {
        match self.interest {
            Interest::Changes => self.seek(),
            // Broadcasts are not in the log: what was missed is missed.
            Interest::Broadcasts => {
                let (now, head) = self.live.now();
                self.position = Position::Live(now);
                self.seq = head;
            }
        }
    }

    /// Goes on after `seq`: in the window if it reaches back that far, else in the log.
    fn seek(&mut self) {
        self.position = match self.live.place_after(self.seq) {
            Some(place) => Position::Live(place),
            None => Position::Reading(self.log.page(self.seq)),
        };
    }
}

impl Log {
    /// Reads the page after `seq` in a task of its own: a session that waits for it can be asked for
    /// something else meanwhile without losing what was read.
    fn page(&self, seq: Seq) -> AbortOnDropHandle<Vec<Arc<Change>>> {
        let log = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let turn = log
                    .turns
                    .acquire()
                    .await
                    .expect("the semaphore is never closed");
                match log.store.read(seq, limits::LOG_PAGE_COUNT).await {
                    Ok(changes) => return changes,
                    Err(error) => {
                        drop(turn);
                        tracing::debug!(%error, "a session waits to catch up");
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                }
            }
        }))
    }
}

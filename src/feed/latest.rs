//! What became of events after a position: many changes, told as the few they come to.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use tokio_util::task::AbortOnDropHandle;

use super::log::{Log, Page};
use super::snapshot::{Interrupted, Turn};
use crate::domain::{Change, EventId, Seq};
use crate::limits;
use crate::protocol::{self, Frame};
use crate::query::{Fields, Filter, Seen, Standing};

/// The changes from a position to the head as it was, being gathered, then told.
#[derive(Debug)]
pub(super) struct Latest {
    /// Changes up to here are gathered.
    pub(super) seq: Seq,
    until: Seq,
    filter: Arc<Filter>,
    log: Arc<Log>,
    turn: Turn,
    reading: Option<AbortOnDropHandle<Arc<Page>>>,
    /// Where each event stood at first, and the last of its changes.
    touched: HashMap<EventId, (Standing, Arc<Change>)>,
    bytes: usize,
    /// What they came to, the last first.
    outcomes: Vec<(Arc<Change>, Seen)>,
}

impl Latest {
    pub(super) fn new(
        log: &Arc<Log>,
        filter: &Arc<Filter>,
        after: Seq,
        until: Seq,
        turn: Turn,
    ) -> Self {
        Self {
            seq: after,
            until,
            filter: Arc::clone(filter),
            log: Arc::clone(log),
            turn,
            reading: None,
            touched: HashMap::new(),
            bytes: 0,
            outcomes: Vec::new(),
        }
    }

    /// Gathers until there is something to tell, or nothing more to gather.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.outcomes.is_empty() && self.seq < self.until {
            let (log, seq) = (&self.log, self.seq);
            let reading = self.reading.get_or_insert_with(|| log.read(seq));
            let page = ready!(reading.poll_unpin(context));
            self.reading = None;
            self.gather(&page.expect("reading the log does not panic"));
            if self.seq == self.until || self.bytes >= limits::LATEST_BYTES_MAX {
                self.conclude();
            }
        }
        Poll::Ready(())
    }

    /// Hands out what is ready, up to one flush; `true` when all is told.
    pub(super) fn take(
        &mut self,
        fields: &Fields,
        mut out: impl FnMut(Seq, Frame),
    ) -> Result<bool, Interrupted> {
        self.turn.check()?;
        let rest = self.outcomes.len().saturating_sub(limits::FLUSH_COUNT_MAX);
        for (change, seen) in self.outcomes.drain(rest..).rev() {
            out(change.seq, protocol::latest(&change, seen, fields));
        }
        Ok(self.outcomes.is_empty() && self.seq == self.until)
    }

    fn gather(&mut self, page: &Page) {
        for entry in &page.entries {
            let change = &entry.change;
            if change.seq <= self.seq || change.seq > self.until {
                continue;
            }
            self.seq = change.seq;
            self.bytes += change.weight();
            match self.touched.get_mut(change.event_id()) {
                Some((_, last)) => {
                    self.bytes -= last.weight();
                    *last = Arc::clone(change);
                }
                None => {
                    let known = (self.filter.standing_before(change), Arc::clone(change));
                    self.touched.insert(change.event_id().clone(), known);
                }
            }
        }
    }

    fn conclude(&mut self) {
        let filter = &self.filter;
        let touched = self.touched.drain().filter_map(|(_, (before, last))| {
            let seen = before.to(filter.standing_after(&last))?;
            Some((last, seen))
        });
        self.outcomes = touched.collect();
        self.outcomes
            .sort_unstable_by_key(|(change, _)| std::cmp::Reverse(change.seq));
        self.bytes = 0;
    }
}

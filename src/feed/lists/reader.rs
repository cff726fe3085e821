//! One subscription to a live list: what it shows, in pages; then each change of it.
//!
//! | position | what is handed out | left when |
//! |---|---|---|
//! | `Beginning` | nothing | the list can be looked at: `Page` |
//! | `Page` | the events that it showed, in pages | all are handed out: `Changes`, after the count and `live`; they may be erased: `Beginning`, after `reset` |
//! | `Changes` | the count, and the changes after those that were taken | the list has forgotten the next: `Beginning`, after `reset` |

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::Notify;

use super::list_change::ListChange;
use super::shared_list::{ListNews, ListView};
use super::{ListMembership, SubscriptionError};
use crate::budget::Share;
use crate::domain::{Event, Seq};
use crate::fairness::Holding;
use crate::feed::live_window::LiveWindow;
use crate::feed::notice::Notice;
use crate::limits;
use crate::metrics::Metrics;
use crate::protocol;
use crate::query::{Count, Fields, Query};

/// Pulled: what its client does not take costs nothing, however much the list changes.
#[derive(Debug)]
pub struct ListReader {
    membership: ListMembership,
    live: Arc<LiveWindow>,
    metrics: Arc<Metrics>,
    wakeup: Arc<Notify>,
    fields: Arc<Fields>,
    query: Arc<Query>,
    /// What was handed out is as of this.
    seq: Seq,
    /// The count that was told.
    told: Option<Count>,
    position: ListPosition,
    /// For its filter.
    holding: Option<Holding>,
}

#[derive(Debug)]
enum ListPosition {
    Beginning,
    Page {
        page: ListView,
        /// For events that the list may show no more.
        _room: Option<Share>,
    },
    Changes {
        next: u64,
        /// Whether there were others when they were last taken.
        more: bool,
    },
}

impl ListReader {
    pub(in crate::feed) fn new(
        membership: ListMembership,
        live: &Arc<LiveWindow>,
        metrics: &Arc<Metrics>,
        wakeup: &Arc<Notify>,
        (query, fields): (&Arc<Query>, &Arc<Fields>),
    ) -> Self {
        Self {
            membership,
            live: Arc::clone(live),
            metrics: Arc::clone(metrics),
            wakeup: Arc::clone(wakeup),
            fields: Arc::clone(fields),
            query: Arc::clone(query),
            seq: Seq::ZERO,
            told: None,
            position: ListPosition::Beginning,
            holding: None,
        }
    }

    /// Waits until the list shows what there is as of `seq` or later.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(in crate::feed) async fn begin(&mut self, seq: Seq) -> Result<(), SubscriptionError> {
        self.membership.list.reach(seq).await?;
        self.seq = self.membership.list.seq();
        Ok(())
    }

    pub(in crate::feed) fn hold(&mut self, filter: Holding) {
        self.holding = Some(filter);
    }

    pub(in crate::feed) fn seq(&self) -> Seq {
        self.seq
    }

    pub(in crate::feed) fn approx_filter_bytes(&self) -> usize {
        self.query.filter.approx_bytes()
    }

    pub(in crate::feed) fn wakeup(&self) -> &Arc<Notify> {
        &self.wakeup
    }

    pub(in crate::feed) fn poll_ready(&self) -> Poll<()> {
        let has_more = match &self.position {
            ListPosition::Beginning => self.membership.list.is_of(self.live.generation()),
            ListPosition::Page { .. } => true,
            ListPosition::Changes { more, .. } => *more,
        };
        match has_more || self.membership.seat.has_news() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Hands out what is there, up to about one flush.
    pub(in crate::feed) fn take(
        &mut self,
        out: &mut impl FnMut(Notice),
    ) -> Result<(), SubscriptionError> {
        self.membership.seat.take_news();
        if let Some(error) = self.membership.list.ended() {
            return Err(error);
        }
        let generation = self.live.generation();
        match &self.position {
            ListPosition::Page { page, .. } if page.generation != generation => {
                self.begin_again(page.seq, out);
            }
            ListPosition::Beginning | ListPosition::Page { .. } => {
                self.take_page(generation, out)?
            }
            ListPosition::Changes { next, .. } => self.take_changes(*next, generation, out),
        }
        Ok(())
    }

    /// Hands out the next page of what the list showed when it was looked at; looks at it, if it was not yet.
    fn take_page(
        &mut self,
        generation: u64,
        out: &mut impl FnMut(Notice),
    ) -> Result<(), SubscriptionError> {
        if let ListPosition::Beginning = self.position {
            // While its keeper has yet to read it anew there is nothing; then it says so.
            let Some(page) = self.membership.list.view(generation) else {
                return Ok(());
            };
            self.seq = page.seq;
            self.membership.seat.note_taken(page.next);
            let room = self.room_for(&page)?;
            self.position = ListPosition::Page { page, _room: room };
        }
        let ListPosition::Page { page, .. } = &mut self.position else {
            return Ok(());
        };
        let events = next_page(&mut page.events);
        let more = !page.events.is_empty();
        let frame = protocol::list_snapshot(self.seq, &events, &self.fields, more);
        out(Notice::new("snapshot", None, frame));
        if !more {
            let (next, count) = (page.next, page.count);
            self.position = ListPosition::Changes { next, more: true };
            self.tell_count(count, out);
            out(Notice::new("live", None, protocol::live(self.seq)));
        }
        Ok(())
    }

    /// Room for events that the list may show no more while they are handed out; one page needs none.
    fn room_for(&self, page: &ListView) -> Result<Option<Share>, SubscriptionError> {
        let bytes = page.events.iter().map(|event| event.approx_bytes()).sum();
        if bytes <= limits::FLUSH_BYTES_MAX {
            return Ok(None);
        }
        let room = self.membership.lists.budget.try_reserve(bytes);
        room.map(Some).ok_or(SubscriptionError::NoRoom)
    }

    fn take_changes(&mut self, next: u64, generation: u64, out: &mut impl FnMut(Notice)) {
        let list = &self.membership.list;
        match list.news(next, limits::FLUSH_COUNT_MAX, generation) {
            ListNews::Nothing => self.position = ListPosition::Changes { next, more: false },
            ListNews::Behind(seq) => {
                self.metrics.falls_behind.inc();
                self.begin_again(seq, out);
            }
            ListNews::Changes(changes, count) => {
                // First: who has heard a change has heard what it made of the count.
                self.tell_count(count, out);
                self.hand_out(&changes, next, out);
            }
            ListNews::All(seq, count) => {
                self.seq = seq;
                self.position = ListPosition::Changes { next, more: false };
                self.tell_count(count, out);
            }
        }
    }

    /// Hands out these changes until a flush is full. `next` is the number of the first.
    fn hand_out(&mut self, changes: &[Arc<ListChange>], next: u64, out: &mut impl FnMut(Notice)) {
        let (mut count, mut bytes, mut next) = (0, 0, next);
        for change in changes {
            if count >= limits::FLUSH_COUNT_MAX || bytes >= limits::FLUSH_BYTES_MAX {
                break;
            }
            for frame in change.frames(&self.fields).iter() {
                count += 1;
                bytes += frame.len();
                let arrived = change.arrived;
                let notice = Notice::new("change", None, frame.clone());
                out(Notice { arrived, ..notice });
            }
            next += 1;
        }
        self.membership.seat.note_taken(next);
        self.position = ListPosition::Changes { next, more: true };
    }

    /// What was handed out is void: the list follows anew.
    fn begin_again(&mut self, seq: Seq, out: &mut impl FnMut(Notice)) {
        self.position = ListPosition::Beginning;
        self.told = None;
        let frame = protocol::reset(protocol::LIST_ANEW, seq);
        out(Notice::new("reset", None, frame));
    }

    fn tell_count(&mut self, count: Option<(Seq, Count)>, out: &mut impl FnMut(Notice)) {
        let Some((seq, count)) = count.filter(|(_, count)| self.told != Some(*count)) else {
            return;
        };
        self.told = Some(count);
        out(Notice::new("count", None, protocol::list_count(seq, count)));
    }
}

/// The events of the next page.
fn next_page(events: &mut VecDeque<Arc<Event>>) -> Vec<Arc<Event>> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while bytes < limits::FLUSH_BYTES_MAX
        && let Some(event) = events.pop_front()
    {
        bytes += event.approx_bytes();
        page.push(event);
    }
    page
}

//! A live list as its readers share it: what it shows, and the changes of that which some have yet to take.
//!
//! Invariants: the changes are contiguous: change `i` has the number `first + i`, and leads from what was shown before it to
//! what was shown after it. `generation` is the window's when what is held was read; while the window has another, something
//! that is held may be erased, and nothing is handed out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use super::list_change::ListChange;
use super::list_seat::ListSeat;
use super::{ListRead, SubscriptionError};
use crate::budget::{Budget, Share};
use crate::domain::{Change, Event, Move, RankedEvent, Ranking, Seq, Short, VisibleKind};
use crate::limits;
use crate::query::Count;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct SharedList {
    state: Mutex<ListState>,
    /// What it shows is as of this; [`Seq::ZERO`] until it is read for the first time. Closed once it has ended.
    progress: watch::Sender<ListProgress>,
    /// For the keeper: there may be changes, or a reader wants it as of a later seq.
    pub(super) wakeup: Arc<Notify>,
    budget: Budget,
}

/// How far a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListProgress {
    Beginning,
    AsOf(Seq),
    Ended,
}

#[derive(Debug)]
struct ListState {
    ranking: Ranking,
    /// What it shows is as of this.
    seq: Seq,
    /// How many events match, as of a seq.
    count: Option<(Seq, Count)>,
    /// The latest seq that a reader wants it as of.
    wanted: Seq,
    generation: u64,
    changes: VecDeque<Arc<ListChange>>,
    /// The number of the first of them.
    first: u64,
    /// Of the changes.
    bytes: usize,
    /// For what is held.
    room: Option<Share>,
    seats: Vec<Arc<ListSeat>>,
    ended: Option<SubscriptionError>,
}

/// What a reader finds.
pub(super) enum ListNews {
    /// Nothing for now.
    Nothing,
    /// Its place is gone: it must begin again.
    Behind(Seq),
    /// The next changes, and the count as of the last there are.
    Changes(Vec<Arc<ListChange>>, Option<(Seq, Count)>),
    /// It has taken all: the seq that this is as of, and the count with its own.
    All(Seq, Option<(Seq, Count)>),
}

/// All that a list shows.
#[derive(Debug)]
pub(super) struct ListView {
    pub(super) seq: Seq,
    pub(super) events: VecDeque<Arc<Event>>,
    pub(super) count: Option<(Seq, Count)>,
    pub(super) generation: u64,
    /// The number of the next change.
    pub(super) next: u64,
}

impl SharedList {
    pub(super) fn new(ranking: Ranking, budget: &Budget) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(ListState {
                ranking,
                seq: Seq::ZERO,
                count: None,
                wanted: Seq::ZERO,
                generation: 0,
                changes: VecDeque::new(),
                first: 0,
                bytes: 0,
                room: None,
                seats: Vec::new(),
                ended: None,
            }),
            progress: watch::Sender::new(ListProgress::Beginning),
            wakeup: Arc::default(),
            budget: budget.clone(),
        })
    }

    /// A new reader's seat.
    pub(super) fn seat(&self, wakeup: &Arc<Notify>) -> Arc<ListSeat> {
        let mut state = self.state();
        let seat = Arc::new(ListSeat::new(wakeup, state.next()));
        state.seats.push(Arc::clone(&seat));
        seat
    }

    pub(super) fn leave(&self, seat: &Arc<ListSeat>) {
        let seats = &mut self.state().seats;
        let index = seats.iter().position(|known| Arc::ptr_eq(known, seat));
        seats.swap_remove(index.expect("a reader leaves once"));
    }

    /// What it shows is as of this.
    pub(super) fn seq(&self) -> Seq {
        self.state().seq
    }

    /// Waits until it shows what there is as of `seq` or later.
    ///
    /// # Errors
    /// Why it has ended.
    pub(super) async fn reach(&self, seq: Seq) -> Result<(), SubscriptionError> {
        let is_wanted = {
            let mut state = self.state();
            let is_wanted = seq > state.seq.max(state.wanted);
            state.wanted = state.wanted.max(seq);
            is_wanted
        };
        if is_wanted {
            self.wakeup.notify_one();
        }
        let is_there = |progress: &ListProgress| match progress {
            ListProgress::Beginning => false,
            ListProgress::AsOf(now) => *now >= seq,
            ListProgress::Ended => true,
        };
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(is_there).await;
        drop(reached.expect("it is this list's own"));
        match &self.state().ended {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// Whether it must be read again: a reader wants it as of a later seq, or the window is of another generation.
    pub(super) fn is_stale(&self, generation: u64) -> bool {
        let state = self.state();
        state.wanted > state.seq || state.generation != generation
    }

    /// Shows what was read of the store, ranked, after the window came to be of this generation.
    pub(super) fn renew(
        &self,
        read: &ListRead,
        ranked: Vec<RankedEvent>,
        generation: u64,
    ) -> Result<(), SubscriptionError> {
        let mut state = self.state();
        let moves = state.ranking.renew(ranked, read.is_whole);
        state.seq = read.seq;
        let counted = read.count.map(|count| (read.seq, count));
        state.count = counted.or(state.count);
        if state.generation != generation {
            state.generation = generation;
            state.forget();
        }
        state.publish(moves, None);
        state.make_room(&self.budget)?;
        // A list may begin at 0, as of which nothing is wanted yet; and after an erasure all may have news.
        state.notify();
        self.progress.send_replace(ListProgress::AsOf(state.seq));
        Ok(())
    }

    /// Takes in a change of which the filter sees this; `after` is the event that it shows after the change, ranked.
    ///
    /// # Errors
    /// If the list must be read again; then the change is to be taken in once more.
    pub(super) fn take_in(
        &self,
        change: &Change,
        seen: VisibleKind,
        after: Option<RankedEvent>,
        arrived: Instant,
    ) -> Result<Result<(), SubscriptionError>, Short> {
        let mut state = self.state();
        let mut has_news = false;
        if change.seq > state.seq {
            let moves = state.ranking.apply(change, seen, after)?;
            state.seq = change.seq;
            has_news |= !moves.is_empty();
            state.publish(moves, Some(arrived));
        }
        has_news |= state.recount(change, seen);
        if has_news {
            state.notify();
        }
        let room = state.make_room(&self.budget);
        self.progress.send_replace(ListProgress::AsOf(state.seq));
        Ok(room)
    }

    /// Every reader ends with this.
    pub(super) fn end(&self, error: SubscriptionError) {
        let mut state = self.state();
        state.forget();
        state.room = None;
        state.ended = Some(error);
        state.notify();
        self.progress.send_replace(ListProgress::Ended);
    }

    /// Why it has ended, if it has.
    pub(super) fn ended(&self) -> Option<SubscriptionError> {
        self.state().ended.clone()
    }

    /// Whether what is held was read when the window was of this generation.
    pub(super) fn is_of(&self, generation: u64) -> bool {
        self.state().generation == generation
    }

    /// All that it shows; `None` while the window is of another generation.
    pub(super) fn view(&self, generation: u64) -> Option<ListView> {
        let state = self.state();
        (state.generation == generation).then(|| ListView {
            seq: state.seq,
            events: state.ranking.shown().map(Arc::clone).collect(),
            count: state.count,
            generation,
            next: state.next(),
        })
    }

    /// What there is for a reader that has taken the changes before `next`, at most `limit` of them.
    pub(super) fn news(&self, next: u64, limit: usize, generation: u64) -> ListNews {
        let state = self.state();
        if state.generation != generation {
            return ListNews::Nothing;
        }
        let Some(taken) = next.checked_sub(state.first) else {
            return ListNews::Behind(state.seq);
        };
        let taken = usize::try_from(taken).expect("the changes are in memory");
        let changes: Vec<_> = state.changes.range(taken..).take(limit).cloned().collect();
        match changes.is_empty() {
            true => ListNews::All(state.seq, state.count),
            false => ListNews::Changes(changes, state.count),
        }
    }

    fn state(&self) -> MutexGuard<'_, ListState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ListState {
    /// The number of the next change.
    fn next(&self) -> u64 {
        self.first + self.changes.len() as u64
    }

    fn publish(&mut self, moves: Vec<Move>, arrived: Option<Instant>) {
        self.forget_taken();
        if moves.is_empty() {
            return;
        }
        let change = ListChange::new(self.seq, moves, arrived);
        self.bytes += change.bytes_max();
        self.changes.push_back(Arc::new(change));
        while self.changes.len() > limits::LIST_CHANGES_MAX
            || (self.bytes > limits::LIST_CHANGES_BYTES_MAX && self.changes.len() > 1)
        {
            self.forget_first();
        }
    }

    /// Whether the count is another now.
    fn recount(&mut self, change: &Change, seen: VisibleKind) -> bool {
        let Some((seq, count)) = &mut self.count else {
            return false;
        };
        if change.seq <= *seq {
            return false;
        }
        *seq = change.seq;
        match seen {
            VisibleKind::Create | VisibleKind::Enter => *count = count.and_one(),
            VisibleKind::Delete | VisibleKind::Leave => *count = count.less_one(),
            VisibleKind::Update => return false,
        }
        true
    }

    /// Takes room for what is held; without it the changes are forgotten, and what is shown alone is held.
    fn make_room(&mut self, budget: &Budget) -> Result<(), SubscriptionError> {
        if !self.ranking.fits(limits::LIST_BYTES_MAX) {
            return Err(SubscriptionError::ListTooLarge);
        }
        let held = limits::LIST_BYTES_MIN + self.ranking.bytes();
        if budget.try_resize(&mut self.room, held + self.bytes) {
            return Ok(());
        }
        self.forget();
        match budget.try_resize(&mut self.room, held) {
            true => Ok(()),
            false => Err(SubscriptionError::NoRoom),
        }
    }

    /// Forgets what every reader has taken.
    fn forget_taken(&mut self) {
        let taken = self.seats.iter().map(|seat| seat.taken());
        let taken = taken.min().unwrap_or(u64::MAX);
        while self.first < taken && !self.changes.is_empty() {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.changes.pop_front() {
            self.first += 1;
            self.bytes -= first.bytes_max();
        }
    }

    fn forget(&mut self) {
        self.first = self.next();
        self.changes.clear();
        self.bytes = 0;
    }

    fn notify(&self) {
        for seat in &self.seats {
            seat.notify();
        }
    }
}

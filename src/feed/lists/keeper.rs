//! The task that keeps a list up: reads it, takes in what its filter sees, and reads it again where that does not tell what
//! comes next.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{ListRead, ListSource, SharedList, SubscriptionError};
use crate::domain::{Change, Event, RankedEvent, Ranking, Seq, Short, VisibleKind};
use crate::fairness::Requester;
use crate::feed::Feed;
use crate::feed::filter_reader::Start;
use crate::feed::judges::Judges;
use crate::feed::notice::Notice;
use crate::feed::outlet::Outlet;
use crate::feed::shared_change::SharedChange;
use crate::limits;
use crate::query::{Fields, Query};
use crate::value::{Steps, TooCostly};

/// Between two tries to read from a store that is away or busy.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// See the [module](self).
pub(super) struct Keeper {
    list: Arc<SharedList>,
    feed: Feed,
    requester: Requester,
    query: Arc<Query>,
    source: Box<dyn ListSource>,
    /// For what takes long to rank.
    judges: Judges,
    /// Steps of ranking that are left until other tasks run.
    steps_left: u64,
    /// Moves when something that is held may have been erased.
    generations: watch::Receiver<u64>,
}

/// What a filter sees of changes, in their order.
#[derive(Default)]
struct SeenChanges(Vec<(Arc<Change>, VisibleKind, Instant)>);

/// Whoever drops it without a word has panicked: the readers are told.
struct Ending(Arc<SharedList>);

impl Keeper {
    pub(super) fn new(
        list: &Arc<SharedList>,
        feed: &Feed,
        requester: &Requester,
        query: &Arc<Query>,
        source: Box<dyn ListSource>,
    ) -> Self {
        Self {
            list: Arc::clone(list),
            feed: feed.clone(),
            requester: requester.clone(),
            query: Arc::clone(query),
            source,
            judges: feed.judges.of(requester),
            steps_left: limits::JUDGE_SLICE_STEPS,
            generations: feed.live.generations(),
        }
    }

    pub(super) async fn run(mut self) {
        let ending = Ending(Arc::clone(&self.list));
        let Err(error) = self.keep().await;
        ending.0.end(error);
    }

    async fn keep(&mut self) -> Result<Infallible, SubscriptionError> {
        let seq = self.begin().await?;
        let wakeup = Arc::clone(&self.list.wakeup);
        let mut changes = self.feed.read_changes(
            &self.requester,
            &Arc::new(self.query.filter.clone()),
            &Arc::new(Fields::all()),
            Start::After(seq),
            &wakeup,
        );
        loop {
            tokio::select! {
                () = poll_fn(|context| changes.poll_ready(context)) => {}
                () = wakeup.notified() => {}
                moved = self.generations.changed() => moved.expect("the feed is this task's own"),
            }
            if self.list.is_stale(*self.generations.borrow_and_update()) {
                self.read_again(self.query.counts).await?;
            }
            let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
            let mut gathered = SeenChanges::default();
            changes.take(&slice, &mut gathered)?;
            for (change, seen, arrived) in gathered.0 {
                self.take_in(&change, seen, arrived).await?;
            }
            // A list that much happens to must let other tasks run.
            self.steps_left = limits::JUDGE_SLICE_STEPS;
            tokio::task::yield_now().await;
        }
    }

    /// Reads the list for the first time; the seq to read changes from.
    async fn begin(&mut self) -> Result<Seq, SubscriptionError> {
        let generation = *self.generations.borrow_and_update();
        let reading = self.source.read(self.reads(self.query.counts));
        let read = reading.await.map_err(SubscriptionError::Failed)?;
        let seq = read.seq;
        self.renew(read, generation).await?;
        Ok(seq)
    }

    async fn renew(
        &mut self,
        mut read: ListRead,
        generation: u64,
    ) -> Result<(), SubscriptionError> {
        let mut ranked = Vec::with_capacity(read.events.len());
        for event in std::mem::take(&mut read.events) {
            ranked.push(self.rank(&Arc::new(event)).await?);
        }
        self.list.renew(&read, ranked, generation)
    }

    /// Where an event stands. What takes more than a moment, or than is left of the slice, is told on the judges' thread.
    async fn rank(&mut self, event: &Arc<Event>) -> Result<RankedEvent, SubscriptionError> {
        if let Some(ranked) = self.rank_inline(event) {
            return Ok(ranked);
        }
        let (query, event) = (Arc::clone(&self.query), Arc::clone(event));
        let work = move || RankedEvent::of(&query, &event, &Steps::new(limits::MATCH_STEPS_MAX));
        let (ranked, _) = self
            .judges
            .spawn(work)
            .await
            .expect("ranking does not panic");
        ranked.map_err(|TooCostly| SubscriptionError::FilterTooSlow)
    }

    /// The query for as many events as the list is to know.
    fn reads(&self, counts: bool) -> Query {
        Query {
            limit: self.query.limit.map(Ranking::capacity),
            counts,
            ..(*self.query).clone()
        }
    }

    /// Reads the list again, as soon as the store lets it.
    async fn read_again(&mut self, counts: bool) -> Result<(), SubscriptionError> {
        loop {
            let generation = *self.generations.borrow_and_update();
            match self.source.read(self.reads(counts)).await {
                Ok(read) => return self.renew(read, generation).await,
                Err(failure) if failure.code.retryable() => {
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                Err(failure) => return Err(SubscriptionError::Failed(failure)),
            }
        }
    }

    fn rank_inline(&mut self, event: &Arc<Event>) -> Option<RankedEvent> {
        let steps = Steps::new(limits::MATCH_STEPS_INLINE.min(self.steps_left));
        let ranked = RankedEvent::of(&self.query, event, &steps);
        self.steps_left -= steps.taken();
        ranked.ok()
    }

    async fn take_in(
        &mut self,
        change: &Change,
        seen: VisibleKind,
        arrived: Instant,
    ) -> Result<(), SubscriptionError> {
        if self.query.counts && change.is_redacted() {
            // Whether its event matched is not known any more.
            return self.read_again(true).await;
        }
        loop {
            let after = match change.after().filter(|_| seen.shows_event()) {
                Some(event) => Some(self.rank(event).await?),
                None => None,
            };
            match self.list.take_in(change, seen, after, arrived) {
                Ok(outcome) => return outcome,
                Err(Short) => self.read_again(false).await?,
            }
        }
    }
}

impl Outlet for SeenChanges {
    fn change(&mut self, entry: &SharedChange, seen: VisibleKind, _: &Arc<Fields>) -> usize {
        self.0
            .push((Arc::clone(&entry.change), seen, entry.arrived));
        entry.change.approx_bytes()
    }

    /// How far behind it is concerns nobody: a list is told as of a seq.
    fn notice(&mut self, _: Notice) {}
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.0.ended().is_none() {
            self.0.end(SubscriptionError::Panicked);
        }
    }
}

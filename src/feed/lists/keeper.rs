//! The task that keeps a list up: reads it, takes in what its filter sees, and reads it again where that does not tell what
//! comes next.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{ListSource, SharedList, SubscriptionError};
use crate::domain::{Change, Ranking, Seq, Unranked, VisibleKind};
use crate::fairness::Requester;
use crate::feed::Feed;
use crate::feed::filter_reader::Start;
use crate::feed::notice::Notice;
use crate::feed::outlet::Outlet;
use crate::feed::shared_change::SharedChange;
use crate::limits;
use crate::query::{Fields, Query};
use crate::value::Steps;

/// Between two tries to read from a store that is away or busy.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// See the [module](self).
pub(super) struct Keeper {
    list: Arc<SharedList>,
    feed: Feed,
    requester: Requester,
    query: Arc<Query>,
    source: Box<dyn ListSource>,
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
            tokio::task::yield_now().await;
        }
    }

    /// Reads the list for the first time; the seq to read changes from.
    async fn begin(&mut self) -> Result<Seq, SubscriptionError> {
        let generation = *self.generations.borrow_and_update();
        let reading = self.source.read(self.reads(self.query.counts));
        let read = reading.await.map_err(SubscriptionError::Failed)?;
        let seq = read.seq;
        self.list.renew(read, generation)?;
        Ok(seq)
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
                Ok(read) => return self.list.renew(read, generation),
                Err(failure) if failure.code.retryable() => {
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                Err(failure) => return Err(SubscriptionError::Failed(failure)),
            }
        }
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
            match self.list.take_in(change, seen, arrived) {
                Ok(outcome) => return outcome,
                Err(Unranked::Short) => self.read_again(false).await?,
                Err(Unranked::TooCostly) => return Err(SubscriptionError::FilterTooSlow),
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

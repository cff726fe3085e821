//! Carries changes from the log to sessions.
//!
//! One pump a node follows the store's tail into a live window that all sessions share. Readers pull
//! from the window, and from the log whenever they are behind it; so a slow session costs reads,
//! never memory, and never delays another.
//!
//! A session listens to everything (`listener`) or subscribes to what a filter sees (`subscription`).
//! Subscriptions with the same filter form a group (`group`), and the pump finds the groups that a
//! change concerns (`fanout`): a change that no filter sees wakes no session. A filter is evaluated inline while that is
//! cheap (`filter_pass`), else on a thread that no other subscription waits for (`judges`).
//!
//! Knows nothing of the engine: a change that this node wrote arrives like any other.
//!
//! # How far: four notions
//!
//! | notion | whose | means | moved by |
//! |---|---|---|---|
//! | window seq | the node | the last change in the live window | the pump, when it publishes |
//! | groups' seq | the node | every change up to here was judged for every group | the pump, after it published |
//! | first pending match | a member of a group | the earliest match that its subscription has not taken; 0 is none | set by the pump, taken by the subscription |
//! | a reader's seq | a listener or subscription | every change up to here was handed out, or is none that it is to have | the reader, forward alone |
//!
//! Invariant: window first, then fan-out, then wakeup. So the groups' seq never passes the window's, and a subscription
//! that is woken finds its match both in the group and in the window, unless the window has moved on; then it reads the
//! log. A reader's seq lags while its filter sees nothing, and may be ahead of the window after it has read the log.
//!
//! Start with [`Feed::listen`], then `listener`; then [`Feed::read_changes`] and [`Feed::read_list`].

mod fanout;
mod filter_pass;
mod filter_reader;
mod group;
mod judges;
mod latest;
mod listener;
mod lists;
mod live_window;
mod notice;
mod outlet;
mod pump;
mod shared_broadcast;
mod shared_change;
mod shared_log;
mod sight;
mod snapshot;
mod subscription;
mod window;

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::budget::Budget;
use crate::domain::{Change, Hearing, Seq, VisibleKind};
use crate::fairness::{FairPermits, Requester};
use crate::limits;
use crate::metrics::Metrics;
use crate::query::{Fields, Filter, Query};
use crate::store::{Store, StoreError};
use crate::value::TooCostly;
use fanout::Fanout;
use filter_reader::FilterReader;
pub use filter_reader::Start;
use judges::JudgePool;
pub use listener::{Interest, Listener};
use lists::Lists;
pub use lists::{ListRead, ListReader, ListSource};
use live_window::LiveWindow;
pub use notice::Notice;
use shared_log::SharedLog;
pub use snapshot::{SnapshotPermit, SubscriptionError};
pub use subscription::Subscription;

/// The node's feed. Cheap to clone; the pump ends with the last clone.
#[derive(Debug, Clone)]
pub struct Feed {
    live: Arc<LiveWindow>,
    fanout: Arc<Fanout>,
    log: Arc<SharedLog>,
    judges: JudgePool,
    lists: Arc<Lists>,
    metrics: Arc<Metrics>,
    snapshot_permits: Arc<FairPermits>,
    /// Stops the pump.
    _pump: Arc<DropGuard>,
}

impl Feed {
    /// Starts to follow the log from its head, with a window of this many bytes, and returns the pump's task: a
    /// feed whose pump has ended delivers nothing new. Pages of the log that are held for sessions take shares of
    /// `budget`.
    ///
    /// # Errors
    /// If the store's head cannot be read.
    pub async fn open(
        store: &Arc<dyn Store>,
        window_bytes: usize,
        budget: &Budget,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let head = store.head().await?;
        let live = Arc::new(LiveWindow::new(head, window_bytes));
        let fanout = Fanout::new(head);
        let tail = store.tail(head).await?;
        let log = Arc::new(SharedLog::new(store, budget, metrics));
        let pump = pump::run(
            tail,
            Arc::clone(&live),
            Arc::clone(&fanout),
            Arc::clone(&log),
            Arc::clone(metrics),
        );
        let stop = CancellationToken::new();
        let pump = tokio::spawn(stop.clone().run_until_cancelled_owned(pump).map(drop));
        let feed = Self {
            live,
            fanout,
            log,
            judges: JudgePool::new(),
            lists: Lists::new(),
            metrics: Arc::clone(metrics),
            snapshot_permits: FairPermits::new(limits::SNAPSHOTS_MAX),
            _pump: Arc::new(stop.drop_guard()),
        };
        Ok((feed, pump))
    }

    /// The last change that reached this node.
    pub fn seq(&self) -> Seq {
        self.live.seq()
    }

    /// Bytes of the live window.
    pub fn window_bytes(&self) -> usize {
        self.live.bytes()
    }

    /// The number of subscriptions, and of different filters that they have.
    pub fn subscription_counts(&self) -> (usize, usize) {
        let (members, filters) = self.fanout.counts();
        let (readers, lists) = self.lists.counts();
        (members.saturating_sub(lists) + readers, filters)
    }

    /// The number of live lists.
    pub fn list_count(&self) -> usize {
        self.lists.counts().1
    }

    /// The first entry of the log that was found unreadable.
    pub fn first_unreadable(&self) -> Option<Seq> {
        self.log.first_unreadable()
    }

    /// Waits until the live window has reached this change.
    pub async fn wait_for(&self, seq: Seq) {
        let mut end = self.live.watch();
        while self.live.seq() < seq {
            let moved = end.changed().await;
            moved.expect("this feed keeps the window alive");
        }
    }

    /// A reader of everything of `interest` after `after`, or from now on; of broadcasts, of those that are heard.
    pub fn listen(&self, after: Option<Seq>, interest: Interest, hearing: &Hearing) -> Listener {
        Listener::new(
            Arc::clone(&self.live),
            Arc::clone(&self.log),
            after,
            interest,
            hearing,
        )
    }

    /// A reader of every change of which `filter` sees something, with these fields. `wakeup` is notified when
    /// there may be more; several subscriptions of one session can share it.
    pub fn read_changes(
        &self,
        requester: &Requester,
        filter: &Arc<Filter>,
        fields: &Arc<Fields>,
        start: Start,
        wakeup: &Arc<Notify>,
    ) -> FilterReader {
        FilterReader::new(
            Arc::clone(&self.live),
            Arc::clone(&self.log),
            self.judges.of(requester),
            self.fanout.join(filter, wakeup),
            Arc::clone(wakeup),
            Arc::clone(fields),
            start,
        )
    }

    /// A reader of the first events of an order, as of `seq` or later, and of how many there are, if it counts. Who asks for
    /// the same shares one list, which the `source` of the first reads.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read_list(
        &self,
        requester: &Requester,
        query: &Arc<Query>,
        fields: &Arc<Fields>,
        source: Box<dyn ListSource>,
        seq: Seq,
        wakeup: &Arc<Notify>,
    ) -> Result<ListReader, SubscriptionError> {
        let joined = self.lists.join(self, requester, query, source, wakeup);
        let (live, metrics) = (&self.live, &self.metrics);
        let mut reader = ListReader::new(joined, live, metrics, wakeup, (query, fields));
        reader.begin(seq).await?;
        Ok(reader)
    }

    /// The changes of which the filter sees something.
    ///
    /// # Errors
    /// If one of them takes too long to judge.
    pub async fn judge(
        &self,
        requester: &Requester,
        filter: &Arc<Filter>,
        changes: &[Arc<Change>],
    ) -> Result<Vec<(Arc<Change>, VisibleKind)>, TooCostly> {
        filter_pass::judge_page(&self.judges.of(requester), filter, changes).await
    }

    /// Waits for a permit to begin a subscription with a snapshot, or in mode `latest`.
    pub async fn snapshot_permit(&self, requester: &Requester) -> SnapshotPermit {
        SnapshotPermit::new(self.snapshot_permits.acquire(requester).await)
    }
}

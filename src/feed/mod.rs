//! What carries changes from the log to sessions.
//!
//! One pump a node follows the store's tail into a live window that all sessions share. Who listens
//! reads from the window, and from the log whenever it is behind it; so a slow session costs reads,
//! never memory, and never delays another.
//!
//! A session listens to everything (`listener`) or subscribes to what a filter sees (`subscription`).
//! Subscriptions with the same filter form a group (`group`), and the pump finds the groups that a
//! change concerns (`audience`): what nobody asked for wakes nobody. What takes long to judge is judged where
//! nobody waits for it (`judges`), for those who asked for it (`look`).
//!
//! Knows nothing of the engine: a change that this node wrote arrives like any other.
//!
//! Start with [`Feed::listen`], then `listener`; then [`Feed::subscribe`].

mod entry;
mod fanout;
mod group;
mod judges;
mod latest;
mod listener;
mod live;
mod log;
mod look;
mod pump;
mod snapshot;
mod subscription;
mod window;

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::budget::Budget;
use crate::domain::VisibleKind;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::metrics::Metrics;
use crate::query::{Fields, Filter};
use crate::store::{Store, StoreError};
use crate::value::TooCostly;
use fanout::Fanout;
use judges::Judges;
pub use listener::{Interest, Listener};
use live::LiveWindow;
use log::SharedLog;
pub use snapshot::{SnapshotError, SnapshotPermit};
pub use subscription::{Notice, Start, Subscription};

/// The node's feed. Cheap to clone; the pump ends with the last clone.
#[derive(Debug, Clone)]
pub struct Feed {
    live: Arc<LiveWindow>,
    audience: Arc<Fanout>,
    log: Arc<SharedLog>,
    judges: Arc<Judges>,
    turns: Arc<Semaphore>,
    /// Stops the pump.
    _pump: Arc<DropGuard>,
}

impl Feed {
    /// Starts to follow the log from its head, with a window of this many bytes, and hands up the pump's task: a
    /// feed whose pump has ended tells nothing new. Pages of the log that are held for sessions take shares of
    /// `budget`.
    ///
    /// # Errors
    /// If the store cannot tell its head.
    pub async fn open(
        store: &Arc<dyn Store>,
        window_bytes: usize,
        budget: &Budget,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let head = store.head().await?;
        let live = Arc::new(LiveWindow::new(head, window_bytes));
        let audience = Fanout::new(head);
        let tail = store.tail(head).await?;
        let log = Arc::new(SharedLog::new(store, budget, metrics));
        let pump = pump::run(
            tail,
            Arc::clone(&live),
            Arc::clone(&audience),
            Arc::clone(&log),
            Arc::clone(metrics),
        );
        let stop = CancellationToken::new();
        let pump = tokio::spawn(stop.clone().run_until_cancelled_owned(pump).map(drop));
        let feed = Self {
            live,
            audience,
            log,
            judges: Judges::new(),
            turns: Arc::new(Semaphore::new(limits::SNAPSHOTS_MAX)),
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

    /// How many subscriptions there are, and how many different filters they have.
    pub fn audience(&self) -> (usize, usize) {
        self.audience.count()
    }

    /// The first entry of the log that was found unreadable.
    pub fn unreadable(&self) -> Option<Seq> {
        self.log.unreadable()
    }

    /// Waits until the log has come this far, as this node knows it.
    pub async fn reach(&self, seq: Seq) {
        let mut end = self.live.watch();
        while self.live.seq() < seq {
            let moved = end.changed().await;
            moved.expect("this feed keeps the window alive");
        }
    }

    /// Everything of `interest` after `after`, or from now on.
    pub fn listen(&self, after: Option<Seq>, interest: Interest) -> Listener {
        Listener::new(
            Arc::clone(&self.live),
            Arc::clone(&self.log),
            after,
            interest,
        )
    }

    /// Every change of which `filter` sees something, with these fields. `bell` rings when there may be
    /// more; several subscriptions of one session can share it.
    pub fn subscribe(
        &self,
        filter: &Arc<Filter>,
        fields: &Arc<Fields>,
        start: Start,
        bell: &Arc<Notify>,
    ) -> Subscription {
        Subscription::new(
            Arc::clone(&self.live),
            Arc::clone(&self.log),
            &self.judges,
            self.audience.join(filter, bell),
            Arc::clone(bell),
            Arc::clone(fields),
            start,
        )
    }

    /// Those of these changes of which the filter sees something.
    ///
    /// # Errors
    /// If one of them takes too long to judge.
    pub async fn judge(
        &self,
        filter: &Arc<Filter>,
        changes: &[Arc<Change>],
    ) -> Result<Vec<(Arc<Change>, VisibleKind)>, TooCostly> {
        look::judge_page(&self.judges, filter, changes).await
    }

    /// Waits for leave to begin with a snapshot, or with what became of events.
    pub async fn turn(&self) -> SnapshotPermit {
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        SnapshotPermit::new(permit.expect("the semaphore is never closed"))
    }
}

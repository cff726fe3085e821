//! The node: the only face of the engine, the feed and the store that sessions and transports see. What clients ask for
//! goes through [`Guarded`], which knows what they may.
//!
//! | what | methods of [`Node`] |
//! |---|---|
//! | write | `submit`, `write`, `publish` |
//! | read events | `event`, `fetch` (a page), `list` (a stream), `stats` |
//! | read the log | `changes`, `judge`, `history`, `read_write_again` |
//! | follow the log | `listen`, `subscribe`, `stale_reason` |
//! | health | `health`, `trouble`, `first_unreadable`, `epoch`, `seq`, `head` |
//! | budgets | `budget`, `subscription_budget`, `receive_budget`, `is_under_pressure`, `reserve_for_stalled`, `reserve_ahead` |
//! | metrics | `metrics`, `count`, `count_done`, `note_denial`, `metrics_text` |
//!
//! Every error leaves it as a [`Failure`], and where that hides a cause from clients the cause is logged (`failures`).

mod budgets;
mod changes;
mod denials;
mod failures;
mod filters;
mod find;
mod guarded;
mod history;
mod metrics;
mod page;
mod past;
mod queries;
mod stats;
mod subscriptions;
mod supervisor;
#[cfg(all(test, feature = "embedded"))]
mod tests;

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use crate::budget::{Budget, Share};
use crate::domain::{Hearing, Seq};
pub use crate::engine::{Done, Outcome, SubmitError};
use crate::engine::{Engine, Order};
pub use crate::fairness::Requester;
use crate::fairness::{FairPermits, Holdings};
use crate::feed::Feed;
pub use crate::feed::{Interest, Listener, Notice, Subscription};
use crate::limits;
use crate::metrics::Metrics;
pub use crate::metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, Counted, Transport};
use crate::panics::cause_of;
use crate::protocol::{Code, Failure};
use crate::store::{Broadcast, Store};
pub use crate::store::{Epoch, QueryResult, StoreError};
pub use guarded::{Guarded, SeenLogPage};
pub use history::HistoryPage;
pub use past::SeenHistory;
use supervisor::Health;
pub use supervisor::{NodeFailed, Supervisor};

/// One node's livelog, without any transport. Cheap to clone, and small: every session holds one.
#[derive(Debug, Clone)]
pub struct Node {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    store: Arc<dyn Store>,
    engine: Engine,
    feed: Feed,
    read_permits: Arc<FairPermits>,
    /// For reads that scan all events; such a read then takes one of `read_permits` too.
    scan_permits: Arc<FairPermits>,
    /// Filters, by who asks for them.
    filters: Arc<Holdings>,
    health: Health,
    metrics: Arc<Metrics>,
    /// For what is read or made for clients and not yet with them.
    budget: Budget,
    /// For frames of subscriptions, which are copied for each.
    subscription_budget: Budget,
    /// For requests that are not yet whole.
    receive_budget: Budget,
    /// For frames that wait for stalled clients.
    stalled_budget: Budget,
}

impl Node {
    /// Starts the node's writer and its feed, with a live window of this many bytes, and their supervisor.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn start(
        store: Arc<dyn Store>,
        window_bytes: usize,
    ) -> Result<(Self, Supervisor), StoreError> {
        let metrics = Arc::new(Metrics::default());
        let budget = Budget::new(limits::BUDGET_BYTES);
        let (feed, pump) = Feed::open(&store, window_bytes, &budget, &metrics).await?;
        let (engine, writer) = Engine::start(&store, &metrics);
        let health = Health::default();
        let tasks = [
            ("pump", pump),
            ("committer", writer.committer),
            // Clients read its name where they learn why a node has failed.
            ("announcer", writer.publisher),
        ];
        let supervisor = Supervisor::new(&store, health.clone(), tasks);
        let parts = Parts {
            store,
            engine,
            feed,
            read_permits: FairPermits::new(limits::READS_MAX),
            scan_permits: FairPermits::new(limits::SCANS_MAX),
            filters: Arc::default(),
            health,
            metrics,
            budget,
            subscription_budget: Budget::new(limits::SUBSCRIPTION_BUDGET_BYTES),
            receive_budget: Budget::new(limits::RECEIVE_BUDGET_BYTES),
            stalled_budget: Budget::new(limits::STALLED_BYTES_MAX),
        };
        let node = Self {
            parts: Arc::new(parts),
        };
        Ok((node, supervisor))
    }

    /// Whether the node can go on.
    ///
    /// # Errors
    /// `node_failed`, with the reason: the node closes its sessions and ends.
    pub fn health(&self) -> Result<(), Failure> {
        match self.parts.health.failure() {
            None => Ok(()),
            Some(failed) => Err(Failure::new(Code::NodeFailed, failed.to_string())),
        }
    }

    /// The first entry of the log that was found unreadable: readers that need it get `corrupt`, all others are
    /// served.
    pub fn first_unreadable(&self) -> Option<Seq> {
        self.parts.feed.first_unreadable()
    }

    /// The log's identity.
    pub fn epoch(&self) -> Epoch {
        self.parts.store.epoch()
    }

    /// Submits a write to the engine; see [`Engine::submit`].
    ///
    /// # Errors
    /// Busy or shutting down.
    pub(super) fn submit(
        &self,
        requester: &Requester,
        order: Order,
    ) -> Result<oneshot::Receiver<Outcome>, Failure> {
        // Refused at once: behind a batch whose outcome is in doubt it would wait in vain.
        if let Some(trouble) = self.parts.store.trouble() {
            return self.store_answer(Err(trouble));
        }
        self.parts
            .engine
            .submit(requester, order)
            .map_err(Failure::from)
    }

    /// Broadcasts a message to every session of every node.
    ///
    /// # Errors
    /// Busy or shutting down.
    pub(super) fn publish(
        &self,
        requester: &Requester,
        payload: Arc<RawValue>,
    ) -> Result<oneshot::Receiver<Result<(), SubmitError>>, Failure> {
        self.parts
            .engine
            .publish(requester, Broadcast { payload })
            .map_err(Failure::from)
    }

    /// A listener to every change after `after` (or from now on) and those broadcasts from now on that are heard.
    pub(super) fn listen(
        &self,
        after: Option<Seq>,
        interest: Interest,
        hearing: &Hearing,
    ) -> Listener {
        self.parts.feed.listen(after, interest, hearing)
    }

    /// The last change that reached this node's feed.
    pub fn seq(&self) -> Seq {
        self.parts.feed.seq()
    }

    /// Why nothing can be written at the moment, though reads go on.
    pub fn trouble(&self) -> Option<Failure> {
        let failed = self.health().err();
        failed.or_else(|| self.parts.store.trouble().map(Failure::from))
    }

    /// The head of the log, read from the store: an error means that the node is not ready.
    ///
    /// # Errors
    /// If the store cannot be reached in [`limits::READY_DEADLINE`].
    pub async fn head(&self) -> Result<Seq, Failure> {
        let store = Arc::clone(&self.parts.store);
        // In a task: the deadline must not drop a call to the store half-way.
        let reading = tokio::spawn(async move { store.head().await });
        let unavailable = |reason: String| Err(StoreError::Unavailable(reason));
        let head = match timeout(limits::READY_DEADLINE, reading).await {
            Ok(Ok(head)) => head,
            Ok(Err(error)) => unavailable(match error.try_into_panic() {
                Ok(panic) => format!("asking for the head panicked: {}", cause_of(&*panic)),
                Err(error) => format!("asking for the head was stopped: {error}"),
            }),
            Err(_) => unavailable(format!("no answer in {:?}", limits::READY_DEADLINE)),
        };
        self.store_answer(head)
    }

    /// Waits until this node's feed has reached `seq`.
    async fn wait_for_seq(&self, seq: Seq) -> Result<(), Failure> {
        if seq <= self.seq() {
            return Ok(());
        }
        let reached = timeout(limits::MIN_SEQ_DEADLINE, self.parts.feed.wait_for(seq));
        reached.await.map_err(|_| find::not_reached(seq))
    }
}

//! What every transport calls: submit, announce, fetch, find, history, listen, subscribe.

mod asked;
mod failures;
mod history;
mod metrics;
mod page;
mod passes;
mod supervisor;

use std::sync::Arc;

use futures::StreamExt;
use serde_json::value::RawValue;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

pub use crate::budget::{Budget, Share};
use crate::domain::{AsOf, Change, CommandBatch, Event, EventId, Seq};
use crate::engine::Engine;
pub use crate::engine::{Done, Outcome, Requester, SubmitError};
use crate::feed::{Feed, SnapshotPermit, Start};
pub use crate::feed::{Interest, Listener, Notice, Subscription};
use crate::limits;
pub use crate::metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, Counted, Transport};
use crate::metrics::{Metrics, Reason};
use crate::protocol::{Code, Failure, Fetch, Mode, Subscribe};
use crate::query::{Filter, Query};
use crate::store::{Broadcast, Store};
pub use crate::store::{Epoch, QueryResult, StoreError};
use crate::telemetry::Throttle;
pub use history::HistoryPage;
use passes::Passes;
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
    /// Reads of pages, and among them those that go through all events.
    reads: Arc<Passes>,
    passes: Arc<Passes>,
    health: Health,
    metrics: Arc<Metrics>,
    complaints: Throttle,
    /// For what is made or read for clients and not yet with them.
    budget: Budget,
    /// For what is told to subscriptions.
    news: Budget,
    /// For what clients are sending.
    intake: Budget,
    /// For what waits for clients that take nothing.
    lingering: Budget,
}

impl Node {
    /// Starts the node's writer and its feed, with a live window of this many bytes, and hands them to a supervisor.
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
            ("announcer", writer.announcer),
        ];
        let supervisor = Supervisor::new(&store, health.clone(), tasks);
        let parts = Parts {
            store,
            engine,
            feed,
            reads: Passes::new(limits::READS_MAX),
            passes: Passes::new(limits::PASSES_MAX),
            health,
            metrics,
            complaints: Throttle::default(),
            budget,
            news: Budget::new(limits::NEWS_BUDGET_BYTES),
            intake: Budget::new(limits::INTAKE_BUDGET_BYTES),
            lingering: Budget::new(limits::LINGERING_BYTES_MAX),
        };
        let node = Self {
            parts: Arc::new(parts),
        };
        Ok((node, supervisor))
    }

    /// Whether the node can go on.
    ///
    /// # Errors
    /// `node_failed`, with the reason: it sends its sessions away and ends.
    pub fn alive(&self) -> Result<(), Failure> {
        match self.parts.health.failure() {
            None => Ok(()),
            Some(failed) => Err(Failure::new(Code::NodeFailed, failed.to_string())),
        }
    }

    /// The first entry of the log that was found unreadable: who needs it hears `corrupt`, everyone else is served.
    pub fn unreadable(&self) -> Option<Seq> {
        self.parts.feed.unreadable()
    }

    /// The log's identity.
    pub fn epoch(&self) -> Epoch {
        self.parts.store.epoch()
    }

    /// Carries a write out, for a transport that waits for it.
    ///
    /// # Errors
    /// Why it was not carried out, as far as is known.
    pub async fn write(&self, order: CommandBatch) -> Result<Done, Failure> {
        let outcome = self.submit(&Requester::new(), order)?.await;
        outcome
            .unwrap_or(Err(SubmitError::Unknown))
            .map_err(Failure::from)
    }

    /// Hands a write to the engine; see [`Engine::submit`].
    ///
    /// # Errors
    /// Busy or shutting down.
    pub fn submit(
        &self,
        from: &Requester,
        order: CommandBatch,
    ) -> Result<oneshot::Receiver<Outcome>, Failure> {
        // At once: behind a batch whose outcome is in doubt it would wait for nothing.
        if let Some(trouble) = self.parts.store.trouble() {
            return self.heed(Err(trouble));
        }
        self.parts.engine.submit(from, order).map_err(Failure::from)
    }

    /// Sends a message to every session of every node.
    ///
    /// # Errors
    /// Busy or shutting down.
    pub fn announce(
        &self,
        from: &Requester,
        payload: Arc<RawValue>,
    ) -> Result<oneshot::Receiver<Result<(), SubmitError>>, Failure> {
        self.parts
            .engine
            .announce(from, Broadcast { payload })
            .map_err(Failure::from)
    }

    /// Every change after `after` (or from now on) and every broadcast from now on.
    pub fn listen(&self, after: Option<Seq>, interest: Interest) -> Listener {
        self.parts.feed.listen(after, interest)
    }

    /// What a SUBSCRIBE asks for, armed; `bell` rings when there may be more of it. With it why the position
    /// it named is none of this log, if so: then it begins as if it had named none.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn subscribe(
        &self,
        asked: &Subscribe,
        bell: &Arc<Notify>,
    ) -> Result<(Subscription, Option<&'static str>), Failure> {
        self.admit(&asked.filter)?;
        self.reach(asked.min_seq).await?;
        let stale = self.stale(asked.after, asked.epoch.map(Epoch)).await?;
        let after = asked.after.filter(|_| stale.is_none());
        let start = match (after, asked.mode) {
            (Some(after), Mode::All) => Start::After(after),
            (Some(after), Mode::Latest) => Start::Latest(after, self.turn().await?),
            (None, _) if asked.snapshot => self.snapshot(asked).await?,
            (None, _) => Start::Now,
        };
        let subscription = self
            .parts
            .feed
            .subscribe(&asked.filter, &asked.fields, start, bell);
        Ok((subscription, stale))
    }

    /// The next changes of the log after the position asked for, at most `limit`, and how far the log goes.
    ///
    /// # Errors
    /// `stale_position`, `seq_not_reached`, or if the store cannot answer.
    pub async fn changes(
        &self,
        asked: &Subscribe,
        limit: usize,
    ) -> Result<(Vec<Arc<Change>>, Seq), Failure> {
        self.reach(asked.min_seq).await?;
        if let Some(reason) = self.stale(asked.after, asked.epoch.map(Epoch)).await? {
            return Err(Failure::new(Code::StalePosition, reason));
        }
        let after = asked.after.unwrap_or(Seq::ZERO);
        let _turn = self.leave_to_read().await?;
        self.parts.metrics.read_log(Reason::Page);
        let changes = self.heed(self.parts.store.read(after, limit).await)?;
        let Some(last) = changes.last().map(|last| last.seq) else {
            // As of the reading: who goes on from here must not skip what has come since.
            return Ok((changes, after));
        };
        // The log may have grown beyond what this node has heard of.
        Ok((changes, self.seq().max(last)))
    }

    /// Leave to begin with a snapshot.
    async fn turn(&self) -> Result<SnapshotPermit, Failure> {
        let turn = timeout(limits::SNAPSHOT_TURN_DEADLINE, self.parts.feed.turn()).await;
        let message = "too many subscriptions begin with a snapshot at once";
        turn.map_err(|_| Failure::new(Code::Busy, message))
    }

    async fn snapshot(&self, asked: &Subscribe) -> Result<Start, Failure> {
        let turn = self.turn().await?;
        let query = Query {
            filter: (*asked.filter).clone(),
            ..Query::everything()
        };
        let fetch = Fetch {
            min_seq: asked.min_seq,
            ..Fetch::now(query)
        };
        let found = self.find(&fetch).await?;
        Ok(Start::Snapshot(found, turn))
    }

    /// Why a position is none of this log; `None` if it is one. One ahead of this node's feed may come from
    /// a node that is further: the store knows.
    ///
    /// # Errors
    /// If it takes the store to tell, and the store cannot be reached.
    pub async fn stale(
        &self,
        after: Option<Seq>,
        epoch: Option<Epoch>,
    ) -> Result<Option<&'static str>, Failure> {
        if epoch.is_some_and(|epoch| epoch != self.epoch()) {
            return Ok(Some("another epoch"));
        }
        match after {
            Some(after) if after > self.seq() => {
                let head = self.head().await?;
                Ok((after > head).then_some("ahead of the log"))
            }
            _ => Ok(None),
        }
    }

    /// The last change that reached this node's feed.
    pub fn seq(&self) -> Seq {
        self.parts.feed.seq()
    }

    /// Why nothing can be written at the moment, though reads go on.
    pub fn trouble(&self) -> Option<Failure> {
        let failed = self.alive().err();
        failed.or_else(|| self.parts.store.trouble().map(Failure::from))
    }

    /// The head of the log, asked of the store: an error means not ready.
    ///
    /// # Errors
    /// If the store cannot be reached in [`limits::READY_DEADLINE`].
    pub async fn head(&self) -> Result<Seq, Failure> {
        let store = Arc::clone(&self.parts.store);
        // In a task: the deadline must not drop a call to the store half-way.
        let asking = tokio::spawn(async move { store.head().await });
        let late = || StoreError::Unavailable("no answer in time".to_owned());
        let answer = timeout(limits::READY_DEADLINE, asking).await;
        let answer = answer
            .map_err(|_| late())
            .and_then(|joined| joined.map_err(|_| late()).flatten());
        self.heed(answer)
    }

    /// All events that match, as of one seq, as a stream: the moment asked for, or now. Waits for its `min_seq`.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub async fn find(&self, asked: &Fetch) -> Result<QueryResult, Failure> {
        self.admit(&asked.query.filter)?;
        self.reach(asked.min_seq).await?;
        let query = &self.resumed(&asked.query).await?;
        if let Some(moment) = asked.at {
            let at = self.place_of(moment).await?;
            return self.heed(self.parts.store.find_at(query, at).await);
        }
        let found = self.heed(self.parts.store.find(query).await)?;
        match found.seq >= asked.min_seq {
            true => Ok(found),
            false => Err(not_reached(asked.min_seq)),
        }
    }

    /// Waits until the log has come to what a fetch names: before any turn, which others could use meanwhile.
    async fn reach_all(&self, asked: &Fetch) -> Result<(), Failure> {
        self.reach(asked.min_seq).await?;
        match asked.at {
            Some(AsOf::Seq(seq)) => self.reach(seq).await,
            Some(AsOf::Time(_)) | None => Ok(()),
        }
    }

    /// Waits until the log has come to `seq`, as far as this node has heard.
    async fn reach(&self, seq: Seq) -> Result<(), Failure> {
        if seq <= self.seq() {
            return Ok(());
        }
        let reached = timeout(limits::MIN_SEQ_DEADLINE, self.parts.feed.reach(seq));
        reached.await.map_err(|_| not_reached(seq))
    }

    /// The event with this id, as of the moment asked for or now, and the seq that is as of.
    ///
    /// # Errors
    /// `not_found`, or if the store cannot answer.
    pub async fn event(&self, id: &EventId, asked: &Fetch) -> Result<(Seq, Event), Failure> {
        let query = Query {
            filter: Filter::of_id(id.as_str()),
            ..Query::everything()
        };
        let asked = &Fetch {
            query: Arc::new(query),
            ..*asked
        };
        self.reach_all(asked).await?;
        let _turn = self.leave_to_read().await?;
        let QueryResult { seq, mut events } = self.find(asked).await?;
        let missing = || Failure::new(Code::NotFound, format!("event {id} does not exist"));
        let event = events.next().await.transpose()?;
        Ok((seq, event.ok_or_else(missing)?))
    }
}

fn not_reached(seq: Seq) -> Failure {
    let message = format!("the log has not come to {seq}");
    Failure::new(Code::SeqNotReached, message)
}

//! A store that does as told: a real one, with faults put between it and the engine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use livelog::domain::{Change, CommandId, Event, EventId, Seq};
use livelog::indexes::{Index, IndexRules, UniqueKey};
use livelog::node::Requester;
use livelog::query::Query;
use livelog::store::{
    AppendError, Batch, Broadcast, Epoch, HistoryRange, IndexStatus, Loaded, PublishError,
    QueryResult, Rebuild, Store, StoreError, TailEvent,
};

/// What happens to an append.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It never reaches the store.
    Fail,
    /// It is carried out, and the answer is lost.
    LoseAnswer,
    /// It is lost on the way, and so is the answer.
    LoseCommand,
    /// It is carried out, the answer is lost, and so it is asked for again, as the engine does.
    Repeat,
    /// It is carried out after a pause.
    Stall(Duration),
    /// From now on the store refuses batches that hold this event.
    Refuse(&'static str),
}

/// What else a store does from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    Nothing,
    AppendPanics,
    PublishPanics,
    /// At the next event of the tail.
    TailPanics,
    TailEnds,
    /// Of the view and of histories.
    ReadsPanic,
}

/// Wraps a store; the first appends meet the faults in turn, later ones none.
#[derive(Debug)]
pub struct FaultyStore {
    store: Arc<dyn Store>,
    faults: Mutex<VecDeque<Fault>>,
    reads: AtomicUsize,
    /// The most that was loaded at once, and all of it, in bytes.
    loads: Mutex<(usize, usize)>,
    planted: Arc<Mutex<Plant>>,
}

impl FaultyStore {
    pub fn new(store: Arc<dyn Store>, faults: impl IntoIterator<Item = Fault>) -> Arc<Self> {
        let faults = Mutex::new(faults.into_iter().collect());
        let reads = AtomicUsize::new(0);
        Arc::new(Self {
            store,
            faults,
            reads,
            loads: Mutex::default(),
            planted: Arc::new(Mutex::new(Plant::Nothing)),
        })
    }

    async fn append_twice(&self, batch: &Arc<Batch>) -> Result<(), AppendError> {
        self.store.append(batch).await?;
        match self.store.append(batch).await {
            // Only the log can tell whose writing moved it.
            Err(AppendError::Moved) if self.store.holds(batch).await.is_ok_and(|held| held) => {
                Ok(())
            }
            again => again,
        }
    }

    pub fn plant(&self, plant: Plant) {
        *self.planted.lock().unwrap() = plant;
    }

    fn panic_if(&self, plant: Plant) {
        let planted = *self.planted.lock().unwrap();
        assert!(planted != plant, "planted");
    }

    /// How often the log was read.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// The most bytes of events that were loaded at once, and of all that were.
    pub fn loads(&self) -> (usize, usize) {
        *self.loads.lock().unwrap()
    }

    /// Counts loads anew.
    pub fn forget_loads(&self) {
        *self.loads.lock().unwrap() = (0, 0);
    }

    /// Faults that no append has met yet.
    pub fn faults_left(&self) -> usize {
        self.faults.lock().unwrap().len()
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn epoch(&self) -> Epoch {
        self.store.epoch()
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        self.store.head().await
    }

    async fn load(&self, ids: &[EventId], bytes: usize) -> Result<Loaded, StoreError> {
        let loaded = self.store.load(ids, bytes).await?;
        let approx_bytes = loaded.events.iter().map(Event::approx_bytes).sum();
        let mut loads = self.loads.lock().unwrap();
        *loads = (loads.0.max(approx_bytes), loads.1 + approx_bytes);
        Ok(loaded)
    }

    async fn last_versions(&self, ids: &[EventId]) -> Result<Vec<(EventId, u64)>, StoreError> {
        self.store.last_versions(ids).await
    }

    async fn answered(&self, ids: &[CommandId]) -> Result<Vec<(CommandId, Seq)>, StoreError> {
        self.store.answered(ids).await
    }

    async fn holders(
        &self,
        index: &Index,
        keys: &[Arc<UniqueKey>],
    ) -> Result<Vec<(usize, EventId)>, StoreError> {
        self.store.holders(index, keys).await
    }

    fn index_rules(&self) -> IndexRules {
        self.store.index_rules()
    }

    async fn declare_indexes(&self, indexes: &[Index]) -> Result<(), StoreError> {
        self.store.declare_indexes(indexes).await
    }

    fn indexes(&self) -> Vec<IndexStatus> {
        self.store.indexes()
    }

    async fn append(&self, batch: &Arc<Batch>) -> Result<(), AppendError> {
        self.panic_if(Plant::AppendPanics);
        let lost = || AppendError::Unknown("a fault".to_owned());
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => self.store.append(batch).await,
            Some(Fault::Fail) => Err(AppendError::Failed(StoreError::Unavailable(
                "a fault".to_owned(),
            ))),
            Some(Fault::LoseAnswer) => self.store.append(batch).await.and(Err(lost())),
            Some(Fault::LoseCommand) => Err(lost()),
            Some(Fault::Repeat) => self.append_twice(batch).await,
            Some(Fault::Stall(pause)) => {
                tokio::time::sleep(pause).await;
                self.store.append(batch).await
            }
            Some(Fault::Refuse(id)) => {
                self.faults.lock().unwrap().push_front(Fault::Refuse(id));
                let holds = |change: &Arc<Change>| change.event_id().as_str() == id;
                match batch.changes.iter().any(holds) {
                    true => Err(AppendError::Failed(StoreError::Refused(
                        "a fault".to_owned(),
                    ))),
                    false => self.store.append(batch).await,
                }
            }
        }
    }

    async fn holds(&self, batch: &Batch) -> Result<bool, StoreError> {
        self.store.holds(batch).await
    }

    async fn read(&self, after: Seq, limit: usize) -> Result<Vec<Arc<Change>>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.store.read(after, limit).await
    }

    async fn history(
        &self,
        id: &EventId,
        range: HistoryRange,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        self.panic_if(Plant::ReadsPanic);
        self.store.history(id, range).await
    }

    async fn version(&self, id: &EventId, version: u64) -> Result<Option<Arc<Change>>, StoreError> {
        self.store.version(id, version).await
    }

    async fn tail(&self, after: Seq) -> Result<BoxStream<'static, TailEvent>, StoreError> {
        let planted = Arc::clone(&self.planted);
        let tail = self.store.tail(after).await?;
        let tail = tail.take_while(move |_| {
            let planted = *planted.lock().unwrap();
            assert!(planted != Plant::TailPanics, "planted");
            std::future::ready(planted != Plant::TailEnds)
        });
        Ok(tail.boxed())
    }

    async fn find(
        &self,
        requester: &Requester,
        query: &Arc<Query>,
    ) -> Result<QueryResult, StoreError> {
        self.panic_if(Plant::ReadsPanic);
        self.store.find(requester, query).await
    }

    async fn find_at(
        &self,
        requester: &Requester,
        query: &Arc<Query>,
        at: Seq,
    ) -> Result<QueryResult, StoreError> {
        self.store.find_at(requester, query, at).await
    }

    async fn publish(&self, broadcasts: &[Broadcast]) -> Result<(), PublishError> {
        self.panic_if(Plant::PublishPanics);
        self.store.publish(broadcasts).await
    }

    async fn adopt(&self, epoch: Epoch, head: Seq) -> Result<(), StoreError> {
        self.store.adopt(epoch, head).await
    }

    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.store.note(name).await
    }

    async fn write_note(&self, name: &str, text: &str) -> Result<(), StoreError> {
        self.store.write_note(name, text).await
    }

    async fn redact(&self, id: &EventId, upto: Seq) -> Result<u64, StoreError> {
        self.store.redact(id, upto).await
    }

    async fn foreign_documents(
        &self,
        is_known: &(dyn for<'a> Fn(&'a EventId) -> bool + Sync),
    ) -> Result<Vec<String>, StoreError> {
        self.store.foreign_documents(is_known).await
    }

    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, StoreError> {
        self.store.rebuild().await
    }

    async fn failed(&self) -> String {
        self.store.failed().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

//! The store on MongoDB: a replica set of one member or more, version 5.0 or later.
//!
//! | collection | holds |
//! |---|---|
//! | `log` | one entry per change; `_id` is its seq; indexed by event, and by command id |
//! | `events` | the view: each event exactly as clients see it |
//! | `meta` | the `head`: seq, epoch, the view's generation, unique indexes, a rebuild's hold; the `writers`; and notes |
//! | `broadcasts` | messages on their way, for a minute |
//! | `events_replaced` | after a rebuild: the view that it replaced |
//!
//! Owns every `mongodb` and `bson` type of the program; but for the translation of queries, none leaves it.
//! Promises what [`Store`] does, with write concern majority and journal, always. Knows nothing of
//! sessions, commands or the wire.

mod head;
mod identity;
mod open;
mod read;
mod source;
mod tail;
mod unique;
mod wire;
mod write;

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bson::{RawDocumentBuf, doc};
use futures::stream::BoxStream;
use mongodb::options::{Acknowledgment, SessionOptions, WriteConcern};
use mongodb::{Collection, Database};

pub use super::MongoOptions;
pub use open::MongoOpenError;
pub use read::filter::{narrow, order};
pub use source::MongoSource;

use super::open::Purpose;
use super::{
    AppendError, Batch, Broadcast, Epoch, HistoryRange, IndexStatus, Loaded, PublishError,
    QueryResult, Rebuild, Site, Store, StoreError, TailEvent,
};
use crate::budget::Budget;
use crate::domain::{Change, CommandId, EventId, Seq};
use crate::fairness::Requester;
use crate::indexes::{Index, IndexRules, UniqueKey};
use crate::limits;
use crate::query::Query;
use open::OpenedDatabase;
use open::declared;
use open::declared::DeclaredIndexes;
use read::{as_of, foreign_documents, history, load, log, versions, view};
use tail::broadcasts;
use tail::notifier::StreamNotifier;
use wire::call::{CALL_DEADLINE, within};
use write::append::Appender;
use write::{note, rebuild, redact, writer_sessions};

const LOG: &str = "log";

/// The field of a log entry with the id of the command that made the change.
const COMMAND_ID: &str = "command.id";
const EVENTS: &str = "events";
const META: &str = "meta";
const BROADCASTS: &str = "broadcasts";

/// What the names of declared indexes begin with, on `events`.
const INDEX_PREFIX: &str = "livelog ";

/// The name of a declared index.
fn index_name(index: &Index) -> String {
    format!("{INDEX_PREFIX}{}", index.name())
}

/// The prefix of the names of collections that a rebuild fills.
const REBUILD_PREFIX: &str = "events_rebuild_";

/// Not always there: see [`write::replaced_view`].
const REPLACED: &str = "events_replaced";

/// The store on MongoDB.
pub struct MongoStore {
    database: Database,
    watched: Database,
    log: head::OpenedLog,
    notifier: Arc<StreamNotifier>,
    appender: Arc<Appender>,
    indexes: DeclaredIndexes,
}

impl fmt::Debug for MongoStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MongoStore")
            .field("database", &self.database.name())
            .field("epoch", &self.log.epoch)
            .finish_non_exhaustive()
    }
}

impl MongoStore {
    /// Reaches the MongoDB, checks that it can keep livelog's promises, and makes what is missing.
    /// Several nodes may open an empty database at once: they agree on one epoch.
    ///
    /// # Errors
    /// Why it cannot be used, and what to do about it; within about ten seconds.
    pub async fn open(options: MongoOptions) -> Result<Arc<Self>, MongoOpenError> {
        Self::open_for(&options, Purpose::Serve).await
    }

    /// The same for this purpose.
    ///
    /// # Errors
    /// [`MongoOpenError::Empty`] if there is no livelog and none is to be made, or as [`open`](Self::open).
    pub(super) async fn open_for(
        options: &MongoOptions,
        purpose: Purpose,
    ) -> Result<Arc<Self>, MongoOpenError> {
        let OpenedDatabase {
            database,
            watched,
            head,
            identity,
        } = open::open(options, purpose).await?;
        let client = database.client().clone();
        let session = within(CALL_DEADLINE, async move {
            let options = SessionOptions::builder().causal_consistency(false).build();
            client.start_session().with_options(options).await
        });
        let session = session.await?;
        writer_sessions::register(&database, session.id()).await?;
        let notifier = Arc::new(StreamNotifier::default());
        let log = head::OpenedLog {
            database: database.clone(),
            epoch: head.epoch,
            identity: Arc::new(identity),
            failure_signal: Arc::default(),
            sort_budget: Budget::new(limits::SORTS_BYTES_MAX),
            unique: Arc::new(Mutex::new(head.unique.clone())),
        };
        let appender = Appender::new(log.clone(), session, head.view, Arc::clone(&notifier));
        Ok(Arc::new(Self {
            database,
            watched,
            log,
            notifier,
            appender: Arc::new(appender),
            indexes: DeclaredIndexes::found(&head.unique)?,
        }))
    }
}

impl MongoStore {
    /// What is in a database, and its note of this name; `None` if there is no livelog and one can be made. Changes
    /// nothing.
    ///
    /// # Errors
    /// Why none could be made there, and what to do about it.
    pub(super) async fn survey(
        options: &MongoOptions,
        note: &str,
    ) -> Result<Option<Site>, MongoOpenError> {
        let Some((database, head)) = open::survey(options).await? else {
            return Ok(None);
        };
        let events = database.collection::<RawDocumentBuf>(EVENTS);
        let event = within(CALL_DEADLINE, async move { events.find_one(doc! {}).await });
        Ok(Some(Site {
            head: head.seq,
            has_events: event.await?.is_some(),
            note: note::read(&database, note).await?,
        }))
    }
}

#[async_trait]
impl Store for MongoStore {
    fn epoch(&self) -> Epoch {
        self.log.epoch
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        let head = self.log.head(limits::READY_DEADLINE).await?;
        Ok(head.seq)
    }

    async fn load(&self, ids: &[EventId], bytes: usize) -> Result<Loaded, StoreError> {
        load::load(&self.database, ids, bytes).await
    }

    async fn last_versions(&self, ids: &[EventId]) -> Result<Vec<(EventId, u64)>, StoreError> {
        versions::last(&self.database, ids).await
    }

    async fn answered(&self, ids: &[CommandId]) -> Result<Vec<(CommandId, Seq)>, StoreError> {
        log::answered(&self.database, ids).await
    }

    async fn holders(
        &self,
        index: &Index,
        keys: &[Arc<UniqueKey>],
    ) -> Result<Vec<(usize, EventId)>, StoreError> {
        self.find_holders(index, keys).await
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.check_unique().await
    }

    fn index_rules(&self) -> IndexRules {
        self.indexes.rules()
    }

    async fn append(&self, batch: &Arc<Batch>) -> Result<(), AppendError> {
        self.appender.append(batch).await
    }

    async fn holds(&self, batch: &Batch) -> Result<bool, StoreError> {
        log::holds(&self.database, batch).await
    }

    async fn read(&self, after: Seq, limit: usize) -> Result<Vec<Arc<Change>>, StoreError> {
        let page = log::page(&self.database, after, limit).await;
        // After the page: if the head is still this log's, so is the page that was read before it.
        let head = self.log.head(CALL_DEADLINE).await?;
        match page {
            Ok(page) => Ok(page.changes),
            // Beyond the head is no log, whatever is there.
            Err(StoreError::Corrupt { .. }) if after >= head.seq => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn history(
        &self,
        id: &EventId,
        range: HistoryRange,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        history::history(&self.database, id, range).await
    }

    async fn version(&self, id: &EventId, version: u64) -> Result<Option<Arc<Change>>, StoreError> {
        versions::change_to(&self.database, id, version).await
    }

    async fn tail(&self, after: Seq) -> Result<BoxStream<'static, TailEvent>, StoreError> {
        tail::tail(&self.log, self.watched.clone(), &self.notifier, after).await
    }

    async fn find(&self, _: &Requester, query: &Arc<Query>) -> Result<QueryResult, StoreError> {
        view::find(&self.log, query).await
    }

    async fn find_at(
        &self,
        _: &Requester,
        query: &Arc<Query>,
        at: Seq,
    ) -> Result<QueryResult, StoreError> {
        as_of::find_at(&self.log, query, at).await
    }

    async fn publish(&self, broadcasts: &[Broadcast]) -> Result<(), PublishError> {
        broadcasts::publish(&self.database, broadcasts).await
    }

    async fn adopt(&self, epoch: Epoch, head: Seq) -> Result<(), StoreError> {
        match head::adopt(&self.database, epoch, head).await? {
            true => Ok(()),
            false => Err(super::not_at(head)),
        }
    }

    async fn declare_indexes(&self, indexes: &[Index]) -> Result<(), StoreError> {
        declared::ensure_fit(indexes)?;
        self.indexes.stop();
        self.ensure_unique(indexes).await?;
        self.indexes.declare(&self.database, indexes).await
    }

    fn indexes(&self) -> Vec<IndexStatus> {
        self.indexes.statuses()
    }

    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        note::read(&self.database, name).await
    }

    async fn write_note(&self, name: &str, text: &str) -> Result<(), StoreError> {
        Ok(note::write(&self.database, name, text).await?)
    }

    async fn redact(&self, id: &EventId, upto: Seq) -> Result<u64, StoreError> {
        redact::redact(&self.database, id, upto).await
    }

    async fn foreign_documents(
        &self,
        is_known: &(dyn for<'a> Fn(&'a EventId) -> bool + Sync),
    ) -> Result<Vec<String>, StoreError> {
        foreign_documents::list(&self.database, is_known).await
    }

    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, StoreError> {
        rebuild::begin(&self.database).await
    }

    async fn failed(&self) -> String {
        self.log.failure_signal.failed().await
    }

    async fn close(&self) {
        self.indexes.stop();
        self.appender.close().await;
    }
}

/// On a majority of the servers, and in their journals.
fn durable() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .build()
}

/// A collection whose documents are not decoded by the driver.
fn collection(database: &Database, name: &str) -> Collection<RawDocumentBuf> {
    database.collection(name)
}

fn meta(database: &Database) -> Collection<RawDocumentBuf> {
    collection(database, META)
}

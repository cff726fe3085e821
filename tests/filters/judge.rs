//! A real MongoDB to compare with, and the way values go there and back.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use bson::{Bson, doc};
use futures::TryStreamExt;
use livelog::domain::{Event, EventId};
use livelog::indexes::Index;
use livelog::node::Requester;
use livelog::query::{Count, Query};
use livelog::store::embedded::EmbeddedStore;
use livelog::store::{Batch, Store};
use livelog::value::{Document, Record, Steps, Value};
use mongodb::Collection;
use mongodb::options::{Acknowledgment, CollectionOptions, WriteConcern};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use redb::backends::InMemoryBackend;
use tokio::runtime::Runtime;

use crate::support::history::{self, History};
use crate::support::until_built;

/// Runs `test` on generated input, against a database of its own.
pub(super) fn judge<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(&Judge, S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: Debug,
{
    let judge = Judge::start();
    let outcome = on_generated(cases, strategy, |input| test(&judge, input));
    judge.leave();
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Runs `test` on generated input; says the seed and the smallest input if it fails.
pub(crate) fn on_generated<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> Result<(), String>
where
    S::Value: Debug,
{
    let seed = std::env::var("LIVELOG_SEED").map_or_else(
        |_| uuid::Uuid::new_v4().as_u64_pair().0,
        |text| text.parse().expect("LIVELOG_SEED is a number"),
    );
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config {
        cases: cases.max(1),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    match TestRunner::new_with_rng(config, rng).run(strategy, test) {
        Ok(()) => Ok(()),
        Err(TestError::Abort(reason)) => Err(format!("LIVELOG_SEED={seed}: {reason}")),
        Err(TestError::Fail(reason, input)) => Err(format!(
            "LIVELOG_SEED={seed}: {reason}\nsmallest input: {input:?}"
        )),
    }
}

/// Whether the query admits the record, however long it takes to tell.
pub(crate) fn admits(query: &Query, record: &impl Record) -> bool {
    query
        .admits(record, &Steps::unbounded())
        .expect("steps without a bound do not run out")
}

/// So small that of every set some events are in the embedded store's table, some in its memory, and some
/// in both.
const OVERLAY_BYTES: usize = 8_000;

const DOCUMENTS_PER_APPEND: usize = 4;

/// A collection in a real MongoDB, the same documents in an embedded store, and a runtime to ask both with.
pub(super) struct Judge {
    runtime: Runtime,
    embedded: Arc<EmbeddedStore>,
    /// Has the same events, and indexes.
    indexed: Arc<EmbeddedStore>,
    history: RefCell<History>,
    events: Collection<bson::Document>,
    database: mongodb::Database,
}

impl Judge {
    pub(super) fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let open = || {
            let opening = EmbeddedStore::open_on(InMemoryBackend::new(), OVERLAY_BYTES);
            runtime.block_on(opening).expect("a new store opens")
        };
        let (embedded, indexed) = (open(), open());
        let (database, events) = runtime.block_on(async {
            let uri = crate::support::mongod::uri().await;
            let client = mongodb::Client::with_uri_str(uri)
                .await
                .expect("a good address");
            let database = client.database(&format!("filters-{}", uuid::Uuid::new_v4()));
            let quick = WriteConcern::builder()
                .w(Acknowledgment::Nodes(1))
                .journal(false)
                .build();
            let options = CollectionOptions::builder().write_concern(quick).build();
            let events = database.collection_with_options("events", options);
            (database, events)
        });
        Self {
            runtime,
            embedded,
            indexed,
            history: RefCell::default(),
            events,
            database,
        }
    }

    pub(super) fn leave(&self) {
        self.runtime
            .block_on(async { self.database.drop().await })
            .expect("the database is dropped");
    }

    pub(super) fn hold(&self, documents: &[Document]) {
        self.runtime
            .block_on(async {
                self.events.delete_many(doc! {}).await?;
                self.events
                    .insert_many(documents.iter().map(to_bson_document))
                    .await
            })
            .expect("documents are stored");
        self.hold_embedded(documents);
    }

    /// A few at a time, because each append moves some of what is in memory to the table; and each over the
    /// one before of its id, so that an old one in the table would be noticed.
    fn hold_embedded(&self, documents: &[Document]) {
        let mut history = self.history.borrow_mut();
        let after = history.head();
        let kept: BTreeSet<String> = documents.iter().map(id).collect();
        let old = history.events.keys().map(EventId::as_str);
        let gone: Vec<String> = old
            .filter(|id| !kept.contains(*id))
            .map(str::to_owned)
            .collect();
        gone.iter().for_each(|id| history.delete(id));
        if !gone.is_empty() {
            self.append(&history.batch(after));
        }
        for few in documents.chunks(DOCUMENTS_PER_APPEND) {
            let after = history.head();
            few.iter().for_each(|document| put(&mut history, document));
            self.append(&history.batch(after));
        }
    }

    fn append(&self, batch: &Arc<Batch>) {
        for store in [&self.embedded, &self.indexed] {
            let appending = store.append(batch);
            let appended = self.runtime.block_on(appending);
            appended.expect("documents are stored");
        }
    }

    /// From now on these indexes are kept, and used once they are whole: wait with [`build`](Self::build).
    pub(super) fn declare(&self, indexes: &[String]) {
        let mut declared: Vec<Index> = Vec::new();
        for text in indexes {
            // A field twice, or an index.
            if let Ok(index) = text.parse()
                && !declared.contains(&index)
            {
                declared.push(index);
            }
        }
        let declaring = self.indexed.declare_indexes(&declared);
        let declared = self.runtime.block_on(declaring);
        declared.expect("indexes are declared");
    }

    pub(super) fn build(&self) {
        self.runtime.block_on(until_built(&*self.indexed));
        let findings = self.runtime.block_on(self.indexed.check());
        assert_eq!(findings.expect("it can be read"), [""; 0]);
    }

    /// What the embedded store answers: documents as they were given to it, in its order.
    pub(super) fn answer(&self, query: &Query) -> Result<Vec<Document>, TestCaseError> {
        let plain = self.answer_of(&self.embedded, query)?;
        let indexed = self.answer_of(&self.indexed, query)?;
        prop_assert_eq!(
            json(&plain),
            json(&indexed),
            "without and with {:?}",
            self.indexed.indexes()
        );
        Ok(plain)
    }

    /// How many documents the embedded store counts, by an index that decides the filter or by judging.
    pub(super) fn count(&self, query: &Query) -> Result<u64, TestCaseError> {
        let counted = Arc::new(Query {
            counts: true,
            limit: Some(0),
            ..query.clone()
        });
        let count = |store: &EmbeddedStore| {
            let requester = Requester::alone();
            let counting = store.find(&requester, &counted);
            match self.runtime.block_on(counting).map(|found| found.count) {
                Ok(Some(Count::Exactly(count))) => Ok(count),
                other => Err(TestCaseError::fail(format!("embedded: {other:?}"))),
            }
        };
        let (plain, indexed) = (count(&self.embedded)?, count(&self.indexed)?);
        let declared = self.indexed.indexes();
        prop_assert_eq!(plain, indexed, "without and with {:?}", declared);
        Ok(plain)
    }

    fn answer_of(
        &self,
        store: &EmbeddedStore,
        query: &Query,
    ) -> Result<Vec<Document>, TestCaseError> {
        let found = self.runtime.block_on(async {
            let found = store
                .find(&Requester::alone(), &Arc::new(query.clone()))
                .await?;
            found.events.try_collect::<Vec<Event>>().await
        });
        match found {
            Ok(events) => Ok(events.iter().map(as_given).collect()),
            Err(error) => Err(TestCaseError::fail(format!("embedded: {error}"))),
        }
    }

    pub(super) fn find(
        &self,
        filter: bson::Document,
        sort: bson::Document,
    ) -> Result<Vec<Document>, mongodb::error::Error> {
        self.runtime.block_on(async {
            let found: Vec<bson::Document> = self
                .events
                .find(filter)
                .sort(sort)
                .await?
                .try_collect()
                .await?;
            Ok(found.into_iter().map(from_bson_document).collect())
        })
    }

    pub(super) fn ids(&self, filter: bson::Document) -> Result<BTreeSet<String>, TestCaseError> {
        let written = filter.to_string();
        let found = self
            .find(filter, doc! {})
            .map_err(|error| TestCaseError::fail(format!("MongoDB refuses {written}: {error}")))?;
        Ok(found.iter().map(id).collect())
    }

    /// Keeps the documents that MongoDB is willing to sort.
    pub(super) fn hold_sortable(
        &self,
        documents: &[Document],
        sort: &bson::Document,
    ) -> Vec<Document> {
        self.hold(documents);
        if self.find(doc! {}, sort.clone()).is_ok() {
            return documents.to_vec();
        }
        // By range, because MongoDB does not sort what it finds by an equal `_id`.
        let alone = |id: String| doc! { "_id": { "$gte": id.clone(), "$lte": id } };
        let sortable = |document: &&Document| self.find(alone(id(document)), sort.clone()).is_ok();
        let kept: Vec<Document> = documents.iter().filter(sortable).cloned().collect();
        if !kept.is_empty() {
            self.hold(&kept);
        }
        kept
    }

    pub(super) fn project(&self, fields: bson::Document) -> BTreeMap<String, Document> {
        let found: Vec<bson::Document> = self
            .runtime
            .block_on(async {
                self.events
                    .find(doc! {})
                    .projection(fields)
                    .await?
                    .try_collect()
                    .await
            })
            .expect("the projection is good");
        let documents = found.into_iter().map(from_bson_document);
        documents
            .map(|document| (id(&document), document))
            .collect()
    }
}

pub(crate) fn put(history: &mut History, document: &Document) {
    let name = id(document);
    if history.events.contains_key(&history::id(&name)) {
        history.delete(&name);
    }
    let mut fields = document.clone();
    fields.remove("_id");
    history.create(&name, fields);
}

/// Without what the server adds.
fn as_given(event: &Event) -> Document {
    let given = event.fields();
    let given = given.filter(|(name, _)| *name == "_id" || !name.starts_with('_'));
    given
        .map(|(name, value)| (name, value.to_value()))
        .collect()
}

pub(crate) fn id(document: &Document) -> String {
    let id = document.get("_id").and_then(Value::as_str);
    id.expect("generated documents have an id").to_owned()
}

pub(crate) fn to_bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(flag) => Bson::Boolean(*flag),
        Value::Int(number) => Bson::Int64(*number),
        Value::Float(number) => Bson::Double(*number),
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => Bson::Array(items.iter().map(to_bson).collect()),
        Value::Object(document) => Bson::Document(to_bson_document(document)),
    }
}

pub(crate) fn to_bson_document(document: &Document) -> bson::Document {
    document
        .iter()
        .map(|(name, value)| (name.to_owned(), to_bson(value)))
        .collect()
}

fn from_bson(value: Bson) -> Value {
    match value {
        Bson::Null => Value::Null,
        Bson::Boolean(flag) => flag.into(),
        Bson::Int64(number) => number.into(),
        Bson::Double(number) => number.into(),
        Bson::String(text) => text.into(),
        Bson::Array(items) => Value::Array(items.into_iter().map(from_bson).collect()),
        Bson::Document(document) => from_bson_document(document).into(),
        other => panic!("{other} was never stored"),
    }
}

pub(crate) fn from_bson_document(document: bson::Document) -> Document {
    document
        .into_iter()
        .map(|(name, value)| (name, from_bson(value)))
        .collect()
}

pub(crate) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("values are JSON")
}

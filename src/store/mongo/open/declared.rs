//! Declared indexes, on the view: they have names of livelog's own, so those of others beside them are left alone.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::Document;
use futures::TryStreamExt;
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};
use tokio::task::JoinHandle;

use crate::domain::EventId;
use crate::indexes::{Index, IndexRules};
use crate::store::mongo::read::holders;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, code, within};
use crate::store::mongo::{EVENTS, INDEX_PREFIX, index_name};
use crate::store::{IndexStatus, StoreError};

/// How long building an index of many millions of events may take. The server goes on with it if nobody waits.
pub(crate) const BUILD_DEADLINE: Duration = Duration::from_secs(3_600);

/// After a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// The indexes that were declared, and the task that has them built.
#[derive(Debug, Default)]
pub(crate) struct DeclaredIndexes {
    statuses: Arc<Mutex<Vec<IndexStatus>>>,
    building: Mutex<Option<JoinHandle<()>>>,
    rules: Mutex<IndexRules>,
}

impl DeclaredIndexes {
    /// Those that the head names as unique.
    pub(crate) fn found(unique: &[String]) -> Result<Self, StoreError> {
        let parse = |name: &String| {
            let index = name.parse::<Index>().and_then(Index::unique);
            index.map(Arc::new).map_err(|reason| StoreError::Corrupt {
                at: "meta head".into(),
                reason,
            })
        };
        let rules = IndexRules {
            unique: unique.iter().map(parse).collect::<Result<_, _>>()?,
            single_array: Vec::new(),
        };
        let found = Self::default();
        *lock(&found.rules) = rules;
        Ok(found)
    }

    /// See [`Store::index_rules`](crate::store::Store::index_rules).
    pub(crate) fn rules(&self) -> IndexRules {
        lock(&self.rules).clone()
    }

    /// See [`Store::declare_indexes`](crate::store::Store::declare_indexes). Those that are unique are there.
    pub(crate) async fn declare(
        &self,
        database: &Database,
        indexes: &[Index],
    ) -> Result<(), StoreError> {
        *lock(&self.rules) = rules(indexes);
        let found = names(database).await?;
        for name in found.iter().filter(|name| is_declared(name)) {
            if !indexes.iter().any(|index| index_name(index) == *name) {
                drop_index(database, name).await?;
            }
        }
        let statuses = indexes.iter().map(|index| IndexStatus {
            name: index.name().to_owned(),
            is_whole: found.contains(&index_name(index)),
        });
        *lock(&self.statuses) = statuses.collect();
        let (database, statuses) = (database.clone(), Arc::clone(&self.statuses));
        let building = tokio::spawn(build(database, indexes.to_vec(), statuses));
        *lock(&self.building) = Some(building);
        Ok(())
    }

    pub(crate) fn statuses(&self) -> Vec<IndexStatus> {
        lock(&self.statuses).clone()
    }

    /// Nobody waits for an index any more.
    pub(crate) fn stop(&self) {
        if let Some(building) = lock(&self.building).take() {
            building.abort();
        }
    }
}

impl Drop for DeclaredIndexes {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses an index with which MongoDB would refuse events for another reason than arrays in two of its fields.
pub(crate) fn ensure_fit(indexes: &[Index]) -> Result<(), StoreError> {
    let mut unfit = indexes
        .iter()
        .filter(|index| index.path_with_number().is_some());
    match unfit.next() {
        None => Ok(()),
        Some(unfit) => Err(StoreError::Refused(format!(
            "on MongoDB an index has no number on its paths, for with one MongoDB refuses some events: {unfit} cannot be \
             declared"
        ))),
    }
}

fn rules(indexes: &[Index]) -> IndexRules {
    let all = || indexes.iter().cloned().map(Arc::new);
    IndexRules {
        unique: all().filter(|index| index.is_unique()).collect(),
        single_array: all().filter(|index| index.fields().count() > 1).collect(),
    }
}

/// With the id at the end, as every order has it.
fn keys(index: &Index) -> Document {
    let fields = index.fields();
    let mut keys: Document = fields
        .map(|(path, direction)| (path.as_str().to_owned(), direction.as_int().into()))
        .collect();
    keys.insert("_id", 1);
    keys
}

async fn names(database: &Database) -> Result<HashSet<String>, CallError> {
    let events = database.collection::<Document>(EVENTS);
    let found = within(CALL_DEADLINE, async move {
        let indexes = events.list_indexes().await?;
        indexes.try_collect::<Vec<IndexModel>>().await
    });
    let options = found.await?.into_iter().filter_map(|index| index.options);
    Ok(options.filter_map(|options| options.name).collect())
}

async fn drop_index(database: &Database, name: &str) -> Result<(), CallError> {
    tracing::info!(index = name, "not declared any more: it is removed");
    let (events, name) = (database.collection::<Document>(EVENTS), name.to_owned());
    let dropped = within(CALL_DEADLINE, async move { events.drop_index(name).await });
    match dropped.await {
        // Another node was faster.
        Err(failure) if failure.code() == Some(INDEX_NOT_FOUND) => Ok(()),
        outcome => outcome,
    }
}

const INDEX_NOT_FOUND: i32 = 27;

/// Has all of them built; the server knows those that are there.
async fn build(database: Database, indexes: Vec<Index>, statuses: Arc<Mutex<Vec<IndexStatus>>>) {
    for index in indexes {
        let is_whole = build_one(&database, &index).await;
        let mut statuses = lock(&statuses);
        statuses.retain(|status| is_whole || status.name != index.name());
        for status in &mut *statuses {
            status.is_whole |= status.name == index.name();
        }
    }
}

/// Has an index built; `false` if an event that is there cannot be in it.
async fn build_one(database: &Database, index: &Index) -> bool {
    while let Err(failure) = create(database, index).await {
        let is_in_the_way = failure.code() == Some(code::PARALLEL_ARRAYS);
        let error = StoreError::from(failure);
        if is_in_the_way {
            let event = holders::parallel_event(database, index).await;
            let event = event.ok().flatten();
            let event = event.as_ref().map(EventId::as_str);
            tracing::error!(
                index = index.name(),
                event,
                "no index, until a start after the event holds no arrays in two of its fields"
            );
            return false;
        }
        tracing::warn!(index = index.name(), %error, "the index cannot be built yet");
        tokio::time::sleep(PAUSE).await;
    }
    true
}

/// Has the server build it, if it is not there.
pub(crate) async fn create(database: &Database, index: &Index) -> Result<(), CallError> {
    let events = database.collection::<Document>(EVENTS);
    let options = IndexOptions::builder().name(index_name(index)).build();
    let model = IndexModel::builder()
        .keys(keys(index))
        .options(options)
        .build();
    within(BUILD_DEADLINE, async move {
        events.create_index(model).await.map(drop)
    })
    .await
}

/// Whether an index of the view is a declared one.
pub(crate) fn is_declared(name: &str) -> bool {
    name.starts_with(INDEX_PREFIX)
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn index(text: &str) -> Index {
        text.parse().expect("an index")
    }

    #[test]
    fn an_index_ends_with_the_id() {
        assert_eq!(keys(&index("-a.b")), doc! { "a.b": -1, "_id": 1 });
        assert_eq!(keys(&index("a,-b")), doc! { "a": 1, "b": -1, "_id": 1 });
    }

    #[test]
    fn what_mongodb_would_refuse_events_for_is_unfit() {
        assert!(ensure_fit(&[index("a,b")]).is_ok());
        assert!(ensure_fit(&[index("a"), index("b,a.0")]).is_err());
    }
}

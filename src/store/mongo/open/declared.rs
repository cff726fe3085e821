//! Declared indexes, on the view: they have names of livelog's own, so those of others beside them are left alone.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::Document;
use futures::TryStreamExt;
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};
use tokio::task::JoinHandle;

use crate::indexes::Index;
use crate::store::mongo::EVENTS;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, within};
use crate::store::{IndexStatus, StoreError};

/// What the names of declared indexes begin with.
const PREFIX: &str = "livelog ";

/// How long building an index of many millions of events may take. The server goes on with it if nobody waits.
const BUILD_DEADLINE: Duration = Duration::from_secs(3_600);

/// After a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// The indexes that were declared, and the task that has them built.
#[derive(Debug, Default)]
pub(crate) struct DeclaredIndexes {
    statuses: Arc<Mutex<Vec<IndexStatus>>>,
    building: Mutex<Option<JoinHandle<()>>>,
}

impl DeclaredIndexes {
    /// See [`Store::declare_indexes`](crate::store::Store::declare_indexes).
    pub(crate) async fn declare(
        &self,
        database: &Database,
        indexes: &[Index],
    ) -> Result<(), StoreError> {
        if let Some(unfit) = indexes.iter().find(|index| !is_fit(index)) {
            return Err(StoreError::Refused(format!(
                "on MongoDB an index has one field, and no number on its path, for with another MongoDB refuses some \
                 events: {unfit} cannot be declared"
            )));
        }
        self.stop();
        let found = names(database).await?;
        for name in found.iter().filter(|name| is_declared(name)) {
            if !indexes.iter().any(|index| name_of(index) == *name) {
                drop_index(database, name).await?;
            }
        }
        let statuses = indexes.iter().map(|index| IndexStatus {
            name: index.name().to_owned(),
            is_whole: found.contains(&name_of(index)),
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

/// Whether MongoDB takes every event beside it.
fn is_fit(index: &Index) -> bool {
    let mut fields = index.fields();
    let first = fields.next();
    let is_named = first.is_some_and(|(path, _)| {
        let mut segments = path.segments().iter();
        segments.all(|segment| segment.index.is_none())
    });
    is_named && fields.next().is_none()
}

fn name_of(index: &Index) -> String {
    format!("{PREFIX}{}", index.name())
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
        while let Err(failure) = create(&database, &index).await {
            let error = StoreError::from(failure);
            tracing::warn!(index = index.name(), %error, "the index cannot be built yet");
            tokio::time::sleep(PAUSE).await;
        }
        for status in &mut *lock(&statuses) {
            if status.name == index.name() {
                status.is_whole = true;
            }
        }
    }
}

async fn create(database: &Database, index: &Index) -> Result<(), CallError> {
    let events = database.collection::<Document>(EVENTS);
    let options = IndexOptions::builder().name(name_of(index)).build();
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
    name.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn index(text: &str) -> Index {
        text.parse().expect("an index")
    }

    #[test]
    fn an_index_of_one_named_field_ends_with_the_id() {
        let index = index("-a.b");
        assert!(is_fit(&index));
        assert_eq!(keys(&index), doc! { "a.b": -1, "_id": 1 });
    }

    #[test]
    fn what_mongodb_would_refuse_events_for_is_unfit() {
        assert!(!is_fit(&index("a,b")));
        assert!(!is_fit(&index("a.0")));
    }
}

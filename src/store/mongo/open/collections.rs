//! The layout of a database: livelog's collections and their indexes.

use std::time::Duration;

use bson::{Bson, Document, doc};
use mongodb::options::{CreateCollectionOptions, IndexOptions};
use mongodb::{Database, IndexModel};

use crate::store::mongo::read::history;
use crate::store::mongo::tail::broadcasts;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, code, within};
use crate::store::mongo::write::writer_sessions;
use crate::store::mongo::{BROADCASTS, COMMAND_ID, EVENTS, LOG, META};

pub(crate) const COLLECTIONS: [&str; 4] = [LOG, EVENTS, META, BROADCASTS];

/// How long indexing a log of many millions of changes may take, once. The server goes on with it if nobody waits.
const INDEX_DEADLINE: Duration = Duration::from_secs(600);

/// An index of livelog's.
pub(super) struct IndexSpec {
    pub(super) collection: &'static str,
    pub(super) model: IndexModel,
    deadline: Duration,
}

/// Creates what is missing. Before any transaction, because creating a collection aborts concurrent ones.
pub(super) async fn prepare(database: &Database) -> Result<(), CallError> {
    for name in COLLECTIONS {
        let database = database.clone();
        let created = within(CALL_DEADLINE, async move {
            database.create_collection(name).await
        });
        match created.await {
            Err(failure) if failure.code() == Some(code::NAMESPACE_EXISTS) => {}
            outcome => outcome?,
        }
    }
    for IndexSpec {
        collection,
        model,
        deadline,
    } in indexes()
    {
        let collection = database.collection::<Document>(collection);
        within(
            deadline,
            async move { collection.create_index(model).await },
        )
        .await?;
    }
    Ok(())
}

pub(super) fn indexes() -> [IndexSpec; 4] {
    let minute = Duration::from_secs(broadcasts::KEPT_SECONDS);
    [
        by_command(),
        by_event(),
        expiring(BROADCASTS, minute),
        expiring(META, writer_sessions::KEPT),
    ]
}

/// Finds a command by its id. Unique although the engine already sees to it, so that a fault there is refused and not
/// stored.
fn by_command() -> IndexSpec {
    let options = IndexOptions::builder()
        .unique(true)
        .partial_filter_expression(doc! { COMMAND_ID: { "$exists": true } })
        .build();
    let index = IndexModel::builder().keys(doc! { COMMAND_ID: 1 });
    IndexSpec {
        collection: LOG,
        model: index.options(options).build(),
        deadline: CALL_DEADLINE,
    }
}

/// Finds the changes of an event. Where a log does not have it yet the server reads the whole log, and writes go on.
fn by_event() -> IndexSpec {
    IndexSpec {
        collection: LOG,
        model: IndexModel::builder().keys(history::index()).build(),
        deadline: INDEX_DEADLINE,
    }
}

/// Lets the server remove documents some time after their `at`. Documents without one stay.
fn expiring(collection: &'static str, after: Duration) -> IndexSpec {
    let options = IndexOptions::builder().expire_after(after).build();
    let index = IndexModel::builder().keys(doc! { "at": 1 });
    IndexSpec {
        collection,
        model: index.options(options).build(),
        deadline: CALL_DEADLINE,
    }
}

/// Whether it is an index of livelog's, or the one on `_id` that every collection has.
pub(crate) fn is_own(collection: &str, keys: &Document) -> bool {
    let own = indexes();
    let mut own = own.iter().filter(|index| index.collection == collection);
    same_keys(keys, &doc! { "_id": 1 }) || own.any(|index| same_keys(keys, &index.model.keys))
}

/// Whether the server checks documents before it writes them.
pub(crate) fn has_validator(options: &CreateCollectionOptions) -> bool {
    let validator = options.validator.as_ref();
    validator.is_some_and(|validator| !validator.is_empty())
}

/// Whether two indexes have the same keys. Numbers are directions, whatever their type.
pub(super) fn same_keys(one: &Document, other: &Document) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| one.0 == other.0 && direction(one.1) == direction(other.1))
}

fn direction(value: &Bson) -> Option<bool> {
    let number = match value {
        Bson::Int32(number) => f64::from(*number),
        Bson::Int64(number) => match number {
            0.. => 1.0,
            _ => -1.0,
        },
        Bson::Double(number) => *number,
        // Such as "hashed" and "text".
        _ => return None,
    };
    Some(number > 0.0)
}

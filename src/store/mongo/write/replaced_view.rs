//! The view that the last rebuild replaced: what was in it and in no log can be had from here until a server starts.
//!
//! Another program may keep documents of its own under that name: a collection with documents that are not shaped as
//! livelog's events is neither overwritten nor removed.

use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::results::CollectionType;

use crate::store::StoreError;
use crate::store::mongo::read::foreign_documents::{LISTING_DEADLINE, is_misshapen};
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, within};
use crate::store::mongo::{EVENTS, REBUILD_PREFIX, REPLACED};

/// How long copying the live view may take.
const KEEP_DEADLINE: Duration = Duration::from_secs(600);

/// Copies the live view aside. A rename at the swap would not do: between two renames there would be no view. What is
/// written meanwhile is in the log. Documents of other programs are not copied: a rebuild refuses to lose them anyway.
pub(super) async fn keep(database: &Database) -> Result<(), StoreError> {
    ensure_own(database).await?;
    let live = database.collection::<Document>(EVENTS);
    let copied = within(KEEP_DEADLINE, async move {
        let shaped = doc! { "$match": { "$nor": [is_misshapen()] } };
        live.aggregate([shaped, doc! { "$out": REPLACED }]).await
    });
    Ok(copied.await.map(drop)?)
}

/// Removes the replaced view, unless a rebuild is under way.
pub(crate) async fn remove(database: &Database) -> Result<(), StoreError> {
    if !ensure_own(database).await? || is_rebuilding(database).await? {
        return Ok(());
    }
    let replaced = database.collection::<Document>(REPLACED);
    Ok(within(CALL_DEADLINE, async move { replaced.drop().await }).await?)
}

async fn is_rebuilding(database: &Database) -> Result<bool, CallError> {
    let database = database.clone();
    let names = within(CALL_DEADLINE, async move {
        database.list_collection_names().await
    });
    let names = names.await?;
    Ok(names.iter().any(|name| name.starts_with(REBUILD_PREFIX)))
}

/// Whether there is a replaced view. An error if the collection is not livelog's.
pub(crate) async fn ensure_own(database: &Database) -> Result<bool, StoreError> {
    let (listed, replaced) = (database.clone(), database.collection::<Document>(REPLACED));
    let is_own = within(LISTING_DEADLINE, async move {
        let listing = listed.list_collections().filter(doc! { "name": REPLACED });
        let found = listing.await?.try_collect::<Vec<_>>().await?;
        let Some(found) = found.first() else {
            return Ok(None);
        };
        if !matches!(found.collection_type, CollectionType::Collection) {
            return Ok(Some(false));
        }
        let foreign = replaced.find_one(is_misshapen()).max_time(LISTING_DEADLINE);
        Ok(Some(foreign.await?.is_none()))
    });
    match is_own.await? {
        Some(false) => Err(StoreError::Refused(foreign())),
        Some(true) => Ok(true),
        None => Ok(false),
    }
}

fn foreign() -> String {
    format!(
        "{REPLACED} holds what is none of livelog's, and livelog keeps there the view that a replay replaced. Nothing \
         was touched: give it another name (db.{REPLACED}.renameCollection(\"NAME\")) or drop it, and try again"
    )
}

//! The view that the last rebuild replaced. Whatever was in it and in no log can be had from here, until a server
//! starts.
//!
//! Another program may keep something of its own under that name: nothing is written over, and nothing removed, that has
//! not the shape of livelog's events.

use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::results::CollectionType;

use super::rebuild;
use crate::store::StoreError;
use crate::store::mongo::read::strangers::{LISTING_DEADLINE, strange};
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, within};
use crate::store::mongo::{EVENTS, REPLACED};

/// How long copying the live view may take.
const KEEP_DEADLINE: Duration = Duration::from_secs(600);

/// Copies the live view aside. Not renamed in the moment of the swap: between two renames there would be
/// no view. What is written meanwhile is in the log. What is none of livelog's is not taken along: a rebuild refuses
/// to lose it anyway.
pub(crate) async fn keep(database: &Database) -> Result<(), StoreError> {
    ensure_own(database).await?;
    let live = database.collection::<Document>(EVENTS);
    let kept = within(KEEP_DEADLINE, async move {
        let shaped = doc! { "$match": { "$nor": [strange()] } };
        live.aggregate([shaped, doc! { "$out": REPLACED }]).await
    });
    Ok(kept.await.map(drop)?)
}

/// Removes what the last rebuild replaced, unless one is under way.
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
    Ok(names.iter().any(|name| name.starts_with(rebuild::PREFIX)))
}

/// Whether there is one. One that is not livelog's is refused.
pub(crate) async fn ensure_own(database: &Database) -> Result<bool, StoreError> {
    let (listed, replaced) = (database.clone(), database.collection::<Document>(REPLACED));
    let found = within(LISTING_DEADLINE, async move {
        let listing = listed.list_collections().filter(doc! { "name": REPLACED });
        let found = listing.await?.try_collect::<Vec<_>>().await?;
        let Some(found) = found.first() else {
            return Ok(None);
        };
        if !matches!(found.collection_type, CollectionType::Collection) {
            return Ok(Some(false));
        }
        let stranger = replaced.find_one(strange()).max_time(LISTING_DEADLINE);
        Ok(Some(stranger.await?.is_none()))
    });
    match found.await? {
        Some(false) => Err(StoreError::Refused(others())),
        Some(true) => Ok(true),
        None => Ok(false),
    }
}

fn others() -> String {
    format!(
        "{REPLACED} holds what is none of livelog's, and livelog keeps there the view that a replay replaced. Nothing \
         was touched: give it another name (db.{REPLACED}.renameCollection(\"NAME\")) or drop it, and try again"
    )
}

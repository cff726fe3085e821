//! A new view beside the live one, and putting it in its place.
//!
//! | step | the head's `hold` | the live view | writers |
//! |---|---|---|---|
//! | apply | none | the old one | append |
//! | hold | this rebuild's, until it expires | the old one | wait |
//! | swap | this rebuild's, renewed first | the new one | wait |
//! | release | none, and `view` is one higher | the new one | append, once they have read the head again |
//!
//! Every append compares and sets the head document: from the moment the hold is written no append of any node can
//! commit. It expires by the server's clock, so that a rebuild that dies does not pause the writers for long. A swap
//! whose answer is lost may still happen, so its hold is left to expire.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bson::{Document, RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongodb::options::ReturnDocument;
use mongodb::{Database, IndexModel};
use uuid::Uuid;

use super::replaced_view;
use crate::domain::{Change, Seq};
use crate::store::mongo::open::declared;
use crate::store::mongo::wire::call;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, code, within};
use crate::store::mongo::wire::commands;
use crate::store::mongo::{EVENTS, REBUILD_PREFIX, head, meta};
use crate::store::{Rebuild, StoreError};

/// How long the writers are paused at most. The swap renews the hold and needs a fraction of it.
const HOLD_MILLISECONDS: i64 = 30_000;

/// What the server may spend on the swap itself; with [`SWAP_CALL_DEADLINE`] well inside the hold.
const SWAP_MILLISECONDS: i64 = 10_000;
const SWAP_CALL_DEADLINE: Duration = Duration::from_secs(15);

// A swap that outlasted its hold would meet appends.
const _: () = assert!(SWAP_CALL_DEADLINE.as_millis() < HOLD_MILLISECONDS.cast_unsigned() as u128);

/// How long a page of changes may take to be written to the new view.
const APPLY_DEADLINE: Duration = Duration::from_secs(30);

/// A new view this old belongs to a rebuild that died.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// A rebuild in progress.
struct MongoRebuild {
    database: Database,
    /// The collection of the new view.
    shadow: String,
    /// Names this rebuild in the head's hold.
    id: Uuid,
    /// Whether there is nothing left to clean up.
    finished: bool,
}

/// Removes what dead rebuilds left, and makes an empty view with the live one's indexes, but for declared ones: what
/// an event was between two changes may not be fit for them.
pub(crate) async fn begin(database: &Database) -> Result<Box<dyn Rebuild>, StoreError> {
    remove_abandoned(database).await?;
    // A UUID of version 7 contains the time at which it was made.
    let id = Uuid::now_v7();
    let rebuild = MongoRebuild {
        database: database.clone(),
        shadow: format!("{REBUILD_PREFIX}{id}"),
        id,
        finished: false,
    };
    rebuild.create().await?;
    replaced_view::keep(database).await?;
    Ok(Box::new(rebuild))
}

async fn remove_abandoned(database: &Database) -> Result<(), CallError> {
    let database = database.clone();
    within(APPLY_DEADLINE, async move {
        for name in database.list_collection_names().await? {
            if is_abandoned(&name) {
                database.collection::<Document>(&name).drop().await?;
            }
        }
        Ok(())
    })
    .await
}

fn is_abandoned(name: &str) -> bool {
    let id = name.strip_prefix(REBUILD_PREFIX).map(Uuid::parse_str);
    let Some(Some(made)) = id.map(|id| id.ok()?.get_timestamp()) else {
        return false;
    };
    let (seconds, _) = made.to_unix();
    let made = UNIX_EPOCH + Duration::from_secs(seconds);
    SystemTime::now()
        .duration_since(made)
        .is_ok_and(|age| age > ABANDONED_AFTER)
}

#[async_trait]
impl Rebuild for MongoRebuild {
    async fn apply(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
            return Ok(());
        };
        debug_assert!(
            first
                .seq
                .before()
                .is_followed_by(changes.iter().map(|change| change.seq)),
            "the log is applied without gaps"
        );
        for command in commands::shadow(changes, &self.shadow) {
            let written = self.run(command.body).await?;
            if written.contains_key("writeErrors") || call::count(&written) != command.count {
                return Err(StoreError::Corrupt {
                    at: format!("log {} to {}", first.seq, last.seq).into(),
                    reason: "a change does not follow from those before it".to_owned(),
                });
            }
        }
        Ok(())
    }

    async fn index(&mut self) -> Result<(), StoreError> {
        Ok(self
            .copy_indexes(is_declared, declared::BUILD_DEADLINE)
            .await?)
    }

    async fn hold(&mut self) -> Result<Seq, StoreError> {
        let filter = doc! {
            "_id": "head",
            "$or": [
                { "hold": { "$exists": false } },
                { "$expr": { "$lt": ["$hold.until", "$$NOW"] } },
            ],
        };
        match self.set_hold(filter).await? {
            Some(held) => Ok(head::parse(Some(&held))?.seq),
            None => Err(unavailable("another rebuild holds the writers off")),
        }
    }

    async fn swap(mut self: Box<Self>) -> Result<(), StoreError> {
        let ours = doc! {
            "_id": "head",
            "hold.id": self.id.to_string(),
            "$expr": { "$gt": ["$hold.until", "$$NOW"] },
        };
        if self.set_hold(ours).await?.is_none() {
            return Err(unavailable("the rebuild's hold was lost"));
        }
        match self.rename().await {
            Ok(()) => {}
            // The server refused: the live view stands, and dropping this cleans up.
            Err(failure) if failure.code().is_some() => return Err(failure.into()),
            // The swap may still happen: the hold must outlast it, so it is left to expire.
            Err(failure) => {
                self.finished = true;
                return Err(failure.into());
            }
        }
        self.finished = true;
        match release(&self.database, self.id, true).await? {
            true => Ok(()),
            false => Err(unavailable(
                "the rebuild's hold was lost while it was swapped",
            )),
        }
    }
}

impl MongoRebuild {
    async fn create(&self) -> Result<(), CallError> {
        let (database, shadow) = (self.database.clone(), self.shadow.clone());
        let created = within(APPLY_DEADLINE, async move {
            database.create_collection(&shadow).await?;
            Ok(())
        });
        created.await?;
        self.copy_indexes(|index| !is_declared(index), APPLY_DEADLINE)
            .await
    }

    /// Gives the new view those of the live one's indexes.
    async fn copy_indexes(
        &self,
        are_copied: fn(&IndexModel) -> bool,
        deadline: Duration,
    ) -> Result<(), CallError> {
        let (database, shadow) = (self.database.clone(), self.shadow.clone());
        within(deadline, async move {
            let live = database.collection::<Document>(EVENTS);
            let indexes: Vec<IndexModel> = live.list_indexes().await?.try_collect().await?;
            let shadow = database.collection::<Document>(&shadow);
            for index in indexes.into_iter().filter(is_added).filter(are_copied) {
                shadow.create_index(index).await?;
            }
            Ok(())
        })
        .await
    }

    async fn run(&self, body: RawDocumentBuf) -> Result<Document, CallError> {
        let database = self.database.clone();
        within(APPLY_DEADLINE, async move {
            database.run_raw_command(body).await
        })
        .await
    }

    /// Writes this rebuild's hold into the head that matches; returns the head after that, if one did.
    async fn set_hold(&self, filter: Document) -> Result<Option<RawDocumentBuf>, CallError> {
        let meta = meta(&self.database);
        let until = doc! { "$add": ["$$NOW", HOLD_MILLISECONDS] };
        let hold = doc! { "hold": { "id": self.id.to_string(), "until": until } };
        within(CALL_DEADLINE, async move {
            meta.find_one_and_update(filter, vec![doc! { "$set": hold }])
                .return_document(ReturnDocument::After)
                .await
        })
        .await
    }

    async fn rename(&self) -> Result<(), CallError> {
        let name = self.database.name();
        let command = doc! {
            "renameCollection": format!("{name}.{}", self.shadow),
            "to": format!("{name}.{EVENTS}"),
            "dropTarget": true,
            "writeConcern": { "w": "majority", "j": true },
            "maxTimeMS": SWAP_MILLISECONDS,
        };
        let admin = self.database.client().database("admin");
        within(SWAP_CALL_DEADLINE, async move {
            admin.run_command(command).await
        })
        .await
        .map(drop)
    }
}

/// Every collection has the index on `_id` by itself.
fn is_added(index: &IndexModel) -> bool {
    index.keys != doc! { "_id": 1 }
}

/// Whether it is a declared one.
fn is_declared(index: &IndexModel) -> bool {
    let name = index
        .options
        .as_ref()
        .and_then(|options| options.name.as_ref());
    name.is_some_and(|name| declared::is_declared(name))
}

/// Lets the writers go on; returns whether the hold was still this rebuild's.
async fn release(database: &Database, id: Uuid, swapped: bool) -> Result<bool, CallError> {
    let meta = meta(database);
    let filter = doc! { "_id": "head", "hold.id": id.to_string() };
    let mut update = doc! { "$unset": { "hold": "" } };
    if swapped {
        // Nodes that find another number know that what they cached of the view may differ from it now.
        update.insert("$inc", doc! { "view": 1_i64 });
    }
    let released = within(CALL_DEADLINE, async move {
        meta.update_one(filter, update).await
    });
    Ok(released.await?.matched_count == 1)
}

impl Drop for MongoRebuild {
    /// Cleans up as well as it can: a hold that stays behind expires, and a later rebuild removes the collection.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.finished {
            return;
        }
        let (database, shadow, id) = (self.database.clone(), self.shadow.clone(), self.id);
        runtime.spawn(async move {
            if let Err(failure) = release(&database, id, false).await {
                let error = StoreError::from(failure);
                tracing::warn!(%error, "the rebuild's hold pauses the writers until it expires");
            }
            match database.collection::<Document>(&shadow).drop().await {
                Err(error) if call::error_code(&error) != Some(code::NAMESPACE_NOT_FOUND) => {
                    let reason = call::describe(&error);
                    tracing::debug!(shadow, reason, "left for a later rebuild to remove");
                }
                Ok(()) | Err(_) => {}
            }
        });
    }
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(reason.to_owned())
}

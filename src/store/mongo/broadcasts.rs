//! Broadcasts: documents that every node sees on its change stream, and that go by themselves. So nodes hear of
//! a redaction too.

use bson::oid::ObjectId;
use bson::{DateTime, Document, doc};
use mongodb::Database;

use super::BROADCASTS;
use super::call::{CALL_DEADLINE, Failure, within};
use crate::store::{Broadcast, PublishError, StoreError};

/// How long one is kept, in seconds. The change stream needs it for a moment only.
pub(super) const KEPT_SECONDS: u64 = 60;

/// See [`Store::publish`](crate::store::Store::publish).
pub(super) async fn publish(
    database: &Database,
    broadcasts: &[Broadcast],
) -> Result<(), PublishError> {
    if broadcasts.is_empty() {
        return Ok(());
    }
    let documents: Vec<Document> = broadcasts.iter().map(document).collect();
    let collection = database.collection::<Document>(BROADCASTS);
    let inserted = within(CALL_DEADLINE, async move {
        collection.insert_many(documents).ordered(true).await
    });
    match inserted.await {
        Ok(_) => Ok(()),
        Err(failure) if failure.never_arrived() => Err(PublishError::Failed(failure.into())),
        Err(failure) => Err(PublishError::Unknown(StoreError::from(failure).to_string())),
    }
}

/// The field of a document that says that something was erased.
pub(super) const REDACTION: &str = "redaction";

/// Tells every node that something was erased.
pub(super) async fn announce_redaction(database: &Database) -> Result<(), Failure> {
    let collection = database.collection::<Document>(BROADCASTS);
    let document = doc! { "_id": ObjectId::new(), "at": DateTime::now(), REDACTION: true };
    let inserted = within(CALL_DEADLINE, async move {
        collection.insert_one(document).await
    });
    inserted.await.map(drop)
}

/// Its `at` is this node's clock: only the time until it is removed depends on it.
fn document(broadcast: &Broadcast) -> Document {
    doc! {
        "_id": ObjectId::new(),
        "at": DateTime::now(),
        "payload": &*broadcast.payload,
    }
}

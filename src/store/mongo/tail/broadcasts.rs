//! Broadcasts: documents that every node receives on its change stream, and that expire by themselves. Nodes announce
//! redactions to each other in the same way.

use bson::oid::ObjectId;
use bson::raw::RawDocument;
use bson::{DateTime, Document, doc};
use mongodb::Database;

use super::notifier::TailMessage;
use crate::limits;
use crate::store::mongo::BROADCASTS;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, within};
use crate::store::mongo::wire::decode;
use crate::store::mongo::wire::decode::BsonError;
use crate::store::{Broadcast, PublishError, StoreError};
use crate::value::{ParseError, read_as_it_is};

/// How long a broadcast is kept, in seconds. The change stream needs it for a moment only.
pub(crate) const KEPT_SECONDS: u64 = 60;

/// See [`Store::publish`](crate::store::Store::publish).
pub(crate) async fn publish(
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

/// The field of a broadcast: its payload, as JSON text.
const PAYLOAD: &str = "payload";

/// The field of the announcement of a redaction.
pub(super) const REDACTION: &str = "redaction";

/// Announces to every node that something was erased.
pub(crate) async fn announce_redaction(database: &Database) -> Result<(), CallError> {
    let collection = database.collection::<Document>(BROADCASTS);
    let document = doc! { "_id": ObjectId::new(), "at": DateTime::now(), REDACTION: true };
    let inserted = within(CALL_DEADLINE, async move {
        collection.insert_one(document).await
    });
    inserted.await.map(drop)
}

/// Reads a document of the collection.
///
/// A payload that livelog would not accept from a client is an error: every session of the node would get it.
pub(super) fn read(document: &RawDocument) -> Result<TailMessage, BsonError> {
    if document.get_bool(REDACTION).is_ok() {
        return Ok(TailMessage::Redaction);
    }
    let payload = decode::text(document, PAYLOAD)?;
    if payload.len() > limits::MESSAGE_BYTES_MAX {
        return Err(BsonError::new(format!(
            "{PAYLOAD} has {} bytes",
            payload.len()
        )));
    }
    let payload = read_as_it_is(payload, PAYLOAD).map_err(|error| unacceptable(&error))?;
    let payload = payload.into();
    Ok(TailMessage::Broadcast(Broadcast { payload }))
}

/// In words that quote nothing of the payload.
fn unacceptable(error: &ParseError) -> BsonError {
    let reason = match error {
        ParseError::Json { .. } => "is no JSON",
        ParseError::Offence(_) => "is JSON that livelog accepts from nobody",
    };
    BsonError::new(format!("{PAYLOAD} {reason}"))
}

/// `at` is this node's clock: only when the document expires depends on it.
fn document(broadcast: &Broadcast) -> Document {
    doc! {
        "_id": ObjectId::new(),
        "at": DateTime::now(),
        PAYLOAD: broadcast.payload.get(),
    }
}

//! Notes: a few words under a name, beside the head.

use bson::{Document, doc};
use mongodb::Database;

use crate::store::StoreError;
use crate::store::mongo::META;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, within};

/// See [`Store::note`](crate::store::Store::note).
pub(crate) async fn read(database: &Database, name: &str) -> Result<Option<String>, StoreError> {
    let (notes, filter) = (database.collection::<Document>(META), filter(name));
    let found = within(CALL_DEADLINE, async move { notes.find_one(filter).await });
    let found = found.await?;
    Ok(found.and_then(|note| note.get_str("text").ok().map(str::to_owned)))
}

/// See [`Store::write_note`](crate::store::Store::write_note).
pub(crate) async fn write(database: &Database, name: &str, text: &str) -> Result<(), CallError> {
    let (notes, filter) = (database.collection::<Document>(META), filter(name));
    let update = doc! { "$set": { "text": text } };
    let written = within(CALL_DEADLINE, async move {
        notes.update_one(filter, update).upsert(true).await
    });
    written.await.map(drop)
}

/// Without an `at`, so that it stays.
fn filter(name: &str) -> Document {
    doc! { "_id": { "note": name } }
}

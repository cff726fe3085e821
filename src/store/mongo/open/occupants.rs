//! Whose documents a database holds, before anything in it is made or changed.

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::results::CollectionType;

use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, code, within};
use crate::store::mongo::{BROADCASTS, EVENTS, LOG, META, REPLACED, head};

/// What a look at a database found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Occupants {
    /// A livelog, by the head of its log.
    Livelog,
    /// No livelog, and nothing in its way.
    None,
    /// Others' documents under the names of livelog's collections: what they are, in words.
    Others(String),
}

/// Looks for the head last: another node may be founding a livelog meanwhile, and its head comes first.
pub(crate) async fn look(database: &Database) -> Result<Occupants, CallError> {
    let others = others(database).await?;
    let meta = database.collection::<Document>(META);
    let found = within(
        CALL_DEADLINE,
        async move { meta.find_one(head::filter()).await },
    );
    Ok(match found.await?.is_some_and(|head| is_head(&head)) {
        true => Occupants::Livelog,
        false if others.is_empty() => Occupants::None,
        false => Occupants::Others(others.join(", ")),
    })
}

/// A database whose name differs from this one's in case alone, if this one is not there. Who may not list databases
/// hears MongoDB's own refusal when it comes to that.
pub(super) async fn namesake(database: &Database) -> Result<Option<String>, CallError> {
    let client = database.client().clone();
    let names = within(
        CALL_DEADLINE,
        async move { client.list_database_names().await },
    );
    let names = match names.await {
        Err(failure) if failure.code() == Some(code::UNAUTHORIZED) => return Ok(None),
        names => names?,
    };
    let name = database.name();
    if names.iter().any(|found| found == name) {
        return Ok(None);
    }
    let folded = name.to_lowercase();
    Ok(names
        .into_iter()
        .find(|found| found.to_lowercase() == folded))
}

/// An application may well keep a document of that id in a collection of that name.
fn is_head(head: &Document) -> bool {
    head.contains_key("format") && head.contains_key("seq") && head.contains_key("epoch")
}

async fn others(database: &Database) -> Result<Vec<String>, CallError> {
    let (listed, names) = (
        database.clone(),
        doc! { "name": { "$in": [LOG, EVENTS, META, BROADCASTS, REPLACED] } },
    );
    let collections = within(CALL_DEADLINE, async move {
        let listed = listed.list_collections().filter(names).await?;
        listed.try_collect::<Vec<_>>().await
    });
    let mut others = Vec::new();
    for collection in collections.await? {
        let name = collection.name;
        match collection.collection_type {
            CollectionType::Collection => others.extend(describe(database, &name).await?),
            _ => others.push(format!("{name} is no ordinary collection")),
        }
    }
    Ok(others)
}

/// How many documents a collection holds, and what ids they have; nothing of one that is empty.
async fn describe(database: &Database, name: &str) -> Result<Option<String>, CallError> {
    let documents = database.collection::<Document>(name);
    let found = within(CALL_DEADLINE, async move {
        let first = documents
            .find_one(doc! {})
            .projection(doc! { "_id": 1 })
            .await?;
        let count = documents.estimated_document_count().await?;
        Ok(first.map(|first| (first, count.max(1))))
    });
    Ok(found.await?.map(|(first, count)| {
        let kind = first.get("_id").map_or("of no type", kind);
        format!("its collection {name} holds {count} documents (an _id there is {kind})")
    }))
}

/// The type of an id, and not the id: that may be anybody's name.
fn kind(id: &Bson) -> &'static str {
    match id {
        Bson::ObjectId(_) => "an ObjectId",
        Bson::String(_) => "a string",
        Bson::Int32(_) | Bson::Int64(_) => "an integer",
        _ => "of another type",
    }
}

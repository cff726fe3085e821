//! Who owns a database, before anything in it is created or changed.
//!
//! | the collections of livelog's names hold | a head among them | |
//! |---|---|---|
//! | anything | yes | `Livelog` |
//! | nothing | no | `Unowned` |
//! | documents | no | `Foreign` |

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::results::CollectionType;

use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, code, within};
use crate::store::mongo::{BROADCASTS, EVENTS, LOG, META, REPLACED, head};

/// Who owns a database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// A livelog, by the head of its log.
    Livelog,
    /// Nobody: there is nothing in livelog's way.
    Unowned,
    /// Another program has documents in collections of livelog's names: which, in words.
    Foreign(String),
}

/// Looks for the head last: another node may be creating a livelog meanwhile, and writes its head first.
pub(super) async fn inspect(database: &Database) -> Result<Ownership, CallError> {
    let documents = documents(database).await?;
    let meta = database.collection::<Document>(META);
    let head = within(
        CALL_DEADLINE,
        async move { meta.find_one(head::filter()).await },
    );
    Ok(match head.await?.is_some_and(|head| is_head(&head)) {
        true => Ownership::Livelog,
        false if documents.is_empty() => Ownership::Unowned,
        false => Ownership::Foreign(documents.join(", ")),
    })
}

/// A database whose name differs from this one's in case alone, if this one is not there. A user without the right to
/// list databases gets MongoDB's own refusal once the database is to be created.
pub(super) async fn name_in_other_case(database: &Database) -> Result<Option<String>, CallError> {
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

/// Another program may well have a document with that id in a collection of that name.
fn is_head(head: &Document) -> bool {
    head.contains_key("format") && head.contains_key("seq") && head.contains_key("epoch")
}

/// What the collections of livelog's names hold, in words. Empty ones are left out.
async fn documents(database: &Database) -> Result<Vec<String>, CallError> {
    let (listed, names) = (
        database.clone(),
        doc! { "name": { "$in": [LOG, EVENTS, META, BROADCASTS, REPLACED] } },
    );
    let collections = within(CALL_DEADLINE, async move {
        let listed = listed.list_collections().filter(names).await?;
        listed.try_collect::<Vec<_>>().await
    });
    let mut documents = Vec::new();
    for collection in collections.await? {
        let name = collection.name;
        match collection.collection_type {
            CollectionType::Collection => documents.extend(describe(database, &name).await?),
            _ => documents.push(format!("{name} is no ordinary collection")),
        }
    }
    Ok(documents)
}

/// How many documents a collection holds, and the type of an id; `None` if it is empty.
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

/// The type of an id and not the id, which may be somebody's name.
fn kind(id: &Bson) -> &'static str {
    match id {
        Bson::ObjectId(_) => "an ObjectId",
        Bson::String(_) => "a string",
        Bson::Int32(_) | Bson::Int64(_) => "an integer",
        _ => "of another type",
    }
}

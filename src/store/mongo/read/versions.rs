//! Versions of an event over all of its lives.
//!
//! A life lasts from a creation to the next deletion. Within a life each change raises the version by one.
//!
//! | log | first version of a later life | last version | where a version is |
//! |---|---|---|---|
//! | format 2 | goes on after the life before | the number of changes | counted back from the newest change |
//! | format 1 | 1 | less than the number of changes | in several lives: the newest is searched for |
//!
//! Changes are counted in the index alone, so the common case reads one or two entries. That the last version is the
//! number of changes is checked each time, because a log can have lives of both kinds.

use std::collections::HashMap;
use std::sync::Arc;

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::options::Hint;

use super::history;
use crate::domain::{Change, EventId};
use crate::limits;
use crate::query::Direction;
use crate::store::mongo::LOG;
use crate::store::mongo::wire::call::{QUERY_CALL_DEADLINE, within};
use crate::store::mongo::wire::decode;
use crate::store::mongo::wire::decode::BsonError;
use crate::store::{HistoryRange, StoreError};

/// See [`Store::last_versions`](crate::store::Store::last_versions).
pub(crate) async fn last(
    database: &Database,
    ids: &[EventId],
) -> Result<Vec<(EventId, u64)>, StoreError> {
    let counted = count(database, ids).await?;
    if counted.is_empty() {
        return Ok(Vec::new());
    }
    let newest = counted.values().map(|(_, newest)| *newest).collect();
    let mut versions = Vec::with_capacity(counted.len());
    let mut restarted = Vec::new();
    for (id, version) in versions_at(database, newest).await? {
        match counted.get(&id) {
            Some((count, _)) if *count == version => versions.push((id, version)),
            _ => restarted.push(id),
        }
    }
    if !restarted.is_empty() {
        versions.extend(highest(database, &restarted).await?);
    }
    Ok(versions)
}

/// See [`Store::version`](crate::store::Store::version).
pub(crate) async fn change_to(
    database: &Database,
    id: &EventId,
    version: u64,
) -> Result<Option<Arc<Change>>, StoreError> {
    let newest = HistoryRange {
        direction: Direction::Descending,
        after: None,
        limit: 1,
    };
    let Some(last) = history::page(database, id, newest, 0).await?.pop() else {
        return Ok(None);
    };
    // The distance is the difference of the versions, if both changes are of one life.
    if let Some(distance) = last.version().checked_sub(version) {
        let found = history::page(database, id, newest, distance).await?.pop();
        let is_it = |found: &Arc<Change>| found.version() == version && is_one_life(found, &last);
        if let Some(found) = found.filter(is_it) {
            return Ok(Some(found));
        }
    }
    let counted = count(database, std::slice::from_ref(id)).await?;
    if let Some((count, _)) = counted.get(id)
        && *count == last.version()
    {
        let Some(distance) = count.checked_sub(version) else {
            return Ok(None);
        };
        let found = history::page(database, id, newest, distance).await?.pop();
        // Another version only where changes were appended since the count.
        if found
            .as_ref()
            .is_none_or(|found| found.version() == version)
        {
            return Ok(found);
        }
    }
    newest_of_version(database, id, version).await
}

/// Whether both changes certainly belong to one life.
fn is_one_life(one: &Change, other: &Change) -> bool {
    let created = |change: &Change| change.event().map(|event| event.created_at);
    created(one).is_some() && created(one) == created(other)
}

/// How many changes each event has, and the seq of the last.
async fn count(
    database: &Database,
    ids: &[EventId],
) -> Result<HashMap<EventId, (u64, i64)>, StoreError> {
    let counts = [
        doc! { "$match": { "event": among(ids) } },
        doc! { "$group": { "_id": "$event", "count": { "$sum": 1_i64 }, "last": { "$max": "$_id" } } },
    ];
    let groups = aggregate(database, counts).await?;
    let counted = groups.iter().map(|group| {
        let last = group.get_i64("last").map_err(|_| unreadable())?;
        Ok((id(group, "_id")?, (number(group, "count")?, last)))
    });
    counted.collect()
}

/// The events of these changes, and their versions after them.
async fn versions_at(
    database: &Database,
    seqs: Vec<i64>,
) -> Result<Vec<(EventId, u64)>, StoreError> {
    let log = database.collection::<Document>(LOG);
    let entries = within(QUERY_CALL_DEADLINE, async move {
        let find = log.find(doc! { "_id": { "$in": seqs } });
        let find = find.projection(doc! { "event": 1, "version": 1 });
        let entries = find.max_time(limits::QUERY_DEADLINE).await?;
        entries.try_collect::<Vec<Document>>().await
    });
    let entries = entries.await?;
    let versions = entries
        .iter()
        .map(|entry| Ok((id(entry, "event")?, number(entry, "version")?)));
    versions.collect()
}

/// The highest version of each event, from all of its entries.
async fn highest(database: &Database, ids: &[EventId]) -> Result<Vec<(EventId, u64)>, StoreError> {
    let highest = [
        doc! { "$match": { "event": among(ids) } },
        doc! { "$group": { "_id": "$event", "version": { "$max": "$version" } } },
    ];
    let groups = aggregate(database, highest).await?;
    let versions = groups
        .iter()
        .map(|group| Ok((id(group, "_id")?, number(group, "version")?)));
    versions.collect()
}

/// Searches an event's entries from the newest back.
async fn newest_of_version(
    database: &Database,
    id: &EventId,
    version: u64,
) -> Result<Option<Arc<Change>>, StoreError> {
    let log = crate::store::mongo::collection(database, LOG);
    let filter = doc! { "event": id.as_str(), "version": version.cast_signed() };
    let found = within(QUERY_CALL_DEADLINE, async move {
        let find = log.find_one(filter).sort(doc! { "_id": -1 });
        let find = find.hint(Hint::Keys(history::index()));
        find.max_time(limits::QUERY_DEADLINE).await
    });
    let change = found.await?.map(|entry| decode::entry(&entry));
    Ok(change.transpose()?.map(Arc::new))
}

async fn aggregate<const N: usize>(
    database: &Database,
    pipeline: [Document; N],
) -> Result<Vec<Document>, StoreError> {
    let log = database.collection::<Document>(LOG);
    let groups = within(QUERY_CALL_DEADLINE, async move {
        let aggregate = log.aggregate(pipeline).hint(Hint::Keys(history::index()));
        let groups = aggregate.max_time(limits::QUERY_DEADLINE).await?;
        groups.try_collect().await
    });
    Ok(groups.await?)
}

fn among(ids: &[EventId]) -> Document {
    let ids: Vec<Bson> = ids.iter().map(|id| id.as_str().into()).collect();
    doc! { "$in": ids }
}

fn id(document: &Document, name: &str) -> Result<EventId, StoreError> {
    let text = document.get_str(name).map_err(|_| unreadable())?;
    EventId::stored(text).map_err(|_| unreadable())
}

fn number(document: &Document, name: &str) -> Result<u64, StoreError> {
    let number = document.get_i64(name).map_err(|_| unreadable())?;
    u64::try_from(number).map_err(|_| unreadable())
}

fn unreadable() -> StoreError {
    BsonError::new("not an entry of the log").at("the log")
}

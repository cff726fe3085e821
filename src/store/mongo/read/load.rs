//! Events by their ids, as many as there is room for.

use bson::doc;
use futures::StreamExt;
use mongodb::Database;
use mongodb::raw_batch_cursor::RawBatch;

use super::{log, view};
use crate::domain::{Event, EventId};
use crate::limits;
use crate::store::mongo::wire::call::{QUERY_CALL_DEADLINE, within};
use crate::store::mongo::{EVENTS, collection};
use crate::store::{Loaded, StoreError};

/// Ids of one request when the events of all ids do not fit into one answer of the server, which holds 16 MiB.
const HEAVY_COUNT: usize = 8;

/// See [`Store::load`](crate::store::Store::load).
///
/// One answer has all events, unless they are heavy. Its order is the server's own, so of an answer that is too large
/// nothing can be used: fewer ids are requested again.
pub(crate) async fn load(
    database: &Database,
    ids: &[EventId],
    bytes: usize,
) -> Result<Loaded, StoreError> {
    if ids.len() > HEAVY_COUNT
        && let Some(events) = fetch(database, ids).await?
        && approx_bytes(&events) <= bytes
    {
        return Ok(Loaded {
            events,
            looked_at: ids.len(),
        });
    }
    load_heavy(database, ids, bytes).await
}

async fn load_heavy(
    database: &Database,
    ids: &[EventId],
    bytes: usize,
) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    let mut rest = ids;
    let mut count = HEAVY_COUNT;
    while !rest.is_empty() && approx_bytes(&loaded.events) < bytes {
        let next = &rest[..count.min(rest.len())];
        match fetch(database, next).await? {
            Some(events) => {
                loaded.events.extend(events);
                loaded.looked_at += next.len();
                rest = &rest[next.len()..];
            }
            // A single event always fits.
            None => count = 1,
        }
    }
    Ok(loaded)
}

fn approx_bytes(events: &[Event]) -> usize {
    events.iter().map(Event::approx_bytes).sum()
}

/// Those of these events that there are; `None` if they do not fit into one answer.
async fn fetch(database: &Database, ids: &[EventId]) -> Result<Option<Vec<Event>>, StoreError> {
    let events = collection(database, EVENTS);
    let texts: Vec<&str> = ids.iter().map(EventId::as_str).collect();
    let filter = doc! { "_id": { "$in": texts } };
    let size = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let batch = within(QUERY_CALL_DEADLINE, async move {
        let find = events.find(filter).max_time(limits::QUERY_DEADLINE);
        // One more, so that the server ends its cursor with the last.
        let find = find.batch_size(size.saturating_add(1));
        find.batch().await?.next().await.transpose()
    });
    let batch: Option<RawBatch> = batch.await?;
    let mut loaded = Vec::new();
    let Some(batch) = batch else {
        return Ok(Some(loaded));
    };
    if log::is_open(&batch) {
        return Ok(None);
    }
    view::decode_into(&batch, |event| {
        loaded.push(event);
        Ok(())
    })?;
    Ok(Some(loaded))
}

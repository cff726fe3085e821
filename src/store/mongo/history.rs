//! The history of events: which changes each has seen, and what it was at any place of the log.
//!
//! Both rest on one index of the log, by event and from the newest change back. The last change of each event
//! up to some place is then one step in it: the server goes from event to event, whatever lies between.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bson::raw::{RawBsonRef, RawDocument};
use bson::{Bson, Document, doc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use super::call::{QUERY_CALL_DEADLINE, within};
use super::decode::{self, Unreadable};
use super::{LOG, collection, view};
use crate::domain::{Change, Event, EventId, Seq};
use crate::limits;
use crate::query::{Direction, Query};
use crate::store::top::Top;
use crate::store::{Found, StoreError, Stretch, admitted};

/// Events that are looked up together when they are wanted in an order of their own.
const LOOKED_UP_COUNT: usize = 256;

/// The index that everything here is found by.
pub(super) fn index() -> Document {
    doc! { "event": 1, "_id": -1 }
}

/// See [`Store::history`](crate::store::Store::history).
pub(super) async fn history(
    database: &Database,
    id: &EventId,
    stretch: Stretch,
) -> Result<Vec<Arc<Change>>, StoreError> {
    skipping(database, id, stretch, 0).await
}

/// Changes of an event, some passed over by the index alone.
pub(super) async fn skipping(
    database: &Database,
    id: &EventId,
    stretch: Stretch,
    passed: u64,
) -> Result<Vec<Arc<Change>>, StoreError> {
    let log = collection(database, LOG);
    let (beyond, order) = match stretch.direction {
        Direction::Ascending => ("$gt", 1),
        Direction::Descending => ("$lt", -1),
    };
    let mut filter = doc! { "event": id.as_str() };
    if let Some(after) = stretch.after {
        filter.insert("_id", doc! { beyond: after.get().cast_signed() });
    }
    let size = u32::try_from(stretch.limit).unwrap_or(u32::MAX);
    let batch = within(QUERY_CALL_DEADLINE, async move {
        let find = log
            .find(filter)
            .sort(doc! { "_id": order })
            .hint(mongodb::options::Hint::Keys(index()));
        let find = find.skip(passed).limit(i64::from(size)).batch_size(size);
        let mut batches = find.max_time(limits::QUERY_DEADLINE).batch().await?;
        batches.next().await.transpose()
    });
    let Some(batch) = batch.await? else {
        return Ok(Vec::new());
    };
    let mut changes = Vec::new();
    let mut bytes = 0;
    for entry in documents(&batch)? {
        if bytes >= limits::LOG_PAGE_BYTES_MAX {
            break;
        }
        let entry = entry?;
        bytes += entry.as_bytes().len();
        changes.push(Arc::new(change(entry)?));
    }
    Ok(changes)
}

/// See [`Store::find_at`](crate::store::Store::find_at).
pub(super) async fn find_at(
    database: &Database,
    query: &Arc<Query>,
    at: Seq,
) -> Result<Found, StoreError> {
    let past = Past {
        database: database.clone(),
        query: Arc::clone(query),
        at,
    };
    let events = match query.id_order() {
        Some(Direction::Ascending) => past.walk(past.wanted(), view::batch_size(query)).await?,
        Some(Direction::Descending) | None => past.sorted().await?,
    };
    let query = Arc::clone(query);
    let admitted = events.try_filter_map(move |event| std::future::ready(admitted(&query, event)));
    Ok(Found {
        seq: at,
        events: admitted.boxed(),
    })
}

/// Events as they were after change `at`.
struct Past {
    database: Database,
    query: Arc<Query>,
    at: Seq,
}

type Events = BoxStream<'static, Result<Event, StoreError>>;

impl Past {
    /// Which events the query may admit, as a condition on the log's `event`.
    fn wanted(&self) -> Document {
        match self.query.filter.pinned_ids() {
            Some(ids) => doc! { "$in": ids },
            // IMPORTANT: without a bound the server reads the whole index. No id is empty.
            None => doc! { "$gt": self.query.after_id().unwrap_or_default() },
        }
    }

    /// The events that were there, in the order of their ids.
    async fn walk(&self, wanted: Document, size: u32) -> Result<Events, StoreError> {
        let log = collection(&self.database, LOG);
        let pipeline = [
            doc! { "$match": { "event": wanted, "_id": { "$lte": self.at.get().cast_signed() } } },
            doc! { "$sort": index() },
            doc! { "$group": { "_id": "$event", "last": { "$first": "$$ROOT" } } },
        ];
        let deadline = view::deadline(&self.query);
        let cursor = within(QUERY_CALL_DEADLINE, async move {
            let aggregate = log
                .aggregate(pipeline)
                .hint(mongodb::options::Hint::Keys(index()));
            let aggregate = aggregate.batch_size(size).max_time(deadline);
            aggregate.allow_disk_use(true).batch().await
        });
        Ok(Walk::new(cursor.await?).into_stream())
    }

    /// The events that the query admits, in its order, which the index does not have: a pass over all of them
    /// finds out which, and then they are looked up.
    async fn sorted(self) -> Result<Events, StoreError> {
        let wanted = match self.query.id_order() {
            // What lies beyond the cursor in this direction is not what lies beyond it in the index's.
            Some(_) if self.query.filter.pinned_ids().is_none() => doc! { "$gt": "" },
            _ => self.wanted(),
        };
        let mut top = Top::new(&self.query);
        let mut events = self.walk(wanted, view::BATCH_COUNT).await?;
        while let Some(event) = events.try_next().await? {
            top.offer(&event)?;
        }
        let ids = top.into_ids();
        let chunks = stream::try_unfold((self, ids), |(past, ids)| past.look_up(ids));
        Ok(chunks
            .map_ok(|events| stream::iter(events).map(Ok))
            .try_flatten()
            .boxed())
    }

    /// The first of these events, in the order of the list; `None` after the last.
    async fn look_up(self, mut ids: VecDeque<EventId>) -> LookedUp {
        if ids.is_empty() {
            return Ok(None);
        }
        let rest = ids.split_off(ids.len().min(LOOKED_UP_COUNT));
        let texts: Vec<Bson> = ids.iter().map(|id| id.as_str().into()).collect();
        let found = self.walk(doc! { "$in": texts }, view::BATCH_COUNT).await?;
        let found = found.map_ok(|event| (event.id.clone(), event));
        let mut found: HashMap<EventId, Event> = found.try_collect().await?;
        let events = ids.iter().filter_map(|id| found.remove(id)).collect();
        Ok(Some((events, (self, rest))))
    }
}

/// Events, and what is still to be looked up.
type LookedUp = Result<Option<(Vec<Event>, (Past, VecDeque<EventId>))>, StoreError>;

/// Entries of the log, the last of each event, being read.
struct Walk {
    cursor: RawBatchCursor,
    last: Option<EventId>,
}

impl Walk {
    fn new(cursor: RawBatchCursor) -> Self {
        Self { cursor, last: None }
    }

    fn into_stream(self) -> Events {
        let chunks = stream::try_unfold(self, Self::next);
        chunks
            .map_ok(|events| stream::iter(events).map(Ok))
            .try_flatten()
            .boxed()
    }

    async fn next(mut self) -> Result<Option<(Vec<Event>, Self)>, StoreError> {
        let fetched = within(QUERY_CALL_DEADLINE, async move {
            let batch = self.cursor.next().await;
            Ok((batch.transpose()?, self))
        });
        let (batch, mut walk) = fetched.await?;
        let Some(batch) = batch else {
            return Ok(None);
        };
        let mut events = Vec::new();
        for group in documents(&batch)? {
            let last = group?.get_document("last");
            let last = last.map_err(|_| unreadable())?;
            events.extend(walk.take(&change(last)?)?);
        }
        Ok(Some((events, walk)))
    }

    /// Pages rest on the order, which the server has from the index and does not promise.
    fn take(&mut self, change: &Change) -> Result<Option<Event>, StoreError> {
        let id = change.event_id();
        if self.last.as_ref().is_some_and(|last| last >= id) {
            let reason = "it does not answer in the order of the index of events";
            return Err(StoreError::Refused(reason.to_owned()));
        }
        self.last = Some(id.clone());
        Ok(change.after().map(|event| (**event).clone()))
    }
}

fn documents(
    batch: &RawBatch,
) -> Result<impl Iterator<Item = Result<&RawDocument, StoreError>>, StoreError> {
    let entries = batch.doc_slices().map_err(|_| unreadable())?;
    Ok(entries.into_iter().map(|entry| match entry {
        Ok(RawBsonRef::Document(document)) => Ok(document),
        _ => Err(unreadable()),
    }))
}

fn change(entry: &RawDocument) -> Result<Change, StoreError> {
    decode::entry(entry)
}

fn unreadable() -> StoreError {
    Unreadable::new("not BSON").at("the log")
}

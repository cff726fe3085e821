//! The history of events: which changes each has seen, and what it was at any place of the log.
//!
//! Both rest on one index of the log, by event and from the newest change back. The last change of each event
//! up to some place is then one step in it: the server goes from event to event, whatever lies between.

use std::collections::HashMap;
use std::sync::Arc;

use bson::raw::{RawBsonRef, RawDocument};
use bson::{Bson, Document, doc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::raw_batch_cursor::RawBatch;

use super::{log, view};
use crate::budget::Budget;
use crate::domain::{Change, Event, EventId, Kind, Seq};
use crate::limits;
use crate::query::{Direction, Query};
use crate::store::mongo::wire::call::{QUERY_CALL_DEADLINE, within, working};
use crate::store::mongo::wire::decode;
use crate::store::mongo::wire::decode::BsonError;
use crate::store::mongo::{LOG, collection, head};
use crate::store::top_k::{TopK, TopOrder};
use crate::store::{HistoryRange, QueryResult, StoreError, admitted};

/// Events that are looked up together when they are wanted in an order of their own.
const LOOKED_UP_COUNT: usize = 256;

/// The index that everything here is found by.
pub(crate) fn index() -> Document {
    doc! { "event": 1, "_id": -1 }
}

/// See [`Store::history`](crate::store::Store::history).
pub(crate) async fn history(
    database: &Database,
    id: &EventId,
    stretch: HistoryRange,
) -> Result<Vec<Arc<Change>>, StoreError> {
    skipping(database, id, stretch, 0).await
}

/// Changes of an event, some passed over by the index alone.
pub(super) async fn skipping(
    database: &Database,
    id: &EventId,
    stretch: HistoryRange,
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
pub(crate) async fn find_at(
    log: &head::OpenedLog,
    query: &Arc<Query>,
    at: Seq,
) -> Result<QueryResult, StoreError> {
    let past = Past::new(log, query, at, false);
    let events = past.admitted().await?;
    Ok(QueryResult { seq: at, events })
}

/// The rest of an answer that was begun when the log was at `seq`.
pub(super) async fn go_on(
    log: &head::OpenedLog,
    query: &Arc<Query>,
    seq: Seq,
) -> Result<Events, StoreError> {
    Past::new(log, query, seq, true).admitted().await
}

/// Events as they were after change `at`.
#[derive(Clone)]
struct Past {
    database: Database,
    /// For the orders of answers.
    orders: Budget,
    query: Arc<Query>,
    at: Seq,
    /// Whether the answer was begun then: it has no place for what was erased since.
    is_begun: bool,
}

type Events = BoxStream<'static, Result<Event, StoreError>>;

/// An event, if it is let through.
type Candidate = Result<Option<Event>, StoreError>;

impl Past {
    fn new(log: &head::OpenedLog, query: &Arc<Query>, at: Seq, is_begun: bool) -> Self {
        Self {
            database: log.database.clone(),
            orders: log.orders.clone(),
            query: Arc::clone(query),
            at,
            is_begun,
        }
    }

    /// Those that the query admits, in its order.
    async fn admitted(self) -> Result<Events, StoreError> {
        Ok(match self.query.id_order() {
            Some(Direction::Ascending) => {
                let (wanted, query) = (self.wanted(), Arc::clone(&self.query));
                let size = view::batch_size(&query);
                self.walk(wanted, size, move |event| admitted(&query, event))
            }
            Some(Direction::Descending) | None => self.sorted().await?,
        })
    }

    /// Which events the query may admit, as a condition on the log's `event`.
    fn wanted(&self) -> Document {
        match self.query.filter.pinned_ids() {
            Some(ids) => doc! { "$in": ids },
            // IMPORTANT: without a bound the server reads the whole index. No id is empty.
            None => doc! { "$gt": self.query.after_id().unwrap_or_default() },
        }
    }

    /// The events that were there and that `admits` lets through, in the order of their ids.
    fn walk(
        self,
        wanted: Document,
        size: u32,
        admits: impl Fn(Event) -> Candidate + Clone + Send + Sync + 'static,
    ) -> Events {
        let walk = HistoryScan {
            past: self,
            wanted,
            size,
            last: None,
        };
        let chunks = stream::try_unfold(Some(walk), move |walk| {
            let admits = admits.clone();
            async move {
                match walk {
                    Some(walk) => walk.next(admits).await.map(Some),
                    None => Ok(None),
                }
            }
        });
        chunks
            .map_ok(|events| stream::iter(events).map(Ok))
            .try_flatten()
            .boxed()
    }

    /// The events that the query admits, in its order, which the index does not have: a pass over all of them
    /// finds out which, and then they are looked up.
    async fn sorted(self) -> Result<Events, StoreError> {
        let order = self.order().await?;
        let chunks = stream::try_unfold((self, order), |(past, order)| past.look_up(order));
        Ok(chunks
            .map_ok(|events| stream::iter(events).map(Ok))
            .try_flatten()
            .boxed())
    }

    /// The ids of what the query admits, in its order, as many as there is room for.
    async fn order(&self) -> Result<TopOrder, StoreError> {
        let wanted = match self.query.id_order() {
            // What lies beyond the cursor in this direction is not what lies beyond it in the index's.
            Some(_) if self.query.filter.pinned_ids().is_none() => doc! { "$gt": "" },
            _ => self.wanted(),
        };
        let mut top = TopK::new(&self.query, &self.orders);
        let mut chunks = HistoryScan {
            past: self.clone(),
            wanted,
            size: view::BATCH_COUNT,
            last: None,
        };
        loop {
            let (events, rest) = chunks.next(|event| Ok(Some(event))).await?;
            let offered = working(move |asker| {
                for event in &events {
                    asker.check()?;
                    top.offer(event)?;
                }
                Ok(top)
            });
            top = offered.await?;
            match rest {
                Some(rest) => chunks = rest,
                None => return working(move |_| Ok(top.into_order())).await,
            }
        }
    }

    /// The first of these events, in the order of the list; `None` after the last.
    async fn look_up(mut self, mut order: TopOrder) -> LookedUp {
        if let Some(rest) = order.next() {
            self.query = rest;
            order = self.order().await?;
        }
        if order.ids.is_empty() {
            return Ok(None);
        }
        let rest = order.ids.split_off(order.ids.len().min(LOOKED_UP_COUNT));
        let ids = std::mem::replace(&mut order.ids, rest);
        let texts: Vec<Bson> = ids.iter().map(|id| id.as_str().into()).collect();
        let found = self.clone();
        let found = found.walk(doc! { "$in": texts }, view::BATCH_COUNT, |event| {
            Ok(Some(event))
        });
        let found = found.map_ok(|event| (event.id.clone(), event));
        let mut found: HashMap<EventId, Event> = found.try_collect().await?;
        let events = ids.iter().filter_map(|id| found.remove(id)).collect();
        Ok(Some((events, (self, order))))
    }
}

/// Events, and what is still to be looked up.
type LookedUp = Result<Option<(Vec<Event>, (Past, TopOrder))>, StoreError>;

/// Entries of the log, the last of each event, being read: a batch at a time, and no cursor between.
struct HistoryScan {
    past: Past,
    wanted: Document,
    size: u32,
    last: Option<EventId>,
}

impl HistoryScan {
    /// The next events, and what comes after them.
    async fn next(
        mut self,
        admits: impl Fn(Event) -> Candidate + Send + 'static,
    ) -> Result<(Vec<Event>, Option<Self>), StoreError> {
        let Some(batch) = self.fetch().await? else {
            return Ok((Vec::new(), None));
        };
        working(move |asker| {
            let mut events = Vec::new();
            let mut count = 0;
            for group in documents(&batch)? {
                asker.check()?;
                count += 1;
                let last = group?.get_document("last");
                if let Some(event) = self.take(&change(last.map_err(|_| unreadable())?)?)? {
                    events.extend(admits(event)?);
                }
            }
            let is_whole = count < self.size && !log::is_open(&batch);
            // Where few are wanted but few are admitted, more are looked at.
            self.size = (self.size * 2).min(view::BATCH_COUNT);
            Ok((events, (!is_whole).then_some(self)))
        })
        .await
    }

    /// The server ends a batch by bytes too, and then the next begins there.
    async fn fetch(&self) -> Result<Option<RawBatch>, StoreError> {
        let log = collection(&self.past.database, LOG);
        let mut wanted = self.wanted.clone();
        if let Some(last) = &self.last {
            wanted.insert("$gt", last.as_str());
        }
        let upto = doc! { "$lte": self.past.at.get().cast_signed() };
        let size = self.size;
        let pipeline = [
            doc! { "$match": { "event": wanted, "_id": upto } },
            doc! { "$sort": index() },
            doc! { "$group": { "_id": "$event", "last": { "$first": "$$ROOT" } } },
            doc! { "$limit": i64::from(size) },
        ];
        let batch = within(QUERY_CALL_DEADLINE, async move {
            let aggregate = log
                .aggregate(pipeline)
                .hint(mongodb::options::Hint::Keys(index()));
            // One more, so that the server ends its cursor with the last.
            let aggregate = aggregate.batch_size(size.saturating_add(1));
            let aggregate = aggregate.max_time(limits::QUERY_DEADLINE);
            let mut batches = aggregate.allow_disk_use(true).batch().await?;
            batches.next().await.transpose()
        });
        Ok(batch.await?)
    }

    /// Pages rest on the order, which the server has from the index and does not promise.
    fn take(&mut self, change: &Change) -> Result<Option<Event>, StoreError> {
        let id = change.event_id();
        if self.last.as_ref().is_some_and(|last| last >= id) {
            let reason = "it does not answer in the order of the index of events";
            return Err(StoreError::Refused(reason.to_owned()));
        }
        if self.past.is_begun && change.is_redacted() && change.kind() != Kind::Delete {
            return Err(StoreError::Erased);
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
    BsonError::new("not BSON").at("the log")
}

//! Events as of a position in the log.
//!
//! The state of an event as of a seq is the `after` of its last change up to there. In the index of
//! [`history`] that change is one step: the server goes from event to event, however many changes lie between.
//!
//! | sort | events are | memory |
//! |---|---|---|
//! | `_id` ascending | scanned in the order of the index, and judged | one batch |
//! | any other | all scanned for the ids of the answer in its order ([`TopK`]), then looked up | of the sort budget |
//!
//! If the query may tell only of events by what they are [now](Query::seen_now), each batch takes another read of the
//! view: of the events that the query admits as of then, not of all that there are.
//!
//! Invariants of an [`AsOfScan`]:
//!
//! - Ids are strictly ascending over all of its batches, so each event is read once. The server has this order from
//!   the index and does not promise it: another order is an error.
//! - No cursor stays open between two batches: the next one begins after the last id.
//! - It ends with a batch that the server neither cut off by count nor by bytes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use bson::{Bson, Document, doc};
use futures::stream;
use futures::{StreamExt, TryStreamExt};
use mongodb::Database;
use mongodb::options::Hint;
use mongodb::raw_batch_cursor::RawBatch;

use super::{BATCH_COUNT, batch_size, history, load, log, view};
use crate::budget::Budget;
use crate::domain::{Change, ChangeKind, Event, EventId, Seq};
use crate::limits;
use crate::query::{Count, Direction, Query};
use crate::store::mongo::wire::call::{QUERY_CALL_DEADLINE, compute, within};
use crate::store::mongo::wire::decode;
use crate::store::mongo::{LOG, collection, head};
use crate::store::tally::MatchTally;
use crate::store::top_k::{TopK, TopOrder};
use crate::store::{QueryEvents, QueryResult, StoreError, admitted, is_seen_now};

/// Of what events are now, at once in memory: about what an answer of the server holds.
const CURRENT_BYTES: usize = 16 * 1024 * 1024;

/// Events that are looked up together when the answer has an order of its own.
const LOOK_UP_COUNT: usize = 256;

/// See [`Store::find_at`](crate::store::Store::find_at).
pub(crate) async fn find_at(
    log: &head::OpenedLog,
    query: &Arc<Query>,
    at: Seq,
) -> Result<QueryResult, StoreError> {
    let began = Instant::now();
    let read = AsOfRead::new(log, query, at, false);
    let count = match query.counts {
        true => Some(count(log, query, at).await?),
        false => None,
    };
    let events = match query.limit {
        Some(0) => stream::empty().boxed(),
        _ => read.matching().await?,
    };
    Ok(QueryResult {
        count,
        ..view::told(at, events, began)
    })
}

/// How many events match as of change `at`.
async fn count(log: &head::OpenedLog, query: &Query, at: Seq) -> Result<Count, StoreError> {
    let all = Arc::new(query.of_all_matches());
    let read = AsOfRead::new(log, &all, at, false);
    let ids = read.candidate_ids();
    let mut scan = AsOfScan::new(read, ids, BATCH_COUNT);
    let mut tally = MatchTally::of(&all);
    loop {
        let asked = Arc::clone(&all);
        let (events, rest) = scan.next_to_judge().await?;
        tally = compute(move |caller| {
            for event in events {
                caller.ensure_waiting()?;
                tally.add(&asked, event)?;
            }
            Ok(tally)
        })
        .await?;
        scan = match rest {
            Some(rest) if !tally.is_over() => rest,
            Some(_) | None => return Ok(tally.count()),
        };
    }
}

/// The rest of an answer that was begun when the head was at `seq`.
pub(super) async fn resume(
    log: &head::OpenedLog,
    query: &Arc<Query>,
    seq: Seq,
) -> Result<QueryEvents, StoreError> {
    AsOfRead::new(log, query, seq, true).matching().await
}

/// A query of events as they were after change `at`.
#[derive(Clone)]
struct AsOfRead {
    database: Database,
    sort_budget: Budget,
    query: Arc<Query>,
    at: Seq,
    /// Whether the answer was begun at `at`: then it cannot leave out what was erased since, and fails.
    is_resumed: bool,
}

/// An event, if it is part of the answer.
type Candidate = Result<Option<Event>, StoreError>;

impl AsOfRead {
    fn new(log: &head::OpenedLog, query: &Arc<Query>, at: Seq, is_resumed: bool) -> Self {
        Self {
            database: log.database.clone(),
            sort_budget: log.sort_budget.clone(),
            query: Arc::clone(query),
            at,
            is_resumed,
        }
    }

    /// The events that the query admits, in its order.
    async fn matching(self) -> Result<QueryEvents, StoreError> {
        Ok(match self.query.id_order() {
            Some(Direction::Ascending) => {
                let (ids, query) = (self.candidate_ids(), Arc::clone(&self.query));
                let size = batch_size(&query);
                self.scan(ids, size, move |event| admitted(&query, event))
            }
            Some(Direction::Descending) | None => self.sorted().await?,
        })
    }

    /// Which events the query may admit, as a condition on the log's `event`.
    fn candidate_ids(&self) -> Document {
        match self.query.filter.pinned_ids() {
            Some(ids) => doc! { "$in": ids },
            // IMPORTANT: without a bound the server reads the whole index. No id is empty.
            None => doc! { "$gt": self.query.after_id().unwrap_or_default() },
        }
    }

    /// The events with these ids that `admits` lets through, in the order of their ids.
    fn scan(
        self,
        ids: Document,
        size: u32,
        admits: impl Fn(Event) -> Candidate + Clone + Send + Sync + 'static,
    ) -> QueryEvents {
        let scan = AsOfScan::new(self, ids, size);
        let chunks = stream::try_unfold(Some(scan), move |scan| {
            let admits = admits.clone();
            async move {
                match scan {
                    Some(scan) => scan.next(admits).await.map(Some),
                    None => Ok(None),
                }
            }
        });
        chunks
            .map_ok(|events| stream::iter(events).map(Ok))
            .try_flatten()
            .boxed()
    }

    /// The events that the query admits, in an order that the index does not have: a scan of all events finds their
    /// ids, and then they are looked up.
    async fn sorted(self) -> Result<QueryEvents, StoreError> {
        let order = self.order().await?;
        let chunks = stream::try_unfold((self, order), |(read, order)| read.look_up(order));
        Ok(chunks
            .map_ok(|events| stream::iter(events).map(Ok))
            .try_flatten()
            .boxed())
    }

    /// The ids of the events that the query admits, in its order, as many as the budget has room for.
    async fn order(&self) -> Result<TopOrder, StoreError> {
        let ids = match self.query.id_order() {
            // The cursor's id bounds a descending order from the other side.
            Some(_) if self.query.filter.pinned_ids().is_none() => doc! { "$gt": "" },
            _ => self.candidate_ids(),
        };
        let mut top = TopK::new(&self.query, &self.sort_budget);
        let mut scan = AsOfScan::new(self.clone(), ids, BATCH_COUNT);
        loop {
            let (events, rest) = scan.next_to_judge().await?;
            let offered = compute(move |caller| {
                for event in &events {
                    caller.ensure_waiting()?;
                    top.offer(event)?;
                }
                Ok(top)
            });
            top = offered.await?;
            match rest {
                Some(rest) => scan = rest,
                None => return compute(move |_| Ok(top.into_order())).await,
            }
        }
    }

    /// The next events of an order, and the rest of it; `None` after the last.
    async fn look_up(mut self, mut order: TopOrder) -> LookedUp {
        if let Some(rest) = order.next() {
            self.query = rest;
            order = self.order().await?;
        }
        if order.ids.is_empty() {
            return Ok(None);
        }
        let rest = order.ids.split_off(order.ids.len().min(LOOK_UP_COUNT));
        let ids = std::mem::replace(&mut order.ids, rest);
        let texts: Vec<Bson> = ids.iter().map(|id| id.as_str().into()).collect();
        let scan = self
            .clone()
            .scan(doc! { "$in": texts }, BATCH_COUNT, |event| Ok(Some(event)));
        let by_id = scan.map_ok(|event| (event.id.clone(), event));
        let mut by_id: HashMap<EventId, Event> = by_id.try_collect().await?;
        let events = ids.iter().filter_map(|id| by_id.remove(id)).collect();
        Ok(Some((events, (self, order))))
    }
}

/// Events, and what is still to be looked up.
type LookedUp = Result<Option<(Vec<Event>, (AsOfRead, TopOrder))>, StoreError>;

/// A scan of the last change of each event up to `read.at`.
struct AsOfScan {
    read: AsOfRead,
    /// A condition on the log's `event`.
    ids: Document,
    /// Events in the next batch.
    size: u32,
    /// The last event that was read.
    last: Option<EventId>,
}

impl AsOfScan {
    fn new(read: AsOfRead, ids: Document, size: u32) -> Self {
        debug_assert!(size > 0, "a batch has at least one event");
        Self {
            read,
            ids,
            size,
            last: None,
        }
    }

    /// The events of the next batch that `admits` lets through and that may be told of, and the scan after them.
    async fn next(
        self,
        admits: impl Fn(Event) -> Candidate + Send + 'static,
    ) -> Result<(Vec<Event>, Option<Self>), StoreError> {
        let (database, query) = (self.read.database.clone(), Arc::clone(&self.read.query));
        let (events, rest) = self.next_as_of(admits).await?;
        let events = match query.seen_now {
            None => events,
            Some(_) => seen_now(&database, &query, events).await?,
        };
        Ok((events, rest))
    }

    /// The events of the next batch that are still to be judged. What they are now is read only of events that match.
    async fn next_to_judge(self) -> Result<(Vec<Event>, Option<Self>), StoreError> {
        let query = Arc::clone(&self.read.query);
        match query.seen_now {
            None => self.next(|event| Ok(Some(event))).await,
            Some(_) => self.next(move |event| admitted(&query, event)).await,
        }
    }

    /// The same, without what they are now.
    async fn next_as_of(
        mut self,
        admits: impl Fn(Event) -> Candidate + Send + 'static,
    ) -> Result<(Vec<Event>, Option<Self>), StoreError> {
        let Some(batch) = self.fetch().await? else {
            return Ok((Vec::new(), None));
        };
        compute(move |caller| {
            let mut events = Vec::new();
            let mut count = 0;
            for group in history::documents(&batch)? {
                caller.ensure_waiting()?;
                count += 1;
                let entry = group?.get_document("last");
                let entry = entry.map_err(|_| history::unreadable())?;
                if let Some(event) = self.advance(&decode::entry(entry)?)? {
                    events.extend(admits(event)?);
                }
            }
            let is_last = count < self.size && !log::is_open(&batch);
            // Where few are wanted but few are admitted, more are read at once.
            self.size = (self.size * 2).min(BATCH_COUNT);
            Ok((events, (!is_last).then_some(self)))
        })
        .await
    }

    async fn fetch(&self) -> Result<Option<RawBatch>, StoreError> {
        let log = collection(&self.read.database, LOG);
        let mut ids = self.ids.clone();
        if let Some(last) = &self.last {
            ids.insert("$gt", last.as_str());
        }
        let upto = doc! { "$lte": self.read.at.get().cast_signed() };
        let size = self.size;
        let pipeline = [
            doc! { "$match": { "event": ids, "_id": upto } },
            doc! { "$sort": history::index() },
            doc! { "$group": { "_id": "$event", "last": { "$first": "$$ROOT" } } },
            doc! { "$limit": i64::from(size) },
        ];
        let batch = within(QUERY_CALL_DEADLINE, async move {
            let aggregate = log.aggregate(pipeline).hint(Hint::Keys(history::index()));
            // One more than the limit, so that the server closes its cursor with the last.
            let aggregate = aggregate.batch_size(size.saturating_add(1));
            let aggregate = aggregate.max_time(limits::QUERY_DEADLINE);
            let mut batches = aggregate.allow_disk_use(true).batch().await?;
            batches.next().await.transpose()
        });
        Ok(batch.await?)
    }

    /// Moves on to the event of this change; returns the event, if it was there after it.
    fn advance(&mut self, change: &Change) -> Result<Option<Event>, StoreError> {
        let id = change.event_id();
        if self.last.as_ref().is_some_and(|last| last >= id) {
            let reason = "it does not answer in the order of the index of events";
            return Err(StoreError::Refused(reason.to_owned()));
        }
        if self.read.is_resumed && change.is_redacted() && change.kind() != ChangeKind::Delete {
            return Err(StoreError::Redacted);
        }
        self.last = Some(id.clone());
        Ok(change.after().map(|event| (**event).clone()))
    }
}

/// Those of past events that may be told of, by what they are now.
async fn seen_now(
    database: &Database,
    query: &Arc<Query>,
    mut events: Vec<Event>,
) -> Result<Vec<Event>, StoreError> {
    let ids: Vec<EventId> = events.iter().map(|event| event.id.clone()).collect();
    let mut seen = HashSet::new();
    let mut rest = &ids[..];
    while !rest.is_empty() {
        let loaded = load::load(database, rest, CURRENT_BYTES).await?;
        rest = &rest[loaded.looked_at..];
        let query = Arc::clone(query);
        let judged = compute(move |caller| {
            let mut seen = Vec::new();
            for current in loaded.events {
                caller.ensure_waiting()?;
                if is_seen_now(&query, Some(&current))? {
                    seen.push(current.id);
                }
            }
            Ok(seen)
        });
        seen.extend(judged.await?);
    }
    events.retain(|event| seen.contains(&event.id));
    Ok(events)
}

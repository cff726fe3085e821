//! Queries, answered in short steps.
//!
//! An answer in the order of ids is scanned as the caller takes it, from after the cursor; ids that the filter pins are
//! looked up instead. For any other order a scan over the events collects the sort key and the id of each match: no
//! more than the limit asks for, and no more than there is room for. The matches after those are collected by another
//! scan, when the caller gets there.
//!
//! Where an index helps (`planned`), the ids that it names are listed first, and looked up like those that a filter pins.
//!
//! Each step reads a new snapshot, as of the seq of the first: if the head has moved on since, as a read of the past.
//! So between two steps nothing is held, neither a thread nor a page of the file, however slow the client; and an
//! answer that is dropped ends with the step under way.

use std::sync::Arc;

use futures::stream;
use futures::{StreamExt, TryStreamExt};

use super::count;
use super::history::{PastView, Scanned};
use super::planned::Planned;
use super::steps::{EventReader, ReadDeadline, StepReader};
use crate::domain::{Event, EventId, Seq};
use crate::fairness::Requester;
use crate::query::{Count, Direction, Query};
use crate::store::embedded::shared::Shared;
use crate::store::top_k::{TopK, TopOrder};
use crate::store::{QueryEvents, QueryPlan, QueryResult, StoreError, admitted};

/// A chunk ends after so many events, or so many bytes.
const CHUNK_COUNT: usize = 256;
const CHUNK_BYTES: usize = 1024 * 1024;

/// See [`Store::find`](crate::store::Store::find).
pub(crate) async fn find(
    shared: &Arc<Shared>,
    requester: &Requester,
    query: &Arc<Query>,
) -> Result<QueryResult, StoreError> {
    let as_of = PastView {
        seq: shared.snapshot().seq,
        query: Arc::clone(query),
        began_at_head: true,
    };
    let mut reader = StepReader::new(shared, requester, query, as_of);
    let planned = reader.plan(query).await?;
    let counted = query.counts.then(|| Arc::clone(&planned.snapshot));
    let source = source(&reader, query, planned).await?;
    let count = match counted {
        Some(snapshot) => Some(count::count_now(&reader, query, snapshot).await?),
        None => None,
    };
    Ok(answer(reader, query, source, count))
}

/// See [`Store::find_at`](crate::store::Store::find_at).
pub(crate) async fn find_at(
    shared: &Arc<Shared>,
    requester: &Requester,
    query: &Arc<Query>,
    at: Seq,
) -> Result<QueryResult, StoreError> {
    let as_of = PastView {
        seq: at,
        query: Arc::clone(query),
        began_at_head: false,
    };
    let reader = StepReader::new(shared, requester, query, as_of);
    let source = match query.limit {
        Some(0) => nothing(),
        _ => scanned(&reader, query).await?,
    };
    let count = match query.counts {
        true => Some(count::count_past(&reader, query).await?),
        false => None,
    };
    Ok(answer(reader, query, source, count))
}

/// The events of an answer, by its plan.
async fn source(
    reader: &StepReader,
    query: &Arc<Query>,
    planned: Planned,
) -> Result<EventSource, StoreError> {
    if query.limit == Some(0) {
        return Ok(nothing());
    }
    match planned.source(reader, query).await? {
        Some(source) => Ok(source),
        None => scanned(reader, query).await,
    }
}

/// Of an answer without events.
fn nothing() -> EventSource {
    EventSource::Listed(TopOrder::of(Vec::new()))
}

/// The events of an answer that no index helps with.
async fn scanned(reader: &StepReader, query: &Arc<Query>) -> Result<EventSource, StoreError> {
    reader.cost.follows(match query.scans_all_events() {
        true => QueryPlan::Scan,
        false => QueryPlan::Ids,
    });
    if let Some(direction) = query.id_order() {
        return Ok(in_order(query, direction));
    }
    let order = sort(reader, Arc::clone(query), unordered(query)).await?;
    Ok(EventSource::Listed(order))
}

/// What comes after the ids that were collected, in the same order and as of the same seq.
async fn sort_rest(reader: &StepReader, rest: Arc<Query>) -> Result<TopOrder, StoreError> {
    let planned = reader.plan_at(&rest).await?;
    if let Some(planned) = planned
        && let Some(EventSource::Listed(order)) = planned.source(reader, &rest).await?
    {
        return Ok(order);
    }
    let all = unordered(&rest);
    sort(reader, rest, all).await
}

fn answer(
    reader: StepReader,
    query: &Arc<Query>,
    source: EventSource,
    count: Option<Count>,
) -> QueryResult {
    let seq = reader.as_of.seq;
    let cost = Arc::clone(&reader.cost);
    let progress = FindProgress {
        reader,
        query: Arc::clone(query),
        source,
    };
    QueryResult {
        seq,
        count,
        cost,
        events: progress.into_stream(),
    }
}

/// Which events are matched next.
pub(super) enum EventSource {
    /// All events in the order of ids, from after this one.
    Scan(Direction, Option<EventId>),
    /// These, and those that are collected after them.
    Listed(TopOrder),
}

impl EventSource {
    /// Passes events to `take` until the step is over or `take` has enough; returns the source of the remaining ones.
    pub(super) fn advance(
        self,
        events: &EventReader,
        mut take: impl FnMut(Event) -> Result<bool, StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let mut clock = ReadDeadline::start();
        match self {
            Self::Scan(direction, after) => {
                for scanned in events.scan(direction, after.as_ref())? {
                    let (id, is_enough) = match scanned? {
                        Scanned::Present(event) => (event.id.clone(), take(event)?),
                        Scanned::Absent(id) => (id, false),
                    };
                    if is_enough || clock.is_over() {
                        return Ok(Some(Self::Scan(direction, Some(id))));
                    }
                }
            }
            Self::Listed(mut order) => {
                while let Some(id) = order.ids.pop_front() {
                    let is_enough = match events.get(&id)? {
                        Some(event) => take(event)?,
                        None => false,
                    };
                    if is_enough || clock.is_over() {
                        return Ok(Some(Self::Listed(order)));
                    }
                }
                if order.rest.is_some() {
                    return Ok(Some(Self::Listed(order)));
                }
            }
        }
        Ok(None)
    }
}

fn in_order(query: &Query, direction: Direction) -> EventSource {
    match pinned(query) {
        Some(mut ids) => {
            if direction == Direction::Descending {
                ids.reverse();
            }
            EventSource::Listed(TopOrder::of(ids))
        }
        None => {
            let after = query.after_id().and_then(|id| EventId::stored(id).ok());
            EventSource::Scan(direction, after)
        }
    }
}

/// The ids that the filter pins, in order: only they can match. Text that cannot be an id matches nothing.
fn pinned(query: &Query) -> Option<Vec<EventId>> {
    let texts = query.filter.pinned_ids()?;
    let ids = texts.into_iter().filter_map(|id| EventId::stored(id).ok());
    let mut ids: Vec<EventId> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

/// All events that may match, in any order.
pub(super) fn unordered(query: &Query) -> EventSource {
    match pinned(query) {
        Some(ids) => EventSource::Listed(TopOrder::of(ids)),
        None => EventSource::Scan(Direction::Ascending, None),
    }
}

/// The ids of the answer in the query's order, as many as there is room for, of the events of `source`.
pub(super) async fn sort(
    reader: &StepReader,
    query: Arc<Query>,
    mut source: EventSource,
) -> Result<TopOrder, StoreError> {
    let mut top = TopK::new(&query, &reader.shared.sort_budget);
    loop {
        let step = reader.step(move |events| {
            let offer = |event: Event| {
                top.offer(&event)?;
                Ok(false)
            };
            Ok(match source.advance(events, offer)? {
                Some(rest) => Sorting::Unfinished(top, rest),
                None => Sorting::Done(top.into_order()),
            })
        });
        (top, source) = match step.await? {
            Sorting::Unfinished(top, rest) => (top, rest),
            Sorting::Done(order) => return Ok(order),
        };
    }
}

enum Sorting {
    Unfinished(TopK, EventSource),
    Done(TopOrder),
}

/// An answer in progress. Everything before `source` was yielded.
struct FindProgress {
    reader: StepReader,
    query: Arc<Query>,
    source: EventSource,
}

impl FindProgress {
    fn into_stream(self) -> QueryEvents {
        let chunks = stream::try_unfold(Some(self), |progress| async move {
            match progress {
                Some(progress) => progress.step().await.map(Some),
                None => Ok(None),
            }
        });
        chunks
            .map_ok(|events| stream::iter(events).map(Ok))
            .try_flatten()
            .boxed()
    }

    /// The next events of the answer, and the progress after them.
    async fn step(self) -> Result<(Vec<Event>, Option<Self>), StoreError> {
        let Self {
            reader,
            query,
            mut source,
        } = self;
        if let EventSource::Listed(order) = &mut source
            && let Some(rest) = order.next()
        {
            *order = sort_rest(&reader, rest).await?;
        }
        let matched = Arc::clone(&query);
        let step = reader.step(move |events| {
            let mut chunk = FindChunk::new(&matched);
            let rest = source.advance(events, |event| chunk.add(event))?;
            Ok((chunk.events, rest))
        });
        let (events, rest) = step.await?;
        let rest = rest.map(|source| Self {
            reader,
            query,
            source,
        });
        Ok((events, rest))
    }
}

struct FindChunk<'a> {
    query: &'a Query,
    events: Vec<Event>,
    count: usize,
    bytes: usize,
}

impl<'a> FindChunk<'a> {
    /// Holds at most one more than the limit, which tells the caller whether more remain.
    fn new(query: &'a Query) -> Self {
        let wanted = query.limit.unwrap_or(CHUNK_COUNT);
        Self {
            query,
            events: Vec::new(),
            count: wanted.saturating_add(1).min(CHUNK_COUNT),
            bytes: 0,
        }
    }

    /// Adds the event if the query admits it; returns whether the chunk is full.
    fn add(&mut self, event: Event) -> Result<bool, StoreError> {
        if let Some(event) = admitted(self.query, event)? {
            self.bytes += event.approx_bytes();
            self.events.push(event);
        }
        Ok(self.events.len() >= self.count || self.bytes >= CHUNK_BYTES)
    }
}

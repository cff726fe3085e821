//! Queries, answered in short steps.
//!
//! An answer in the order of ids is scanned as the caller takes it, from after the cursor; ids that the filter pins are
//! looked up instead. For any other order a scan over the events collects the sort key and the id of each match: no
//! more than the limit asks for, and no more than there is room for. The matches after those are collected by another
//! scan, when the caller gets there.
//!
//! Each step reads a new snapshot, as of the seq of the first: if the head has moved on since, as a read of the past.
//! So between two steps nothing is held, neither a thread nor a page of the file, however slow the client; and an
//! answer that is dropped ends with the step under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream;
use futures::{StreamExt, TryStreamExt};

use super::history::{PastView, Scanned};
use super::scan::Scan;
use super::snapshot::Snapshot;
use crate::domain::{Event, EventId, Seq};
use crate::fairness::{FairPermits, Requester};
use crate::query::{Direction, Query};
use crate::store::embedded::shared::{Shared, blocking};
use crate::store::top_k::{TopK, TopOrder};
use crate::store::{QueryEvents, QueryResult, StoreError, admitted};

/// A chunk ends after so many events, or so many bytes.
const CHUNK_COUNT: usize = 256;
const CHUNK_BYTES: usize = 1024 * 1024;

/// How long a step takes, plus the time to match one event.
const STEP: Duration = Duration::from_millis(20);

/// The clock is read once in so many events.
const CLOCK_INTERVAL: usize = 8;

/// See [`Store::find`](crate::store::Store::find).
pub(crate) async fn find(
    shared: &Arc<Shared>,
    requester: &Requester,
    query: &Arc<Query>,
) -> Result<QueryResult, StoreError> {
    let seq = shared.snapshot().seq;
    let as_of = PastView {
        seq,
        query: Arc::clone(query),
        began_at_head: true,
    };
    let events = answer(StepReader::new(shared, requester, query, as_of), query).await?;
    Ok(QueryResult { seq, events })
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
    let events = answer(StepReader::new(shared, requester, query, as_of), query).await?;
    Ok(QueryResult { seq: at, events })
}

async fn answer(reader: StepReader, query: &Arc<Query>) -> Result<QueryEvents, StoreError> {
    let source = match query.id_order() {
        Some(direction) => in_order(query, direction),
        None => EventSource::Listed(sort(&reader, Arc::clone(query)).await?),
    };
    let progress = FindProgress {
        reader,
        query: Arc::clone(query),
        source,
    };
    Ok(progress.into_stream())
}

/// Runs the steps of one answer.
struct StepReader {
    shared: Arc<Shared>,
    as_of: PastView,
    /// A step needs one of these, unless it only looks up ids.
    permits: Option<Arc<FairPermits>>,
    requester: Requester,
}

impl StepReader {
    fn new(shared: &Arc<Shared>, requester: &Requester, query: &Query, as_of: PastView) -> Self {
        let permits = match (query.filter.pinned_ids(), query.limit) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(&shared.page_permits),
            (None, None) => Some(&shared.listing_permits),
        };
        Self {
            shared: Arc::clone(shared),
            as_of,
            permits: permits.map(Arc::clone),
            requester: requester.clone(),
        }
    }

    async fn step<T: Send + 'static>(
        &self,
        work: impl FnOnce(&EventReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = match &self.permits {
            Some(permits) => Some(permits.acquire(&self.requester).await),
            None => None,
        };
        let events = EventReader {
            snapshot: self.shared.snapshot(),
            as_of: self.as_of.clone(),
        };
        blocking(move || {
            // Held until the step ends, whether or not the caller still waits for it.
            let _permit = permit;
            work(&events)
        })
        .await
    }
}

/// Reads the events of a snapshot as of some seq.
struct EventReader {
    snapshot: Arc<Snapshot>,
    as_of: PastView,
}

impl EventReader {
    fn get(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let current = self.snapshot.event(id)?;
        if !self.as_of.is_seen_now(current.as_ref())? {
            return Ok(None);
        }
        match current {
            Some(event) if event.seq <= self.as_of.seq => Ok(Some(event)),
            _ if self.is_current() => Ok(None),
            _ => self.snapshot.event_at(id, &self.as_of),
        }
    }

    /// All events from after some id.
    fn scan(
        &self,
        direction: Direction,
        after: Option<&EventId>,
    ) -> Result<EventSteps<'_>, StoreError> {
        Ok(match self.is_current() {
            true => {
                let scan = Scan::begin(&self.snapshot, direction, after)?;
                let scanned = |event: Event| match self.as_of.is_seen_now(Some(&event))? {
                    true => Ok(Scanned::Present(event)),
                    false => Ok(Scanned::Absent(event.id)),
                };
                Box::new(scan.map(move |event| event.and_then(scanned)))
            }
            false => Box::new(self.snapshot.scan_at(&self.as_of, direction, after)?),
        })
    }

    fn is_current(&self) -> bool {
        self.as_of.seq == self.snapshot.seq
    }
}

type EventSteps<'a> = Box<dyn Iterator<Item = Result<Scanned, StoreError>> + 'a>;

/// Which events are matched next.
enum EventSource {
    /// All events in the order of ids, from after this one.
    Scan(Direction, Option<EventId>),
    /// These, and those that are collected after them.
    Listed(TopOrder),
}

impl EventSource {
    /// Passes events to `take` until the step is over or `take` has enough; returns the source of the remaining ones.
    fn advance(
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

/// The ids of the answer in the query's order, as many as there is room for.
async fn sort(reader: &StepReader, query: Arc<Query>) -> Result<TopOrder, StoreError> {
    let mut top = TopK::new(&query, &reader.shared.sort_budget);
    let mut source = match pinned(&query) {
        Some(ids) => EventSource::Listed(TopOrder::of(ids)),
        None => EventSource::Scan(Direction::Ascending, None),
    };
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
            *order = sort(&reader, rest).await?;
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

/// Ends a step in time.
struct ReadDeadline {
    until: Instant,
    ticks: usize,
}

impl ReadDeadline {
    fn start() -> Self {
        Self {
            until: Instant::now() + STEP,
            ticks: 0,
        }
    }

    fn is_over(&mut self) -> bool {
        self.ticks += 1;
        self.ticks.is_multiple_of(CLOCK_INTERVAL) && Instant::now() >= self.until
    }
}

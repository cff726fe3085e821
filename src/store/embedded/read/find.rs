//! Answering queries, a short step at a time.
//!
//! An answer in the order of ids is read as it is wanted: it begins after the cursor, and ids that the
//! filter pins are looked up. Any other order is a pass over the events that keeps, of each that
//! matches, its place and its id: no more than the limit asks for, and no more than there is room for. What comes
//! after those is gathered by another pass, when it is wanted.
//!
//! Each step reads a snapshot of its own, as of the seq of the first: where the log has gone on since, as the past
//! is read. So between two steps nothing is held, neither a thread nor a page of the file, however slow the
//! client; and an answer that is dropped ends with the step under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::history::{Met, PastView};
use super::scan::Scan;
use super::snapshot::Snapshot;
use crate::domain::{Event, EventId, Seq};
use crate::query::{Direction, Query};
use crate::store::embedded::shared::{Shared, blocking};
use crate::store::top_k::{TopK, TopOrder};
use crate::store::{QueryResult, StoreError, admitted};

/// Events in a chunk, and bytes after which it ends.
const CHUNK_COUNT: usize = 256;
const CHUNK_BYTES: usize = 1024 * 1024;

/// How long a step takes, the judging of one event apart.
const STEP: Duration = Duration::from_millis(20);

/// Events between two looks at the clock.
const CLOCK_INTERVAL: usize = 8;

/// See [`Store::find`](crate::store::Store::find).
pub(crate) async fn find(
    shared: &Arc<Shared>,
    query: &Arc<Query>,
) -> Result<QueryResult, StoreError> {
    let seq = shared.snapshot().seq;
    let as_of = PastView {
        seq,
        is_begun: true,
    };
    let events = read(StepReader::new(shared, query, as_of), query).await?;
    Ok(QueryResult { seq, events })
}

/// See [`Store::find_at`](crate::store::Store::find_at).
pub(crate) async fn find_at(
    shared: &Arc<Shared>,
    query: &Arc<Query>,
    at: Seq,
) -> Result<QueryResult, StoreError> {
    let as_of = PastView {
        seq: at,
        is_begun: false,
    };
    let events = read(StepReader::new(shared, query, as_of), query).await?;
    Ok(QueryResult { seq: at, events })
}

async fn read(reader: StepReader, query: &Arc<Query>) -> Result<Answer, StoreError> {
    let source = match query.id_order() {
        Some(direction) => in_order(query, direction),
        None => EventSource::Listed(sort(&reader, Arc::clone(query)).await?),
    };
    let reading = FindProgress {
        reader,
        query: Arc::clone(query),
        source,
    };
    Ok(reading.into_stream())
}

type Answer = BoxStream<'static, Result<Event, StoreError>>;

/// Takes the steps of one answer.
struct StepReader {
    shared: Arc<Shared>,
    as_of: PastView,
    /// Who goes through many events takes turns with the others who do.
    turns: Option<Arc<Semaphore>>,
}

impl StepReader {
    fn new(shared: &Arc<Shared>, query: &Query, as_of: PastView) -> Self {
        let turns = match (query.filter.pinned_ids(), query.limit) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(&shared.pages),
            (None, None) => Some(&shared.listings),
        };
        Self {
            shared: Arc::clone(shared),
            as_of,
            turns: turns.map(Arc::clone),
        }
    }

    async fn step<T: Send + 'static>(
        &self,
        work: impl FnOnce(&EventReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = match &self.turns {
            Some(turns) => Some(Arc::clone(turns).acquire_owned().await),
            None => None,
        };
        let events = EventReader {
            snapshot: self.shared.snapshot(),
            as_of: self.as_of,
        };
        blocking(move || {
            // Until it ends, whether or not somebody still waits for it.
            let _turn = turn;
            work(&events)
        })
        .await
    }
}

/// Those of a snapshot, as they were at some place of the log.
struct EventReader {
    snapshot: Arc<Snapshot>,
    as_of: PastView,
}

impl EventReader {
    fn get(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        match self.snapshot.event(id)? {
            Some(event) if event.seq <= self.as_of.seq => Ok(Some(event)),
            _ if self.is_current() => Ok(None),
            _ => self.snapshot.event_at(id, self.as_of),
        }
    }

    /// From after some id.
    fn walk(
        &self,
        direction: Direction,
        after: Option<&EventId>,
    ) -> Result<EventSteps<'_>, StoreError> {
        Ok(match self.is_current() {
            true => {
                let walk = Scan::begin(&self.snapshot, direction, after)?;
                Box::new(walk.map(|event| event.map(Met::There)))
            }
            false => Box::new(self.snapshot.walk_at(self.as_of, direction, after)?),
        })
    }

    fn is_current(&self) -> bool {
        self.as_of.seq == self.snapshot.seq
    }
}

type EventSteps<'a> = Box<dyn Iterator<Item = Result<Met, StoreError>> + 'a>;

/// Where the events of an answer come from.
enum EventSource {
    /// All of them in the order of ids, from after this one.
    Walk(Direction, Option<EventId>),
    /// These, and what is gathered after them.
    Listed(TopOrder),
}

impl EventSource {
    /// Hands events out until the step is over, or whoever takes them has enough; what is left then.
    fn advance(
        self,
        events: &EventReader,
        mut take: impl FnMut(Event) -> Result<bool, StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let mut clock = ReadDeadline::start();
        match self {
            Self::Walk(direction, after) => {
                for met in events.walk(direction, after.as_ref())? {
                    let (id, is_enough) = match met? {
                        Met::There(event) => (event.id.clone(), take(event)?),
                        Met::Gone(id) => (id, false),
                    };
                    if is_enough || clock.is_over() {
                        return Ok(Some(Self::Walk(direction, Some(id))));
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
            EventSource::Walk(direction, after)
        }
    }
}

/// The only ids that can match, in order. Text that cannot be an id matches nothing.
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
    let mut top = TopK::new(&query, &reader.shared.orders);
    let mut source = match pinned(&query) {
        Some(ids) => EventSource::Listed(TopOrder::of(ids)),
        None => EventSource::Walk(Direction::Ascending, None),
    };
    loop {
        let stepped = reader.step(move |events| {
            let offer = |event: Event| {
                top.offer(&event)?;
                Ok(false)
            };
            Ok(match source.advance(events, offer)? {
                Some(rest) => Sorting::Unfinished(top, rest),
                None => Sorting::Done(top.into_order()),
            })
        });
        (top, source) = match stepped.await? {
            Sorting::Unfinished(top, rest) => (top, rest),
            Sorting::Done(order) => return Ok(order),
        };
    }
}

enum Sorting {
    Unfinished(TopK, EventSource),
    Done(TopOrder),
}

/// An answer being read. What was read so far is behind `source`.
struct FindProgress {
    reader: StepReader,
    query: Arc<Query>,
    source: EventSource,
}

impl FindProgress {
    fn into_stream(self) -> Answer {
        let chunks = stream::try_unfold(Some(self), |reading| async move {
            match reading {
                Some(reading) => reading.step().await.map(Some),
                None => Ok(None),
            }
        });
        chunks
            .map_ok(|events| stream::iter(events).map(Ok))
            .try_flatten()
            .boxed()
    }

    /// Events of the answer, and what goes on after them.
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
        let asked = Arc::clone(&query);
        let stepped = reader.step(move |events| {
            let mut chunk = FindChunk::new(&asked);
            let rest = source.advance(events, |event| chunk.takes(event))?;
            Ok((chunk.events, rest))
        });
        let (events, rest) = stepped.await?;
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
    /// Small where few are wanted: one more than the limit, by which a caller learns whether more remain.
    fn new(query: &'a Query) -> Self {
        let wanted = query.limit.unwrap_or(CHUNK_COUNT);
        Self {
            query,
            events: Vec::new(),
            count: wanted.saturating_add(1).min(CHUNK_COUNT),
            bytes: 0,
        }
    }

    /// Takes the event if the query admits it; whether that was enough.
    fn takes(&mut self, event: Event) -> Result<bool, StoreError> {
        if let Some(event) = admitted(self.query, event)? {
            self.bytes += event.weight();
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

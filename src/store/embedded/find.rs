//! Answering queries from a snapshot, a chunk at a time.
//!
//! An answer in the order of ids is read as it is wanted: it begins after the cursor, and ids that the
//! filter pins are looked up. Any other order is a pass over the events that keeps, of each that
//! matches, its place and its id: no more than the limit asks for, and never more than
//! [`limits::SORT_BYTES_MAX`]. Between two chunks no thread is held, however slow the client.
//!
//! A query of the past differs in nothing but where the events come from.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::shared::{Shared, blocking};
use super::snapshot::Snapshot;
use super::walk::Walk;
use crate::domain::{Event, EventId, Seq};
use crate::limits;
use crate::query::{Direction, Query};
use crate::store::top::Top;
use crate::store::{Found, StoreError, admitted};

/// Events in a chunk, and bytes after which it ends.
const CHUNK_COUNT: usize = 256;
const CHUNK_BYTES: usize = 1024 * 1024;

/// Events between two looks at the clock.
const CLOCK_INTERVAL: usize = 64;

/// See [`Store::find`](crate::store::Store::find).
pub(super) async fn find(shared: &Shared, query: &Arc<Query>) -> Result<Found, StoreError> {
    let snapshot = shared.snapshot();
    let seq = snapshot.seq;
    let events = read(Events { snapshot, at: None }, query).await?;
    Ok(Found { seq, events })
}

/// See [`Store::find_at`](crate::store::Store::find_at).
pub(super) async fn find_at(
    shared: &Shared,
    query: &Arc<Query>,
    at: Seq,
) -> Result<Found, StoreError> {
    let snapshot = shared.snapshot();
    let events = Events {
        snapshot,
        at: Some(at),
    };
    let events = read(events, query).await?;
    Ok(Found { seq: at, events })
}

async fn read(events: Events, query: &Arc<Query>) -> Result<Answer, StoreError> {
    let source = match query.id_order() {
        Some(direction) => in_order(query, direction),
        None => {
            let (events, query) = (events.clone(), Arc::clone(query));
            blocking(move || sort(&events, &query)).await?
        }
    };
    let reading = Reading {
        events,
        query: Arc::clone(query),
        source,
    };
    Ok(reading.into_stream())
}

type Answer = BoxStream<'static, Result<Event, StoreError>>;

/// Those of a snapshot, as they are or as they were after some change.
#[derive(Clone)]
struct Events {
    snapshot: Arc<Snapshot>,
    at: Option<Seq>,
}

impl Events {
    fn get(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        match self.at {
            None => self.snapshot.event(id),
            Some(at) => self.snapshot.event_at(id, at),
        }
    }

    /// From after some id; `None` stands for an event that was not there.
    fn walk(&self, direction: Direction, after: Option<&EventId>) -> Result<Steps<'_>, StoreError> {
        Ok(match self.at {
            None => {
                let walk = Walk::begin(&self.snapshot, direction, after)?;
                Box::new(walk.map(|event| event.map(Some)))
            }
            Some(at) => Box::new(self.snapshot.walk_at(at, direction, after)?),
        })
    }
}

type Steps<'a> = Box<dyn Iterator<Item = Result<Option<Event>, StoreError>> + 'a>;

/// Where the events of an answer come from.
enum Source {
    /// All of them in the order of ids, from after this one.
    Walk(Direction, Option<EventId>),
    /// These.
    Listed(VecDeque<EventId>),
}

fn in_order(query: &Query, direction: Direction) -> Source {
    match pinned(query) {
        Some(mut ids) => {
            if direction == Direction::Descending {
                ids.reverse();
            }
            Source::Listed(ids.into())
        }
        None => {
            let after = query.after_id().and_then(|id| EventId::parse(id).ok());
            Source::Walk(direction, after)
        }
    }
}

/// The only ids that can match, in order. Text that cannot be an id matches nothing.
fn pinned(query: &Query) -> Option<Vec<EventId>> {
    let texts = query.filter.pinned_ids()?;
    let ids = texts.into_iter().filter_map(|id| EventId::parse(id).ok());
    let mut ids: Vec<EventId> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

/// The ids of the answer in the query's order.
fn sort(events: &Events, query: &Query) -> Result<Source, StoreError> {
    let mut top = Top::new(query);
    let mut clock = Clock::start();
    match pinned(query) {
        Some(ids) => {
            for id in ids {
                if let Some(event) = events.get(&id)? {
                    top.offer(&event)?;
                }
            }
        }
        None => {
            for event in events.walk(Direction::Ascending, None)? {
                if let Some(event) = event? {
                    top.offer(&event)?;
                }
                clock.tick()?;
            }
        }
    }
    Ok(Source::Listed(top.into_ids()))
}

/// An answer being read. What was read so far is behind `source`.
struct Reading {
    events: Events,
    query: Arc<Query>,
    source: Source,
}

/// Events of an answer, and what goes on after them.
type Step = (Vec<Event>, Option<Reading>);

impl Reading {
    fn into_stream(self) -> Answer {
        let chunks = stream::try_unfold(Some(self), |reading| async move {
            match reading {
                Some(reading) => blocking(move || reading.step()).await.map(Some),
                None => Ok(None),
            }
        });
        chunks
            .map_ok(|events| stream::iter(events).map(Ok))
            .try_flatten()
            .boxed()
    }

    fn step(self) -> Result<Step, StoreError> {
        let Self {
            events,
            query,
            source,
        } = self;
        let mut chunk = Chunk::new(&query);
        let source = match source {
            Source::Walk(direction, after) => walk(&events, direction, after.as_ref(), &mut chunk)?,
            Source::Listed(ids) => look_up(&events, ids, &mut chunk)?,
        };
        let found = chunk.events;
        let rest = source.map(|source| Self {
            events,
            query,
            source,
        });
        Ok((found, rest))
    }
}

fn walk(
    events: &Events,
    direction: Direction,
    after: Option<&EventId>,
    chunk: &mut Chunk<'_>,
) -> Result<Option<Source>, StoreError> {
    let mut clock = Clock::start();
    for event in events.walk(direction, after)? {
        clock.tick()?;
        let Some(event) = event? else { continue };
        let id = event.id.clone();
        if chunk.takes(event)? {
            return Ok(Some(Source::Walk(direction, Some(id))));
        }
    }
    Ok(None)
}

fn look_up(
    events: &Events,
    mut ids: VecDeque<EventId>,
    chunk: &mut Chunk<'_>,
) -> Result<Option<Source>, StoreError> {
    while let Some(id) = ids.pop_front() {
        if let Some(event) = events.get(&id)?
            && chunk.takes(event)?
        {
            return Ok(Some(Source::Listed(ids)));
        }
    }
    Ok(None)
}

struct Chunk<'a> {
    query: &'a Query,
    events: Vec<Event>,
    count: usize,
    bytes: usize,
}

impl<'a> Chunk<'a> {
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

/// Ends a step that takes longer than a query may.
struct Clock {
    deadline: Instant,
    ticks: usize,
}

impl Clock {
    fn start() -> Self {
        Self {
            deadline: Instant::now() + limits::QUERY_DEADLINE,
            ticks: 0,
        }
    }

    fn tick(&mut self) -> Result<(), StoreError> {
        self.ticks += 1;
        match self.ticks.is_multiple_of(CLOCK_INTERVAL) && Instant::now() > self.deadline {
            true => Err(StoreError::QueryTooSlow),
            false => Ok(()),
        }
    }
}

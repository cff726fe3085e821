//! `GET /api/events`, `GET /api/events/stats`, `GET /api/events/{id}` and its history, `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query as Params, State};
use axum::http::header::{CACHE_CONTROL, ETAG};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};

use crate::domain::{Event, EventId, Rejection, Seq};
use crate::limits;
use crate::node::{Budget, Guarded, QueryResult, SeenHistory, StoreError};
use crate::protocol;
use crate::protocol::EventArray;
use crate::protocol::{Code, Failure, Fetch, History, Stats};
use crate::query::{Count, Query};
use crate::telemetry::Throttle;
use crate::transport::http::budgeted_body::{try_with_share, with_share};
use crate::transport::http::{conditions, params};
use crate::transport::{App, JSON};
use crate::value::Invalid;

/// A body is sent in chunks of about this size: large enough to amortise a write, small enough that
/// thousands of downloads fit in memory.
const CHUNK_BYTES: usize = 32 * 1024;

/// Beside the addresses of events.
pub(super) const STATS: &str = "/api/events/stats";

/// The address of the event that would have the other: the same letters, of which one is escaped.
pub(super) const EVENT_CALLED_STATS: &str = "/api/events/%73tats";

/// The browser that asked for an event may cache it, and must revalidate it before it shows it.
const REVALIDATED: (axum::http::HeaderName, &str) = (CACHE_CONTROL, "private, no-cache");

pub(crate) async fn events(
    State(app): State<App>,
    guarded: Guarded,
    Params(params): Params<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fetch = read_fetch(params, &Fetch::NAMES)?;
    if fetch.explain {
        let (seq, explained) = guarded.explain(&fetch).await?;
        return Ok((JSON, protocol::rest::explained(seq, &explained)).into_response());
    }
    let (fetch, result) = guarded.list(&fetch).await?;
    let mut chunks = Box::pin(list_body(fetch.query, result, app.node.budget().clone()));
    // A list that fails at once is answered with an error; after its first chunk it is too late for a status.
    let first = chunks.next().await.transpose()?;
    let chunks = stream::iter(first.map(Ok)).chain(chunks);
    Ok((JSON, Body::from_stream(chunks)).into_response())
}

/// `GET /api/events/stats`, or the event of the address. Only here are the two told apart: an event that is called `stats`
/// is written at either address.
pub(crate) async fn stats_or_event(
    app: State<App>,
    guarded: Guarded,
    uri: Uri,
    id: Path<String>,
    Params(params): Params<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    match uri.path() == STATS {
        true => stats(&guarded, params).await,
        false => event(app, guarded, id, Params(params), headers).await,
    }
}

async fn stats(guarded: &Guarded, params: Vec<(String, String)>) -> Result<Response, Failure> {
    let params = params::read(params, &Stats::NAMES)?;
    let stats = Stats::parse(&params, "query");
    let stats = stats.map_err(|invalid| Failure::at(Code::InvalidFilter, invalid))?;
    let (body, share) = guarded.stats(&stats).await?;
    Ok((JSON, with_share(body, share)).into_response())
}

async fn event(
    State(app): State<App>,
    guarded: Guarded,
    Path(id): Path<String>,
    Params(params): Params<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let id = read_id(&id)?;
    let fetch = read_fetch(params, &["fields", "minSeq", "at"])?;
    let precondition = conditions::read(&headers)?;
    let (seq, event) = guarded.event(&id, &fetch).await?;
    let etag = conditions::etag(event.version);
    if !precondition.is_met(Some(event.version)) {
        let (id, current) = (id, Some(Arc::new(event)));
        return Err(Rejection::PreconditionFailed { id, current }.into());
    }
    if precondition.is_excluded(Some(event.version)) {
        return Ok((StatusCode::NOT_MODIFIED, [REVALIDATED], [(ETAG, etag)]).into_response());
    }
    let fields = &fetch.query.fields;
    let body = protocol::rest::event(seq, &event, fields);
    drop(event);
    let bytes = body.len();
    let (etag, body) = match try_with_share(body, app.node.budget()) {
        Some(body) => (etag, body),
        None => {
            let share = app.node.budget().reserve(2 * bytes).await;
            let (seq, event) = guarded.event(&id, &fetch).await?;
            let etag = conditions::etag(event.version);
            let body = protocol::rest::event(seq, &event, fields);
            (etag, with_share(body, share))
        }
    };
    Ok((JSON, [REVALIDATED], [(ETAG, etag)], body).into_response())
}

pub(crate) async fn history(
    guarded: Guarded,
    Path(id): Path<String>,
    Params(params): Params<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let id = read_id(&id)?;
    let history = History::parse(&params::read(params, &History::NAMES)?, "query")
        .map_err(|invalid| Failure::at(Code::InvalidFilter, invalid))?;
    let SeenHistory {
        visible,
        fields,
        page,
        share,
    } = guarded.history(&id, &history).await?;
    let changes = visible
        .iter()
        .map(|(change, kind)| protocol::change(change, *kind, &fields));
    let last = page.changes.last().filter(|_| page.more);
    let body = protocol::rest::history(page.seq, changes, last.map(|last| last.seq));
    Ok((JSON, with_share(body, share)).into_response())
}

pub(super) fn read_id(text: &str) -> Result<EventId, Failure> {
    EventId::parse(text).map_err(|reason| Failure::at(Code::BadRequest, Invalid::new("id", reason)))
}

/// Query parameters are the payload of a FETCH.
fn read_fetch(params: Vec<(String, String)>, names: &[&str]) -> Result<Fetch, Failure> {
    let payload = params::read(params, names)?;
    Fetch::parse(&payload, "query").map_err(|invalid| Failure::at(Code::InvalidFilter, invalid))
}

pub(crate) async fn healthz(State(app): State<App>) -> Response {
    match app.node.trouble() {
        None => healthy(&app, None),
        Some(failure) => unhealthy(failure),
    }
}

pub(crate) async fn readyz(State(app): State<App>) -> Response {
    if let Some(failure) = app.node.trouble() {
        return unhealthy(failure);
    }
    match app.node.head().await {
        Ok(head) => healthy(&app, Some(head)),
        Err(failure) => unhealthy(failure),
    }
}

/// A log with an unreadable entry is served all the same, and its operator is told. Where somebody guards, strangers are not
/// told how far the log is.
fn healthy(app: &App, head: Option<Seq>) -> Response {
    let is_open = !app.guard.is_there();
    let building = match head {
        Some(_) if is_open => app.node.building_indexes(),
        _ => Vec::new(),
    };
    let head = head.filter(|_| is_open);
    let body = protocol::rest::health(head, app.node.first_unreadable(), &building);
    (JSON, body).into_response()
}

/// Health checks expect one status, whatever the reason.
fn unhealthy(failure: Failure) -> Response {
    let mut response = failure.into_response();
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

static LISTING_THROTTLE: Throttle = Throttle::new();

/// A list of events being sent: a few chunks in memory, however long it is.
struct Listing {
    query: Arc<Query>,
    seq: Seq,
    count: Option<Count>,
    events: BoxStream<'static, Result<Event, StoreError>>,
    /// The last event, once the limit is reached: the cursor of the next page.
    last: Option<Event>,
    stage: ListingStage,
}

enum ListingStage {
    Start,
    Events(EventArray),
    Done,
}

fn list_body(
    query: Arc<Query>,
    result: QueryResult,
    budget: Budget,
) -> impl Stream<Item = Result<Bytes, StoreError>> {
    let QueryResult {
        seq, count, events, ..
    } = result;
    let listing = Listing {
        query,
        seq,
        count,
        events,
        last: None,
        stage: ListingStage::Start,
    };
    stream::try_unfold((listing, budget), async |(mut listing, budget)| {
        let share = budget.reserve(CHUNK_BYTES + limits::EVENT_BYTES_MAX).await;
        let chunk = listing.next_chunk().await?;
        Ok(chunk.map(|chunk| (with_share(chunk, share), (listing, budget))))
    })
}

impl Listing {
    /// The next chunk of the body; `None` when it is whole. An error ends the body early, so that the client cannot
    /// take a part for the whole.
    async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let (mut chunk, mut array) = match std::mem::replace(&mut self.stage, ListingStage::Done) {
            ListingStage::Start => protocol::rest::list_start(self.seq, self.count),
            ListingStage::Events(array) => (Vec::new(), array),
            ListingStage::Done => return Ok(None),
        };
        while chunk.len() < CHUNK_BYTES {
            match self.events.next().await.transpose() {
                Ok(Some(event)) if self.query.limit != Some(array.count()) => {
                    array.push(&mut chunk, &event, &self.query.fields);
                    if self.query.limit == Some(array.count()) {
                        self.last = Some(event);
                    }
                }
                Ok(more) => {
                    let next = self.next_cursor(more.is_some());
                    array.finish(&mut chunk, next.as_deref());
                    return Ok(Some(chunk));
                }
                Err(error) => {
                    LISTING_THROTTLE.log(|suppressed| {
                        tracing::warn!(%error, suppressed, "a listing ends early");
                    });
                    return Err(error);
                }
            }
        }
        self.stage = ListingStage::Events(array);
        Ok(Some(chunk))
    }

    fn next_cursor(&self, has_more: bool) -> Option<String> {
        let last = self.last.as_ref().filter(|_| has_more)?;
        Some(self.query.cursor_token(last, self.seq.get()))
    }
}

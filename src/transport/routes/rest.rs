//! `GET /api/events`, `GET /api/events/{id}` and its history, `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query as Params, State};
use axum::http::header::{CACHE_CONTROL, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};

use crate::domain::VisibleKind;
use crate::domain::{Event, EventId, Rejection, Seq};
use crate::limits;
use crate::node::Budget;
use crate::node::{QueryResult, StoreError};
use crate::protocol;
use crate::protocol::{Code, Failure, Fetch, Frame, History, Shaped};
use crate::query::{Fields, Query};
use crate::transport::http::held::{held, held_at_once};
use crate::transport::http::{conditions, params};
use crate::transport::{App, JSON};
use crate::value::Invalid;

/// A body is sent in pieces of about this size: large enough to amortise a write, small enough that
/// thousands of downloads fit in memory.
const CHUNK_BYTES: usize = 32 * 1024;

/// One event may be kept by the browser that asked for it, which asks whether it is still that before it shows it.
const KEPT: (axum::http::HeaderName, &str) = (CACHE_CONTROL, "private, no-cache");

/// What a page of the log may come to: its changes with the one that ends it, and what is told of them.
pub(super) const LIST_BYTES_MAX: usize = 2 * (limits::LOG_PAGE_BYTES_MAX + limits::EVENT_BYTES_MAX);

pub(crate) async fn events(
    State(app): State<App>,
    Params(params): Params<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let asked = read_fetch(params, &Fetch::NAMES)?;
    let found = app.node.list(&asked).await?;
    let mut chunks = Box::pin(body(asked.query, found, app.node.budget().clone()));
    // What cannot be read at all is refused; later it is too late for a status.
    let first = chunks.next().await.transpose()?;
    let chunks = stream::iter(first.map(Ok)).chain(chunks);
    Ok((JSON, Body::from_stream(chunks)).into_response())
}

pub(crate) async fn event(
    State(app): State<App>,
    Path(id): Path<String>,
    Params(params): Params<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let id = read_id(&id)?;
    let asked = read_fetch(params, &["fields", "minSeq", "at"])?;
    let guard = conditions::read(&headers)?;
    let (seq, event) = app.node.event(&id, &asked).await?;
    let tag = conditions::tag(event.version);
    if !guard.is_met(Some(event.version)) {
        let (id, current) = (id, Some(Arc::new(event)));
        return Err(Rejection::PreconditionFailed { id, current }.into());
    }
    if guard.is_excluded(Some(event.version)) {
        return Ok((StatusCode::NOT_MODIFIED, [KEPT], [(ETAG, tag)]).into_response());
    }
    let body = one(seq, event, &asked.query.fields);
    let bytes = body.len();
    let (tag, body) = match held_at_once(body, app.node.budget()) {
        Some(body) => (tag, body),
        None => {
            let share = app.node.budget().reserve(2 * bytes).await;
            let (seq, event) = app.node.event(&id, &asked).await?;
            let tag = conditions::tag(event.version);
            (tag, held(one(seq, event, &asked.query.fields), share))
        }
    };
    Ok((JSON, [KEPT], [(ETAG, tag)], body).into_response())
}

fn one(seq: Seq, event: Event, fields: &Fields) -> String {
    let data = serde_json::to_string(&Shaped::of(event, fields));
    let data = data.expect("an event is JSON");
    format!(r#"{{"success":true,"seq":{seq},"data":{data}}}"#)
}

pub(crate) async fn history(
    State(app): State<App>,
    Path(id): Path<String>,
    Params(params): Params<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let id = read_id(&id)?;
    let asked = History::parse(&params::read(params, &History::NAMES)?, "query")
        .map_err(|invalid| Failure::at(Code::InvalidFilter, invalid))?;
    let share = app.node.budget().reserve(LIST_BYTES_MAX).await;
    let chapter = app.node.history(&id, &asked).await?;
    let told = chapter.changes.iter().map(|change| {
        let seen = VisibleKind::plainly(change);
        protocol::change(change, seen, &asked.fields)
    });
    let head = format!(r#"{{"success":true,"seq":{}"#, chapter.seq);
    let last = chapter.changes.last().filter(|_| chapter.more);
    let body = list(head, told, last.map(|last| last.seq));
    Ok((JSON, held(body, share)).into_response())
}

/// `{…,"data":[…],"next":41}`, where the next page is what comes after the change at `next`.
pub(crate) fn list(
    mut body: String,
    told: impl Iterator<Item = Frame>,
    next: Option<Seq>,
) -> String {
    body.push_str(r#","data":["#);
    let mut separator = "";
    for frame in told {
        body.push_str(separator);
        body.push_str(frame.as_str());
        separator = ",";
    }
    body.push(']');
    if let Some(next) = next {
        body.push_str(&format!(r#","next":{next}"#));
    }
    body.push('}');
    body
}

pub(super) fn read_id(text: &str) -> Result<EventId, Failure> {
    EventId::parse(text).map_err(|reason| Failure::at(Code::BadRequest, Invalid::new("id", reason)))
}

/// Query parameters are a FETCH's payload.
fn read_fetch(params: Vec<(String, String)>, names: &[&str]) -> Result<Fetch, Failure> {
    let asked = params::read(params, names)?;
    Fetch::parse(&asked, "query").map_err(|invalid| Failure::at(Code::InvalidFilter, invalid))
}

pub(crate) async fn healthz(State(app): State<App>) -> Response {
    match app.node.trouble() {
        None => healthy(&app, ""),
        Some(trouble) => unwell(trouble),
    }
}

pub(crate) async fn readyz(State(app): State<App>) -> Response {
    if let Some(trouble) = app.node.trouble() {
        return unwell(trouble);
    }
    match app.node.head().await {
        Ok(seq) => healthy(&app, &format!(r#","seq":{seq}"#)),
        Err(failure) => unwell(failure),
    }
}

/// A log with an unreadable entry is served all the same, but whoever looks after it must know.
fn healthy(app: &App, more: &str) -> Response {
    let corrupt = app.node.unreadable();
    let corrupt = corrupt.map_or(String::new(), |seq| format!(r#","corrupt":{seq}"#));
    (JSON, format!(r#"{{"success":true{more}{corrupt}}}"#)).into_response()
}

/// Whatever the reason, who watches over servers expects one status.
fn unwell(reason: Failure) -> Response {
    let mut response = reason.into_response();
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// A list of events being written: a few chunks in memory, however long it is.
struct Listing {
    query: Arc<Query>,
    seq: Seq,
    events: BoxStream<'static, Result<Event, StoreError>>,
    count: usize,
    last: Option<Event>,
    stage: ListingStage,
}

#[derive(PartialEq)]
enum ListingStage {
    Head,
    Events,
    Done,
}

fn body(
    query: Arc<Query>,
    found: QueryResult,
    budget: Budget,
) -> impl Stream<Item = Result<Bytes, StoreError>> {
    let QueryResult { seq, events } = found;
    let listing = Listing {
        query,
        seq,
        events,
        count: 0,
        last: None,
        stage: ListingStage::Head,
    };
    stream::try_unfold((listing, budget), async |(mut listing, budget)| {
        let share = budget.reserve(CHUNK_BYTES + limits::EVENT_BYTES_MAX).await;
        let chunk = listing.chunk().await?;
        Ok(chunk.map(|chunk| (held(chunk, share), (listing, budget))))
    })
}

impl Listing {
    /// The next piece of `{"success":true,"seq":41,"data":[…],"next":"…"}`; `None` when it is whole.
    ///
    /// An error ends the body early, so that the client cannot take a part for the whole.
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if self.stage == ListingStage::Done {
            return Ok(None);
        }
        let mut chunk = Vec::new();
        if self.stage == ListingStage::Head {
            chunk.extend_from_slice(
                format!(r#"{{"success":true,"seq":{},"data":["#, self.seq).as_bytes(),
            );
            self.stage = ListingStage::Events;
        }
        while chunk.len() < CHUNK_BYTES {
            match self.events.next().await.transpose() {
                Ok(Some(event)) if self.query.limit != Some(self.count) => {
                    self.write(event, &mut chunk)
                }
                Ok(more) => {
                    self.finish(more.is_some(), &mut chunk);
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "a listing ends early");
                    return Err(error);
                }
            }
        }
        Ok(Some(chunk))
    }

    fn write(&mut self, event: Event, chunk: &mut Vec<u8>) {
        if self.count > 0 {
            chunk.push(b',');
        }
        self.count += 1;
        if self.query.limit == Some(self.count) {
            self.last = Some(event.clone());
        }
        serde_json::to_writer(&mut *chunk, &Shaped::of(event, &self.query.fields))
            .expect("an event is JSON, and memory takes it");
    }

    fn finish(&mut self, more: bool, chunk: &mut Vec<u8>) {
        chunk.push(b']');
        if let Some(last) = self.last.as_ref().filter(|_| more) {
            let cursor = serde_json::to_string(&self.query.cursor_after(last, self.seq.get()))
                .expect("text is JSON");
            chunk.extend_from_slice(format!(r#","next":{cursor}"#).as_bytes());
        }
        chunk.push(b'}');
        self.stage = ListingStage::Done;
    }
}

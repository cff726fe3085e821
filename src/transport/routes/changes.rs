//! `GET /api/changes`: the log in pages of JSON, or a subscription as Server-Sent Events.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query as Params, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use tokio::sync::Notify;

use super::sse::EventStream;
use crate::guard::Admission;
use crate::limits;
use crate::node::Guarded;
use crate::protocol;
use crate::protocol::{Code, Failure, Subscribe};
use crate::transport::http::accept::wants_events;
use crate::transport::http::admission::Admitted;
use crate::transport::http::budgeted_body::with_share;
use crate::transport::http::header::once;
use crate::transport::http::params;
use crate::transport::{App, JSON};
use crate::value::{Document, Invalid, Value};

/// What a browser's EventSource sends when it reconnects: the id of the last event it got.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// nginx, and proxies that took it over from there, keep an answer back until it is long enough, unless it says this.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The parameters of a page of the log.
const PAGE_NAMES: [&str; 6] = ["filter", "fields", "after", "epoch", "limit", "minSeq"];

pub(crate) async fn changes(
    State(app): State<App>,
    Admitted { guarded, admission }: Admitted,
    Params(params): Params<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let answer = match wants_events(&headers) {
        true => {
            events(
                app,
                guarded,
                admission,
                params::read(params, &Subscribe::NAMES)?,
                &headers,
            )
            .await?
        }
        false => {
            let reason = "of a stream alone, which is asked for with Accept: text/event-stream";
            refuse(&params, &["snapshot", "mode", "sort", "count"], reason)?;
            page(&guarded, &params::read(params, &PAGE_NAMES)?).await?
        }
    };
    Ok(([(VARY, "accept")], answer).into_response())
}

/// Refuses parameters of the other kind of answer.
fn refuse(params: &[(String, String)], names: &[&str], reason: &str) -> Result<(), Failure> {
    let mut given = params.iter().map(|(name, _)| name);
    match given.find(|name| names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let at = format!("query.{name}");
            Err(Failure::at(Code::BadRequest, Invalid::new(at, reason)))
        }
    }
}

async fn events(
    app: App,
    guarded: Guarded,
    admission: Admission,
    params: Document,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    app.node.health()?;
    let subscribe = Subscribe::parse(&resumed(params, headers)?, "query")?;
    let seat = guarded.seat()?;
    let wakeup = Arc::new(Notify::new());
    let (subscription, stale) = guarded.subscribe(&subscribe, &wakeup).await?;
    let stream = EventStream::new(subscription, stale, admission, seat, &app);
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (X_ACCEL_BUFFERING, "no"),
    ];
    Ok((headers, Body::from_stream(stream.chunks())).into_response())
}

/// A client that reconnects resumes from its last event, whatever its address says.
fn resumed(params: Document, headers: &HeaderMap) -> Result<Document, Failure> {
    let last = once(headers, &LAST_EVENT_ID)?;
    // A browser that has got no id yet may send an empty one.
    let Some(last) = last.filter(|last| !last.is_empty()) else {
        return Ok(params);
    };
    let (epoch, after) = last
        .split_once(':')
        .and_then(|(epoch, after)| Some((epoch, after.parse().ok()?)))
        .ok_or_else(|| {
            let reason = "expected the id of an event, EPOCH:SEQ";
            Failure::at(Code::BadRequest, Invalid::new("Last-Event-ID", reason))
        })?;
    let rest = params
        .into_iter()
        .filter(|(name, _)| name != "after" && name != "epoch");
    let position = [("epoch", epoch.into()), ("after", Value::Int(after))];
    Ok(rest
        .chain(position.map(|(name, value)| (name.to_owned(), value)))
        .collect())
}

/// One page of the log: the next `limit` changes as far as the filter sees them, as they are sent on the socket.
async fn page(guarded: &Guarded, params: &Document) -> Result<Response, Failure> {
    let selection = params.iter().filter(|(name, _)| *name != "limit");
    let selection = selection.map(|(name, value)| (name.to_owned(), value.clone()));
    let subscribe = Subscribe::parse(&selection.collect(), "query")?;
    let page = guarded.changes(&subscribe, limit(params)?).await?;
    let frames = page
        .visible
        .iter()
        .map(|(change, kind)| protocol::change(change, *kind, &page.fields));
    let last = page.last.filter(|last| *last < page.seq);
    let body = protocol::rest::changes(guarded.epoch().0, page.seq, frames, last);
    Ok((JSON, with_share(body, page.share)).into_response())
}

fn limit(params: &Document) -> Result<usize, Failure> {
    let invalid =
        |reason: String| Failure::at(Code::InvalidFilter, Invalid::new("query.limit", reason));
    let limit = match params.get("limit") {
        None => return Ok(limits::FETCH_COUNT_DEFAULT),
        Some(Value::Int(limit)) => usize::try_from(*limit).unwrap_or(0),
        Some(_) => 0,
    };
    match limit {
        1..=limits::FETCH_COUNT_MAX => Ok(limit),
        _ => Err(invalid(format!(
            "expected an integer from 1 to {}",
            limits::FETCH_COUNT_MAX
        ))),
    }
}

//! `POST /api/events`, `PATCH` and `DELETE /api/events/{id}`, `POST /api/events/{id}/restore`, `/api/batch` and
//! `/api/broadcast`.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Path;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, Request, StatusCode};
use axum::response::{IntoResponse, Response};

use super::rest::{EVENT_CALLED_STATS, STATS, read_id};
use crate::domain::{CommandBatch, CommandId, CommandKind, EventId};
use crate::node::{Done, Guarded, SubmitError};
use crate::protocol;
use crate::protocol::{Code, Failure, RequestKind};
use crate::transport::JSON;
use crate::transport::http::budgeted_body::{try_with_share, with_share};
use crate::transport::http::header::{invalid, once};
use crate::transport::http::params::NoParams;
use crate::transport::http::{conditions, content};
use crate::value;
use crate::value::{Document, Invalid, Value};

/// The header that gives a command its id, so that repeating it has no second effect.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(crate) async fn create(
    guarded: Guarded,
    _: NoParams,
    headers: HeaderMap,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let precondition = conditions::read(&headers)?;
    let payload = document(&headers, request).await?;
    let batch = command(CommandKind::Create, payload, &headers)?.with_precondition(precondition);
    let has_id = batch.commands.iter().all(|new| new.target().is_some());
    let done = guarded.write(batch).await;
    let done = done.map_err(|failure| match has_id {
        true => failure,
        false => without_made_id(failure),
    })?;
    let location = [(LOCATION, path_of(done.change().event_id()))];
    let answer = answer(&guarded, RequestKind::Create, done).await?;
    Ok((StatusCode::CREATED, location, answer).into_response())
}

pub(crate) async fn update(
    guarded: Guarded,
    Path(id): Path<String>,
    _: NoParams,
    headers: HeaderMap,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let id = read_id(&id)?;
    let field = match content::media_type(&headers, &[content::JSON, content::MERGE_PATCH])? {
        content::MERGE_PATCH => "mergePatch",
        _ => "updateData",
    };
    let body = content::read(request).await?;
    let update = protocol::read_document(&body, &format!("payload.{field}"))?;
    let payload = [("id", Value::from(id.as_str())), (field, update.into())];
    write(&guarded, CommandKind::Update, payload, &headers).await
}

pub(crate) async fn delete(
    guarded: Guarded,
    Path(id): Path<String>,
    _: NoParams,
    headers: HeaderMap,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let payload = [("id", Value::from(read_id(&id)?.as_str()))];
    refuse_body(request).await?;
    write(&guarded, CommandKind::Delete, payload, &headers).await
}

/// The body is a RESTORE's payload without the `id`: the address names the event.
pub(crate) async fn restore(
    guarded: Guarded,
    Path(id): Path<String>,
    _: NoParams,
    headers: HeaderMap,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let id = read_id(&id)?;
    let body = document(&headers, request).await?;
    let body = value::known(body, "payload", &["version", "expectedVersion"])
        .map_err(|invalid| Failure::at(Code::BadRequest, invalid))?;
    let id = [("id".to_owned(), Value::from(id.as_str()))];
    let payload = id.into_iter().chain(body);
    write(&guarded, CommandKind::Restore, payload, &headers).await
}

/// The body is a BATCH's payload.
pub(crate) async fn batch(
    guarded: Guarded,
    _: NoParams,
    headers: HeaderMap,
    request: Request<Body>,
) -> Result<Response, Failure> {
    conditions::refuse(&headers)?;
    let payload = document(&headers, request).await?;
    let batch = CommandBatch::parse_batch(payload, command_id(&headers)?)
        .map_err(|invalid| Failure::at(Code::BadRequest, invalid))?;
    let done = guarded.write(batch).await?;
    answer(&guarded, RequestKind::Batch, done).await
}

/// The body is the payload, sent on as it was written.
pub(crate) async fn broadcast(
    guarded: Guarded,
    _: NoParams,
    headers: HeaderMap,
    request: Request<Body>,
) -> Result<Response, Failure> {
    conditions::refuse(&headers)?;
    if headers.contains_key(&IDEMPOTENCY_KEY) {
        return Err(invalid(&IDEMPOTENCY_KEY, protocol::BROADCAST_IS_NOT_KEPT));
    }
    let body = json(&headers, request).await?;
    let payload = protocol::read_broadcast(protocol::utf8(&body)?)?;
    let sent = guarded.publish(payload)?.await;
    sent.unwrap_or(Err(SubmitError::Unknown))?;
    Ok((JSON, protocol::rest::DONE).into_response())
}

/// The failure without the id that the server made for an event that was not created: its client does not know it.
fn without_made_id(failure: Failure) -> Failure {
    match failure.code {
        Code::PreconditionFailed => Failure::new(
            Code::PreconditionFailed,
            "an event without an _id is a new one, which is at no version that If-Match could name",
        ),
        _ => failure,
    }
}

/// A client that states a precondition in the body must not find the event deleted though it was not met.
async fn refuse_body(request: Request<Body>) -> Result<(), Failure> {
    if request.body().is_end_stream() || content::read(request).await?.is_empty() {
        return Ok(());
    }
    let reason = "a DELETE has no body: what must hold of the event is said in If-Match";
    Err(Failure::at(
        Code::BadRequest,
        Invalid::new("payload", reason),
    ))
}

/// A write to the event that the address names, under the preconditions that the headers state.
async fn write<N: Into<String>>(
    guarded: &Guarded,
    verb: CommandKind,
    payload: impl IntoIterator<Item = (N, Value)>,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let precondition = conditions::read(headers)?;
    let mut payload = payload.into_iter().collect();
    conditions::add_expected_version(&precondition, &mut payload)?;
    let batch = command(verb, payload, headers)?.with_precondition(precondition);
    let done = guarded.write(batch).await?;
    answer(guarded, verb.into(), done).await
}

fn command(
    verb: CommandKind,
    payload: Document,
    headers: &HeaderMap,
) -> Result<CommandBatch, Failure> {
    CommandBatch::parse(verb, payload, command_id(headers)?)
        .map_err(|invalid| Failure::at(Code::BadRequest, invalid))
}

fn command_id(headers: &HeaderMap) -> Result<Option<CommandId>, Failure> {
    let id = once(headers, &IDEMPOTENCY_KEY)?;
    let id = id.map(|text| CommandId::parse(text, IDEMPOTENCY_KEY.as_str()));
    id.transpose()
        .map_err(|invalid| Failure::at(Code::BadRequest, invalid))
}

/// The answer to a write, with the event's version, if it still exists. A large one for which the budget has no share
/// is dropped, and read from the log again when there is one.
async fn answer(guarded: &Guarded, kind: RequestKind, done: Done) -> Result<Response, Failure> {
    let event = done.change().after().filter(|_| kind != RequestKind::Batch);
    let etag = event.map(|event| [(ETAG, conditions::etag(event.version))]);
    let (first, count, is_repeated) = (done.change().seq, done.changes.len(), done.is_repeated);
    let body = protocol::rest::write_done(kind, &done.changes, is_repeated);
    let bytes = body.len();
    drop(done);
    let body = match try_with_share(body.into_bytes(), guarded.budget()) {
        Some(body) => body,
        None => {
            let (changes, share) = guarded.read_write_again(first, count, bytes).await?;
            let body = protocol::rest::write_done(kind, &changes, is_repeated);
            with_share(body.into_bytes(), share)
        }
    };
    Ok((JSON, etag, body).into_response())
}

/// The address of an event. An id may hold what a path may not.
fn path_of(id: &EventId) -> String {
    let mut path = "/api/events/".to_owned();
    for byte in id.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    match path == STATS {
        true => EVENT_CALLED_STATS.to_owned(),
        false => path,
    }
}

async fn document(headers: &HeaderMap, request: Request<Body>) -> Result<Document, Failure> {
    let body = json(headers, request).await?;
    protocol::read_document(&body, "payload")
}

async fn json(headers: &HeaderMap, request: Request<Body>) -> Result<Bytes, Failure> {
    content::media_type(headers, &[content::JSON])?;
    content::read(request).await
}

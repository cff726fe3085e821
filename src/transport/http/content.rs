//! The body of a request: its media type, and its bytes, within bounds of size and time.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::FromRequest;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, Request, StatusCode};
use tokio::time::sleep;

use crate::limits;
use crate::node::Guarded;
use crate::protocol::{Code, Failure};
use crate::transport::connection::{Awaited, ByteCounters};

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";

/// Which of these media types the body has. They are JSON in UTF-8, not compressed.
pub(crate) fn media_type(
    headers: &HeaderMap,
    expected: &[&'static str],
) -> Result<&'static str, Failure> {
    if headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(unsupported("a body must not be compressed".to_owned()));
    }
    let given = content_type(headers);
    let matched = given.and_then(|given| {
        expected
            .iter()
            .find(|kind| kind.eq_ignore_ascii_case(given))
    });
    let names = || format!("expected Content-Type: {} in UTF-8", expected.join(" or "));
    matched.copied().ok_or_else(|| unsupported(names()))
}

/// `type/subtype`, if it is given once and its charset, if there is one, is that of JSON.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let value = values.next()?.to_str().ok()?;
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next()?;
    let is_utf8 = |part: &str| match part.split_once('=') {
        Some((name, charset)) if name.eq_ignore_ascii_case("charset") => {
            let charset = charset.trim_matches('"');
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    };
    (values.next().is_none() && parts.all(is_utf8)).then_some(kind)
}

fn unsupported(message: String) -> Failure {
    Failure::new(Code::UnsupportedMediaType, message)
}

/// The whole body. One that is too large, or more than the quota allows, is refused before it is sent, if its client states
/// the length and waits (`Expect: 100-continue`).
pub(crate) async fn read(request: Request<Body>) -> Result<Bytes, Failure> {
    if request.body().size_hint().lower() > limits::MESSAGE_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let guarded = request.extensions().get::<Guarded>().cloned();
    let announced = request.body().size_hint().exact();
    if let (Some(guarded), Some(bytes)) = (&guarded, announced) {
        guarded.receive(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    }
    let counters = request.extensions().get::<ByteCounters>().cloned();
    let counters = counters.expect("every connection has counters");
    let allowance = counters.allowance();
    allowance.set_awaited(Awaited::Body);
    let reading = Bytes::from_request(request, &());
    let read = tokio::select! {
        body = reading => body.map_err(|rejection| broken_off(&rejection)),
        () = sleep(limits::BODY_READ_DEADLINE) => {
            Err(too_slow(allowance.is_used_up(counters.received())))
        }
        () = allowance.body_evicted() => Err(too_slow(false)),
    };
    allowance.set_awaited(Awaited::Answer);
    if let (Some(guarded), None, Ok(body)) = (&guarded, announced, &read) {
        guarded.receive(body.len())?;
    }
    read
}

/// Why the rest of a body is not waited for; `is_held_back` if the server did not read it, for want of a share.
fn too_slow(is_held_back: bool) -> Failure {
    match is_held_back {
        true => Failure::new(Code::Busy, "too much is being sent to this server"),
        false => Failure::new(Code::TimedOut, "the body did not come in time"),
    }
}

fn broken_off(rejection: &BytesRejection) -> Failure {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Failure::new(Code::BadRequest, "the body broke off"),
    }
}

fn too_large() -> Failure {
    let message = format!("a body must not exceed {} bytes", limits::MESSAGE_BYTES_MAX);
    Failure::new(Code::MessageTooLarge, message)
}

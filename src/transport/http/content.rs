//! The body of a request: what it says it is, and its bytes, within bounds.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::FromRequest;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, Request, StatusCode};
use tokio::time::sleep;

use crate::limits;
use crate::protocol::{Code, Failure};
use crate::transport::connection::intake::Awaited;
use crate::transport::connection::meter::Meter;

pub(crate) const PLAIN: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";

/// Which of these kinds the body is: JSON in UTF-8, as it comes.
pub(crate) fn kind(
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
    let said = media_type(headers);
    let found = said.and_then(|said| expected.iter().find(|kind| kind.eq_ignore_ascii_case(said)));
    let names = || format!("expected Content-Type: {} in UTF-8", expected.join(" or "));
    found.copied().ok_or_else(|| unsupported(names()))
}

/// `type/subtype`, where it is given once and its charset, if there is one, is that of JSON.
fn media_type(headers: &HeaderMap) -> Option<&str> {
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

/// The whole body. One that is too large is refused before it is sent, if its client says its length and waits for
/// leave (`Expect: 100-continue`).
pub(crate) async fn read(request: Request<Body>) -> Result<Bytes, Failure> {
    if request.body().size_hint().lower() > limits::MESSAGE_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let meter = request.extensions().get::<Meter>().cloned();
    let meter = meter.expect("every connection is metered");
    let allowance = meter.allowance();
    allowance.awaits(Awaited::Body);
    let reading = Bytes::from_request(request, &());
    let read = tokio::select! {
        body = reading => body.map_err(|rejection| unread(&rejection)),
        () = sleep(limits::BODY_READ_DEADLINE) => {
            Err(unsent(allowance.is_used_up(meter.read())))
        }
        () = allowance.evicted() => Err(unsent(false)),
    };
    allowance.awaits(Awaited::Answer);
    read
}

/// Why the rest of a body is not waited for.
fn unsent(is_held_up: bool) -> Failure {
    match is_held_up {
        true => Failure::new(Code::Busy, "too much is being sent to this server"),
        false => Failure::new(Code::TimedOut, "the body did not come in time"),
    }
}

fn unread(rejection: &BytesRejection) -> Failure {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Failure::new(Code::BadRequest, "the body broke off"),
    }
}

fn too_large() -> Failure {
    let message = format!("a body must not exceed {} bytes", limits::MESSAGE_BYTES_MAX);
    Failure::new(Code::MessageTooLarge, message)
}

//! The request id: by it a request is found in the logs of every server that it passes.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// Where a client or a proxy gives a request its id, and where the answer repeats it.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// W3C Trace Context: `00-TRACE-PARENT-FLAGS`.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// An id that is longer, or has unusual characters, is ignored: it goes into the log.
const ID_BYTES_MAX: usize = 128;

/// The id that the request has already, or a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(&REQUEST_ID).filter(|id| is_valid(id)).cloned();
    given.or_else(|| trace_id(headers)).unwrap_or_else(new_id)
}

fn is_valid(id: &HeaderValue) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
}

fn trace_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let parent = headers.get(&TRACEPARENT)?.to_str().ok()?;
    let trace = parent.split('-').nth(1)?;
    let is_trace = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    HeaderValue::from_str(trace).ok().filter(|_| is_trace)
}

fn new_id() -> HeaderValue {
    let id = Uuid::now_v7().to_string();
    HeaderValue::from_str(&id).expect("a UUID is plain text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: HeaderName, value: &'static str) -> HeaderValue {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        request_id(&headers)
    }

    #[test]
    fn a_request_keeps_the_id_it_has() {
        assert_eq!(of(REQUEST_ID, "order-41/2"), "order-41/2");
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(of(TRACEPARENT, parent), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn an_invalid_id_does_not_get_into_the_log() {
        for value in ["", "a b", "{\"a\":1}", "caf\u{e9}"] {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(REQUEST_ID, value)]);
            assert!(Uuid::parse_str(request_id(&headers).to_str().unwrap()).is_ok());
        }
        let text = of(TRACEPARENT, "00-short-x-01");
        assert!(Uuid::parse_str(text.to_str().unwrap()).is_ok());
    }
}

//! What every request passes before the routes, and what every answer gets after them.
//!
//! Refusals are made, or put into words, here rather than in each handler, so that a route that is added has them
//! too: whose request it is, whether its address can be read, and that nothing is refused without a code.

pub(super) mod guests;
pub(super) mod host;
pub(super) mod origin;
pub(super) mod trace;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::http::header;
use axum::http::uri::Scheme;
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use axum::response::IntoResponse;
use futures::FutureExt;
use percent_encoding::percent_decode_str;
use tower::ServiceExt;
use tracing::Instrument;

use super::http::header::{invalid, once};
use super::http::held::held;
use crate::limits;
use crate::node::Budget;
use crate::protocol::{Code, Failure};
use crate::value::Invalid;
use guests::Guests;
use host::Authority;
use origin::{Origin, Visitor};

/// What a refusal that is no error object may say of itself.
const TEXT_BYTES_MAX: usize = 1024;

/// For how long a browser may remember what a page of another origin may do, in seconds.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// What `OPTIONS *` is answered: the methods of any route.
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,POST,PATCH,DELETE,OPTIONS");

const SHOWN_TO_PAGES: HeaderValue =
    HeaderValue::from_static("etag,location,retry-after,x-request-id");

/// The way to the routes.
#[derive(Debug, Clone)]
pub struct Gate {
    routes: Router,
    guests: Arc<Guests>,
    budget: Budget,
}

impl Gate {
    pub(super) fn new(routes: Router, guests: Arc<Guests>, budget: Budget) -> Self {
        Self {
            routes,
            guests,
            budget,
        }
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let asked = AnswerShape::of(&request);
        let id = trace::request_id(request.headers());
        let name = id.to_str().unwrap_or_default();
        let span = tracing::info_span!("request", id = %name, method = %request.method());
        let visitor = span.in_scope(|| self.admit(&request));
        let answer = match &visitor {
            Err(failure) => failure.clone().into_response(),
            Ok(_) if asked.method == Method::OPTIONS && request.uri().path() == "*" => {
                allowed(METHODS)
            }
            Ok(_) => {
                let answer = AssertUnwindSafe(self.routes.clone().oneshot(request)).catch_unwind();
                match answer.instrument(span).await {
                    Ok(answer) => answer.unwrap_or_else(|never| match never {}),
                    // It is in the server's log already: the node and its other requests go on.
                    Err(_) => Failure::internal().into_response(),
                }
            }
        };
        let answer = in_words(asked.options(answer)).await;
        let mut answer = self.within_budget(answer).await;
        let status = answer.status();
        asked.describe(answer.headers_mut(), status);
        asked.show_to_page(answer.headers_mut(), visitor.ok());
        answer.headers_mut().insert(trace::REQUEST_ID, id);
        answer
    }

    /// A refusal may show a whole event. Where there is no room for that, it is none of the request's own fault.
    async fn within_budget(&self, answer: Response<Body>) -> Response<Body> {
        let most = answer.body().size_hint().upper();
        let is_small = most.is_some_and(|bytes| bytes <= limits::FLUSH_BYTES_MAX as u64);
        if is_small || !is_refusal(answer.status()) {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        match self.budget.try_reserve(body.len()) {
            Some(share) => Response::from_parts(parts, held(body, share).into()),
            None => {
                let message = "there is no room now to say why this was not done";
                Failure::new(Code::Busy, message).into_response()
            }
        }
    }

    fn admit(&self, request: &Request<Body>) -> Result<Visitor, Failure> {
        let own = own_authority(request)?;
        self.guests.admit_host(own.as_ref())?;
        let visitor = match once(request.headers(), &header::ORIGIN)? {
            None => Visitor::Own,
            Some(text) => {
                let origin = Origin::parse(text);
                self.guests
                    .admit_origin(origin.as_ref(), text, own.as_ref())?
            }
        };
        check_target(request.uri())?;
        check_framing(request.headers())?;
        match request.method() == Method::CONNECT {
            true => Err(Failure::new(
                Code::MethodNotAllowed,
                "this server is no proxy",
            )),
            false => Ok(visitor),
        }
    }
}

/// To whom the request is addressed: an address in full goes before `Host`, which must be there all the same. Only
/// HTTP/1.0 may leave it out, and no browser speaks that.
fn own_authority(request: &Request<Body>) -> Result<Option<Authority>, Failure> {
    let bad = |reason: &str| invalid(&header::HOST, reason);
    let host = match once(request.headers(), &header::HOST)? {
        None if request.version() == Version::HTTP_10 => None,
        None => return Err(bad("a request must say to which host it is addressed")),
        Some(text) => {
            Some(Authority::parse(text).ok_or_else(|| bad("expected HOST or HOST:PORT"))?)
        }
    };
    let Some(authority) = request.uri().authority() else {
        return Ok(host);
    };
    let scheme = request.uri().scheme();
    if scheme.is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(bad("expected an address of http or https"));
    }
    let named = Authority::parse(authority.as_str());
    let named = named.ok_or_else(|| bad("expected HOST or HOST:PORT in the address"))?;
    match host.is_none_or(|host| host == named) {
        true => Ok(Some(named)),
        false => Err(bad("the address names another host")),
    }
}

/// What is no text would be read as something else by whoever reads it.
fn check_target(uri: &Uri) -> Result<(), Failure> {
    check_escapes(uri.path(), "path")?;
    check_escapes(uri.query().unwrap_or_default(), "query")
}

fn check_escapes(text: &str, part: &str) -> Result<(), Failure> {
    let bad = |reason: &str| Failure::at(Code::BadRequest, Invalid::new(part, reason));
    let is_escape = |(at, _): (usize, &str)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.match_indices('%').all(is_escape) {
        return Err(bad("a % in an address is written %25"));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(_) => Ok(()),
        Err(_) => Err(bad("the address is no UTF-8")),
    }
}

/// Chunks are the one coding of a transfer that is undone here; what is inside another would be taken for the body.
fn check_framing(headers: &HeaderMap) -> Result<(), Failure> {
    let name = &header::TRANSFER_ENCODING;
    let is_known = |value: &str| value.eq_ignore_ascii_case("chunked");
    match once(headers, name)? {
        Some(value) if !is_known(value) => Err(invalid(name, "expected chunked")),
        _ => Ok(()),
    }
}

fn allowed(methods: HeaderValue) -> Response<Body> {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    answer.headers_mut().insert(header::ALLOW, methods);
    answer
}

/// What of a request shapes its answer.
struct AnswerShape {
    method: Method,
    origin: Option<HeaderValue>,
    is_preflight: bool,
    is_encoded: bool,
}

impl AnswerShape {
    fn of(request: &Request<Body>) -> Self {
        let headers = request.headers();
        let asks_method = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        Self {
            method: request.method().clone(),
            origin: headers.get(header::ORIGIN).cloned(),
            is_preflight: request.method() == Method::OPTIONS && asks_method,
            is_encoded: headers.contains_key(header::CONTENT_ENCODING),
        }
    }

    /// Every route takes `OPTIONS`: the router refuses it with what it would take, which is the answer.
    fn options(&self, mut answer: Response<Body>) -> Response<Body> {
        if answer.status() != StatusCode::METHOD_NOT_ALLOWED {
            return answer;
        }
        let allow = answer.headers().get(header::ALLOW);
        let allow = allow.and_then(|allow| {
            HeaderValue::from_str(&format!("{},OPTIONS", allow.to_str().ok()?)).ok()
        });
        let allow = allow.unwrap_or(METHODS);
        if self.method == Method::OPTIONS {
            return allowed(allow);
        }
        answer.headers_mut().insert(header::ALLOW, allow);
        answer
    }

    /// What else a client must know of an answer.
    fn describe(&self, headers: &mut HeaderMap, status: StatusCode) {
        let mut add = |name, value| {
            headers
                .entry(name)
                .or_insert(HeaderValue::from_static(value));
        };
        add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        add(header::REFERRER_POLICY, "no-referrer");
        add(header::CACHE_CONTROL, "no-store");
        match status {
            StatusCode::UNSUPPORTED_MEDIA_TYPE if self.is_encoded => {
                add(header::ACCEPT_ENCODING, "identity");
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE if self.method == Method::PATCH => {
                add(
                    ACCEPT_PATCH,
                    "application/json, application/merge-patch+json",
                );
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => add(ACCEPT_POST, "application/json"),
            // What is left of its body is not read as a request.
            StatusCode::PAYLOAD_TOO_LARGE => add(header::CONNECTION, "close"),
            _ => {}
        }
    }

    fn show_to_page(&self, headers: &mut HeaderMap, visitor: Option<Visitor>) {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = self
            .origin
            .clone()
            .filter(|_| visitor == Some(Visitor::Listed))
        else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN_TO_PAGES);
        if !self.is_preflight {
            return;
        }
        if let Some(methods) = headers.get(header::ALLOW).cloned() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        let any = HeaderValue::from_static("*");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, any);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    }
}

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// A refusal that a library made, as an error object.
async fn in_words(answer: Response<Body>) -> Response<Body> {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind == "application/json");
    if is_json || !is_refusal(status) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let text = to_bytes(body, TEXT_BYTES_MAX).await.unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or("refused").as_bytes();
    let text = if text.is_empty() { reason } else { &text[..] };
    let failure = Failure::new(code(status), String::from_utf8_lossy(text));
    let refusal = failure.into_response();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(refusal.headers().clone());
    Response::from_parts(parts, refusal.into_body())
}

/// What a status says, where it is all that there is.
pub(super) fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => Code::TimedOut,
        StatusCode::PAYLOAD_TOO_LARGE => Code::MessageTooLarge,
        StatusCode::URI_TOO_LONG => Code::AddressTooLong,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        StatusCode::UPGRADE_REQUIRED => Code::UpgradeRequired,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Code::HeadersTooLarge,
        status if status.is_client_error() => Code::BadRequest,
        _ => Code::Internal,
    }
}

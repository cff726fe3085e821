//! Who may ask: the middleware around all routes. It checks each request before the routes, and completes each answer.
//!
//! A route that is added has all of this: access by host and origin, an address and a framing that can mean one thing
//! only, CORS and the other common headers, the request id, and an error object in place of an error of a library.

mod access;
mod host;
mod origin;
mod proxies;
mod request_id;

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

use super::http::budgeted_body::with_share;
use super::http::header::{invalid, once};
use crate::limits;
use crate::node::Budget;
use crate::protocol::{Code, Failure};
use crate::value::Invalid;
pub use access::AccessPolicy;
pub use host::AllowedHosts;
use host::Authority;
pub use origin::AllowedOrigins;
use origin::{Origin, OriginMatch};
pub use proxies::TrustedProxies;

/// What is kept of the text of a library's error.
const TEXT_BYTES_MAX: usize = 1024;

/// How long a browser may cache the answer to a preflight, in seconds.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The answer to `OPTIONS *`: the methods of all routes.
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,POST,PATCH,DELETE,OPTIONS");

/// The headers that CORS lets a page of another origin read.
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("etag,location,retry-after,x-request-id");

/// The routes, behind the checks; see the module.
#[derive(Debug, Clone)]
pub struct Gate {
    routes: Router,
    access: Arc<AccessPolicy>,
    /// The scheme of the server's own pages.
    own_scheme: &'static str,
    budget: Budget,
}

impl Gate {
    pub(super) fn new(
        routes: Router,
        access: Arc<AccessPolicy>,
        has_tls: bool,
        budget: Budget,
    ) -> Self {
        Self {
            routes,
            access,
            own_scheme: if has_tls { "https" } else { "http" },
            budget,
        }
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let shape = AnswerShape::of(&request);
        let id = request_id::request_id(request.headers());
        let text = id.to_str().unwrap_or_default();
        let span = tracing::info_span!("request", id = %text, method = %request.method());
        let origin = span.in_scope(|| self.check(&request));
        let answer = match &origin {
            Err(failure) => failure.clone().into_response(),
            Ok(_) if shape.method == Method::OPTIONS && request.uri().path() == "*" => {
                allow(METHODS)
            }
            Ok(_) => {
                let answer = AssertUnwindSafe(self.routes.clone().oneshot(request)).catch_unwind();
                match answer.instrument(span).await {
                    Ok(answer) => answer.unwrap_or_else(|never| match never {}),
                    // The panic is in the server's log already. The node and its other requests go on.
                    Err(_) => Failure::internal().into_response(),
                }
            }
        };
        let answer = with_error_object(shape.answer_options(answer)).await;
        let mut answer = self.within_budget(answer).await;
        let status = answer.status();
        shape.add_common_headers(answer.headers_mut(), status);
        shape.add_cors_headers(answer.headers_mut(), origin.ok());
        answer.headers_mut().insert(request_id::REQUEST_ID, id);
        answer
    }

    /// An error may show a whole event. Without a share of the budget for that the answer is `busy` instead.
    async fn within_budget(&self, answer: Response<Body>) -> Response<Body> {
        let most = answer.body().size_hint().upper();
        let is_small = most.is_some_and(|bytes| bytes <= limits::FLUSH_BYTES_MAX as u64);
        if is_small || !is_error(answer.status()) {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        match self.budget.try_reserve(body.len()) {
            Some(share) => Response::from_parts(parts, with_share(body, share).into()),
            None => {
                let message = "there is no room now to say why this was not done";
                Failure::new(Code::Busy, message).into_response()
            }
        }
    }

    fn check(&self, request: &Request<Body>) -> Result<OriginMatch, Failure> {
        let target = target_authority(request)?;
        self.access.check_host(target.as_ref())?;
        let origin = match once(request.headers(), &header::ORIGIN)? {
            None => OriginMatch::Own,
            Some(text) => {
                let (origin, target) = (Origin::parse(text), target.as_ref());
                self.access
                    .check_origin(origin.as_ref(), text, target, self.own_scheme)?
            }
        };
        check_target(request.uri())?;
        check_framing(request.headers())?;
        match request.method() == Method::CONNECT {
            true => Err(Failure::new(
                Code::MethodNotAllowed,
                "this server is no proxy",
            )),
            false => Ok(origin),
        }
    }
}

/// To which host the request is addressed: an absolute address wins over `Host`, which must be there all the same. Only
/// HTTP/1.0 may leave it out, and no browser speaks that.
fn target_authority(request: &Request<Body>) -> Result<Option<Authority>, Failure> {
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

/// The address must be UTF-8: what is not, each reader would decode in its own way.
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

/// Only the chunked transfer coding is decoded here; the bytes of another would be taken for the body.
fn check_framing(headers: &HeaderMap) -> Result<(), Failure> {
    let name = &header::TRANSFER_ENCODING;
    let is_known = |value: &str| value.eq_ignore_ascii_case("chunked");
    match once(headers, name)? {
        Some(value) if !is_known(value) => Err(invalid(name, "expected chunked")),
        _ => Ok(()),
    }
}

fn allow(methods: HeaderValue) -> Response<Body> {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    answer.headers_mut().insert(header::ALLOW, methods);
    answer
}

/// What the answer must know of its request.
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

    /// Every route takes `OPTIONS`: the router refuses it with the methods it takes, which is the answer.
    fn answer_options(&self, mut answer: Response<Body>) -> Response<Body> {
        if answer.status() != StatusCode::METHOD_NOT_ALLOWED {
            return answer;
        }
        let allow = answer.headers().get(header::ALLOW);
        let allow = allow.and_then(|allow| {
            HeaderValue::from_str(&format!("{},OPTIONS", allow.to_str().ok()?)).ok()
        });
        let allow = allow.unwrap_or(METHODS);
        if self.method == Method::OPTIONS {
            return self::allow(allow);
        }
        answer.headers_mut().insert(header::ALLOW, allow);
        answer
    }

    fn add_common_headers(&self, headers: &mut HeaderMap, status: StatusCode) {
        let mut add = |name, value| {
            headers
                .entry(name)
                .or_insert(HeaderValue::from_static(value));
        };
        add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        add(header::REFERRER_POLICY, "no-referrer");
        add(header::CACHE_CONTROL, "no-store");
        add(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        );
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
            // The rest of the body must not be read as a request.
            StatusCode::PAYLOAD_TOO_LARGE => add(header::CONNECTION, "close"),
            _ => {}
        }
    }

    fn add_cors_headers(&self, headers: &mut HeaderMap, origin: Option<OriginMatch>) {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = self
            .origin
            .clone()
            .filter(|_| origin == Some(OriginMatch::Listed))
        else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        if !self.is_preflight {
            return;
        }
        if let Some(methods) = headers.get(header::ALLOW).cloned() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        // The star means every header but this one.
        let any = HeaderValue::from_static("*,authorization");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, any);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
    }
}

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// The error of a library, with an error object as its body.
async fn with_error_object(answer: Response<Body>) -> Response<Body> {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind == "application/json");
    if is_json || !is_error(status) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let text = to_bytes(body, TEXT_BYTES_MAX).await.unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or("refused").as_bytes();
    let text = if text.is_empty() { reason } else { &text[..] };
    let failure = Failure::new(code_of(status), String::from_utf8_lossy(text));
    let error = failure.into_response();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(error.headers().clone());
    Response::from_parts(parts, error.into_body())
}

/// The code of a status, where there is nothing else to go by.
pub(super) fn code_of(status: StatusCode) -> Code {
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

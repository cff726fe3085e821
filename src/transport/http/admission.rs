//! Who asks: what the credentials of a request come to.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use super::header::{invalid, once};
use crate::guard::{Admission, Guard};
use crate::node::{Guarded, Node};
use crate::protocol::{Code, Credentials, Failure};
use crate::quota::Caller;
use crate::transport::App;

/// The header with the role that is asked for, of a token that could give several.
const LIVELOG_ROLE: HeaderName = HeaderName::from_static("livelog-role");

/// The subprotocol that a socket speaks.
pub(crate) const SUBPROTOCOL: &str = "livelog.v1";

/// How a subprotocol begins that is a token: a page can set no header of a socket.
const BEARER_SUBPROTOCOL: &str = "bearer.";

/// What a request shows, in its headers. An address is never looked into: it stands in logs and histories.
pub(crate) struct Shown(pub(crate) Credentials);

impl<S: Send + Sync> FromRequestParts<S> for Shown
where
    App: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let app = App::from_ref(state);
        // Where nobody guards they are for others, such as a proxy.
        if !app.guard.is_there() {
            return Ok(Self(Credentials::none()));
        }
        match read(&parts.headers) {
            Ok(shown) => Ok(Self(shown)),
            Err(failure) => {
                let Ok(caller) = Caller::from_request_parts(parts, state).await;
                note_refusal(&app.node, &caller, &failure);
                Err(failure)
            }
        }
    }
}

/// Who asks, and on what its rights rest: for who may stay longer than one answer takes.
pub(crate) struct Admitted {
    pub(crate) guarded: Guarded,
    pub(crate) admission: Admission,
}

impl<S: Send + Sync> FromRequestParts<S> for Admitted
where
    App: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Ok(caller) = Caller::from_request_parts(parts, state).await;
        let Shown(credentials) = Shown::from_request_parts(parts, state).await?;
        let app = App::from_ref(state);
        let admission = admit(&app.node, &app.guard, &caller, credentials).await?;
        let guarded = Guarded::new(app.node, admission.grant().clone(), &caller);
        guarded.receive(asked_bytes(parts))?;
        Ok(Self { guarded, admission })
    }
}

/// What a caller may do who shows these credentials. If they are not taken, that is noted.
pub(crate) async fn admit(
    node: &Node,
    guard: &Guard,
    caller: &Caller,
    credentials: Credentials,
) -> Result<Admission, Failure> {
    let admitted = guard.admit(credentials).await.map_err(Failure::from);
    admitted.inspect_err(|failure| note_refusal(node, caller, failure))
}

fn note_refusal(node: &Node, caller: &Caller, failure: &Failure) {
    node.note_denial(&caller.stranger(), "credentials", failure.code);
}

impl<S: Send + Sync> FromRequestParts<S> for Guarded
where
    App: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Admitted { guarded, .. } = Admitted::from_request_parts(parts, state).await?;
        // For the body, which takes of the quota.
        parts.extensions.insert(guarded.clone());
        Ok(guarded)
    }
}

/// Of a request without a body this is what it asks for.
fn asked_bytes(parts: &Parts) -> usize {
    let target = parts.uri.path_and_query();
    target.map_or(0, |target| target.as_str().len())
}

fn read(headers: &HeaderMap) -> Result<Credentials, Failure> {
    let token = match once(headers, &AUTHORIZATION)? {
        Some(text) => Some(bearer(text)?),
        None => subprotocol_token(headers)?,
    };
    Ok(Credentials {
        token: token.map(Into::into),
        role: once(headers, &LIVELOG_ROLE)?.map(Into::into),
    })
}

/// The token among the subprotocols, which may be there once.
fn subprotocol_token(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let mut tokens = subprotocols(headers).filter_map(|name| {
        let (scheme, token) = name.split_at_checked(BEARER_SUBPROTOCOL.len())?;
        let is_bearer = scheme.eq_ignore_ascii_case(BEARER_SUBPROTOCOL);
        is_bearer.then_some(token)
    });
    let token = tokens.next();
    match tokens.next() {
        None => Ok(token),
        Some(_) => Err(invalid(&SEC_WEBSOCKET_PROTOCOL, "more than one token")),
    }
}

/// The token of `Bearer TOKEN`; the scheme is written in any case.
fn bearer(text: &str) -> Result<&str, Failure> {
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    let token = token.trim();
    match scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        true => Ok(token),
        false => {
            let message = "expected Authorization: Bearer, and a token or an API key";
            Err(Failure::new(Code::Unauthenticated, message))
        }
    }
}

/// The subprotocols that a socket offers to speak.
pub(crate) fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

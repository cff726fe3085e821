//! Clients that speak Socket.IO: `GET` and `POST /socket.io/`, by polling, over a WebSocket, or by one after the other.
//!
//! - `client` is the conversation of one client, whatever carries it; it drives a [`Session`](crate::session::Session).
//! - `polling` is the task of a client that polls, and `poll_body` what it is answered.
//! - `upgrade` is a WebSocket that takes such a client over.
//! - `registry` finds the task by the id that each request names.
//!
//! Over a WebSocket a client is driven by the `Connection` of `routes::websocket`, as any other session, so that what it may
//! send, and how slow it may be, is bounded by the same code.

mod client;
mod poll_body;
mod polling;
mod registry;
mod upgrade;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderName, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::App;
use super::http::admission::Shown;
use super::http::content;
use super::routes::handshake::{Handshake, wait_in_lobby};
use crate::protocol::socketio;
use crate::protocol::{Code, Credentials, Failure};
use crate::quota::Caller;
use crate::session::Outbox;
use crate::value::Invalid;
use client::SocketIoClient;
use poll_body::PollBody;
use polling::{PollingRequest, PollingSession};
use registry::Registry;
use upgrade::UpgradingClient;

/// Packets are text, whatever stands in them.
const TEXT: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain; charset=UTF-8")];

/// What the handlers share.
#[derive(Clone)]
struct Door {
    app: App,
    registry: Registry,
}

impl FromRef<Door> for App {
    fn from_ref(door: &Door) -> Self {
        door.app.clone()
    }
}

/// Opens the door: adds the route.
pub(super) fn mount(routes: Router<App>, app: App) -> Router<App> {
    let registry = Registry::new();
    // A HEAD would take what waits for a poll, and show it to nobody.
    let methods = || -> MethodRouter<Door> {
        get(hear)
            .post(take)
            .head(super::http::failure::no_such_method)
    };
    let door = Router::new()
        .route("/socket.io/", methods())
        .route("/socket.io", methods());
    routes.merge(door.with_state(Door { app, registry }))
}

/// What the query of a request says. Its other names are the client's affair.
struct Params {
    is_websocket: bool,
    sid: Option<Uuid>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let bad = |name: &str, reason: &str| {
            let at = format!("query.{name}");
            Failure::at(Code::BadRequest, Invalid::new(at, reason))
        };
        let given = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(given) = given.map_err(|error| bad("", &error.body_text()))?;
        let value = |name: &str| {
            let found = given.iter().find(|(given, _)| given == name);
            found.map(|(_, value)| value.as_str())
        };
        if value("EIO") != Some("4") {
            return Err(bad("EIO", "expected 4: a client of Socket.IO 3 or 4"));
        }
        let is_websocket = match value("transport") {
            Some("websocket") => true,
            Some("polling") => false,
            _ => return Err(bad("transport", "expected polling or websocket")),
        };
        // An id that none could be is of a session that is not there.
        let sid = value("sid").map(str::parse).transpose();
        Ok(Self {
            is_websocket,
            sid: sid.map_err(|_| no_such_session())?,
        })
    }
}

fn no_such_session() -> Failure {
    Failure::new(Code::NotFound, "there is no such session of Socket.IO")
}

/// `GET`: a new session, a poll, or a WebSocket.
async fn hear(
    State(door): State<Door>,
    caller: Caller,
    Shown(shown): Shown,
    Params { is_websocket, sid }: Params,
    request: Request<Body>,
) -> Result<Response, Failure> {
    door.app.node.health()?;
    match (sid, is_websocket) {
        (None, false) => door.open(caller, shown).await,
        (Some(sid), false) => door.poll(sid).await,
        (None, true) => {
            let (mut parts, _) = request.into_parts();
            let handshake = Handshake::from_request_parts(&mut parts, &()).await?;
            let client = door.client(caller, shown).await?;
            let packets = Outbox::new([socketio::open(Uuid::new_v4(), false)]);
            Ok(handshake.accept(door.app, packets, client))
        }
        (Some(sid), true) => {
            let (mut parts, _) = request.into_parts();
            let handshake = Handshake::from_request_parts(&mut parts, &()).await?;
            let client = UpgradingClient::new(door.find(sid)?);
            Ok(handshake.accept(door.app, Outbox::default(), client))
        }
    }
}

/// `POST`: packets of a session that polls.
async fn take(
    State(door): State<Door>,
    Params { is_websocket, sid }: Params,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let session = door.find(sid.filter(|_| !is_websocket).ok_or_else(no_such_session)?)?;
    let body = polling::text_of(content::read(request).await?);
    let body = body.ok_or_else(|| Failure::new(Code::MalformedJson, "the body is no UTF-8"))?;
    ask(&session, |taken| PollingRequest::Post(body, taken)).await?;
    Ok((TEXT, "ok").into_response())
}

impl Door {
    fn find(&self, sid: Uuid) -> Result<mpsc::Sender<PollingRequest>, Failure> {
        self.registry.find(sid).ok_or_else(no_such_session)
    }

    /// Who shows good credentials with the request need not wait with those who have shown none.
    async fn client(&self, caller: Caller, shown: Credentials) -> Result<SocketIoClient, Failure> {
        let (node, guard) = (self.app.node.clone(), self.app.guard.clone());
        let is_known = match shown.token {
            None => !guard.is_there(),
            Some(_) => guard.admit(shown.clone()).await.is_ok(),
        };
        let seat = match is_known {
            true => None,
            false => Some(wait_in_lobby(&self.app, &caller)?),
        };
        Ok(SocketIoClient::new(node, guard, caller, seat, shown))
    }

    async fn open(&self, caller: Caller, shown: Credentials) -> Result<Response, Failure> {
        let client = self.client(caller, shown).await?;
        let new = self.registry.add()?;
        let opening = socketio::open(new.registered.sid, true);
        let node = self.app.node.clone();
        let session = PollingSession::new(node, client, new.requests, new.registered, new.seat);
        let closing = self.app.closing.clone();
        self.app.connections.spawn(session.run(closing));
        Ok((TEXT, opening.into_bytes()).into_response())
    }

    async fn poll(&self, sid: Uuid) -> Result<Response, Failure> {
        let answer: PollBody = ask(&self.find(sid)?, PollingRequest::Poll).await?;
        Ok((TEXT, answer.into_body()).into_response())
    }
}

/// Asks the task of a session; if it ends before it has answered, there is no such session.
async fn ask<T>(
    session: &mpsc::Sender<PollingRequest>,
    request: impl FnOnce(oneshot::Sender<T>) -> PollingRequest,
) -> Result<T, Failure> {
    let (answer, answered) = oneshot::channel();
    let sent = session.send(request(answer)).await;
    sent.map_err(|_| no_such_session())?;
    answered.await.map_err(|_| no_such_session())
}

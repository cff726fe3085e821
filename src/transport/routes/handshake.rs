//! The opening handshake of a WebSocket, and `GET /ws`, after which the connection is a session.

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, Query as Params, State};
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::conversation::Conversation;
use super::visitor::Visitor;
use super::websocket::Connection;
use crate::node::{Epoch, Interest};
use crate::protocol::{Code, Failure, Subscribe};
use crate::quota::{Caller, LobbySeat};
use crate::session::{Outbox, Session, SessionOptions};
use crate::transport::connection::ByteCounters;
use crate::transport::http::admission::{SUBPROTOCOL, Shown, admit, subprotocols};
use crate::transport::http::params;
use crate::transport::{App, ConnectionPermit};
use crate::value::{Document, Invalid, Value};

/// A valid opening handshake, not answered yet.
///
/// axum checks it. The socket is tungstenite's without axum around it, because only that sends a message in fragments.
pub(crate) struct Handshake {
    upgraded: OnUpgrade,
    counters: ByteCounters,
    permit: ConnectionPermit,
    accept: String,
    speaks_livelog: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Handshake {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let upgraded = parts.extensions.get::<OnUpgrade>().cloned();
        let handshake = WebSocketUpgrade::from_request_parts(parts, state).await;
        let _checked = handshake.map_err(|rejection| bad_handshake(&rejection))?;
        check_key(&parts.headers)?;
        let key = parts.headers.get(SEC_WEBSOCKET_KEY);
        let key = key.expect("a valid handshake has a key");
        let extensions = &parts.extensions;
        let (counters, permit) = (extensions.get(), extensions.get());
        Ok(Self {
            upgraded: upgraded.expect("a valid handshake can be upgraded"),
            counters: counters.cloned().expect("a connection has counters"),
            permit: permit.cloned().expect("a connection has a permit"),
            accept: derive_accept_key(key.as_bytes()),
            speaks_livelog: subprotocols(&parts.headers).any(|name| name == SUBPROTOCOL),
        })
    }
}

impl Handshake {
    /// Accepts it; then this is spoken over the connection, and these frames come first.
    pub(crate) fn accept<C: Conversation>(self, app: App, outbox: Outbox, said: C) -> Response {
        let tasks = app.connections.clone();
        tasks.spawn(async move {
            if let Ok(stream) = self.upgraded.await {
                let (counters, transport) = (self.counters, C::TRANSPORT);
                let connection = Connection::new(stream, counters, app.node, outbox, transport);
                connection.await.run(said, app.closing).await;
            }
            drop(self.permit);
        });
        let headers = [
            (CONNECTION, "upgrade".to_owned()),
            (UPGRADE, "websocket".to_owned()),
            (SEC_WEBSOCKET_ACCEPT, self.accept),
        ];
        let mut answer = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
        if self.speaks_livelog {
            let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
            answer
                .headers_mut()
                .insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        answer
    }
}

pub(crate) async fn upgrade(
    State(app): State<App>,
    caller: Caller,
    Shown(credentials): Shown,
    Params(params): Params<Vec<(String, String)>>,
    handshake: Handshake,
) -> Result<Response, Failure> {
    app.node.health()?;
    let options = read_options(&params::read(params, &["changes", "after", "epoch"])?)?;
    if credentials.token.is_none() && !app.guard.admits_anybody() {
        let seat = wait_in_lobby(&app, &caller)?;
        let visitor = Visitor::new(app.node.clone(), app.guard.clone(), caller, seat, options);
        return Ok(handshake.accept(app, Outbox::default(), visitor));
    }
    let admission = admit(&app.node, &app.guard, &caller, credentials).await?;
    let opening = Session::open(app.node.clone(), admission, &caller, options);
    let (session, greeting) = opening.await?;
    Ok(handshake.accept(app, Outbox::new(greeting), session))
}

/// A seat for a socket that has yet to show credentials.
pub(crate) fn wait_in_lobby(app: &App, caller: &Caller) -> Result<LobbySeat, Failure> {
    let seat = app.lobby.enter(caller.address());
    seat.inspect_err(|failure| {
        app.node
            .note_denial(&caller.stranger(), "socket", failure.code);
    })
}

/// The options in the query string: `?changes=none`, `?after=41&epoch=…`.
fn read_options(params: &Document) -> Result<SessionOptions, Failure> {
    let position = Subscribe::parse(params, "query")?;
    let interest = match params.get("changes").map(Value::as_str) {
        None | Some(Some("all")) => Interest::Changes,
        Some(Some("none")) => Interest::Broadcasts,
        Some(_) => {
            let invalid = Invalid::new("query.changes", "expected all or none");
            return Err(Failure::at(Code::BadRequest, invalid));
        }
    };
    Ok(SessionOptions {
        interest,
        after: position.after,
        epoch: position.epoch.map(Epoch),
    })
}

/// This route speaks WebSocket, version 13, and any other request is told so.
fn bad_handshake(rejection: &WebSocketUpgradeRejection) -> Failure {
    let code = match rejection {
        WebSocketUpgradeRejection::WebSocketKeyHeaderMissing(_) => Code::BadRequest,
        _ => Code::UpgradeRequired,
    };
    Failure::new(code, format!("expected a WebSocket handshake: {rejection}"))
}

/// Checks that the key is sixteen bytes in base64, given once: axum accepts any text.
fn check_key(headers: &HeaderMap) -> Result<(), Failure> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let key = keys.next().and_then(|key| BASE64.decode(key).ok());
    match key.is_some_and(|key| key.len() == 16) && keys.next().is_none() {
        true => Ok(()),
        false => Err(Failure::at(
            Code::BadRequest,
            Invalid::new(SEC_WEBSOCKET_KEY.as_str(), "expected 16 bytes in base64"),
        )),
    }
}

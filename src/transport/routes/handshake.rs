//! `GET /ws`: what it takes to become a session.

use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query as Params, State};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::websocket::Connection;
use crate::node::Epoch;
use crate::node::Interest;
use crate::protocol::{Code, Failure, Subscribe};
use crate::session::{Outbox, Session, SessionOptions};
use crate::transport::connection::meter::Meter;
use crate::transport::http::params;
use crate::transport::{App, ConnectionPermit};
use crate::value::{Document, Invalid, Value};

/// The handshake is axum's to judge. The socket is tungstenite's without axum around it, because only that
/// sends a message in pieces.
pub(crate) async fn upgrade(
    State(app): State<App>,
    Extension(seat): Extension<ConnectionPermit>,
    Extension(meter): Extension<Meter>,
    switched: Option<Extension<OnUpgrade>>,
    Params(params): Params<Vec<(String, String)>>,
    headers: HeaderMap,
    handshake: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let _sound = handshake.map_err(|rejection| no_handshake(&rejection))?;
    check_key(&headers)?;
    app.node.alive()?;
    let opening = opening(&params::read(params, &["changes", "after", "epoch"])?)?;
    let Extension(switched) = switched.expect("a sound handshake can be switched");
    let (session, greeting) = Session::open(app.node.clone(), opening).await?;
    app.connections.spawn(async move {
        if let Ok(stream) = switched.await {
            let connection = Connection::new(stream, meter, app.node, Outbox::new(greeting)).await;
            connection.run(session, app.closing).await;
        }
        drop(seat);
    });
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let key = key.expect("a sound handshake has a key");
    let headers = [
        (CONNECTION, "upgrade".to_owned()),
        (UPGRADE, "websocket".to_owned()),
        (SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes())),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// What the query string asks for: `?changes=none`, `?after=41&epoch=…`.
fn opening(asked: &Document) -> Result<SessionOptions, Failure> {
    let position = Subscribe::parse(asked, "query")?;
    let interest = match asked.get("changes").map(Value::as_str) {
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

/// What is served here is WebSocket, version 13, and whoever asks for something else is told so.
fn no_handshake(rejection: &WebSocketUpgradeRejection) -> Failure {
    let code = match rejection {
        WebSocketUpgradeRejection::WebSocketKeyHeaderMissing(_) => Code::BadRequest,
        _ => Code::UpgradeRequired,
    };
    Failure::new(code, format!("expected a WebSocket handshake: {rejection}"))
}

/// Sixteen bytes in base64, once. axum answers to any text.
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

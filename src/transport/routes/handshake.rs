//! `GET /ws`: the opening handshake, after which the connection is a session.

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
use crate::node::{Epoch, Interest};
use crate::protocol::{Code, Failure, Subscribe};
use crate::session::{Outbox, Session, SessionOptions};
use crate::transport::connection::ByteCounters;
use crate::transport::http::params;
use crate::transport::{App, ConnectionPermit};
use crate::value::{Document, Invalid, Value};

/// axum checks the handshake. The socket is tungstenite's without axum around it, because only that sends a message in
/// fragments.
pub(crate) async fn upgrade(
    State(app): State<App>,
    Extension(permit): Extension<ConnectionPermit>,
    Extension(counters): Extension<ByteCounters>,
    upgraded: Option<Extension<OnUpgrade>>,
    Params(params): Params<Vec<(String, String)>>,
    headers: HeaderMap,
    handshake: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let _checked = handshake.map_err(|rejection| bad_handshake(&rejection))?;
    check_key(&headers)?;
    app.node.health()?;
    let options = read_options(&params::read(params, &["changes", "after", "epoch"])?)?;
    let Extension(upgraded) = upgraded.expect("a valid handshake can be upgraded");
    let (session, greeting) = Session::open(app.node.clone(), options).await?;
    app.connections.spawn(async move {
        if let Ok(stream) = upgraded.await {
            let outbox = Outbox::new(greeting);
            let connection = Connection::new(stream, counters, app.node, outbox).await;
            connection.run(session, app.closing).await;
        }
        drop(permit);
    });
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let key = key.expect("a valid handshake has a key");
    let headers = [
        (CONNECTION, "upgrade".to_owned()),
        (UPGRADE, "websocket".to_owned()),
        (SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes())),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
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

//! Socket.IO, as `socket.io-client` 4 speaks it: protocol 5 over Engine.IO 4.
//!
//! A packet is text. Its first character is Engine.IO's (`4` is a message), that of a message is Socket.IO's (`2` is an
//! event), and then comes JSON: `42["CREATE",{"field1":"x"}]`. `packet` reads what clients send, `dialect` says in
//! events what a session answers and tells, and here are the packets of the connection itself.

mod dialect;
mod packet;

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use super::failure::Failure;
use super::frame::{Frame, json};
use crate::limits;
pub use dialect::Dialect;
pub use packet::{ClientPacket, ConnectAuth, EmittedEvent};

/// What stands between the packets of one body.
pub const SEPARATOR: char = '\x1e';

/// The first packet: what the client has to know of the connection.
pub fn open(sid: Uuid, may_upgrade: bool) -> Frame {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Open<'a> {
        sid: Uuid,
        upgrades: &'a [&'a str],
        ping_interval: u128,
        ping_timeout: u128,
        max_payload: usize,
    }
    let upgrades: &[&str] = if may_upgrade { &["websocket"] } else { &[] };
    let open = Open {
        sid,
        upgrades,
        ping_interval: limits::PING_INTERVAL.as_millis(),
        ping_timeout: limits::SOCKETIO_PONG_DEADLINE.as_millis(),
        max_payload: limits::MESSAGE_BYTES_MAX,
    };
    packet("0", &json(&open))
}

/// The client is alive, or it has to say so.
pub fn ping() -> Frame {
    Frame::from_static("2")
}

/// The WebSocket works: the client may go on with it.
pub fn probed() -> Frame {
    Frame::from_static("3probe")
}

/// Nothing: the answer to a poll that has to end.
pub fn noop() -> Frame {
    Frame::from_static("6")
}

/// The server ends the connection.
pub fn close() -> Frame {
    Frame::from_static("1")
}

/// The client is connected to the namespace.
pub fn connected(sid: Uuid) -> Frame {
    #[derive(Serialize)]
    struct Connected {
        sid: Uuid,
    }
    packet("40", &json(&Connected { sid }))
}

/// It is not; `namespace` is the one that it named, if not the main one.
pub fn connect_error(namespace: Option<&str>, failure: &Failure) -> Frame {
    #[derive(Serialize)]
    struct ConnectError<'a> {
        message: &'a str,
        data: &'a Failure,
    }
    let error = json(&ConnectError {
        message: &failure.message,
        data: failure,
    });
    match namespace {
        None => packet("44", &error),
        Some(namespace) => packet(&format!("44{namespace},"), &error),
    }
}

fn packet(kind: &str, json: &[u8]) -> Frame {
    Frame::from_json([kind.as_bytes(), json].concat())
}

impl Frame {
    fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

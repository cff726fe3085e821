//! The wire: requests as clients send them, and every byte of JSON that a client gets, over any transport.
//!
//! Pure: text in, typed requests out; typed answers in, text out. Knows the domain and the query
//! language, never the engine, the feed or a store.
//!
//! Requests: `request` reads a message, with `envelope` for its names, `request_kind` for what it asks, and `fetch`, `stats`,
//! `subscribe`, `live_list`, `history`, `credentials` and `body` for what it asks. Answers: `reply` is the frames of the
//! WebSocket, `rest` the bodies of HTTP, `failure` the error object of both, and `code` the one table of errors.
//! `socketio` is the same in the words of Socket.IO.

mod body;
mod code;
mod credentials;
mod data;
mod envelope;
mod failure;
mod fetch;
mod frame;
mod history;
mod live_list;
mod query_report;
mod reply;
mod request;
mod request_kind;
pub mod rest;
#[cfg(feature = "socketio")]
pub mod socketio;
mod stats;
mod subscribe;

pub use body::{BROADCAST_IS_NOT_KEPT, read_broadcast, read_document, utf8};
pub use code::Code;
pub use credentials::Credentials;
pub use data::EventArray;
pub use failure::{Details, Failure};
pub use fetch::Fetch;
pub use frame::{Frame, WrappedFrame, trimmed};
pub use history::History;
pub use live_list::{LiveList, list_change, list_count, list_snapshot};
pub use query_report::QueryReport;
pub use reply::{
    ACCESS_CHANGED, Authenticated, FetchPage, LIST_ANEW, Shaped, authenticated, behind, broadcast,
    broadcast_done, change, error, explained, latest, live, pong, reset, snapshot, subscribed,
    unsubscribed, welcome, write_done,
};
pub use request::{ParsedRequest, RefusedRequest, Request, RequestId};
pub use request_kind::RequestKind;
pub use stats::Stats;
pub use subscribe::{Mode, SubName, Subscribe};

//! What clients say and hear: the JSON frames of the WebSocket, and the error object of every transport.
//!
//! Pure: text in, typed requests out; typed answers in, text out. Knows the domain and the query
//! language, never the engine, the feed or a store.

mod body;
mod code;
mod envelope;
mod failure;
mod fetch;
mod frame;
mod history;
mod reply;
mod request;
mod subscribe;

pub use body::{BROADCAST_IS_NOT_KEPT, read_broadcast, read_document, utf8};
pub use code::Code;
pub use failure::{Details, Failure};
pub use fetch::Fetch;
pub use frame::{Frame, trimmed};
pub use history::History;
pub use reply::{
    FetchPage, Shaped, announced, answer, behind, broadcast, change, error, latest, live, refusal,
    reset, snapshot, subscribed, unsubscribed, welcome, written,
};
pub use request::{ParsedRequest, RefusedRequest, Request, RequestId, RequestKind};
pub use subscribe::{Mode, SubName, Subscribe};

//! What the server says. Each function makes one kind of frame.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::failure::Failure;
use super::frame::Frame;
use super::request::{Name, RequestId};
use crate::domain::{Change, Document, Event, EventId, Kind, Patch, Seq, Timestamp};

/// The first frame of a session: changes after `seq` will follow.
pub fn welcome(epoch: Uuid, seq: Seq, session: Uuid) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "welcome")]
    struct Welcome {
        epoch: Uuid,
        seq: Seq,
        session: Uuid,
    }
    Frame::encode(&Welcome {
        epoch,
        seq,
        session,
    })
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "response")]
struct Response<'a, D> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    request: Name,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<D>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

fn response<D>(id: Option<&RequestId>, request: Name) -> Response<'_, D> {
    Response {
        id: id.map(RequestId::as_raw),
        request,
        success: true,
        seq: None,
        data: None,
        next: None,
    }
}

/// The answer to a BROADCAST that was sent (`None`), or to a write: the event it made, or the one it deleted.
pub fn answer(id: Option<&RequestId>, request: Name, change: Option<&Change>) -> Frame {
    let data = change
        .and_then(|change| change.after().or(change.before()))
        .map(|event| &**event);
    Frame::encode(&Response::<&Event> {
        seq: change.map(|change| change.seq),
        data,
        ..response(id, request)
    })
}

/// Events that answer a query.
#[derive(Debug, Clone)]
pub struct Page {
    /// The position in the log that the page is as of.
    pub seq: Seq,
    /// The events, in the query's order.
    pub events: Vec<Shaped>,
    /// Where the next page begins, if there is more.
    pub next: Option<String>,
}

/// An event as a query asked for it.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Shaped {
    /// All of it.
    Whole(Event),
    /// The fields asked for.
    Part(Document),
}

/// The answer to a FETCH.
pub fn page(id: Option<&RequestId>, page: &Page) -> Frame {
    let next = page.next.as_deref();
    Frame::encode(&Response {
        seq: Some(page.seq),
        data: Some(&page.events),
        next,
        ..response(id, Name::Fetch)
    })
}

/// The answer to a request that failed; `request` is what it asked for, if that could be read.
pub fn error(id: Option<&RequestId>, request: Option<Name>, failure: &Failure) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "error")]
    struct Error<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<Name>,
        success: bool,
        error: &'a Failure,
    }
    Frame::encode(&Error {
        id: id.map(RequestId::as_raw),
        request,
        success: false,
        error: failure,
    })
}

/// The body of an HTTP request that failed.
pub fn refusal(failure: &Failure) -> Frame {
    #[derive(Serialize)]
    struct Refusal<'a> {
        success: bool,
        error: &'a Failure,
    }
    Frame::encode(&Refusal {
        success: false,
        error: failure,
    })
}

/// A broadcast by some session of some node. `payload` is JSON text.
pub fn broadcast(payload: &str) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "broadcast")]
    struct Broadcast<'a> {
        payload: &'a RawValue,
    }
    let payload =
        serde_json::from_str(payload).expect("a broadcast's payload was parsed when it was sent");
    Frame::encode(&Broadcast { payload })
}

/// The position a session asked to resume from cannot be: it goes on from `seq`.
pub fn reset(reason: &str, seq: Seq) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "reset")]
    struct Reset<'a> {
        reason: &'a str,
        seq: Seq,
        earliest: Seq,
    }
    Frame::encode(&Reset {
        reason,
        seq,
        earliest: Seq::ZERO.next(),
    })
}

/// A change, as every session hears it.
pub fn change(change: &Change) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "change", rename_all = "camelCase")]
    struct Heard<'a> {
        seq: Seq,
        kind: Kind,
        event_id: &'a EventId,
        version: u64,
        at: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        patch: Option<&'a Patch>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a Event>,
    }
    Frame::encode(&Heard {
        seq: change.seq,
        kind: change.kind(),
        event_id: change.event_id(),
        version: change.version(),
        at: change.at,
        patch: change.patch(),
        data: change.after().map(|event| &**event),
    })
}

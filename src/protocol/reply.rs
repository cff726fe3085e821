//! The frames that the server sends; each function encodes one kind. The bodies of HTTP answers are
//! [`rest`](super::rest)'s.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::data::{EventArray, WriteAnswer, last_seq, write_count};
use super::failure::Failure;
use super::frame::{Frame, json};
use super::query_report::QueryReport;
use super::request::RequestId;
use super::request_kind::RequestKind;
use super::subscribe::SubName;
use crate::domain::{Author, Change, Event, EventId, Patch, Seq, Timestamp, VisibleKind};
use crate::query::{Count, Fields};
use crate::value::Document;

/// The first frame of a session: changes after `seq` will follow. It ends some time after its credentials expire.
pub fn welcome(
    epoch: Uuid,
    seq: Seq,
    session: Uuid,
    who: &Authenticated<'_>,
    access: Option<String>,
) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "welcome", rename_all = "camelCase")]
    struct Welcome<'a> {
        epoch: Uuid,
        seq: Seq,
        session: Uuid,
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        access: Option<String>,
    }
    Frame::encode(&Welcome {
        epoch,
        seq,
        session,
        role: who.role,
        expires_at: who.expires_at,
        access,
    })
}

/// The answer to a PING: the session lives, and the log has come to `seq`.
pub fn pong(id: Option<&RequestId>, seq: Seq) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "pong")]
    struct Pong<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        seq: Seq,
    }
    Frame::encode(&Pong {
        id: id.map(RequestId::as_raw),
        seq,
    })
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "response")]
struct Response<'a, D> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    request: RequestKind,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<D>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a SubName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
}

fn response<D>(id: Option<&RequestId>, kind: RequestKind) -> Response<'_, D> {
    Response {
        id: id.map(RequestId::as_raw),
        request: kind,
        success: true,
        seq: None,
        data: None,
        next: None,
        sub: None,
        duplicate: None,
    }
}

/// What credentials came to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words of the wire")]
pub struct Authenticated<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    #[serde(flatten)]
    pub author: Option<&'a Author>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The answer to an AUTH that showed good credentials.
pub fn authenticated(id: Option<&RequestId>, who: &Authenticated<'_>) -> Frame {
    Frame::encode(&Response {
        data: Some(who),
        ..response(id, RequestKind::Auth)
    })
}

/// The answer to a BROADCAST that was sent.
pub fn broadcast_done(id: Option<&RequestId>) -> Frame {
    Frame::encode(&response::<()>(id, RequestKind::Broadcast))
}

/// The answer to a write; `seq` is that of its last change. `is_repeated` if it was carried out before: then the
/// changes are those of that time.
pub fn write_done(
    id: Option<&RequestId>,
    kind: RequestKind,
    changes: &[Arc<Change>],
    is_repeated: bool,
) -> Frame {
    Frame::encode(&Response {
        seq: last_seq(changes),
        data: Some(WriteAnswer::of(kind, changes)),
        duplicate: is_repeated.then_some(true),
        ..response(id, kind)
    })
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

impl Shaped {
    /// The event, or the fields of it that are wanted.
    pub fn of(event: Event, fields: &Fields) -> Self {
        match fields.is_all() {
            true => Self::Whole(event),
            false => Self::Part(fields.project(&event)),
        }
    }
}

/// The same, of an event that is shared.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum FrameData<'a> {
    Whole(&'a Event),
    Part(Document),
}

impl<'a> FrameData<'a> {
    pub(super) fn of(event: &'a Event, fields: &Fields) -> Self {
        match fields.is_all() {
            true => Self::Whole(event),
            false => Self::Part(fields.project(event)),
        }
    }
}

/// The answer to a FETCH, encoded as its events are read, so that no list of them is held beside it.
#[derive(Debug)]
pub struct FetchPage {
    text: Vec<u8>,
    events: EventArray,
}

impl FetchPage {
    /// One without events, as of `seq`; with how many match in all, if that was asked.
    pub fn new(id: Option<&RequestId>, seq: Seq, count: Option<Count>) -> Self {
        let head = Response::<()> {
            seq: Some(seq),
            ..response(id, RequestKind::Fetch)
        };
        let mut text = json(&head);
        let brace = text.pop();
        debug_assert_eq!(brace, Some(b'}'), "the array goes inside the object");
        write_count(&mut text, count);
        let events = EventArray::start(&mut text);
        Self { text, events }
    }

    /// Adds an event, or the fields of it that are wanted.
    pub fn push(&mut self, event: &Event, fields: &Fields) {
        self.events.push(&mut self.text, event, fields);
    }

    /// How many events it has.
    pub fn count(&self) -> usize {
        self.events.count()
    }

    /// Its length so far, in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Never: it begins with its type.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The message; `next` is where the next page begins, if there is more.
    pub fn finish(mut self, next: Option<&str>) -> Frame {
        self.events.finish(&mut self.text, next);
        self.text.shrink_to_fit();
        Frame::from_json(self.text)
    }
}

/// The answer to a FETCH that asks what it takes.
pub fn explained(id: Option<&RequestId>, seq: Seq, explained: &QueryReport) -> Frame {
    Frame::encode(&Response {
        seq: Some(seq),
        data: Some(explained),
        ..response(id, RequestKind::Fetch)
    })
}

/// The answer to a SUBSCRIBE: changes after `seq` will follow.
pub fn subscribed(id: Option<&RequestId>, sub: &SubName, seq: Seq) -> Frame {
    Frame::encode(&Response::<()> {
        seq: Some(seq),
        sub: Some(sub),
        ..response(id, RequestKind::Subscribe)
    })
}

/// The answer to an UNSUBSCRIBE: no frame of the subscription follows.
pub fn unsubscribed(id: Option<&RequestId>, sub: &SubName) -> Frame {
    Frame::encode(&Response::<()> {
        sub: Some(sub),
        ..response(id, RequestKind::Unsubscribe)
    })
}

/// The answer to a request that failed; `kind` is what it asked for, if that could be read.
pub fn error(id: Option<&RequestId>, kind: Option<RequestKind>, failure: &Failure) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "error")]
    struct ErrorFrame<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<RequestKind>,
        success: bool,
        error: &'a Failure,
    }
    Frame::encode(&ErrorFrame {
        id: id.map(RequestId::as_raw),
        request: kind,
        success: false,
        error: failure,
    })
}

/// A message that some client of some node broadcast.
pub fn broadcast(payload: &RawValue) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "broadcast")]
    struct BroadcastFrame<'a> {
        payload: &'a RawValue,
    }
    Frame::encode(&BroadcastFrame { payload })
}

/// Why a subscription, or a stream, is reset whose client may see something else from now on.
pub const ACCESS_CHANGED: &str = "access_changed";

/// Why a list is sent anew: its client was too slow for the changes of it, or something of it was erased.
pub const LIST_ANEW: &str = "list_anew";

/// The position to resume from is not one of this log: the session, or the subscription, goes on from `seq`.
pub fn reset(reason: &str, seq: Seq) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "reset")]
    struct ResetFrame<'a> {
        reason: &'a str,
        seq: Seq,
        earliest: Seq,
    }
    Frame::encode(&ResetFrame {
        reason,
        seq,
        earliest: Seq::ZERO.next(),
    })
}

/// A page of the events that a subscription starts with, as of `seq`.
pub fn snapshot(seq: Seq, events: &[impl Serialize], more: bool) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "snapshot")]
    struct SnapshotFrame<'a, T> {
        seq: Seq,
        data: &'a [T],
        more: bool,
    }
    let data = events;
    Frame::encode(&SnapshotFrame { seq, data, more })
}

/// Every change up to `seq` was sent; what follows is sent as it happens.
pub fn live(seq: Seq) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "live")]
    struct LiveFrame {
        seq: Seq,
    }
    Frame::encode(&LiveFrame { seq })
}

/// Every change up to `seq` was sent; what follows is read from the log, until `live`.
pub fn behind(seq: Seq) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "behind")]
    struct BehindFrame {
        seq: Seq,
    }
    Frame::encode(&BehindFrame { seq })
}

/// A change, for those to whom it is `visible` as this kind, with the fields they want.
pub fn change(change: &Change, visible: VisibleKind, fields: &Fields) -> Frame {
    let both = change.before().zip(change.after());
    let both = both.filter(|_| visible == VisibleKind::Update);
    let patch = change.patch().zip(both).map(|(patch, (before, after))| {
        if fields.is_all() {
            Cow::Borrowed(patch)
        } else {
            Cow::Owned(fields.project_patch(patch, &before.fields, &after.fields))
        }
    });
    let by = change.author.as_deref().filter(|_| fields.has_authors());
    change_frame(change, visible, patch, by, fields)
}

/// Several changes of one event as one, of which `change` is the last.
pub fn latest(change: &Change, visible: VisibleKind, fields: &Fields) -> Frame {
    // Others may have had a part in it.
    change_frame(change, visible, None, None, fields)
}

fn change_frame(
    change: &Change,
    visible: VisibleKind,
    patch: Option<Cow<'_, Patch>>,
    by: Option<&Author>,
    fields: &Fields,
) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "change", rename_all = "camelCase")]
    struct ChangeFrame<'a> {
        seq: Seq,
        kind: VisibleKind,
        event_id: &'a EventId,
        version: u64,
        at: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<&'a Author>,
        #[serde(skip_serializing_if = "Option::is_none")]
        patch: Option<Cow<'a, Patch>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<FrameData<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        redacted: Option<bool>,
    }
    let data = change.after().filter(|_| visible.shows_event());
    let data = data.map(|event| FrameData::of(event, fields));
    Frame::encode(&ChangeFrame {
        seq: change.seq,
        kind: visible,
        event_id: change.event_id(),
        version: change.version(),
        at: change.at,
        by,
        patch,
        data,
        redacted: change.is_redacted().then_some(true),
    })
}

//! What the server says. Each function makes one kind of frame.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::failure::Failure;
use super::frame::{Frame, json};
use super::request::{RequestId, RequestKind};
use super::subscribe::SubName;
use crate::domain::VisibleKind;
use crate::domain::{Change, Event, EventId, Patch, Seq, Timestamp};
use crate::query::Fields;
use crate::value::Document;

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

fn response<D>(id: Option<&RequestId>, request: RequestKind) -> Response<'_, D> {
    Response {
        id: id.map(RequestId::as_raw),
        request,
        success: true,
        seq: None,
        data: None,
        next: None,
        sub: None,
        duplicate: None,
    }
}

/// The answer to a BROADCAST that was sent.
pub fn announced(id: Option<&RequestId>) -> Frame {
    Frame::encode(&response::<()>(id, RequestKind::Broadcast))
}

/// What the commands of a write made of their events, or what they deleted: one event, or for a BATCH all.
#[derive(Serialize)]
#[serde(untagged)]
enum WriteAnswer<'a> {
    One(Option<&'a Event>),
    All(Vec<&'a Event>),
}

impl<'a> WriteAnswer<'a> {
    fn of(request: RequestKind, changes: &'a [Arc<Change>]) -> Self {
        let event = |change: &'a Arc<Change>| change.event().map(Arc::as_ref);
        match request {
            RequestKind::Batch => Self::All(changes.iter().filter_map(event).collect()),
            _ => Self::One(changes.last().and_then(event)),
        }
    }
}

fn last(changes: &[Arc<Change>]) -> Option<Seq> {
    changes.last().map(|change| change.seq)
}

/// The answer to a write; `seq` is that of its last change. `is_repeated` if it was carried out before, and
/// this is the answer it had then.
pub fn answer(
    id: Option<&RequestId>,
    request: RequestKind,
    changes: &[Arc<Change>],
    is_repeated: bool,
) -> Frame {
    Frame::encode(&Response {
        seq: last(changes),
        data: Some(WriteAnswer::of(request, changes)),
        duplicate: is_repeated.then_some(true),
        ..response(id, request)
    })
}

/// The body of an HTTP answer to a write; see [`answer`].
pub fn written(request: RequestKind, changes: &[Arc<Change>], is_repeated: bool) -> Frame {
    #[derive(Serialize)]
    struct Body<'a> {
        success: bool,
        request: RequestKind,
        seq: Option<Seq>,
        data: WriteAnswer<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        duplicate: Option<bool>,
    }
    Frame::encode(&Body {
        success: true,
        request,
        seq: last(changes),
        data: WriteAnswer::of(request, changes),
        duplicate: is_repeated.then_some(true),
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

/// The answer to a FETCH, encoded as its events come: they are not held beside it.
#[derive(Debug)]
pub struct FetchPage {
    text: Vec<u8>,
    count: usize,
}

impl FetchPage {
    /// One without events, as of `seq`.
    pub fn new(id: Option<&RequestId>, seq: Seq) -> Self {
        let head = Response::<()> {
            seq: Some(seq),
            ..response(id, RequestKind::Fetch)
        };
        let mut text = json(&head);
        text.pop();
        text.extend_from_slice(br#","data":["#);
        Self { text, count: 0 }
    }

    /// Adds an event, or the fields of it that are wanted.
    pub fn push(&mut self, event: &Event, fields: &Fields) {
        if self.count > 0 {
            self.text.push(b',');
        }
        self.count += 1;
        let written = match fields.is_all() {
            true => serde_json::to_writer(&mut self.text, event),
            false => serde_json::to_writer(&mut self.text, &fields.project(event)),
        };
        written.expect("an event is JSON, and memory takes it");
    }

    /// How many events it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How long it is by now, in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Never: it says what it is.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The message; `next` is where the next page begins, if there is more.
    pub fn finish(mut self, next: Option<&str>) -> Frame {
        self.text.push(b']');
        if let Some(next) = next {
            self.text.extend_from_slice(br#","next":"#);
            self.text.extend_from_slice(&json(next));
        }
        self.text.push(b'}');
        self.text.shrink_to_fit();
        Frame::of_json(self.text)
    }
}

/// The answer to a SUBSCRIBE: changes after `seq` will follow.
pub fn subscribed(id: Option<&RequestId>, sub: &SubName, seq: Seq) -> Frame {
    Frame::encode(&Response::<()> {
        seq: Some(seq),
        sub: Some(sub),
        ..response(id, RequestKind::Subscribe)
    })
}

/// The answer to an UNSUBSCRIBE: nothing of it follows.
pub fn unsubscribed(id: Option<&RequestId>, sub: &SubName) -> Frame {
    Frame::encode(&Response::<()> {
        sub: Some(sub),
        ..response(id, RequestKind::Unsubscribe)
    })
}

/// The answer to a request that failed; `request` is what it asked for, if that could be read.
pub fn error(id: Option<&RequestId>, request: Option<RequestKind>, failure: &Failure) -> Frame {
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
        request,
        success: false,
        error: failure,
    })
}

/// The body of an HTTP request that failed.
pub fn refusal(failure: &Failure) -> Frame {
    #[derive(Serialize)]
    struct RefusalFrame<'a> {
        success: bool,
        error: &'a Failure,
    }
    Frame::encode(&RefusalFrame {
        success: false,
        error: failure,
    })
}

/// A broadcast by some session of some node.
pub fn broadcast(payload: &RawValue) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "broadcast")]
    struct BroadcastFrame<'a> {
        payload: &'a RawValue,
    }
    Frame::encode(&BroadcastFrame { payload })
}

/// The position a session asked to resume from cannot be: it goes on from `seq`.
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
pub fn snapshot(seq: Seq, events: &[Shaped], more: bool) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "snapshot")]
    struct SnapshotFrame<'a> {
        seq: Seq,
        data: &'a [Shaped],
        more: bool,
    }
    let data = events;
    Frame::encode(&SnapshotFrame { seq, data, more })
}

/// Everything up to `seq` was told; what follows is told as it happens.
pub fn live(seq: Seq) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "live")]
    struct LiveFrame {
        seq: Seq,
    }
    Frame::encode(&LiveFrame { seq })
}

/// Everything up to `seq` was told; what follows is read from the log, until `live`.
pub fn behind(seq: Seq) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "behind")]
    struct BehindFrame {
        seq: Seq,
    }
    Frame::encode(&BehindFrame { seq })
}

/// A change, as those hear it to whom it is `seen`, with the fields they want.
pub fn change(change: &Change, seen: VisibleKind, fields: &Fields) -> Frame {
    let both = change.before().zip(change.after());
    let both = both.filter(|_| seen == VisibleKind::Update);
    let patch = change.patch().zip(both).map(|(patch, (before, after))| {
        if fields.is_all() {
            Cow::Borrowed(patch)
        } else {
            Cow::Owned(fields.project_patch(patch, &before.fields, &after.fields))
        }
    });
    tell(change, seen, patch, fields)
}

/// What several changes of one event come to, `change` being the last of them.
pub fn latest(change: &Change, seen: VisibleKind, fields: &Fields) -> Frame {
    tell(change, seen, None, fields)
}

fn tell(
    change: &Change,
    seen: VisibleKind,
    patch: Option<Cow<'_, Patch>>,
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
        patch: Option<Cow<'a, Patch>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<FrameData<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        redacted: Option<bool>,
    }
    #[derive(Serialize)]
    #[serde(untagged)]
    enum FrameData<'a> {
        Whole(&'a Event),
        Part(Document),
    }
    let data = change.after().filter(|_| seen.shows_event());
    let data = data.map(|event| match fields.is_all() {
        true => FrameData::Whole(event),
        false => FrameData::Part(fields.project(&**event)),
    });
    Frame::encode(&ChangeFrame {
        seq: change.seq,
        kind: seen,
        event_id: change.event_id(),
        version: change.version(),
        at: change.at,
        patch,
        data,
        redacted: change.is_redacted().then_some(true),
    })
}

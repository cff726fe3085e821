//! What stands under `data` in an answer, on the socket and over HTTP alike.

use std::sync::Arc;

use serde::Serialize;

use super::frame::json;
use super::request_kind::RequestKind;
use crate::domain::{Change, Event, Seq};
use crate::query::{Count, Fields};

/// The events as a write left them, or as they were before it deleted them: one, or for a BATCH all.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WriteAnswer<'a> {
    One(Option<&'a Event>),
    All(Vec<&'a Event>),
}

impl<'a> WriteAnswer<'a> {
    pub(super) fn of(kind: RequestKind, changes: &'a [Arc<Change>]) -> Self {
        let event = |change: &'a Arc<Change>| change.event().map(Arc::as_ref);
        match kind {
            RequestKind::Batch => Self::All(changes.iter().filter_map(event).collect()),
            _ => Self::One(changes.last().and_then(event)),
        }
    }
}

pub(super) fn last_seq(changes: &[Arc<Change>]) -> Option<Seq> {
    changes.last().map(|change| change.seq)
}

/// `,"data":[…],"next":"…"}`, the end of an answer that lists events, written as they are read. The caller keeps the
/// bytes, or sends them piece by piece.
#[derive(Debug)]
pub struct EventArray {
    count: usize,
}

impl EventArray {
    pub(super) fn start(body: &mut Vec<u8>) -> Self {
        body.extend_from_slice(br#","data":["#);
        Self { count: 0 }
    }

    /// Adds an event, or the fields of it that are wanted.
    pub fn push(&mut self, body: &mut Vec<u8>, event: &Event, fields: &Fields) {
        if self.count > 0 {
            body.push(b',');
        }
        self.count += 1;
        write_event(body, event, fields);
    }

    /// How many events it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Ends the answer; `next` is the cursor of the next page, if there is one.
    pub fn finish(self, body: &mut Vec<u8>, next: Option<&str>) {
        finish_array(body, next.map(json));
    }
}

/// `,"count":12`, or `,"countAtLeast":1000000`: two names, so that nobody takes the one for the other.
pub(super) fn write_count(body: &mut Vec<u8>, count: Option<Count>) {
    let (name, number) = match count {
        Some(Count::Exactly(number)) => ("count", number),
        Some(Count::AtLeast(number)) => ("countAtLeast", number),
        None => return,
    };
    body.extend_from_slice(format!(r#","{name}":{number}"#).as_bytes());
}

pub(super) fn write_event(body: &mut Vec<u8>, event: &Event, fields: &Fields) {
    let written = match fields.is_all() {
        true => serde_json::to_writer(body, event),
        false => serde_json::to_writer(body, &fields.project(event)),
    };
    written.expect("an event is JSON, and memory takes it");
}

pub(super) fn finish_array(body: &mut Vec<u8>, next: Option<Vec<u8>>) {
    body.push(b']');
    if let Some(next) = next {
        body.extend_from_slice(br#","next":"#);
        body.extend_from_slice(&next);
    }
    body.push(b'}');
}

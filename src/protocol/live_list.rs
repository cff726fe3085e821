//! Live lists: what a SUBSCRIBE asks for beside its filter, and the frames of what is shown.

use std::sync::Arc;

use serde::Serialize;

use super::frame::Frame;
use super::reply::{FrameData, snapshot};
use crate::domain::{Event, EventId, Move, Seq, VisibleKind};
use crate::limits;
use crate::query::{Count, Fields, Sort};
use crate::value::{Document, Invalid, Value, expect_flag, join};

/// The first events of an order, how many there are in all, or both.
#[derive(Debug, Clone)]
pub struct LiveList {
    /// The order.
    pub sort: Arc<Sort>,
    /// The most events that are shown.
    pub limit: usize,
    /// Whether it is told how many events match.
    pub counts: bool,
}

impl LiveList {
    /// The names that [`parse`](Self::parse) reads.
    pub const NAMES: [&str; 3] = ["sort", "limit", "count"];

    /// Reads the values of [`NAMES`](Self::NAMES); `None` if there are none. `at` is the path of `params`.
    ///
    /// # Errors
    /// The first error, with its path.
    pub fn parse(params: &Document, at: &str) -> Result<Option<Self>, Invalid> {
        let [sort, limit, count] = Self::NAMES.map(|name| params.get(name));
        let counts = match count {
            None => false,
            Some(count) => expect_flag(count, &join(at, "count"))?,
        };
        let Some(limit) = limit else {
            let Some(name) = Self::NAMES.iter().find(|name| params.get(name).is_some()) else {
                return Ok(None);
            };
            let reason = "of a list: name its limit (0, for the count alone)";
            return Err(Invalid::new(join(at, name), reason));
        };
        let sort = match sort {
            None => Sort::by_id(),
            Some(sort) => Sort::parse(sort, &join(at, "sort"))?,
        };
        Ok(Some(Self {
            sort: Arc::new(sort),
            limit: parse_limit(limit, counts, &join(at, "limit"))?,
            counts,
        }))
    }
}

fn parse_limit(limit: &Value, counts: bool, at: &str) -> Result<usize, Invalid> {
    let most = limits::LIST_COUNT_MAX;
    let least = if counts { 0 } else { 1 };
    let wrong = || {
        let reason = format!("expected an integer from 1 to {most}, or 0 beside count");
        Invalid::new(at, reason)
    };
    let Value::Int(limit) = limit else {
        return Err(wrong());
    };
    let limit = usize::try_from(*limit).map_err(|_| wrong())?;
    (least..=most)
        .contains(&limit)
        .then_some(limit)
        .ok_or_else(wrong)
}

/// A step from what a list showed to what it shows as of `seq`.
pub fn list_change(seq: Seq, step: &Move, fields: &Fields) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "change", rename_all = "camelCase")]
    struct ListChangeFrame<'a> {
        seq: Seq,
        kind: VisibleKind,
        event_id: &'a EventId,
        version: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<FrameData<'a>>,
    }
    let kind = step.kind();
    Frame::encode(&match step {
        Move::Out { id, version, .. } => ListChangeFrame {
            seq,
            kind,
            event_id: id,
            version: *version,
            index: None,
            data: None,
        },
        Move::In { event, index, .. } | Move::Stay { event, index, .. } => ListChangeFrame {
            seq,
            kind,
            event_id: &event.id,
            version: event.version,
            index: Some(*index),
            data: Some(FrameData::of(event, fields)),
        },
    })
}

/// How many events match, as of `seq`.
pub fn list_count(seq: Seq, count: Count) -> Frame {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "count", rename_all = "camelCase")]
    struct CountFrame {
        seq: Seq,
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        count_at_least: Option<u64>,
    }
    let (exact, least) = match count {
        Count::Exactly(count) => (Some(count), None),
        Count::AtLeast(count) => (None, Some(count)),
    };
    Frame::encode(&CountFrame {
        seq,
        count: exact,
        count_at_least: least,
    })
}

/// What a list shows as of `seq`, or a page of it.
pub fn list_snapshot(seq: Seq, events: &[Arc<Event>], fields: &Fields, more: bool) -> Frame {
    let data = events.iter().map(|event| FrameData::of(event, fields));
    snapshot(seq, &data.collect::<Vec<_>>(), more)
}

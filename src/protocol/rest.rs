//! The bodies of HTTP answers: the same events, changes and errors as on the socket, without what only a session needs.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::data::{EventArray, WriteAnswer, finish_array, last_seq, write_count, write_event};
use super::failure::Failure;
use super::frame::{Frame, json};
use super::query_report::QueryReport;
use super::request_kind::RequestKind;
use crate::domain::{Change, Event, Seq};
use crate::query::{Count, Fields, Group};
use crate::value::{Sum, Value};

/// The body where there is nothing to say but that it was done.
pub const DONE: &str = r#"{"success":true}"#;

/// One event, as of `seq`: `{"success":true,"seq":41,"data":{…}}`.
pub fn event(seq: Seq, event: &Event, fields: &Fields) -> Vec<u8> {
    let mut body = head(seq);
    body.extend_from_slice(br#","data":"#);
    write_event(&mut body, event, fields);
    body.push(b'}');
    body
}

/// The start of a list of events, as of `seq`, and what writes the rest of it; with how many match in all, if that was
/// asked.
pub fn list_start(seq: Seq, count: Option<Count>) -> (Vec<u8>, EventArray) {
    let mut body = head(seq);
    write_count(&mut body, count);
    let events = EventArray::start(&mut body);
    (body, events)
}

/// The changes of one event, as of `seq`: `{"success":true,"seq":41,"data":[…],"next":41}`, where the next page
/// begins after the change at `next`.
pub fn history(seq: Seq, changes: impl Iterator<Item = Frame>, next: Option<Seq>) -> Vec<u8> {
    change_array(head(seq), changes, next)
}

/// A page of the log, with its epoch; see [`history`].
pub fn changes(
    epoch: Uuid,
    seq: Seq,
    changes: impl Iterator<Item = Frame>,
    next: Option<Seq>,
) -> Vec<u8> {
    let head = format!(r#"{{"success":true,"epoch":"{epoch}","seq":{seq}"#);
    change_array(head.into_bytes(), changes, next)
}

/// What answering a query takes; see [`explained`](super::explained).
pub fn explained(seq: Seq, explained: &QueryReport) -> Vec<u8> {
    #[derive(Serialize)]
    struct ExplainedBody<'a> {
        success: bool,
        seq: Seq,
        data: &'a QueryReport,
    }
    json(&ExplainedBody {
        success: true,
        seq,
        data: explained,
    })
}

/// Groups of events, as of `seq`: `{"success":true,"seq":41,"data":[{"value":"open","count":12,"sum":345.5}]}`. Where
/// there is no value, none is named.
pub fn stats(seq: Seq, groups: &[Group]) -> Vec<u8> {
    #[derive(Serialize)]
    struct GroupBody<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<&'a Value>,
        count: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        sum: Option<Value>,
    }
    #[derive(Serialize)]
    struct StatsBody<'a> {
        success: bool,
        seq: Seq,
        data: Vec<GroupBody<'a>>,
    }
    let groups = groups.iter().map(|group| GroupBody {
        value: group.value.as_ref(),
        count: group.count,
        sum: group.sum.as_ref().map(Sum::total),
    });
    json(&StatsBody {
        success: true,
        seq,
        data: groups.collect(),
    })
}

/// That a node serves: the head of its log, if that was asked, the entry of the log that cannot be read, and the indexes
/// that are being built.
pub fn health(seq: Option<Seq>, corrupt: Option<Seq>, building: &[String]) -> Vec<u8> {
    #[derive(Serialize)]
    struct HealthBody<'a> {
        success: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<Seq>,
        #[serde(skip_serializing_if = "Option::is_none")]
        corrupt: Option<Seq>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        building: &'a [String],
    }
    json(&HealthBody {
        success: true,
        seq,
        corrupt,
        building,
    })
}

/// The answer to a write; see [`write_done`](super::write_done).
pub fn write_done(kind: RequestKind, changes: &[Arc<Change>], is_repeated: bool) -> Frame {
    #[derive(Serialize)]
    struct WriteBody<'a> {
        success: bool,
        request: RequestKind,
        seq: Option<Seq>,
        data: WriteAnswer<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        duplicate: Option<bool>,
    }
    Frame::encode(&WriteBody {
        success: true,
        request: kind,
        seq: last_seq(changes),
        data: WriteAnswer::of(kind, changes),
        duplicate: is_repeated.then_some(true),
    })
}

/// The answer to a request that failed.
pub fn error(failure: &Failure) -> Frame {
    #[derive(Serialize)]
    struct ErrorBody<'a> {
        success: bool,
        error: &'a Failure,
    }
    Frame::encode(&ErrorBody {
        success: false,
        error: failure,
    })
}

/// `{"success":true,"seq":41`
fn head(seq: Seq) -> Vec<u8> {
    format!(r#"{{"success":true,"seq":{seq}"#).into_bytes()
}

fn change_array(
    mut body: Vec<u8>,
    changes: impl Iterator<Item = Frame>,
    next: Option<Seq>,
) -> Vec<u8> {
    body.extend_from_slice(br#","data":["#);
    for (index, frame) in changes.enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(frame.bytes());
    }
    finish_array(&mut body, next.map(|next| json(&next)));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: Vec<u8>) -> String {
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_list_without_events_is_whole() {
        let seq = Seq::new(41);
        let (mut body, events) = list_start(seq, None);
        events.finish(&mut body, None);
        assert_eq!(text(body), r#"{"success":true,"seq":41,"data":[]}"#);
        let (mut body, events) = list_start(seq, None);
        events.finish(&mut body, Some("a\"b"));
        assert_eq!(
            text(body),
            r#"{"success":true,"seq":41,"data":[],"next":"a\"b"}"#
        );
    }

    #[test]
    fn a_count_and_a_bound_of_it_have_two_names() {
        let counted = |count| {
            let (mut body, events) = list_start(Seq::new(41), Some(count));
            events.finish(&mut body, None);
            text(body)
        };
        assert_eq!(
            counted(Count::Exactly(12)),
            r#"{"success":true,"seq":41,"count":12,"data":[]}"#
        );
        assert_eq!(
            counted(Count::AtLeast(1_000)),
            r#"{"success":true,"seq":41,"countAtLeast":1000,"data":[]}"#
        );
    }

    #[test]
    fn changes_are_listed_with_what_comes_after_them() {
        let (seq, next) = (Seq::new(41), Some(Seq::new(7)));
        let frames = || [Frame::encode(&1), Frame::encode(&"x")].into_iter();
        assert_eq!(
            text(history(seq, frames(), next)),
            r#"{"success":true,"seq":41,"data":[1,"x"],"next":7}"#
        );
        assert_eq!(
            text(changes(Uuid::nil(), seq, frames().take(0), None)),
            r#"{"success":true,"epoch":"00000000-0000-0000-0000-000000000000","seq":41,"data":[]}"#
        );
    }

    #[test]
    fn health_says_what_is_known() {
        let (head, corrupt) = (Some(Seq::new(9)), Some(Seq::new(4)));
        assert_eq!(text(health(None, None, &[])), DONE);
        assert_eq!(
            text(health(head, corrupt, &["owner".to_owned()])),
            r#"{"success":true,"seq":9,"corrupt":4,"building":["owner"]}"#
        );
    }
}

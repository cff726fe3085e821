//! A session's messages as events of Socket.IO, so that clients of the original server hear what they know.
//!
//! | a frame of the session | is emitted as | with |
//! |---|---|---|
//! | `response` | `response`, and the acknowledgement is called | the frame; a BROADCAST's has its payload as `data` |
//! | `error`    | `error`, and the acknowledgement is called    | the frame, with `message` at its top as well |
//! | `broadcast` | `broadcast`                                  | the payload that was sent |
//! | any other  | its type                                      | the frame |
//!
//! The session answers in the order of the requests, so the n-th answer is the n-th request's: ids are the client's
//! own affair. Not every `error` is an answer: a subscription, or the session, may end by itself.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::packet::{EmittedEvent, binary, requested};
use crate::protocol::code::Code;
use crate::protocol::envelope::Envelope;
use crate::protocol::failure::Failure;
use crate::protocol::frame::WrappedFrame;
use crate::protocol::request_kind::RequestKind;
use crate::value::Invalid;

/// How frames begin, and what follows is their type.
const TYPE: &[u8] = br#"{"type":""#;

/// How a frame with a broadcast begins.
const BROADCAST: &[u8] = br#"{"type":"broadcast","payload":"#;

/// What the answers that a session owes have to be sent with.
#[derive(Debug, Default)]
pub struct Dialect {
    /// For each request without an answer, the oldest first.
    owed: VecDeque<OwedAnswer>,
}

#[derive(Debug, Default)]
struct OwedAnswer {
    /// The client's acknowledgement.
    ack: Option<u64>,
    /// The payload of a BROADCAST.
    payload: Option<Box<RawValue>>,
}

impl Dialect {
    /// The message that a session reads, for an event that a client emits. Either way an answer is owed for it.
    ///
    /// # Errors
    /// If no request has that name, or the message around its payload is malformed; with the request, if there is one.
    pub fn request(
        &mut self,
        event: &EmittedEvent<'_>,
    ) -> Result<String, (Option<RequestKind>, Failure)> {
        let kind = requested(&event.name);
        let message =
            kind.map(|kind| RequestMessage::of(kind, event.payload).map(|read| (kind, read)));
        let broadcast = match &message {
            Some(Ok((RequestKind::Broadcast, message))) => message.payload.map(ToOwned::to_owned),
            _ => None,
        };
        self.owed.push_back(OwedAnswer {
            ack: event.ack,
            payload: broadcast,
        });
        match message {
            Some(Ok((kind, message))) => Ok(message.encode(kind)),
            Some(Err(invalid)) => Err((kind, Failure::at(Code::BadRequest, invalid))),
            None => {
                let reason = "no request has this name: CREATE, UPDATE, DELETE, RESTORE, BATCH, \
                              FETCH, BROADCAST, SUBSCRIBE, UNSUBSCRIBE";
                let unknown = Invalid::new("event", reason);
                Err((None, Failure::at(Code::UnknownType, unknown)))
            }
        }
    }

    /// An answer is owed for a packet that no session can read.
    pub fn owe(&mut self, ack: Option<u64>) {
        self.owed.push_back(OwedAnswer { ack, payload: None });
    }

    /// An answer is owed for an attachment that belongs to no event; this is what it says.
    pub fn owe_binary(&mut self) -> Failure {
        self.owe(None);
        binary()
    }

    /// The event that says what a frame of the session says, and the call of the acknowledgement that it answers.
    pub fn events(
        &mut self,
        frame: &WrappedFrame,
        is_answer: bool,
    ) -> (WrappedFrame, Option<WrappedFrame>) {
        let frame = frame.body();
        let owed = is_answer.then(|| self.owed.pop_front());
        let OwedAnswer { ack, payload } = owed.flatten().unwrap_or_default();
        let added = match kind(frame) {
            "broadcast" => {
                let payload = frame.slice(BROADCAST.len()..frame.len() - 1);
                return (emitted("broadcast", payload, END), None);
            }
            "response" => payload.map(|payload| format!(",\"data\":{payload}}}]")),
            "error" => message_of(frame).map(|message| format!(",\"message\":{message}}}]")),
            _ => None,
        };
        answered(kind(frame), frame, ack, added)
    }
}

/// The frame as an event, and as an acknowledgement. What is added to it replaces its last brace.
fn answered(
    name: &str,
    frame: &Bytes,
    ack: Option<u64>,
    added: Option<String>,
) -> (WrappedFrame, Option<WrappedFrame>) {
    let (body, tail) = match added {
        Some(added) => (frame.slice(..frame.len() - 1), added.into()),
        None => (frame.clone(), END),
    };
    let ack =
        ack.map(|ack| WrappedFrame::new(format!("43{ack}[").into(), body.clone(), tail.clone()));
    (emitted(name, body, tail), ack)
}

/// The end of a packet's arguments.
const END: Bytes = Bytes::from_static(b"]");

/// `42["change",…]`. Most are changes, so that this is not written anew for each.
fn emitted(name: &str, body: Bytes, tail: Bytes) -> WrappedFrame {
    let head = match name {
        "change" => Bytes::from_static(br#"42["change","#),
        _ => format!("42[\"{name}\",").into(),
    };
    WrappedFrame::new(head, body, tail)
}

/// The type of a frame.
fn kind(frame: &[u8]) -> &str {
    let rest = frame.strip_prefix(TYPE).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(0);
    std::str::from_utf8(&rest[..end]).unwrap_or_default()
}

/// The message of a frame with an error.
fn message_of(frame: &[u8]) -> Option<&RawValue> {
    let frame: Envelope<'_> = serde_json::from_slice(frame).ok()?;
    let error: Envelope<'_> = serde_json::from_str(frame.get("error")?.get()).ok()?;
    error.get("message")
}

/// What an event's argument says: `{type, payload}`, or the payload alone.
#[derive(Default)]
struct RequestMessage<'a> {
    id: Option<&'a RawValue>,
    command_id: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

impl<'a> RequestMessage<'a> {
    fn of(kind: RequestKind, argument: Option<&'a RawValue>) -> Result<Self, Invalid> {
        let envelope = argument.and_then(|argument| serde_json::from_str(argument.get()).ok());
        let envelope = envelope.filter(|envelope| is_message(envelope, kind));
        let mut message = match envelope {
            Some(envelope) => Self::read(&envelope)?,
            None => Self {
                payload: argument,
                ..Self::default()
            },
        };
        let is_nothing = |payload: &RawValue| payload.get() == "null";
        // The original server makes an empty event of a CREATE without anything.
        if kind == RequestKind::Create && message.payload.is_none_or(is_nothing) {
            message.payload = serde_json::from_str("{}").ok();
        }
        Ok(message)
    }

    /// A name that is not known is refused: it could be a field of a document that says `type` itself.
    fn read(envelope: &Envelope<'a>) -> Result<Self, Invalid> {
        envelope.check_names()?;
        let unknown = envelope.unknown(&["type", "id", "commandId", "payload"]);
        if let Some(name) = unknown {
            let reason = "not known beside type and payload; fields belong into payload";
            return Err(Invalid::new(name, reason));
        }
        Ok(Self {
            id: envelope.get("id"),
            command_id: envelope.get("commandId"),
            payload: envelope.payload("payload"),
        })
    }

    /// As the wire has it.
    fn encode(&self, kind: RequestKind) -> String {
        let mut text = format!("{{\"type\":\"{}\"", kind.as_str());
        for (name, value) in [
            ("id", self.id),
            ("commandId", self.command_id),
            ("payload", self.payload),
        ] {
            if let Some(value) = value {
                text.extend([",\"", name, "\":", value.get()]);
            }
        }
        text.push('}');
        text
    }
}

/// Whether an argument is a message around its payload: its `type` is the event's name.
fn is_message(envelope: &Envelope<'_>, kind: RequestKind) -> bool {
    let given = envelope.get("type").map(RawValue::get);
    given.is_some_and(|given| given.trim_matches('"') == kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::ClientPacket;
    use super::*;
    use crate::domain::Seq;
    use crate::protocol;
    use crate::protocol::Frame;

    type Refused = (Option<RequestKind>, Failure);

    fn request(dialect: &mut Dialect, packet: &str) -> Result<String, Refused> {
        match ClientPacket::parse(packet) {
            ClientPacket::Emit(event) => dialect.request(&event),
            other => panic!("{other:?} is no event"),
        }
    }

    fn text(wrapped: &WrappedFrame) -> String {
        String::from_utf8(wrapped.slice(0, wrapped.len()).to_vec()).unwrap()
    }

    fn events(dialect: &mut Dialect, frame: Frame) -> (String, Option<String>) {
        let is_answer = ["response", "error"].contains(&kind(frame.bytes()));
        told(dialect, frame, is_answer)
    }

    fn told(dialect: &mut Dialect, frame: Frame, is_answer: bool) -> (String, Option<String>) {
        let (event, ack) = dialect.events(&frame.into(), is_answer);
        (text(&event), ack.as_ref().map(text))
    }

    fn failed(code: Code, message: &str) -> Frame {
        protocol::error(
            None,
            Some(RequestKind::Update),
            &Failure::new(code, message),
        )
    }

    #[test]
    fn a_subscription_that_ends_takes_no_answer_from_a_request() {
        let mut dialect = Dialect::default();
        request(&mut dialect, r#"427["CREATE",{}]"#).unwrap();
        let sub = crate::protocol::SubName::parse(
            &crate::value::read(r#"{"sub":"s"}"#, "payload").unwrap(),
            "payload",
        );
        let ended = failed(Code::FilterTooSlow, "it ended").for_subscription(&sub.unwrap());
        let (event, ack) = told(&mut dialect, ended, false);
        assert!(event.contains(r#""sub":"s""#) && event.contains(r#""message":"it ended""#));
        assert_eq!(ack, None);
        let (_, ack) = events(&mut dialect, failed(Code::Busy, "later"));
        assert!(ack.is_some_and(|ack| ack.starts_with("437[")));
    }

    #[test]
    fn a_request_is_the_same_with_its_type_around_it_and_without() {
        for (packet, expected) in [
            (
                r#"42["CREATE",{"a": 1}]"#,
                r#"{"type":"CREATE","payload":{"a": 1}}"#,
            ),
            (
                r#"42["CREATE",{"payload":{"a": 1},"type":"CREATE"}]"#,
                r#"{"type":"CREATE","payload":{"a": 1}}"#,
            ),
            (
                r#"42["DELETE",{"type":"DELETE","commandId":"k","id":7,"payload":{"id":"e"}}]"#,
                r#"{"type":"DELETE","id":7,"commandId":"k","payload":{"id":"e"}}"#,
            ),
            // A document of its own that says `type`.
            (
                r#"42["CREATE",{"type":"DELETE"}]"#,
                r#"{"type":"CREATE","payload":{"type":"DELETE"}}"#,
            ),
            (r#"42["CREATE"]"#, r#"{"type":"CREATE","payload":{}}"#),
            (r#"42["CREATE",null]"#, r#"{"type":"CREATE","payload":{}}"#),
            (
                r#"42["CREATE",{"type":"CREATE"}]"#,
                r#"{"type":"CREATE","payload":{}}"#,
            ),
            (r#"42["FETCH"]"#, r#"{"type":"FETCH"}"#),
            (
                r#"42["BROADCAST",null]"#,
                r#"{"type":"BROADCAST","payload":null}"#,
            ),
        ] {
            assert_eq!(request(&mut Dialect::default(), packet).unwrap(), expected);
        }
    }

    #[test]
    fn what_no_request_says_is_refused_and_nothing_of_a_document_is_lost() {
        let mut dialect = Dialect::default();
        let mut refused = |packet: &str| {
            let (kind, failure) = request(&mut dialect, packet).unwrap_err();
            (kind, failure.code, failure.path.unwrap())
        };
        let create = Some(RequestKind::Create);
        assert_eq!(
            refused(r#"42["JOIN","room"]"#),
            (None, Code::UnknownType, "event".to_owned())
        );
        assert_eq!(
            refused(r#"42["CREATE",{"type":"CREATE","field1":"x"}]"#),
            (create, Code::BadRequest, "field1".to_owned())
        );
        assert_eq!(
            refused(r#"42["CREATE",{"type":"CREATE","payload":{},"payload":{}}]"#),
            (create, Code::BadRequest, "payload".to_owned())
        );
        for (packet, kind) in [
            (r#"451-7["CREATE",{"_placeholder":true,"num":0}]"#, create),
            (r#"451-["PING",{"_placeholder":true,"num":0}]"#, None),
            ("451-[", None),
        ] {
            let ClientPacket::Refused { kind: found, .. } = ClientPacket::parse(packet) else {
                panic!("{packet} is refused");
            };
            assert_eq!(found, kind, "{packet}");
        }
    }

    #[test]
    fn an_answer_is_an_event_and_calls_the_acknowledgement_of_its_request() {
        let mut dialect = Dialect::default();
        request(&mut dialect, r#"425["BROADCAST",{"message":"hi"}]"#).unwrap();
        request(&mut dialect, r#"42["UPDATE",{}]"#).unwrap();
        request(&mut dialect, r#"426["NOTHING"]"#).unwrap_err();
        let sent =
            r#"{"type":"response","request":"BROADCAST","success":true,"data":{"message":"hi"}}"#;
        assert_eq!(
            events(&mut dialect, protocol::broadcast_done(None)),
            (
                format!(r#"42["response",{sent}]"#),
                Some(format!("435[{sent}]"))
            )
        );
        let (event, ack) = events(&mut dialect, failed(Code::NotFound, "no \"such\" event"));
        assert_eq!(ack, None);
        let event: serde_json::Value = serde_json::from_str(&event[2..]).unwrap();
        assert_eq!(event[0], "error");
        assert_eq!(event[1]["success"], false);
        assert_eq!(event[1]["request"], "UPDATE");
        assert_eq!(event[1]["message"], "no \"such\" event");
        assert_eq!(event[1]["error"]["code"], "not_found");
        let (_, ack) = events(&mut dialect, failed(Code::UnknownType, "what?"));
        assert!(ack.unwrap().starts_with("436[{\"type\":\"error\""));
    }

    #[test]
    fn broadcasts_are_their_payload_and_everything_else_is_named_by_its_type() {
        let mut dialect = Dialect::default();
        let payload: Box<RawValue> = serde_json::from_str("[1, \"x\"]").unwrap();
        assert_eq!(
            events(&mut dialect, protocol::broadcast(&payload)).0,
            r#"42["broadcast",[1, "x"]]"#
        );
        assert_eq!(
            events(&mut dialect, protocol::live(Seq::new(7))).0,
            r#"42["live",{"type":"live","seq":7}]"#
        );
    }

    #[test]
    fn the_frame_of_a_change_is_shared_and_not_copied() {
        let frame = protocol::live(Seq::new(7));
        let (event, _) = Dialect::default().events(&frame.clone().into(), false);
        assert_eq!(event.body().as_ptr(), frame.bytes().as_ptr());
    }
}

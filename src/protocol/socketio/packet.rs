//! What clients send: one packet, read as far as the connection has to know it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::Seq;
use crate::protocol::code::Code;
use crate::protocol::credentials::Credentials;
use crate::protocol::envelope::Envelope;
use crate::protocol::failure::Failure;
use crate::protocol::request_kind::RequestKind;
use crate::protocol::subscribe::Subscribe;
use crate::value::{Invalid, read};

/// One packet of a client.
#[derive(Debug)]
pub enum ClientPacket<'a> {
    /// The client leaves.
    Close,
    /// It asks whether a WebSocket works.
    Probe,
    /// It goes on with the WebSocket.
    Upgrade,
    /// It connects to a namespace; `None` is the main one.
    Connect {
        /// The namespace's name.
        namespace: Option<&'a str>,
        /// Its `auth`: JSON, or nothing.
        auth: &'a str,
    },
    /// It leaves the main namespace.
    Disconnect,
    /// It emits an event.
    Emit(EmittedEvent<'a>),
    /// It sends an attachment of an event.
    Binary,
    /// It asks for something that is not served here.
    Refused {
        /// The acknowledgement it waits for.
        ack: Option<u64>,
        /// Attachments that come with it.
        attachments: usize,
        /// What the event asks for, if it names a request.
        kind: Option<RequestKind>,
        /// Why not.
        failure: Failure,
    },
    /// A heartbeat, or an acknowledgement that nobody asked for.
    Ignored,
}

/// An event with its first argument. Further ones are not looked at, as the original server did not.
#[derive(Debug)]
pub struct EmittedEvent<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) payload: Option<&'a RawValue>,
    pub(super) ack: Option<u64>,
}

impl<'a> ClientPacket<'a> {
    /// Reads a packet.
    pub fn parse(text: &'a str) -> Self {
        match text.split_at_checked(1) {
            Some(("4", message)) => Self::parse_message(message),
            Some(("3" | "6", _)) => Self::Ignored,
            Some(("2", "probe")) => Self::Probe,
            Some(("2", _)) => Self::Ignored,
            Some(("5", _)) => Self::Upgrade,
            Some(("1", _)) => Self::Close,
            Some(("b", _)) => Self::Binary,
            _ => malformed(None, "expected a packet of Engine.IO 4"),
        }
    }

    fn parse_message(message: &'a str) -> Self {
        let Some((kind, rest)) = message.split_at_checked(1) else {
            return malformed(None, "expected a packet of Socket.IO");
        };
        let (attachments, rest) = match kind {
            "5" | "6" => split_attachments(rest),
            _ => (0, rest),
        };
        let (namespace, rest) = split_namespace(rest);
        let (ack, rest) = split_number(rest);
        match (kind, namespace) {
            ("0", _) => Self::Connect {
                namespace,
                auth: rest,
            },
            ("1", None) => Self::Disconnect,
            ("2", None) => Self::parse_event(ack, rest),
            ("5", None) => Self::Refused {
                ack,
                attachments,
                kind: kind_of(rest),
                failure: binary(),
            },
            ("1" | "2" | "3" | "5" | "6", _) => Self::Ignored,
            _ => malformed(ack, "expected a packet of Socket.IO"),
        }
    }

    fn parse_event(ack: Option<u64>, json: &'a str) -> Self {
        match serde_json::from_str::<Arguments<'_>>(json) {
            Ok(Arguments { name, payload }) => Self::Emit(EmittedEvent { name, payload, ack }),
            Err(error) => {
                let reason = format!("expected an event's name and arguments: {error}");
                malformed(ack, &reason)
            }
        }
    }
}

/// What an event asks for, by its name.
fn kind_of(json: &str) -> Option<RequestKind> {
    let event: Arguments<'_> = serde_json::from_str(json).ok()?;
    requested(&event.name)
}

/// The request that an event of this name is. A PING is answered out of turn, and Socket.IO has its own.
pub(super) fn requested(name: &str) -> Option<RequestKind> {
    RequestKind::parse(name).filter(|kind| *kind != RequestKind::Ping)
}

/// Why an attachment is refused.
pub(super) fn binary() -> Failure {
    Failure::new(
        Code::BinaryFrame,
        "events are JSON, without binary attachments",
    )
}

fn malformed(ack: Option<u64>, reason: &str) -> ClientPacket<'static> {
    ClientPacket::Refused {
        ack,
        attachments: 0,
        kind: None,
        failure: Failure::new(Code::MalformedJson, reason),
    }
}

/// `3-` before the rest.
fn split_attachments(text: &str) -> (usize, &str) {
    let count = text
        .split_once('-')
        .and_then(|(count, rest)| Some((count.parse().ok()?, rest)));
    count.unwrap_or((0, text))
}

/// `/name,` before the rest. The main one may be written as `/,`.
fn split_namespace(text: &str) -> (Option<&str>, &str) {
    if !text.starts_with('/') {
        return (None, text);
    }
    let (name, rest) = text.split_once(',').unwrap_or((text, ""));
    (Some(name).filter(|name| *name != "/"), rest)
}

/// The id of an acknowledgement before the rest. One that no client would count up to is none.
fn split_number(text: &str) -> (Option<u64>, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    (digits.parse().ok(), rest)
}

/// `["CREATE",{…}]`.
struct Arguments<'a> {
    name: Cow<'a, str>,
    payload: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Arguments<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ArgumentsVisitor)
    }
}

struct ArgumentsVisitor;

impl<'de> Visitor<'de> for ArgumentsVisitor {
    type Value = Arguments<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list that begins with a name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut arguments: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        struct EventName<'a>(#[serde(borrow)] Cow<'a, str>);
        let name = arguments.next_element::<EventName<'de>>()?;
        let EventName(name) = name.ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
        let payload = arguments.next_element::<&RawValue>()?;
        while arguments.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Arguments { name, payload })
    }
}

/// What a client asks for when it connects, in its `auth`. Names that are not livelog's are not looked at: clients of
/// the original server may send tokens there.
#[derive(Debug, Clone)]
pub struct ConnectAuth {
    /// The position to resume from.
    pub after: Option<Seq>,
    /// The log that position belongs to.
    pub epoch: Option<Uuid>,
    /// Whether it wants to hear changes.
    pub wants_changes: bool,
    /// What it shows to prove who it is; `None` is something that cannot be read.
    pub credentials: Option<Credentials>,
}

impl ConnectAuth {
    /// Reads the `auth` of a CONNECT.
    ///
    /// # Errors
    /// If `after`, `epoch` or `changes` cannot be used, with the path.
    pub fn parse(json: &str) -> Result<Self, Failure> {
        let bad = |reason: &str, path| Failure::at(Code::BadRequest, Invalid::new(path, reason));
        let json = if json.is_empty() { "{}" } else { json };
        let auth: Envelope<'_> =
            serde_json::from_str(json).map_err(|_| bad("expected a JSON object", "auth"))?;
        let given = ["after", "epoch"].into_iter().filter_map(|name| {
            let raw = auth.get(name)?;
            Some(format!("\"{name}\":{raw}"))
        });
        let given = given.collect::<Vec<_>>().join(",");
        let position = Subscribe::parse(&read(&format!("{{{given}}}"), "auth")?, "auth")?;
        let wants_changes = match auth.get("changes").map(RawValue::get) {
            None | Some("\"all\"") => true,
            Some("\"none\"") => false,
            Some(_) => return Err(bad("expected all or none", "auth.changes")),
        };
        let text = |name: &str| auth.get(name).map(|raw| serde_json::from_str(raw.get()));
        let credentials = match (text("token").transpose(), text("role").transpose()) {
            (Ok(token), Ok(role)) => Some(Credentials { token, role }),
            _ => None,
        };
        Ok(Self {
            after: position.after,
            epoch: position.epoch,
            wants_changes,
            credentials,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(packet: &ClientPacket<'_>) -> Code {
        match packet {
            ClientPacket::Refused { failure, .. } => failure.code,
            other => panic!("{other:?} is not refused"),
        }
    }

    #[test]
    fn a_packet_is_read_as_the_client_wrote_it() {
        let ClientPacket::Emit(event) = ClientPacket::parse(r#"4217["CREATE",{"a":[1, 2]},"b"]"#)
        else {
            panic!("it is an event");
        };
        assert_eq!((&*event.name, event.ack), ("CREATE", Some(17)));
        assert_eq!(event.payload.unwrap().get(), r#"{"a":[1, 2]}"#);
        let ClientPacket::Emit(event) = ClientPacket::parse(r#"42/,["FE\u0054CH"]"#) else {
            panic!("it is an event of the main namespace");
        };
        assert_eq!((&*event.name, event.ack), ("FETCH", None));
        assert!(event.payload.is_none());
        assert!(matches!(
            ClientPacket::parse("40/admin,{\"token\":1}"),
            ClientPacket::Connect {
                namespace: Some("/admin"),
                auth: "{\"token\":1}"
            }
        ));
        assert!(matches!(
            ClientPacket::parse("40"),
            ClientPacket::Connect {
                namespace: None,
                auth: ""
            }
        ));
        assert!(matches!(
            ClientPacket::parse("41"),
            ClientPacket::Disconnect
        ));
        assert!(matches!(ClientPacket::parse("2probe"), ClientPacket::Probe));
        assert!(matches!(ClientPacket::parse("5"), ClientPacket::Upgrade));
        for ignored in ["3", "2", "6", "431[]", "42/admin,[\"CREATE\"]", "41/admin,"] {
            let packet = ClientPacket::parse(ignored);
            assert!(matches!(packet, ClientPacket::Ignored), "{ignored}");
        }
    }

    #[test]
    fn what_cannot_be_read_or_is_not_served_is_refused_and_its_acknowledgement_known() {
        for text in [
            "", "x", "4", "4x", "42", "42{}", "42[]", "42[1]", "42[\"A\"", "é", "4é", "44{}",
        ] {
            assert_eq!(
                code(&ClientPacket::parse(text)),
                Code::MalformedJson,
                "{text}"
            );
        }
        let attached = ClientPacket::parse(r#"452-7["CREATE",{"_placeholder":true,"num":0}]"#);
        assert_eq!(code(&attached), Code::BinaryFrame);
        assert!(matches!(
            attached,
            ClientPacket::Refused {
                ack: Some(7),
                attachments: 2,
                ..
            }
        ));
        assert!(matches!(ClientPacket::parse("bAQI="), ClientPacket::Binary));
        let huge = format!("42{}[\"FETCH\"]", "9".repeat(30));
        assert!(
            matches!(ClientPacket::parse(&huge), ClientPacket::Emit(event) if event.ack.is_none())
        );
    }

    #[test]
    fn auth_names_a_position_and_whether_changes_are_wanted() {
        let epoch = "f384c2b7-0000-4000-8000-000000000000";
        let auth =
            format!(r#"{{"token":{{"$any":1}},"after":41,"epoch":"{epoch}","changes":"none"}}"#);
        let auth = ConnectAuth::parse(&auth).unwrap();
        assert_eq!(auth.after, Some(Seq::new(41)));
        assert_eq!(auth.epoch, Some(epoch.parse().unwrap()));
        assert!(!auth.wants_changes);
        for nothing in ["", "{}", r#"{"after":null,"epoch":null,"changes":null}"#] {
            let auth = ConnectAuth::parse(nothing).unwrap();
            assert!(auth.after.is_none() && auth.epoch.is_none() && auth.wants_changes);
        }
        for (wrong, path) in [
            ("[]", "auth"),
            (r#"{"after":"x"}"#, "auth.after"),
            (r#"{"epoch":7}"#, "auth.epoch"),
            (r#"{"changes":false}"#, "auth.changes"),
        ] {
            let failure = ConnectAuth::parse(wrong).unwrap_err();
            assert_eq!(failure.path.as_deref(), Some(path), "{wrong}");
        }
    }
}

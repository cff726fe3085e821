//! Requests: a message is one JSON object, parsed into a type or refused with code and path.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::body::{BROADCAST_IS_NOT_KEPT, read_broadcast};
use super::code::Code;
use super::credentials::Credentials;
use super::envelope::Envelope;
use super::failure::Failure;
use super::fetch::Fetch;
use super::request_kind::RequestKind;
use super::subscribe::{SubName, Subscribe};
use crate::domain::{CommandBatch, CommandId, CommandKind};
use crate::limits;
use crate::value::{Document, Invalid, ParseError, known, read};

/// The id that a client gave to its request: a string or an integer, echoed as it was written.
#[derive(Debug, Clone)]
pub struct RequestId(Box<RawValue>);

impl RequestId {
    pub(super) fn as_raw(&self) -> &RawValue {
        &self.0
    }

    fn parse(raw: &RawValue) -> Result<Self, Invalid> {
        let text = raw.get();
        let fits = match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(text)
                .is_ok_and(|id| id.len() <= limits::REQUEST_ID_BYTES_MAX),
            _ => text.parse::<i64>().is_ok(),
        };
        match fits {
            true => Ok(Self(raw.to_owned())),
            false => Err(Invalid::new(
                "id",
                format!(
                    "expected a string of at most {} bytes or an integer",
                    limits::REQUEST_ID_BYTES_MAX
                ),
            )),
        }
    }
}

/// A request that can be carried out.
#[derive(Debug, Clone)]
pub enum Request {
    /// CREATE, UPDATE, DELETE or RESTORE, or several of them in a BATCH.
    Write(CommandBatch),
    /// FETCH.
    Fetch(Fetch),
    /// BROADCAST; the payload is JSON text.
    Broadcast(Arc<RawValue>),
    /// SUBSCRIBE, under a name.
    Subscribe(SubName, Box<Subscribe>),
    /// UNSUBSCRIBE.
    Unsubscribe(SubName),
    /// PING.
    Ping,
    /// AUTH.
    Auth(Credentials),
}

/// A request, with what its answer repeats.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each has a type of its own")]
pub struct ParsedRequest {
    pub id: Option<RequestId>,
    pub kind: RequestKind,
    pub request: Request,
}

/// A message that cannot be carried out, with what its answer can repeat.
#[derive(Debug)]
#[expect(missing_docs, reason = "each has a type of its own")]
pub struct RefusedRequest {
    pub id: Option<RequestId>,
    pub kind: Option<RequestKind>,
    pub failure: Failure,
}

impl ParsedRequest {
    /// Reads one message.
    ///
    /// # Errors
    /// What is wrong and where. The request has had no effect.
    pub fn parse(text: &str) -> Result<Self, RefusedRequest> {
        let envelope: Envelope<'_> =
            serde_json::from_str(text).map_err(|error| RefusedRequest {
                id: None,
                kind: None,
                failure: ParseError::json(error, "").into(),
            })?;
        let (id, checked) = read_id(&envelope);
        let kind = match checked.and_then(|()| read_kind(envelope.get("type"))) {
            Ok(kind) => kind,
            Err(failure) => {
                return Err(RefusedRequest {
                    id,
                    kind: None,
                    failure,
                });
            }
        };
        match read_request(&envelope, kind) {
            Ok(request) => Ok(Self { id, kind, request }),
            Err(failure) => Err(RefusedRequest {
                id,
                kind: Some(kind),
                failure,
            }),
        }
    }
}

/// The id that the answer repeats, and whether it and the names of the message are valid.
fn read_id(envelope: &Envelope<'_>) -> (Option<RequestId>, Result<(), Failure>) {
    let bad = |invalid| Err(Failure::at(Code::BadRequest, invalid));
    let id = envelope.get("id").map(RequestId::parse).transpose();
    match (id, envelope.check_names()) {
        (Ok(id), Ok(())) => (id, Ok(())),
        (Ok(id), Err(invalid)) => (id.filter(|_| invalid.path != "id"), bad(invalid)),
        (Err(invalid), _) => (None, bad(invalid)),
    }
}

fn read_kind(raw: Option<&RawValue>) -> Result<RequestKind, Failure> {
    let invalid = |reason: &str| Failure::at(Code::BadRequest, Invalid::new("type", reason));
    let raw = raw.ok_or_else(|| invalid("missing: say what is asked for"))?;
    let word: Cow<'_, str> =
        serde_json::from_str(raw.get()).map_err(|_| invalid("expected a string"))?;
    RequestKind::parse(&word).ok_or_else(|| {
        let known =
            "expected CREATE, UPDATE, DELETE, RESTORE, BATCH, FETCH, BROADCAST, SUBSCRIBE, UNSUBSCRIBE, PING or AUTH";
        Failure::at(Code::UnknownType, Invalid::new("type", known))
    })
}

fn read_request(envelope: &Envelope<'_>, kind: RequestKind) -> Result<Request, Failure> {
    check_command_id(envelope, kind)?;
    let payload = envelope.payload("payload");
    match kind {
        RequestKind::Create => read_command(envelope, CommandKind::Create),
        RequestKind::Update => read_command(envelope, CommandKind::Update),
        RequestKind::Delete => read_command(envelope, CommandKind::Delete),
        RequestKind::Restore => read_command(envelope, CommandKind::Restore),
        RequestKind::Batch => read_write(envelope, CommandBatch::parse_batch),
        RequestKind::Fetch => read_fetch(payload),
        RequestKind::Broadcast => read_broadcast(required(payload)?.get()).map(Request::Broadcast),
        RequestKind::Subscribe => read_subscribe(document(payload)?),
        RequestKind::Unsubscribe => known(document(payload)?, "payload", &["sub"])
            .and_then(|payload| SubName::parse(&payload, "payload"))
            .map(Request::Unsubscribe)
            .map_err(|invalid| Failure::at(Code::BadRequest, invalid)),
        RequestKind::Ping => read_ping(payload),
        RequestKind::Auth => Credentials::parse(document(payload)?, "payload")
            .map(Request::Auth)
            .map_err(|invalid| Failure::at(Code::BadRequest, invalid)),
    }
}

/// Refuses a `commandId` where it would be ignored: a client that repeats a message must be able to rely on it.
fn check_command_id(envelope: &Envelope<'_>, kind: RequestKind) -> Result<(), Failure> {
    let reason = match kind {
        RequestKind::Create
        | RequestKind::Update
        | RequestKind::Delete
        | RequestKind::Restore
        | RequestKind::Batch => return Ok(()),
        RequestKind::Broadcast => BROADCAST_IS_NOT_KEPT,
        RequestKind::Fetch
        | RequestKind::Subscribe
        | RequestKind::Unsubscribe
        | RequestKind::Ping
        | RequestKind::Auth => {
            "only a write has one: this changes nothing, and may be asked again without it"
        }
    };
    match envelope.get("commandId") {
        None => Ok(()),
        Some(_) => Err(Failure::at(
            Code::BadRequest,
            Invalid::new("commandId", reason),
        )),
    }
}

fn read_command(envelope: &Envelope<'_>, verb: CommandKind) -> Result<Request, Failure> {
    read_write(envelope, |payload, id| {
        CommandBatch::parse(verb, payload, id)
    })
}

fn read_write(
    envelope: &Envelope<'_>,
    parse: impl FnOnce(Document, Option<CommandId>) -> Result<CommandBatch, Invalid>,
) -> Result<Request, Failure> {
    let bad = |invalid| Failure::at(Code::BadRequest, invalid);
    let id = envelope.get("commandId").map(read_command_id).transpose();
    let batch = parse(document(envelope.payload("payload"))?, id.map_err(bad)?);
    Ok(Request::Write(batch.map_err(bad)?))
}

fn read_command_id(raw: &RawValue) -> Result<CommandId, Invalid> {
    let text: Cow<'_, str> = serde_json::from_str(raw.get())
        .map_err(|_| Invalid::new("commandId", "expected a string"))?;
    CommandId::parse(&text, "commandId")
}

fn read_ping(payload: Option<&RawValue>) -> Result<Request, Failure> {
    known(optional(payload)?, "payload", &[])
        .map(|_| Request::Ping)
        .map_err(|invalid| Failure::at(Code::BadRequest, invalid))
}

fn read_fetch(payload: Option<&RawValue>) -> Result<Request, Failure> {
    let params = optional(payload)?;
    let params = known(params, "payload", &Fetch::NAMES);
    let params = params.map_err(|invalid| Failure::at(Code::BadRequest, invalid))?;
    let invalid = |invalid| Failure::at(Code::InvalidFilter, invalid);
    let mut fetch = Fetch::parse(&params, "payload").map_err(invalid)?;
    let query = Arc::make_mut(&mut fetch.query);
    query.limit.get_or_insert(limits::FETCH_COUNT_DEFAULT);
    if query
        .limit
        .is_some_and(|limit| limit > limits::FETCH_COUNT_MAX)
    {
        let reason = format!(
            "at most {} events a FETCH; use cursor for more",
            limits::FETCH_COUNT_MAX
        );
        return Err(invalid(Invalid::new("payload.limit", reason)));
    }
    Ok(Request::Fetch(fetch))
}

fn read_subscribe(params: Document) -> Result<Request, Failure> {
    let bad = |invalid| Failure::at(Code::BadRequest, invalid);
    let names = [&["sub"], &Subscribe::NAMES[..]].concat();
    let params = known(params, "payload", &names).map_err(bad)?;
    let sub = SubName::parse(&params, "payload").map_err(bad)?;
    let subscribe = Subscribe::parse(&params, "payload")?;
    Ok(Request::Subscribe(sub, Box::new(subscribe)))
}

fn required(payload: Option<&RawValue>) -> Result<&RawValue, Failure> {
    payload.ok_or_else(|| Failure::at(Code::BadRequest, Invalid::new("payload", "missing")))
}

/// A payload that may be left out.
fn optional(payload: Option<&RawValue>) -> Result<Document, Failure> {
    match payload.map(RawValue::get) {
        None | Some("null") => Ok(Document::new()),
        Some(_) => document(payload),
    }
}

fn document(payload: Option<&RawValue>) -> Result<Document, Failure> {
    Ok(read(required(payload)?.get(), "payload")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Command;

    fn refused(text: &str) -> (Code, Option<String>, Option<String>) {
        let refused = ParsedRequest::parse(text).expect_err(text);
        (
            refused.failure.code,
            refused.failure.path,
            refused.id.map(|id| id.0.get().to_owned()),
        )
    }

    #[test]
    fn requests_are_read_and_their_id_is_kept_as_written() {
        let parsed = ParsedRequest::parse(
            r#"{"type":"CREATE","id":"c\u0031","payload":{"a":1},"extra":[]}"#,
        )
        .unwrap();
        assert_eq!(parsed.kind, RequestKind::Create);
        assert_eq!(parsed.id.unwrap().0.get(), r#""c\u0031""#);
        let Request::Write(batch) = parsed.request else {
            panic!("a CREATE is a write");
        };
        assert!(matches!(batch.commands[..], [Command::Create(_)]) && batch.key.is_none());
        let parsed =
            ParsedRequest::parse(r#"{"type":"BROADCAST","id":-7,"payload":[1, 2]}"#).unwrap();
        assert_eq!(parsed.id.unwrap().0.get(), "-7");
        assert!(matches!(parsed.request, Request::Broadcast(payload) if payload.get() == "[1, 2]"));
        assert!(
            ParsedRequest::parse(r#"{"type":"FETCH"}"#)
                .unwrap()
                .id
                .is_none()
        );
    }

    #[test]
    fn refusals_name_the_code_the_path_and_the_id_where_it_can_be_read() {
        let (bad, path) = (Code::BadRequest, |text: &str| Some(text.to_owned()));
        assert_eq!(refused("{"), (Code::MalformedJson, None, None));
        assert_eq!(refused(""), (Code::MalformedJson, None, None));
        assert_eq!(refused("[1]"), (bad, None, None));
        let message = |text| ParsedRequest::parse(text).expect_err(text).failure.message;
        for text in ["[1]", r#"{"type":"CREATE","payload":[1]}"#] {
            assert_eq!(message(text), "expected a JSON object", "{text}");
        }
        assert_eq!(refused("{}"), (bad, path("type"), None));
        assert_eq!(
            refused(r#"{"type":7,"id":"x"}"#),
            (bad, path("type"), path("\"x\""))
        );
        assert_eq!(
            refused(r#"{"type":"create","id":1}"#),
            (Code::UnknownType, path("type"), path("1"))
        );
        assert_eq!(
            refused(r#"{"type":"CREATE","id":1.5}"#),
            (bad, path("id"), None)
        );
        assert_eq!(
            refused(r#"{"type":"CREATE","id":{}}"#),
            (bad, path("id"), None)
        );
        assert_eq!(
            refused(r#"{"type":"CREATE","id":1}"#),
            (bad, path("payload"), path("1"))
        );
        assert_eq!(
            refused(r#"{"type":"CREATE","payload":[]}"#),
            (bad, path("payload"), None)
        );
        assert_eq!(
            refused(r#"{"type":"CREATE","payload":{"n":9223372036854775808}}"#),
            (bad, path("payload.n"), None)
        );
        assert_eq!(
            refused(r#"{"type":"BROADCAST"}"#),
            (bad, path("payload"), None)
        );
        assert_eq!(
            refused(r#"{"type":"CREATE","payload":{"a":1e999}}"#),
            (bad, path("payload.a"), None)
        );
        let escaped = "\\u00e9".repeat(limits::REQUEST_ID_BYTES_MAX / 2);
        let with_id = |id: &str| {
            ParsedRequest::parse(&format!(r#"{{"type":"FETCH","id":"{id}","payload":{{}}}}"#))
        };
        assert!(
            with_id(&escaped).is_ok(),
            "an id is as long as it is, not as it is written"
        );
        assert!(with_id(&format!("{escaped}x")).is_err());
        let long = format!(
            r#"{{"type":"FETCH","id":"{}"}}"#,
            "x".repeat(limits::REQUEST_ID_BYTES_MAX + 1)
        );
        assert_eq!(refused(&long), (bad, path("id"), None));
    }
}

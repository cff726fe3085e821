//! Encodes stored values as the [`layout`](super::layout) says: front to back into one buffer, no tree in between.

use uuid::Uuid;

use super::layout::{CHECKSUM_BYTES, VALUE_FORMAT, checksum, flag, kind, log_key, tag};
use crate::domain::{Author, Change, ChangeKind, Effect, Event, EventId, Patch, Timestamp};
use crate::value::{Document, Value};

/// The log's value at `change.seq`. The first entry of a batch carries the batch's id.
pub(crate) fn change(to: &mut Vec<u8>, change: &Change, batch: Option<Uuid>) {
    begin(to);
    to.push(match change.kind() {
        ChangeKind::Create => kind::CREATE,
        ChangeKind::Update => kind::UPDATE,
        ChangeKind::Delete => kind::DELETE,
    });
    let opens_batch = batch.map_or(0, |_| flag::OPENS_BATCH);
    let has_command = change.command.as_ref().map_or(0, |_| flag::HAS_COMMAND);
    let redacted = if change.is_redacted() {
        flag::REDACTED
    } else {
        0
    };
    let author = match change.author.as_deref() {
        None => 0,
        Some(Author::Token { .. }) => flag::BY_TOKEN,
        Some(Author::Key { .. }) => flag::BY_KEY,
    };
    to.push(opens_batch | has_command | redacted | author);
    if let Some(id) = batch {
        to.extend_from_slice(id.as_bytes());
    }
    if let Some(key) = &change.command {
        text(to, key.id.as_str());
        to.extend_from_slice(&key.digest);
    }
    match change.author.as_deref() {
        None => {}
        Some(Author::Token { issuer, subject }) => {
            text(to, issuer);
            text(to, subject);
        }
        Some(Author::Key { id }) => text(to, id),
    }
    timestamp(to, change.at);
    match &change.effect {
        Effect::Create { after } => named_event(to, after),
        Effect::Update {
            before,
            patch,
            after,
        } => {
            named_event(to, before);
            self::patch(to, patch);
            named_event(to, after);
        }
        Effect::Delete { before } => named_event(to, before),
        Effect::Redacted {
            id, version, prior, ..
        } => {
            self::id(to, id);
            number(to, *version);
            number(to, prior.unwrap_or_default().get());
        }
    }
    write_checksum(to, &log_key(change.seq));
}

/// The view's value at `event.id`.
pub(crate) fn event(to: &mut Vec<u8>, event: &Event) {
    begin(to);
    event_body(to, event);
    write_checksum(to, event.id.as_str().as_bytes());
}

/// Leaves room for the checksum, which [`write_checksum`] fills in when the body is complete.
fn begin(to: &mut Vec<u8>) {
    to.clear();
    to.extend_from_slice(&[0; CHECKSUM_BYTES]);
    to.push(VALUE_FORMAT);
}

fn write_checksum(to: &mut [u8], key: &[u8]) {
    debug_assert!(to.len() > CHECKSUM_BYTES, "the format number follows");
    let sum = checksum(key, &to[CHECKSUM_BYTES..]);
    to[..CHECKSUM_BYTES].copy_from_slice(&sum.to_le_bytes());
}

fn named_event(to: &mut Vec<u8>, event: &Event) {
    id(to, &event.id);
    event_body(to, event);
}

/// The version and the seq come first: they are read without decoding the rest.
fn event_body(to: &mut Vec<u8>, event: &Event) {
    number(to, event.version);
    number(to, event.seq.get());
    timestamp(to, event.created_at);
    timestamp(to, event.updated_at);
    document(to, &event.fields);
}

fn patch(to: &mut Vec<u8>, patch: &Patch) {
    length(to, patch.set.len());
    for (path, set) in &patch.set {
        text(to, path.as_str());
        value(to, set);
    }
    length(to, patch.unset.len());
    for path in &patch.unset {
        text(to, path.as_str());
    }
}

fn document(to: &mut Vec<u8>, document: &Document) {
    length(to, document.len());
    for (name, field) in document.iter() {
        text(to, name);
        value(to, field);
    }
}

fn value(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => to.push(tag::NULL),
        Value::Bool(false) => to.push(tag::FALSE),
        Value::Bool(true) => to.push(tag::TRUE),
        Value::Int(int) => {
            to.push(tag::INT);
            number(to, ((int << 1) ^ (int >> 63)).cast_unsigned());
        }
        Value::Float(float) => {
            to.push(tag::FLOAT);
            to.extend_from_slice(&float.to_le_bytes());
        }
        Value::String(string) => {
            to.push(tag::STRING);
            text(to, string);
        }
        Value::Array(items) => {
            to.push(tag::ARRAY);
            length(to, items.len());
            items.iter().for_each(|item| self::value(to, item));
        }
        Value::Object(fields) => {
            to.push(tag::OBJECT);
            document(to, fields);
        }
    }
}

fn id(to: &mut Vec<u8>, id: &EventId) {
    text(to, id.as_str());
}

fn timestamp(to: &mut Vec<u8>, timestamp: Timestamp) {
    to.extend_from_slice(timestamp.as_str().as_bytes());
}

fn text(to: &mut Vec<u8>, text: &str) {
    length(to, text.len());
    to.extend_from_slice(text.as_bytes());
}

fn length(to: &mut Vec<u8>, length: usize) {
    number(to, length as u64);
}

fn number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::decode;
    use super::*;
    use crate::domain::{CommandId, CommandKey, Path, Seq};

    /// What version 1 wrote. If one of these fails, data on somebody's disk has become unreadable:
    /// the new bytes need a new format beside the old, not a new fixture.
    const CREATE: &str = include_str!("../../../../fixtures/embedded/log-1-create.hex");
    const UPDATE: &str = include_str!("../../../../fixtures/embedded/log-1-update.hex");
    const DELETE: &str = include_str!("../../../../fixtures/embedded/log-1-delete.hex");
    const COMMAND: &str = include_str!("../../../../fixtures/embedded/log-1-command.hex");
    const REDACTED: &str = include_str!("../../../../fixtures/embedded/log-1-redacted.hex");
    const EVENT: &str = include_str!("../../../../fixtures/embedded/view-1-event.hex");

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn born() -> Arc<Event> {
        let fields = r#"{"title":"grüße 😀","n":-3,"big":9223372036854775807,"small":-9223372036854775808,
            "f":-0.5,"yes":true,"no":false,"nothing":null,"":"","list":[1,1.0,[],{"a":{}}]}"#;
        Arc::new(Event {
            id: EventId::parse("event 1").unwrap(),
            version: 1,
            seq: Seq::new(7),
            created_at: at("2026-01-31T12:00:00.000Z"),
            updated_at: at("2026-01-31T12:00:00.000Z"),
            fields: serde_json::from_str(fields).unwrap(),
        })
    }

    fn changes() -> [(Change, &'static str); 5] {
        let (before, path) = (born(), |text| Path::parse(text).unwrap());
        let patch = Patch {
            set: vec![(path("list.0"), Value::Float(2.5))],
            unset: vec![path("title"), path("n")],
        };
        let after = Arc::new(Event {
            version: 2,
            seq: Seq::new(300),
            updated_at: at("2026-01-31T12:00:01.234Z"),
            fields: patch.apply(&before.fields).unwrap(),
            ..(*before).clone()
        });
        let change = |seq, effect| Change {
            seq: Seq::new(seq),
            at: at("2026-01-31T12:00:01.234Z"),
            effect,
            command: None,
            author: None,
        };
        let key = CommandKey {
            id: CommandId::parse("command 1", "").unwrap(),
            digest: *b"0123456789abcdef",
        };
        let keyed = Change {
            command: Some(Arc::new(key)),
            ..change(
                8,
                Effect::Delete {
                    before: Arc::clone(&before),
                },
            )
        };
        let create = Effect::Create {
            after: Arc::clone(&before),
        };
        let update = Effect::Update {
            before,
            patch,
            after: Arc::clone(&after),
        };
        let delete = Effect::Delete { before: after };
        let redacted = change(300, update.clone()).redact();
        [
            (redacted, REDACTED),
            (change(7, create), CREATE),
            (change(300, update), UPDATE),
            (change(70_000, delete), DELETE),
            (keyed, COMMAND),
        ]
    }

    fn hex(bytes: &[u8]) -> String {
        let lines = bytes.chunks(32).map(|line| {
            let line = line.iter().map(|byte| format!("{byte:02x}"));
            line.collect::<String>() + "\n"
        });
        lines.collect()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: String = hex.split_whitespace().collect();
        let pairs = digits.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn what_version_1_wrote_is_read_and_still_written_so() {
        let batch = Some(Uuid::from_u128(0x0123_4567_89ab_cdef));
        let mut buffer = Vec::new();
        for (logged, golden) in changes() {
            let batch = batch.filter(|_| logged.kind() == ChangeKind::Update);
            change(&mut buffer, &logged, batch);
            assert_eq!(hex(&buffer), golden, "change {}", logged.seq);
            assert_eq!(decode::change(logged.seq, &bytes(golden)).unwrap(), logged);
            assert_eq!(decode::batch(logged.seq, &bytes(golden)).unwrap(), batch);
        }
        event(&mut buffer, &born());
        assert_eq!(hex(&buffer), EVENT);
        assert_eq!(decode::event("event 1", &bytes(EVENT)).unwrap(), *born());
        assert_eq!(
            decode::version("event 1", &bytes(EVENT)).unwrap(),
            (1, Seq::new(7))
        );
    }

    #[test]
    fn no_damage_of_a_byte_and_no_other_key_goes_unnoticed() {
        for (logged, golden) in changes() {
            let whole = bytes(golden);
            assert!(decode::change(logged.seq.next(), &whole).is_err());
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x10;
                assert!(decode::change(logged.seq, &damaged).is_err(), "byte {at}");
                assert!(
                    decode::change(logged.seq, &whole[..at]).is_err(),
                    "cut {at}"
                );
            }
        }
        assert!(decode::event("event 2", &bytes(EVENT)).is_err());
    }

    /// Whatever passes the checksum, a reader neither panics nor asks for more memory than there is.
    #[test]
    fn damage_with_a_checksum_that_matches_is_an_error_or_another_value_but_no_panic() {
        for (logged, golden) in changes() {
            let whole = bytes(golden);
            for at in CHECKSUM_BYTES..whole.len() {
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut damaged = whole.clone();
                    damaged[at] = value;
                    write_checksum(&mut damaged, &log_key(logged.seq));
                    drop(decode::change(logged.seq, &damaged));
                }
            }
        }
    }
}

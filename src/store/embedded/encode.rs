//! What is written to the file, byte by byte. Front to back into one buffer, no tree in between.
//!
//! Every stored value is sealed: `crc32c | format | body`, where the checksum covers the key, the
//! format and the body, so that neither a flipped bit nor a value under another's key passes for data.
//! Lengths and counts are LEB128; integers are zigzag LEB128, so that small numbers are short.
//!
//! `fixtures/embedded/*.hex` pins these bytes: what is on somebody's disk must stay readable.

use uuid::Uuid;

use super::decode::{CHECKSUM_BYTES, FORMAT, checksum, kind, tag};
use crate::domain::{Change, Document, Effect, Event, EventId, Kind, Patch, Seq, Timestamp, Value};

/// The log's value at `change.seq`. The first of a batch carries the batch's id.
pub(super) fn change(to: &mut Vec<u8>, change: &Change, batch: Option<Uuid>) {
    begin(to);
    to.push(match change.kind() {
        Kind::Create => kind::CREATE,
        Kind::Update => kind::UPDATE,
        Kind::Delete => kind::DELETE,
    });
    match batch {
        Some(id) => {
            to.push(1);
            to.extend_from_slice(id.as_bytes());
        }
        None => to.push(0),
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
    }
    seal(to, &log_key(change.seq));
}

/// The view's value at `event.id`.
pub(super) fn event(to: &mut Vec<u8>, event: &Event) {
    begin(to);
    event_body(to, event);
    seal(to, event.id.as_str().as_bytes());
}

/// The bytes of the log's key that the checksum covers.
pub(super) fn log_key(seq: Seq) -> [u8; 8] {
    seq.get().to_le_bytes()
}

fn begin(to: &mut Vec<u8>) {
    to.clear();
    to.extend_from_slice(&[0; CHECKSUM_BYTES]);
    to.push(FORMAT);
}

fn seal(to: &mut [u8], key: &[u8]) {
    let sum = checksum(key, &to[CHECKSUM_BYTES..]);
    to[..CHECKSUM_BYTES].copy_from_slice(&sum.to_le_bytes());
}

fn named_event(to: &mut Vec<u8>, event: &Event) {
    id(to, &event.id);
    event_body(to, event);
}

/// The version comes first: it is looked at without reading the rest.
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

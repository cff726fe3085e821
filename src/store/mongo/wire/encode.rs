//! Domain values to BSON, from front to back into one buffer: without a tree in between, and without a second copy.
//!
//! Integers are always 64 bits and timestamps always text, so that one JSON document has one BSON form.

use bson::RawDocumentBuf;
use uuid::Uuid;

use crate::domain::{Author, Change, Effect, Event, Patch};
use crate::value::{Record, Value, ValueRef};

const DOUBLE: u8 = 0x01;
const STRING: u8 = 0x02;
const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const BINARY: u8 = 0x05;
const BOOLEAN: u8 = 0x08;
const NULL: u8 = 0x0a;
const INT64: u8 = 0x12;

const BINARY_UUID: u8 = 4;

/// A BSON document under construction.
#[derive(Debug)]
pub(super) struct Encoder {
    bytes: Vec<u8>,
    /// Where the documents that are still open begin; the first is the outermost.
    open: Vec<usize>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        let mut encoder = Self {
            bytes: Vec::with_capacity(512),
            open: Vec::with_capacity(8),
        };
        encoder.begin();
        encoder
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Closes every open document and returns the outermost.
    pub(super) fn finish_all(mut self) -> RawDocumentBuf {
        while !self.open.is_empty() {
            self.close();
        }
        RawDocumentBuf::from_bytes(self.bytes).expect("every document opened was closed")
    }

    /// Opens a nested document: what is written until [`close`](Self::close) is part of it.
    pub(super) fn document(&mut self, name: &str) {
        self.head(DOCUMENT, name);
        self.begin();
    }

    /// Opens an array; its items are named by [`item_name`].
    pub(super) fn array(&mut self, name: &str) {
        self.head(ARRAY, name);
        self.begin();
    }

    /// Closes the innermost open document or array.
    pub(super) fn close(&mut self) {
        self.bytes.push(0);
        let start = self.open.pop().expect("closed no more often than opened");
        let length = i32::try_from(self.bytes.len() - start).expect("commands are split far below");
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    pub(super) fn int(&mut self, name: &str, number: i64) {
        self.head(INT64, name);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.head(STRING, name);
        self.length(text.len() + 1);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    pub(super) fn flag(&mut self, name: &str, flag: bool) {
        self.head(BOOLEAN, name);
        self.bytes.push(u8::from(flag));
    }

    pub(super) fn uuid(&mut self, name: &str, id: Uuid) {
        self.head(BINARY, name);
        self.length(16);
        self.bytes.push(BINARY_UUID);
        self.bytes.extend_from_slice(id.as_bytes());
    }

    pub(super) fn value(&mut self, name: &str, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.head(NULL, name),
            ValueRef::Bool(flag) => self.flag(name, flag),
            ValueRef::Int(number) => self.int(name, number),
            ValueRef::Float(number) => {
                self.head(DOUBLE, name);
                self.bytes.extend_from_slice(&number.to_le_bytes());
            }
            ValueRef::String(text) => self.text(name, text),
            ValueRef::Array(items) => self.items(name, items),
            ValueRef::Object(fields) => self.record(name, fields),
        }
    }

    /// A nested document with the record's fields.
    pub(super) fn record(&mut self, name: &str, record: &impl Record) {
        self.document(name);
        for (field, value) in record.fields() {
            self.value(field, value);
        }
        self.close();
    }

    fn items(&mut self, name: &str, items: &[Value]) {
        self.array(name);
        for (index, item) in items.iter().enumerate() {
            self.value(&item_name(index), item.borrow());
        }
        self.close();
    }

    fn begin(&mut self) {
        self.open.push(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 4]);
    }

    /// An element's type and name. Names hold no NUL: the domain refuses them.
    fn head(&mut self, kind: u8, name: &str) {
        debug_assert!(!name.contains('\0'), "a NUL would end the name early");
        self.bytes.push(kind);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
    }

    fn length(&mut self, length: usize) {
        let length = i32::try_from(length).expect("messages are bounded far below 2 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
    }
}

/// The name of an array's item.
pub(super) fn item_name(index: usize) -> String {
    index.to_string()
}

/// A nested document: the event as clients see it, which is also how the view stores it.
pub(super) fn event(to: &mut Encoder, name: &str, event: &Event) {
    to.record(name, event);
}

/// A nested document: the log's entry for `change`. The first entry of a batch has the batch's id.
pub(super) fn entry(to: &mut Encoder, name: &str, change: &Change, batch: Option<Uuid>) {
    to.document(name);
    to.int("_id", change.seq.get().cast_signed());
    to.text("kind", change.kind().as_str());
    to.text("event", change.event_id().as_str());
    to.int("version", change.version().cast_signed());
    to.text("at", change.at.as_str());
    match &change.effect {
        // Of what another program created before: a livelog that knows no such thing finds no `data`, and says so.
        Effect::Create { after } if [after.created_at, after.updated_at] != [change.at; 2] => {
            event(to, "after", after);
        }
        Effect::Create { after } => to.record("data", &after.fields),
        Effect::Update { before, patch, .. } => {
            event(to, "before", before);
            self::patch(to, patch);
        }
        Effect::Delete { before } => event(to, "before", before),
        Effect::Redacted { prior, .. } => {
            to.flag("redacted", true);
            if let Some(prior) = prior {
                to.int("prior", prior.get().cast_signed());
            }
        }
    }
    if let Some(key) = &change.command {
        to.document("command");
        to.text("id", key.id.as_str());
        to.text("digest", &key.hex());
        to.close();
    }
    if let Some(author) = change.author.as_deref() {
        to.document("author");
        match author {
            Author::Token { issuer, subject } => {
                to.text("iss", issuer);
                to.text("sub", subject);
            }
            Author::Key { id } => to.text("key", id),
        }
        to.close();
    }
    if let Some(id) = batch {
        to.uuid("batch", id);
    }
    to.close();
}

fn patch(to: &mut Encoder, patch: &Patch) {
    to.document("patch");
    to.array("set");
    for (index, (path, value)) in patch.set.iter().enumerate() {
        to.document(&item_name(index));
        to.text("path", path.as_str());
        to.value("value", value.borrow());
        to.close();
    }
    to.close();
    to.array("unset");
    for (index, path) in patch.unset.iter().enumerate() {
        to.text(&item_name(index), path.as_str());
    }
    to.close();
    to.close();
}

#[cfg(test)]
mod tests {
    use bson::raw::RawDocument;

    use super::super::decode;
    use super::*;

    /// Every document of a log that a livelog of format 1 wrote, and of its view: a collection and BSON in
    /// hexadecimal a line. If this fails, data in somebody's database has become unreadable: what is new needs a
    /// place beside the old, not a new fixture.
    const DOCUMENTS: &str = include_str!("../../../../fixtures/logs/mongodb-1.hex");

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn what_format_1_wrote_is_read_and_still_written_so() {
        let mut counts = [0, 0];
        for line in DOCUMENTS.lines() {
            let (collection, hex) = line.split_once(' ').unwrap();
            let golden = bytes(hex);
            let document = RawDocument::from_bytes(&golden).unwrap();
            let mut written = Encoder::new();
            match collection {
                "log" => {
                    let change = decode::change(document).unwrap();
                    counts[0] += 1;
                    if change.is_redacted() {
                        // Erased where it stood: the mark came last.
                        continue;
                    }
                    entry(&mut written, "it", &change, decode::batch(document));
                }
                "events" => {
                    event(&mut written, "it", &decode::event(document).unwrap());
                    counts[1] += 1;
                }
                _ => continue,
            }
            let written = written.finish_all();
            let written = written.get_document("it").unwrap();
            assert_eq!(written.as_bytes(), golden, "{collection}: {document:?}");
        }
        assert_eq!(counts, [81, 2]);
    }
}

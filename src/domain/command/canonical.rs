//! The canonical form of a command, as bytes: the same for two commands with the same effect, however they were
//! written.
//!
//! Names are sorted, and optional fields with `null` left out. Numbers are equal if their kind and value are. Digests
//! of these bytes are stored with changes, so the encoding must never change.

use super::CommandKind;
use crate::value::{Document, Value};

/// The canonical form of one command, or of a BATCH.
#[derive(Debug)]
pub(super) struct Canonical(Vec<u8>);

impl Canonical {
    /// The form of one command.
    pub(super) fn of(verb: CommandKind, payload: &Document) -> Self {
        let mut form = Self(Vec::with_capacity(256));
        form.command(verb, payload);
        form
    }

    /// The form of a BATCH. Items that are no commands are left out: parsing refuses them.
    pub(super) fn of_batch(payload: &Document) -> Self {
        let mut form = Self(b"batch".to_vec());
        let Some(Value::Array(items)) = payload.get("commands") else {
            return form;
        };
        form.count(items.len());
        for item in items.iter().filter_map(Value::as_object) {
            let verb = item.get("type").and_then(Value::as_str);
            let payload = item.get("payload").and_then(Value::as_object);
            if let (Some(verb), Some(payload)) = (verb.and_then(CommandKind::parse), payload) {
                form.command(verb, payload);
            }
        }
        form
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn command(&mut self, verb: CommandKind, payload: &Document) {
        self.text(verb.tag());
        let optional: &[&str] = match verb {
            CommandKind::Create => &["_id"],
            CommandKind::Update => &["expectedVersion", "updateData", "mergePatch"],
            CommandKind::Delete | CommandKind::Restore => &["expectedVersion"],
        };
        let is_given =
            |(name, value): &(&str, &Value)| **value != Value::Null || !optional.contains(name);
        self.fields(payload.iter().filter(is_given).collect());
    }

    fn fields(&mut self, mut fields: Vec<(&str, &Value)>) {
        fields.sort_unstable_by_key(|(name, _)| *name);
        self.0.push(b'{');
        self.count(fields.len());
        for (name, value) in fields {
            self.text(name);
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.0.push(b'n'),
            Value::Bool(false) => self.0.push(b'f'),
            Value::Bool(true) => self.0.push(b't'),
            Value::Int(number) => self.number(b'i', number.to_le_bytes()),
            Value::Float(number) => self.number(b'd', number.to_le_bytes()),
            Value::String(text) => {
                self.0.push(b's');
                self.text(text);
            }
            Value::Array(items) => {
                self.0.push(b'[');
                self.count(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(document) => self.fields(document.iter().collect()),
        }
    }

    fn number(&mut self, kind: u8, bytes: [u8; 8]) {
        self.0.push(kind);
        self.0.extend_from_slice(&bytes);
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verb: CommandKind, json: &str) -> Vec<u8> {
        let payload: Document = serde_json::from_str(json).expect("the test's own JSON");
        Canonical::of(verb, &payload).0
    }

    #[test]
    fn order_spelling_and_what_may_be_left_out_mean_nothing() {
        for (verb, one, other) in [
            (
                CommandKind::Create,
                r#"{"_id":"e","a":{"b":1,"c":[{"d":1,"e":2}]}}"#,
                r#"{ "a":{"c":[{"e":2,"d":1}],"b":1}, "\u005fid":"e"}"#,
            ),
            (CommandKind::Create, r#"{"f":1.5e1}"#, r#"{"f":15.0}"#),
            (
                CommandKind::Update,
                r#"{"id":"e","updateData":{"a":1,"b":2}}"#,
                r#"{"updateData":{"b":2,"a":1},"expectedVersion":null,"id":"e","mergePatch":null}"#,
            ),
            (
                CommandKind::Delete,
                r#"{"id":"e","expectedVersion":null}"#,
                r#"{"id":"e"}"#,
            ),
        ] {
            assert_eq!(of(verb, one), of(verb, other), "{one} {other}");
        }
    }

    #[test]
    fn what_differs_in_effect_differs_in_meaning() {
        for (one, other) in [
            (r#"{"a":1}"#, r#"{"a":1.0}"#),
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"a":null}"#, "{}"),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":{},"b":1}"#, r#"{"a":{"b":1}}"#),
            (r#"{"a":"","b":""}"#, r#"{"a":"b","":""}"#),
            (r#"{"a":[[],1]}"#, r#"{"a":[[1]]}"#),
            (r#"{"a":0.0}"#, r#"{"a":-0.0}"#),
            (r#"{"a":true}"#, r#"{"a":"t"}"#),
        ] {
            assert_ne!(
                of(CommandKind::Create, one),
                of(CommandKind::Create, other),
                "{one} {other}"
            );
        }
        let delete = of(CommandKind::Delete, r#"{"id":"e"}"#);
        assert_ne!(
            delete,
            of(CommandKind::Delete, r#"{"id":"e","expectedVersion":1}"#)
        );
        assert_ne!(delete, of(CommandKind::Create, r#"{"id":"e"}"#));
    }
}

//! Cursors: where a page ended, and the token of it that a client sends back for the next page.
//!
//! The token holds the sort keys of the last record rather than a count, so records that are created or deleted
//! between pages neither repeat nor hide others. If the keys are long it names the record instead, and the seq as of
//! which its keys are to be looked up: so a token always fits an address. It is refused by any query but the one it
//! was made for. It is not signed: a forged one can only start its client elsewhere in its own answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::filter::Filter;
use super::sort::{KeyValue, KeyValues, Sort};
use crate::value::{Document, Invalid, Value, ValueRef, expect_text, read};

/// Bytes of the keys as JSON: the token of longer ones names the record.
const KEYS_BYTES_MAX: usize = 1024;

/// Enough for keys of that length in base64, with what else is in a token.
const TOKEN_BYTES_MAX: usize = 2 * KEYS_BYTES_MAX;

/// The contents of a token.
#[derive(Debug, Clone)]
pub(super) enum CursorToken {
    /// After these keys.
    Keys(Cursor),
    /// After this record, whose keys are to be looked up.
    Record(LastRecord),
}

/// The last record of a page, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRecord {
    /// Any text: the caller checks that it can be an id.
    pub id: String,
    /// The seq as of which the page was: the record's keys are to be looked up as of then.
    pub seq: u64,
}

/// A position in the order of an answer: after the record with these sort keys.
#[derive(Debug, Clone)]
pub struct Cursor {
    keys: Vec<OwnedKeyValue>,
}

#[derive(Debug, Clone)]
enum OwnedKeyValue {
    EmptyArray,
    Value(Value),
}

impl CursorToken {
    /// Parses a token, which must have been made for this filter and sort.
    pub(super) fn parse(
        value: &Value,
        filter: &Filter,
        sort: &Sort,
        at: &str,
    ) -> Result<Self, Invalid> {
        let token = expect_text(value, at)?;
        if token.len() > TOKEN_BYTES_MAX {
            let reason = format!("a cursor must not exceed {TOKEN_BYTES_MAX} bytes");
            return Err(Invalid::new(at, reason));
        }
        let not_ours = || not_ours(at);
        let content = decode(token).ok_or_else(not_ours)?;
        if content.fingerprint != fingerprint(filter, sort) {
            return Err(Invalid::new(at, "made for another filter or sort"));
        }
        match &content.position {
            Self::Keys(cursor) if cursor.keys.len() != sort.keys().len() => Err(not_ours()),
            Self::Keys(_) | Self::Record(_) => Ok(content.position),
        }
    }

    /// The token of the page after a record with these keys, and this id as of this seq.
    pub(super) fn token(
        keys: Option<&KeyValues<'_>>,
        (id, seq): (&str, u64),
        filter: &Filter,
        sort: &Sort,
    ) -> String {
        let fingerprint = Value::from(fingerprint(filter, sort));
        let json = |content: Value| {
            let content = Value::Array(vec![fingerprint.clone(), content]);
            serde_json::to_vec(&content).expect("a value has nothing JSON cannot say")
        };
        let keys = keys.map(|keys| {
            let keys = keys.iter().take(sort.keys().len()).map(|key| match key {
                KeyValue::EmptyArray => tag(EMPTY_ARRAY, Value::Null),
                KeyValue::Value(value) => pack(*value),
            });
            json(Value::Array(keys.collect()))
        });
        let short = keys.filter(|json| json.len() <= KEYS_BYTES_MAX);
        let naming_record = || {
            let seq = Value::Int(seq.cast_signed());
            let event = [("id", Value::from(id)), ("seq", seq)];
            json(Value::Object(event.into_iter().collect()))
        };
        URL_SAFE_NO_PAD.encode(short.unwrap_or_else(naming_record))
    }
}

impl Cursor {
    /// The position after the record with these keys.
    pub(super) fn after(keys: &KeyValues<'_>, sort: &Sort) -> Self {
        let keys = keys.iter().take(sort.keys().len());
        Self {
            keys: keys.map(OwnedKeyValue::of).collect(),
        }
    }

    /// The first of its keys, if it is text.
    pub(super) fn first_text(&self) -> Option<&str> {
        match self.keys.first()? {
            OwnedKeyValue::EmptyArray => None,
            OwnedKeyValue::Value(value) => value.as_str(),
        }
    }

    /// Roughly the bytes this takes in memory.
    pub fn approx_bytes(&self) -> usize {
        let keys = self.keys.iter().map(|key| match key {
            OwnedKeyValue::EmptyArray => 0,
            OwnedKeyValue::Value(value) => value.approx_bytes(),
        });
        24 + keys.map(|approx_bytes| 32 + approx_bytes).sum::<usize>()
    }

    /// The keys, borrowed as those of a record are.
    pub(crate) fn keys(&self) -> KeyValues<'_> {
        let mut keys = [KeyValue::MISSING; _];
        debug_assert!(self.keys.len() <= keys.len(), "a sort has no more keys");
        for (value, key) in keys.iter_mut().zip(&self.keys) {
            *value = key.borrow();
        }
        keys
    }
}

impl OwnedKeyValue {
    fn of(key: &KeyValue<'_>) -> Self {
        match key {
            KeyValue::EmptyArray => Self::EmptyArray,
            KeyValue::Value(value) => Self::Value(value.to_value()),
        }
    }

    fn borrow(&self) -> KeyValue<'_> {
        match self {
            Self::EmptyArray => KeyValue::EmptyArray,
            Self::Value(value) => KeyValue::Value(value.borrow()),
        }
    }
}

/// The refusal of a cursor at the path `at` that no livelog has made.
pub(crate) fn not_ours(at: &str) -> Invalid {
    Invalid::new(at, "not a cursor of this server")
}

/// Enough of a digest to tell queries apart. That it may be forged does no harm.
fn fingerprint(filter: &Filter, sort: &Sort) -> String {
    const BYTES: usize = 9;
    let mut hash = Sha256::new_with_prefix(filter.written);
    for key in sort.keys() {
        hash.update(key.path.as_str());
        hash.update([0, key.direction.as_int().to_le_bytes()[0]]);
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..BYTES])
}

// Names beginning with $, which no stored document has, mark what JSON cannot express.
const EMPTY_ARRAY: &str = "$empty";
const FLOAT: &str = "$float";

struct TokenContent {
    fingerprint: String,
    position: CursorToken,
}

fn decode(token: &str) -> Option<TokenContent> {
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let Value::Array(parts) = read(&json, "").ok()? else {
        return None;
    };
    let [Value::String(fingerprint), position] = <[Value; 2]>::try_from(parts).ok()? else {
        return None;
    };
    let position = match position {
        Value::Array(keys) => {
            let keys = keys.into_iter().map(unpack_key).collect::<Option<_>>()?;
            CursorToken::Keys(Cursor { keys })
        }
        Value::Object(event) => {
            let Some(Value::Int(seq @ 0..)) = event.get("seq") else {
                return None;
            };
            CursorToken::Record(LastRecord {
                id: event.get("id")?.as_str()?.to_owned(),
                seq: seq.cast_unsigned(),
            })
        }
        _ => return None,
    };
    Some(TokenContent {
        fingerprint,
        position,
    })
}

fn unpack_key(value: Value) -> Option<OwnedKeyValue> {
    match value.as_object() {
        Some(document) if document.get(EMPTY_ARRAY).is_some() => Some(OwnedKeyValue::EmptyArray),
        _ => unpack(value).map(OwnedKeyValue::Value),
    }
}

fn tag(name: &str, value: Value) -> Value {
    Value::Object(Document::from_iter([(name, value)]))
}

/// Floats are sent as their bits: a digit lost on the way would repeat or skip a record.
fn pack(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Float(number) => tag(FLOAT, number.to_bits().cast_signed().into()),
        ValueRef::Array(items) => items
            .iter()
            .map(|item| pack(item.borrow()))
            .collect::<Vec<_>>()
            .into(),
        ValueRef::Object(document) => document
            .iter()
            .map(|(name, value)| (name, pack(value.borrow())))
            .collect::<Document>()
            .into(),
        ValueRef::Null | ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::String(_) => {
            value.to_value()
        }
    }
}

fn unpack(value: Value) -> Option<Value> {
    match value {
        Value::Array(items) => {
            let items: Option<Vec<Value>> = items.into_iter().map(unpack).collect();
            items.map(Value::Array)
        }
        Value::Object(document) => match document.get(FLOAT) {
            Some(Value::Int(bits)) => {
                let number = f64::from_bits(bits.cast_unsigned());
                number.is_finite().then_some(Value::Float(number))
            }
            Some(_) => None,
            None => document
                .into_iter()
                .map(|(name, value)| unpack(value).map(|value| (name, value)))
                .collect::<Option<Document>>()
                .map(Value::Object),
        },
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {
            Some(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;
    use crate::value::Steps;

    fn query(filter: &str, sort: &str, cursor: Option<&str>) -> Result<Query, Invalid> {
        let value = |json: &str| serde_json::from_str::<Value>(json).expect("the test's own JSON");
        let parts = [("filter", value(filter)), ("sort", value(sort))];
        let cursor = cursor.map(|token| ("cursor", token.into()));
        Query::parse(&parts.into_iter().chain(cursor).collect(), "payload")
    }

    fn document(json: &str) -> Document {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    fn admits(query: &Query, record: &Document) -> bool {
        let admits = query.admits(record, &Steps::unbounded());
        admits.expect("enough steps")
    }

    fn refusal(cursor: &str) -> String {
        let invalid = query("{}", r#"{"a":1}"#, Some(cursor)).expect_err("it is refused");
        assert_eq!(invalid.path, "payload.cursor");
        invalid.reason
    }

    #[test]
    fn a_token_continues_strictly_after_its_record_whatever_the_key() {
        let keys = [
            "[]",
            "null",
            "-7",
            "5e-324",
            "0.1",
            "9007199254740993",
            r#""é""#,
            r#"{"x":[1.5,{"y":0.3}]}"#,
            "[[0.1]]",
            "true",
        ];
        let records: Vec<Document> = keys
            .iter()
            .map(|key| document(&format!(r#"{{"_id":"e","a":{key}}}"#)))
            .collect();
        let first = query("{}", r#"{"a":1}"#, None).expect("a good query");
        for (n, record) in records.iter().enumerate() {
            let next = query("{}", r#"{"a":1}"#, Some(&first.cursor_token(record, 0)))
                .expect("a good cursor");
            let admitted: Vec<bool> = records.iter().map(|record| admits(&next, record)).collect();
            let expected: Vec<bool> = (0..records.len()).map(|other| other > n).collect();
            assert_eq!(admitted, expected, "after {}", keys[n]);
        }
    }

    #[test]
    fn a_token_belongs_to_its_filter_and_sort() {
        let token = query(r#"{"a":1}"#, r#"{"a":1}"#, None)
            .expect("a good query")
            .cursor_token(&document(r#"{"_id":"e","a":1}"#), 0);
        assert!(query(r#"{"a":1}"#, r#"{"a":1}"#, Some(&token)).is_ok());
        for (filter, sort) in [
            (r#"{"a":2}"#, r#"{"a":1}"#),
            (r#"{"a":1}"#, r#"{"a":-1}"#),
            (r#"{"a":1}"#, "{}"),
        ] {
            let invalid = query(filter, sort, Some(&token)).expect_err("it is refused");
            assert_eq!(
                invalid.to_string(),
                "payload.cursor: made for another filter or sort"
            );
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let good = query("{}", r#"{"a":1}"#, None).expect("a good query");
        let fingerprint = fingerprint(&good.filter, &good.sort);
        for token in [
            String::new(),
            "!".to_owned(),
            encode("{}"),
            encode("[1,[]]"),
            encode(r#"["x","y"]"#),
            encode(&format!(r#"["{fingerprint}",[]]"#)),
            encode(&format!(r#"["{fingerprint}",[1,"e","f"]]"#)),
            encode(&format!(
                r#"["{fingerprint}",[{{"$float":9218868437227405312}},"e"]]"#
            )),
            encode(&format!(r#"["{fingerprint}",[{{"$float":"x"}},"e"]]"#)),
        ] {
            assert_eq!(refusal(&token), "not a cursor of this server", "{token}");
        }
    }

    #[test]
    fn a_token_is_bounded_exactly() {
        let token = |bytes: usize| "A".repeat(bytes);
        assert_eq!(
            refusal(&token(TOKEN_BYTES_MAX)),
            "not a cursor of this server"
        );
        assert_eq!(
            refusal(&token(TOKEN_BYTES_MAX + 1)),
            "a cursor must not exceed 2048 bytes"
        );
    }

    #[test]
    fn a_token_of_long_keys_names_the_record_and_is_short() {
        let first = query("{}", r#"{"a":1}"#, None).expect("a good query");
        for (bytes, id) in [(100, "e"), (2_000, "e"), (1_000_000, "\u{1}\"é")] {
            let id = id.repeat(128 / id.len());
            let text = "x".repeat(bytes);
            let record = Document::from_iter([("_id", Value::from(&*id)), ("a", text.into())]);
            let token = first.cursor_token(&record, u64::MAX / 4);
            assert!(token.len() <= TOKEN_BYTES_MAX, "{bytes}: {}", token.len());
            let next = query("{}", r#"{"a":1}"#, Some(&token)).expect("a good cursor");
            let named = next.ends_after.as_ref().map(|last| last.id.as_str());
            assert_eq!(named, (bytes > 1_000).then_some(&*id));
            let next = next
                .from(&record, &Steps::unbounded())
                .expect("enough steps");
            assert!(!admits(&next, &record), "it was on the page before");
        }
    }
}

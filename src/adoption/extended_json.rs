//! MongoDB's Extended JSON: what `mongoexport` writes, canonical or relaxed, of version 2 or the older strict mode.
//!
//! | type | canonical, relaxed | version 1 |
//! |---|---|---|
//! | ObjectId | `{"$oid":"…"}` | |
//! | date | `{"$date":{"$numberLong":"…"}}`, `{"$date":"…Z"}` | `{"$date":1}` |
//! | numbers | `{"$numberInt":"1"}`, `{"$numberLong":"1"}`, `{"$numberDouble":"NaN"}`, `{"$numberDecimal":"1.5"}` | |
//! | binary | `{"$binary":{"base64":"…","subType":"00"}}`, `{"$uuid":"…"}` | `{"$binary":"…","$type":"00"}` |
//! | regular expression | `{"$regularExpression":{"pattern":"…","options":"i"}}` | `{"$regex":"…","$options":"i"}` |
//! | others | `$timestamp`, `$symbol`, `$code`, `$scope`, `$dbPointer`, `$minKey`, `$maxKey`, `$undefined` | |
//!
//! An object whose first name is one of these is that type, with nothing beside it, or refused: it is never taken for a
//! document, and nothing in it is passed over.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::DateTime;
use uuid::Uuid;

use super::given::{Given, GivenFields};
use crate::value::{Document, Value, from_hex};

/// A decimal has at most 34 digits, a point, signs and an exponent.
const DECIMAL_BYTES_MAX: usize = 64;

/// The fields of plain JSON.
pub fn plain(document: Document) -> GivenFields {
    let fields = document.into_iter();
    fields
        .map(|(name, value)| (name, plain_value(value)))
        .collect()
}

fn plain_value(value: Value) -> Given {
    match value {
        Value::Array(items) => Given::List(items.into_iter().map(plain_value).collect()),
        Value::Object(document) => Given::Document(plain(document)),
        scalar => given_scalar(scalar),
    }
}

fn given_scalar(value: Value) -> Given {
    match value {
        Value::Bool(flag) => Given::Bool(flag),
        Value::Int(number) => Given::Int(number),
        Value::Float(number) => Given::Float(number),
        Value::String(text) => Given::Text(text),
        Value::Null | Value::Array(_) | Value::Object(_) => Given::Null,
    }
}

/// The fields of a document in Extended JSON. What begins like a type and is none cannot be read.
pub fn extended(document: Document) -> GivenFields {
    let fields = document.into_iter();
    fields.map(|(name, value)| (name, given(value))).collect()
}

fn given(value: Value) -> Given {
    match value {
        Value::Array(items) => Given::List(items.into_iter().map(given).collect()),
        Value::Object(document) => object(document),
        scalar => given_scalar(scalar),
    }
}

fn object(document: Document) -> Given {
    let first = document.iter().next().map(|(name, _)| name.to_owned());
    let Some(first) = first.filter(|name| is_type(name)) else {
        return Given::document(extended(document));
    };
    if let "$code" = &*first
        && let Some(scope) = document.get("$scope").and_then(Value::as_object)
        && let (Some(code), 2) = (text(&document, "$code"), document.len())
    {
        return Given::CodeWithScope(code.to_owned(), extended(scope.clone()));
    }
    typed(&first, &document).unwrap_or_else(|| {
        Given::Unreadable(format!("it begins with {first} and is no such value").into())
    })
}

/// The names that say a type; a value of several names may begin with any of them.
pub(super) const TYPES: [&str; 19] = [
    "$oid",
    "$date",
    "$numberInt",
    "$numberLong",
    "$numberDouble",
    "$numberDecimal",
    "$binary",
    "$type",
    "$uuid",
    "$timestamp",
    "$regularExpression",
    "$regex",
    "$options",
    "$symbol",
    "$code",
    "$dbPointer",
    "$minKey",
    "$maxKey",
    "$undefined",
];

fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// The value of a type, if the object says one and nothing else.
fn typed(first: &str, object: &Document) -> Option<Given> {
    match (first, object.len()) {
        ("$binary" | "$type", 2) => {
            let subtype = match object.get("$type")? {
                Value::Int(number) => u8::try_from(*number).ok()?,
                other => u8::from_str_radix(other.as_str()?, 16).ok()?,
            };
            return binary(text(object, "$binary")?, subtype);
        }
        ("$regex" | "$options", 2) => {
            let (pattern, options) = (text(object, "$regex")?, text(object, "$options")?);
            return Some(regex(pattern, options));
        }
        (_, 1) => {}
        _ => return None,
    }
    let value = object.get(first)?;
    match value {
        Value::Object(parts) => of_parts(first, parts),
        Value::String(text) => of_text(first, text),
        Value::Int(number) => match (first, number) {
            ("$date", millis) => Some(Given::Date(*millis)),
            ("$minKey", 1) => Some(Given::MinKey),
            ("$maxKey", 1) => Some(Given::MaxKey),
            _ => None,
        },
        Value::Bool(true) if first == "$undefined" => Some(Given::Undefined),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::Array(_) => None,
    }
}

fn of_text(name: &str, text: &str) -> Option<Given> {
    Some(match name {
        "$oid" => Given::ObjectId(from_hex(text)?),
        "$date" => Given::Date(millis(text)?),
        "$numberInt" => Given::Int(text.parse::<i32>().ok()?.into()),
        "$numberLong" => Given::Int(text.parse().ok()?),
        "$numberDouble" => Given::Float(double(text)?),
        "$numberDecimal" => Given::Decimal(decimal(text)?),
        "$uuid" => Given::Uuid(*Uuid::parse_str(text).ok()?.as_bytes()),
        "$symbol" => Given::Symbol(text.to_owned()),
        "$code" => Given::Code(text.to_owned()),
        _ => return None,
    })
}

fn of_parts(name: &str, parts: &Document) -> Option<Given> {
    match (name, parts.len()) {
        ("$date", 1) => match of_text("$numberLong", text(parts, "$numberLong")?)? {
            Given::Int(millis) => Some(Given::Date(millis)),
            _ => None,
        },
        ("$binary", 2) => {
            let subtype = u8::from_str_radix(text(parts, "subType")?, 16).ok()?;
            binary(text(parts, "base64")?, subtype)
        }
        ("$regularExpression", 2) => {
            let (pattern, options) = (text(parts, "pattern")?, text(parts, "options")?);
            Some(regex(pattern, options))
        }
        ("$timestamp", 2) => Some(Given::Timestamp {
            time: part(parts, "t")?,
            increment: part(parts, "i")?,
        }),
        ("$dbPointer", 2) => {
            let id = parts.get("$id")?.as_object()?;
            match typed("$oid", id)? {
                Given::ObjectId(id) => Some(Given::DbPointer {
                    namespace: text(parts, "$ref")?.to_owned(),
                    id,
                }),
                _ => None,
            }
        }
        _ => None,
    }
}

fn text<'a>(object: &'a Document, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

fn part(parts: &Document, name: &str) -> Option<u32> {
    match parts.get(name)? {
        Value::Int(number) => u32::try_from(*number).ok(),
        Value::Object(number) => {
            match typed("$numberInt", number).or_else(|| typed("$numberLong", number))? {
                Given::Int(number) => u32::try_from(number).ok(),
                _ => None,
            }
        }
        _ => None,
    }
}

fn binary(base64: &str, subtype: u8) -> Option<Given> {
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    Some(Given::binary(subtype, bytes))
}

fn regex(pattern: &str, options: &str) -> Given {
    Given::Regex {
        pattern: pattern.to_owned(),
        options: options.to_owned(),
    }
}

/// A time in RFC 3339, or as older tools write it, without the colon in the offset.
fn millis(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
    Some(time.ok()?.timestamp_millis())
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

fn decimal(text: &str) -> Option<String> {
    let is_word = ["NaN", "Infinity", "-Infinity"].contains(&text);
    let is_number = text.len() <= DECIMAL_BYTES_MAX
        && text.contains(|letter: char| letter.is_ascii_digit())
        && text.parse::<f64>().is_ok();
    (is_word || is_number).then(|| text.to_owned())
}

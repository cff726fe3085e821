//! Query parameters, read into the payload of the request that they stand for.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use crate::domain::AsOf;
use crate::protocol::{Code, Failure};
use crate::value;
use crate::value::{Document, Invalid, ParseError, Value};

/// Reads parameters, all of which must be `known`. `filter` and `sort` are JSON, `fields` is JSON or names between
/// commas, `after` is a seq, perhaps with its epoch before it: `EPOCH:41`, `at` a seq or a time.
///
/// Each is given once, and `null` is the same as not given, as in a payload.
pub(crate) fn read(params: Vec<(String, String)>, known: &[&str]) -> Result<Document, Failure> {
    let mut payload = Document::new();
    for (name, text) in params {
        if !known.contains(&name.as_str()) {
            let unknown = value::unknown("parameter", &name, known);
            let at = format!("query.{name}");
            return Err(Failure::at(Code::BadRequest, Invalid::new(at, unknown)));
        }
        match text.split_once(':') {
            Some((epoch, after)) if name == "after" && known.contains(&"epoch") => {
                add(&mut payload, "epoch", Value::from(epoch))?;
                add(&mut payload, "after", integer("after", after)?)?;
            }
            _ => add(&mut payload, &name, value(&name, text)?)?,
        }
    }
    let given = payload.into_iter();
    Ok(given.filter(|(_, value)| *value != Value::Null).collect())
}

/// A request without parameters. They are refused rather than ignored: a client that sends `?expectedVersion=3` must
/// not be answered as if it had been checked.
pub(crate) struct NoParams;

impl<S: Sync> FromRequestParts<S> for NoParams {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let given = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(given) = given.map_err(|error| {
            Failure::at(Code::BadRequest, Invalid::new("query", error.body_text()))
        })?;
        read(given, &[]).map(|_| Self)
    }
}

fn value(name: &str, text: String) -> Result<Value, Failure> {
    Ok(match name {
        "filter" | "sort" => json(name, &text)?,
        "fields" if text.starts_with('[') => json(name, &text)?,
        "fields" => Value::Array(text.split(',').map(Value::from).collect()),
        "limit" | "minSeq" | "after" => integer(name, &text)?,
        "snapshot" | "explain" | "count" => flag(name, &text)?,
        "at" => as_of(text)?,
        _ => Value::String(text),
    })
}

fn add(payload: &mut Document, name: &str, value: Value) -> Result<(), Failure> {
    if payload.get(name).is_some() {
        return Err(invalid(name, "given twice"));
    }
    payload.push(name, value);
    Ok(())
}

fn json(name: &str, text: &str) -> Result<Value, Failure> {
    let at = format!("query.{name}");
    value::read(text, &at).map_err(|error| match error {
        ParseError::Offence(invalid) => Failure::at(Code::BadRequest, invalid),
        ParseError::Json { error, .. } => invalid(name, format!("malformed JSON: {error}")),
    })
}

/// A seq, or text that may be a time.
fn as_of(text: String) -> Result<Value, Failure> {
    // A + that was not escaped is decoded as a space.
    if text.contains(' ') && AsOf::parse_text(&text).is_err() {
        return Err(invalid("at", "a + in an address is written %2B"));
    }
    Ok(text.parse().map_or(Value::String(text), Value::Int))
}

fn integer(name: &str, text: &str) -> Result<Value, Failure> {
    let number = text.parse().map(Value::Int);
    number.map_err(|_| invalid(name, "expected an integer"))
}

fn flag(name: &str, text: &str) -> Result<Value, Failure> {
    let flag = text.parse().map(Value::Bool);
    flag.map_err(|_| invalid(name, "expected true or false"))
}

/// Bad selection parameters are `invalid_filter`, bad positions `bad_request`.
fn invalid(name: &str, reason: impl Into<String>) -> Failure {
    let code = match name {
        "after" | "changes" | "epoch" | "mode" | "snapshot" => Code::BadRequest,
        _ => Code::InvalidFilter,
    };
    Failure::at(code, Invalid::new(format!("query.{name}"), reason))
}

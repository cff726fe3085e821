//! Query parameters as the payload of the request they stand for.

use crate::domain::{self, Document, Invalid, Unread, Value};
use crate::protocol::{Code, Failure};

/// Reads the parameters that livelog knows; others are ignored. `filter` and `sort` are JSON, `fields` is JSON
/// or names between commas, `after` is a seq, perhaps with its epoch before it: `EPOCH:41`, `at` a seq or a time.
pub(super) fn read(params: Vec<(String, String)>) -> Result<Document, Failure> {
    let mut asked = Document::new();
    for (name, text) in params {
        if name == "after"
            && let Some((epoch, after)) = text.split_once(':')
        {
            add(&mut asked, "epoch", Value::from(epoch))?;
            add(&mut asked, "after", integer("after", after)?)?;
            continue;
        }
        if let Some(value) = value(&name, text)? {
            add(&mut asked, &name, value)?;
        }
    }
    Ok(asked)
}

fn value(name: &str, text: String) -> Result<Option<Value>, Failure> {
    Ok(Some(match name {
        "filter" | "sort" => json(name, &text)?,
        "fields" if text.starts_with('[') => json(name, &text)?,
        "fields" => Value::Array(text.split(',').map(Value::from).collect()),
        "limit" | "minSeq" | "after" => integer(name, &text)?,
        "snapshot" => flag(name, &text)?,
        "at" => text.parse().map_or(Value::String(text), Value::Int),
        "cursor" | "epoch" | "mode" | "order" => Value::String(text),
        _ => return Ok(None),
    }))
}

fn add(asked: &mut Document, name: &str, value: Value) -> Result<(), Failure> {
    if asked.get(name).is_some() {
        return Err(invalid(name, "given twice"));
    }
    asked.push(name, value);
    Ok(())
}

fn json(name: &str, text: &str) -> Result<Value, Failure> {
    let at = format!("query.{name}");
    domain::read(text, &at).map_err(|unread| match unread {
        Unread::Offence(offence) => Failure::at(Code::BadRequest, offence),
        Unread::Json { error, .. } => invalid(name, format!("malformed JSON: {error}")),
    })
}

fn integer(name: &str, text: &str) -> Result<Value, Failure> {
    let number = text.parse().map(Value::Int);
    number.map_err(|_| invalid(name, "expected an integer"))
}

fn flag(name: &str, text: &str) -> Result<Value, Failure> {
    let flag = text.parse().map(Value::Bool);
    flag.map_err(|_| invalid(name, "expected true or false"))
}

/// What selects events is a filter's fault, what names a position is not.
fn invalid(name: &str, reason: impl Into<String>) -> Failure {
    let code = match name {
        "after" | "epoch" | "mode" | "snapshot" => Code::BadRequest,
        _ => Code::InvalidFilter,
    };
    Failure::at(code, Invalid::new(format!("query.{name}"), reason))
}

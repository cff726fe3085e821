//! Reading a value of one kind out of what a client sent, and the words for a value of another kind.

use super::check::Invalid;
use super::number::whole;
use super::{Document, Value};

/// The value at the path `at` is not `what` belongs there.
pub(crate) fn expected(what: &str, found: &Value, at: &str) -> Invalid {
    Invalid::new(at, format!("expected {what}, found {}", found.kind()))
}

/// The fields of an object.
pub(crate) fn expect_object<'a>(value: &'a Value, at: &str) -> Result<&'a Document, Invalid> {
    let object = value.as_object();
    object.ok_or_else(|| expected("an object", value, at))
}

/// The elements of an array.
pub(crate) fn expect_array<'a>(value: &'a Value, at: &str) -> Result<&'a [Value], Invalid> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(expected("an array", value, at)),
    }
}

/// The text of a string.
pub(crate) fn expect_text<'a>(value: &'a Value, at: &str) -> Result<&'a str, Invalid> {
    let text = value.as_str();
    text.ok_or_else(|| expected("a string", value, at))
}

/// A truth value.
pub(crate) fn expect_flag(value: &Value, at: &str) -> Result<bool, Invalid> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        _ => Err(expected("true or false", value, at)),
    }
}

/// An integer, perhaps written with a fraction of zero.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) => whole(*number),
        _ => None,
    }
}

//! Parsing the operands of operators: values to compare with, types, sizes, divisors.

use crate::limits;
use crate::query::tree::{Test, Type};
use crate::value::{Invalid, Value, expect_array, expected, integer, join, truncated};

/// A value to compare with. Refused if no stored document can hold it.
pub(super) fn literal(value: &Value, at: &str) -> Result<Value, Invalid> {
    check_literal(value, at, 1)?;
    Ok(value.clone())
}

fn check_literal(value: &Value, at: &str, depth: usize) -> Result<(), Invalid> {
    if depth > limits::DOCUMENT_DEPTH_MAX + 1 {
        let reason = format!("nested deeper than {} levels", limits::DOCUMENT_DEPTH_MAX);
        return Err(Invalid::new(at, reason));
    }
    match value {
        Value::Object(document) => document.iter().try_for_each(|(name, value)| {
            let at = join(at, name);
            check_literal_name(name, &at)?;
            check_literal(value, &at, depth + 1)
        }),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            check_literal(item, &join(at, &index.to_string()), depth + 1)
        }),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => Ok(()),
    }
}

fn check_literal_name(name: &str, at: &str) -> Result<(), Invalid> {
    if name.starts_with('$') {
        let reason = format!("{name} cannot stand inside a value");
        return Err(Invalid::new(at, reason));
    }
    if name.contains('\0') {
        return Err(Invalid::new(at, "names must not contain NUL"));
    }
    Ok(())
}

pub(super) fn types(value: &Value, at: &str) -> Result<Vec<Type>, Invalid> {
    match value {
        Value::Array(items) if items.is_empty() => {
            Err(Invalid::new(at, "expected at least one type"))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| one_type(item, &join(at, &index.to_string())))
            .collect(),
        _ => one_type(value, at).map(|one| vec![one]),
    }
}

fn one_type(value: &Value, at: &str) -> Result<Type, Invalid> {
    let known = match value {
        Value::String(alias) if alias == "int" => return Err(no_small_integers(at)),
        Value::String(alias) => by_alias(alias),
        Value::Int(_) | Value::Float(_) => match integer(value) {
            Some(INT_CODE) => return Err(no_small_integers(at)),
            code => code.and_then(by_code),
        },
        _ => return Err(expected("the name or number of a type", value, at)),
    };
    known.ok_or_else(|| {
        let reason = "no such type in JSON: expected double, string, object, array, bool, null, \
                      long or number";
        Invalid::new(at, reason)
    })
}

/// BSON's type number of integers of 32 bits.
const INT_CODE: i64 = 16;

/// Some of MongoDB's clients store `5` as an integer of 32 bits and others do not, so what `int` should match is
/// undefined.
fn no_small_integers(at: &str) -> Invalid {
    Invalid::new(
        at,
        "integers have 64 bits here: ask for long, or for number",
    )
}

fn by_alias(alias: &str) -> Option<Type> {
    Some(match alias {
        "double" => Type::Double,
        "string" => Type::String,
        "object" => Type::Object,
        "array" => Type::Array,
        "bool" => Type::Bool,
        "null" => Type::Null,
        "long" => Type::Long,
        "number" => Type::Number,
        _ => return None,
    })
}

/// BSON's type numbers.
fn by_code(code: i64) -> Option<Type> {
    Some(match code {
        1 => Type::Double,
        2 => Type::String,
        3 => Type::Object,
        4 => Type::Array,
        8 => Type::Bool,
        10 => Type::Null,
        18 => Type::Long,
        _ => return None,
    })
}

pub(super) fn flag(value: &Value, at: &str) -> Result<bool, Invalid> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Int(number) => Ok(*number != 0),
        Value::Float(number) => Ok(*number != 0.0),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(expected("a boolean", value, at))
        }
    }
}

pub(super) fn size(value: &Value, at: &str) -> Result<usize, Invalid> {
    const WANTED: &str = "an integer of at least 0";
    let size = integer(value).ok_or_else(|| expected(WANTED, value, at))?;
    usize::try_from(size).map_err(|_| Invalid::new(at, format!("expected {WANTED}, found {size}")))
}

pub(super) fn modulo(value: &Value, at: &str) -> Result<Test, Invalid> {
    let [divisor, remainder] = expect_array(value, at)? else {
        return Err(Invalid::new(at, "expected a divisor and a remainder"));
    };
    let divisor = modulo_part(divisor, &join(at, "0"))?;
    let remainder = modulo_part(remainder, &join(at, "1"))?;
    if divisor == 0 {
        return Err(Invalid::new(join(at, "0"), "the divisor must not be 0"));
    }
    Ok(Test::Mod { divisor, remainder })
}

/// MongoDB drops a fraction here, and refuses it in `$size`.
fn modulo_part(value: &Value, at: &str) -> Result<i64, Invalid> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) => truncated(*number),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
    .ok_or_else(|| expected("a number of at most 64 bits", value, at))
}

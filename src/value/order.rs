//! The total order of values: MongoDB's, for the kinds of value that JSON has.
//!
//! Equality in filters and update operators is equality in this order, so `1` equals `1.0` at any
//! depth, and the order of a document's fields counts. Filters and sorts rest on it; it knows neither.

use std::cmp::Ordering;

use super::number::truncated;
use super::steps::{StepCounter, Steps, TooCostly, Uncounted};
use super::{Document, Value, ValueRef};

/// Bytes of text that one step compares, about.
const BYTES_PER_STEP: usize = 64;

/// Kinds of values that compare with each other; kinds among themselves order as listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Null,
    Number,
    String,
    Object,
    Array,
    Bool,
}

/// The class of a value.
pub(crate) fn class(value: ValueRef<'_>) -> Class {
    match value {
        ValueRef::Null => Class::Null,
        ValueRef::Bool(_) => Class::Bool,
        ValueRef::Int(_) | ValueRef::Float(_) => Class::Number,
        ValueRef::String(_) => Class::String,
        ValueRef::Array(_) => Class::Array,
        ValueRef::Object(_) => Class::Object,
    }
}

/// The order of two values: by class, then within it. Strings order by their UTF-8 bytes.
pub(crate) fn compare(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    let Ok(order) = compare_counted(a, b, &Uncounted);
    order
}

/// The same, within a budget of steps. Scalars but for long strings take none.
pub(crate) fn compare_within(
    a: ValueRef<'_>,
    b: ValueRef<'_>,
    steps: &Steps,
) -> Result<Ordering, TooCostly> {
    compare_counted(a, b, steps)
}

#[inline]
fn compare_counted<M: StepCounter>(
    a: ValueRef<'_>,
    b: ValueRef<'_>,
    counter: &M,
) -> Result<Ordering, M::Over> {
    Ok(match (a, b) {
        (ValueRef::Bool(a), ValueRef::Bool(b)) => a.cmp(&b),
        (ValueRef::Int(a), ValueRef::Int(b)) => a.cmp(&b),
        (ValueRef::Float(a), ValueRef::Float(b)) => compare_floats(a, b),
        (ValueRef::Int(a), ValueRef::Float(b)) => compare_int_with_float(a, b),
        (ValueRef::Float(a), ValueRef::Int(b)) => compare_int_with_float(b, a).reverse(),
        (ValueRef::String(a), ValueRef::String(b)) => {
            counter.count(a.len().min(b.len()) / BYTES_PER_STEP)?;
            a.cmp(b)
        }
        (ValueRef::Array(a), ValueRef::Array(b)) => return compare_arrays(a, b, counter),
        (ValueRef::Object(a), ValueRef::Object(b)) => return compare_documents(a, b, counter),
        _ => class(a).cmp(&class(b)),
    })
}

/// Total, because JSON has no NaN; zero equals itself whatever its sign.
fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// Compares exactly: rounding the integer to a float would make 2^53 and 2^53 + 1 equal.
fn compare_int_with_float(int: i64, float: f64) -> Ordering {
    match truncated(float) {
        Some(truncated) => int
            .cmp(&truncated)
            .then_with(|| compare_floats(0.0, float.fract())),
        // Beyond every integer, on the side of its sign.
        None => compare_floats(0.0, float),
    }
}

fn compare_arrays<M: StepCounter>(
    a: &[Value],
    b: &[Value],
    counter: &M,
) -> Result<Ordering, M::Over> {
    for (a, b) in a.iter().zip(b) {
        counter.count(1)?;
        let order = compare_counted(a.borrow(), b.borrow(), counter)?;
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

/// Field by field: the class of the value decides before the name, and the name before the value.
fn compare_documents<M: StepCounter>(
    a: &Document,
    b: &Document,
    counter: &M,
) -> Result<Ordering, M::Over> {
    for ((name_a, a), (name_b, b)) in a.iter().zip(b.iter()) {
        counter.count(1 + name_a.len().min(name_b.len()) / BYTES_PER_STEP)?;
        let (a, b) = (a.borrow(), b.borrow());
        let order = class(a).cmp(&class(b)).then_with(|| name_a.cmp(name_b));
        let order = match order {
            Ordering::Equal => compare_counted(a, b, counter)?,
            other => other,
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    #[test]
    fn values_of_every_class_have_one_order() {
        let ascending = [
            "null",
            "-1e300",
            "-9223372036854775808",
            "-1.5",
            "0",
            "0.5",
            "9007199254740992.0",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808.0",
            r#""""#,
            r#""Z""#,
            r#""a""#,
            r#""é""#,
            "{}",
            r#"{"b":1}"#,
            r#"{"b":1,"a":0}"#,
            r#"{"b":2}"#,
            r#"{"c":0}"#,
            r#"{"a":"x"}"#,
            "[]",
            "[1]",
            "[1,0]",
            "[2]",
            r#"["a"]"#,
            "false",
            "true",
        ]
        .map(value);
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a.borrow(), b.borrow()), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_number_equals_the_same_number_of_the_other_kind_at_any_depth() {
        for (a, b) in [
            ("1", "1.0"),
            ("0", "-0.0"),
            ("-9223372036854775808", "-9223372036854775808.0"),
            (r#"{"a":[1,{"b":2.0}]}"#, r#"{"a":[1.0,{"b":2}]}"#),
        ] {
            assert_eq!(
                compare(value(a).borrow(), value(b).borrow()),
                Ordering::Equal
            );
        }
    }
}

//! The bound that a cursor puts on the first sort key, so that MongoDB does not read the early pages again for a late
//! one.
//!
//! | first key | direction | the cursor's value | the bound |
//! |---|---|---|---|
//! | `_id` | either | a string | beyond it |
//! | another | ascending | none, `null` | none: nearly every event has a key that is not smaller |
//! | another | ascending | a number, text or boolean | at least it, or of a higher class |
//! | another | ascending | an object or array | of its class or a higher one |
//! | another | descending | a number, text or boolean | at most it, of a lower class, or without a value |
//! | another | descending | `null`, an object or array | of its class or a lower one, or without a value |
//! | another | descending | none | none |
//!
//! An event's key is the smallest of its values when ascending, and the largest when descending. So an event from the
//! cursor on has no value on the wrong side of the cursor's, and every such event is within the bound. Without a value
//! sort empty arrays and missing fields, below everything.

use bson::{Bson, Document as Bdoc, doc};

use crate::query::Direction;
use crate::query::KeyValue;
use crate::query::SortKey;
use crate::value::{Class, ValueRef, class};

/// A filter that every event from the cursor's `key` on matches; `None` where it would exclude little, or cannot be
/// written.
pub(super) fn after(first: &SortKey, key: KeyValue<'_>) -> Option<Bdoc> {
    let path = first.path.as_str();
    let KeyValue::Value(value) = key else {
        return None;
    };
    let operand = operand(value);
    if first.is_id() {
        let operator = match first.direction {
            Direction::Ascending => "$gt",
            Direction::Descending => "$lt",
        };
        return operand.map(|operand| doc! { path: { operator: operand } });
    }
    let class = class(value);
    match first.direction {
        Direction::Ascending if class == Class::Null => None,
        Direction::Ascending => Some(at_least(path, class, operand)),
        Direction::Descending => Some(at_most(path, class, operand)),
    }
}

/// Numbers, texts and booleans are compared; objects and arrays only by their class.
fn operand(value: ValueRef<'_>) -> Option<Bson> {
    match value {
        ValueRef::Bool(flag) => Some(flag.into()),
        ValueRef::Int(number) => Some(number.into()),
        ValueRef::Float(number) => Some(number.into()),
        ValueRef::String(text) => Some(text.into()),
        ValueRef::Null | ValueRef::Array(_) | ValueRef::Object(_) => None,
    }
}

const CLASSES: [(Class, &str); 5] = [
    (Class::Number, "number"),
    (Class::String, "string"),
    (Class::Object, "object"),
    (Class::Array, "array"),
    (Class::Bool, "bool"),
];

fn types(path: &str, admitted: impl Fn(Class) -> bool) -> Option<Bdoc> {
    let names: Vec<&str> = CLASSES
        .iter()
        .filter(|(class, _)| admitted(*class))
        .map(|(_, name)| *name)
        .collect();
    (!names.is_empty()).then(|| doc! { path: { "$type": names } })
}

fn at_least(path: &str, class: Class, operand: Option<Bson>) -> Bdoc {
    let whole_class = operand.is_none();
    let same = operand.map(|operand| doc! { path: { "$gte": operand } });
    let higher = types(path, |other| {
        other > class || (whole_class && other == class)
    });
    any_of([same, higher])
}

fn at_most(path: &str, class: Class, operand: Option<Bson>) -> Bdoc {
    let whole_class = operand.is_none();
    let same = operand.map(|operand| doc! { path: { "$lte": operand } });
    let lower = types(path, |other| {
        other < class || (whole_class && other == class)
    });
    any_of([
        same,
        lower,
        Some(doc! { path: { "$eq": Bson::Null } }),
        Some(doc! { path: { "$exists": false } }),
        Some(doc! { path: { "$size": 0_i64 } }),
    ])
}

fn any_of<const N: usize>(conditions: [Option<Bdoc>; N]) -> Bdoc {
    let conditions: Vec<Bdoc> = conditions.into_iter().flatten().collect();
    doc! { "$or": conditions }
}

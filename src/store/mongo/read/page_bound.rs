//! What a cursor tells MongoDB, so that a late page does not read the early ones again.

use bson::{Bson, Document as Bdoc, doc};

use crate::query::Direction;
use crate::query::tree::KeyValue;
use crate::query::tree::SortKey;
use crate::value::{Class, ValueRef, class};

/// What every event from the key on has, so that a late page does not read the early ones again:
/// `None` where that says little or cannot be said.
///
/// Going up, an event's key is its smallest, so all its values are at least the cursor's. Going
/// down, it is its largest, so all are at most that, or there is none.
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
        Direction::Ascending => Some(from(path, class, operand)),
        Direction::Descending => Some(down_from(path, class, operand)),
    }
}

/// Numbers, texts and booleans are compared; the cursor's objects and arrays only by their class.
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

fn from(path: &str, class: Class, operand: Option<Bson>) -> Bdoc {
    let whole_class = operand.is_none();
    let same = operand.map(|operand| doc! { path: { "$gte": operand } });
    let higher = types(path, |other| {
        other > class || (whole_class && other == class)
    });
    any_of([same, higher])
}

/// Empty arrays and whatever has no value sort below everything.
fn down_from(path: &str, class: Class, operand: Option<Bson>) -> Bdoc {
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

//! The questions that clauses ask about one value, and their answers.

use std::cmp::Ordering;

use super::filter::{Clause, Node};
use super::operand::truncated;
use super::path::{Leaf, Places};
use super::pattern::Pattern;
use super::verdict::{Verdict, all, any};
use crate::value::{Class, Steps, Value, ValueRef, class, compare_within};

/// A question about one value.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Compare(Relation, Value),
    /// Sorted, for searching.
    In(Vec<Value>),
    Exists,
    Type(Vec<Type>),
    Size(usize),
    Mod {
        divisor: i64,
        remainder: i64,
    },
    Regex(Pattern),
    /// An array with an element, itself an object or array, of which the node holds.
    ElementWhere(Box<Node>),
    /// An array with an element of which, taken alone, every clause holds.
    ElementThat(Vec<Clause>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What `$type` can ask for, by MongoDB's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Double,
    String,
    Object,
    Array,
    Bool,
    Null,
    /// Every integer: all have 64 bits.
    Long,
    Number,
}

impl Test {
    /// What the test wants to see where a path ends at an array.
    pub(super) fn leaf(&self) -> Leaf {
        match self {
            Self::Compare(..) | Self::In(_) | Self::Type(_) | Self::Mod { .. } | Self::Regex(_) => {
                Leaf::Elements
            }
            Self::Exists | Self::Size(_) | Self::ElementWhere(_) | Self::ElementThat(_) => {
                Leaf::Whole
            }
        }
    }

    /// Whether a value passes; `None` is a missing one, which passes as null does unless the test
    /// asks for its type.
    pub(super) fn passes(&self, value: Option<ValueRef<'_>>, steps: &Steps) -> Verdict {
        let known = value.unwrap_or(ValueRef::Null);
        Ok(match self {
            Self::Compare(relation, operand) => {
                return relation.holds(known, operand.borrow(), steps);
            }
            Self::In(values) => return is_among(values, known, steps),
            Self::Exists => value.is_some(),
            Self::Type(types) => {
                value.is_some_and(|value| types.iter().any(|wanted| wanted.is_of(value)))
            }
            Self::Size(size) => elements(known).is_some_and(|items| items.len() == *size),
            Self::Mod { divisor, remainder } => {
                whole(known).is_some_and(|number| number.wrapping_rem(*divisor) == *remainder)
            }
            Self::Regex(pattern) => match known {
                ValueRef::String(text) => return pattern.is_match(text, steps),
                _ => false,
            },
            Self::ElementWhere(node) => {
                let items = elements(known).unwrap_or_default();
                return any(items, |item| holds_inside(node, item, steps));
            }
            Self::ElementThat(clauses) => {
                let items = elements(known).unwrap_or_default();
                return any(items, |item| {
                    steps.take(1)?;
                    all(clauses, |clause| clause.holds_alone(item.borrow(), steps))
                });
            }
        })
    }
}

/// Whether a value equals one of these, which are sorted.
fn is_among(values: &[Value], wanted: ValueRef<'_>, steps: &Steps) -> Verdict {
    let (mut from, mut to) = (0, values.len());
    while from < to {
        steps.take(1)?;
        let middle = from.midpoint(to);
        match compare_within(values[middle].borrow(), wanted, steps)? {
            Ordering::Equal => return Ok(true),
            Ordering::Less => from = middle + 1,
            Ordering::Greater => to = middle,
        }
    }
    Ok(false)
}

fn elements(value: ValueRef<'_>) -> Option<&[Value]> {
    match value {
        ValueRef::Array(items) => Some(items),
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::Int(_)
        | ValueRef::Float(_)
        | ValueRef::String(_)
        | ValueRef::Object(_) => None,
    }
}

fn holds_inside(node: &Node, item: &Value, steps: &Steps) -> Verdict {
    steps.take(1)?;
    match item {
        Value::Object(document) => node.matches(document, steps),
        Value::Array(items) => node.matches(&Places(items), steps),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {
            Ok(false)
        }
    }
}

/// A number without its fraction, as `$mod` sees it; `None` beyond 64 bits.
fn whole(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Int(number) => Some(number),
        ValueRef::Float(number) => truncated(number),
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::String(_)
        | ValueRef::Array(_)
        | ValueRef::Object(_) => None,
    }
}

impl Relation {
    /// Values of different classes are in no relation: `5 > "a"` is as false as `5 < "a"`.
    fn holds(self, value: ValueRef<'_>, operand: ValueRef<'_>, steps: &Steps) -> Verdict {
        if class(value) != class(operand) {
            return Ok(false);
        }
        let order = compare_within(value, operand, steps)?;
        Ok(match self {
            Self::Equal => order.is_eq(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        })
    }
}

impl Type {
    fn is_of(self, value: ValueRef<'_>) -> bool {
        match self {
            Self::Double => matches!(value, ValueRef::Float(_)),
            Self::Long => matches!(value, ValueRef::Int(_)),
            Self::Number => class(value) == Class::Number,
            Self::String => class(value) == Class::String,
            Self::Object => class(value) == Class::Object,
            Self::Array => class(value) == Class::Array,
            Self::Bool => class(value) == Class::Bool,
            Self::Null => class(value) == Class::Null,
        }
    }
}

//! Evaluating the tree of a filter on a record.
//!
//! Fails for one reason only: that the budget of steps runs out. Everything that can be wrong with a filter was found
//! by `parse`. Keeps no state, and allocates only in patterns.

use std::cmp::Ordering;

use super::path::{FieldPath, IndexedArray, Leaf, Lookup};
use super::tree::{Clause, FilterNode, Relation, Test, Type};
use super::verdict::{Verdict, all, any};
use crate::value::{Class, Steps, Value, ValueRef, class, compare_within, truncated};

impl FilterNode {
    pub(super) fn matches(&self, root: &impl Lookup, steps: &Steps) -> Verdict {
        match self {
            Self::And(nodes) => all(nodes, |node| node.matches(root, steps)),
            Self::Or(nodes) => any(nodes, |node| node.matches(root, steps)),
            Self::Nor(nodes) => any(nodes, |node| node.matches(root, steps)).map(|some| !some),
            Self::Field { path, clauses } => all(clauses, |clause| clause.holds(path, root, steps)),
        }
    }
}

impl Clause {
    /// Whether it holds for the values that `path` leads to.
    pub(super) fn holds(&self, path: &FieldPath, root: &impl Lookup, steps: &Steps) -> Verdict {
        let some =
            |test: &Test| path.any(root, test.leaf(), steps, &|value| test.passes(value, steps));
        match self {
            Self::Is(test) => some(test),
            Self::IsNot(test) => some(test).map(|some| !some),
            Self::All(tests) => Ok(!tests.is_empty() && all(tests, some)?),
            Self::Not(clauses) => {
                all(clauses, |clause| clause.holds(path, root, steps)).map(|all| !all)
            }
        }
    }

    /// Whether it holds for this value alone, not for the elements of an array.
    pub(super) fn holds_alone(&self, value: ValueRef<'_>, steps: &Steps) -> Verdict {
        let passes = |test: &Test| {
            steps.take(1)?;
            test.passes(Some(value), steps)
        };
        match self {
            Self::Is(test) => passes(test),
            Self::IsNot(test) => passes(test).map(|passes| !passes),
            Self::All(tests) => Ok(!tests.is_empty() && all(tests, passes)?),
            Self::Not(clauses) => {
                all(clauses, |clause| clause.holds_alone(value, steps)).map(|all| !all)
            }
        }
    }
}

impl Test {
    /// What the test takes where a path ends at an array.
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

    /// Whether a value passes. `None` is a missing one, which passes as null does, but for a test of its type.
    pub(super) fn passes(&self, value: Option<ValueRef<'_>>, steps: &Steps) -> Verdict {
        let present = value.unwrap_or(ValueRef::Null);
        Ok(match self {
            Self::Compare(relation, operand) => {
                return relation.holds(present, operand.borrow(), steps);
            }
            Self::In(values) => return is_among(values, present, steps),
            Self::Exists => value.is_some(),
            Self::Type(types) => {
                value.is_some_and(|value| types.iter().any(|wanted| wanted.is_of(value)))
            }
            Self::Size(size) => elements(present).is_some_and(|items| items.len() == *size),
            Self::Mod { divisor, remainder } => integer_part(present)
                .is_some_and(|number| number.wrapping_rem(*divisor) == *remainder),
            Self::Regex(pattern) => match present {
                ValueRef::String(text) => return pattern.is_match(text, steps),
                _ => false,
            },
            Self::ElementWhere(node) => {
                let items = elements(present).unwrap_or_default();
                return any(items, |item| holds_inside(node, item, steps));
            }
            Self::ElementThat(clauses) => {
                let items = elements(present).unwrap_or_default();
                return any(items, |item| {
                    steps.take(1)?;
                    all(clauses, |clause| clause.holds_alone(item.borrow(), steps))
                });
            }
        })
    }
}

/// Whether a value equals one of these, which parsing has sorted: a binary search that counts its steps. That they are
/// sorted is not asserted here: to look at all of them for each value would cost more than the search.
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

fn holds_inside(node: &FilterNode, item: &Value, steps: &Steps) -> Verdict {
    steps.take(1)?;
    match item {
        Value::Object(document) => node.matches(document, steps),
        Value::Array(items) => node.matches(&IndexedArray(items), steps),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {
            Ok(false)
        }
    }
}

/// A number without its fraction, as `$mod` takes it; `None` beyond 64 bits.
fn integer_part(value: ValueRef<'_>) -> Option<i64> {
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
    /// Values of different classes do not compare: `5 > "a"` is as false as `5 < "a"`.
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

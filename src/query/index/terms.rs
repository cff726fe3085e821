//! What a matching record must have, as far as it can be looked up: read from a filter's tree.
//!
//! The terms of a filter are alternatives, each a few conditions, each a value at a path. A record that matches meets all
//! conditions of one alternative at least. `$or` brings alternatives together, if each of its branches has some; `$and`
//! combines those of its parts, as far as there is room. What is left out makes a candidate too many, never one too few.
//!
//! | filter | alternatives |
//! |---|---|
//! | `{"topic": "t", "n": {"$gt": 1}}` | topic = t |
//! | `{"topic": {"$in": ["t", "u"]}, "done": false}` | topic = t, done = false; topic = u, done = false |
//! | `{"$or": [{"public": true}, {"owner": "u1"}]}` | public = true; owner = u1 |
//! | the same within `{"topic": "t"}` | public = true, topic = t; owner = u1, topic = t |
//! | `{"$or": [{"owner": "u1"}, {"n": {"$gt": 1}}]}` | none: any record may match |

use std::collections::HashSet;

use crate::query::path::FieldPath;
use crate::query::tree::{Clause, FilterNode, Relation, Test};
use crate::value::Value;

/// A filter with more alternatives than this is not indexed by them.
const ALTERNATIVES_MAX: usize = 64;

/// Nor one with alternatives of more shapes: to find it would cost as much as to judge it.
pub(super) const SHAPES_MAX: usize = 8;

/// Each takes a look at one more path of a record. Three are a rule's own field, its tenant's, and what a client asks for.
const CONDITIONS_MAX: usize = 3;

/// One of the values at the path equals this one, which is a scalar and not null.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition<'a> {
    pub(super) path: &'a FieldPath,
    pub(super) value: &'a Value,
}

/// Conditions that hold together; at least one.
pub(super) type Alternative<'a> = Vec<Condition<'a>>;

/// Alternatives of which one must hold; if there are none, no record matches.
pub(super) struct Terms<'a> {
    pub(super) alternatives: Vec<Alternative<'a>>,
}

impl FilterNode {
    /// `None` if nothing is known of what matches.
    pub(super) fn terms(&self) -> Option<Terms<'_>> {
        match self {
            Self::And(_) => {
                let mut parts = Vec::new();
                self.collect_parts(&mut parts);
                Terms::of_all(parts)
            }
            Self::Or(nodes) => {
                let branches: Option<Vec<Terms<'_>>> = nodes.iter().map(Self::terms).collect();
                Terms::of_any(branches?)
            }
            Self::Nor(_) => None,
            Self::Field { path, clauses } => {
                let values = clauses.iter().find_map(Clause::values)?;
                let alternatives = values
                    .into_iter()
                    .map(|value| vec![Condition { path, value }]);
                Some(Terms {
                    alternatives: alternatives.collect(),
                })
            }
        }
    }

    /// The terms of what must hold together, however `$and` is nested.
    fn collect_parts<'a>(&'a self, parts: &mut Vec<Terms<'a>>) {
        match self {
            Self::And(nodes) => nodes.iter().for_each(|node| node.collect_parts(parts)),
            _ => parts.extend(self.terms()),
        }
    }
}

impl Clause {
    /// The values of which a matching record must have one.
    fn values(&self) -> Option<Vec<&Value>> {
        let values: Vec<&Value> = match self {
            Self::Is(Test::Compare(Relation::Equal, value)) => vec![value],
            Self::Is(Test::In(values)) if values.len() <= ALTERNATIVES_MAX => {
                values.iter().collect()
            }
            Self::Is(_) | Self::IsNot(_) | Self::All(_) | Self::Not(_) => return None,
        };
        let is_scalar = |value: &&Value| {
            matches!(
                value,
                Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_)
            )
        };
        values.iter().all(is_scalar).then_some(values)
    }
}

/// How much an index by these terms helps, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// By several fields: a rule, by which each client is found, and all of them may ask for the same.
    Various,
    Plain,
    /// A boolean leaves half of the records.
    Flags,
}

impl<'a> Terms<'a> {
    fn of_any(branches: Vec<Self>) -> Option<Self> {
        let alternatives = branches
            .into_iter()
            .flat_map(|branch| branch.alternatives)
            .collect();
        Self { alternatives }.if_small()
    }

    /// Combines the best of them with as many others as there is room for.
    fn of_all(mut parts: Vec<Self>) -> Option<Self> {
        parts.sort_by_key(Self::rank);
        let mut parts = parts.into_iter();
        let first = parts.next()?;
        Some(parts.fold(first, |all, part| match all.and(&part) {
            Some(both) => both,
            None => all,
        }))
    }

    /// Both, if there is room.
    fn and(&self, other: &Self) -> Option<Self> {
        if self.alternatives.len() * other.alternatives.len() > ALTERNATIVES_MAX {
            return None;
        }
        let both = self.alternatives.iter().flat_map(|mine| {
            let theirs = other.alternatives.iter();
            theirs.map(|theirs| [&mine[..], theirs].concat())
        });
        let both = Self {
            alternatives: both.collect(),
        };
        let has_room = |alternative: &Alternative<'a>| alternative.len() <= CONDITIONS_MAX;
        match both.alternatives.iter().all(has_room) {
            true => both.if_small(),
            false => None,
        }
    }

    fn if_small(self) -> Option<Self> {
        let is_small =
            self.alternatives.len() <= ALTERNATIVES_MAX && self.shapes().len() <= SHAPES_MAX;
        is_small.then_some(self)
    }

    /// The paths of the conditions, each set of them once.
    fn shapes(&self) -> HashSet<Vec<&'a str>> {
        let paths = |alternative: &Alternative<'a>| {
            let mut paths: Vec<&str> = alternative.iter().map(|one| one.path.as_str()).collect();
            paths.sort_unstable();
            paths
        };
        self.alternatives.iter().map(paths).collect()
    }

    fn rank(&self) -> Rank {
        let is_flag = |condition: &Condition<'_>| matches!(condition.value, Value::Bool(_));
        let mut conditions = self.alternatives.iter().flatten();
        match self.shapes().len() {
            // Nothing matches.
            0 => Rank::Various,
            _ if conditions.all(is_flag) => Rank::Flags,
            1 => Rank::Plain,
            _ => Rank::Various,
        }
    }
}

//! Which values of a field a condition could hold for, as spans of their encodings.
//!
//! What a record has in a field is found by its keys, so a condition that holds for a record holds for one of the
//! values that its spans cover. The reverse is not so: what is found is judged by the whole filter.

use std::cmp;

use super::encoding;
use super::encoding::tag;
use crate::limits;
use crate::query::{Clause, FieldPath, FilterNode, Pattern, Relation, Test, Type};
use crate::value::Value;

/// Encodings of values that lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueSpan {
    /// One value.
    Point(Vec<u8>),
    /// From the first on, up to the second and without it.
    Between(Vec<u8>, Vec<u8>),
}

/// Spans in one of which a value of the field lies, in any record that matches; none if no record does.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    pub(super) spans: Vec<ValueSpan>,
    /// It tells null from missing: a null has two keys, of which it asks for the second.
    is_of_presence: bool,
}

/// What must hold together, as far as an index can tell.
#[derive(Debug, Clone, Default)]
pub(super) struct Conjunction<'a> {
    pub(super) fields: Vec<(&'a FieldPath, &'a Clause)>,
    /// Each has branches of which one must hold.
    pub(super) alternatives: Vec<&'a [FilterNode]>,
}

impl<'a> Conjunction<'a> {
    pub(super) fn of(node: &'a FilterNode) -> Self {
        let mut all = Self::default();
        all.add(node);
        all
    }

    /// The same, and this branch.
    pub(super) fn and(&self, branch: &'a FilterNode) -> Self {
        let mut both = Self {
            fields: self.fields.clone(),
            alternatives: Vec::new(),
        };
        both.add(branch);
        both
    }

    fn add(&mut self, node: &'a FilterNode) {
        match node {
            FilterNode::And(nodes) => nodes.iter().for_each(|node| self.add(node)),
            FilterNode::Or(branches) => self.alternatives.push(branches),
            FilterNode::Nor(_) => {}
            FilterNode::Field { path, clauses } => {
                self.fields
                    .extend(clauses.iter().map(|clause| (path, clause)));
            }
        }
    }

    /// The condition on a field: of all that the filter says of it, if a record has but one value there; otherwise what
    /// helps most of what it says.
    pub(super) fn condition(&self, path: &FieldPath, is_spread: bool) -> Option<Allowed> {
        let of_one = match is_spread {
            true => None,
            false => self.value_condition(path),
        };
        of_one.or_else(|| self.conditions(path).min_by_key(Allowed::rank))
    }

    /// All that the filter says of the one value that a record has in a field. A null is one value, whose second key
    /// does not count.
    pub(super) fn value_condition(&self, path: &FieldPath) -> Option<Allowed> {
        let conditions = self.conditions(path);
        let values = conditions.filter(|condition| !condition.is_of_presence);
        values.reduce(Allowed::and)
    }

    fn conditions(&self, path: &FieldPath) -> impl Iterator<Item = Allowed> {
        let clauses = self.fields.iter().filter(move |(other, _)| *other == path);
        clauses.flat_map(move |(_, clause)| clause_conditions(path, clause))
    }

    /// The fields that must equal one value.
    pub(super) fn equal_paths(&self) -> impl Iterator<Item = &str> {
        let equal = self
            .fields
            .iter()
            .filter(|(_, clause)| matches!(clause, Clause::Is(Test::Compare(Relation::Equal, _))));
        equal.map(|(path, _)| path.as_str())
    }

    /// The fields of which only some values can match.
    pub(super) fn compared_paths(&self) -> impl Iterator<Item = &str> {
        let compared = self
            .fields
            .iter()
            .filter(|(path, clause)| !clause_conditions(path, clause).is_empty());
        compared
            .map(|(path, _)| path.as_str())
            .filter(|path| *path != "_id")
    }

    /// The one value that a field must equal.
    pub(super) fn equal(&self, path: &FieldPath) -> Option<Vec<u8>> {
        let clauses = self.fields.iter().filter(|(other, _)| *other == path);
        let mut points = clauses.filter_map(|(_, clause)| match clause {
            Clause::Is(Test::Compare(Relation::Equal, value)) => Some(encoded(value)),
            _ => None,
        });
        points.next()
    }
}

impl Allowed {
    fn values(spans: Vec<ValueSpan>) -> Self {
        Self {
            spans,
            is_of_presence: false,
        }
    }

    /// The less, the more it helps, about.
    fn rank(&self) -> (bool, usize) {
        let is_wide = self
            .spans
            .iter()
            .any(|span| matches!(span, ValueSpan::Between(..)));
        (is_wide, self.spans.len())
    }

    /// Whether it tells null from missing.
    pub(super) fn is_of_presence(&self) -> bool {
        self.is_of_presence
    }

    /// Where both hold, for one and the same value; `None` if it would take too long to find out.
    pub(super) fn and_exactly(self, other: Self) -> Option<Self> {
        let is_few = self.spans.len() * other.spans.len() <= limits::INDEX_RANGES_MAX;
        is_few.then(|| self.and(other))
    }

    /// Where both hold, for one and the same value; of two that are long, the one that helps more.
    fn and(self, other: Self) -> Self {
        if self.spans.len() * other.spans.len() > limits::INDEX_RANGES_MAX {
            return cmp::min_by_key(self, other, Self::rank);
        }
        let each = |span: &ValueSpan| {
            let overlaps = other.spans.iter().filter_map(|other| span.and(other));
            overlaps.collect::<Vec<ValueSpan>>()
        };
        Self::values(self.spans.iter().flat_map(each).collect())
    }
}

impl ValueSpan {
    fn and(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Point(a), Self::Point(b)) => (a == b).then(|| self.clone()),
            (Self::Point(point), Self::Between(from, to))
            | (Self::Between(from, to), Self::Point(point)) => {
                (from <= point && point < to).then(|| Self::Point(point.clone()))
            }
            (Self::Between(from, to), Self::Between(other_from, other_to)) => {
                let (from, to) = (from.max(other_from), to.min(other_to));
                (from < to).then(|| Self::Between(from.clone(), to.clone()))
            }
        }
    }

    /// All that a record can be sorted by.
    pub(super) fn of_order() -> Self {
        Self::Between(vec![tag::EMPTY_ARRAY], vec![tag::BOOL + 1])
    }

    /// One key of each value: all but the second of a null.
    pub(super) fn of_values() -> Self {
        const {
            assert!(
                tag::PRESENT_NULL + 1 == tag::END,
                "no value is encoded beyond it"
            )
        };
        Self::Between(vec![tag::EMPTY_ARRAY], vec![tag::PRESENT_NULL])
    }

    /// All values with a tag.
    fn of_tag(tag: u8) -> Self {
        Self::Between(vec![tag], vec![tag + 1])
    }
}

/// Those of which each must hold.
fn clause_conditions(path: &FieldPath, clause: &Clause) -> Vec<Allowed> {
    match clause {
        Clause::Is(test) => condition(path, test).into_iter().collect(),
        // Nothing is there: then there is a key for what is missing.
        Clause::IsNot(Test::Exists) => vec![Allowed::values(vec![missing()])],
        Clause::All(tests) if tests.is_empty() => vec![Allowed::values(Vec::new())],
        // Each for a value of its own.
        Clause::All(tests) => {
            let conditions = tests.iter().filter_map(|test| condition(path, test));
            conditions.min_by_key(Allowed::rank).into_iter().collect()
        }
        Clause::IsNot(_) | Clause::Not(_) => Vec::new(),
    }
}

/// The spans that a value must be in to pass the test.
pub(super) fn condition(path: &FieldPath, test: &Test) -> Option<Allowed> {
    let spans = match test {
        Test::Compare(relation, value) => compared(*relation, value),
        Test::In(values) if values.len() <= limits::INDEX_RANGES_MAX => {
            let points = values.iter().map(|value| ValueSpan::Point(encoded(value)));
            let mut points: Vec<ValueSpan> = points.collect();
            points.dedup();
            points
        }
        Test::In(_) => return None,
        Test::Exists => {
            let present = ValueSpan::Between(vec![tag::NULL + 1], vec![tag::END]);
            return Some(Allowed {
                spans: vec![present],
                is_of_presence: true,
            });
        }
        Test::Type(types) => return Some(typed(types)),
        Test::Mod { .. } => vec![ValueSpan::of_tag(tag::NUMBER)],
        Test::Regex(pattern) => vec![matched(pattern)],
        Test::ElementThat(clauses) => return Some(of_element(path, clauses)),
        Test::Size(_) | Test::ElementWhere(_) => vec![ValueSpan::of_tag(tag::SEEN_ARRAY)],
    };
    Some(Allowed::values(spans))
}

fn missing() -> ValueSpan {
    ValueSpan::Point(vec![tag::NULL])
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoding::seen(&mut bytes, value.borrow());
    bytes
}

/// Only values of one class compare.
fn compared(relation: Relation, value: &Value) -> Vec<ValueSpan> {
    let tag = encoding::seen_tag_of(value.borrow());
    let point = encoded(value);
    let (first, last) = (vec![tag], vec![tag + 1]);
    let span = match relation {
        Relation::Equal => ValueSpan::Point(point),
        Relation::GreaterOrEqual | Relation::LessOrEqual if tag == tag::NULL => missing(),
        Relation::Greater | Relation::Less if tag == tag::NULL => return Vec::new(),
        Relation::Greater => ValueSpan::Between(after(&point), last),
        Relation::GreaterOrEqual => ValueSpan::Between(point, last),
        Relation::Less => ValueSpan::Between(first, point),
        Relation::LessOrEqual => ValueSpan::Between(first, after(&point)),
    };
    vec![span]
}

fn typed(types: &[Type]) -> Allowed {
    let span = |kind: &Type| match kind {
        Type::Double | Type::Long | Type::Number => ValueSpan::of_tag(tag::NUMBER),
        Type::String => ValueSpan::of_tag(tag::STRING),
        Type::Object => ValueSpan::of_tag(tag::OBJECT),
        Type::Array => ValueSpan::of_tag(tag::SEEN_ARRAY),
        Type::Bool => ValueSpan::of_tag(tag::BOOL),
        Type::Null => ValueSpan::Point(vec![tag::PRESENT_NULL]),
    };
    let mut spans: Vec<ValueSpan> = Vec::new();
    for span in types.iter().map(span) {
        if !spans.contains(&span) {
            spans.push(span);
        }
    }
    Allowed {
        spans,
        is_of_presence: types.contains(&Type::Null),
    }
}

/// The texts that a pattern can match.
fn matched(pattern: &Pattern) -> ValueSpan {
    match pattern.beginning() {
        Some(text) => {
            let mut from = Vec::new();
            encoding::text_beginning(&mut from, &text);
            let to = after(&from);
            ValueSpan::Between(from, to)
        }
        None => ValueSpan::of_tag(tag::STRING),
    }
}

/// An element for which all hold is a value of the field; but not of an array that the path names by its index. What
/// is in an element is none.
fn of_element(path: &FieldPath, clauses: &[Clause]) -> Allowed {
    let mut segments = path.segments().iter();
    let names_index = segments.any(|segment| segment.index.is_some());
    let is_of_value = |clause: &&Clause| match clause {
        Clause::Is(test) => !names_index && !matches!(test, Test::ElementThat(_)),
        Clause::IsNot(_) | Clause::All(_) | Clause::Not(_) => false,
    };
    let conditions = clauses
        .iter()
        .filter(is_of_value)
        .flat_map(|clause| clause_conditions(path, clause))
        .filter(|condition| !condition.is_of_presence);
    let array = Allowed::values(vec![ValueSpan::of_tag(tag::SEEN_ARRAY)]);
    conditions.reduce(Allowed::and).unwrap_or(array)
}

/// The first bytes after all that begin with these. Encodings end in no `FF` but within, so there are such.
pub(super) fn after(bytes: &[u8]) -> Vec<u8> {
    let mut after = bytes.to_vec();
    while after.pop_if(|last| *last == 0xFF).is_some() {}
    if let Some(last) = after.last_mut() {
        *last += 1;
    }
    after
}

impl Allowed {
    /// Whether each span is one value.
    pub(super) fn is_of_points(&self) -> bool {
        let mut spans = self.spans.iter();
        spans.all(|span| matches!(span, ValueSpan::Point(_)))
    }
}

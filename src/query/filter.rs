//! The tree a filter is parsed into, and what it says about a record.
//!
//! Everything that can be wrong with a filter is found by `parse`, so matching cannot fail. It has no
//! state either, and allocates nothing. The shape of the tree is the shape of the filter as it was
//! written, one variant an operator: `mongo` writes it back down.

use regex::Regex;
use sha2::{Digest, Sha256};

use super::operand::truncated;
use super::parse;
use super::path::{FieldPath, Leaf, Named, Places};
use crate::domain::{Class, Document, EventId, Invalid, Record, Value, ValueRef, class, compare};

/// What must hold of a record.
#[derive(Debug, Clone)]
pub struct Filter {
    pub(super) root: Node,
    /// Of the filter as it was written; tells whether a cursor belongs to it.
    pub(super) digest: [u8; 32],
}

/// A condition on a record, or on an element of an array seen as one.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// All of them hold; also of none.
    And(Vec<Node>),
    Or(Vec<Node>),
    Nor(Vec<Node>),
    Field {
        path: FieldPath,
        clauses: Vec<Clause>,
    },
}

/// One operator on a field. All clauses on a field must hold, each perhaps thanks to another of the
/// values that the path leads to.
#[derive(Debug, Clone)]
pub(super) enum Clause {
    /// Some value passes.
    Is(Test),
    /// No value passes: `$ne`, `$nin`, `$exists: false`.
    IsNot(Test),
    /// Each test is passed by some value; never holds of no tests: `$all`.
    All(Vec<Test>),
    /// Not all of these hold: `$not`.
    Not(Vec<Clause>),
}

/// A question about one value.
#[derive(Debug, Clone)]
pub(super) enum Test {
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
    Regex(Regex),
    /// An array with an element, itself an object or array, of which the node holds.
    ElementWhere(Box<Node>),
    /// An array with an element of which, taken alone, every clause holds.
    ElementThat(Vec<Clause>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What `$type` can ask for, by MongoDB's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Double,
    String,
    Object,
    Array,
    Bool,
    Null,
    /// 32 bits wide. Nothing is: every integer is stored in 64 bits.
    Int,
    Long,
    Number,
}

impl Filter {
    /// Reads a filter; `at` is where it stands, e.g. `payload.filter`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        Ok(Self {
            root: parse::filter(value, at)?,
            digest: digest(value),
        })
    }

    /// The filter that the event with this id alone matches.
    pub fn of_id(id: &EventId) -> Self {
        let filter = Document::from_iter([("_id", Value::from(id.as_str()))]);
        Self::parse(&filter.into(), "").expect("an id is text")
    }

    /// Whether it is the filter that every record matches, `{}`.
    pub fn is_everything(&self) -> bool {
        matches!(&self.root, Node::And(nodes) if nodes.is_empty())
    }

    /// The filter that every record matches, `{}`.
    pub fn all() -> Self {
        Self {
            root: Node::And(Vec::new()),
            digest: digest(&Value::Object(Document::new())),
        }
    }

    /// Whether it holds of the record. Neither fails nor allocates.
    pub fn matches(&self, record: &impl Record) -> bool {
        self.root.matches(record)
    }

    /// Tells filters apart: two that were written alike have the same.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The only ids that can match, each once, if the filter names them by `_id` and equality or
    /// `$in` (perhaps inside `$and`); `None` if any could. A store reads these instead of searching.
    pub fn pinned_ids(&self) -> Option<Vec<&str>> {
        self.root.pinned_ids()
    }
}

fn digest(value: &Value) -> [u8; 32] {
    let text = serde_json::to_vec(value).expect("a value has nothing JSON cannot say");
    Sha256::digest(text).into()
}

impl Node {
    pub(super) fn matches(&self, root: &impl Named) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.matches(root)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(root)),
            Self::Nor(nodes) => !nodes.iter().any(|node| node.matches(root)),
            Self::Field { path, clauses } => clauses.iter().all(|clause| clause.holds(path, root)),
        }
    }

    fn pinned_ids(&self) -> Option<Vec<&str>> {
        match self {
            Self::And(nodes) => nodes.iter().find_map(Self::pinned_ids),
            Self::Field { path, clauses } if path.as_str() == "_id" => {
                clauses.iter().find_map(Clause::pinned_texts)
            }
            Self::Or(_) | Self::Nor(_) | Self::Field { .. } => None,
        }
    }
}

impl Clause {
    /// Whether it holds of the values that `path` leads to.
    pub(super) fn holds(&self, path: &FieldPath, root: &impl Named) -> bool {
        let some = |test: &Test| path.any(root, test.leaf(), &|value| test.passes(value));
        match self {
            Self::Is(test) => some(test),
            Self::IsNot(test) => !some(test),
            Self::All(tests) => !tests.is_empty() && tests.iter().all(some),
            Self::Not(clauses) => !clauses.iter().all(|clause| clause.holds(path, root)),
        }
    }

    /// Whether it holds of this value alone, not of what an array contains.
    fn holds_alone(&self, value: ValueRef<'_>) -> bool {
        match self {
            Self::Is(test) => test.passes(Some(value)),
            Self::IsNot(test) => !test.passes(Some(value)),
            Self::All(tests) => {
                !tests.is_empty() && tests.iter().all(|test| test.passes(Some(value)))
            }
            Self::Not(clauses) => !clauses.iter().all(|clause| clause.holds_alone(value)),
        }
    }

    /// The texts that alone can pass; what is not text cannot be an id.
    fn pinned_texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Is(Test::Compare(Relation::Equal, value)) => {
                Some(value.as_str().into_iter().collect())
            }
            Self::Is(Test::In(values)) => {
                let mut texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
                texts.dedup();
                Some(texts)
            }
            Self::Is(_) | Self::IsNot(_) | Self::All(_) | Self::Not(_) => None,
        }
    }
}

impl Test {
    /// What the test wants to see where a path ends at an array.
    fn leaf(&self) -> Leaf {
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
    fn passes(&self, value: Option<ValueRef<'_>>) -> bool {
        let known = value.unwrap_or(ValueRef::Null);
        match self {
            Self::Compare(relation, operand) => relation.holds(known, operand.borrow()),
            Self::In(values) => values
                .binary_search_by(|candidate| compare(candidate.borrow(), known))
                .is_ok(),
            Self::Exists => value.is_some(),
            Self::Type(types) => {
                value.is_some_and(|value| types.iter().any(|wanted| wanted.is_of(value)))
            }
            Self::Size(size) => elements(known).is_some_and(|items| items.len() == *size),
            Self::Mod { divisor, remainder } => {
                whole(known).is_some_and(|number| number.wrapping_rem(*divisor) == *remainder)
            }
            Self::Regex(regex) => matches!(known, ValueRef::String(text) if regex.is_match(text)),
            Self::ElementWhere(node) => elements(known)
                .is_some_and(|items| items.iter().any(|item| holds_inside(node, item))),
            Self::ElementThat(clauses) => elements(known).is_some_and(|items| {
                let all = |item: &Value| clauses.iter().all(|c| c.holds_alone(item.borrow()));
                items.iter().any(all)
            }),
        }
    }
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

fn holds_inside(node: &Node, item: &Value) -> bool {
    match item {
        Value::Object(document) => node.matches(document),
        Value::Array(items) => node.matches(&Places(items)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => false,
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
    fn holds(self, value: ValueRef<'_>, operand: ValueRef<'_>) -> bool {
        if class(value) != class(operand) {
            return false;
        }
        let order = compare(value, operand);
        match self {
            Self::Equal => order.is_eq(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

impl Type {
    fn is_of(self, value: ValueRef<'_>) -> bool {
        match self {
            Self::Int => false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Event, Seq, Timestamp};

    fn filter(json: &str) -> Filter {
        let value: Value = serde_json::from_str(json).expect("the test's own JSON");
        Filter::parse(&value, "payload.filter").expect("a good filter")
    }

    #[test]
    fn an_event_is_matched_by_what_the_server_knows_of_it_too() {
        let at = Timestamp::parse("2026-01-31T12:00:00.000Z").expect("a fixed time");
        let event = Event {
            id: EventId::parse("e").expect("a good id"),
            version: 3,
            seq: Seq::new(7),
            created_at: at,
            updated_at: at,
            fields: Document::from_iter([("a", Value::Int(1))]),
        };
        for json in [
            r#"{"_id":"e","_version":{"$gt":2},"_seq":7.0}"#,
            r#"{"_createdAt":{"$gte":"2026-01-31","$lt":"2026-02-01"},"a":1}"#,
            r#"{"_updatedAt":{"$type":"string"},"_other":null}"#,
            "{}",
        ] {
            assert!(filter(json).matches(&event), "{json}");
        }
        assert!(!filter(r#"{"_version":2}"#).matches(&event));
        assert!(Filter::all().matches(&event));
    }

    #[test]
    fn an_id_pins_the_filter_only_where_nothing_else_could_match() {
        for (json, ids) in [
            (r#"{"_id":"e"}"#, Some(vec!["e"])),
            (r#"{"a":1,"_id":{"$eq":"e"}}"#, Some(vec!["e"])),
            (r#"{"_id":{"$in":["f","e",1,"f"]}}"#, Some(vec!["e", "f"])),
            (
                r#"{"$and":[{"a":1},{"$and":[{"_id":"e"}]}]}"#,
                Some(vec!["e"]),
            ),
            (r#"{"_id":7}"#, Some(vec![])),
            (r#"{"_id":{"$ne":"e"}}"#, None),
            (r#"{"_id":{"$gt":"e"}}"#, None),
            (r#"{"$or":[{"_id":"e"},{"a":1}]}"#, None),
            (r#"{"$nor":[{"_id":"e"}]}"#, None),
            (r#"{"_id":{"$not":{"$eq":"e"}}}"#, None),
            (r#"{"a._id":"e"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(filter(json).pinned_ids(), ids, "{json}");
        }
    }
}

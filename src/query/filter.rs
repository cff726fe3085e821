//! The tree a filter is parsed into, and what it says about a record.
//!
//! Everything that can be wrong with a filter is found by `parse`, so matching fails for one reason only: that
//! it takes more steps than it may. It has no state, and but for patterns allocates nothing. The shape of the tree is the shape of the filter as it was
//! written, one variant an operator: `mongo` writes it back down.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::footprint::FilterBytes;
use super::parse;
use super::path::{FieldPath, Lookup};
use super::test::{Relation, Test};
use super::verdict::{Verdict, all, any};
use crate::value::{Document, Invalid, Record, Steps, TooCostly, Value, ValueRef};

/// What must hold of a record. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Filter {
    pub(crate) root: Arc<Node>,
    /// Of the filter as it was written; tells whether a cursor belongs to it.
    pub(super) digest: [u8; 32],
    /// Its values; patterns are counted where they are shared.
    held: Arc<FilterBytes>,
    patterns: usize,
}

/// A condition on a record, or on an element of an array seen as one.
#[derive(Debug, Clone)]
pub(crate) enum Node {
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
pub(crate) enum Clause {
    /// Some value passes.
    Is(Test),
    /// No value passes: `$ne`, `$nin`, `$exists: false`.
    IsNot(Test),
    /// Each test is passed by some value; never holds of no tests: `$all`.
    All(Vec<Test>),
    /// Not all of these hold: `$not`.
    Not(Vec<Clause>),
}

impl Filter {
    /// Reads a filter; `at` is where it stands, e.g. `payload.filter`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        let (root, patterns) = parse::filter(value, at)?;
        Ok(Self {
            root: Arc::new(root),
            digest: digest(value),
            held: Arc::new(FilterBytes::new(value.weight())),
            patterns,
        })
    }

    /// Roughly the bytes it takes in memory, its compiled patterns included.
    pub fn weight(&self) -> usize {
        self.held.bytes() + self.patterns
    }

    /// The filter that the record with this id alone matches.
    pub fn of_id(id: &str) -> Self {
        let filter = Document::from_iter([("_id", Value::from(id))]);
        Self::parse(&filter.into(), "").expect("an id is text")
    }

    /// Whether it is the filter that every record matches, `{}`.
    pub fn is_everything(&self) -> bool {
        matches!(&*self.root, Node::And(nodes) if nodes.is_empty())
    }

    /// The filter that every record matches, `{}`.
    pub fn all() -> Self {
        Self {
            root: Arc::new(Node::And(Vec::new())),
            digest: digest(&Value::Object(Document::new())),
            held: Arc::new(FilterBytes::new(0)),
            patterns: 0,
        }
    }

    /// Whether it holds of the record.
    ///
    /// # Errors
    /// If there are not enough steps to tell.
    pub fn matches(&self, record: &impl Record, steps: &Steps) -> Result<bool, TooCostly> {
        self.root.matches(record, steps)
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
    pub(super) fn matches(&self, root: &impl Lookup, steps: &Steps) -> Verdict {
        match self {
            Self::And(nodes) => all(nodes, |node| node.matches(root, steps)),
            Self::Or(nodes) => any(nodes, |node| node.matches(root, steps)),
            Self::Nor(nodes) => any(nodes, |node| node.matches(root, steps)).map(|some| !some),
            Self::Field { path, clauses } => all(clauses, |clause| clause.holds(path, root, steps)),
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

    /// Whether it holds of this value alone, not of what an array contains.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(json: &str) -> Filter {
        let value: Value = serde_json::from_str(json).expect("the test's own JSON");
        Filter::parse(&value, "payload.filter").expect("a good filter")
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

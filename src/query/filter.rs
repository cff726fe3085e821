//! A filter: the condition that selects records, shared by everything that asks for them.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::memory::FilterBytes;
use super::parse;
use super::tree::{Clause, FilterNode, Relation, Test};
use crate::value::{Document, Invalid, Record, Steps, TooCostly, Value};

/// A condition on records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Filter {
    pub(crate) root: Arc<FilterNode>,
    digest: [u8; 32],
    /// Of what the client wrote of it: by it a cursor is known to belong to the filter.
    pub(super) written: [u8; 32],
    /// The rule that it was put within.
    rule: Option<Arc<Filter>>,
    /// Those of its values; those of patterns are counted where they are shared.
    value_bytes: Arc<FilterBytes>,
    pattern_bytes: usize,
}

impl Filter {
    /// Parses a filter; `at` is its path in the message, e.g. `payload.filter`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        let (root, pattern_bytes) = parse::filter(value, at)?;
        let digest = digest(value);
        Ok(Self {
            root: Arc::new(root),
            digest,
            written: digest,
            rule: None,
            value_bytes: Arc::new(FilterBytes::new(value.approx_bytes())),
            pattern_bytes,
        })
    }

    /// Roughly the bytes it takes in memory, its compiled patterns included.
    pub fn approx_bytes(&self) -> usize {
        self.value_bytes.bytes() + self.pattern_bytes
    }

    /// The filter that the record with this id alone matches.
    pub fn of_id(id: &str) -> Self {
        let filter = Document::from_iter([("_id", Value::from(id))]);
        Self::parse(&filter.into(), "").expect("an id is text")
    }

    /// Whether it is the filter that every record matches, `{}`.
    pub fn is_everything(&self) -> bool {
        matches!(&*self.root, FilterNode::And(nodes) if nodes.is_empty())
    }

    /// The filter that every record matches, `{}`.
    pub fn all() -> Self {
        let digest = digest(&Value::Object(Document::new()));
        Self {
            root: Arc::new(FilterNode::And(Vec::new())),
            digest,
            written: digest,
            rule: None,
            value_bytes: Arc::new(FilterBytes::new(0)),
            pattern_bytes: 0,
        }
    }

    /// The filter that no record matches. It pins the ids to none, so no store looks for any.
    pub fn nothing() -> Self {
        let none = Document::from_iter([("$in", Value::Array(Vec::new()))]);
        let filter = Document::from_iter([("_id", Value::Object(none))]);
        Self::parse(&filter.into(), "").expect("an empty list is a list")
    }

    /// What a client's filter means to who sees only what `rule` matches: both hold.
    pub fn within(&self, rule: &Self) -> Self {
        if rule.is_everything() {
            return self.clone();
        }
        let root = match self.is_everything() {
            true => Arc::clone(&rule.root),
            false => Arc::new(FilterNode::And(vec![
                (*rule.root).clone(),
                (*self.root).clone(),
            ])),
        };
        let digests = Sha256::new_with_prefix(rule.digest).chain_update(self.digest);
        Self {
            root,
            digest: digests.finalize().into(),
            written: self.written,
            rule: Some(Arc::new(rule.clone())),
            value_bytes: Arc::new(FilterBytes::new(
                rule.value_bytes.bytes() + self.value_bytes.bytes(),
            )),
            pattern_bytes: rule.pattern_bytes + self.pattern_bytes,
        }
    }

    /// The rule that it is [`within`](Self::within), if that does not match everything.
    pub fn rule(&self) -> Option<&Arc<Self>> {
        self.rule.as_ref()
    }

    /// Whether it holds for the record.
    ///
    /// # Errors
    /// If the steps run out before.
    pub fn matches(&self, record: &impl Record, steps: &Steps) -> Result<bool, TooCostly> {
        self.root.matches(record, steps)
    }

    /// By it filters are told apart: two that were written alike, within rules that were, have the same.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The only ids that can match, each once, if the filter names them by equality of `_id` or its `$in` (perhaps
    /// inside `$and`); `None` if any id could match. A store reads these events instead of scanning.
    pub fn pinned_ids(&self) -> Option<Vec<&str>> {
        self.root.pinned_ids()
    }
}

fn digest(value: &Value) -> [u8; 32] {
    let text = serde_json::to_vec(value).expect("a value has nothing JSON cannot say");
    Sha256::digest(text).into()
}

impl FilterNode {
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
    /// The only texts that can pass; a value of another kind cannot be an id.
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

//! Which index decides a filter by itself: a record matches if and only if it has an entry in some ranges of it. So what
//! matches is counted without reading it.
//!
//! | what the filter says of a field | is decided |
//! |---|---|
//! | comparisons, `$in`, `$exists: true`, `$type` but of kinds of numbers | where no record has an array there |
//! | one comparison or `$in` of texts, numbers and booleans | where some have, unless a number on the path could be a place |
//! | anything else | no |
//!
//! A field that is asked for may stand only behind others that are, each of which equals something.

use std::collections::BTreeSet;

use super::declaration::{Index, IndexField};
use super::keys::FieldSet;
use super::plan::{Indexes, RangeLookup};
use super::ranges::KeyRange;
use super::spans;
use super::spans::{Allowed, Conjunction, ValueSpan};
use crate::limits;
use crate::query::{Clause, FieldPath, Filter, FilterNode, Test, Type};
use crate::value::Value;

/// Ranges that hold an entry of each record that matches, and of no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Covering {
    pub(crate) lookup: RangeLookup,
    /// Whether no record has two entries there.
    pub(crate) has_each_once: bool,
}

/// The index that decides a filter by itself, if one does. One in which some records are kept apart does not.
///
/// # Errors
/// If an index could not be looked into.
pub(crate) fn covering<I: Indexes>(
    filter: &Filter,
    indexes: &I,
) -> Result<Option<Covering>, I::Error> {
    if !is_of_fields(&filter.root) {
        return Ok(None);
    }
    let conjunction = Conjunction::of(&filter.root);
    let mut best: Option<Covering> = None;
    for (index, declared, spread) in indexes.usable() {
        let Some((ranges, has_each_once)) = declared.covered(&conjunction, spread) else {
            continue;
        };
        let is_better = best
            .as_ref()
            .is_none_or(|best| has_each_once && !best.has_each_once);
        if is_better && !indexes.has_wide(index)? {
            let lookup = RangeLookup { index, ranges };
            best = Some(Covering {
                lookup,
                has_each_once,
            });
        }
    }
    Ok(best)
}

impl<'a> Conjunction<'a> {
    /// The fields that something is asked of.
    fn paths(&self) -> BTreeSet<&'a str> {
        self.fields.iter().map(|(path, _)| path.as_str()).collect()
    }

    /// The spans in which a record has a key in this field if and only if all holds that is asked of it; `None` if that
    /// cannot be told by its keys.
    fn decided(&self, field: &IndexField, is_spread: bool) -> Option<Vec<ValueSpan>> {
        let asked = self.fields.iter().filter(|(path, _)| **path == field.path);
        let decided = asked.map(|(path, clause)| match clause {
            Clause::Is(test) if is_decided(path, test, is_spread) => spans::condition(path, test),
            _ => None,
        });
        let mut decided: Vec<Allowed> = decided.collect::<Option<_>>()?;
        let first = decided.pop()?;
        // Of several values in an array each condition may mean another; and a null has two keys.
        if !decided.is_empty()
            && (is_spread || decided.iter().chain([&first]).any(Allowed::is_of_presence))
        {
            return None;
        }
        let both = decided.into_iter().try_fold(first, Allowed::and_exactly)?;
        Some(both.spans)
    }
}

/// Whether a record passes the test if and only if one of its keys is in the spans of it.
fn is_decided(path: &FieldPath, test: &Test, is_spread: bool) -> bool {
    let may_be_place = || {
        path.segments()
            .iter()
            .any(|segment| segment.index.is_some())
    };
    match test {
        // A record also has keys for what it is sorted by: of texts, numbers and booleans these are elements.
        Test::Compare(_, value) if is_spread => is_plain(value) && !may_be_place(),
        Test::In(values) if is_spread => values.iter().all(is_plain) && !may_be_place(),
        Test::Compare(..) | Test::In(_) => true,
        Test::Exists => !is_spread,
        Test::Type(types) => {
            !is_spread && (types.contains(&Type::Number) || !types.iter().any(is_of_some_numbers))
        }
        Test::Size(_)
        | Test::Mod { .. }
        | Test::Regex(_)
        | Test::ElementWhere(_)
        | Test::ElementThat(_) => false,
    }
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn is_of_some_numbers(kind: &Type) -> bool {
    matches!(kind, Type::Double | Type::Long)
}

/// Whether it is conditions on fields, all of which must hold.
fn is_of_fields(node: &FilterNode) -> bool {
    match node {
        FilterNode::And(nodes) => nodes.iter().all(is_of_fields),
        FilterNode::Field { .. } => true,
        FilterNode::Or(_) | FilterNode::Nor(_) => false,
    }
}

impl Index {
    /// The ranges that decide what all fields of the conjunction are asked for, and whether each record is in them once.
    fn covered(
        &self,
        conjunction: &Conjunction<'_>,
        spread: FieldSet,
    ) -> Option<(Vec<KeyRange>, bool)> {
        let is_plain = (0..self.fields.len()).all(|place| !spread.has(place));
        let mut left = conjunction.paths();
        let mut ranges = vec![KeyRange::beginning_with(Vec::new())];
        let mut is_open = true;
        for (place, field) in self.fields.iter().enumerate() {
            let is_asked = left.remove(field.path.as_str());
            let spans = match is_asked {
                true => conjunction.decided(field, spread.has(place))?,
                false if !left.is_empty() => return None,
                // Of a null, the key that tells it from what is missing would be one too many.
                false if is_open && is_plain => vec![ValueSpan::of_values()],
                false => return Some((ranges, false)),
            };
            if !is_open || ranges.len() * spans.len() > limits::INDEX_RANGES_MAX {
                return None;
            }
            is_open = spans.iter().all(|span| matches!(span, ValueSpan::Point(_)));
            let each = |range: &KeyRange| {
                let beginning = range.from.clone();
                spans
                    .iter()
                    .map(move |span| span.after(&beginning, field.direction))
                    .collect::<Vec<_>>()
            };
            ranges = ranges.iter().flat_map(each).collect();
        }
        left.is_empty().then_some((ranges, is_plain))
    }
}

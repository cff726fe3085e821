//! An index of filters by the values that they require, so that a record is matched against few of them.
//!
//! A filter that requires a value of a field by equality (`{"topic": "t1"}`, `$in`) is indexed under that field and
//! value: only records with the value there can match it. Every other filter is a candidate for every record.
//!
//! The one invariant: a filter that matches a record is always among its candidates. A candidate too many costs a
//! match.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use super::filter::Filter;
use super::path::{FieldPath, Leaf};
use super::tree::{Clause, FilterNode, Relation, Test};
use crate::value::{Record, Steps, TooCostly, Value, ValueRef, whole};

/// A filter is indexed under each value of its `$in`; one with more values than this is always a candidate.
const VALUES_MAX: usize = 64;

/// Steps to find the values at one path of a record: about thirty microseconds. All filters on a path that takes more
/// are candidates.
const FIELD_STEPS_MAX: u64 = 10_000;

/// Bytes of text that one step hashes, about.
const HASHED_BYTES_PER_STEP: usize = 16;

/// The keys of filters, by a field and a value that a matching record must have.
///
/// Only a value's hash is kept: two values with one hash make a candidate too many, never one too few.
#[derive(Debug)]
pub struct FilterIndex<K> {
    /// As many as there are different paths: few.
    fields: Vec<IndexedField<K>>,
    /// Filters that require no value.
    unindexed: Vec<K>,
    /// Seeded, so that no client can choose values with one hash.
    hasher: RandomState,
}

#[derive(Debug)]
struct IndexedField<K> {
    path: FieldPath,
    by_value: HashMap<u64, Vec<K>>,
}

/// What a filter is indexed under: a record without one of these values at the path cannot match.
struct Term<'a> {
    path: &'a FieldPath,
    values: Vec<&'a Value>,
}

impl<K> Default for FilterIndex<K> {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            unindexed: Vec::new(),
            hasher: RandomState::new(),
        }
    }
}

impl<K: Copy + Ord> FilterIndex<K> {
    /// Adds a filter with its key.
    pub fn insert(&mut self, filter: &Filter, key: K) {
        let Some(Term { path, values }) = filter.root.term() else {
            return self.unindexed.push(key);
        };
        let known = self.fields.iter().position(|field| field.path == *path);
        let index = known.unwrap_or_else(|| {
            self.fields.push(IndexedField {
                path: path.clone(),
                by_value: HashMap::new(),
            });
            self.fields.len() - 1
        });
        for hash in self.hashes(&values) {
            self.fields[index]
                .by_value
                .entry(hash)
                .or_default()
                .push(key);
        }
    }

    /// Removes a filter that was added with this key.
    pub fn remove(&mut self, filter: &Filter, key: K) {
        let Some(Term { path, values }) = filter.root.term() else {
            return self.unindexed.retain(|known| *known != key);
        };
        let hashes = self.hashes(&values);
        let Some(index) = self.fields.iter().position(|field| field.path == *path) else {
            return;
        };
        let by_value = &mut self.fields[index].by_value;
        for hash in hashes {
            if let Some(keys) = by_value.get_mut(&hash) {
                keys.retain(|known| *known != key);
                if keys.is_empty() {
                    by_value.remove(&hash);
                }
            }
        }
        if by_value.is_empty() {
            self.fields.swap_remove(index);
        }
    }

    /// Adds the keys of all filters that may match the record; some perhaps more than once.
    ///
    /// If a path leads to too many values, or no steps are left, all filters indexed there are candidates.
    pub fn candidates(&self, record: &impl Record, steps: &Steps, candidates: &mut Vec<K>) {
        candidates.extend_from_slice(&self.unindexed);
        for field in &self.fields {
            let own = Steps::new(FIELD_STEPS_MAX.min(steps.left()));
            if self.look_up(field, record, &own, candidates).is_err() {
                candidates.extend(field.by_value.values().flatten());
            }
            steps.spend(own.taken());
        }
    }

    fn look_up(
        &self,
        field: &IndexedField<K>,
        record: &impl Record,
        steps: &Steps,
        candidates: &mut Vec<K>,
    ) -> Result<bool, TooCostly> {
        let candidates = RefCell::new(candidates);
        field.path.any(record, Leaf::Elements, steps, &|value| {
            if let Some(ValueRef::String(text)) = value {
                steps.take((text.len() / HASHED_BYTES_PER_STEP) as u64)?;
            }
            let hash = value.and_then(|value| self.hash(value));
            if let Some(keys) = hash.and_then(|hash| field.by_value.get(&hash)) {
                candidates.borrow_mut().extend_from_slice(keys);
            }
            Ok(false)
        })
    }

    /// Each once, so that two values with one hash index a filter once.
    fn hashes(&self, values: &[&Value]) -> Vec<u64> {
        let hashes = values.iter().filter_map(|value| self.hash(value.borrow()));
        let mut hashes: Vec<u64> = hashes.collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// The same for values that filters find equal, so for `1` and `1.0`; `None` for those that index no filter.
    fn hash(&self, value: ValueRef<'_>) -> Option<u64> {
        let mut hasher = self.hasher.build_hasher();
        match value {
            ValueRef::Bool(flag) => flag.hash(&mut hasher),
            ValueRef::String(text) => text.hash(&mut hasher),
            ValueRef::Int(number) => number.hash(&mut hasher),
            ValueRef::Float(number) => match whole(number) {
                Some(number) => number.hash(&mut hasher),
                None => number.to_bits().hash(&mut hasher),
            },
            ValueRef::Null | ValueRef::Array(_) | ValueRef::Object(_) => return None,
        }
        Some(hasher.finish())
    }
}

impl FilterNode {
    /// The most selective term among those that must all hold: a boolean leaves half of the records, anything else far
    /// fewer.
    fn term(&self) -> Option<Term<'_>> {
        match self {
            Self::And(nodes) => nodes
                .iter()
                .filter_map(Self::term)
                .min_by_key(Term::is_flag),
            Self::Field { path, clauses } => {
                let values = clauses.iter().find_map(Clause::values)?;
                Some(Term { path, values })
            }
            Self::Or(_) | Self::Nor(_) => None,
        }
    }
}

impl Clause {
    /// The values of which a matching record must have one.
    fn values(&self) -> Option<Vec<&Value>> {
        let values: Vec<&Value> = match self {
            Self::Is(Test::Compare(Relation::Equal, value)) => vec![value],
            Self::Is(Test::In(values)) if values.len() <= VALUES_MAX => values.iter().collect(),
            Self::Is(_) | Self::IsNot(_) | Self::All(_) | Self::Not(_) => return None,
        };
        let scalar = |value: &&Value| {
            matches!(
                value,
                Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_)
            )
        };
        values.iter().all(scalar).then_some(values)
    }
}

impl Term<'_> {
    fn is_flag(&self) -> bool {
        self.values
            .iter()
            .any(|value| matches!(value, Value::Bool(_)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Document;

    fn filter(json: &str) -> Filter {
        let value: Value = serde_json::from_str(json).expect("the test's own JSON");
        Filter::parse(&value, "filter").expect("a good filter")
    }

    fn found(filters: &[&str], record: &str) -> Vec<usize> {
        let mut index = FilterIndex::default();
        for (key, text) in filters.iter().enumerate() {
            index.insert(&filter(text), key);
        }
        let record: Document = serde_json::from_str(record).expect("the test's own JSON");
        let mut found = Vec::new();
        index.candidates(&record, &Steps::unbounded(), &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn only_filters_that_ask_for_a_value_of_the_record_are_candidates() {
        let filters = [
            r#"{"a":1}"#,
            r#"{"a":"x"}"#,
            r#"{"a":{"$in":["x",2]}}"#,
            r#"{"b.c":true}"#,
            r#"{"done":false,"a":"y"}"#,
            r#"{"$and":[{"d":{"$gt":0}},{"a":{"$eq":1.0}}]}"#,
        ];
        for (record, keys) in [
            (r#"{"a":1}"#, vec![0, 5]),
            (r#"{"a":1.0,"done":false}"#, vec![0, 5]),
            (r#"{"a":["x","z"]}"#, vec![1, 2]),
            (r#"{"a":"y"}"#, vec![4]),
            (r#"{"b":[{"c":true},{"c":1}]}"#, vec![3]),
            (r#"{"a":null,"b":{}}"#, vec![]),
        ] {
            assert_eq!(found(&filters, record), keys, "{record}");
        }
    }

    #[test]
    fn filters_that_require_no_value_are_candidates_always() {
        let filters = [
            "{}",
            r#"{"a":null}"#,
            r#"{"a":{"$gt":1}}"#,
            r#"{"a":{"$in":[null,1]}}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{"$ne":1}}"#,
            r#"{"$or":[{"a":1},{"b":2}]}"#,
            r#"{"$nor":[{"a":1}]}"#,
            r#"{"a":{"$not":{"$eq":1}}}"#,
        ];
        let all: Vec<usize> = (0..filters.len()).collect();
        assert_eq!(found(&filters, "{}"), all);
    }

    #[test]
    fn a_filter_taken_out_leaves_nothing_behind() {
        let mut index = FilterIndex::default();
        let filters = [
            r#"{"a":{"$in":[1,1.5,"x"]}}"#,
            "{}",
            r#"{"a":1}"#,
            r#"{"b":1}"#,
        ];
        let filters = filters.map(filter);
        for (key, filter) in filters.iter().enumerate() {
            index.insert(filter, key);
        }
        for (key, filter) in filters.iter().enumerate() {
            index.remove(filter, key);
        }
        assert!(index.fields.is_empty() && index.unindexed.is_empty());
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (-2..3_i64).prop_map(Value::Int),
            prop_oneof![Just(-0.0), Just(1.0), Just(1.5), Just(9e18), Just(1e300)]
                .prop_map(Value::Float),
            "[ab]?".prop_map(Value::String),
        ];
        scalar.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                record_of(inner).prop_map(Value::Object),
            ]
        })
    }

    fn record_of(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Document> {
        prop::collection::hash_map("[ab0]", values, 0..3)
            .prop_map(|fields| fields.into_iter().collect())
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab0]", 1..3).prop_map(|names| names.join("."))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn a_filter_that_matches_is_a_candidate(
            record in record_of(value()),
            asked in prop::collection::vec((path(), value(), any::<bool>()), 1..4),
        ) {
            let node = |(path, value, listed): (String, Value, bool)| match listed {
                true => Document::from_iter([(path, Document::from_iter([("$in", Value::Array(vec![value]))]).into())]),
                false => Document::from_iter([(path, value)]),
            };
            let filters: Vec<Filter> = asked.into_iter().map(node)
                .map(|filter| Filter::parse(&filter.into(), "filter").expect("a good filter"))
                .collect();
            let mut index = FilterIndex::default();
            for (key, filter) in filters.iter().enumerate() {
                index.insert(filter, key);
            }
            let mut found = Vec::new();
            index.candidates(&record, &Steps::unbounded(), &mut found);
            for (key, filter) in filters.iter().enumerate() {
                let matches = filter.matches(&record, &Steps::unbounded()).expect("enough steps");
                prop_assert!(!matches || found.contains(&key), "{key}");
            }
        }
    }
}

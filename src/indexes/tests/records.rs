//! Records of few names and few values, so that paths meet everything, and records and filters have much in common.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::indexes::Index;
use crate::limits;
use crate::query::{FieldPath, Leaf};
use crate::value::{Document, Steps, Value, ValueRef};

/// The fields of a record, and what may be within.
pub(super) const PATHS: [&str; 10] = [
    "a", "b", "c", "a.b", "a.0", "a.0.b", "b.a", "b.1", "a.b.0", "a.0.0",
];

/// Each differs from each other, or equals it and is written another way.
pub(super) fn scalars() -> Vec<Value> {
    let numbers = [-1_i64, 0, 1, 2, 9_007_199_254_740_993];
    let floats = [-0.0, 1.0, 1.5, 2.0, 9_007_199_254_740_992.0];
    let texts = ["", "\0", "a", "ab", "a\0b", "é", "aé", "A", "<a"];
    let mut scalars = vec![Value::Null; 3];
    scalars.extend([true, false].map(Value::Bool));
    scalars.extend(numbers.map(Value::Int));
    scalars.extend(floats.map(Value::Float));
    scalars.extend(texts.map(Value::from));
    scalars
}

fn scalar() -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(scalars())
}

fn fields_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Document> {
    let names = prop::sample::subsequence(vec!["b", "a", "0"], 0..=3);
    let values = prop::collection::vec(value, 3);
    (names, values).prop_map(|(names, values)| names.into_iter().zip(values).collect())
}

/// A value of any kind, most often with something within.
fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            2 => fields_of(inner).prop_map(Value::Object),
        ]
    })
}

/// A value without arrays, seldom too long for a key.
pub(super) fn plain_value() -> impl Strategy<Value = Value> {
    let long = "x".repeat(limits::INDEX_KEY_BYTES_MAX);
    prop_oneof![
        60 => scalar(),
        40 => fields_of(scalar()).prop_map(Value::Object),
        1 => Just(Value::from(long)),
    ]
}

/// An array of scalars, or one of them.
fn flat_value() -> impl Strategy<Value = Value> {
    let items = prop::collection::vec(scalar(), 0..4);
    prop_oneof![scalar(), items.prop_map(Value::Array)]
}

fn record_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Document> {
    let values = prop::collection::vec(prop::option::weighted(0.85, value), 3);
    values.prop_map(|values| {
        let fields = ["a", "b", "c"].into_iter().zip(values);
        fields
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    })
}

/// A record with anything in it.
pub(super) fn record() -> impl Strategy<Value = Document> {
    prop_oneof![3 => record_of(value()), 1 => record_of(plain_value())]
}

/// Some records, without arrays or with some, each with an id of its own.
pub(super) fn records() -> impl Strategy<Value = Vec<Document>> {
    let mixed = prop_oneof![
        4 => record_of(plain_value()),
        2 => record_of(flat_value()),
        1 => record(),
    ];
    prop_oneof![
        prop::collection::vec(record_of(plain_value()), 0..=IDS.len()),
        prop::collection::vec(mixed, 0..=IDS.len()),
    ]
    .prop_map(|mut records| {
        for (record, id) in records.iter_mut().zip(IDS) {
            record.push("_id", id);
        }
        records
    })
}

/// In no order.
pub(super) const IDS: [&str; 8] = ["m", "a", "é", "ab", "\u{10FFFF}", "A", "b", "z"];

/// Three paths of a record.
pub(super) fn paths() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(PATHS.to_vec(), 3).prop_shuffle()
}

/// Three paths, and an index of the first of them.
pub(super) fn paths_and_index() -> impl Strategy<Value = (Vec<&'static str>, Index)> {
    (paths(), 1..=3_usize, any::<[bool; 3]>()).prop_map(|(paths, count, descending)| {
        let index = index_of(&paths[..count], &descending);
        (paths, index)
    })
}

/// An index of these paths, of which some descend.
pub(super) fn index_of(paths: &[&str], descending: &[bool]) -> Index {
    let sign = |descending: &bool| if *descending { "-" } else { "" };
    let fields = paths.iter().zip(descending);
    let fields: Vec<String> = fields
        .map(|(path, descending)| format!("{}{path}", sign(descending)))
        .collect();
    fields.join(",").parse().expect("an index")
}

/// The values that a test on the path sees; null is one that is missing.
pub(super) fn seen(record: &Document, path: &str) -> Vec<Value> {
    let path = FieldPath::parse(path, "").expect("a path");
    let seen = RefCell::new(Vec::new());
    let visit = |value: Option<ValueRef<'_>>| {
        let value = value.map_or(Value::Null, ValueRef::to_value);
        seen.borrow_mut().push(value);
        Ok(false)
    };
    let any = path.any(record, Leaf::Elements, &Steps::unbounded(), &visit);
    any.expect("enough steps");
    seen.into_inner()
}

/// Draws the same cases in every run, so that what is counted of them does not vary.
pub(super) fn counted(cases: u32) -> TestRunner {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

//! What records hold in a unique index, and what they can hold in no index.

use std::collections::HashSet;

use proptest::prelude::*;

use super::records::{index_of, record, seen};
use crate::indexes::keys::WIDE;
use crate::indexes::{Index, IndexRules, UniqueKey};
use crate::limits;
use crate::value::{Document, Value, compare};

fn document(json: &str) -> Document {
    serde_json::from_str(json).expect("the test's own JSON")
}

fn unique(text: &str) -> Index {
    let index: Index = text.parse().expect("an index");
    index.unique().expect("it can be unique")
}

fn held(index: &str, record: &str) -> Vec<Vec<Value>> {
    let keys = unique(index).unique_keys_of(&document(record));
    let mut held: Vec<UniqueKey> = keys.expect("not too much");
    held.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
    held.into_iter().map(|key| key.values).collect()
}

fn offence(index: &str, record: &Document) -> String {
    let refused = unique(index).unique_keys_of(record);
    refused.expect_err("it cannot be kept").path
}

#[test]
fn what_is_missing_null_or_empty_is_free() {
    for free in [r"{}", r#"{"a":null}"#, r#"{"a":[]}"#, r#"{"a":[null]}"#] {
        assert_eq!(held("a", free), Vec::<Vec<Value>>::new(), "{free}");
    }
    for free in [r#"{"a":1}"#, r#"{"b":1,"a":null}"#, r#"{"a":[],"b":[2]}"#] {
        assert_eq!(held("a,b", free), Vec::<Vec<Value>>::new(), "{free}");
    }
}

#[test]
fn each_element_is_held_once_and_of_several_fields_each_combination() {
    let text = |text: &str| Value::from(text);
    assert_eq!(held("a", r#"{"a":"x"}"#), [[text("x")]]);
    assert_eq!(
        held("a", r#"{"a":["y","x",null,"x"]}"#),
        [[text("x")], [text("y")]]
    );
    assert_eq!(
        held("a.b", r#"{"a":[{"b":"y"},{"b":["x","y"]},{},7]}"#),
        [[text("x")], [text("y")]]
    );
    assert_eq!(
        held("t,-a", r#"{"t":"T","a":["x","y"]}"#),
        [[text("T"), text("y")], [text("T"), text("x")]]
    );
}

#[test]
fn what_cannot_be_looked_for_is_an_offence_of_its_field() {
    let long = "x".repeat(limits::INDEX_KEY_BYTES_MAX);
    let with = |value: Value| Document::from_iter([("t", Value::from("T")), ("a", value)]);
    assert_eq!(offence("t,a", &with(Value::from(long.clone()))), "a");
    let many = (0..=1_000).map(Value::Int).collect();
    assert_eq!(offence("t,a", &with(Value::Array(many))), "a");
    let nested = Value::Array(vec![Value::Array(Vec::new())]);
    assert_eq!(offence("t,a", &with(nested)), "a");
    let free = Document::from_iter([("a", Value::from(long))]);
    assert_eq!(unique("t,a").unique_keys_of(&free), Ok(Vec::new()));
}

/// Without numbers on them.
const PATHS: [&str; 5] = ["a", "b", "c", "a.b", "b.a"];

fn index() -> impl Strategy<Value = (Vec<&'static str>, Index)> {
    let paths = prop::sample::subsequence(PATHS.to_vec(), 1..=3).prop_shuffle();
    (paths, any::<[bool; 3]>()).prop_map(|(paths, descending)| {
        let index = index_of(&paths, &descending);
        (paths, index.unique().expect("no number is on its paths"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// So it is found there, and whatever is found there holds it.
    #[test]
    fn a_record_holds_just_those_of_its_keys_that_another_may_not_have(
        (_, index) in index(), one in record(), other in record(),
    ) {
        let keys = |record: &Document| -> HashSet<Vec<u8>> { index.keys_of(record).keys.into_iter().collect() };
        if let (Ok(one_holds), Ok(other_holds)) = (index.unique_keys_of(&one), index.unique_keys_of(&other)) {
            let holds: HashSet<Vec<u8>> = one_holds.into_iter().map(|key| key.bytes).collect();
            if !holds.is_empty() {
                prop_assert!(!keys(&one).contains(&WIDE[..]));
            }
            prop_assert!(holds.is_subset(&keys(&one)));
            let found: HashSet<Vec<u8>> = holds.intersection(&keys(&other)).cloned().collect();
            let other: HashSet<Vec<u8>> = other_holds.into_iter().map(|key| key.bytes).collect();
            if !keys(&one).contains(&WIDE[..]) {
                prop_assert_eq!(found, holds.intersection(&other).cloned().collect::<HashSet<_>>());
            }
        }
    }

    #[test]
    fn what_is_held_in_one_field_is_what_a_test_sees_there(path in prop::sample::select(PATHS.to_vec()), record in record()) {
        if let Ok(keys) = unique(path).unique_keys_of(&record) {
            let is_held = |value: &Value| !matches!(value, Value::Null | Value::Array(_));
            let mut expected: Vec<Value> = seen(&record, path).into_iter().filter(is_held).collect();
            expected.sort_by(|a, b| compare(a.borrow(), b.borrow()));
            expected.dedup_by(|a, b| compare(a.borrow(), b.borrow()).is_eq());
            let mut held: Vec<Value> = keys.into_iter().flat_map(|key| key.values).collect();
            held.sort_by(|a, b| compare(a.borrow(), b.borrow()));
            prop_assert_eq!(held.len(), expected.len());
            let is_same = |(a, b): (&Value, &Value)| compare(a.borrow(), b.borrow()).is_eq();
            prop_assert!(held.iter().zip(&expected).all(is_same));
        }
    }
}

#[test]
fn arrays_in_two_fields_of_one_index_are_an_offence_of_the_second() {
    let check = |index: &str, record: &str| {
        let index = std::sync::Arc::new(index.parse().expect("an index"));
        let rules = IndexRules {
            single_array: vec![index],
            ..IndexRules::default()
        };
        rules
            .check(&document(record))
            .map_err(|invalid| invalid.path)
    };
    for (index, record, offends) in [
        ("a,b", r#"{"a":[1,2],"b":3}"#, None),
        ("a,b", r#"{"a":[1],"b":[2]}"#, Some("b")),
        ("a,b", r#"{"a":[],"b":[]}"#, Some("b")),
        ("a,c,b", r#"{"a":1,"b":[],"c":[]}"#, Some("b")),
        (
            "a.b,a.c",
            r#"{"a":[{"b":1,"c":[2]},{"b":[1],"c":2}]}"#,
            None,
        ),
        ("a.b,a.c", r#"{"a":[{"b":[1],"c":[2]}]}"#, Some("a.c")),
        ("a.b,a.c", r#"{"a":{"b":[1],"c":[2]}}"#, Some("a.c")),
        ("a,a.b", r#"{"a":[{"b":[1]}]}"#, None),
        ("a.b,b", r#"{"a":[[{"b":[1]}]],"b":2}"#, None),
    ] {
        assert_eq!(
            check(index, record),
            offends.map_or(Ok(()), |path| Err(path.to_owned())),
            "{index} {record}"
        );
    }
}

//! What is found, and that nothing is missed.

use proptest::prelude::*;

use super::terms::SHAPES_MAX;
use super::*;
use crate::value::{Document, Value};

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
        (r#"{"a":"y"}"#, vec![]),
        (r#"{"a":"y","done":[true,false]}"#, vec![4]),
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
        r#"{"$or":[{"a":1},{"b":{"$gt":2}}]}"#,
        r#"{"$or":[{"a":1},{"b":2},{"c":null}]}"#,
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
        r#"{"b":1,"a":{"$in":[1,2,1.0]},"c":true}"#,
        r#"{"$or":[{"a":1},{"b":2},{"a":1,"b":2},{"a":2,"b":{"$eq":2}}]}"#,
        r#"{"a":1,"$and":[{"a":{"$in":[1,2]}},{"$or":[{"b":true},{"c":"x"}]}]}"#,
    ];
    let filters = filters.map(filter);
    for (key, filter) in filters.iter().enumerate() {
        index.insert(filter, key);
    }
    for (key, filter) in filters.iter().enumerate() {
        index.remove(filter, key);
    }
    assert!(index.is_empty());
}

/// What a client asks for within a rule.
fn within(rule: &str, asked: &str) -> Filter {
    filter(asked).within(&filter(rule))
}

#[test]
fn a_rule_of_alternatives_is_found_by_each_of_them() {
    let rules = [
        r#"{"$or":[{"public":true},{"owner":"u1"}]}"#,
        r#"{"$or":[{"public":true},{"owner":"u2"},{"team":{"$in":["a","b"]}}]}"#,
        r#"{"$or":[{"public":true,"tenant":"t"},{"owner":"u1","tenant":"t"}]}"#,
    ];
    for (record, keys) in [
        (r#"{"public":true,"owner":"u9"}"#, vec![0, 1]),
        (r#"{"public":false,"owner":"u1"}"#, vec![0]),
        (r#"{"owner":"u9","team":["c","b"]}"#, vec![1]),
        (r#"{"owner":"u1","tenant":"t"}"#, vec![0, 2]),
        (r#"{"public":true,"owner":"u1","tenant":"s"}"#, vec![0, 1]),
        (r#"{"tenant":"t"}"#, vec![]),
    ] {
        assert_eq!(found(&rules, record), keys, "{record}");
    }
}

#[test]
fn of_many_with_rules_of_their_own_a_change_concerns_its_own_whatever_they_ask_for() {
    let (many, steps) = (2_000, Steps::unbounded());
    for asked in [
        "{}",
        r#"{"topic":"t"}"#,
        r#"{"topic":"t","done":false}"#,
        r#"{"topic":"t","kind":{"$in":["k","l"]},"lang":"en","n":{"$gt":0}}"#,
    ] {
        let mut index = FilterIndex::default();
        for user in 0..many {
            let rule = format!(r#"{{"$or":[{{"public":true}},{{"owner":"u{user}"}}]}}"#);
            index.insert(&within(&rule, asked), user);
        }
        let candidates = |public: bool, topic: &str| {
            let record = format!(
                r#"{{"public":{public},"owner":"u7","topic":"{topic}","kind":"k","lang":"en","done":false,"n":1}}"#
            );
            let record: Document = serde_json::from_str(&record).expect("JSON");
            let mut found = Vec::new();
            index.candidates(&record, &steps, &mut found);
            found.sort_unstable();
            found.dedup();
            found
        };
        assert_eq!(candidates(false, "t"), [7], "{asked}");
        assert_eq!(candidates(true, "t").len(), many, "{asked}");
        let elsewhere = candidates(true, "other").len();
        assert_eq!(elsewhere, if asked == "{}" { many } else { 0 }, "{asked}");
    }
}

#[test]
fn what_has_more_alternatives_than_are_indexed_is_a_candidate_always() {
    let branches = |count: usize, path: &dyn Fn(usize) -> String| {
        let branches: Vec<String> = (0..count)
            .map(|n| format!(r#"{{"{}":{n}}}"#, path(n)))
            .collect();
        format!(r#"{{"$or":[{}]}}"#, branches.join(","))
    };
    let same = |_: usize| "a".to_owned();
    let other = |n: usize| format!("a{n}");
    let many = branches(SHAPES_MAX + 1, &other);
    let wide = format!(r#"{{"a":{{"$in":{:?}}}}}"#, (0..65).collect::<Vec<_>>());
    let filters = [
        branches(20, &same),
        branches(SHAPES_MAX, &other),
        many.clone(),
        wide.clone(),
        format!(r#"{{"$and":[{wide},{{"b":1}}]}}"#),
        format!(r#"{{"$and":[{many},{{"b":1}}]}}"#),
    ];
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    assert_eq!(found(&filters, "{}"), [2, 3]);
    assert_eq!(found(&filters, r#"{"a":7,"b":1}"#), [0, 2, 3, 4, 5]);
    assert_eq!(found(&filters, r#"{"a7":7}"#), [1, 2, 3]);
}

#[test]
fn where_values_have_too_many_combinations_all_of_the_shape_are_candidates() {
    let filters = [r#"{"a":1,"b":1}"#, r#"{"a":2,"b":2}"#, r#"{"a":3}"#];
    let list = |count: usize| {
        let items: Vec<String> = (100..100 + count).map(|n| n.to_string()).collect();
        format!(r#"{{"a":[{0}],"b":[{0}]}}"#, items.join(","))
    };
    assert_eq!(found(&filters, &list(32)), [0; 0]);
    assert_eq!(found(&filters, &list(33)), [0, 1]);
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

/// Of so few that records and filters often have the same.
fn common() -> impl Strategy<Value = Value> {
    let values = [true.into(), false.into(), Value::Int(1), "a".into()];
    prop::sample::select(values.to_vec())
}

/// A record with most of the fields that filters ask for.
fn likely_record() -> impl Strategy<Value = Document> {
    let list = prop::collection::vec(common(), 0..3).prop_map(Value::Array);
    let field = prop_oneof![4 => common(), 1 => list, 1 => value()];
    prop::collection::vec(field, 3)
        .prop_map(|values| ["a", "b", "0"].into_iter().zip(values).collect())
}

/// A condition on a field that an index can use, or one that it cannot.
fn field() -> impl Strategy<Value = Document> {
    let path = prop_oneof![3 => "[ab0]", 1 => path()];
    let value = prop_oneof![3 => common(), 1 => value()];
    (path, value, 0..6).prop_map(|(path, value, how)| {
        let operand = match how {
            0 => Document::from_iter([("$in", Value::Array(vec![value, "a".into()]))]).into(),
            1 => Document::from_iter([("$ne", value)]).into(),
            _ => value,
        };
        Document::from_iter([(path, operand)])
    })
}

fn tree() -> impl Strategy<Value = Document> {
    field().prop_recursive(3, 12, 3, |inner| {
        let nodes = prop::collection::vec(inner, 1..4);
        (nodes, prop_oneof![Just("$or"), Just("$and"), Just("$nor")]).prop_map(
            |(nodes, operator)| {
                let nodes = nodes.into_iter().map(Value::Object).collect();
                Document::from_iter([(operator, Value::Array(nodes))])
            },
        )
    })
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

    #[test]
    fn a_filter_within_a_rule_that_matches_is_a_candidate_until_it_is_taken_out(
        record in likely_record(),
        pairs in prop::collection::vec((tree(), tree()), 1..6),
    ) {
        let parse = |tree: Document| Filter::parse(&tree.into(), "filter").expect("a good filter");
        let filters: Vec<Filter> = pairs.into_iter()
            .map(|(rule, asked)| parse(asked).within(&parse(rule)))
            .collect();
        let mut index = FilterIndex::default();
        for (key, filter) in filters.iter().enumerate() {
            index.insert(filter, key);
        }
        for (key, filter) in filters.iter().enumerate() {
            let mut found = Vec::new();
            index.candidates(&record, &Steps::unbounded(), &mut found);
            for (other, filter) in filters.iter().enumerate() {
                let matches = filter.matches(&record, &Steps::unbounded()).expect("enough steps");
                prop_assert!(other < key || !matches || found.contains(&other), "{other}");
                prop_assert!(other >= key || !found.contains(&other), "{other} was taken out");
            }
            index.remove(filter, key);
        }
        prop_assert!(index.is_empty());
    }
}

//! What is too much for an index is kept apart in it.

use crate::indexes::keys::RecordKeys;
use crate::indexes::keys::WIDE;
use crate::indexes::spans::Conjunction;
use crate::indexes::{FieldSet, Index};
use crate::limits;
use crate::query::Filter;
use crate::value::{Document, Value};

fn keys(index: &str, fields: &[(&str, Value)]) -> RecordKeys {
    let index: Index = index.parse().expect("an index");
    let record: Document = fields.iter().cloned().collect();
    index.keys_of(&record)
}

/// The number of keys, if they are not too many.
fn count(index: &str, fields: &[(&str, Value)]) -> Option<usize> {
    let keys = keys(index, fields).keys;
    (keys != [WIDE]).then_some(keys.len())
}

fn numbers(count: usize) -> Value {
    let count = i64::try_from(count).expect("a few");
    Value::Array((0..count).map(Value::Int).collect())
}

#[test]
fn a_key_is_bounded_exactly() {
    // A tag before the text, and two bytes after it.
    let text = |bytes: usize| Value::from("x".repeat(bytes));
    let most = limits::INDEX_KEY_BYTES_MAX - 3;
    for index in ["a", "-a"] {
        assert_eq!(count(index, &[("a", text(most))]), Some(1));
        assert_eq!(count(index, &[("a", text(most + 1))]), None);
    }
    let two = |bytes: usize| [("a", text(bytes)), ("b", text(most - 3 - bytes))];
    assert_eq!(count("a,b", &two(500)), Some(1));
    assert_eq!(
        count("a,b", &[("a", text(500)), ("b", text(most - 502))]),
        None
    );
}

#[test]
fn the_keys_are_bounded_exactly() {
    // Each element; the whole array would be too long beside them.
    let within = |count: usize| {
        let items = (0..count)
            .map(|n| Document::from_iter([("b", Value::from(i64::try_from(n).expect("a few")))]));
        Value::Array(items.map(Value::from).collect())
    };
    let most = limits::INDEX_KEYS_MAX;
    assert_eq!(count("a.b", &[("a", within(most))]), Some(most));
    assert_eq!(count("a.b", &[("a", within(most + 1))]), None);
    assert_eq!(count("a", &[("a", numbers(2_000))]), None);
}

#[test]
fn two_arrays_have_the_product_of_their_keys() {
    // The elements and the array.
    let two = |a: usize, b: usize| [("a", numbers(a)), ("b", numbers(b))];
    assert_eq!(count("a,b", &two(24, 39)), Some(25 * 40));
    assert_eq!(count("a,b", &two(30, 40)), None);
}

#[test]
fn all_bytes_of_a_record_are_bounded() {
    let texts = |count: usize| {
        let text = |n: usize| Value::from(format!("{n:03}{}", "x".repeat(500)));
        let items = (0..count).map(|n| Document::from_iter([("b", text(n))]));
        [("a", Value::Array(items.map(Value::from).collect()))]
    };
    let most = limits::INDEX_RECORD_BYTES_MAX / 506;
    assert_eq!(count("a.b", &texts(most)), Some(most));
    assert_eq!(count("a.b", &texts(most + 1)), None);
}

#[test]
fn what_takes_too_many_steps_to_follow_is_wide() {
    // A number leads into arrays of arrays by index, and into the fields of that name.
    let mut deep = Value::from(1_i64);
    for _ in 0..7 {
        let field: Value = Document::from_iter([("0", deep)]).into();
        deep = Value::Array(vec![field; 8]);
    }
    let found = keys("a.0.0.0.0.0.0.0", &[("a", deep)]);
    assert_eq!(found.keys, [WIDE]);
    assert_eq!(found.spread, Default::default());
}

#[test]
fn a_record_has_as_many_keys_as_filters_can_ask_for() {
    let array = |items: &[Value]| Value::Array(items.to_vec());
    let (one, null) = (Value::Int(1), Value::Null);
    for (value, keys) in [
        (one.clone(), 1),
        (null.clone(), 2),
        // What it sorts by, and itself.
        (array(&[]), 2),
        (array(&[one.clone(), Value::Float(1.0)]), 2),
        (array(&[one, null]), 4),
    ] {
        assert_eq!(count("a", &[("a", value.clone())]), Some(keys), "{value:?}");
    }
    assert_eq!(count("a", &[]), Some(1));
    assert_eq!(count("a,b", &[("a", Value::Null)]), Some(2));
}

/// How many ranges there are, if not too many.
fn ranges(index: &str, filter: &str) -> Option<usize> {
    let index: Index = index.parse().expect("an index");
    let filter: Value = serde_json::from_str(filter).expect("the test's own JSON");
    let filter = Filter::parse(&filter, "filter").expect("a good filter");
    let ranges = index.ranges(&Conjunction::of(&filter.root), FieldSet::default());
    ranges.map(|ranges| ranges.len())
}

fn list(field: &str, values: impl Iterator<Item = usize>) -> String {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    format!(r#"{{"{field}":{{"$in":[{}]}}}}"#, values.join(","))
}

#[test]
fn lists_on_the_same_field_do_not_multiply() {
    let both = |lists: &[String]| format!(r#"{{"$and":[{}]}}"#, lists.join(","));
    let same = vec![list("a", [1; 15].into_iter()); 60];
    assert_eq!(ranges("a", &both(&same)), Some(1));
    let few = [list("a", 0..20), list("a", 10..40)];
    assert_eq!(ranges("a", &both(&few)), Some(10));
    // One of them is enough, where to compare all would take long.
    let many = [list("a", 0..500), list("a", 400..800)];
    assert_eq!(ranges("a", &both(&many)), Some(400));
}

#[test]
fn the_ranges_are_bounded_exactly() {
    let most = limits::INDEX_RANGES_MAX;
    assert_eq!(ranges("a", &list("a", 0..most)), Some(most));
    let both = |a: usize, b: usize| {
        let (a, b) = (list("a", 0..a), list("b", 0..b));
        ranges("a,b", &format!(r#"{{"$and":[{a},{b}]}}"#))
    };
    assert_eq!(both(25, most / 25), Some(most));
    assert_eq!(both(25, most / 25 + 1), Some(25), "the first field alone");
}

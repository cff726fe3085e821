//! Every refusal of a filter, and every bound from both sides.

use crate::limits;
use crate::query::Filter;
use crate::value::{Invalid, Value};

fn parsed(json: &str) -> Result<Filter, Invalid> {
    let value: Value = serde_json::from_str(json).expect("the test's own JSON");
    Filter::parse(&value, "payload.filter")
}

fn refusal(json: &str) -> String {
    let invalid = parsed(json).expect_err("it is refused");
    let text = invalid.to_string();
    text.strip_prefix("payload.filter")
        .unwrap_or(&text)
        .to_owned()
}

#[test]
fn what_is_no_operator_here_is_refused_by_name_and_place() {
    for name in [
        "$where",
        "$expr",
        "$function",
        "$text",
        "$jsonSchema",
        "$comment",
    ] {
        let reason = format!("{name}: {name} is not an operator of this filter language");
        assert_eq!(refusal(&format!(r#"{{"{name}":1}}"#)), format!(".{reason}"));
        assert_eq!(
            refusal(&format!(r#"{{"a":{{"{name}":1}}}}"#)),
            format!(".a.{reason}")
        );
        assert_eq!(
            refusal(&format!(
                r#"{{"$or":[{{"b":1}},{{"a":{{"$not":{{"{name}":1}}}}}}]}}"#
            )),
            format!(".$or.1.a.$not.{reason}")
        );
    }
}

/// Filters, and what is said of them.
const OFFENDERS: &[(&str, &str)] = &[
    ("[]", ": expected an object, found an array"),
    (
        r#"{"$and":[]}"#,
        ".$and: expected an array that is not empty",
    ),
    (r#"{"$or":{}}"#, ".$or: expected an array, found an object"),
    (
        r#"{"$nor":[1]}"#,
        ".$nor.0: expected an object, found an integer",
    ),
    (
        r#"{"a":{"$gt":1,"b":2}}"#,
        ".a.b: operators and names of fields cannot stand side by side",
    ),
    (
        r#"{"a":{"b":2,"$gt":1}}"#,
        ".a.b: operators and names of fields cannot stand side by side",
    ),
    (
        r#"{"a":{"b":{"$gt":1}}}"#,
        ".a.b.$gt: $gt cannot stand inside a value",
    ),
    (
        r#"{"a":{"$in":"x"}}"#,
        ".a.$in: expected an array, found a string",
    ),
    (
        r#"{"a":{"$in":[1,{"$gt":1}]}}"#,
        ".a.$in.1.$gt: $gt cannot stand inside a value",
    ),
    (
        r#"{"a":{"$all":[{"$elemMatch":{"b":1}},2]}}"#,
        ".a.$all.1: expected another $elemMatch",
    ),
    (
        r#"{"a":{"$all":[2,{"$elemMatch":{"b":1}}]}}"#,
        ".a.$all.1.$elemMatch: $elemMatch cannot stand inside a value",
    ),
    (
        r#"{"a":{"$exists":"x"}}"#,
        ".a.$exists: expected a boolean, found a string",
    ),
    (
        r#"{"a":{"$size":-1}}"#,
        ".a.$size: expected an integer of at least 0, found -1",
    ),
    (
        r#"{"a":{"$size":1.5}}"#,
        ".a.$size: expected an integer of at least 0, found a float",
    ),
    (
        r#"{"a":{"$mod":[1]}}"#,
        ".a.$mod: expected a divisor and a remainder",
    ),
    (
        r#"{"a":{"$mod":[0.5,1]}}"#,
        ".a.$mod.0: the divisor must not be 0",
    ),
    (
        r#"{"a":{"$mod":[2,1e30]}}"#,
        ".a.$mod.1: expected a number of at most 64 bits, found a float",
    ),
    (
        r#"{"a":{"$type":[]}}"#,
        ".a.$type: expected at least one type",
    ),
    (
        r#"{"a":{"$type":null}}"#,
        ".a.$type: expected the name or number of a type, found null",
    ),
    (r#"{"a":{"$not":{}}}"#, ".a.$not: expected an operator"),
    (
        r#"{"a":{"$not":1}}"#,
        ".a.$not: expected an object, found an integer",
    ),
    (
        r#"{"a":{"$elemMatch":[]}}"#,
        ".a.$elemMatch: expected an object, found an array",
    ),
    (
        r#"{"a":{"$elemMatch":{"b":1,"$gt":2}}}"#,
        ".a.$elemMatch.$gt: $gt is not an operator of this filter language",
    ),
    (
        r#"{"a":{"$options":"i"}}"#,
        ".a.$options: $options needs a $regex beside it",
    ),
    (
        r#"{"a":{"$regex":1}}"#,
        ".a.$regex: expected a string, found an integer",
    ),
    (
        r#"{"a..b":1}"#,
        ".a..b: a path must not have empty segments",
    ),
    (r#"{"a.$b":1}"#, ".a.$b: $b cannot be the name of a field"),
];

#[test]
fn offenders_are_named_by_path() {
    for (json, path) in OFFENDERS {
        assert_eq!(refusal(json), *path, "{json}");
    }
    assert!(refusal(r#"{"a":{"$type":"date"}}"#).starts_with(".a.$type: no such type in JSON"));
    assert!(refusal("{\"a\\u0000\":1}").ends_with("a path must not contain NUL"));
    assert!(refusal("{\"a\":{\"b\\u0000\":1}}").ends_with("names must not contain NUL"));
}

#[test]
fn depth_is_bounded_exactly() {
    let nested = |levels: usize| {
        let outer = levels - 1;
        format!(
            "{}{{\"a\":1}}{}",
            r#"{"$and":["#.repeat(outer),
            "]}".repeat(outer)
        )
    };
    assert!(parsed(&nested(limits::FILTER_DEPTH_MAX)).is_ok());
    assert!(
        refusal(&nested(limits::FILTER_DEPTH_MAX + 1)).ends_with("nested deeper than 8 levels")
    );
    let operators = |levels: usize, name: &str| {
        let outer = levels - 1;
        let open = format!("{{\"{name}\":").repeat(outer);
        format!("{{\"a\":{open}{{\"$gt\":1}}{}}}", "}".repeat(outer))
    };
    for name in ["$not", "$elemMatch"] {
        assert!(
            parsed(&operators(limits::FILTER_DEPTH_MAX, name)).is_ok(),
            "{name}"
        );
        assert!(
            parsed(&operators(limits::FILTER_DEPTH_MAX + 1, name)).is_err(),
            "{name}"
        );
    }
    let literal =
        |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(parsed(&literal(limits::DOCUMENT_DEPTH_MAX)).is_ok());
    assert!(parsed(&literal(limits::DOCUMENT_DEPTH_MAX + 1)).is_err());
}

#[test]
fn conditions_are_bounded_exactly() {
    let fields = |count: usize| {
        let fields: Vec<String> = (0..count).map(|n| format!("\"f{n}\":1")).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert!(parsed(&fields(limits::FILTER_NODES_MAX)).is_ok());
    assert!(parsed(&fields(limits::FILTER_NODES_MAX + 1)).is_err());
    let branches = |count: usize| {
        format!(
            "{{\"$or\":[{}]}}",
            vec![r#"{"a":{"$gt":1}}"#; count].join(",")
        )
    };
    assert!(parsed(&branches(limits::FILTER_NODES_MAX - 1)).is_ok());
    assert!(refusal(&branches(limits::FILTER_NODES_MAX)).ends_with("more than 64 conditions"));
    let empty = |count: usize| format!("{{\"$or\":[{}]}}", vec!["{}"; count].join(","));
    assert!(parsed(&empty(limits::FILTER_NODES_MAX)).is_err());
}

#[test]
fn values_are_bounded_exactly_over_all_lists() {
    let half = limits::FILTER_VALUES_MAX / 2;
    let lists = |second: usize| {
        let list = |count: usize| vec!["1"; count].join(",");
        format!(
            "{{\"a\":{{\"$in\":[{}]}},\"b\":{{\"$all\":[{}]}}}}",
            list(half),
            list(second)
        )
    };
    assert!(parsed(&lists(half)).is_ok());
    assert!(refusal(&lists(half + 1)).starts_with(".b.$all: more than 1000 values"));
}

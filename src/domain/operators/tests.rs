//! The effects of operators as patches, every refusal, and every bound from both sides.

use super::{Misfit, parse};
use crate::domain::Patch;
use crate::limits;
use crate::query::Conditions;
use crate::value::{Document, Invalid, Steps};

fn effect(before: &str, update: &str) -> Result<Patch, Invalid> {
    let document = |json: &str| -> Document { serde_json::from_str(json).unwrap() };
    let operators = parse(document(update), "data", &mut Conditions::default())?;
    let effect = operators.effect(&document(before), &Steps::unbounded());
    effect.map_err(|misfit| match misfit {
        Misfit::DoesNotFit(invalid) | Misfit::TooCostly(invalid) => invalid,
    })
}

fn patch_json(before: &str, update: &str) -> String {
    let patch = effect(before, update).unwrap();
    serde_json::to_string(&patch).unwrap()
}

fn refusal(before: &str, update: &str) -> String {
    effect(before, update).unwrap_err().to_string()
}

#[test]
fn an_effect_is_told_in_values_and_not_in_operators() {
    for (before, update, patch) in [
        (
            r#"{"n":1,"list":[1],"old":{"x":1},"gone":1}"#,
            r#"{"$inc":{"n":1},"$push":{"list":2},"$rename":{"old":"new"},"$unset":{"gone":""}}"#,
            r#"{"set":{"list":[1,2],"n":2,"new":{"x":1}},"unset":["gone","old"]}"#,
        ),
        (
            r#"{"a":1}"#,
            r#"{"$set":{"a":1}}"#,
            r#"{"set":{"a":1},"unset":[]}"#,
        ),
        (
            r#"{"a":{"b":[1,2]}}"#,
            r#"{"$inc":{"a.b.1":1}}"#,
            r#"{"set":{"a.b.1":3},"unset":[]}"#,
        ),
    ] {
        assert_eq!(patch_json(before, update), patch, "{update}");
    }
}

#[test]
fn operators_that_change_nothing_leave_an_empty_patch() {
    for update in [
        r#"{"$unset":{"x":""}}"#,
        r#"{"$unset":{"n.x":""}}"#,
        r#"{"$inc":{"n":0}}"#,
        r#"{"$mul":{"n":1}}"#,
        r#"{"$min":{"n":9}}"#,
        r#"{"$max":{"n":5.0}}"#,
        r#"{"$push":{"list":{"$each":[]}}}"#,
        r#"{"$addToSet":{"list":1.0}}"#,
        r#"{"$rename":{"x":"y"}}"#,
        r#"{"$set":{},"$unset":{"x":""}}"#,
    ] {
        let patch = effect(r#"{"n":5,"list":[1]}"#, update).unwrap();
        assert_eq!(patch, Patch::default(), "{update}");
    }
}

#[test]
fn what_does_not_fit_is_named_with_its_operator() {
    for (update, reason) in [
        (
            r#"{"$inc":{"text":1}}"#,
            "data.$inc.text: needs a number, found a string",
        ),
        (
            r#"{"$push":{"text":1}}"#,
            "data.$push.text: needs an array, found a string",
        ),
        (
            r#"{"$max":{"text.x":1}}"#,
            "data.$max.text.x: cannot reach text.x: text is a string",
        ),
        (
            r#"{"$rename":{"list.0":"x"}}"#,
            "data.$rename.list.0: cannot rename list.0: it leads through an array",
        ),
        (
            r#"{"$rename":{"text":"list.7"}}"#,
            "data.$rename.text: cannot rename list.7: it leads through an array",
        ),
        (
            r#"{"$rename":{"list":"text.x"}}"#,
            "data.$rename.list: cannot reach text.x: text is a string",
        ),
    ] {
        assert_eq!(refusal(r#"{"text":"x","list":[1]}"#, update), reason);
    }
}

#[test]
fn what_operators_cannot_say_is_refused_by_name_and_place() {
    for (update, reason) in [
        (
            r#"{"$foo":{}}"#,
            "data.$foo: $foo is not an operator of updates: expected $set, $unset, $inc, $mul, $min, \
             $max, $push, $addToSet, $pull or $rename",
        ),
        (
            r#"{"$set":{"a":1},"b":1}"#,
            "data.b: operators and plain fields cannot stand side by side",
        ),
        (r#"{"$set":{}}"#, "data: names no field to change"),
        (
            r#"{"$set":[]}"#,
            "data.$set: expected an object of paths, found an array",
        ),
        (
            r#"{"$inc":{"a":"1"}}"#,
            "data.$inc.a: expected a number, found a string",
        ),
        (
            r#"{"$set":{"a.b":1},"$max":{"a":1}}"#,
            "data.$max.a: a conflicts with a.b, which data.$set.a.b touches",
        ),
        (
            r#"{"$rename":{"a":"b"},"$set":{"b.c":1}}"#,
            "data.$set.b.c: b.c conflicts with b, which data.$rename.a touches",
        ),
        (
            r#"{"$set":{"_seq":1}}"#,
            "data.$set._seq: names beginning with _ are reserved for the server",
        ),
        (
            r#"{"$rename":{"a":"_seq"}}"#,
            "data.$rename.a: names beginning with _ are reserved for the server",
        ),
        (
            r#"{"$push":{"a":{"$slice":1}}}"#,
            "data.$push.a.$slice: only $each can stand here",
        ),
        (
            r#"{"$addToSet":{"a":{"$each":[1,{"$b":1}]}}}"#,
            "data.$addToSet.a.$each.1.$b: names must not begin with $",
        ),
        (
            r#"{"$min":{"a":{"b.c":1}}}"#,
            "data.$min.a.b.c: names must not contain a dot",
        ),
    ] {
        assert_eq!(refusal("{}", update), reason);
    }
}

#[test]
fn paths_are_bounded_exactly_over_all_operators() {
    let update = |sets: usize, renames: usize| {
        let sets: Vec<String> = (0..sets).map(|n| format!("\"s{n}\":1")).collect();
        let renames: Vec<String> = (0..renames).map(|n| format!("\"f{n}\":\"t{n}\"")).collect();
        format!(
            "{{\"$set\":{{{}}},\"$rename\":{{{}}}}}",
            sets.join(","),
            renames.join(",")
        )
    };
    let most = limits::UPDATE_PATHS_MAX;
    assert!(effect("{}", &update(most - 2, 1)).is_ok());
    assert!(effect("{}", &update(most, 0)).is_ok());
    assert!(refusal("{}", &update(most - 1, 1)).ends_with("more than 256 paths in one update"));
}

#[test]
fn values_are_bounded_exactly_over_all_lists() {
    let update = |first: usize, second: usize| {
        let list = |count: usize| vec!["1"; count].join(",");
        let (first, second) = (list(first), list(second));
        format!(
            r#"{{"$push":{{"a":{{"$each":[{first}]}}}},"$addToSet":{{"b":{{"$each":[{second}]}}}}}}"#
        )
    };
    let half = limits::UPDATE_VALUES_MAX / 2;
    assert!(effect("{}", &update(half, half)).is_ok());
    let reason = refusal("{}", &update(half, half + 1));
    assert_eq!(
        reason,
        "data.$addToSet.b.$each: more than 1000 values in the lists of one update"
    );
}

#[test]
fn depth_is_bounded_exactly_wherever_a_value_goes() {
    const MOST: usize = limits::DOCUMENT_DEPTH_MAX;
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let path = |segments: usize| vec!["a"; segments].join(".");
    for (operator, own, levels) in [
        ("$set", "", 0),
        ("$max", "", 0),
        ("$push", "", 1),
        ("$addToSet", "each", 1),
    ] {
        for segments in [1, 5, MOST - 1] {
            let update = |levels: usize| {
                let value = nested(levels);
                let value = match own {
                    "each" => format!(r#"{{"$each":[0,{value}]}}"#),
                    _ => value,
                };
                format!(r#"{{"{operator}":{{"{}":{value}}}}}"#, path(segments))
            };
            let room = MOST - segments - levels;
            assert!(effect("{}", &update(room)).is_ok(), "{operator} {segments}");
            assert!(
                effect("{}", &update(room + 1)).is_err(),
                "{operator} {segments}"
            );
        }
    }
    // No room for the array itself.
    let push = |segments: usize| format!(r#"{{"$push":{{"{}":1}}}}"#, path(segments));
    assert!(effect("{}", &push(MOST - 1)).is_ok());
    assert!(effect("{}", &push(MOST)).is_err());

    let before = |levels: usize| format!(r#"{{"b":{}}}"#, nested(levels));
    let rename = format!(r#"{{"$rename":{{"b":"{}"}}}}"#, path(10));
    assert!(effect(&before(MOST - 10), &rename).is_ok());
    let reason = refusal(&before(MOST - 9), &rename);
    assert!(
        reason.ends_with("would nest deeper than 32 levels"),
        "{reason}"
    );
}

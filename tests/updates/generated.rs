//! What is generated: few names, so that operators meet each other and what is there.

use livelog::domain::{Document, Value};
use proptest::prelude::*;
use proptest::sample::select;

use crate::filters::generated::{field_condition, fields, filter, name, scalar, value};

fn path() -> impl Strategy<Value = String> {
    let length = prop_oneof![4 => Just(1_usize), 4 => Just(2), 2 => Just(3), 1 => Just(4)];
    // `10` comes after `2`, and far behind the end of an array.
    let name = prop_oneof![30 => name(), 1 => select(vec!["2", "10"]).prop_map(str::to_owned)];
    let names = length.prop_flat_map(move |length| prop::collection::vec(name.clone(), length));
    names.prop_map(|names| names.join("."))
}

fn number() -> impl Strategy<Value = Value> {
    let floats = vec![0.0, -0.0, 0.5, -2.0, 1e300, 1e16];
    let large = vec![i64::MAX, i64::MIN, (1 << 53) + 1, 1 << 40];
    prop_oneof![
        8 => (-3_i64..4).prop_map(Value::Int),
        4 => select(floats).prop_map(Value::Float),
        2 => select(large).prop_map(Value::Int),
        1 => scalar(),
    ]
}

fn added() -> impl Strategy<Value = Value> {
    let each = prop::collection::vec(prop_oneof![3 => scalar(), 1 => value()], 0..4);
    let each = each.prop_map(|values| Document::from_iter([("$each", Value::Array(values))]));
    prop_oneof![3 => scalar(), 2 => value(), 4 => each.prop_map(Value::Object)]
}

fn condition() -> impl Strategy<Value = Value> {
    prop_oneof![2 => scalar(), 2 => value(), 4 => field_condition(), 3 => filter()]
}

fn operator() -> impl Strategy<Value = (&'static str, Value)> {
    let anything = || prop_oneof![2 => scalar(), 1 => value()];
    prop_oneof![
        3 => anything().prop_map(|value| ("$set", value)),
        2 => scalar().prop_map(|value| ("$unset", value)),
        3 => number().prop_map(|value| ("$inc", value)),
        3 => number().prop_map(|value| ("$mul", value)),
        2 => anything().prop_map(|value| ("$min", value)),
        2 => anything().prop_map(|value| ("$max", value)),
        3 => added().prop_map(|value| ("$push", value)),
        4 => added().prop_map(|value| ("$addToSet", value)),
        6 => condition().prop_map(|value| ("$pull", value)),
        4 => path().prop_map(|target| ("$rename", target.into())),
    ]
}

/// One to four operators, some on paths that conflict.
pub(super) fn update() -> impl Strategy<Value = Document> {
    let one = (path(), operator());
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let mut update: Vec<(&str, Document)> = Vec::new();
        for (path, (name, operand)) in all {
            match update.iter_mut().find(|(known, _)| *known == name) {
                Some((_, fields)) if fields.get(&path).is_none() => fields.push(path, operand),
                Some(_) => {}
                None => update.push((name, Document::from_iter([(path, operand)]))),
            }
        }
        update
            .into_iter()
            .map(|(name, fields)| (name, Value::Object(fields)))
            .collect()
    })
}

/// Many arrays and numbers, which most operators are about.
pub(super) fn document() -> impl Strategy<Value = Document> {
    let list = prop::collection::vec(prop_oneof![2 => scalar(), 1 => value()], 0..5);
    let field = prop_oneof![3 => value(), 2 => list.prop_map(Value::Array), 1 => number()];
    fields(field)
}

//! What is generated: few names, so that operators meet each other and what is there.

use std::iter;

use livelog::value::{Document, Value};
use proptest::prelude::*;
use proptest::sample::{Index, select};

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
    prop_oneof![
        2 => scalar().boxed(),
        2 => value().boxed(),
        4 => field_condition().boxed(),
        3 => filter().boxed(),
    ]
}

/// Boxed, because a union keeps all of its parts by value, and filters are large ones.
fn operator() -> impl Strategy<Value = (&'static str, Value)> {
    let anything = || prop_oneof![2 => scalar(), 1 => value()];
    prop_oneof![
        3 => anything().prop_map(|value| ("$set", value)).boxed(),
        2 => scalar().prop_map(|value| ("$unset", value)).boxed(),
        3 => number().prop_map(|value| ("$inc", value)).boxed(),
        3 => number().prop_map(|value| ("$mul", value)).boxed(),
        2 => anything().prop_map(|value| ("$min", value)).boxed(),
        2 => anything().prop_map(|value| ("$max", value)).boxed(),
        3 => added().prop_map(|value| ("$push", value)).boxed(),
        4 => added().prop_map(|value| ("$addToSet", value)).boxed(),
        6 => condition().prop_map(|value| ("$pull", value)).boxed(),
        4 => path().prop_map(|target| ("$rename", target.into())).boxed(),
    ]
}

/// An operator, and where it may go.
#[derive(Debug, Clone)]
struct Step {
    name: &'static str,
    operand: Value,
    /// If nothing in the document suits, or something else is wanted.
    anywhere: String,
    is_aimed: bool,
    aim: Index,
    /// The operand is an element of the array it meets.
    meets: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let often = prop::bool::weighted(0.75);
    let aim = (often, any::<Index>(), prop::bool::weighted(0.3));
    (operator(), path().boxed(), aim).prop_map(
        |((name, operand), anywhere, (is_aimed, aim, meets))| Step {
            name,
            operand,
            anywhere,
            is_aimed,
            aim,
            meets,
        },
    )
}

impl Step {
    /// The path and the operand, for this document.
    fn on(self, document: &Document) -> (&'static str, String, Value) {
        let mut places = Vec::new();
        for (name, value) in document.iter() {
            collect(name.to_owned(), value, &mut places);
        }
        places.retain(|(_, value)| self.suits(value));
        if !self.is_aimed || places.is_empty() {
            return (self.name, self.anywhere, self.operand);
        }
        let (path, value) = self.aim.get(&places);
        let operand = match value {
            Value::Array(items) if self.meets && self.name != "$rename" && !items.is_empty() => {
                self.aim.get(items).clone()
            }
            _ => self.operand,
        };
        (self.name, path.clone(), operand)
    }

    fn suits(&self, value: &Value) -> bool {
        match self.name {
            "$inc" | "$mul" => matches!(value, Value::Int(_) | Value::Float(_)),
            "$push" | "$addToSet" | "$pull" => matches!(value, Value::Array(_)),
            _ => true,
        }
    }
}

/// Every place in a value.
fn collect<'a>(path: String, value: &'a Value, places: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(document) => document
            .iter()
            .for_each(|(name, value)| collect(format!("{path}.{name}"), value, places)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| collect(format!("{path}.{index}"), item, places)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {}
    }
    places.push((path, value));
}

fn overlaps(touched: &[String], path: &str) -> bool {
    let reaches_into = |a: &str, b: &str| format!("{a}.").starts_with(&format!("{b}."));
    touched
        .iter()
        .any(|other| reaches_into(other, path) || reaches_into(path, other))
}

/// A document, and an update of one to four operators; some are on paths that conflict.
pub(super) fn case() -> impl Strategy<Value = (Document, Document)> {
    let count = prop_oneof![4 => Just(1_usize), 3 => Just(2), 2 => Just(3), 1 => Just(4)];
    let steps = count.prop_flat_map(|count| prop::collection::vec(step(), count));
    (document(), steps).prop_map(|(document, steps)| {
        let mut update: Vec<(&str, Document)> = Vec::new();
        let mut touched: Vec<String> = Vec::new();
        for step in steps {
            let is_aimed = step.is_aimed;
            let (name, path, operand) = step.on(&document);
            let target = operand.as_str().filter(|_| name == "$rename");
            let paths: Vec<String> = iter::once(path.as_str())
                .chain(target)
                .map(str::to_owned)
                .collect();
            if is_aimed && paths.iter().any(|path| overlaps(&touched, path)) {
                continue;
            }
            touched.extend(paths);
            match update.iter_mut().find(|(known, _)| *known == name) {
                Some((_, fields)) if fields.get(&path).is_none() => fields.push(path, operand),
                Some(_) => {}
                None => update.push((name, Document::from_iter([(path, operand)]))),
            }
        }
        let fields = |(name, fields)| (name, Value::Object(fields));
        let update = update.into_iter().map(fields).collect();
        (document, update)
    })
}

/// Many arrays and numbers, which most operators are about.
fn document() -> impl Strategy<Value = Document> {
    let list = prop::collection::vec(prop_oneof![2 => scalar(), 1 => value()], 0..5);
    let field = prop_oneof![3 => value(), 2 => list.prop_map(Value::Array), 1 => number()];
    fields(field)
}

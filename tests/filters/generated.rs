//! What is generated. Few names and few values, so that paths lead somewhere and operands are met.

use livelog::value::{Document, Value};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

pub(crate) fn name() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "c", "0", "1"]).prop_map(str::to_owned)
}

pub(crate) fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        4 => (-1_i64..4).prop_map(Value::Int),
        1 => select(vec![i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1]).prop_map(Value::Int),
        2 => select(vec![0.0, -0.0, 1.0, 1.5, 2.0, -5.9]).prop_map(Value::Float),
        1 => select(vec![9_007_199_254_740_992.0, 9_223_372_036_854_775_808.0, -9_223_372_036_854_775_808.0, 1e300, 5e-324]).prop_map(Value::Float),
        3 => select(vec!["", "a", "ab", "A", "é", "b\nab", "1"]).prop_map(Value::from),
    ]
}

pub(crate) fn fields(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Document> {
    prop::collection::btree_map(name(), value, 0..4)
        .prop_map(|fields| fields.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
        .prop_map(Document::from_iter)
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            2 => fields(inner).prop_map(Value::Object),
        ]
    })
}

pub(crate) fn documents(
    count: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = Vec<Document>> {
    prop::collection::vec(fields(value()), count).prop_map(|bodies| {
        let with_id = |(n, body): (usize, Document)| {
            std::iter::once(("_id".to_owned(), Value::String(format!("e{n:02}"))))
                .chain(body)
                .collect()
        };
        bodies.into_iter().enumerate().map(with_id).collect()
    })
}

pub(super) fn path() -> impl Strategy<Value = String> {
    let some = prop::collection::vec(name(), 1..4).prop_map(|names| names.join("."));
    prop_oneof![20 => some, 1 => Just("_id".to_owned())]
}

fn operand() -> impl Strategy<Value = Value> {
    prop_oneof![3 => scalar(), 2 => value(), 1 => Just(Value::from("e07"))]
}

fn operands() -> impl Strategy<Value = Value> {
    prop::collection::vec(operand(), 0..4).prop_map(Value::Array)
}

fn object(name: &str, value: impl Into<Value>) -> Document {
    Document::from_iter([(name.to_owned(), value.into())])
}

fn plain_operator() -> impl Strategy<Value = Document> {
    let types = vec![
        "double", "string", "object", "array", "bool", "null", "long", "number",
    ];
    let codes = vec![1_i64, 2, 3, 4, 8, 10, 18];
    let comparisons = vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"];
    let patterns = vec!["^a", "b$", "A", "", "^ab$", "a .", "^(a|é)b?$"];
    prop_oneof![
        6 => (select(comparisons), operand()).prop_map(|(name, operand)| object(name, operand)),
        2 => (select(vec!["$in", "$nin", "$all"]), operands()).prop_map(|(name, operands)| object(name, operands)),
        1 => any::<bool>().prop_map(|flag| object("$exists", flag)),
        1 => subsequence(types, 1..3).prop_map(|types| object("$type", types.into_iter().map(Value::from).collect::<Vec<_>>())),
        1 => select(codes).prop_map(|code| object("$type", code)),
        1 => (0_i64..4).prop_map(|size| object("$size", size)),
        1 => (select(vec![-2_i64, -1, 1, 2, 3]), -2_i64..3).prop_map(|(d, r)| object("$mod", vec![d.into(), r.into()])),
        1 => (select(patterns), subsequence(vec!["i", "m", "s", "x"], 0..3)).prop_map(|(pattern, options)| {
            Document::from_iter([("$regex", pattern.into()), ("$options", Value::from(options.concat()))])
        }),
    ]
}

/// One to three operators side by side, each once.
fn operators(one: impl Strategy<Value = Document>) -> impl Strategy<Value = Document> {
    prop::collection::vec(one, 1..4).prop_map(|several| {
        let mut together = Document::new();
        for (name, value) in several.into_iter().flatten() {
            if together.get(&name).is_none() {
                together.push(name, value);
            }
        }
        together
    })
}

pub(crate) fn field_condition() -> impl Strategy<Value = Value> {
    let operator = plain_operator().prop_recursive(3, 8, 3, |inner| {
        let element_of_fields =
            (path(), operators(inner.clone())).prop_map(|(path, inner)| object(&path, inner));
        let element = prop_oneof![
            operators(inner.clone()),
            element_of_fields,
            fields(scalar())
        ]
        .prop_map(|inner| object("$elemMatch", inner));
        let all = prop::collection::vec(element.clone(), 1..3).prop_map(|elements| {
            object(
                "$all",
                elements.into_iter().map(Value::from).collect::<Vec<_>>(),
            )
        });
        prop_oneof![
            3 => inner.clone(),
            2 => operators(inner).prop_map(|inner| object("$not", inner)),
            3 => element,
            1 => all,
        ]
    });
    prop_oneof![2 => operand(), 5 => operators(operator).prop_map(Value::Object)]
}

pub(crate) fn filter() -> impl Strategy<Value = Value> {
    let conditions = prop::collection::btree_map(path(), field_condition(), 0..3)
        .prop_map(Document::from_iter)
        .boxed();
    conditions
        .prop_recursive(2, 6, 3, |inner| {
            let branches = prop::collection::vec(inner.clone(), 1..3);
            let logical =
                (select(vec!["$and", "$or", "$nor"]), branches).prop_map(|(name, branches)| {
                    object(
                        name,
                        branches.into_iter().map(Value::from).collect::<Vec<_>>(),
                    )
                });
            let both = (inner.clone(), logical.clone()).prop_map(|(inner, logical)| {
                let fresh = |name: &str| logical.get(name).is_none();
                let kept: Vec<_> = inner.into_iter().filter(|(name, _)| fresh(name)).collect();
                kept.into_iter()
                    .chain(logical.clone())
                    .collect::<Document>()
            });
            prop_oneof![4 => inner, 1 => logical, 1 => both]
        })
        .prop_map(Value::Object)
}

/// Declared indexes, as text.
pub(crate) fn indexes() -> impl Strategy<Value = Vec<String>> {
    let path = prop_oneof![2 => name(), 1 => path()];
    let field = (any::<bool>(), path).prop_map(|(descends, path)| match descends {
        true => format!("-{path}"),
        false => path,
    });
    let fields = prop::collection::vec(field, 1..3).prop_map(|fields| fields.join(","));
    prop::collection::btree_set(fields, 0..3).prop_map(|fields| fields.into_iter().collect())
}

/// The indexes that a filter could be looked up in: by one of its fields, and by all together.
pub(crate) fn indexes_for(filter: &Value) -> Vec<String> {
    let fields = filter.as_object().into_iter().flat_map(Document::iter);
    let fields = fields.filter(|(name, _)| !name.starts_with('$') && *name != "_id");
    let mut paths: Vec<String> = fields.map(|(path, _)| path.to_owned()).collect();
    if paths.len() > 1 {
        paths.push(paths.join(",-"));
    }
    paths
}

/// The index that has an answer's order.
pub(super) fn index_for(sort: &Value) -> Option<String> {
    let keys = sort.as_object()?.iter();
    let keys = keys.take_while(|(path, _)| *path != "_id");
    let fields = keys.map(|(path, direction)| match direction {
        Value::Int(1) | Value::Float(1.0) => path.to_owned(),
        _ => format!("-{path}"),
    });
    let fields: Vec<String> = fields.collect();
    (!fields.is_empty()).then(|| fields.join(","))
}

pub(super) fn sort() -> impl Strategy<Value = Value> {
    let direction = select(vec![
        Value::Int(1),
        Value::Int(-1),
        Value::Float(1.0),
        Value::Float(-1.0),
    ]);
    // Short paths mostly: equal keys are what order and pages go wrong over.
    let key = prop_oneof![3 => name(), 2 => path()];
    prop::collection::btree_map(key, direction, 0..4)
        .prop_map(|keys| keys.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
        .prop_map(|keys| Value::Object(keys.into_iter().collect()))
}

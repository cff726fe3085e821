//! A query, translated for MongoDB.
//!
//! MongoDB narrows, the query's tree decides: the translation matches at least every event that the query admits, and
//! the store asks [`Query::admits`] about each event that it gets.
//!
//! | part of a query | its translation | matches |
//! |---|---|---|
//! | a comparison, `$in`, `$exists`, `$type`, `$size`, `$mod`, and their negations `$ne`, `$nin` | itself | exactly |
//! | `$regex`, because MongoDB's engine can be made to backtrack for ever | `$type: "string"` | more |
//! | a condition on a [costly](is_costly) path | nothing | more |
//! | `$all` of at most [`ALL_MAX`] exact tests | itself | exactly |
//! | `$all` of more, or of inexact ones | the first ones, as far as they can be translated | more |
//! | `$and`, `$or`, `$elemMatch` | the same of the translated parts | exactly if all parts do, else more |
//! | `$not` of exact clauses, `$nor` of exact branches | itself | exactly |
//! | `$not` of an inexact clause, an inexact branch of a `$nor` | nothing | more |
//! | a cursor | a [bound](page_bound::after) on the first sort key, beside the filter | more |
//!
//! Invariant: only an exact translation is negated. Negating one that matches more would match less, and lose events.
//!
//! Every operand stands behind an explicit operator, so no value can act as one.

use bson::{Bson, Document as Bdoc, doc};

use super::costly::{ALL_MAX, is_costly};
use super::page_bound;
use crate::query::Query;
use crate::query::{Clause, FilterNode};
use crate::query::{Relation, Test, Type};
use crate::value::{Document, Value};

/// A MongoDB filter that matches at least every event the query admits.
pub fn narrow(query: &Query) -> Bdoc {
    let filter = node(&query.filter.root).document();
    let bound = query.cursor.as_ref().and_then(|cursor| {
        let first = query
            .sort
            .keys()
            .first()
            .filter(|first| !is_costly(&first.path))?;
        page_bound::after(first, cursor.keys()[0])
    });
    match bound {
        None => filter,
        Some(bound) if filter.is_empty() => bound,
        Some(bound) => doc! { "$and": [filter, bound] },
    }
}

/// The MongoDB sort of the query; `_id` is part of it.
pub fn order(query: &Query) -> Bdoc {
    query
        .sort
        .keys()
        .iter()
        .map(|key| (key.path.as_str().to_owned(), key.direction.as_int().into()))
        .collect()
}

/// What a condition was translated to.
pub(super) enum Translation {
    /// It matches what the condition matches.
    Exactly(Bdoc),
    /// It matches that and perhaps more: it must not be negated.
    Wider(Bdoc),
}

impl Translation {
    fn document(self) -> Bdoc {
        match self {
            Self::Exactly(document) | Self::Wider(document) => document,
        }
    }

    fn new(document: Bdoc, exact: bool) -> Self {
        if exact {
            Self::Exactly(document)
        } else {
            Self::Wider(document)
        }
    }

    fn everything() -> Self {
        Self::Wider(Bdoc::new())
    }
}

pub(super) fn node(node: &FilterNode) -> Translation {
    match node {
        FilterNode::And(nodes) => and(nodes),
        FilterNode::Or(nodes) => branches("$or", nodes),
        FilterNode::Nor(nodes) => nor(nodes),
        FilterNode::Field { path, .. } if is_costly(path) => Translation::everything(),
        FilterNode::Field { path, clauses } => {
            let (operators, exact) = operators(clauses);
            if operators.is_empty() {
                return Translation::everything();
            }
            Translation::new(doc! { path.as_str(): operators }, exact)
        }
    }
}

/// No `$and` around a single condition, so that MongoDB recognizes one on `_id`.
fn and(nodes: &[FilterNode]) -> Translation {
    match nodes {
        [] => Translation::Exactly(Bdoc::new()),
        [only] => node(only),
        _ => branches("$and", nodes),
    }
}

fn branches(operator: &str, nodes: &[FilterNode]) -> Translation {
    let mut exact = true;
    let mut documents = Vec::with_capacity(nodes.len());
    for translation in nodes.iter().map(node) {
        exact &= matches!(translation, Translation::Exactly(_));
        documents.push(translation.document());
    }
    Translation::new(doc! { operator: documents }, exact)
}

/// Without the branches that cannot be negated, more matches.
fn nor(nodes: &[FilterNode]) -> Translation {
    let mut exact = true;
    let mut documents = Vec::with_capacity(nodes.len());
    for translation in nodes.iter().map(node) {
        match translation {
            Translation::Exactly(document) => documents.push(document),
            Translation::Wider(_) => exact = false,
        }
    }
    if documents.is_empty() {
        return Translation::everything();
    }
    Translation::new(doc! { "$nor": documents }, exact)
}

/// The clauses on one path as one document of operators, and whether that is exact. Names cannot clash: the parser
/// takes each operator once, and each clause becomes the operator that it was.
fn operators(clauses: &[Clause]) -> (Bdoc, bool) {
    let mut operators = Bdoc::new();
    let mut exact = true;
    for clause in clauses {
        let (name, operand, is_exact) = self::clause(clause);
        exact &= is_exact;
        // `$regex` becomes a `$type`, which must not replace one of the query's own.
        if let Some(operand) = operand
            && (is_exact || !operators.contains_key(name))
        {
            operators.insert(name, operand);
        }
    }
    (operators, exact)
}

/// The operator of a clause, its operand unless it has no translation, and whether that is exact.
fn clause(clause: &Clause) -> (&'static str, Option<Bson>, bool) {
    match clause {
        Clause::Is(test) => is(test),
        Clause::IsNot(test) => {
            debug_assert!(
                matches!(
                    test,
                    Test::Compare(Relation::Equal, _) | Test::In(_) | Test::Exists
                ),
                "no other operator has a negation of its own"
            );
            let (name, operand, exact) = is(test);
            (negated(name), is_not(test, operand), exact)
        }
        Clause::All(tests) => all(tests),
        Clause::Not(clauses) => match operators(clauses) {
            (inner, true) => ("$not", Some(inner.into()), true),
            (_, false) => ("$not", None, false),
        },
    }
}

fn is(test: &Test) -> (&'static str, Option<Bson>, bool) {
    let (name, operand): (_, Bson) = match test {
        Test::Compare(relation, operand) => (relation_name(*relation), bson(operand)),
        Test::In(values) => ("$in", values.iter().map(bson).collect::<Vec<_>>().into()),
        Test::Exists => ("$exists", true.into()),
        Test::Type(types) => (
            "$type",
            types
                .iter()
                .map(|t| Bson::from(alias(*t)))
                .collect::<Vec<_>>()
                .into(),
        ),
        Test::Size(size) => ("$size", i32::try_from(*size).unwrap_or(i32::MAX).into()),
        Test::Mod { divisor, remainder } => (
            "$mod",
            vec![Bson::from(*divisor), Bson::from(*remainder)].into(),
        ),
        Test::Regex(_) => return ("$type", Some("string".into()), false),
        Test::ElementWhere(inner) => {
            let inner = node(inner);
            let exact = matches!(inner, Translation::Exactly(_));
            return ("$elemMatch", Some(inner.document().into()), exact);
        }
        Test::ElementThat(clauses) => {
            let (inner, exact) = operators(clauses);
            // IMPORTANT: an empty `$elemMatch` would match only elements that are documents.
            let inner = if inner.is_empty() {
                doc! { "$exists": true }
            } else {
                inner
            };
            return ("$elemMatch", Some(inner.into()), exact);
        }
    };
    (name, Some(operand), true)
}

fn negated(name: &'static str) -> &'static str {
    match name {
        "$eq" => "$ne",
        "$in" => "$nin",
        other => other,
    }
}

fn is_not(test: &Test, operand: Option<Bson>) -> Option<Bson> {
    match test {
        Test::Exists => Some(false.into()),
        _ => operand,
    }
}

fn all(tests: &[Test]) -> (&'static str, Option<Bson>, bool) {
    let mut exact = tests.len() <= ALL_MAX;
    let items: Vec<Bson> = tests
        .iter()
        .take(ALL_MAX)
        .filter_map(|test| {
            let (name, operand, is_exact) = is(test);
            exact &= is_exact;
            match test {
                Test::Compare(_, value) => Some(bson(value)),
                _ => operand.map(|operand| doc! { name: operand }.into()),
            }
        })
        .collect();
    ("$all", Some(items.into()), exact)
}

fn relation_name(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "$eq",
        Relation::Greater => "$gt",
        Relation::GreaterOrEqual => "$gte",
        Relation::Less => "$lt",
        Relation::LessOrEqual => "$lte",
    }
}

fn alias(wanted: Type) -> &'static str {
    match wanted {
        Type::Double => "double",
        Type::String => "string",
        Type::Object => "object",
        Type::Array => "array",
        Type::Bool => "bool",
        Type::Null => "null",
        Type::Long => "long",
        Type::Number => "number",
    }
}

pub(super) fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(flag) => Bson::Boolean(*flag),
        Value::Int(number) => Bson::Int64(*number),
        Value::Float(number) => Bson::Double(*number),
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => items.iter().map(bson).collect::<Vec<_>>().into(),
        Value::Object(document) => bson_document(document).into(),
    }
}

fn bson_document(document: &Document) -> Bdoc {
    document
        .iter()
        .map(|(name, value)| (name.to_owned(), bson(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::mongo::read::costly;

    fn query(json: &str) -> Query {
        let asked: Document = serde_json::from_str(json).expect("the test's own JSON");
        Query::parse(&asked, "payload").expect("a good query")
    }

    fn narrowed(filter: &str) -> Bdoc {
        narrow(&query(&format!(r#"{{"filter":{filter}}}"#)))
    }

    /// The second page of a sort, after a record.
    fn continued(sort: &str, last: &str) -> Bdoc {
        let first = query(&format!(r#"{{"sort":{sort}}}"#));
        let last: Document = serde_json::from_str(last).expect("the test's own JSON");
        let token = first.cursor_token(&last, 0);
        narrow(&query(&format!(r#"{{"sort":{sort},"cursor":"{token}"}}"#)))
    }

    #[test]
    fn values_stand_behind_operators_and_integers_are_64_bits_wide() {
        assert_eq!(narrowed("{}"), doc! {});
        assert_eq!(narrowed(r#"{"a":1}"#), doc! { "a": { "$eq": 1_i64 } });
        assert_eq!(narrowed(r#"{"_id":"e"}"#), doc! { "_id": { "$eq": "e" } });
        assert_eq!(
            narrowed(r#"{"a":{"$gt":1.5,"$ne":null},"$nor":[{"b":{}}]}"#),
            doc! { "$and": [
                { "a": { "$gt": 1.5, "$ne": Bson::Null } },
                { "$nor": [{ "b": { "$eq": {} } }] },
            ] }
        );
    }

    #[test]
    fn a_regex_becomes_whatever_is_text_and_is_never_negated() {
        let text = doc! { "a": { "$type": "string" } };
        assert_eq!(narrowed(r#"{"a":{"$regex":"x"}}"#), text);
        assert_eq!(narrowed(r#"{"a":{"$not":{"$regex":"x"}}}"#), doc! {});
        assert_eq!(narrowed(r#"{"$nor":[{"a":{"$regex":"x"}}]}"#), doc! {});
        assert_eq!(
            narrowed(r#"{"$nor":[{"a":{"$regex":"x"}},{"b":1}]}"#),
            doc! { "$nor": [{ "b": { "$eq": 1_i64 } }] }
        );
        assert_eq!(
            narrowed(r#"{"a":{"$elemMatch":{"$not":{"$regex":"x"}}}}"#),
            doc! { "a": { "$elemMatch": { "$exists": true } } }
        );
        assert_eq!(
            narrowed(r#"{"a":{"$not":{"$elemMatch":{"b":{"$regex":"x"}}}}}"#),
            doc! {}
        );
        for both in [
            r#"{"$regex":"x","$type":"array"}"#,
            r#"{"$type":"array","$regex":"x"}"#,
        ] {
            let array = doc! { "a": { "$type": ["array"] } };
            assert_eq!(narrowed(&format!(r#"{{"a":{both}}}"#)), array);
        }
    }

    #[test]
    fn what_would_take_mongodb_long_is_left_to_the_tree() {
        let numbers = |count: usize| format!("a{}", ".0".repeat(count));
        let asked = |count: usize| format!(r#"{{"{}":{{"$gt":1}},"b":2}}"#, numbers(count));
        let both = doc! { "$and": [
            { numbers(costly::PATH_NUMBERS_MAX): { "$gt": 1_i64 } },
            { "b": { "$eq": 2_i64 } },
        ] };
        assert_eq!(narrowed(&asked(costly::PATH_NUMBERS_MAX)), both);
        let rest = doc! { "$and": [{}, { "b": { "$eq": 2_i64 } }] };
        assert_eq!(narrowed(&asked(costly::PATH_NUMBERS_MAX + 1)), rest);
        let negated = format!(r#"{{"$nor":[{}]}}"#, asked(costly::PATH_NUMBERS_MAX + 1));
        assert_eq!(narrowed(&negated), doc! {});
        let values: Vec<i64> = (0..100).collect();
        let few = doc! { "a": { "$all": &values[..ALL_MAX] } };
        assert_eq!(narrowed(&format!(r#"{{"a":{{"$all":{values:?}}}}}"#)), few);
        let not = format!(r#"{{"a":{{"$not":{{"$all":{values:?}}}}}}}"#);
        assert_eq!(narrowed(&not), doc! {});
    }

    #[test]
    fn the_order_ends_with_the_id() {
        assert_eq!(order(&Query::everything()), doc! { "_id": 1 });
        let sorted = query(r#"{"sort":{"b.c":-1.0,"a":1}}"#);
        assert_eq!(order(&sorted), doc! { "b.c": -1, "a": 1, "_id": 1 });
    }

    #[test]
    fn a_later_page_starts_where_the_one_before_ended() {
        let last = r#"{"_id":"e","a":5,"b":[]}"#;
        assert_eq!(continued("{}", last), doc! { "_id": { "$gt": "e" } });
        assert_eq!(
            continued(r#"{"_id":-1}"#, last),
            doc! { "_id": { "$lt": "e" } }
        );
        assert_eq!(
            continued(r#"{"a":1}"#, last),
            doc! { "$or": [
                { "a": { "$gte": 5_i64 } },
                { "a": { "$type": ["string", "object", "array", "bool"] } },
            ] }
        );
        assert_eq!(continued(r#"{"b":1}"#, last), doc! {});
        assert_eq!(continued(r#"{"c":1}"#, last), doc! {});
    }
}

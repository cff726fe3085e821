//! A query, written down for MongoDB.
//!
//! MongoDB narrows, the tree decides. What is written here matches at least every event that the
//! query admits, and the store asks [`Query::admits`] about each event it gets. Nearly always it
//! matches nothing else either; the exceptions are `$regex`, whose engine in MongoDB can be made to
//! backtrack for ever, and cursors. Every operand stands behind an explicit operator, so no value
//! can act as one.
//!
//! The only module of the query language that knows `bson`.

use bson::{Bson, Document as Bdoc, doc};

use super::costly::{ALL_MAX, is_dear};
use super::page_bound;
use crate::query::Query;
use crate::query::tree::{Clause, Node};
use crate::query::tree::{Relation, Test, Type};
use crate::value::{Document, Value};

/// A MongoDB filter that matches at least every event the query admits.
pub fn narrow(query: &Query) -> Bdoc {
    let filter = node(&query.filter.root).document();
    let ahead = query.cursor.as_ref().and_then(|cursor| {
        let first = query
            .sort
            .keys()
            .first()
            .filter(|first| !is_dear(&first.path))?;
        page_bound::after(first, cursor.keys()[0])
    });
    match ahead {
        None => filter,
        Some(ahead) if filter.is_empty() => ahead,
        Some(ahead) => doc! { "$and": [filter, ahead] },
    }
}

/// The MongoDB sort of the query; `_id` is in it.
pub fn order(query: &Query) -> Bdoc {
    query
        .sort
        .keys()
        .iter()
        .map(|key| (key.path.as_str().to_owned(), key.direction.as_int().into()))
        .collect()
}

/// What has been written of a condition.
enum Translation {
    /// It matches what the condition matches.
    Exactly(Bdoc),
    /// It matches that and perhaps more, so it must not be negated.
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

fn node(node: &Node) -> Translation {
    match node {
        Node::And(nodes) => and(nodes),
        Node::Or(nodes) => branches("$or", nodes),
        Node::Nor(nodes) => nor(nodes),
        Node::Field { path, .. } if is_dear(path) => Translation::everything(),
        Node::Field { path, clauses } => {
            let (operators, exact) = operators(clauses);
            if operators.is_empty() {
                return Translation::everything();
            }
            Translation::new(doc! { path.as_str(): operators }, exact)
        }
    }
}

/// No `$and` around a single condition, so that one on `_id` is seen for what it is.
fn and(nodes: &[Node]) -> Translation {
    match nodes {
        [] => Translation::Exactly(Bdoc::new()),
        [only] => node(only),
        _ => branches("$and", nodes),
    }
}

fn branches(operator: &str, nodes: &[Node]) -> Translation {
    let mut exact = true;
    let mut documents = Vec::with_capacity(nodes.len());
    for written in nodes.iter().map(node) {
        exact &= matches!(written, Translation::Exactly(_));
        documents.push(written.document());
    }
    Translation::new(doc! { operator: documents }, exact)
}

/// Leaving out what cannot be negated leaves more that matches.
fn nor(nodes: &[Node]) -> Translation {
    let mut exact = true;
    let mut documents = Vec::with_capacity(nodes.len());
    for written in nodes.iter().map(node) {
        match written {
            Translation::Exactly(document) => documents.push(document),
            Translation::Wider(_) => exact = false,
        }
    }
    if documents.is_empty() {
        return Translation::everything();
    }
    Translation::new(doc! { "$nor": documents }, exact)
}

/// The clauses on one value in one document, and whether it says all that they say. Names cannot
/// clash: the parser takes each operator once, and each clause is written as the operator it was.
fn operators(clauses: &[Clause]) -> (Bdoc, bool) {
    let mut operators = Bdoc::new();
    let mut exact = true;
    for clause in clauses {
        let (name, operand, same) = self::clause(clause);
        exact &= same;
        // The stand-in for `$regex` is a `$type`, and gives way to one that was asked for.
        if let Some(operand) = operand
            && (same || !operators.contains_key(name))
        {
            operators.insert(name, operand);
        }
    }
    (operators, exact)
}

/// The operator of a clause, its operand unless there is nothing to say, and whether that is exact.
fn clause(clause: &Clause) -> (&'static str, Option<Bson>, bool) {
    match clause {
        Clause::Is(test) => is(test),
        Clause::IsNot(test) => {
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
            // IMPORTANT: empty, it would ask for elements that are documents.
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
            let (name, operand, same) = is(test);
            exact &= same;
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

fn bson(value: &Value) -> Bson {
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
        let token = first.cursor_after(&last, 0);
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

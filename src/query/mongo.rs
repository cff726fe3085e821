//! A query, written down for MongoDB.
//!
//! MongoDB narrows, the tree decides. What is written here matches at least every event that the
//! query admits, and the store asks [`Query::admits`] about each event it gets. Nearly always it
//! matches nothing else either; the exceptions are `$regex`, whose engine in MongoDB can be made to
//! backtrack for ever, and cursors. Every operand stands behind an explicit operator, so no value
//! can act as one.
//!
//! The only file of this module that knows `bson`.

use bson::{Bson, Document as Bdoc, doc};

use super::Query;
use super::filter::{Clause, Node, Relation, Test, Type};
use super::order::{Class, class};
use super::sort::{Direction, Key, SortKey};
use crate::domain::{Document, Value, ValueRef};

/// A MongoDB filter that matches at least every event the query admits.
pub fn narrow(query: &Query) -> Bdoc {
    let filter = node(&query.filter.root).document();
    let ahead = query.cursor.as_ref().and_then(|cursor| {
        let first = query.sort.keys().first()?;
        after(first, cursor.keys()[0])
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
enum Written {
    /// It matches what the condition matches.
    Exactly(Bdoc),
    /// It matches that and perhaps more, so it must not be negated.
    Wider(Bdoc),
}

impl Written {
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

fn node(node: &Node) -> Written {
    match node {
        Node::And(nodes) => and(nodes),
        Node::Or(nodes) => branches("$or", nodes),
        Node::Nor(nodes) => nor(nodes),
        Node::Field { path, clauses } => {
            let (operators, exact) = operators(clauses);
            if operators.is_empty() {
                return Written::everything();
            }
            Written::new(doc! { path.as_str(): operators }, exact)
        }
    }
}

/// No `$and` around a single condition, so that one on `_id` is seen for what it is.
fn and(nodes: &[Node]) -> Written {
    match nodes {
        [] => Written::Exactly(Bdoc::new()),
        [only] => node(only),
        _ => branches("$and", nodes),
    }
}

fn branches(operator: &str, nodes: &[Node]) -> Written {
    let mut exact = true;
    let mut documents = Vec::with_capacity(nodes.len());
    for written in nodes.iter().map(node) {
        exact &= matches!(written, Written::Exactly(_));
        documents.push(written.document());
    }
    Written::new(doc! { operator: documents }, exact)
}

/// Leaving out what cannot be negated leaves more that matches.
fn nor(nodes: &[Node]) -> Written {
    let mut exact = true;
    let mut documents = Vec::with_capacity(nodes.len());
    for written in nodes.iter().map(node) {
        match written {
            Written::Exactly(document) => documents.push(document),
            Written::Wider(_) => exact = false,
        }
    }
    if documents.is_empty() {
        return Written::everything();
    }
    Written::new(doc! { "$nor": documents }, exact)
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
        Test::Size(size) => ("$size", i64::try_from(*size).unwrap_or(i64::MAX).into()),
        Test::Mod { divisor, remainder } => (
            "$mod",
            vec![Bson::from(*divisor), Bson::from(*remainder)].into(),
        ),
        Test::Regex(_) => return ("$type", Some("string".into()), false),
        Test::ElementWhere(inner) => {
            let inner = node(inner);
            let exact = matches!(inner, Written::Exactly(_));
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
    let mut exact = true;
    let items: Vec<Bson> = tests
        .iter()
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
        Type::Int => "int",
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

/// What every event from the key on has, so that a late page does not read the early ones again:
/// `None` where that says little or cannot be said.
///
/// Going up, an event's key is its smallest, so all its values are at least the cursor's. Going
/// down, it is its largest, so all are at most that, or there is none.
fn after(first: &SortKey, key: Key<'_>) -> Option<Bdoc> {
    let path = first.path.as_str();
    let Key::Value(value) = key else {
        return None;
    };
    let operand = operand(value);
    if first.is_id() {
        let operator = match first.direction {
            Direction::Ascending => "$gt",
            Direction::Descending => "$lt",
        };
        return operand.map(|operand| doc! { path: { operator: operand } });
    }
    let class = class(value);
    match first.direction {
        Direction::Ascending if class == Class::Null => None,
        Direction::Ascending => Some(from(path, class, operand)),
        Direction::Descending => Some(down_from(path, class, operand)),
    }
}

/// Numbers, texts and booleans are compared; the cursor's objects and arrays only by their class.
fn operand(value: ValueRef<'_>) -> Option<Bson> {
    match value {
        ValueRef::Bool(flag) => Some(flag.into()),
        ValueRef::Int(number) => Some(number.into()),
        ValueRef::Float(number) => Some(number.into()),
        ValueRef::String(text) => Some(text.into()),
        ValueRef::Null | ValueRef::Array(_) | ValueRef::Object(_) => None,
    }
}

const CLASSES: [(Class, &str); 5] = [
    (Class::Number, "number"),
    (Class::String, "string"),
    (Class::Object, "object"),
    (Class::Array, "array"),
    (Class::Bool, "bool"),
];

fn types(path: &str, admitted: impl Fn(Class) -> bool) -> Option<Bdoc> {
    let names: Vec<&str> = CLASSES
        .iter()
        .filter(|(class, _)| admitted(*class))
        .map(|(_, name)| *name)
        .collect();
    (!names.is_empty()).then(|| doc! { path: { "$type": names } })
}

fn from(path: &str, class: Class, operand: Option<Bson>) -> Bdoc {
    let whole_class = operand.is_none();
    let same = operand.map(|operand| doc! { path: { "$gte": operand } });
    let higher = types(path, |other| {
        other > class || (whole_class && other == class)
    });
    any_of([same, higher])
}

/// Empty arrays and whatever has no value sort below everything.
fn down_from(path: &str, class: Class, operand: Option<Bson>) -> Bdoc {
    let whole_class = operand.is_none();
    let same = operand.map(|operand| doc! { path: { "$lte": operand } });
    let lower = types(path, |other| {
        other < class || (whole_class && other == class)
    });
    any_of([
        same,
        lower,
        Some(doc! { path: { "$eq": Bson::Null } }),
        Some(doc! { path: { "$exists": false } }),
        Some(doc! { path: { "$size": 0_i64 } }),
    ])
}

fn any_of<const N: usize>(conditions: [Option<Bdoc>; N]) -> Bdoc {
    let conditions: Vec<Bdoc> = conditions.into_iter().flatten().collect();
    doc! { "$or": conditions }
}

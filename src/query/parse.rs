//! From JSON to the tree of a filter.
//!
//! Refuses by name and place whatever the tree cannot say, and whatever would cost too much: every
//! bound on filters (`limits::FILTER_*`, `limits::REGEX_*`) is enforced here and nowhere else.

use super::filter::{Clause, Node, Relation, Test, Type};
use super::order::compare;
use super::path::FieldPath;
use super::pattern;
use crate::domain::{Document, Invalid, Value};
use crate::limits;

/// Reads a whole filter that stands `at`.
pub(super) fn filter(value: &Value, at: &str) -> Result<Node, Invalid> {
    Parser::default().filter(value, at, 1)
}

/// What a filter has used up so far.
#[derive(Default)]
struct Parser {
    nodes: usize,
    values: usize,
}

/// Fields of one record side by side: `{"a": …, "b": …, "$or": […]}`.
impl Parser {
    fn filter(&mut self, value: &Value, at: &str, depth: usize) -> Result<Node, Invalid> {
        check_depth(at, depth)?;
        let document = object(value, at)?;
        check_names_differ(document, at)?;
        document
            .iter()
            .map(|(name, value)| self.entry(name, value, &join(at, name), depth))
            .collect::<Result<_, _>>()
            .map(Node::And)
    }

    fn entry(
        &mut self,
        name: &str,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Node, Invalid> {
        match name {
            "$and" => self.branches(value, at, depth).map(Node::And),
            "$or" => self.branches(value, at, depth).map(Node::Or),
            "$nor" => self.branches(value, at, depth).map(Node::Nor),
            _ if name.starts_with('$') => Err(unsupported(name, at)),
            _ => Ok(Node::Field {
                path: FieldPath::parse(name, at)?,
                clauses: self.field(value, at, depth)?,
            }),
        }
    }

    fn branches(&mut self, value: &Value, at: &str, depth: usize) -> Result<Vec<Node>, Invalid> {
        self.count_node(at)?;
        let items = array(value, at)?;
        if items.is_empty() {
            return Err(Invalid::new(at, "expected an array that is not empty"));
        }
        items
            .iter()
            .enumerate()
            .map(|(index, item)| self.filter(item, &join(at, &index.to_string()), depth + 1))
            .collect()
    }

    fn count_node(&mut self, at: &str) -> Result<(), Invalid> {
        self.nodes += 1;
        if self.nodes > limits::FILTER_NODES_MAX {
            let reason = format!("more than {} conditions", limits::FILTER_NODES_MAX);
            return Err(Invalid::new(at, reason));
        }
        Ok(())
    }

    fn count_values(&mut self, count: usize, at: &str) -> Result<(), Invalid> {
        self.values += count;
        if self.values > limits::FILTER_VALUES_MAX {
            let reason = format!(
                "more than {} values in the lists of one filter",
                limits::FILTER_VALUES_MAX
            );
            return Err(Invalid::new(at, reason));
        }
        Ok(())
    }
}

/// What is asked of one field.
impl Parser {
    fn field(&mut self, value: &Value, at: &str, depth: usize) -> Result<Vec<Clause>, Invalid> {
        match value {
            Value::Object(operators) if has_operators(operators) => {
                self.operators(operators, at, depth)
            }
            _ => {
                self.count_node(at)?;
                let operand = literal(value, at)?;
                Ok(vec![Clause::Is(Test::Compare(Relation::Equal, operand))])
            }
        }
    }

    fn operators(
        &mut self,
        operators: &Document,
        at: &str,
        depth: usize,
    ) -> Result<Vec<Clause>, Invalid> {
        check_names_differ(operators, at)?;
        if let Some((name, _)) = operators.iter().find(|(name, _)| !name.starts_with('$')) {
            let reason = "operators and names of fields cannot stand side by side";
            return Err(Invalid::new(join(at, name), reason));
        }
        if operators.get("$options").is_some() && operators.get("$regex").is_none() {
            let reason = "$options needs a $regex beside it";
            return Err(Invalid::new(join(at, "$options"), reason));
        }
        operators
            .iter()
            .filter(|(name, _)| *name != "$options")
            .map(|(name, value)| match name {
                "$regex" => self.regex(operators, value, at),
                _ => self.operator(name, value, &join(at, name), depth),
            })
            .collect()
    }

    fn regex(&mut self, operators: &Document, value: &Value, at: &str) -> Result<Clause, Invalid> {
        self.count_node(at)?;
        pattern::parse(value, operators.get("$options"), at)
            .map(|regex| Clause::Is(Test::Regex(regex)))
    }

    fn operator(
        &mut self,
        name: &str,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Clause, Invalid> {
        self.count_node(at)?;
        let compare = |relation| literal(value, at).map(|operand| Test::Compare(relation, operand));
        Ok(match name {
            "$eq" => Clause::Is(compare(Relation::Equal)?),
            "$ne" => Clause::IsNot(compare(Relation::Equal)?),
            "$gt" => Clause::Is(compare(Relation::Greater)?),
            "$gte" => Clause::Is(compare(Relation::GreaterOrEqual)?),
            "$lt" => Clause::Is(compare(Relation::Less)?),
            "$lte" => Clause::Is(compare(Relation::LessOrEqual)?),
            "$in" => Clause::Is(self.list(value, at)?),
            "$nin" => Clause::IsNot(self.list(value, at)?),
            "$exists" if flag(value, at)? => Clause::Is(Test::Exists),
            "$exists" => Clause::IsNot(Test::Exists),
            "$type" => Clause::Is(Test::Type(types(value, at)?)),
            "$size" => Clause::Is(Test::Size(size(value, at)?)),
            "$mod" => Clause::Is(modulo(value, at)?),
            "$all" => Clause::All(self.all(value, at, depth)?),
            "$elemMatch" => Clause::Is(self.element(value, at, depth)?),
            "$not" => Clause::Not(self.not(value, at, depth)?),
            _ => return Err(unsupported(name, at)),
        })
    }

    fn list(&mut self, value: &Value, at: &str) -> Result<Test, Invalid> {
        let items = array(value, at)?;
        self.count_values(items.len(), at)?;
        let mut values = items
            .iter()
            .enumerate()
            .map(|(index, item)| literal(item, &join(at, &index.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        values.sort_by(|a, b| compare(a.borrow(), b.borrow()));
        Ok(Test::In(values))
    }

    /// Either values or `$elemMatch`es: MongoDB refuses the mixture too.
    fn all(&mut self, value: &Value, at: &str, depth: usize) -> Result<Vec<Test>, Invalid> {
        let items = array(value, at)?;
        self.count_values(items.len(), at)?;
        let of_elements = items
            .first()
            .is_some_and(|item| element_match(item).is_some());
        items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let at = join(at, &index.to_string());
                match element_match(item) {
                    Some(inner) if of_elements => {
                        self.count_node(&at)?;
                        self.element(inner, &join(&at, "$elemMatch"), depth)
                    }
                    None if of_elements => Err(Invalid::new(at, "expected another $elemMatch")),
                    _ => literal(item, &at).map(|value| Test::Compare(Relation::Equal, value)),
                }
            })
            .collect()
    }

    fn element(&mut self, value: &Value, at: &str, depth: usize) -> Result<Test, Invalid> {
        let document = object(value, at)?;
        let of_fields = |name: &str| !name.starts_with('$') || is_logical(name);
        if document
            .iter()
            .next()
            .is_none_or(|(name, _)| of_fields(name))
        {
            let node = self.filter(value, at, depth + 1)?;
            return Ok(Test::ElementWhere(Box::new(node)));
        }
        check_depth(at, depth + 1)?;
        self.operators(document, at, depth + 1)
            .map(Test::ElementThat)
    }

    fn not(&mut self, value: &Value, at: &str, depth: usize) -> Result<Vec<Clause>, Invalid> {
        check_depth(at, depth + 1)?;
        let document = object(value, at)?;
        if document.is_empty() {
            return Err(Invalid::new(at, "expected an operator"));
        }
        self.operators(document, at, depth + 1)
    }
}

fn has_operators(document: &Document) -> bool {
    document.iter().any(|(name, _)| name.starts_with('$'))
}

fn is_logical(name: &str) -> bool {
    matches!(name, "$and" | "$or" | "$nor")
}

/// The operand, if the value is `{"$elemMatch": …}` and nothing else.
fn element_match(value: &Value) -> Option<&Value> {
    value
        .as_object()
        .filter(|document| document.len() == 1)?
        .get("$elemMatch")
}

/// A value to compare with, refused if no stored document could hold it.
fn literal(value: &Value, at: &str) -> Result<Value, Invalid> {
    check_literal(value, at, 1)?;
    Ok(value.clone())
}

fn check_literal(value: &Value, at: &str, depth: usize) -> Result<(), Invalid> {
    if depth > limits::DOCUMENT_DEPTH_MAX + 1 {
        let reason = format!("nested deeper than {} levels", limits::DOCUMENT_DEPTH_MAX);
        return Err(Invalid::new(at, reason));
    }
    match value {
        Value::Object(document) => document.iter().try_for_each(|(name, value)| {
            let at = join(at, name);
            check_literal_name(name, &at)?;
            check_literal(value, &at, depth + 1)
        }),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            check_literal(item, &join(at, &index.to_string()), depth + 1)
        }),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => Ok(()),
    }
}

fn check_literal_name(name: &str, at: &str) -> Result<(), Invalid> {
    if name.starts_with('$') {
        let reason = format!("{name} cannot stand inside a value");
        return Err(Invalid::new(at, reason));
    }
    if name.contains('\0') {
        return Err(Invalid::new(at, "names must not contain NUL"));
    }
    Ok(())
}

fn types(value: &Value, at: &str) -> Result<Vec<Type>, Invalid> {
    match value {
        Value::Array(items) if items.is_empty() => {
            Err(Invalid::new(at, "expected at least one type"))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| one_type(item, &join(at, &index.to_string())))
            .collect(),
        _ => one_type(value, at).map(|one| vec![one]),
    }
}

fn one_type(value: &Value, at: &str) -> Result<Type, Invalid> {
    let found = match value {
        Value::String(alias) => by_alias(alias),
        Value::Int(_) | Value::Float(_) => integer(value).and_then(by_code),
        _ => return Err(expected("the name or number of a type", value, at)),
    };
    found.ok_or_else(|| {
        let reason = "no such type in JSON: expected double, string, object, array, bool, null, \
                      int, long or number";
        Invalid::new(at, reason)
    })
}

fn by_alias(alias: &str) -> Option<Type> {
    Some(match alias {
        "double" => Type::Double,
        "string" => Type::String,
        "object" => Type::Object,
        "array" => Type::Array,
        "bool" => Type::Bool,
        "null" => Type::Null,
        "int" => Type::Int,
        "long" => Type::Long,
        "number" => Type::Number,
        _ => return None,
    })
}

/// BSON's own numbers of types.
fn by_code(code: i64) -> Option<Type> {
    Some(match code {
        1 => Type::Double,
        2 => Type::String,
        3 => Type::Object,
        4 => Type::Array,
        8 => Type::Bool,
        10 => Type::Null,
        16 => Type::Int,
        18 => Type::Long,
        _ => return None,
    })
}

fn flag(value: &Value, at: &str) -> Result<bool, Invalid> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Int(number) => Ok(*number != 0),
        Value::Float(number) => Ok(*number != 0.0),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(expected("a boolean", value, at))
        }
    }
}

fn size(value: &Value, at: &str) -> Result<usize, Invalid> {
    integer(value)
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| expected("an integer of at least 0", value, at))
}

fn modulo(value: &Value, at: &str) -> Result<Test, Invalid> {
    let [divisor, remainder] = array(value, at)? else {
        return Err(Invalid::new(at, "expected a divisor and a remainder"));
    };
    let divisor = modulo_part(divisor, &join(at, "0"))?;
    let remainder = modulo_part(remainder, &join(at, "1"))?;
    if divisor == 0 {
        return Err(Invalid::new(join(at, "0"), "the divisor must not be 0"));
    }
    Ok(Test::Mod { divisor, remainder })
}

/// MongoDB drops the fraction here, where `$size` refuses it.
fn modulo_part(value: &Value, at: &str) -> Result<i64, Invalid> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) => truncated(*number),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
    .ok_or_else(|| expected("a number of at most 64 bits", value, at))
}

/// An integer, perhaps written with a fraction of zero.
pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) if number.fract() == 0.0 => truncated(*number),
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => None,
    }
}

/// The number without its fraction; `None` beyond 64 bits.
pub(super) fn truncated(number: f64) -> Option<i64> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    let fits = (-TWO_TO_63..TWO_TO_63).contains(&number);
    #[expect(clippy::cast_possible_truncation, reason = "only where it fits")]
    fits.then_some(number as i64)
}

fn check_depth(at: &str, depth: usize) -> Result<(), Invalid> {
    if depth > limits::FILTER_DEPTH_MAX {
        let reason = format!("nested deeper than {} levels", limits::FILTER_DEPTH_MAX);
        return Err(Invalid::new(at, reason));
    }
    Ok(())
}

/// Pairwise is cheap: what has more names than [`limits::FILTER_NODES_MAX`] is refused anyway.
fn check_names_differ(document: &Document, at: &str) -> Result<(), Invalid> {
    if document.len() > limits::FILTER_NODES_MAX + 1 {
        let reason = format!("more than {} conditions", limits::FILTER_NODES_MAX);
        return Err(Invalid::new(at, reason));
    }
    let names = || document.iter().map(|(name, _)| name);
    match names()
        .enumerate()
        .find(|(i, name)| names().take(*i).any(|other| other == *name))
    {
        Some((_, name)) => Err(Invalid::new(
            join(at, name),
            "the same name twice in one object",
        )),
        None => Ok(()),
    }
}

/// The fields of an object.
pub(super) fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Document, Invalid> {
    value
        .as_object()
        .ok_or_else(|| expected("an object", value, at))
}

/// The elements of an array.
pub(super) fn array<'a>(value: &'a Value, at: &str) -> Result<&'a [Value], Invalid> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Object(_) => Err(expected("an array", value, at)),
    }
}

/// `value` is not `what` stands at `at`.
pub(super) fn expected(what: &str, value: &Value, at: &str) -> Invalid {
    Invalid::new(at, format!("expected {what}, found {}", value.kind()))
}

fn unsupported(name: &str, at: &str) -> Invalid {
    Invalid::new(
        at,
        format!("{name} is not an operator of this filter language"),
    )
}

/// `name` below `at`; an empty `at` is the root.
pub(super) fn join(at: &str, name: &str) -> String {
    if at.is_empty() {
        return name.to_owned();
    }
    format!("{at}.{name}")
}

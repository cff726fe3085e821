//! Filters with claims in them: `{"owner": {"$claim": "sub"}}`.
//!
//! A claim is filled in as a value, where a value stands, and never as text: whatever it holds, it cannot become an
//! operator or the name of a field. A claim that is missing, or of another type than belongs there, makes the
//! condition false in which it stands:
//!
//! | where | what is false |
//! |---|---|
//! | a branch of `$or` | the branch; the others hold on |
//! | anywhere else | the whole rule |
//! | below `$not`, `$nor`, `$ne`, `$nin` | the whole rule, also inside a branch of `$or`: the negation of what is false would be true |

use super::claims::Claims;
use crate::query::Filter;
use crate::value::{Document, Invalid, Value, expect_text, join};

const CLAIM: &str = "$claim";

/// A filter in which claims are still to be filled in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template(Value);

/// Why a condition is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// This condition alone.
    Here,
    /// Its rule, whatever stands beside it.
    Everywhere,
}

impl Template {
    /// Parses a template at the path `at`: with any claims of the right types it is a filter.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub(super) fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        check(value, at)?;
        let filled = fill(value, &ClaimSource::Any, Sign::Positive).expect("any claim is there");
        Filter::parse(&filled, at)?;
        Ok(Self(value.clone()))
    }

    /// A value with claims in it at the path `at`, with something in their place.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub(super) fn sample(value: &Value, at: &str) -> Result<Value, Invalid> {
        check(value, at)?;
        let filled = fill_value(value, &ClaimSource::Any, Sign::Positive);
        Ok(filled.expect("any claim is there"))
    }

    /// The same as it would be written; `None` if a claim is missing that all of it needs.
    pub(super) fn filled(&self, claims: &Claims) -> Option<Value> {
        fill(&self.0, &ClaimSource::Of(claims), Sign::Positive).ok()
    }

    /// The filter for who has these claims.
    pub(super) fn fill(&self, claims: &Claims) -> Filter {
        let filled = self.filled(claims);
        let filter = filled.map(|filled| Filter::parse(&filled, ""));
        // Claims can make it too large: more values in a list than a filter may have.
        filter.and_then(Result::ok).unwrap_or_else(Filter::nothing)
    }
}

/// Where claims come from.
enum ClaimSource<'a> {
    /// From nobody: to see whether a template is good.
    Any,
    Of(&'a Claims),
}

impl ClaimSource<'_> {
    fn scalar(&self, path: &str) -> Option<Value> {
        match self {
            Self::Any => Some(Value::from("x")),
            Self::Of(claims) => claims.scalar(path).cloned(),
        }
    }

    fn list(&self, path: &str) -> Option<Value> {
        match self {
            Self::Any => Some(Value::Array(vec![Value::from("x")])),
            Self::Of(claims) => Some(Value::Array(claims.list(path)?.to_vec())),
        }
    }
}

/// Whether what is false here makes something true above.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Positive,
    Negative,
}

impl Sign {
    fn missing(self) -> Missing {
        match self {
            Self::Positive => Missing::Here,
            Self::Negative => Missing::Everywhere,
        }
    }
}

/// The name of the claim that stands for this value.
fn claim(value: &Value) -> Option<&str> {
    let document = value.as_object()?;
    let (name, claim) = document.iter().next().filter(|_| document.len() == 1)?;
    claim.as_str().filter(|_| name == CLAIM)
}

/// Conditions on one record; all of them hold.
fn fill(value: &Value, claims: &ClaimSource<'_>, sign: Sign) -> Result<Value, Missing> {
    let Some(conditions) = value.as_object() else {
        return Ok(value.clone());
    };
    let filled = conditions.iter().map(|(name, value)| {
        let filled = match (name, value) {
            ("$and", Value::Array(items)) => fill_all(items, claims, sign),
            ("$nor", Value::Array(items)) => fill_all(items, claims, Sign::Negative),
            ("$or", Value::Array(items)) => fill_any(items, claims, sign),
            _ => fill_field(value, claims, sign),
        };
        Ok((name, filled?))
    });
    Ok(Value::Object(filled.collect::<Result<_, Missing>>()?))
}

fn fill_all(items: &[Value], claims: &ClaimSource<'_>, sign: Sign) -> Result<Value, Missing> {
    let filled = items.iter().map(|item| fill(item, claims, sign));
    Ok(Value::Array(filled.collect::<Result<_, _>>()?))
}

/// The branches that can hold; one at least.
fn fill_any(items: &[Value], claims: &ClaimSource<'_>, sign: Sign) -> Result<Value, Missing> {
    let mut filled = Vec::with_capacity(items.len());
    for item in items {
        match fill(item, claims, sign) {
            Ok(item) => filled.push(item),
            Err(Missing::Here) => {}
            Err(Missing::Everywhere) => return Err(Missing::Everywhere),
        }
    }
    // One without branches is no filter at all, which is said where it is parsed.
    match filled.is_empty() && !items.is_empty() {
        true => Err(sign.missing()),
        false => Ok(Value::Array(filled)),
    }
}

/// What is asked of a field: a value, or operators.
fn fill_field(value: &Value, claims: &ClaimSource<'_>, sign: Sign) -> Result<Value, Missing> {
    match value {
        Value::Object(operators) if claim(value).is_none() && has_operators(operators) => {
            let filled = operators.iter().map(|(name, operand)| {
                let operand = fill_operand(name, operand, claims, sign)?;
                Ok((name, operand))
            });
            Ok(Value::Object(filled.collect::<Result<_, Missing>>()?))
        }
        _ => fill_value(value, claims, sign),
    }
}

fn has_operators(document: &Document) -> bool {
    document.iter().any(|(name, _)| name.starts_with('$'))
}

fn fill_operand(
    operator: &str,
    operand: &Value,
    claims: &ClaimSource<'_>,
    sign: Sign,
) -> Result<Value, Missing> {
    match operator {
        "$in" | "$all" => fill_list(operand, claims, sign),
        "$nin" => fill_list(operand, claims, Sign::Negative),
        "$ne" => fill_value(operand, claims, Sign::Negative),
        "$not" => fill_field(operand, claims, Sign::Negative),
        "$elemMatch" => match operand {
            Value::Object(operators) if has_operators(operators) && !has_logic(operators) => {
                fill_field(operand, claims, sign)
            }
            _ => fill(operand, claims, sign),
        },
        _ => fill_value(operand, claims, sign),
    }
}

/// Whether it begins as conditions on a record do, although it has operators.
fn has_logic(document: &Document) -> bool {
    let logic = ["$and", "$or", "$nor"];
    document.iter().any(|(name, _)| logic.contains(&name))
}

fn fill_list(operand: &Value, claims: &ClaimSource<'_>, sign: Sign) -> Result<Value, Missing> {
    if let Some(name) = claim(operand) {
        return claims.list(name).ok_or(sign.missing());
    }
    match operand {
        Value::Array(items) => {
            let filled = items.iter().map(|item| fill_field(item, claims, sign));
            Ok(Value::Array(filled.collect::<Result<_, _>>()?))
        }
        other => Ok(other.clone()),
    }
}

fn fill_value(value: &Value, claims: &ClaimSource<'_>, sign: Sign) -> Result<Value, Missing> {
    if let Some(name) = claim(value) {
        return claims.scalar(name).ok_or(sign.missing());
    }
    match value {
        Value::Array(items) => {
            let filled = items.iter().map(|item| fill_value(item, claims, sign));
            Ok(Value::Array(filled.collect::<Result<_, _>>()?))
        }
        Value::Object(document) => {
            let fields = document.iter();
            let filled = fields.map(|(name, value)| Ok((name, fill_value(value, claims, sign)?)));
            Ok(Value::Object(filled.collect::<Result<_, Missing>>()?))
        }
        scalar => Ok(scalar.clone()),
    }
}

/// Checks how claims are named and where they stand; the rest is the filter's affair.
fn check(value: &Value, at: &str) -> Result<(), Invalid> {
    match value {
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| check(item, &join(at, &index.to_string())))
        }
        Value::Object(document) if document.get(CLAIM).is_some() => check_claim(document, at),
        Value::Object(document) => document.iter().try_for_each(|(name, value)| {
            let at = join(at, name);
            if value
                .as_object()
                .is_some_and(|value| value.get(CLAIM).is_some())
                && !takes_claim(name)
            {
                let reason = format!("{name} takes no claim: it is written in the file");
                return Err(Invalid::new(at, reason));
            }
            check(value, &at)
        }),
        Value::String(text) if text.starts_with(CLAIM) => {
            let reason = r#"a claim is an object, such as {"$claim": "sub"}"#;
            Err(Invalid::new(at, reason))
        }
        _ => Ok(()),
    }
}

fn takes_claim(name: &str) -> bool {
    const OPERATORS: [&str; 9] = [
        "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$all",
    ];
    !name.starts_with('$') || OPERATORS.contains(&name)
}

fn check_claim(document: &Document, at: &str) -> Result<(), Invalid> {
    if document.len() > 1 {
        return Err(Invalid::new(at, "$claim stands alone"));
    }
    let value = document.get(CLAIM).expect("the caller has seen it");
    let at = join(at, CLAIM);
    let name = expect_text(value, &at)?;
    match name.split('.').any(str::is_empty) {
        true => Err(Invalid::new(
            at,
            "expected the name of a claim, such as sub",
        )),
        false => Ok(()),
    }
}

/// A value that is to be written, with claims in it; `None` if one is missing. A claim may be a list here.
pub(super) fn fill_fields(value: &Value, claims: &Claims) -> Option<Value> {
    if let Some(list) = claim(value).and_then(|name| claims.list(name)) {
        return Some(Value::list(list.to_vec()));
    }
    fill_value(value, &ClaimSource::Of(claims), Sign::Positive).ok()
}

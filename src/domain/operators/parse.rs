//! Parsing operators. Refuses, by name and path, what they cannot express, and what would cost too much.

use std::cmp::Ordering;

use super::{Arithmetic, Number, Operation, Operator, Operators};
use crate::domain::patch::{Path, is_number};
use crate::limits;
use crate::query::Conditions;
use crate::value::{Document, Invalid, Value, check_value, expected, join};

/// Parses `{"$set": {"a.b": …}, "$inc": …}` at the path `at`.
pub(in crate::domain) fn parse(
    data: Document,
    at: &str,
    conditions: &mut Conditions,
) -> Result<Operators, Invalid> {
    let mut parser = OperatorParser {
        operations: Vec::new(),
        claims: Vec::new(),
        values: 0,
        conditions,
    };
    for (name, fields) in data {
        let at = join(at, &name);
        let parse = operand_parser(&name).ok_or_else(|| unknown(&name, &at))?;
        let Value::Object(fields) = fields else {
            return Err(expected("an object of paths", &fields, &at));
        };
        for (path, operand) in fields {
            parser.operation(parse, &path, operand, &at)?;
        }
    }
    let mut operations = parser.operations;
    if operations.is_empty() {
        return Err(Invalid::new(at, "names no field to change"));
    }
    operations.sort_by(|a, b| compare_paths(a.target(), b.target()));
    Ok(Operators(operations))
}

/// The operators parsed so far, and what they use of the bounds.
struct OperatorParser<'a> {
    operations: Vec<Operation>,
    /// Every path that is touched, and the operator's own path in the command.
    claims: Vec<(Path, String)>,
    /// The number of values in all `$each`.
    values: usize,
    conditions: &'a mut Conditions,
}

type ParseOperand = fn(&mut OperatorParser<'_>, Value, &Path, &str) -> Result<Operator, Invalid>;

fn operand_parser(name: &str) -> Option<ParseOperand> {
    Some(match name {
        "$set" => |_, value, path, at| stored(value, path, at).map(Operator::Set),
        "$unset" => |_, _, _, _| Ok(Operator::Unset),
        "$inc" => |_, value, _, at| calculate(Arithmetic::Add, &value, at),
        "$mul" => |_, value, _, at| calculate(Arithmetic::Multiply, &value, at),
        "$min" => |_, value, path, at| {
            stored(value, path, at).map(|value| Operator::Bound(Ordering::Less, value))
        },
        "$max" => |_, value, path, at| {
            stored(value, path, at).map(|value| Operator::Bound(Ordering::Greater, value))
        },
        "$push" => |parser, value, path, at| parser.elements(value, path, at).map(Operator::Push),
        "$addToSet" => {
            |parser, value, path, at| parser.elements(value, path, at).map(Operator::AddToSet)
        }
        "$pull" => |parser, value, _, at| parser.conditions.read(&value, at).map(Operator::Pull),
        "$rename" => |parser, target, _, at| parser.rename(&target, at),
        _ => return None,
    })
}

fn unknown(name: &str, at: &str) -> Invalid {
    if !name.starts_with('$') {
        return Invalid::new(at, "operators and plain fields cannot stand side by side");
    }
    let known = "expected $set, $unset, $inc, $mul, $min, $max, $push, $addToSet, $pull or $rename";
    Invalid::new(at, format!("{name} is not an operator of updates: {known}"))
}

impl OperatorParser<'_> {
    fn operation(
        &mut self,
        parse: ParseOperand,
        path: &str,
        operand: Value,
        at: &str,
    ) -> Result<(), Invalid> {
        let at = join(at, path);
        let path = parse_path(path, &at)?;
        self.claim(&path, &at)?;
        let operator = parse(self, operand, &path, &at)?;
        self.operations.push(Operation { path, operator, at });
        Ok(())
    }

    fn claim(&mut self, path: &Path, at: &str) -> Result<(), Invalid> {
        let claimed = self.claims.iter().find(|(other, _)| other.overlaps(path));
        if let Some((other, by)) = claimed {
            let reason = format!("{path} conflicts with {other}, which {by} touches");
            return Err(Invalid::new(at, reason));
        }
        if self.claims.len() == limits::UPDATE_PATHS_MAX {
            let reason = format!("more than {} paths in one update", limits::UPDATE_PATHS_MAX);
            return Err(Invalid::new(at, reason));
        }
        self.claims.push((path.clone(), at.to_owned()));
        Ok(())
    }

    fn rename(&mut self, target: &Value, at: &str) -> Result<Operator, Invalid> {
        let text = target.as_str();
        let text = text.ok_or_else(|| expected("a path as a string", target, at))?;
        let target = parse_path(text, at)?;
        self.claim(&target, at)?;
        Ok(Operator::Rename(target))
    }

    /// The values that `$push` and `$addToSet` add: the operand, or those of its `$each`.
    fn elements(&mut self, operand: Value, path: &Path, at: &str) -> Result<Vec<Value>, Invalid> {
        let depth = path.depth() + 1;
        check_value(&Value::Array(Vec::new()), at, depth)?;
        match operand {
            Value::Object(modifiers) if modifiers.iter().any(|(name, _)| name.starts_with('$')) => {
                let values = self.each(modifiers, at)?;
                let at = join(at, "$each");
                for (index, value) in values.iter().enumerate() {
                    check_value(value, &join(&at, &index.to_string()), depth + 1)?;
                }
                Ok(values)
            }
            value => {
                check_value(&value, at, depth + 1)?;
                Ok(vec![value])
            }
        }
    }

    fn each(&mut self, modifiers: Document, at: &str) -> Result<Vec<Value>, Invalid> {
        let mut each = None;
        for (name, operand) in modifiers {
            let at = join(at, &name);
            match (name.as_str(), operand) {
                ("$each", Value::Array(values)) => each = Some((values, at)),
                ("$each", other) => return Err(expected("an array", &other, &at)),
                _ => return Err(Invalid::new(at, "only $each can stand here")),
            }
        }
        let (values, at) = each.expect("a name begins with $, and every other name is refused");
        self.values += values.len();
        if self.values > limits::UPDATE_VALUES_MAX {
            let most = limits::UPDATE_VALUES_MAX;
            let reason = format!("more than {most} values in the lists of one update");
            return Err(Invalid::new(at, reason));
        }
        Ok(values)
    }
}

fn parse_path(text: &str, at: &str) -> Result<Path, Invalid> {
    Path::parse(text).map_err(|reason| Invalid::new(at, reason))
}

/// A value to be stored at `path`.
fn stored(value: Value, path: &Path, at: &str) -> Result<Value, Invalid> {
    check_value(&value, at, path.depth() + 1)?;
    Ok(value)
}

fn calculate(arithmetic: Arithmetic, operand: &Value, at: &str) -> Result<Operator, Invalid> {
    let number = Number::of(operand).ok_or_else(|| expected("a number", operand, at))?;
    Ok(Operator::Calculate(arithmetic, number))
}

/// MongoDB's order of paths, in which new fields are appended: by name, or numerically if both are numbers.
fn compare_paths(a: &Path, b: &Path) -> Ordering {
    let (a, b) = (a.as_str().split('.'), b.as_str().split('.'));
    a.zip(b)
        .map(|(a, b)| match is_number(a) && is_number(b) {
            true => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            false => a.cmp(b),
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

//! Parsing a filter: from JSON to its tree.
//!
//! Refuses, by name and path, everything that the tree cannot express, and everything that would cost too much: the
//! bounds of filters (`limits::FILTER_*`, `limits::REGEX_*`) are enforced here and nowhere else. `operand` parses the
//! operands of operators.

mod operand;
#[cfg(test)]
mod tests;

use super::path::FieldPath;
use super::pattern::Pattern;
use super::tree::{Clause, ElementTest, FilterNode, Relation, Test};
use crate::limits;
use crate::value::{Document, Invalid, Value, compare, expect_array, expect_object, join};
use operand::{flag, literal, modulo, size, types};

/// Parses the filter at the path `at`; also returns the bytes that its patterns take.
pub(super) fn filter(value: &Value, at: &str) -> Result<(FilterNode, usize), Invalid> {
    let mut parser = FilterParser::default();
    let node = parser.filter(value, at, 1)?;
    Ok((node, parser.pattern_bytes))
}

/// Parses the condition on an element at the path `at`; also returns how many patterns are in it.
pub(super) fn element(value: &Value, at: &str) -> Result<(ElementTest, usize), Invalid> {
    let mut parser = FilterParser::default();
    let test = match value {
        Value::Object(document) if has_fields(document) => {
            ElementTest::Fields(parser.filter(value, at, 1)?)
        }
        Value::Object(operators) if operators.iter().next().is_some_and(|(n, _)| n == "$not") => {
            let reason = "$not cannot come first here, as in MongoDB: negate fields with $nor";
            return Err(Invalid::new(join(at, "$not"), reason));
        }
        Value::Object(operators) => ElementTest::Operators(parser.operators(operators, at, 1)?),
        _ => ElementTest::Equal(literal(value, at)?),
    };
    Ok((test, parser.patterns))
}

/// What the filter has used of its bounds so far.
#[derive(Default)]
struct FilterParser {
    nodes: usize,
    values: usize,
    patterns: usize,
    pattern_bytes: usize,
}

/// Conditions on one record: `{"a": …, "b": …, "$or": […]}`.
impl FilterParser {
    fn filter(&mut self, value: &Value, at: &str, depth: usize) -> Result<FilterNode, Invalid> {
        check_depth(at, depth)?;
        let document = expect_object(value, at)?;
        if document.is_empty() {
            self.count_node(at)?;
        }
        let entries = document.iter();
        let nodes = entries.map(|(name, value)| self.entry(name, value, &join(at, name), depth));
        let mut nodes: Vec<FilterNode> = nodes.collect::<Result<_, _>>()?;
        // Of ten thousand filters each level is one more place of memory to go to.
        Ok(match nodes.len() {
            1 => nodes.remove(0),
            _ => FilterNode::And(nodes),
        })
    }

    fn entry(
        &mut self,
        name: &str,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<FilterNode, Invalid> {
        match name {
            "$and" => self.branches(value, at, depth).map(FilterNode::And),
            "$or" => self.branches(value, at, depth).map(FilterNode::Or),
            "$nor" => self.branches(value, at, depth).map(FilterNode::Nor),
            _ if name.starts_with('$') => Err(unsupported(name, at)),
            _ => Ok(FilterNode::Field {
                path: FieldPath::parse(name, at)?,
                clauses: self.field(value, at, depth)?,
            }),
        }
    }

    fn branches(
        &mut self,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Vec<FilterNode>, Invalid> {
        self.count_node(at)?;
        let items = expect_array(value, at)?;
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

/// Conditions on one field.
impl FilterParser {
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
        self.patterns += 1;
        let pattern = Pattern::parse(value, operators.get("$options"), at)?;
        self.pattern_bytes += pattern.approx_bytes();
        if self.pattern_bytes > limits::FILTER_PATTERN_BYTES_MAX {
            let most = limits::FILTER_PATTERN_BYTES_MAX / 1024 / 1024;
            let reason = format!("the patterns of one filter need more than {most} MiB of memory");
            return Err(Invalid::new(join(at, "$regex"), reason));
        }
        Ok(Clause::Is(Test::Regex(pattern)))
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
        let items = expect_array(value, at)?;
        self.count_values(items.len(), at)?;
        let mut values = items
            .iter()
            .enumerate()
            .map(|(index, item)| literal(item, &join(at, &index.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        values.sort_by(|a, b| compare(a.borrow(), b.borrow()));
        Ok(Test::In(values))
    }

    /// Either values or `$elemMatch`es: MongoDB refuses a mixture too.
    fn all(&mut self, value: &Value, at: &str, depth: usize) -> Result<Vec<Test>, Invalid> {
        let items = expect_array(value, at)?;
        self.count_values(items.len(), at)?;
        let are_conditions = items
            .first()
            .is_some_and(|item| element_match(item).is_some());
        items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let at = join(at, &index.to_string());
                match element_match(item) {
                    Some(inner) if are_conditions => {
                        self.count_node(&at)?;
                        self.element(inner, &join(&at, "$elemMatch"), depth)
                    }
                    None if are_conditions => Err(Invalid::new(at, "expected another $elemMatch")),
                    _ => literal(item, &at).map(|value| Test::Compare(Relation::Equal, value)),
                }
            })
            .collect()
    }

    fn element(&mut self, value: &Value, at: &str, depth: usize) -> Result<Test, Invalid> {
        let document = expect_object(value, at)?;
        if has_fields(document) {
            let node = self.filter(value, at, depth + 1)?;
            return Ok(Test::ElementWhere(Box::new(node)));
        }
        check_depth(at, depth + 1)?;
        self.operators(document, at, depth + 1)
            .map(Test::ElementThat)
    }

    fn not(&mut self, value: &Value, at: &str, depth: usize) -> Result<Vec<Clause>, Invalid> {
        check_depth(at, depth + 1)?;
        let document = expect_object(value, at)?;
        if document.is_empty() {
            return Err(Invalid::new(at, "expected an operator"));
        }
        self.operators(document, at, depth + 1)
    }
}

fn has_operators(document: &Document) -> bool {
    document.iter().any(|(name, _)| name.starts_with('$'))
}

/// Whether these are conditions on fields, not operators: the first name decides, as in MongoDB.
fn has_fields(document: &Document) -> bool {
    let mut names = document.iter().map(|(name, _)| name);
    names
        .next()
        .is_none_or(|first| !first.starts_with('$') || is_logical(first))
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

fn check_depth(at: &str, depth: usize) -> Result<(), Invalid> {
    if depth > limits::FILTER_DEPTH_MAX {
        let reason = format!("nested deeper than {} levels", limits::FILTER_DEPTH_MAX);
        return Err(Invalid::new(at, reason));
    }
    Ok(())
}

fn unsupported(name: &str, at: &str) -> Invalid {
    Invalid::new(
        at,
        format!("{name} is not an operator of this filter language"),
    )
}

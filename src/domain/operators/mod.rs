//! Update operators: MongoDB's, decided here once for every store.
//!
//! No two operators of an update touch the same path, so each is decided on the event before the update. Their effect
//! is a [`Patch`] of values: the log and the wire never see operators.

mod number;
mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::patch::{Patch, PatchError, Path};
use crate::limits;
use crate::query::ElementCondition;
use crate::value::{Document, Invalid, Steps, TooCostly, Value, compare};
use number::{Arithmetic, Number};

pub(super) use parse::parse;

/// The operators of one update, in the order of their paths; no two paths overlap.
#[derive(Debug, Clone)]
pub(super) struct Operators(Vec<Operation>);

/// One operator on one path.
#[derive(Debug, Clone)]
struct Operation {
    path: Path,
    operator: Operator,
    /// Its path in the command.
    at: String,
}

#[derive(Debug, Clone)]
enum Operator {
    Set(Value),
    Unset,
    Calculate(Arithmetic, Number),
    /// `$min`/`$max`: the operand replaces the current value if it compares to it as this `Ordering`.
    Bound(Ordering, Value),
    Push(Vec<Value>),
    AddToSet(Vec<Value>),
    Pull(ElementCondition),
    /// To this path.
    Rename(Path),
}

impl Operators {
    /// Their effect on a document.
    ///
    /// # Errors
    /// The operator that cannot be applied, with its path in the command.
    pub(super) fn effect(&self, before: &Document, steps: &Steps) -> Result<Patch, Misfit> {
        let mut patch = Patch::default();
        for operation in &self.0 {
            let decided = operation.decide(before, &mut patch, steps);
            decided.map_err(|reason| reason.at(&operation.at))?;
        }
        Ok(patch)
    }

    /// The paths that they read or set.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().flat_map(|operation| {
            let target = Some(operation.target()).filter(|target| **target != operation.path);
            [Some(&operation.path), target].into_iter().flatten()
        })
    }

    /// The path in the command of the operator that sets this path.
    pub(super) fn position_of(&self, path: &Path) -> Option<&str> {
        let operation = self.0.iter().find(|operation| operation.target() == path)?;
        Some(&operation.at)
    }

    /// Roughly the bytes of memory that they take beside those of their operands: compiled patterns.
    pub(super) fn approx_condition_bytes(&self) -> usize {
        let conditions = self.0.iter().map(|operation| match &operation.operator {
            Operator::Pull(condition) => condition.approx_bytes(),
            _ => 0,
        });
        conditions.sum()
    }
}

/// Why an operator cannot be applied, with its path in the command.
#[derive(Debug)]
pub(super) enum Misfit {
    /// The current value is not of the kind that the operator needs.
    DoesNotFit(Invalid),
    /// Its condition takes too many steps.
    TooCostly(Invalid),
}

/// The same without the path.
enum MisfitReason {
    DoesNotFit(String),
    TooCostly(TooCostly),
}

impl MisfitReason {
    fn at(self, at: &str) -> Misfit {
        match self {
            Self::DoesNotFit(reason) => Misfit::DoesNotFit(Invalid::new(at, reason)),
            Self::TooCostly(costly) => Misfit::TooCostly(Invalid::new(at, costly.to_string())),
        }
    }
}

impl From<String> for MisfitReason {
    fn from(reason: String) -> Self {
        Self::DoesNotFit(reason)
    }
}

impl From<TooCostly> for MisfitReason {
    fn from(costly: TooCostly) -> Self {
        Self::TooCostly(costly)
    }
}

impl Operation {
    /// The path that it sets.
    fn target(&self) -> &Path {
        match &self.operator {
            Operator::Rename(target) => target,
            _ => &self.path,
        }
    }

    /// Adds its effect to `patch`: nothing if the event would not change.
    fn decide(
        &self,
        before: &Document,
        patch: &mut Patch,
        steps: &Steps,
    ) -> Result<(), MisfitReason> {
        let location = self.path.find(before);
        match &self.operator {
            Operator::Unset => {
                if location.is_ok_and(|location| location.value.is_some()) {
                    patch.unset.push(self.path.clone());
                }
            }
            Operator::Rename(target) => self.rename(target, before, patch)?,
            operator => {
                let current = location.map_err(|error| error.to_string())?.value;
                if let Some(value) = operator.value_after(current, steps)? {
                    patch.set.push((self.path.clone(), value));
                }
            }
        }
        Ok(())
    }

    fn rename(&self, target: &Path, before: &Document, patch: &mut Patch) -> Result<(), String> {
        let reason = |error: PatchError| error.to_string();
        let from = self.path.find(before).map_err(reason)?;
        let Some(value) = from.value else {
            return Ok(());
        };
        let to = target.find(before).map_err(reason)?;
        for (path, location) in [(&self.path, from), (target, to)] {
            if location.is_in_array {
                return Err(format!("cannot rename {path}: it leads through an array"));
            }
        }
        if target.depth() + value.depth() > limits::DOCUMENT_DEPTH_MAX {
            let deepest = limits::DOCUMENT_DEPTH_MAX;
            return Err(format!("{target} would nest deeper than {deepest} levels"));
        }
        patch.set.push((target.clone(), value.clone()));
        patch.unset.push(self.path.clone());
        Ok(())
    }
}

impl Operator {
    /// The new value; `None` if nothing changes.
    fn value_after(
        &self,
        current: Option<&Value>,
        steps: &Steps,
    ) -> Result<Option<Value>, MisfitReason> {
        match self {
            Self::Set(value) => Ok(Some(value.clone())),
            Self::Calculate(arithmetic, operand) => {
                let result = arithmetic.apply(current, *operand)?;
                Ok(Some(result).filter(|result| Some(result) != current))
            }
            Self::Bound(wanted, operand) => {
                let replaces = current
                    .is_none_or(|current| compare(operand.borrow(), current.borrow()) == *wanted);
                Ok(replaces.then(|| operand.clone()))
            }
            Self::Push(values) => Ok(appended(current, elements(current)?, values.iter())),
            Self::AddToSet(values) => {
                let items = elements(current)?;
                Ok(appended(current, items, missing(items, values).into_iter()))
            }
            Self::Pull(condition) => {
                let items = elements(current)?;
                let mut kept = Vec::new();
                for item in items {
                    if !condition.holds(item, steps)? {
                        kept.push(item.clone());
                    }
                }
                Ok((kept.len() < items.len()).then_some(Value::Array(kept)))
            }
            Self::Unset | Self::Rename(_) => Ok(None),
        }
    }
}

/// The elements of the current array; none if the value is missing.
fn elements(current: Option<&Value>) -> Result<&[Value], String> {
    match current {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(format!("needs an array, found {}", other.kind())),
    }
}

/// The array with more elements at its end; `None` if there are none to add. A missing value becomes an array even
/// then.
fn appended<'a>(
    current: Option<&Value>,
    items: &'a [Value],
    more: impl ExactSizeIterator<Item = &'a Value>,
) -> Option<Value> {
    if current.is_some() && more.len() == 0 {
        return None;
    }
    Some(Value::Array(items.iter().chain(more).cloned().collect()))
}

/// Those of `values` that are not among `items`, each once, in their order. The set is of `values`, which are few,
/// because the array may be as large as an event.
fn missing<'a>(items: &[Value], values: &'a [Value]) -> Vec<&'a Value> {
    let mut new: BTreeSet<Ordered<'_>> = values.iter().map(Ordered).collect();
    for item in items {
        new.remove(&Ordered(item));
    }
    let wanted = values.iter().filter(|value| new.remove(&Ordered(value)));
    wanted.collect()
}

/// A value with the total order of values, as a member of a set.
struct Ordered<'a>(&'a Value);

impl Ord for Ordered<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.0.borrow(), other.0.borrow())
    }
}

impl PartialOrd for Ordered<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered<'_> {}

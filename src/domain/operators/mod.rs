//! Update operators: MongoDB's, decided here once for every store.
//!
//! The operators of an update touch different paths, so each is decided on the event as it was. What
//! they come to is a [`Patch`] of values, which is all that the log and the wire know of them.

mod number;
mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::patch::{Patch, PatchError, Path};
use crate::limits;
use crate::query::ElementCondition;
use crate::value::Invalid;
use crate::value::compare;
use crate::value::{Document, Value};
use crate::value::{Steps, TooCostly};
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
    /// Where it stands in the command.
    at: String,
}

#[derive(Debug, Clone)]
enum Operator {
    Set(Value),
    Unset,
    Calculate(Arithmetic, Number),
    /// `$min` and `$max`: the operand replaces what it is this to.
    Bound(Ordering, Value),
    Push(Vec<Value>),
    AddToSet(Vec<Value>),
    Pull(ElementCondition),
    /// `$rename`, to this path.
    Rename(Path),
}

impl Operators {
    /// What they do to a document.
    ///
    /// # Errors
    /// The operator that does not fit, by where it stands in the command.
    pub(super) fn effect(&self, before: &Document, steps: &Steps) -> Result<Patch, Misfit> {
        let mut patch = Patch::default();
        for operation in &self.0 {
            let decided = operation.decide(before, &mut patch, steps);
            decided.map_err(|why| why.at(&operation.at))?;
        }
        Ok(patch)
    }

    /// Where the operator that sets this path stands in the command.
    pub(super) fn place_of(&self, path: &Path) -> Option<&str> {
        let operation = self.0.iter().find(|operation| operation.target() == path)?;
        Some(&operation.at)
    }

    /// Roughly the bytes they keep that their operands do not show.
    pub(super) fn weight_of_conditions(&self) -> usize {
        let conditions = self.0.iter().map(|operation| match &operation.operator {
            Operator::Pull(condition) => condition.weight(),
            _ => 0,
        });
        conditions.sum()
    }
}

/// Why an update cannot be decided, and by which of its operators.
#[derive(Debug)]
pub(super) enum Misfit {
    /// What stands there is not what the operator needs.
    DoesNotFit(Invalid),
    /// Its condition takes too many steps.
    TooCostly(Invalid),
}

/// The same of one operator.
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
    /// Where it leaves a value, if it does.
    fn target(&self) -> &Path {
        match &self.operator {
            Operator::Rename(target) => target,
            _ => &self.path,
        }
    }

    /// Adds what it does to `patch`; nothing, if everything is already as it should be.
    fn decide(
        &self,
        before: &Document,
        patch: &mut Patch,
        steps: &Steps,
    ) -> Result<(), MisfitReason> {
        let place = self.path.find(before);
        match &self.operator {
            Operator::Unset => {
                if place.is_ok_and(|place| place.value.is_some()) {
                    patch.unset.push(self.path.clone());
                }
            }
            Operator::Rename(target) => self.rename(target, before, patch)?,
            operator => {
                let current = place.map_err(|error| error.to_string())?.value;
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
        for (path, place) in [(&self.path, from), (target, to)] {
            if place.is_in_array {
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
    /// The value that stands there afterwards; `None` if it is the one that does now, or none.
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

/// The elements of the array that stands there; none where nothing does.
fn elements(current: Option<&Value>) -> Result<&[Value], String> {
    match current {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(format!("needs an array, found {}", other.kind())),
    }
}

/// The array with more at its end. What was missing becomes an array even if nothing is added.
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

/// Those of `values` that are not among `items`, each once, in their order. Looked up by the few that are
/// new, because the array may be as large as an event.
fn missing<'a>(items: &[Value], values: &'a [Value]) -> Vec<&'a Value> {
    let mut new: BTreeSet<Ordered<'_>> = values.iter().map(Ordered).collect();
    for item in items {
        new.remove(&Ordered(item));
    }
    let wanted = values.iter().filter(|value| new.remove(&Ordered(value)));
    wanted.collect()
}

/// A value that stands in a set by the order of all values.
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

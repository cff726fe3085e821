//! What `$pull` asks of the elements of an array.
//!
//! It is asked in the language of filters, of which the domain knows nothing: whoever reads a command
//! hands in who can read conditions.

use std::fmt;
use std::sync::Arc;

use crate::domain::document::Invalid;
use crate::domain::steps::{Steps, TooCostly};
use crate::domain::value::Value;

/// A question about one element, read and checked.
pub trait Condition: fmt::Debug + Send + Sync {
    /// Whether the element is meant.
    ///
    /// # Errors
    /// If there are not enough steps to tell.
    fn holds(&self, element: &Value, steps: &Steps) -> Result<bool, TooCostly>;

    /// Roughly the bytes it keeps that its text does not show.
    fn weight(&self) -> usize;
}

/// Someone who knows the language of conditions. One reads all of an order, and bounds them together.
pub trait ReadCondition {
    /// Reads a condition that stands `at`.
    ///
    /// # Errors
    /// The first offender, with its path.
    fn read(&mut self, operand: &Value, at: &str) -> Result<Arc<dyn Condition>, Invalid>;
}

/// For tests of commands without conditions.
#[cfg(test)]
pub(in crate::domain) struct NoConditions;

#[cfg(test)]
impl ReadCondition for NoConditions {
    fn read(&mut self, _: &Value, at: &str) -> Result<Arc<dyn Condition>, Invalid> {
        panic!("{at} is a condition")
    }
}

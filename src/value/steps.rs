//! A budget of steps: how much work it may take to match, sort or update one document, counted while it is done.

use std::cell::Cell;
use std::convert::Infallible;

/// A budget of steps. One step is about what a look at one value takes: a few nanoseconds.
#[derive(Debug)]
pub struct Steps {
    bound: u64,
    left: Cell<u64>,
}

/// The work takes more steps than the budget has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("judging one event takes this filter or sort more than it may")]
pub struct TooCostly;

impl Steps {
    /// A budget of this many steps.
    pub fn new(bound: u64) -> Self {
        Self {
            bound,
            left: Cell::new(bound),
        }
    }

    /// For work that delays nobody else.
    pub fn unbounded() -> Self {
        Self::new(u64::MAX)
    }

    /// How many steps are left.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// How many steps were taken.
    pub fn taken(&self) -> u64 {
        self.bound - self.left.get()
    }

    /// Takes steps that were counted in another budget, or all that are left.
    pub fn spend(&self, steps: u64) {
        self.left.set(self.left.get().saturating_sub(steps));
    }

    /// Takes steps.
    ///
    /// # Errors
    /// If there are fewer left. Then none are left.
    #[inline]
    pub fn take(&self, steps: u64) -> Result<(), TooCostly> {
        match self.left.get().checked_sub(steps) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(TooCostly)
            }
        }
    }
}

/// Counts the steps of a comparison: in a budget that may run out, or not at all.
pub(super) trait StepCounter {
    type Over;

    fn count(&self, steps: usize) -> Result<(), Self::Over>;
}

/// Counts nothing.
pub(super) struct Uncounted;

impl StepCounter for Uncounted {
    type Over = Infallible;

    #[inline]
    fn count(&self, _: usize) -> Result<(), Infallible> {
        Ok(())
    }
}

impl StepCounter for Steps {
    type Over = TooCostly;

    #[inline]
    fn count(&self, steps: usize) -> Result<(), TooCostly> {
        self.take(steps as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_run_out_exactly_and_stay_so() {
        let steps = Steps::new(3);
        assert_eq!((steps.take(2), steps.taken()), (Ok(()), 2));
        assert_eq!((steps.take(1), steps.left()), (Ok(()), 0));
        assert_eq!((steps.take(1), steps.take(0)), (Err(TooCostly), Ok(())));
    }
}

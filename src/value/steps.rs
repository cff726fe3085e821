//! How much work a question about a document may take, counted while it is answered.

use std::cell::Cell;
use std::convert::Infallible;

/// Steps that are left. One is about what looking at one value takes: a few nanoseconds.
#[derive(Debug)]
pub struct Steps {
    bound: u64,
    left: Cell<u64>,
}

/// The question would take more steps than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("judging one event takes this filter or sort more than it may")]
pub struct TooCostly;

impl Steps {
    /// As many as this.
    pub fn new(bound: u64) -> Self {
        Self {
            bound,
            left: Cell::new(bound),
        }
    }

    /// For questions that nobody waits behind.
    pub fn unbounded() -> Self {
        Self::new(u64::MAX)
    }

    /// How many are left.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// How many were taken.
    pub fn taken(&self) -> u64 {
        self.bound - self.left.get()
    }

    /// Takes some that were needed elsewhere, or all that are left.
    pub fn spend(&self, steps: u64) {
        self.left.set(self.left.get().saturating_sub(steps));
    }

    /// Takes some.
    ///
    /// # Errors
    /// If there are not so many; then none are left.
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

/// What comparing counts on: steps that may run out, or nothing.
pub(super) trait StepCounter {
    type Over;

    fn count(&self, steps: usize) -> Result<(), Self::Over>;
}

/// Counts nothing.
pub(super) struct Free;

impl StepCounter for Free {
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

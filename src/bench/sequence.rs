//! Checks that numbers arrive once each, in order, as every session is promised.

use std::mem::take;

/// The numbers of one session.
#[derive(Debug)]
pub(super) struct Sequence {
    next: u64,
    missing: u64,
    repeated: u64,
}

impl Sequence {
    /// A sequence whose last known number is `last`.
    pub(super) fn after(last: u64) -> Self {
        Self {
            next: last + 1,
            missing: 0,
            repeated: 0,
        }
    }

    pub(super) fn see(&mut self, number: u64) {
        if number < self.next {
            self.repeated += 1;
            return;
        }
        self.missing += number - self.next;
        self.next = number + 1;
    }

    pub(super) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Numbers skipped, and numbers that came again or too late, since the last call.
    pub(super) fn take_faults(&mut self) -> (u64, u64) {
        (take(&mut self.missing), take(&mut self.repeated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_repeats_are_counted() {
        let mut sequence = Sequence::after(10);
        for number in [11, 12, 15, 15, 13, 16] {
            sequence.see(number);
        }
        assert_eq!(sequence.take_faults(), (2, 2));
        assert_eq!(sequence.last(), 16);
    }

    #[test]
    fn an_unbroken_sequence_has_no_faults() {
        let mut sequence = Sequence::after(0);
        (1..100).for_each(|number| sequence.see(number));
        assert_eq!(sequence.take_faults(), (0, 0));
    }
}

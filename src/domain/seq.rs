//! Positions in the log.

use std::fmt;

use serde::Serialize;

use crate::value::Value;

/// A change's position in the log: 1, 2, 3 … without a gap. [`Seq::ZERO`] is the position before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    /// Before the first change: the head of an empty log.
    pub const ZERO: Self = Self(0);

    /// Every reader of JSON tells integers up to here apart.
    const STORED_MAX: u64 = 1 << 53;

    /// The seq with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The seq that is stored as this number; `None` beyond 2^53. No log grows so long, so only damage can exceed it,
    /// and below it the arithmetic of seqs cannot overflow.
    pub const fn stored(number: u64) -> Option<Self> {
        if number > Self::STORED_MAX {
            return None;
        }
        Some(Self(number))
    }

    /// The seq that a client wrote: an integer of at least 0.
    pub fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(number @ 0..) => Some(Self(number.cast_unsigned())),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The seq of the change `count` further on.
    pub const fn plus(self, count: usize) -> Self {
        Self(self.0 + count as u64)
    }

    /// The seq before this one; [`Seq::ZERO`] before itself.
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Whether these are the ones that directly follow this one, each the next; also of none.
    pub fn is_followed_by(self, seqs: impl IntoIterator<Item = Self>) -> bool {
        let mut last = self;
        seqs.into_iter().all(|seq| {
            last = last.next();
            seq == last
        })
    }

    /// The seq after this one.
    pub const fn next(self) -> Self {
        self.plus(1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_does_so_directly() {
        let follows = |seqs: &[u64]| Seq::new(7).is_followed_by(seqs.iter().copied().map(Seq::new));
        assert!(follows(&[]) && follows(&[8]) && follows(&[8, 9, 10]));
        for torn in [&[7][..], &[9], &[8, 10], &[8, 8]] {
            assert!(!follows(torn), "{torn:?}");
        }
    }
}

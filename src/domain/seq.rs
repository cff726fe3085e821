//! Positions in the log.

use std::fmt;

use serde::Serialize;

/// A change's place in the log: 1, 2, 3 … without a gap. [`Seq::ZERO`] is the place before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    /// Before the first change: the head of an empty log.
    pub const ZERO: Self = Self(0);

    const STORED_MAX: u64 = 1 << 53;

    /// The place with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The place that is stored as this number. Beyond 2^53 there is none: no log comes so far, the arithmetic of
    /// places stays within 64 bits, and every reader of JSON tells them apart.
    pub const fn stored(number: u64) -> Option<Self> {
        if number > Self::STORED_MAX {
            return None;
        }
        Some(Self(number))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place `count` further on.
    pub const fn plus(self, count: usize) -> Self {
        Self(self.0 + count as u64)
    }

    /// The place before this one; before the first there is none but [`Seq::ZERO`].
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The place after this one.
    pub const fn next(self) -> Self {
        self.plus(1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

//! How many records match.

/// How many records a filter matches, as far as they were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many, and no more.
    Exactly(u64),
    /// So many and perhaps more: it would have taken too much work to count them all.
    AtLeast(u64),
}

impl Count {
    /// The count once another record matches.
    #[must_use]
    pub fn and_one(self) -> Self {
        self.moved(|count| count + 1)
    }

    /// The count once one record less matches: of those counted, or of the others. So the least is less too.
    #[must_use]
    pub fn less_one(self) -> Self {
        self.moved(|count| count.saturating_sub(1))
    }

    fn moved(self, by: impl FnOnce(u64) -> u64) -> Self {
        match self {
            Self::Exactly(count) => Self::Exactly(by(count)),
            Self::AtLeast(count) => Self::AtLeast(by(count)),
        }
    }
}

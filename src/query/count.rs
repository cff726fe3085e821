//! How many records match.

/// How many records a filter matches, as far as they were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many, and no more.
    Exactly(u64),
    /// So many and perhaps more: it would have taken too much work to count them all.
    AtLeast(u64),
}

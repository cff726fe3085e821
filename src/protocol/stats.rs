//! Stats: how many events have each value of a field, and what another field sums up to.

use super::fetch::Fetch;
use crate::query::Grouping;
use crate::value::{Document, Invalid};

/// A request for stats.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Which events, and as of when.
    pub fetch: Fetch,
    /// By which field they are grouped, and which is summed up.
    pub grouping: Grouping,
}

impl Stats {
    /// The names that [`parse`](Self::parse) reads.
    pub const NAMES: [&str; 5] = ["group", "sum", "filter", "minSeq", "at"];

    /// Reads the values of [`NAMES`](Self::NAMES); the caller checks that there are no others. `at` is the path of
    /// `params`, e.g. `query`.
    ///
    /// # Errors
    /// The first error, with its path.
    pub fn parse(params: &Document, at: &'static str) -> Result<Self, Invalid> {
        Ok(Self {
            fetch: Fetch::parse(params, at)?,
            grouping: Grouping::parse(params, at)?,
        })
    }
}

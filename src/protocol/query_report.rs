//! What answering a query takes, as clients are told.

use serde::Serialize;

/// What answering a query takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryReport {
    /// `ids`, `index`, `order`, `scan` or `database`.
    pub plan: &'static str,
    /// The indexes that it uses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<String>,
    /// Entries of indexes that were read.
    pub keys_examined: u64,
    /// Events that were read and judged.
    pub events_examined: u64,
    /// Events of the answer, up to its limit.
    pub found: usize,
    /// How long the store worked.
    pub milliseconds: f64,
    /// The index that would have spared looking at all events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_help: Option<String>,
}

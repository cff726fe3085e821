//! The ways in which a store says no, and what each means to those above.

use std::fmt;

use crate::domain::Seq;
use crate::value::TooCostly;

/// Why the store did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or did not answer in time. Worth trying again.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk has no room for it: certainly not written. Writing goes on when there is room.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The disk takes no writes: certainly not written. Writing goes on when it does.
    #[error("the disk cannot be written: {0}")]
    Unwritable(String),
    /// A query took longer than [`crate::limits::QUERY_DEADLINE`].
    #[error("the query took too long")]
    QueryTooSlow,
    /// One event would take the query more than [`crate::limits::MATCH_STEPS_MAX`].
    #[error(transparent)]
    FilterTooSlow(#[from] TooCostly),
    /// An event of an answer was erased while the answer was read. Asked again, it is answered without.
    #[error("an event was erased while this was read: begin again")]
    Erased,
    /// What is stored cannot be what livelog wrote: it stays so, however often it is read. `at` says where.
    #[error("the store is corrupt at {at}: {reason}")]
    #[expect(missing_docs, reason = "the message says it")]
    Corrupt { at: Spot, reason: String },
    /// It refuses, and would again.
    #[error("the store refused: {0}")]
    Refused(String),
}

/// Where something is stored that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// An entry of the log.
    Log(Seq),
    /// Anywhere else, in words.
    Other(String),
}

impl fmt::Display for Spot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(seq) => write!(formatter, "log {seq}"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

impl From<Seq> for Spot {
    fn from(seq: Seq) -> Self {
        Self::Log(seq)
    }
}

impl From<&str> for Spot {
    fn from(text: &str) -> Self {
        Self::Other(text.to_owned())
    }
}

impl From<String> for Spot {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

impl StoreError {
    /// What kind of error it is, in a word for whoever counts.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Full(_) => "full",
            Self::Unwritable(_) => "unwritable",
            Self::QueryTooSlow => "query_too_slow",
            Self::FilterTooSlow(_) => "filter_too_slow",
            Self::Corrupt { .. } => "corrupt",
            Self::Erased => "erased",
            Self::Refused(_) => "refused",
        }
    }
}

/// Why broadcasts are not known to be sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// None was sent, certainly.
    #[error(transparent)]
    Failed(#[from] StoreError),
    /// They may or may not have been sent.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

/// Why a batch is not known to be appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written: the head is beyond `batch.after`.
    #[error("the log has moved on")]
    Moved,
    /// Nothing was written: the view was rebuilt, so what was loaded from the old one may be wrong.
    #[error("the view was replaced")]
    Replaced,
    /// Nothing was written, certainly.
    #[error(transparent)]
    Failed(StoreError),
    /// It may or may not have been written. The caller finds out with [`Store::holds`](super::Store::holds) after
    /// appending again.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

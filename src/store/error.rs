//! The errors of a store, and what each lets the caller conclude.

use std::fmt;

use crate::domain::Seq;
use crate::value::TooCostly;

/// Why a call to the store failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached, or did not answer in time. A retry may succeed.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk has no room: certainly nothing was written. Writes succeed again when there is room.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The disk refuses writes: certainly nothing was written. Writes succeed again when it accepts them.
    #[error("the disk cannot be written: {0}")]
    Unwritable(String),
    /// A query took longer than [`crate::limits::QUERY_DEADLINE`].
    #[error("the query took too long")]
    QueryTooSlow,
    /// Matching one event would take the query more steps than [`crate::limits::MATCH_STEPS_MAX`].
    #[error(transparent)]
    FilterTooSlow(#[from] TooCostly),
    /// An event of an answer was redacted while the answer was read. A retry answers without it.
    #[error("an event was erased while this was read: begin again")]
    Redacted,
    /// What is stored at `at` is not what livelog wrote. A retry fails in the same way.
    #[error("the store is corrupt at {at}: {reason}")]
    #[expect(missing_docs, reason = "the message says it")]
    Corrupt { at: CorruptAt, reason: String },
    /// The store refuses what was asked. A retry fails in the same way.
    #[error("the store refused: {0}")]
    Refused(String),
}

/// Where in the store something cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorruptAt {
    /// An entry of the log.
    Log(Seq),
    /// Anywhere else, in words.
    Other(String),
}

impl fmt::Display for CorruptAt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(seq) => write!(formatter, "log {seq}"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

impl From<Seq> for CorruptAt {
    fn from(seq: Seq) -> Self {
        Self::Log(seq)
    }
}

impl From<&str> for CorruptAt {
    fn from(text: &str) -> Self {
        Self::Other(text.to_owned())
    }
}

impl From<String> for CorruptAt {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

impl StoreError {
    /// The kind of error, as metrics name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Full(_) => "full",
            Self::Unwritable(_) => "unwritable",
            Self::QueryTooSlow => "query_too_slow",
            Self::FilterTooSlow(_) => "filter_too_slow",
            Self::Corrupt { .. } => "corrupt",
            Self::Redacted => "erased",
            Self::Refused(_) => "refused",
        }
    }
}

/// Why broadcasts are not known to have been sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// Certainly none was sent.
    #[error(transparent)]
    Failed(#[from] StoreError),
    /// They may or may not have been sent.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

/// Why an append is not known to have succeeded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written: the head is beyond `batch.after`.
    #[error("the log has moved on")]
    Moved,
    /// Nothing was written: the view was rebuilt, so what was loaded from the old one may be wrong.
    #[error("the view was replaced")]
    Replaced,
    /// Certainly nothing was written.
    #[error(transparent)]
    Failed(StoreError),
    /// The batch is in doubt: it may or may not have been written. The caller finds out with
    /// [`Store::holds`](super::Store::holds) after appending it again.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
}

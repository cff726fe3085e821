//! Writing: the append transaction, fairness between nodes and fencing of dead ones, rebuild and redaction.

pub(super) mod append;
mod commit_phase;
pub(super) mod note;
pub(super) mod rebuild;
pub(super) mod redact;
pub(super) mod replaced_view;
mod transaction;
mod write_errors;
mod write_lease;
pub(super) mod writer_sessions;

//! Writing: the append transaction, fairness between nodes and fencing of dead ones, rebuild and redaction.

pub(super) mod append;
mod commit_phase;
mod fairness;
pub(super) mod fencing;
pub(super) mod rebuild;
pub(super) mod redact;
pub(super) mod replaced_view;
mod transaction;
mod write_errors;

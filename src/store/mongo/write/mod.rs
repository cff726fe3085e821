//! Writing: the append transaction, what keeps several nodes fair and old ones out, rebuild and redaction.

pub(super) mod append;
pub(super) mod fairness;
pub(super) mod fencing;
pub(super) mod rebuild;
pub(super) mod redact;
pub(super) mod refusals;
pub(super) mod replaced;

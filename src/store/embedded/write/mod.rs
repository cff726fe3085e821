//! Writing: one thread owns the file; everyone else hands it tasks.

pub(super) mod checkpoint;
pub(super) mod handle;
pub(super) mod rebuild;
pub(super) mod redact;
pub(super) mod thread;

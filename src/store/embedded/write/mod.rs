//! Writing: one thread owns the file; everyone else sends it tasks.

pub(super) mod checkpoint;
pub(super) mod handle;
pub(super) mod index_build;
pub(super) mod indexing;
mod note;
pub(super) mod rebuild;
mod redact;
pub(super) mod task;
pub(super) mod thread;

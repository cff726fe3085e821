//! Reading: snapshots, which are a read transaction with the memtable on top, as of one seq.

mod check;
pub(super) mod find;
pub(super) mod history;
pub(super) mod memtable;
mod scan;
pub(super) mod snapshot;
mod versions;

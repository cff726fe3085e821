//! Reading: snapshots, which are a read transaction with the memtable on top, as of one seq.

mod check;
mod count;
pub(super) mod find;
pub(super) mod history;
mod index_entries;
mod indexed;
pub(super) mod memtable;
mod planned;
pub(super) mod scan;
pub(super) mod snapshot;
mod steps;
mod versions;

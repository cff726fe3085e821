//! Reading: snapshots, which are a read transaction with the memtable on top, as of one seq.

pub(super) mod check;
pub(super) mod find;
pub(super) mod history;
pub(super) mod memtable;
pub(super) mod scan;
pub(super) mod snapshot;
pub(super) mod versions;

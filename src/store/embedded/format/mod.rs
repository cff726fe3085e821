//! Bytes: how the log, the view and the keys of the file's tables are written and read.

pub(super) mod decode;
pub(super) mod encode;
pub(super) mod index;
mod layout;
pub(super) mod milestone;
pub(super) mod tables;

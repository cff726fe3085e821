//! Reading: the log, the view, histories, events as of a position, and queries translated for MongoDB.

pub(super) mod as_of;
mod costly;
pub(super) mod filter;
pub(super) mod foreign_documents;
pub(super) mod history;
pub(super) mod load;
pub(super) mod log;
mod page_bound;
pub(super) mod versions;
pub(super) mod view;

//! Reading: the log, the view, the past, and filters written down for MongoDB.

pub(super) mod costly;
pub(super) mod filter;
pub(super) mod history;
pub(super) mod load;
pub(super) mod log;
pub(super) mod page_bound;
pub(super) mod strangers;
pub(super) mod versions;
pub(super) mod view;

//! Reading: the log, the view, histories, events as of a position, and queries translated for MongoDB.

pub(super) mod as_of;
mod costly;
mod count;
pub(super) mod filter;
pub(super) mod foreign_documents;
pub(super) mod history;
pub(super) mod holders;
pub(super) mod load;
pub(super) mod log;
mod page_bound;
pub(super) mod versions;
pub(super) mod view;

use crate::query::Query;

/// Events in a batch when the query has no limit. The server also ends a batch at 16 MiB.
const BATCH_COUNT: u32 = 1_000;

/// Events in one batch, at least one. With a limit it is one more, by which a caller learns whether more remain.
fn batch_size(query: &Query) -> u32 {
    let wanted = query.limit.map(|limit| limit.saturating_add(1));
    let wanted = wanted.and_then(|wanted| u32::try_from(wanted).ok());
    wanted.unwrap_or(BATCH_COUNT).min(BATCH_COUNT)
}

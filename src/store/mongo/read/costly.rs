//! What MongoDB is not asked, because it would take long over one document, where it does not look at the clock.

use crate::query::Query;
use crate::query::tree::FieldPath;

/// Whether MongoDB is willing to sort all events so, and in a time that [`crate::limits::QUERY_DEADLINE`] can end.
pub(super) fn has_order(query: &Query) -> bool {
    !query.sort.keys().iter().any(|key| is_dear(&key.path))
}

/// Numbers on a path that is written down, of which each may lead on by place and by name, and so twice as far as
/// the one before. MongoDB does not look at the clock while it follows a path through one document.
pub(super) const PATH_NUMBERS_MAX: usize = 4;

/// Values of one `$all` that are written down: each is looked for in the whole of an array, and few narrow as well.
pub(super) const ALL_MAX: usize = 8;

/// Whether MongoDB may take long to follow it through one document.
pub(super) fn is_dear(path: &FieldPath) -> bool {
    let numbers = path
        .segments()
        .iter()
        .filter(|segment| segment.index.is_some());
    numbers.count() > PATH_NUMBERS_MAX
}

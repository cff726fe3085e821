//! What MongoDB is not asked to do, because it may take long over one document and does not look at the clock
//! meanwhile: no deadline of the server's ends it. What is left out of a filter here, the query's tree decides.

use crate::query::FieldPath;
use crate::query::Query;

/// Numbers in one path that is passed to MongoDB. Each is followed both as an index and as a name, so each can double
/// the work.
pub(super) const PATH_NUMBERS_MAX: usize = 4;

/// Values of one `$all` that are passed to MongoDB. It looks for each in the whole of an array, and few narrow as well.
pub(super) const ALL_MAX: usize = 8;

/// Whether MongoDB may take long to follow the path through one document.
pub(super) fn is_costly(path: &FieldPath) -> bool {
    let numbers = path
        .segments()
        .iter()
        .filter(|segment| segment.index.is_some());
    numbers.count() > PATH_NUMBERS_MAX
}

/// Whether MongoDB is asked to sort by these keys: then [`crate::limits::QUERY_DEADLINE`] can end it.
pub(super) fn is_sort_cheap(query: &Query) -> bool {
    !query.sort.keys().iter().any(|key| is_costly(&key.path))
}

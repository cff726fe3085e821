//! An answer to a question about a record, for as long as there are steps left to find it.

use crate::value::TooCostly;

/// Whether something holds.
pub(super) type Verdict = Result<bool, TooCostly>;

/// Whether it holds of some item.
pub(super) fn any<T>(
    items: impl IntoIterator<Item = T>,
    mut holds: impl FnMut(T) -> Verdict,
) -> Verdict {
    for item in items {
        if holds(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether it holds of every item.
pub(super) fn all<T>(
    items: impl IntoIterator<Item = T>,
    mut holds: impl FnMut(T) -> Verdict,
) -> Verdict {
    any(items, |item| holds(item).map(|holds| !holds)).map(|fails| !fails)
}

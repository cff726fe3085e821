//! The verdict of a filter on a record: yes, no, or that the steps ran out.

use crate::value::TooCostly;

/// Whether something holds.
pub(super) type Verdict = Result<bool, TooCostly>;

/// Whether it holds for some item.
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

/// Whether it holds for every item.
pub(super) fn all<T>(
    items: impl IntoIterator<Item = T>,
    mut holds: impl FnMut(T) -> Verdict,
) -> Verdict {
    any(items, |item| holds(item).map(|holds| !holds)).map(|fails| !fails)
}

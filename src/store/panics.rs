//! Panics that are expected, caught and told of in words: what the program would print of them besides looks like a
//! crash of livelog's, and says less.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs work that may panic, because what it reads was not written by who reads it; `None` if it did.
///
/// What it works on is not to be used after that.
#[cfg_attr(
    not(any(feature = "embedded", test)),
    expect(
        dead_code,
        reason = "the embedded store alone reads what can make its library panic"
    )
)]
pub(super) fn expecting<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = EXPECTED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(before);
    done.ok()
}

/// Whether a panic of this thread is one that somebody catches and tells of.
pub fn panic_is_expected() -> bool {
    EXPECTED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_expected_while_the_work_lasts() {
        assert!(!panic_is_expected());
        assert_eq!(expecting(panic_is_expected), Some(true));
        let nested = expecting(|| (expecting(|| panic!("planted")), panic_is_expected()));
        let nested: Option<(Option<()>, bool)> = nested;
        assert_eq!(nested, Some((None, true)));
        assert!(!panic_is_expected());
    }
}

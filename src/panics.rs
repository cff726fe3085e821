//! What a panic says; and panics that are expected: they are caught and reported as errors, so the panic hook must not
//! print them like a crash.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs work that may panic over damaged data; `None` if it did. Then what it worked on must not be used any more.
#[cfg_attr(
    not(any(feature = "embedded", test)),
    expect(
        dead_code,
        reason = "the embedded store alone reads what can make its library panic"
    )
)]
pub(crate) fn expecting<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = EXPECTED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(before);
    result.ok()
}

/// Whether a panic of this thread is caught and reported as an error.
pub fn panic_is_expected() -> bool {
    EXPECTED.get()
}

/// The message of a panic.
pub fn cause_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason was given")
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

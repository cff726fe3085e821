//! The memory that all filters of this process take together.
//!
//! Counted where filters are made, because they are shared: a filter that a thousand sessions use is in memory once.

use std::sync::atomic::{AtomicUsize, Ordering};

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Adds its bytes to the sum for as long as it lives.
#[derive(Debug)]
pub(super) struct FilterBytes(usize);

impl FilterBytes {
    pub(super) fn new(bytes: usize) -> Self {
        BYTES.fetch_add(bytes, Ordering::Relaxed);
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0
    }
}

impl Drop for FilterBytes {
    fn drop(&mut self) {
        BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// The bytes of all filters of this process, their compiled patterns included.
pub fn filter_bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

//! What the filters of this process keep in memory, all together.
//!
//! Counted where they are made, because they are shared: what a thousand sessions ask alike is there once.

use std::sync::atomic::{AtomicUsize, Ordering};

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes that are in memory for as long as this is.
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

/// Bytes that all filters of this process take together, their compiled patterns included.
pub fn filter_bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

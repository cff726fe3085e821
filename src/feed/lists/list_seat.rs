//! A reader, as its list knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct ListSeat {
    wakeup: Arc<Notify>,
    has_news: AtomicBool,
    /// Changes before this number were taken.
    taken: AtomicU64,
}

impl ListSeat {
    /// Of a reader that has taken the changes before this number, and has yet to look at the list.
    pub(super) fn new(wakeup: &Arc<Notify>, taken: u64) -> Self {
        Self {
            wakeup: Arc::clone(wakeup),
            has_news: AtomicBool::new(true),
            taken: AtomicU64::new(taken),
        }
    }

    /// Changes before this number were taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// There is something new. Wakes the reader, unless it has yet to look at what it was woken for before.
    pub(super) fn notify(&self) {
        if !self.has_news.swap(true, Ordering::AcqRel) {
            self.wakeup.notify_one();
        }
    }

    /// Whether there was something since [`take_news`](Self::take_news).
    pub(super) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Acquire)
    }

    /// Called before the list is looked at, so that what comes meanwhile is news again.
    pub(super) fn take_news(&self) {
        self.has_news.store(false, Ordering::Release);
    }

    /// The changes before this number are not needed any more.
    pub(super) fn note_taken(&self, next: u64) {
        self.taken.store(next, Ordering::Relaxed);
    }
}

//! Reading the log to catch up: in pages that all sessions share.
//!
//! Pages begin at fixed seqs, so that sessions which come back at different positions ask for the same
//! ones; a session that asks for a page while another reads it waits for that read. A bounded number is read at once,
//! and the most recently used are cached.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use super::shared_change::SharedChange;
use crate::budget::{Budget, Share};
use crate::domain::Seq;
use crate::limits;
use crate::metrics::{Metrics, Reason};
use crate::panics::cause_of;
use crate::store::{CorruptAt, Store, StoreError};
use crate::telemetry::Throttle;

/// Between attempts to read the log from a store that is away.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The most that a page takes in memory: its changes with the one that ends it, and two frames of each.
const PAGE_BYTES_MAX: usize = 3 * (limits::LOG_PAGE_BYTES_MAX + limits::EVENT_BYTES_MAX);

/// Contiguous changes.
#[derive(Debug)]
pub(super) struct LogPage {
    pub(super) entries: Vec<SharedChange>,
    /// The most that they take in memory.
    bytes: usize,
    /// Held as long as a session or the cache holds the page.
    _share: Share,
}

/// The log, with its page cache and the bounds on reading it.
#[derive(Debug)]
pub(super) struct SharedLog {
    store: Arc<dyn Store>,
    budget: Budget,
    read_permits: Semaphore,
    cache: Mutex<PageCache>,
    first_unreadable: OnceLock<Seq>,
    unreadable_throttle: Throttle,
    pub(super) metrics: Arc<Metrics>,
}

/// A page that is being read.
#[derive(Debug)]
pub(super) struct PageRead(AbortOnDropHandle<Result<Arc<LogPage>, StoreError>>);

impl Future for PageRead {
    type Output = Result<Arc<LogPage>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context).map(|read| {
            read.unwrap_or_else(|error| {
                let reason = match error.try_into_panic() {
                    Ok(panic) => format!("reading it panicked: {}", cause_of(&*panic)),
                    Err(error) => format!("reading it was stopped: {error}"),
                };
                let at = "the log".into();
                Err(StoreError::Corrupt { at, reason })
            })
        })
    }
}

/// Pages by the seq they begin after, the least recently used first.
#[derive(Debug, Default)]
struct PageCache {
    pages: VecDeque<CachedPage>,
}

#[derive(Debug)]
struct CachedPage {
    after: Seq,
    page: Arc<OnceCell<Arc<LogPage>>>,
}

impl SharedLog {
    pub(super) fn new(store: &Arc<dyn Store>, budget: &Budget, metrics: &Arc<Metrics>) -> Self {
        Self {
            store: Arc::clone(store),
            budget: budget.clone(),
            read_permits: Semaphore::new(limits::CATCH_UPS_MAX),
            cache: Mutex::default(),
            first_unreadable: OnceLock::new(),
            unreadable_throttle: Throttle::default(),
            metrics: Arc::clone(metrics),
        }
    }

    /// Drops all pages, also those that are being read: they may hold what was redacted since.
    pub(super) fn clear(&self) {
        self.cache().pages.clear();
    }

    /// Reads a page with the change after `seq`, in a task of its own: a session that stops waiting for it to
    /// serve something else does not lose what was read.
    pub(super) fn read(self: &Arc<Self>, seq: Seq) -> PageRead {
        let log = Arc::clone(self);
        PageRead(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                match log.page_of(seq.next()).await {
                    Ok(page) => return Ok(page),
                    // Reading it again would change nothing.
                    Err(corrupt @ StoreError::Corrupt { .. }) => return Err(corrupt),
                    Err(error) => {
                        tracing::debug!(%error, "a subscription waits to catch up");
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                }
            }
        })))
    }

    /// The first entry that was found unreadable.
    pub(super) fn first_unreadable(&self) -> Option<Seq> {
        self.first_unreadable.get().copied()
    }

    /// Notes an entry that cannot be read.
    pub(super) fn note_unreadable(&self, seq: Seq) {
        self.first_unreadable.get_or_init(|| seq);
        self.unreadable_throttle.log(|suppressed| {
            tracing::error!(%seq, suppressed, "an entry of the log cannot be read: readers that need it get `corrupt`");
        });
    }

    /// The page that `wanted` is in; it may be empty if `wanted` is beyond the head.
    async fn page_of(&self, wanted: Seq) -> Result<Arc<LogPage>, StoreError> {
        let mut after = start_of_page(wanted);
        loop {
            match self.page(after).await {
                Ok(page) => match page.entries.last() {
                    // Pages of large changes end early, and so do those at the head or before an unreadable entry.
                    Some(last) if last.change.seq < wanted => after = last.change.seq,
                    _ => return Ok(page),
                },
                // An unreadable entry before the wanted one is of no interest here.
                Err(StoreError::Corrupt {
                    at: CorruptAt::Log(seq),
                    ..
                }) if after < seq && seq < wanted => after = seq,
                Err(error) => {
                    if let StoreError::Corrupt { .. } = error {
                        self.note_unreadable(wanted);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The page that begins after `after`, read once for all who ask meanwhile.
    async fn page(&self, after: Seq) -> Result<Arc<LogPage>, StoreError> {
        let cell = self.cache().get_or_insert(after);
        let read = cell.get_or_try_init(|| self.fetch(after)).await.cloned();
        let mut cache = self.cache();
        // A page that the head cut short will be longer when it is asked for again, so it is not cached.
        let is_full = |page: &Arc<LogPage>| {
            let last = page.entries.last();
            last.is_some_and(|last| last.change.seq == end_of_page(after))
        };
        if !read.as_ref().is_ok_and(is_full) {
            cache.remove(&cell);
        }
        cache.trim();
        read
    }

    async fn fetch(&self, after: Seq) -> Result<Arc<LogPage>, StoreError> {
        let _permit = self
            .read_permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let mut share = self.budget.reserve(PAGE_BYTES_MAX).await;
        let count =
            usize::try_from(end_of_page(after).get() - after.get()).expect("a page is short");
        self.metrics.read_log(Reason::CatchUp);
        let changes = self.store.read(after, count).await?;
        debug_assert!(
            changes
                .first()
                .is_none_or(|first| first.seq == after.next())
        );
        let entries: Vec<SharedChange> = changes.into_iter().map(SharedChange::new).collect();
        let bytes = entries.iter().map(SharedChange::bytes_max).sum();
        share.shrink_to(bytes);
        Ok(Arc::new(LogPage {
            entries,
            bytes,
            _share: share,
        }))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, PageCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The seq after which the page of a change begins, if its changes are small.
fn start_of_page(seq: Seq) -> Seq {
    let page = limits::LOG_PAGE_COUNT as u64;
    Seq::new((seq.get() - 1) / page * page)
}

/// The last seq that the page after `after` may hold.
fn end_of_page(after: Seq) -> Seq {
    start_of_page(after.next()).plus(limits::LOG_PAGE_COUNT)
}

impl PageCache {
    /// The cell of a page, read or not; it becomes the most recently used.
    fn get_or_insert(&mut self, after: Seq) -> Arc<OnceCell<Arc<LogPage>>> {
        let index = self.pages.iter().position(|cached| cached.after == after);
        let cached = index.and_then(|index| self.pages.remove(index));
        let cached = cached.unwrap_or_else(|| CachedPage {
            after,
            page: Arc::default(),
        });
        let page = Arc::clone(&cached.page);
        self.pages.push_back(cached);
        page
    }

    fn remove(&mut self, cell: &Arc<OnceCell<Arc<LogPage>>>) {
        self.pages.retain(|cached| !Arc::ptr_eq(&cached.page, cell));
    }

    fn trim(&mut self) {
        while self.bytes() > limits::LOG_CACHE_BYTES_MAX {
            self.pages.pop_front();
        }
    }

    fn bytes(&self) -> usize {
        self.pages.iter().map(CachedPage::bytes).sum()
    }
}

impl CachedPage {
    /// A page that is being read counts nothing yet.
    fn bytes(&self) -> usize {
        self.page.get().map_or(0, |page| page.bytes)
    }
}

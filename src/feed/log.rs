//! The log as those read it who catch up: in pages that they share.
//!
//! Pages begin at fixed places, so that sessions which come back at different positions ask for the same
//! ones; who asks for a page that another is reading waits for that. A bounded number is read at once,
//! and the latest read are kept.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use super::entry::SharedChange;
use crate::budget::{Budget, Share};
use crate::domain::Seq;
use crate::limits;
use crate::metrics::{Metrics, Reason};
use crate::store::{Spot, Store, StoreError};
use crate::telemetry::Throttle;

/// Between attempts to read the log from a store that is away.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// What a page may come to take: its changes with the one that ends it, and two frames of each.
const PAGE_BYTES_MAX: usize = 3 * (limits::LOG_PAGE_BYTES_MAX + limits::EVENT_BYTES_MAX);

/// Changes that follow each other.
#[derive(Debug)]
pub(super) struct LogPage {
    pub(super) entries: Vec<SharedChange>,
    /// What they may come to take in memory.
    bytes: usize,
    /// Held as long as a session or the shelf holds the page.
    _share: Share,
}

#[derive(Debug)]
pub(super) struct SharedLog {
    store: Arc<dyn Store>,
    budget: Budget,
    turns: Semaphore,
    shelf: Mutex<PageCache>,
    unreadable: OnceLock<Seq>,
    complaints: Throttle,
    pub(super) metrics: Arc<Metrics>,
}

/// A page that is being read.
#[derive(Debug)]
pub(super) struct PageRead(AbortOnDropHandle<Result<Arc<LogPage>, StoreError>>);

impl Future for PageRead {
    type Output = Result<Arc<LogPage>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context).map(|read| {
            read.unwrap_or_else(|_| {
                let reason = "reading it panicked".to_owned();
                let at = "the log".into();
                Err(StoreError::Corrupt { at, reason })
            })
        })
    }
}

/// Pages by the position they begin after, the least recently read first.
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
            turns: Semaphore::new(limits::CATCH_UPS_MAX),
            shelf: Mutex::default(),
            unreadable: OnceLock::new(),
            complaints: Throttle::default(),
            metrics: Arc::clone(metrics),
        }
    }

    /// Keeps no page that was read, or is being read: what they tell may be told no more.
    pub(super) fn forget(&self) {
        self.shelf().pages.clear();
    }

    /// Reads a page with the change after `seq`, in a task of its own: a session that waits for it can be
    /// asked for something else meanwhile without losing what was read.
    pub(super) fn read(self: &Arc<Self>, seq: Seq) -> PageRead {
        let log = Arc::clone(self);
        PageRead(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                match log.page_with(seq.next()).await {
                    Ok(page) => return Ok(page),
                    // It stays so, however often it is read.
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
    pub(super) fn unreadable(&self) -> Option<Seq> {
        self.unreadable.get().copied()
    }

    /// Notes an entry that cannot be read.
    pub(super) fn note_unreadable(&self, seq: Seq) {
        self.unreadable.get_or_init(|| seq);
        self.complaints.warn(|kept_back| {
            tracing::error!(%seq, kept_back, "an entry of the log cannot be read: who needs it is told so");
        });
    }

    /// The page that `wanted` is in; it may be empty if `wanted` is beyond the head.
    async fn page_with(&self, wanted: Seq) -> Result<Arc<LogPage>, StoreError> {
        let mut after = start_of_page(wanted);
        loop {
            match self.page(after).await {
                Ok(page) => match page.entries.last() {
                    // Pages of large changes end early, and so do those at the head or before an unreadable entry.
                    Some(last) if last.change.seq < wanted => after = last.change.seq,
                    _ => return Ok(page),
                },
                // One that nobody asks for here.
                Err(StoreError::Corrupt {
                    at: Spot::Log(seq), ..
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

    /// The page that begins after `after`, read by one for all who ask meanwhile.
    async fn page(&self, after: Seq) -> Result<Arc<LogPage>, StoreError> {
        let cell = self.shelf().place(after);
        let read = cell.get_or_try_init(|| self.fetch(after)).await.cloned();
        let mut shelf = self.shelf();
        // One that the head cut short will be longer when it is asked for again.
        let is_full = |page: &Arc<LogPage>| {
            let last = page.entries.last();
            last.is_some_and(|last| last.change.seq == end_of_page(after))
        };
        if !read.as_ref().is_ok_and(is_full) {
            shelf.remove(&cell);
        }
        shelf.trim();
        read
    }

    async fn fetch(&self, after: Seq) -> Result<Arc<LogPage>, StoreError> {
        let _turn = self
            .turns
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let mut share = self.budget.reserve(PAGE_BYTES_MAX).await;
        let count =
            usize::try_from(end_of_page(after).get() - after.get()).expect("a page is short");
        self.metrics.read_log(Reason::CatchUp);
        let changes = self.store.read(after, count).await?;
        let entries: Vec<SharedChange> = changes.into_iter().map(SharedChange::new).collect();
        let bytes = entries.iter().map(SharedChange::weight).sum();
        share.shrink_to(bytes);
        Ok(Arc::new(LogPage {
            entries,
            bytes,
            _share: share,
        }))
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, PageCache> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the page begins that a change is in, if changes are small.
fn start_of_page(seq: Seq) -> Seq {
    let page = limits::LOG_PAGE_COUNT as u64;
    Seq::new((seq.get() - 1) / page * page)
}

/// Where the page at most ends that begins after `after`.
fn end_of_page(after: Seq) -> Seq {
    start_of_page(after.next()).plus(limits::LOG_PAGE_COUNT)
}

impl PageCache {
    /// The place for a page, filled or not; it counts as the most recently read.
    fn place(&mut self, after: Seq) -> Arc<OnceCell<Arc<LogPage>>> {
        let known = self.pages.iter().position(|known| known.after == after);
        let shelved = known.and_then(|at| self.pages.remove(at));
        let shelved = shelved.unwrap_or_else(|| CachedPage {
            after,
            page: Arc::default(),
        });
        let page = Arc::clone(&shelved.page);
        self.pages.push_back(shelved);
        page
    }

    fn remove(&mut self, cell: &Arc<OnceCell<Arc<LogPage>>>) {
        self.pages.retain(|known| !Arc::ptr_eq(&known.page, cell));
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
    /// What is being read counts nothing yet.
    fn bytes(&self) -> usize {
        self.page.get().map_or(0, |page| page.bytes)
    }
}

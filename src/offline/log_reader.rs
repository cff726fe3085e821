//! Reading the log from its beginning, page by page, with a progress bar.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::{Store, StoreError};

/// A bar for `changes` changes on stderr; hidden if that is no terminal.
pub(super) fn progress(changes: Seq) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} changes, {per_sec}, {eta} left");
    ProgressBar::new(changes.get()).with_style(style.expect("a fixed template"))
}

/// Pages read ahead of the caller, so that reading goes on while the caller works.
const AHEAD_COUNT: usize = 4;

type PageResult = Result<Vec<Arc<Change>>, StoreError>;

/// Reads the log from the beginning, a page at a time, in a task of its own that reads ahead.
///
/// Invariant: pages are contiguous, from seq 1; a store that cannot keep to that answers with an error.
pub(super) struct LogReader {
    store: Arc<dyn Store>,
    /// The last change read.
    pub(super) seq: Seq,
    pub(super) bar: ProgressBar,
    /// The pages after `seq`, up to what was the end of the log when the task began.
    ahead: Option<mpsc::Receiver<PageResult>>,
}

impl LogReader {
    pub(super) async fn open(store: &Arc<dyn Store>) -> Result<Self, StoreError> {
        Ok(Self {
            bar: progress(store.head().await?),
            store: Arc::clone(store),
            seq: Seq::ZERO,
            ahead: None,
        })
    }

    /// The next page, no further than `until`; empty at the end.
    pub(super) async fn page(&mut self, until: Option<Seq>) -> PageResult {
        let mut page = self.next().await?;
        assert!(
            self.seq
                .is_followed_by(page.iter().map(|change| change.seq)),
            "a store reads contiguous changes, or fails"
        );
        let count = until.map_or(page.len(), |until| {
            page.partition_point(|change| change.seq <= until)
        });
        if count < page.len() {
            // The changes beyond `until` must be read again.
            self.ahead = None;
            page.truncate(count);
        }
        if let Some(last) = page.last() {
            self.seq = last.seq;
            self.bar.set_position(self.seq.get());
        }
        Ok(page)
    }

    async fn next(&mut self) -> PageResult {
        if let Some(ahead) = &mut self.ahead
            && let Some(page) = ahead.recv().await
        {
            return page;
        }
        // The task has read to the end of the log, which may have grown since.
        let ahead = self.ahead.insert(self::ahead(pages(&self.store, self.seq)));
        ahead.recv().await.unwrap_or(Ok(Vec::new()))
    }
}

/// Every page after `seq`, up to the end of the log or an error.
fn pages(store: &Arc<dyn Store>, seq: Seq) -> BoxStream<'static, PageResult> {
    let from = Some((Arc::clone(store), seq));
    stream::unfold(from, |from| async {
        let (store, seq) = from?;
        match store.read(seq, limits::LOG_PAGE_COUNT).await {
            Ok(page) => {
                let seq = page.last()?.seq;
                Some((Ok(page), Some((store, seq))))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// Reads a stream in a task of its own, so that reading and processing overlap.
pub(super) fn ahead<T: Send + 'static>(
    mut items: impl Stream<Item = T> + Send + Unpin + 'static,
) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel(AHEAD_COUNT);
    tokio::spawn(async move {
        while let Some(item) = items.next().await {
            if sender.send(item).await.is_err() {
                return;
            }
        }
    });
    receiver
}

//! Reading the log from its beginning, and showing how far it is.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::{Store, StoreError};

/// A bar for `changes` changes on stderr; nothing where that is no terminal.
pub(crate) fn progress(changes: Seq) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} changes, {per_sec}, {eta} left");
    ProgressBar::new(changes.get()).with_style(style.expect("a fixed template"))
}

/// Pages read ahead of the caller: with these, reading goes on while the caller waits for something else.
const AHEAD_COUNT: usize = 4;

type PageResult = Result<Vec<Arc<Change>>, StoreError>;

/// The log from the beginning, a page at a time, read ahead in a task of its own.
pub(crate) struct LogReader {
    store: Arc<dyn Store>,
    /// The last change read.
    pub(crate) seq: Seq,
    pub(crate) bar: ProgressBar,
    /// What follows after `seq`, up to what was the end of the log.
    ahead: Option<mpsc::Receiver<PageResult>>,
}

impl LogReader {
    pub(crate) async fn open(store: &Arc<dyn Store>) -> Result<Self, StoreError> {
        Ok(Self {
            bar: progress(store.head().await?),
            store: Arc::clone(store),
            seq: Seq::ZERO,
            ahead: None,
        })
    }

    /// The next page, nothing beyond `until`; empty at the end of it.
    pub(crate) async fn page(&mut self, until: Option<Seq>) -> PageResult {
        let mut page = self.next().await?;
        let count = until.map_or(page.len(), |until| {
            page.partition_point(|change| change.seq <= until)
        });
        if count < page.len() {
            // What was cut off is to be read again.
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
        // The log may have grown since.
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

/// Reads in a task of its own, so that reading and what is done with what was read go on at once.
pub(super) fn ahead<T: Send + 'static>(
    mut items: impl Stream<Item = T> + Send + Unpin + 'static,
) -> mpsc::Receiver<T> {
    let (read, ahead) = mpsc::channel(AHEAD_COUNT);
    tokio::spawn(async move {
        while let Some(item) = items.next().await {
            if read.send(item).await.is_err() {
                return;
            }
        }
    });
    ahead
}

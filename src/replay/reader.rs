//! Reading the log from its beginning, and showing how far it is.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::{Store, StoreError};

/// A bar for `changes` changes on stderr; nothing where that is no terminal.
pub(crate) fn progress(changes: Seq) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} changes, {per_sec}, {eta} left");
    ProgressBar::new(changes.get()).with_style(style.expect("a fixed template"))
}

/// The log from the beginning, a page at a time.
pub(crate) struct Reader {
    store: Arc<dyn Store>,
    /// The last change read.
    pub(crate) seq: Seq,
    pub(crate) bar: ProgressBar,
}

impl Reader {
    pub(crate) async fn open(store: &Arc<dyn Store>) -> Result<Self, StoreError> {
        Ok(Self {
            bar: progress(store.head().await?),
            store: Arc::clone(store),
            seq: Seq::ZERO,
        })
    }

    /// The next page, nothing beyond `until`; empty at the end of it.
    pub(crate) async fn page(
        &mut self,
        until: Option<Seq>,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        let mut page = self.store.read(self.seq, limits::LOG_PAGE_COUNT).await?;
        if let Some(until) = until {
            page.truncate(page.partition_point(|change| change.seq <= until));
        }
        if let Some(last) = page.last() {
            self.seq = last.seq;
            self.bar.set_position(self.seq.get());
        }
        Ok(page)
    }
}

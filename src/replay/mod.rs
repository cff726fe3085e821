//! Rebuild the view from the log, and prove that it equals it.
//!
//! Both read the log from the beginning, in pages, and fold it into a [`Ledger`](ledger::Ledger) of
//! digests; neither cares which store it is. Both are safe beside running servers.

mod ledger;
mod rebuild;
mod verify;

use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::{self, Store, StoreError, StoreOptions};

/// Rebuilds the view and swaps it in; prints counts and a digest.
///
/// # Errors
/// If the store cannot be reached, or the log cannot be read. The live view is as it was.
pub async fn replay(options: &StoreOptions) -> anyhow::Result<ExitCode> {
    let store = store::open(options).await?;
    let ledger = rebuild::rebuild(&store).await?;
    println!("replayed {ledger}");
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Compares the view with the log; prints the differences, then counts and a digest.
///
/// # Errors
/// If the store cannot be reached.
pub async fn verify(options: &StoreOptions) -> anyhow::Result<ExitCode> {
    let store = store::open(options).await?;
    let report = verify::verify(&store).await?;
    println!("{report}");
    store.close().await;
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The log from the beginning, a page at a time, with a progress bar where there is a terminal.
struct Reader {
    store: Arc<dyn Store>,
    seq: Seq,
    bar: ProgressBar,
}

impl Reader {
    async fn open(store: &Arc<dyn Store>) -> Result<Self, StoreError> {
        let style =
            ProgressStyle::with_template("{bar:40} {pos}/{len} changes, {per_sec}, {eta} left");
        let bar = ProgressBar::new(store.head().await?.get())
            .with_style(style.expect("a fixed template"));
        Ok(Self {
            store: Arc::clone(store),
            seq: Seq::ZERO,
            bar,
        })
    }

    /// The next page, nothing beyond `until`; empty at the end of it.
    async fn page(&mut self, until: Option<Seq>) -> Result<Vec<Arc<Change>>, StoreError> {
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

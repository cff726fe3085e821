//! Copying the log up to some seq into a store of its own: a livelog as of then.

use std::sync::Arc;

use anyhow::{Context, ensure};

use super::bulk_loader::BulkLoader;
use super::fold_digest::FoldDigest;
use super::log_reader::LogReader;
use crate::domain::{AsOf, Seq};
use crate::store;
use crate::store::{MoveProgress, Store};

/// Fills an empty store. It keeps the epoch that it was created with: from here on the two logs may differ, so a
/// position in one is invalid in the other.
pub(super) async fn copy(
    store: &Arc<dyn Store>,
    until: Seq,
    target: &dyn Store,
) -> anyhow::Result<FoldDigest> {
    let mut loader = BulkLoader::begin(target).await?;
    let progress = MoveProgress::begun(&format!("a log up to change {until}"), None);
    progress.write(target).await?;
    let mut fold = FoldDigest::default();
    let copied = copy_until(store, until, &mut loader, &mut fold).await;
    copied.with_context(|| loader.progress(until))?;
    progress.copied().write(target).await?;
    Ok(fold)
}

/// The last change to copy.
pub(super) async fn seq_of(store: &dyn Store, until: AsOf) -> anyhow::Result<Seq> {
    match until {
        AsOf::Time(time) => Ok(store::seq_at(store, time).await?),
        AsOf::Seq(seq) => {
            let head = store.head().await?;
            ensure!(
                seq <= head,
                "the log has no change {seq}: it ends at {head}"
            );
            Ok(seq)
        }
    }
}

async fn copy_until(
    store: &Arc<dyn Store>,
    until: Seq,
    loader: &mut BulkLoader<'_>,
    fold: &mut FoldDigest,
) -> anyhow::Result<()> {
    let mut reader = LogReader::open(store).await?;
    reader.bar.set_length(until.get());
    while loader.seq < until {
        let page = reader.page(Some(until)).await?;
        ensure!(!page.is_empty(), "change {} is missing", loader.seq.next());
        for change in &page {
            fold.apply(change)?;
        }
        loader.append(page).await?;
    }
    reader.bar.finish_and_clear();
    Ok(())
}

//! A log up to some moment, in a store of its own: a livelog as it was then.

use std::sync::Arc;

use anyhow::{Context, ensure};

use super::bulk_append::BulkLoader;
use super::fold_digest::FoldDigest;
use super::log_reader::LogReader;
use crate::domain::{AsOf, Seq};
use crate::store;
use crate::store::Store;

/// Fills an empty store. It keeps the identity that it was made with: from that moment on the two logs may
/// differ, so positions in one are none in the other.
pub(super) async fn copy(
    store: &Arc<dyn Store>,
    until: Seq,
    target: &dyn Store,
) -> anyhow::Result<FoldDigest> {
    let mut load = BulkLoader::begin(target).await?;
    let mut ledger = FoldDigest::default();
    let copied = copy_until(store, until, &mut load, &mut ledger).await;
    copied.with_context(|| load.remains(until))?;
    Ok(ledger)
}

/// The last change to copy.
pub(super) async fn place_of(store: &dyn Store, until: AsOf) -> anyhow::Result<Seq> {
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
    load: &mut BulkLoader<'_>,
    ledger: &mut FoldDigest,
) -> anyhow::Result<()> {
    let mut reader = LogReader::open(store).await?;
    reader.bar.set_length(until.get());
    while load.seq < until {
        let page = reader.page(Some(until)).await?;
        ensure!(!page.is_empty(), "change {} is missing", load.seq.next());
        for change in &page {
            ledger.apply(change)?;
        }
        load.append(page).await?;
    }
    reader.bar.finish_and_clear();
    Ok(())
}

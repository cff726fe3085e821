//! A log up to some moment, in a store of its own: a livelog as it was then.

use std::sync::Arc;

use anyhow::{Context, ensure};

use super::bulk_append::Load;
use super::ledger::Ledger;
use super::log_reader::Reader;
use crate::domain::{Moment, Seq};
use crate::store;
use crate::store::Store;

/// Fills an empty store. It keeps the identity that it was made with: from that moment on the two logs may
/// differ, so positions in one are none in the other.
pub(super) async fn copy(
    store: &Arc<dyn Store>,
    until: Seq,
    target: &dyn Store,
) -> anyhow::Result<Ledger> {
    let mut load = Load::begin(target).await?;
    let mut ledger = Ledger::default();
    let copied = copy_until(store, until, &mut load, &mut ledger).await;
    copied.with_context(|| load.remains(until))?;
    Ok(ledger)
}

/// The last change to copy.
pub(super) async fn place_of(store: &dyn Store, until: Moment) -> anyhow::Result<Seq> {
    match until {
        Moment::Time(time) => Ok(store::last_until(store, time).await?),
        Moment::Seq(seq) => {
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
    load: &mut Load<'_>,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    let mut reader = Reader::open(store).await?;
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

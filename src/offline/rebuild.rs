//! The view, folded anew beside the live one and put in its place.

use std::sync::Arc;

use super::fold_digest::FoldDigest;
use super::log_reader::LogReader;
use crate::domain::{Change, Seq};
use crate::store::{Rebuild, Store, StoreError};

/// A store can lose the hold on its writers; then what was built may miss their changes.
const ATTEMPTS_MAX: usize = 3;

/// Rebuilds the view. Writers are held off only while the last few changes are applied.
pub(super) async fn rebuild(store: &Arc<dyn Store>) -> Result<FoldDigest, StoreError> {
    let mut attempts = 1;
    loop {
        match attempt(store).await {
            Err(error @ StoreError::Unavailable(_)) if attempts < ATTEMPTS_MAX => {
                tracing::warn!(%error, "the rebuild begins again");
                attempts += 1;
            }
            ended => return ended,
        }
    }
}

async fn attempt(store: &Arc<dyn Store>) -> Result<FoldDigest, StoreError> {
    let mut rebuild = store.rebuild().await?;
    let mut reader = LogReader::open(store).await?;
    let mut ledger = FoldDigest::default();
    fold(&mut reader, None, &mut *rebuild, &mut ledger).await?;
    refuse_to_lose(store, &ledger).await?;
    let head = rebuild.hold().await?;
    fold(&mut reader, Some(head), &mut *rebuild, &mut ledger).await?;
    rebuild.swap().await?;
    reader.bar.finish_and_clear();
    Ok(ledger)
}

/// The new view holds what the log tells. What the live one holds beside that, and the log never named, is
/// somebody else's, and would be gone.
async fn refuse_to_lose(store: &Arc<dyn Store>, ledger: &FoldDigest) -> Result<(), StoreError> {
    let strangers = store.strangers(&|id| ledger.has(id)).await?;
    match strangers.first() {
        None => Ok(()),
        Some(first) => Err(StoreError::Refused(format!(
            "the database holds what is none of livelog's ({first}), and a rebuild would lose it or its work. \
             `livelog verify` lists all of it: keep it elsewhere, take it out, and try again"
        ))),
    }
}

async fn fold(
    reader: &mut LogReader,
    until: Option<Seq>,
    rebuild: &mut dyn Rebuild,
    ledger: &mut FoldDigest,
) -> Result<(), StoreError> {
    loop {
        let page = reader.page(until).await?;
        if page.is_empty() {
            return Ok(());
        }
        // The store looks at the page first: what it does not do at once, its own threads do meanwhile.
        let applying = rebuild.apply(&page);
        let (applied, followed) = tokio::join!(applying, async { follow(ledger, &page) });
        followed.and(applied)?;
    }
}

/// A log that lacks a change of an event, or has one too many, is no log to make a view of.
fn follow(ledger: &mut FoldDigest, page: &[Arc<Change>]) -> Result<(), StoreError> {
    for change in page {
        match ledger.apply(change) {
            Err(contradiction) if contradiction.in_version => {
                return Err(StoreError::Corrupt {
                    at: contradiction.at.into(),
                    reason: contradiction.to_string(),
                });
            }
            Err(contradiction) => tracing::warn!(%contradiction, "the log contradicts itself"),
            Ok(()) => {}
        }
    }
    Ok(())
}

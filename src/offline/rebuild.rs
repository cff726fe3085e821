//! Rebuilding the view: a new one is folded from the log beside the live one, and swapped in.
//!
//! | step | writers |
//! |---|---|
//! | fold the log up to its end | write on |
//! | refuse if the view has documents that are not the log's | write on |
//! | build what is built last, and fold what came meanwhile | write on |
//! | hold: fence the writers off, which fixes the head | wait |
//! | fold the rest, up to that head | wait |
//! | swap | write on, to the new view |

use std::sync::Arc;

use super::fold_digest::FoldDigest;
use super::log_reader::LogReader;
use crate::domain::{Change, Seq};
use crate::store::{Rebuild, Store, StoreError};

/// A store can lose its hold on the writers: then the new view may lack their changes, and is built anew.
const ATTEMPTS_MAX: usize = 3;

/// Rebuilds the view.
pub(super) async fn rebuild(store: &Arc<dyn Store>) -> Result<FoldDigest, StoreError> {
    let mut attempts = 1;
    loop {
        match attempt(store).await {
            Err(error @ StoreError::Unavailable(_)) if attempts < ATTEMPTS_MAX => {
                tracing::warn!(%error, attempt = attempts, "the rebuild failed and begins again");
                attempts += 1;
            }
            result => return result,
        }
    }
}

async fn attempt(store: &Arc<dyn Store>) -> Result<FoldDigest, StoreError> {
    let mut rebuild = store.rebuild().await?;
    let mut reader = LogReader::open(store).await?;
    let mut digest = FoldDigest::default();
    fold(&mut reader, None, &mut *rebuild, &mut digest).await?;
    refuse_to_lose_foreign_documents(store, &digest).await?;
    rebuild.index().await?;
    fold(&mut reader, None, &mut *rebuild, &mut digest).await?;
    let head = rebuild.hold().await?;
    fold(&mut reader, Some(head), &mut *rebuild, &mut digest).await?;
    rebuild.swap().await?;
    reader.bar.finish_and_clear();
    Ok(digest)
}

/// The new view has only the log's events, so documents of others in the live view would be lost.
async fn refuse_to_lose_foreign_documents(
    store: &Arc<dyn Store>,
    digest: &FoldDigest,
) -> Result<(), StoreError> {
    let foreign_documents = store.foreign_documents(&|id| digest.has(id)).await?;
    match foreign_documents.first() {
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
    digest: &mut FoldDigest,
) -> Result<(), StoreError> {
    loop {
        let page = reader.page(until).await?;
        if page.is_empty() {
            return Ok(());
        }
        // The store is polled first, so that its own threads work on the page while this one digests it.
        let applying = rebuild.apply(&page);
        let (applied, digested) = tokio::join!(applying, async { digest_page(digest, &page) });
        digested.and(applied)?;
    }
}

/// Refuses a log that lacks a change of an event, or has one too many: its view would be wrong.
fn digest_page(digest: &mut FoldDigest, page: &[Arc<Change>]) -> Result<(), StoreError> {
    for change in page {
        match digest.apply(change) {
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

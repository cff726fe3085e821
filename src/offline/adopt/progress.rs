//! What was moved into a store before, for who wants to move more: see [`MoveProgress`].

use anyhow::{Context, bail, ensure};

use crate::domain::Seq;
use crate::offline::bulk_loader::ensure_empty;
use crate::store::{MoveProgress, Source, StoreOptions, survey};

impl MoveProgress {
    /// Where to go on in the source's changes.
    pub(super) fn position(&self) -> anyhow::Result<&str> {
        let position = self.position.as_deref();
        position.with_context(|| format!("{} is not followed into this store", self.source))
    }

    /// Refuses to go on from another source than this.
    pub(super) fn ensure_of(&self, source: &dyn Source) -> anyhow::Result<()> {
        ensure!(
            self.source == source.name(),
            "this store follows {}, not {}",
            self.source,
            source.name()
        );
        Ok(())
    }
}

/// Why nothing is moved into this store, and what to do about it.
fn refusal(progress: &MoveProgress, head: Seq, into: &StoreOptions) -> String {
    let source = &progress.source;
    match (progress.cut_off(head, into), &progress.position) {
        (Some(told), _) => told,
        (None, Some(_)) => {
            format!("What was adopted there from {source} goes on with --follow")
        }
        (None, None) => format!(
            "{source} was moved into it, once, without --follow. Name another folder or database"
        ),
    }
}

/// How far this store follows a source, if it `follows` one.
///
/// # Errors
/// If it can neither be filled nor followed into, and what to do about it.
pub(super) async fn survey_progress(
    into: &StoreOptions,
    follows: bool,
) -> anyhow::Result<Option<MoveProgress>> {
    let Some(site) = survey(into, MoveProgress::NOTE).await? else {
        return Ok(None);
    };
    let note = site.note.as_deref();
    match note.map(MoveProgress::of).transpose()? {
        Some(progress) if follows && progress.is_copied && progress.position.is_some() => {
            Ok(Some(progress))
        }
        Some(progress) if site.head > Seq::ZERO => bail!(
            "the store is not empty: its log ends at {}. {}",
            site.head,
            refusal(&progress, site.head, into)
        ),
        _ => ensure_empty(&site).map(|()| None),
    }
}

/// Refuses a store that documents cannot be moved into.
pub(in crate::offline) async fn ensure_fillable(into: &StoreOptions) -> anyhow::Result<()> {
    survey_progress(into, false).await.map(drop)
}

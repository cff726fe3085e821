//! How far documents of another program came into a store: a note that the store keeps of it.
//!
//! | the log | the note | then the store |
//! |---|---|---|
//! | is empty | none, or of a copy that wrote nothing | may be filled |
//! | is not | none | holds something else |
//! | is not | of a copy that did not end | holds a part of the documents: it has to go, and the copy begins again |
//! | any | of a copy that ended, with a position | can be followed into from there |

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::domain::Seq;
use crate::offline::bulk_loader::ensure_empty;
use crate::store::{Source, Store, StoreError, StoreOptions, survey};
use crate::value::read;

/// The note's name.
pub(in crate::offline) const NOTE: &str = "adopt";

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::offline) struct MoveProgress {
    /// What the documents are from.
    source: String,
    /// Whether all documents were copied: before that, `position` is where to begin.
    is_copied: bool,
    /// Everything in the source's changes before this is there; `None` if it is not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

impl MoveProgress {
    /// Before anything was copied.
    pub(in crate::offline) fn begun(source: &str, position: Option<String>) -> Self {
        Self {
            source: source.to_owned(),
            is_copied: false,
            position,
        }
    }

    /// Once everything was.
    pub(in crate::offline) fn copied(self) -> Self {
        Self {
            is_copied: true,
            ..self
        }
    }

    pub(super) fn advance(&mut self, position: String) {
        self.position = Some(position);
    }

    pub(in crate::offline) async fn write(&self, store: &dyn Store) -> Result<(), StoreError> {
        let note = serde_json::to_string(self).expect("it is JSON");
        store.write_note(NOTE, &note).await
    }

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

    /// Why nothing is moved into this store, and what to do about it.
    fn refusal(&self, into: &StoreOptions) -> String {
        let source = &self.source;
        match (self.is_copied, &self.position) {
            (false, _) => format!(
                "Moving {source} into it was cut off while its documents were copied, so it lacks some. Begin again: {}, \
                 then give the same command",
                into.removal()
            ),
            (true, Some(_)) => {
                format!("What was adopted there from {source} goes on with --follow")
            }
            (true, None) => format!(
                "{source} was moved into it, once, without --follow. Name another folder or database"
            ),
        }
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
    let Some(site) = survey(into, NOTE).await? else {
        return Ok(None);
    };
    let note = site.note.as_deref();
    let progress = note.map(|note| read::<MoveProgress>(note, "")).transpose();
    match progress.context("its note of what was moved into it cannot be read")? {
        Some(progress) if follows && progress.is_copied && progress.position.is_some() => {
            Ok(Some(progress))
        }
        Some(progress) if site.head > Seq::ZERO => bail!(
            "the store is not empty: its log ends at {}. {}",
            site.head,
            progress.refusal(into)
        ),
        _ => ensure_empty(&site).map(|()| None),
    }
}

/// Refuses a store that documents cannot be moved into.
pub(in crate::offline) async fn ensure_fillable(into: &StoreOptions) -> anyhow::Result<()> {
    survey_progress(into, false).await.map(drop)
}

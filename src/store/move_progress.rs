//! How far something was moved into a store: a note that the store keeps of it, from before the first change until it
//! goes. So whoever opens the store knows if it holds a part only.
//!
//! | the log | the note | then the store |
//! |---|---|---|
//! | is empty | none, or of a copy that wrote nothing | may be filled; with a note it is not served |
//! | is not | none | holds something else |
//! | is not | of a copy that did not end | holds a part: it has to go, and the copy begins again |
//! | any | of a copy that ended, with a position | can be followed into from there |

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, StoreOptions};
use crate::domain::Seq;
use crate::value::read;

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub struct MoveProgress {
    /// What is moved, as people call it.
    pub source: String,
    /// Whether all of it was copied: before that, `position` is where to begin.
    pub is_copied: bool,
    /// Everything in the source's changes before this is there; `None` if it is not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

impl MoveProgress {
    /// The note's name.
    pub const NOTE: &str = "adopt";

    /// Before anything was copied.
    pub fn begun(source: &str, position: Option<String>) -> Self {
        Self {
            source: source.to_owned(),
            is_copied: false,
            position,
        }
    }

    /// Once everything was.
    #[must_use]
    pub fn copied(self) -> Self {
        Self {
            is_copied: true,
            ..self
        }
    }

    /// Reads a note.
    ///
    /// # Errors
    /// If no livelog that this one knows wrote it.
    pub fn of(note: &str) -> anyhow::Result<Self> {
        read(note, "").context("its note of what was moved into it cannot be read")
    }

    /// Writes the note.
    ///
    /// # Errors
    /// If it was not written.
    pub async fn write(&self, store: &dyn Store) -> Result<(), StoreError> {
        let note = serde_json::to_string(self).expect("it is JSON");
        store.write_note(Self::NOTE, &note).await
    }

    /// What there is to say of a copy that did not end, and what to do about it.
    pub fn cut_off(&self, head: Seq, into: &StoreOptions) -> Option<String> {
        let (source, removal) = (&self.source, into.removal());
        if self.is_copied {
            return None;
        }
        Some(match head {
            Seq::ZERO => format!(
                "Moving {source} into it was cut off before anything was written, or still runs. Give the same command \
                 again, or {removal}"
            ),
            _ => format!(
                "Moving {source} into it was cut off while it was copied, or still runs: a part is missing. Begin again: \
                 {removal}, then give the same command"
            ),
        })
    }
}

/// Why a store holds a part only of what is to be there, and what to do about it; `None` if it holds everything.
///
/// # Errors
/// If that cannot be read.
pub async fn cut_off(store: &dyn Store, options: &StoreOptions) -> anyhow::Result<Option<String>> {
    let Some(note) = store.note(MoveProgress::NOTE).await? else {
        return Ok(None);
    };
    let told = MoveProgress::of(&note)?.cut_off(store.head().await?, options);
    Ok(told.map(|told| format!("the store is not whole. {told}")))
}

/// Refuses a store that holds a part only, and closes it.
pub(super) async fn ensure_whole(store: &dyn Store, options: &StoreOptions) -> anyhow::Result<()> {
    let told = cut_off(store, options).await;
    if !matches!(told, Ok(None)) {
        store.close().await;
    }
    match told? {
        None => Ok(()),
        Some(told) => bail!(told),
    }
}

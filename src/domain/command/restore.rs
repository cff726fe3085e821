//! RESTORE: gives an event the contents that it had at an earlier version.

use super::{take_expected_version, take_id, take_version};
use crate::domain::change::Effect;
use crate::domain::decide::{EventState, Rejection, Stamp};
use crate::domain::event::EventId;
use crate::domain::patch::Patch;
use crate::limits;
use crate::value::{Document, Invalid, known};

/// Restores the contents of an event. A deleted one is created anew with them.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// The event.
    pub id: EventId,
    /// The version to restore. In logs of format 1 several changes can have left it: the newest counts.
    pub version: u64,
    /// Refuse unless the event exists, at this version.
    pub expected_version: Option<u64>,
}

const VERSION: &str = "payload.version";

impl Restore {
    /// Parses the payload of a RESTORE: `{"id", "version", "expectedVersion"?}`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(payload: Document) -> Result<Self, Invalid> {
        let mut payload = known(payload, "payload", &["id", "version", "expectedVersion"])?;
        let id = take_id(&mut payload)?;
        let version = take_version(&mut payload, "version")?;
        let missing = || Invalid::new(VERSION, "missing: name the version to restore");
        let version = version.ok_or_else(missing)?;
        Ok(Self {
            id,
            version,
            expected_version: take_expected_version(&mut payload)?,
        })
    }

    pub(in crate::domain) fn decide(
        &self,
        state: &EventState,
        stamp: Stamp,
    ) -> Result<Effect, Rejection> {
        if state.current.is_none() && (state.earlier.is_none() || self.expected_version.is_some()) {
            return Err(state.not_found());
        }
        if state
            .earlier
            .as_ref()
            .is_some_and(|change| change.is_redacted())
        {
            let id = self.id.clone();
            return Err(Rejection::Redacted { id });
        }
        let restored = state.earlier.as_ref().and_then(|change| change.after());
        let restored = restored.ok_or_else(|| Rejection::NoSuchVersion {
            id: self.id.clone(),
            version: self.version,
        })?;
        if state.current.is_none() {
            return state.created(&restored.fields, stamp, None);
        }
        let before = state.expect_version(self.expected_version)?;
        let patch = difference(&before.fields, &restored.fields, VERSION)?;
        state.replaced(before, patch, stamp)
    }
}

/// The patch that gives a document the fields of another, if there are not too many; `at` is the path of what asks for it.
pub(super) fn difference(from: &Document, to: &Document, at: &str) -> Result<Patch, Rejection> {
    let patch = Patch::between(from, to);
    match patch.set.len() + patch.unset.len() {
        0..=limits::RESTORE_PATHS_MAX => Ok(patch),
        _ => {
            let reason = format!("more than {} fields differ", limits::RESTORE_PATHS_MAX);
            Err(Rejection::DoesNotFit(Invalid::new(at, reason)))
        }
    }
}

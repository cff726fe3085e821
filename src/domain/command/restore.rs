//! RESTORE: an event becomes again what it was at an earlier version.

use std::collections::HashMap;

use super::{take_expected_version, take_id};
use crate::domain::change::Effect;
use crate::domain::decide::{EventState, Rejection, Stamp};
use crate::domain::event::EventId;
use crate::domain::patch::{Patch, Path};
use crate::limits;
use crate::value::Invalid;
use crate::value::known;
use crate::value::{Document, Value};

/// Asks for the contents that an event had. One that is gone is created anew with them.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// The event.
    pub id: EventId,
    /// Of the changes that left the event at this version, the newest tells the contents.
    pub version: u64,
    /// Refuse unless the event is there, and at this version.
    pub expected_version: Option<u64>,
}

const VERSION: &str = "payload.version";

impl Restore {
    /// Reads the payload of a RESTORE: `{"id", "version", "expectedVersion"?}`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(payload: Document) -> Result<Self, Invalid> {
        let mut payload = known(payload, "payload", &["id", "version", "expectedVersion"])?;
        let id = take_id(&mut payload)?;
        let version = match payload.remove("version") {
            Some(Value::Int(version @ 1..)) => version.cast_unsigned(),
            Some(_) => return Err(Invalid::new(VERSION, "expected an integer from 1")),
            None => {
                return Err(Invalid::new(
                    VERSION,
                    "missing: name the version to restore",
                ));
            }
        };
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
        let wanted = state.earlier.as_ref().and_then(|change| change.after());
        let wanted = wanted.ok_or_else(|| Rejection::NoSuchVersion {
            id: self.id.clone(),
            version: self.version,
        })?;
        if state.current.is_none() {
            return state.created(&wanted.fields, stamp);
        }
        let before = state.expect_version(self.expected_version)?;
        let patch = difference(&before.fields, &wanted.fields)?;
        let after = before
            .patched(&patch, stamp.seq, stamp.at)
            .expect("names of fields are paths that fit");
        state.updated(before, patch, after)
    }
}

/// What makes one document hold what another does; not in the same order.
fn difference(from: &Document, to: &Document) -> Result<Patch, Rejection> {
    let path = |name: &str| Path::parse(name).expect("the name of a field is a path");
    let (had, has): (HashMap<_, _>, HashMap<_, _>) = (from.iter().collect(), to.iter().collect());
    let set = to
        .iter()
        .filter(|(name, value)| had.get(name) != Some(value));
    let unset = from.iter().filter(|(name, _)| !has.contains_key(name));
    let patch = Patch {
        set: set
            .map(|(name, value)| (path(name), value.clone()))
            .collect(),
        unset: unset.map(|(name, _)| path(name)).collect(),
    };
    match patch.set.len() + patch.unset.len() {
        0..=limits::RESTORE_PATHS_MAX => Ok(patch),
        _ => {
            let reason = format!("more than {} fields differ", limits::RESTORE_PATHS_MAX);
            Err(Rejection::DoesNotFit(Invalid::new(VERSION, reason)))
        }
    }
}

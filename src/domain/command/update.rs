//! UPDATE: plain fields are set; dotted paths reach inside.

use std::sync::Arc;

use super::{take_expected_version, take_id};
use crate::domain::change::Effect;
use crate::domain::decide::{Rejection, Slot, Stamp};
use crate::domain::document::{Invalid, check_value, join};
use crate::domain::event::EventId;
use crate::domain::patch::{Patch, Path};
use crate::domain::value::{Document, Value};
use crate::limits;

/// Asks for fields of an event to be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The event.
    pub id: EventId,
    /// Refuse unless the event is at this version.
    pub expected_version: Option<u64>,
    patch: Patch,
}

const DATA: &str = "payload.updateData";

impl Update {
    /// Reads the payload of an UPDATE: `{"id", "updateData", "expectedVersion"?}`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(mut payload: Document) -> Result<Self, Invalid> {
        let id = take_id(&mut payload)?;
        let expected_version = take_expected_version(&mut payload)?;
        let patch = match payload.remove("updateData") {
            Some(Value::Object(data)) => parse_fields(data)?,
            Some(other) => {
                return Err(Invalid::new(
                    DATA,
                    format!("expected an object, found {}", other.kind()),
                ));
            }
            None => return Err(Invalid::new(DATA, "missing: name the fields to set")),
        };
        Ok(Self {
            id,
            expected_version,
            patch,
        })
    }

    pub(in crate::domain) fn decide(&self, slot: &Slot, stamp: Stamp) -> Result<Effect, Rejection> {
        let before = slot.expect_version(self.expected_version)?;
        let after = before
            .patched(&self.patch, stamp.seq, stamp.at)
            .map_err(Rejection::DoesNotFit)?;
        if after.weight() > limits::EVENT_BYTES_MAX {
            return Err(Rejection::TooLarge {
                id: slot.id.clone(),
            });
        }
        Ok(Effect::Update {
            before: Arc::clone(before),
            patch: self.patch.clone(),
            after: Arc::new(after),
        })
    }
}

fn parse_fields(data: Document) -> Result<Patch, Invalid> {
    if data.is_empty() {
        return Err(Invalid::new(DATA, "names no field to set"));
    }
    if data.len() > limits::UPDATE_PATHS_MAX {
        return Err(Invalid::new(
            DATA,
            format!(
                "more than {} fields in one update",
                limits::UPDATE_PATHS_MAX
            ),
        ));
    }
    let mut set: Vec<(Path, Value)> = Vec::with_capacity(data.len());
    for (name, value) in data {
        let at = join(DATA, &name);
        if name.starts_with('$') {
            return Err(Invalid::new(
                at,
                "update operators are not supported: give plain fields to set",
            ));
        }
        let path = Path::parse(&name).map_err(|reason| Invalid::new(at.as_str(), reason))?;
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            check_value(&value, &at, path.depth() + 1)?;
        }
        if let Some((other, _)) = set.iter().find(|(other, _)| other.overlaps(&path)) {
            return Err(Invalid::new(
                at,
                format!("conflicts with {other}, which is set by the same update"),
            ));
        }
        set.push((path, value));
    }
    Ok(Patch {
        set,
        unset: Vec::new(),
    })
}

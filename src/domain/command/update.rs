//! UPDATE: plain fields are set, operators applied, or a merge patch merged; dotted paths reach inside.

use std::borrow::Cow;

use super::{take_expected_version, take_id};
use crate::domain::change::Effect;
use crate::domain::decide::{EventState, Rejection, Stamp};
use crate::domain::event::EventId;
use crate::domain::merge::Merge;
use crate::domain::operators;
use crate::domain::operators::{Misfit, Operators};
use crate::domain::patch::{Patch, PatchError, Path};
use crate::limits;
use crate::query::Conditions;
use crate::value::Steps;
use crate::value::known;
use crate::value::{Document, Value};
use crate::value::{Invalid, check_value, join};

/// Asks for fields of an event to be changed.
#[derive(Debug, Clone)]
pub struct Update {
    /// The event.
    pub id: EventId,
    /// Refuse unless the event is at this version.
    pub expected_version: Option<u64>,
    data: UpdateData,
}

/// What `updateData` or `mergePatch` asks for.
#[derive(Debug, Clone)]
enum UpdateData {
    Fields(Patch),
    Operators(Operators),
    Merge(Merge),
}

const NAMES: [&str; 4] = ["id", "updateData", "mergePatch", "expectedVersion"];
const DATA: &str = "payload.updateData";
const MERGE_PATCH: &str = "payload.mergePatch";

impl Update {
    /// Reads the payload of an UPDATE: `{"id", "updateData", "expectedVersion"?}`, or with `mergePatch` in
    /// place of `updateData`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(payload: Document, conditions: &mut Conditions) -> Result<Self, Invalid> {
        let mut payload = known(payload, "payload", &NAMES)?;
        let id = take_id(&mut payload)?;
        let expected_version = take_expected_version(&mut payload)?;
        let data = match (payload.remove("updateData"), payload.remove("mergePatch")) {
            (Some(data), None) => UpdateData::parse(object(data, DATA)?, conditions)?,
            (None, Some(patch)) => {
                UpdateData::Merge(Merge::parse(object(patch, MERGE_PATCH)?, MERGE_PATCH)?)
            }
            (None, None) => return Err(Invalid::new(DATA, "missing: name the fields to set")),
            (Some(_), Some(_)) => {
                return Err(Invalid::new(MERGE_PATCH, "cannot stand beside updateData"));
            }
        };
        Ok(Self {
            id,
            expected_version,
            data,
        })
    }

    /// Roughly the bytes it keeps that its payload does not show.
    pub(super) fn weight_of_conditions(&self) -> usize {
        match &self.data {
            UpdateData::Fields(_) | UpdateData::Merge(_) => 0,
            UpdateData::Operators(operators) => operators.weight_of_conditions(),
        }
    }

    pub(in crate::domain) fn decide(
        &self,
        state: &EventState,
        stamp: Stamp,
        steps: &Steps,
    ) -> Result<Effect, Rejection> {
        let before = state.expect_version(self.expected_version)?;
        let patch = self.data.effect(&before.fields, steps);
        let patch = patch.map_err(|misfit| match misfit {
            Misfit::DoesNotFit(invalid) => Rejection::DoesNotFit(invalid),
            Misfit::TooCostly(invalid) => Rejection::TooCostly(invalid),
        })?;
        let after = before
            .patched(&patch, stamp.seq, stamp.at)
            .map_err(|error| Rejection::DoesNotFit(self.data.misfit(&error)))?;
        state.updated(before, patch.into_owned(), after)
    }
}

fn object(value: Value, at: &str) -> Result<Document, Invalid> {
    match value {
        Value::Object(document) => Ok(document),
        other => {
            let reason = format!("expected an object, found {}", other.kind());
            Err(Invalid::new(at, reason))
        }
    }
}

impl UpdateData {
    fn parse(data: Document, conditions: &mut Conditions) -> Result<Self, Invalid> {
        let has_operators = data.iter().any(|(name, _)| name.starts_with('$'));
        match has_operators {
            true => operators::parse(data, DATA, conditions).map(Self::Operators),
            false => parse_fields(data).map(Self::Fields),
        }
    }

    /// What it does to a document: values where they will stand, whatever asked for them.
    fn effect(&self, before: &Document, steps: &Steps) -> Result<Cow<'_, Patch>, Misfit> {
        match self {
            Self::Fields(patch) => Ok(Cow::Borrowed(patch)),
            Self::Operators(operators) => operators.effect(before, steps).map(Cow::Owned),
            Self::Merge(merge) => Ok(Cow::Owned(merge.effect(before))),
        }
    }

    /// The field or operator whose effect could not be had.
    fn misfit(&self, error: &PatchError) -> Invalid {
        let at = match self {
            Self::Fields(_) | Self::Merge(_) => None,
            Self::Operators(operators) => operators.place_of(error.path()),
        };
        let at = at.map_or_else(|| join(DATA, error.path().as_str()), str::to_owned);
        Invalid::new(at, error.to_string())
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

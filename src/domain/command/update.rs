//! UPDATE: sets plain fields, applies operators, or merges a merge patch; dotted paths reach into documents.

use std::borrow::Cow;

use super::{take_expected_version, take_id};
use crate::domain::change::Effect;
use crate::domain::decide::{EventState, Rejection, Stamp};
use crate::domain::event::EventId;
use crate::domain::merge_patch::MergePatch;
use crate::domain::operators::{self, Misfit, Operators};
use crate::domain::patch::{Patch, PatchError, Path};
use crate::limits;
use crate::query::Conditions;
use crate::value::{Document, Invalid, Steps, Value, check_value, expected, join, known};

/// Changes fields of an event.
#[derive(Debug, Clone)]
pub struct Update {
    /// The event.
    pub id: EventId,
    /// Refuse unless the event is at this version.
    pub expected_version: Option<u64>,
    data: UpdateData,
}

/// The contents of `updateData` or `mergePatch`.
#[derive(Debug, Clone)]
enum UpdateData {
    Fields(Patch),
    Operators(Operators),
    MergePatch(MergePatch),
}

const NAMES: [&str; 4] = ["id", "updateData", "mergePatch", "expectedVersion"];
const DATA: &str = "payload.updateData";
const MERGE_PATCH: &str = "payload.mergePatch";

impl Update {
    /// Parses the payload of an UPDATE: `{"id", "updateData", "expectedVersion"?}`, or with `mergePatch` instead of
    /// `updateData`.
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
                let patch = object(patch, MERGE_PATCH)?;
                UpdateData::MergePatch(MergePatch::parse(patch, MERGE_PATCH)?)
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

    /// The paths that it may read or set, whatever the event.
    pub fn paths(&self) -> Vec<String> {
        match &self.data {
            UpdateData::Fields(patch) => {
                let paths = patch.set.iter().map(|(path, _)| path.to_string());
                paths.collect()
            }
            UpdateData::Operators(operators) => operators.paths().map(Path::to_string).collect(),
            UpdateData::MergePatch(patch) => patch.paths(),
        }
    }

    /// Roughly the bytes of memory that it takes beside those of its payload: compiled patterns.
    pub(super) fn approx_condition_bytes(&self) -> usize {
        match &self.data {
            UpdateData::Fields(_) | UpdateData::MergePatch(_) => 0,
            UpdateData::Operators(operators) => operators.approx_condition_bytes(),
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
        other => Err(expected("an object", &other, at)),
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

    /// Its effect on a document.
    fn effect(&self, before: &Document, steps: &Steps) -> Result<Cow<'_, Patch>, Misfit> {
        match self {
            Self::Fields(patch) => Ok(Cow::Borrowed(patch)),
            Self::Operators(operators) => operators.effect(before, steps).map(Cow::Owned),
            Self::MergePatch(patch) => Ok(Cow::Owned(patch.effect(before))),
        }
    }

    /// The field or operator whose path does not fit the event.
    fn misfit(&self, error: &PatchError) -> Invalid {
        let at = match self {
            Self::Fields(_) | Self::MergePatch(_) => None,
            Self::Operators(operators) => operators.position_of(error.path()),
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

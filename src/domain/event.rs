//! Events: the documents that clients store, and their ids.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::patch::{Patch, PatchError};
use super::seq::Seq;
use super::timestamp::Timestamp;
use crate::limits;
use crate::value::{Document, Record, Value, ValueRef};

/// An event's name for life: 1 to [`limits::EVENT_ID_BYTES_MAX`] bytes of text without NUL.
///
/// Shared rather than copied: the event, its changes and the engine's cache hold the same one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Arc<str>);

impl EventId {
    /// Parses an id that a client chose.
    ///
    /// # Errors
    /// The reason, without a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.len() {
            0 => Err("an id must not be empty".to_owned()),
            1..=limits::EVENT_ID_BYTES_MAX if text.contains('\0') => {
                Err("an id must not contain NUL".to_owned())
            }
            1..=limits::EVENT_ID_BYTES_MAX => Ok(Self(text.into())),
            _ => Err(format!(
                "an id must not exceed {} bytes",
                limits::EVENT_ID_BYTES_MAX
            )),
        }
    }

    /// Parses a stored id, by the bounds of every earlier livelog.
    ///
    /// # Errors
    /// If no livelog can have accepted it.
    pub fn stored(text: &str) -> Result<Self, String> {
        match text.len() {
            1..=limits::STORED_EVENT_ID_BYTES_MAX if !text.contains('\0') => Ok(Self(text.into())),
            _ => Err("it is no event's id".to_owned()),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ids sort as their texts do.
impl Borrow<str> for EventId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// An id made by the server, which is short and has no NUL.
impl From<uuid::Uuid> for EventId {
    fn from(id: uuid::Uuid) -> Self {
        Self(
            (&*id
                .hyphenated()
                .encode_lower(&mut uuid::Uuid::encode_buffer()))
                .into(),
        )
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A stored document: the server's fields, and the user's own.
///
/// Clients and queries see one flat document: `_id`, `_version`, `_seq`, `_createdAt`,
/// `_updatedAt`, then the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `_id`
    pub id: EventId,
    /// `_version`: how many changes its id has had, those before an earlier deletion too.
    pub version: u64,
    /// `_seq`: its last change.
    pub seq: Seq,
    /// `_createdAt`
    pub created_at: Timestamp,
    /// `_updatedAt`
    pub updated_at: Timestamp,
    /// Everything else.
    pub fields: Document,
}

/// When another program, which handed an event over, created and last changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginalTimes {
    /// Becomes `_createdAt`.
    pub created_at: Timestamp,
    /// Becomes `_updatedAt`.
    pub updated_at: Timestamp,
}

impl Event {
    /// A new event at this version.
    pub(super) fn created(
        id: &EventId,
        version: u64,
        fields: Document,
        seq: Seq,
        at: Timestamp,
    ) -> Self {
        Self {
            id: id.clone(),
            version,
            seq,
            created_at: at,
            updated_at: at,
            fields,
        }
    }

    /// The event after an update. Deciding a command and replaying the log share it, so they cannot differ.
    ///
    /// # Errors
    /// If the patch does not fit the fields.
    pub fn patched(&self, patch: &Patch, seq: Seq, at: Timestamp) -> Result<Self, PatchError> {
        Ok(Self {
            id: self.id.clone(),
            version: self.version + 1,
            seq,
            created_at: self.created_at,
            updated_at: at,
            fields: patch.apply(&self.fields)?,
        })
    }

    /// The same event with other fields.
    pub fn with_fields(&self, fields: Document) -> Self {
        Self {
            id: self.id.clone(),
            fields,
            ..*self
        }
    }

    /// Roughly the bytes this takes in memory.
    pub fn approx_bytes(&self) -> usize {
        128 + self.id.as_str().len() + self.fields.approx_bytes()
    }

    /// The same new event, with the times that another program knows of it: never later than its change.
    pub(super) fn with_times(self, times: OriginalTimes) -> Self {
        let created_at = times.created_at.min(self.created_at);
        Self {
            created_at,
            updated_at: times.updated_at.clamp(created_at, self.updated_at),
            ..self
        }
    }

    fn meta(&self) -> [(&'static str, ValueRef<'_>); 5] {
        [
            ("_id", ValueRef::String(self.id.as_str())),
            ("_version", ValueRef::Int(self.version.cast_signed())),
            ("_seq", ValueRef::Int(self.seq.get().cast_signed())),
            ("_createdAt", ValueRef::String(self.created_at.as_str())),
            ("_updatedAt", ValueRef::String(self.updated_at.as_str())),
        ]
    }
}

impl Record for Event {
    fn field(&self, name: &str) -> Option<ValueRef<'_>> {
        if !name.starts_with('_') {
            return self.fields.get(name).map(Value::borrow);
        }
        self.meta()
            .into_iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    fn fields(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> {
        self.meta().into_iter().chain(
            self.fields
                .iter()
                .map(|(name, value)| (name, value.borrow())),
        )
    }

    fn width(&self) -> usize {
        self.fields.len()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5 + self.fields.len()))?;
        for (name, value) in Record::fields(self) {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

//! What a client asks to be written; one file a command: its shape, its rules, its decision.

mod batch;
mod create;
mod delete;
mod key;
mod meaning;
mod restore;
mod update;

pub use batch::CommandBatch;
pub use create::Create;
pub use delete::Delete;
pub use key::{BatchKey, CommandId, CommandKey};
pub use restore::Restore;
pub use update::Update;

use super::event::EventId;
use crate::value::Invalid;
use crate::value::{Document, Value};

/// A request to change one event. Checked: what a command holds can be decided on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each has a type of its own")]
pub enum Command {
    Create(Create),
    Update(Update),
    Delete(Delete),
    Restore(Restore),
}

impl Command {
    /// Whether it is a CREATE.
    pub fn is_create(&self) -> bool {
        matches!(self, Self::Create(_))
    }

    /// The event it is about; `None` for a create that leaves the id to the server.
    pub fn target(&self) -> Option<&EventId> {
        match self {
            Self::Create(create) => create.id.as_ref(),
            Self::Update(update) => Some(&update.id),
            Self::Delete(delete) => Some(&delete.id),
            Self::Restore(restore) => Some(&restore.id),
        }
    }

    fn weight_of_conditions(&self) -> usize {
        match self {
            Self::Update(update) => update.weight_of_conditions(),
            Self::Create(_) | Self::Delete(_) | Self::Restore(_) => 0,
        }
    }

    /// The version of an event whose contents it asks for.
    pub fn source(&self) -> Option<(&EventId, u64)> {
        match self {
            Self::Restore(restore) => Some((&restore.id, restore.version)),
            Self::Create(_) | Self::Update(_) | Self::Delete(_) => None,
        }
    }
}

/// A command in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of Command")]
pub enum Verb {
    Create,
    Update,
    Delete,
    Restore,
}

impl Verb {
    /// The word as clients write it.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "CREATE" => Some(Self::Create),
            "UPDATE" => Some(Self::Update),
            "DELETE" => Some(Self::Delete),
            "RESTORE" => Some(Self::Restore),
            _ => None,
        }
    }

    /// What tells commands' digests apart: kept with changes, so it stays as it is.
    fn tag(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
        }
    }
}

/// Reads the required `id` of a payload.
fn take_id(payload: &mut Document) -> Result<EventId, Invalid> {
    match payload.remove("id") {
        Some(Value::String(text)) => {
            EventId::parse(&text).map_err(|reason| Invalid::new("payload.id", reason))
        }
        Some(other) => Err(Invalid::new(
            "payload.id",
            format!("expected a string, found {}", other.kind()),
        )),
        None => Err(Invalid::new("payload.id", "missing: name the event")),
    }
}

/// Reads the optional `expectedVersion` of a payload.
fn take_expected_version(payload: &mut Document) -> Result<Option<u64>, Invalid> {
    match payload.remove("expectedVersion") {
        None => Ok(None),
        Some(Value::Int(version @ 1..)) => Ok(Some(version.cast_unsigned())),
        Some(_) => Err(Invalid::new(
            "payload.expectedVersion",
            "expected an integer from 1",
        )),
    }
}

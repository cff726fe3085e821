//! Commands: the writes that clients ask for. One file a command, with its payload, its rules and its decision.

mod batch;
mod canonical;
mod create;
mod delete;
mod idempotency;
mod replace;
mod restore;
mod update;

pub use batch::CommandBatch;
pub use create::Create;
pub use delete::Delete;
pub use idempotency::{BatchKey, CommandId, CommandKey};
pub use replace::Replace;
pub use restore::Restore;
pub use update::Update;

use super::event::EventId;
use crate::value::{Document, Invalid, Value, expected, join};

/// A request to change one event, parsed and checked: it can be decided.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each has a type of its own")]
pub enum Command {
    Create(Create),
    Update(Update),
    Delete(Delete),
    Restore(Restore),
    Replace(Replace),
}

impl Command {
    /// Whether it is a CREATE.
    pub fn is_create(&self) -> bool {
        matches!(self, Self::Create(_))
    }

    /// The event to change; `None` for a CREATE that leaves the id to the server.
    pub fn target(&self) -> Option<&EventId> {
        match self {
            Self::Create(create) => create.id.as_ref(),
            Self::Update(update) => Some(&update.id),
            Self::Delete(delete) => Some(&delete.id),
            Self::Restore(restore) => Some(&restore.id),
            Self::Replace(replace) => Some(&replace.id),
        }
    }

    fn approx_condition_bytes(&self) -> usize {
        match self {
            Self::Update(update) => update.approx_condition_bytes(),
            Self::Create(_) | Self::Delete(_) | Self::Restore(_) | Self::Replace(_) => 0,
        }
    }

    /// For a RESTORE, the event and the version to restore: its contents must be loaded.
    pub fn source(&self) -> Option<(&EventId, u64)> {
        match self {
            Self::Restore(restore) => Some((&restore.id, restore.version)),
            Self::Create(_) | Self::Update(_) | Self::Delete(_) | Self::Replace(_) => None,
        }
    }
}

/// The kind of a command, of those that clients may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of Command")]
pub enum CommandKind {
    Create,
    Update,
    Delete,
    Restore,
}

impl CommandKind {
    /// Parses the kind as clients write it.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "CREATE" => Some(Self::Create),
            "UPDATE" => Some(Self::Update),
            "DELETE" => Some(Self::Delete),
            "RESTORE" => Some(Self::Restore),
            _ => None,
        }
    }

    /// Part of commands' digests, which are stored with changes: must never change.
    fn tag(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
        }
    }
}

/// Takes the required `id` of a payload.
fn take_id(payload: &mut Document) -> Result<EventId, Invalid> {
    match payload.remove("id") {
        Some(Value::String(text)) => {
            EventId::parse(&text).map_err(|reason| Invalid::new("payload.id", reason))
        }
        Some(other) => Err(expected("a string", &other, "payload.id")),
        None => Err(Invalid::new("payload.id", "missing: name the event")),
    }
}

/// Takes the optional `expectedVersion` of a payload.
fn take_expected_version(payload: &mut Document) -> Result<Option<u64>, Invalid> {
    take_version(payload, "expectedVersion")
}

/// Takes an optional version of a payload.
fn take_version(payload: &mut Document, name: &str) -> Result<Option<u64>, Invalid> {
    match payload.remove(name) {
        None => Ok(None),
        Some(Value::Int(version @ 1..)) => Ok(Some(version.cast_unsigned())),
        Some(_) => Err(Invalid::new(
            join("payload", name),
            "expected an integer from 1",
        )),
    }
}

//! What a request asks for, in a word.

use serde::Serialize;

use crate::domain::CommandKind;

/// The `type` of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the words of the wire")]
pub enum RequestKind {
    Create,
    Update,
    Delete,
    Restore,
    Fetch,
    Broadcast,
    Subscribe,
    Unsubscribe,
    Batch,
    Ping,
    Auth,
}

impl RequestKind {
    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Restore => "RESTORE",
            Self::Fetch => "FETCH",
            Self::Broadcast => "BROADCAST",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Batch => "BATCH",
            Self::Ping => "PING",
            Self::Auth => "AUTH",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        if let Some(verb) = CommandKind::parse(word) {
            return Some(verb.into());
        }
        match word {
            "FETCH" => Some(Self::Fetch),
            "BROADCAST" => Some(Self::Broadcast),
            "BATCH" => Some(Self::Batch),
            "SUBSCRIBE" => Some(Self::Subscribe),
            "UNSUBSCRIBE" => Some(Self::Unsubscribe),
            "PING" => Some(Self::Ping),
            "AUTH" => Some(Self::Auth),
            _ => None,
        }
    }
}

impl From<CommandKind> for RequestKind {
    fn from(verb: CommandKind) -> Self {
        match verb {
            CommandKind::Create => Self::Create,
            CommandKind::Update => Self::Update,
            CommandKind::Delete => Self::Delete,
            CommandKind::Restore => Self::Restore,
        }
    }
}

//! One entry of the log.

use std::sync::Arc;

use serde::Serialize;

use super::command::CommandKey;
use super::event::{Event, EventId};
use super::patch::Patch;
use super::seq::Seq;
use super::timestamp::Timestamp;

/// A fact that happened to one event. Alone it tells the event before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its place in the log.
    pub seq: Seq,
    /// When the server decided it; never earlier than the change before, but in logs of earlier livelogs.
    pub at: Timestamp,
    /// What happened.
    pub effect: Effect,
    /// The command that asked for it, if its client gave it an id.
    pub command: Option<Arc<CommandKey>>,
}

/// What a change did to its event. Events are shared: the same one is held by the writer's
/// memory, the live window and the next change's `before`.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "before and after say it")]
pub enum Effect {
    Create {
        after: Arc<Event>,
    },
    Update {
        before: Arc<Event>,
        patch: Patch,
        after: Arc<Event>,
    },
    Delete {
        before: Arc<Event>,
    },
    /// Something that must be forgotten: of the event neither what it was nor what it became is known any more.
    ///
    /// The last change of a life of which any is redacted is a delete, and redacted too. So an event none of
    /// whose contents are known is in no view.
    Redacted {
        /// What it was.
        kind: Kind,
        id: EventId,
        /// The event's version after it.
        version: u64,
        /// The change of the event before it.
        prior: Option<Seq>,
    },
}

/// A change in one word, as on the wire and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of Effect")]
pub enum Kind {
    Create,
    Update,
    Delete,
}

impl Kind {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Create, Self::Update, Self::Delete];
        all.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Change {
    /// The kind of effect.
    pub fn kind(&self) -> Kind {
        match self.effect {
            Effect::Create { .. } => Kind::Create,
            Effect::Update { .. } => Kind::Update,
            Effect::Delete { .. } => Kind::Delete,
            Effect::Redacted { kind, .. } => kind,
        }
    }

    /// Whether its contents were erased.
    pub fn is_redacted(&self) -> bool {
        matches!(self.effect, Effect::Redacted { .. })
    }

    /// The same change without contents. What was asked for is forgotten too, but for the command's id.
    #[must_use]
    pub fn redact(&self) -> Self {
        let effect = Effect::Redacted {
            kind: self.kind(),
            id: self.event_id().clone(),
            version: self.version(),
            prior: self.prior(),
        };
        let command = self.command.as_ref().map(|key| {
            Arc::new(CommandKey {
                id: key.id.clone(),
                digest: CommandKey::FORGOTTEN,
            })
        });
        Self {
            effect,
            command,
            ..*self
        }
    }

    /// The event as it was; `None` for a create, or where it was erased.
    pub fn before(&self) -> Option<&Arc<Event>> {
        match &self.effect {
            Effect::Create { .. } | Effect::Redacted { .. } => None,
            Effect::Update { before, .. } | Effect::Delete { before } => Some(before),
        }
    }

    /// The event as it became; `None` for a delete, or where it was erased.
    pub fn after(&self) -> Option<&Arc<Event>> {
        match &self.effect {
            Effect::Create { after } | Effect::Update { after, .. } => Some(after),
            Effect::Delete { .. } | Effect::Redacted { .. } => None,
        }
    }

    /// The event as it became, or as it was when it was deleted; `None` where it was erased.
    pub fn event(&self) -> Option<&Arc<Event>> {
        self.after().or(self.before())
    }

    /// What was set and unset; `None` unless an update.
    pub fn patch(&self) -> Option<&Patch> {
        match &self.effect {
            Effect::Update { patch, .. } => Some(patch),
            Effect::Create { .. } | Effect::Delete { .. } | Effect::Redacted { .. } => None,
        }
    }

    /// The event it happened to.
    pub fn event_id(&self) -> &EventId {
        match &self.effect {
            Effect::Create { after } => &after.id,
            Effect::Update { before, .. } | Effect::Delete { before } => &before.id,
            Effect::Redacted { id, .. } => id,
        }
    }

    /// The event's version after this change. A delete counts as one more, and a create goes on from there, so
    /// no two states of an id have the same. In logs written before that was the rule, each life begins at 1.
    pub fn version(&self) -> u64 {
        match &self.effect {
            Effect::Create { after } | Effect::Update { after, .. } => after.version,
            Effect::Delete { before } => before.version + 1,
            Effect::Redacted { version, .. } => *version,
        }
    }

    /// The change of the same event before this one; `None` where the event was created.
    pub fn prior(&self) -> Option<Seq> {
        match self.effect {
            Effect::Redacted { prior, .. } => prior,
            _ => self.before().map(|before| before.seq),
        }
    }

    /// Roughly the bytes this takes in memory.
    pub fn weight(&self) -> usize {
        let patch = self.patch().map_or(0, Patch::weight);
        let command = self.command.as_ref().map_or(0, |key| key.weight());
        72 + patch
            + command
            + self.before().map_or(0, |event| event.weight())
            + self.after().map_or(0, |event| event.weight())
    }
}

//! One entry of the log.

use std::sync::Arc;

use serde::Serialize;

use super::author::Author;
use super::command::CommandKey;
use super::event::{Event, EventId};
use super::patch::Patch;
use super::seq::Seq;
use super::timestamp::Timestamp;

/// A fact that happened to one event. It holds the event before and after, so it can be read without the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its position in the log.
    pub seq: Seq,
    /// When the server decided it; never earlier than the change before, but in logs of earlier livelogs.
    pub at: Timestamp,
    /// What happened.
    pub effect: Effect,
    /// The key of the command that caused it, if its client gave the command an id.
    pub command: Option<Arc<CommandKey>>,
    /// Who caused it, if credentials said so.
    pub author: Option<Arc<Author>>,
}

/// What a change did to its event. Events are shared: the engine's cache, the live window and the next change's
/// `before` hold the same one.
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
    /// The contents were erased: the event is known neither before nor after.
    ///
    /// If any change between a create and the next delete is redacted, that delete is there, and redacted too. So no
    /// event in the view rests on erased contents.
    Redacted {
        /// The kind of the change that was erased.
        kind: ChangeKind,
        id: EventId,
        /// The event's version after the change.
        version: u64,
        /// The event's previous change.
        prior: Option<Seq>,
    },
}

/// A change in one word, as on the wire and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of Effect")]
pub enum ChangeKind {
    Create,
    Update,
    Delete,
}

impl ChangeKind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Parses the word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Create, Self::Update, Self::Delete];
        all.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Change {
    /// The kind of effect.
    pub fn kind(&self) -> ChangeKind {
        match self.effect {
            Effect::Create { .. } => ChangeKind::Create,
            Effect::Update { .. } => ChangeKind::Update,
            Effect::Delete { .. } => ChangeKind::Delete,
            Effect::Redacted { kind, .. } => kind,
        }
    }

    /// Whether its contents were erased.
    pub fn is_redacted(&self) -> bool {
        matches!(self.effect, Effect::Redacted { .. })
    }

    /// The same change without contents, and without the digest of its command.
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
            author: self.author.clone(),
            ..*self
        }
    }

    /// The same change of the events that `with` makes of its events. Its patch leads from the one to the other no more, and
    /// is left out.
    #[must_use]
    pub fn with_events(&self, with: impl Fn(&Arc<Event>) -> Arc<Event>) -> Self {
        let effect = match &self.effect {
            Effect::Create { after } => Effect::Create { after: with(after) },
            Effect::Update { before, after, .. } => Effect::Update {
                before: with(before),
                patch: Patch::default(),
                after: with(after),
            },
            Effect::Delete { before } => Effect::Delete {
                before: with(before),
            },
            erased @ Effect::Redacted { .. } => erased.clone(),
        };
        Self {
            effect,
            ..self.clone()
        }
    }

    /// The event before the change; `None` for a create, or if it was erased.
    pub fn before(&self) -> Option<&Arc<Event>> {
        match &self.effect {
            Effect::Create { .. } | Effect::Redacted { .. } => None,
            Effect::Update { before, .. } | Effect::Delete { before } => Some(before),
        }
    }

    /// The event after the change; `None` for a delete, or if it was erased.
    pub fn after(&self) -> Option<&Arc<Event>> {
        match &self.effect {
            Effect::Create { after } | Effect::Update { after, .. } => Some(after),
            Effect::Delete { .. } | Effect::Redacted { .. } => None,
        }
    }

    /// The event after the change, or before it for a delete; `None` if it was erased.
    pub fn event(&self) -> Option<&Arc<Event>> {
        self.after().or(self.before())
    }

    /// What was set and unset; `None` unless it is an update.
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

    /// The event's version after this change. A delete raises it too, and a later create goes on from there, so no two
    /// states of an id have the same version. In logs of format 1 every create begins at 1.
    pub fn version(&self) -> u64 {
        match &self.effect {
            Effect::Create { after } | Effect::Update { after, .. } => after.version,
            Effect::Delete { before } => before.version + 1,
            Effect::Redacted { version, .. } => *version,
        }
    }

    /// The event's previous change; `None` for a create.
    pub fn prior(&self) -> Option<Seq> {
        match self.effect {
            Effect::Redacted { prior, .. } => prior,
            _ => self.before().map(|before| before.seq),
        }
    }

    /// Roughly the bytes this takes in memory.
    pub fn approx_bytes(&self) -> usize {
        let patch = self.patch().map_or(0, Patch::approx_bytes);
        let command = self.command.as_ref().map_or(0, |key| key.approx_bytes());
        let author = self
            .author
            .as_ref()
            .map_or(0, |author| author.approx_bytes());
        80 + patch
            + command
            + author
            + self.before().map_or(0, |event| event.approx_bytes())
            + self.after().map_or(0, |event| event.approx_bytes())
    }
}

//! Idempotency keys: a command that is sent again under its id is recognized, and has no second effect.
//!
//! The key has a digest of the command beside the id, so that an id given to two commands is an error and not a
//! repetition.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::canonical::Canonical;
use crate::domain::author::Author;
use crate::limits;
use crate::value::{Document, Invalid, from_hex, hex};

/// The id that a client gives to a command: the same for each attempt, and for no other command of any client.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CommandId(Arc<str>);

impl CommandId {
    /// Parses an id; `at` is its path in the message.
    ///
    /// # Errors
    /// If it is empty or longer than [`limits::COMMAND_ID_BYTES_MAX`].
    pub fn parse(text: &str, at: &str) -> Result<Self, Invalid> {
        match text.len() {
            1..=limits::COMMAND_ID_BYTES_MAX => Ok(Self(text.into())),
            _ => Err(Invalid::new(
                at,
                format!(
                    "expected a string of 1 to {} bytes",
                    limits::COMMAND_ID_BYTES_MAX
                ),
            )),
        }
    }

    /// Parses a stored id, by the bounds of every earlier livelog; `None` if none can have accepted it.
    pub fn stored(text: &str) -> Option<Self> {
        let fits = (1..=limits::STORED_COMMAND_ID_BYTES_MAX).contains(&text.len());
        fits.then(|| Self(text.into()))
    }

    /// The id under which one of this author is stored: a digest, since what both say is longer than an id may be.
    fn of(author: &Author, id: &Self) -> Self {
        let (kind, parts) = match author {
            Author::Token { issuer, subject } => ("token", [&**issuer, &**subject]),
            Author::Key { id } => ("key", [&**id, ""]),
        };
        let mut hash = Sha256::new_with_prefix(kind);
        for part in parts.into_iter().chain([id.as_str()]) {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Self(hex(&hash.finalize()).into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The idempotency key of a command, stored with its first change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandKey {
    /// The client's id.
    pub id: CommandId,
    /// Of the command's canonical form, or in older logs of its text.
    pub digest: Digest,
}

/// The first half of a SHA-256.
type Digest = [u8; 16];

impl CommandKey {
    /// The digest of a redacted command, which no command has.
    pub const FORGOTTEN: Digest = [0; 16];

    /// The digest in hexadecimal.
    pub fn hex(&self) -> String {
        hex(&self.digest)
    }

    /// The key with the digest that [`hex`](Self::hex) wrote; `None` if it is no digest.
    pub fn from_hex(id: CommandId, hex: &str) -> Option<Self> {
        let digest = from_hex(hex)?;
        Some(Self { id, digest })
    }

    /// Roughly the bytes this takes in memory.
    pub fn approx_bytes(&self) -> usize {
        48 + self.id.as_str().len()
    }
}

/// The idempotency key of a batch that is still to be decided.
#[derive(Debug, Clone)]
pub struct BatchKey {
    /// The key that is stored with its first change.
    pub key: Arc<CommandKey>,
    /// The digest that earlier livelogs stored: of the verb and the text of the payload.
    text_digest: Digest,
}

impl BatchKey {
    /// The key of a command with this verb and payload, and so this canonical form.
    pub(super) fn new(
        id: CommandId,
        verb: &str,
        payload: &Document,
        canonical: &Canonical,
    ) -> Self {
        let json = serde_json::to_vec(payload).expect("a document is JSON");
        let key = CommandKey {
            id,
            digest: digest(&[canonical.as_bytes()]),
        };
        Self {
            key: Arc::new(key),
            text_digest: digest(&[verb.as_bytes(), &json]),
        }
    }

    /// The same key of this author: nobody else's is equal, nor tells that there is one.
    pub(super) fn of(self, author: &Author) -> Self {
        let id = CommandId::of(author, &self.key.id);
        let key = CommandKey {
            id,
            digest: self.key.digest,
        };
        Self {
            key: Arc::new(key),
            ..self
        }
    }

    /// Whether the stored key is that of the same command.
    pub fn is_of(&self, stored: &CommandKey) -> bool {
        stored.id == self.key.id && [self.key.digest, self.text_digest].contains(&stored.digest)
    }
}

fn digest(parts: &[&[u8]]) -> Digest {
    let sum = parts.iter().fold(Sha256::new(), Sha256::chain_update);
    let sum = sum.finalize();
    let (digest, _) = sum
        .split_first_chunk()
        .expect("SHA-256 is longer than 16 bytes");
    *digest
}

//! What tells a command from every other, so that repeating it has no second effect.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::meaning::Meaning;
use crate::limits;
use crate::value::Document;
use crate::value::Invalid;

/// The id that a client gave to a command: the same for each try, and for no other command of anyone's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CommandId(Arc<str>);

impl CommandId {
    /// Reads an id; `at` is where it stands.
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

    /// Reads an id that was accepted once; `None` if it never can have been one.
    pub fn stored(text: &str) -> Option<Self> {
        let fits = (1..=limits::STORED_COMMAND_ID_BYTES_MAX).contains(&text.len());
        fits.then(|| Self(text.into()))
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

/// A command's id, with what it asked for: kept with its change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandKey {
    /// The client's id for it.
    pub id: CommandId,
    /// Of what it asks, so that an id given to two commands is noticed; of its meaning, or in older logs of its text.
    pub digest: Digest,
}

/// The first half of a SHA-256.
type Digest = [u8; 16];

impl CommandKey {
    /// The digest of a command whose contents were erased: of no command.
    pub const FORGOTTEN: Digest = [0; 16];

    /// The digest in hexadecimal.
    pub fn hex(&self) -> String {
        self.digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Reads what [`hex`](Self::hex) wrote; `None` if it is no digest.
    pub fn from_hex(id: CommandId, hex: &str) -> Option<Self> {
        let number = u128::from_str_radix(hex, 16).ok()?;
        (hex.len() == 32).then_some(Self {
            id,
            digest: number.to_be_bytes(),
        })
    }

    /// Roughly the bytes this takes in memory.
    pub fn weight(&self) -> usize {
        48 + self.id.as_str().len()
    }
}

/// The key of an order that waits to be decided.
#[derive(Debug, Clone)]
pub struct BatchKey {
    /// What is kept with its first change.
    pub key: Arc<CommandKey>,
    /// The digest that earlier livelogs kept: over the word and the text of the payload.
    text: Digest,
}

impl BatchKey {
    /// The key of what is asked in this word with this payload, which means this.
    pub(super) fn new(id: CommandId, word: &str, payload: &Document, meaning: &Meaning) -> Self {
        let json = serde_json::to_vec(payload).expect("a document is JSON");
        let key = CommandKey {
            id,
            digest: digest(&[meaning.as_bytes()]),
        };
        Self {
            key: Arc::new(key),
            text: digest(&[word.as_bytes(), &json]),
        }
    }

    /// Whether the command that was kept under this key is the same.
    pub fn is_of(&self, kept: &CommandKey) -> bool {
        kept.id == self.key.id && [self.key.digest, self.text].contains(&kept.digest)
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

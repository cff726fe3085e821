//! One message to a client.

use bytes::Bytes;
use serde::Serialize;

/// JSON text, encoded once and shared by everyone it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// Encodes a message.
    pub(super) fn encode(message: &impl Serialize) -> Self {
        let text = serde_json::to_vec(message)
            .expect("messages have text keys and finite numbers, so they are JSON");
        Self(text.into())
    }

    /// The text as bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("JSON was written as UTF-8")
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: even the smallest message has a type.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

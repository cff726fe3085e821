//! One message to a client, encoded once.

use bytes::Bytes;
use serde::Serialize;

use super::subscribe::SubName;
use crate::limits;

/// JSON text, shared by all the connections that send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

/// Encodes a part of a message.
pub(super) fn json(part: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(part).expect("messages have text keys and finite numbers, so they are JSON")
}

/// Without spare capacity, which may be as much again: budgets count a large text by its length.
pub fn trimmed(mut text: Vec<u8>) -> Vec<u8> {
    if text.len() > limits::FLUSH_BYTES_MAX {
        text.shrink_to_fit();
    }
    text
}

impl Frame {
    /// Encodes a message.
    pub(super) fn encode(message: &impl Serialize) -> Self {
        Self::from_json(json(message))
    }

    /// A message that is encoded already.
    pub(super) fn from_json(text: Vec<u8>) -> Self {
        Self(trimmed(text).into())
    }

    /// The same message with the name of a subscription after its type. A message is encoded once for all the
    /// subscriptions that get it, and copied for each.
    pub fn for_subscription(&self, sub: &SubName) -> Self {
        debug_assert!(
            self.0.starts_with(br#"{"type":"#),
            "a message begins with its type"
        );
        let comma = self.0.iter().position(|byte| *byte == b',');
        let (kind, rest) = self.0.split_at(
            1 + comma.expect("every message says more than its type, and its type first"),
        );
        Self([kind, sub.field().as_bytes(), rest].concat().into())
    }

    /// The text as bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The same, to share parts of it.
    pub fn bytes(&self) -> &Bytes {
        &self.0
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

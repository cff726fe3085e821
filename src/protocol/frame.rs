//! One message to a client.

use bytes::Bytes;
use serde::Serialize;

use super::subscribe::SubName;
use crate::limits;

/// JSON text, encoded once and shared by everyone it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

/// Encodes a part of a message.
pub(super) fn json(part: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(part).expect("messages have text keys and finite numbers, so they are JSON")
}

/// Without the room that a large text has grown into, up to as much again: what holds it is counted by its length.
pub fn trimmed(mut text: Vec<u8>) -> Vec<u8> {
    if text.len() > limits::FLUSH_BYTES_MAX {
        text.shrink_to_fit();
    }
    text
}

impl Frame {
    /// Encodes a message.
    pub(super) fn encode(message: &impl Serialize) -> Self {
        Self::of_json(json(message))
    }

    /// A message that is encoded by hand.
    pub(super) fn of_json(text: Vec<u8>) -> Self {
        Self(trimmed(text).into())
    }

    /// The same message as one of a subscription, its name after the type: what it says is encoded once
    /// for all subscriptions, and copied for each.
    pub fn of(&self, sub: &SubName) -> Self {
        let comma = self.0.iter().position(|byte| *byte == b',');
        let (kind, rest) = self.0.split_at(
            1 + comma.expect("every message says more than its type, and its type first"),
        );
        Self([kind, sub.tag().as_bytes(), rest].concat().into())
    }

    /// The text as bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The text as bytes, to share parts of it.
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

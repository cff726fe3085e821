//! One message to a client, encoded once.

use bytes::Bytes;
use serde::Serialize;

use super::subscribe::SubName;
use crate::limits;

/// JSON text, shared by all the connections that send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(pub(super) Bytes);

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

/// A frame as it is sent: all of it or a part, with what a dialect says around it. The frame is shared and not copied.
///
/// Most have nothing around them, and every session has a queue of these: what is around is kept elsewhere.
#[derive(Debug, Clone)]
pub struct WrappedFrame {
    body: Bytes,
    around: Option<Box<Around>>,
}

#[derive(Debug, Clone)]
struct Around {
    head: Bytes,
    tail: Bytes,
}

impl From<Frame> for WrappedFrame {
    fn from(frame: Frame) -> Self {
        Self {
            body: frame.0,
            around: None,
        }
    }
}

impl WrappedFrame {
    /// A frame, or a part of one, between what is said around it.
    #[cfg(any(test, feature = "socketio"))]
    pub(super) fn new(head: Bytes, body: Bytes, tail: Bytes) -> Self {
        let around = Some(Box::new(Around { head, tail }));
        Self { body, around }
    }

    /// The frame, or the part of it.
    #[cfg(feature = "socketio")]
    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        let around = self.around.as_ref();
        self.body.len() + around.map_or(0, |around| around.head.len() + around.tail.len())
    }

    /// Never: it has a frame, or says something around it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes from `from` up to `to`: shared if they are the frame's own, else copied.
    pub fn slice(&self, from: usize, to: usize) -> Bytes {
        let Some(Around { head, tail }) = self.around.as_deref() else {
            return self.body.slice(from..to);
        };
        let start = head.len();
        if from >= start && to <= start + self.body.len() {
            return self.body.slice(from - start..to - start);
        }
        let mut text = Vec::with_capacity(to - from);
        let mut start = 0;
        for part in [head, &self.body, tail] {
            let within = |at: usize| at.clamp(start, start + part.len()) - start;
            text.extend_from_slice(&part[within(from)..within(to)]);
            start += part.len();
        }
        text.into()
    }

    /// All of its bytes.
    pub fn into_bytes(self) -> Bytes {
        match self.around {
            None => self.body,
            Some(_) => self.slice(0, self.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_around_a_frame_goes_out_with_it_wherever_it_is_cut() {
        let [head, body, tail] = ["head", "body", "tail"].map(Bytes::from);
        let wrapped = WrappedFrame::new(head, body, tail);
        let whole = b"headbodytail";
        for from in 0..=whole.len() {
            for to in from..=whole.len() {
                assert_eq!(wrapped.slice(from, to), whole[from..to], "{from}..{to}");
            }
        }
        let inside = wrapped.slice(5, 8);
        assert_eq!(inside.as_ptr(), wrapped.body[1..].as_ptr(), "it is shared");
        assert_eq!(wrapped.into_bytes(), whole[..]);
    }
}

//! Frames on their way to a client: a frame that is begun is finished in order, even if the future that sends it is
//! dropped.
//!
//! Invariants: only the first frame may be sent in part (`sent` bytes of it), and `bytes` is the sum of all frames
//! that the socket does not have whole.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::limits;
use crate::node::Share;
use crate::protocol::{Frame, WrappedFrame};

/// Frames that the socket does not have yet, the oldest first.
#[derive(Debug, Default)]
pub struct Outbox {
    frames: VecDeque<UnsentFrame>,
    bytes: usize,
    /// Bytes of the first frame that the socket has.
    sent: usize,
    /// When this node received the first change among the frames.
    received_at: Option<Instant>,
}

/// A frame that the socket does not have yet.
#[derive(Debug)]
pub struct UnsentFrame {
    /// The frame.
    pub frame: WrappedFrame,
    /// Its share of the node's budget, held until the socket has the frame.
    pub share: Option<Share>,
    /// Whether it answers the oldest request that was not answered.
    pub is_answer: bool,
}

/// A part of a message, small enough to be copied: a WebSocket frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether a message begins with it.
    pub is_first: bool,
    /// Whether a message ends with it.
    pub is_last: bool,
}

/// The memory that unsent frames take.
#[derive(Debug, Clone, Copy)]
pub struct UnsentFrames {
    /// Bytes that hold no share of a budget.
    pub unreserved_bytes: usize,
    /// Whether others hold one.
    pub has_shares: bool,
}

impl Outbox {
    /// An outbox with these frames.
    pub fn new(frames: impl IntoIterator<Item = Frame>) -> Self {
        let mut new = Self::default();
        new.extend(frames);
        new
    }

    /// Adds frames behind the others.
    pub fn extend(&mut self, frames: impl IntoIterator<Item = Frame>) {
        frames.into_iter().for_each(|frame| self.push(frame, None));
    }

    /// Adds a frame, with its share.
    pub fn push(&mut self, frame: impl Into<WrappedFrame>, share: Option<Share>) {
        self.add(frame.into(), share, false);
    }

    /// The same with the answer to a request.
    pub(super) fn push_answer(&mut self, frame: Frame, share: Option<Share>) {
        self.add(frame.into(), share, true);
    }

    fn add(&mut self, frame: WrappedFrame, share: Option<Share>, is_answer: bool) {
        self.bytes += frame.len();
        self.frames.push_back(UnsentFrame {
            frame,
            share,
            is_answer,
        });
    }

    /// Takes the oldest frame out, to be sent otherwise.
    pub fn pop(&mut self) -> Option<UnsentFrame> {
        debug_assert_eq!(self.sent, 0, "a frame that is begun is finished");
        let popped = self.frames.pop_front()?;
        self.bytes -= popped.frame.len();
        Some(popped)
    }

    /// Adds what another outbox has.
    pub fn append(&mut self, mut other: Self) {
        self.note_received(other.take_received());
        debug_assert_eq!(other.sent, 0, "a frame that is begun is finished");
        self.bytes += other.bytes;
        self.frames.append(&mut other.frames);
    }

    /// Holds a share for all frames added since the last one: until the socket has the last of them.
    pub(super) fn hold(&mut self, share: Share) {
        if let Some(last) = self.frames.back_mut() {
            debug_assert!(last.share.is_none(), "a frame has one share");
            last.share = Some(share);
        }
    }

    /// Notes when this node received a change among the frames.
    pub fn note_received(&mut self, at: Option<Instant>) {
        self.received_at = self.received_at.or(at);
    }

    /// When this node received the first change that was added since the last call.
    pub fn take_received(&mut self) -> Option<Instant> {
        self.received_at.take()
    }

    /// How many frames it has, and how many bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.frames.len(), self.bytes)
    }

    /// The memory that its frames take.
    pub fn unsent(&self) -> UnsentFrames {
        let unreserved = self.frames.iter().filter(|unsent| unsent.share.is_none());
        UnsentFrames {
            unreserved_bytes: unreserved.map(|unsent| unsent.frame.len()).sum(),
            has_shares: self.frames.iter().any(|unsent| unsent.share.is_some()),
        }
    }

    /// Whether the socket has everything.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes the next fragment out. The caller must hand it to the socket before it awaits anything.
    pub fn next_fragment(&mut self) -> Option<Fragment> {
        let is_small = |unsent: &mut UnsentFrame| unsent.frame.len() <= limits::FRAGMENT_BYTES_MAX;
        if let Some(UnsentFrame { frame, .. }) = self.frames.pop_front_if(is_small) {
            debug_assert_eq!(self.sent, 0, "a small frame is sent whole");
            self.bytes -= frame.len();
            return Some(Fragment {
                bytes: frame.into_bytes(),
                is_first: true,
                is_last: true,
            });
        }
        let frame = &self.frames.front()?.frame;
        let rest = frame.len() - self.sent;
        let end = self.sent + rest.min(limits::FRAGMENT_BYTES_MAX);
        let fragment = Fragment {
            bytes: frame.slice(self.sent, end),
            is_first: self.sent == 0,
            is_last: end == frame.len(),
        };
        self.sent = end;
        if fragment.is_last {
            self.bytes -= frame.len();
            self.frames.pop_front();
            self.sent = 0;
        }
        debug_assert!(!self.frames.is_empty() || self.bytes == 0);
        Some(fragment)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::protocol;

    #[test]
    fn a_large_message_goes_out_in_fragments_and_a_small_one_whole() {
        let text = "x".repeat(2 * limits::FRAGMENT_BYTES_MAX);
        let message = |json: String| {
            let payload: Box<RawValue> = serde_json::from_str(&json).unwrap();
            protocol::broadcast(&payload)
        };
        let (large, small) = (message(format!("\"{text}\"")), message("1".to_owned()));
        let mut outbox = Outbox::new(vec![large.clone(), small.clone()]);
        let fragments: Vec<Fragment> = std::iter::from_fn(|| outbox.next_fragment()).collect();
        let ends: Vec<_> = fragments
            .iter()
            .map(|fragment| (fragment.is_first, fragment.is_last))
            .collect();
        assert_eq!(
            ends,
            [(true, false), (false, false), (false, true), (true, true)]
        );
        let whole: Vec<u8> = fragments[..3]
            .iter()
            .flat_map(|fragment| fragment.bytes.to_vec())
            .collect();
        assert_eq!(whole, large.as_str().as_bytes());
        assert_eq!(fragments[3].bytes, small.as_str());
        assert!(outbox.is_empty());
    }
}

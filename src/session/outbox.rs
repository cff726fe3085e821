//! Frames on their way to a client: what is begun is finished in order, whoever stops waiting for it.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::limits;
use crate::node::Share;
use crate::protocol::Frame;

/// Frames that are not yet with the socket, the oldest first.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Each with what it holds of the node's budget until the socket has it.
    frames: VecDeque<(Frame, Option<Share>)>,
    bytes: usize,
    /// Bytes of the first one that the socket has.
    sent: usize,
    /// When this node heard of the first change among them.
    heard: Option<Instant>,
}

/// A part of a message, small enough to be copied.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether a message begins with it.
    pub is_first: bool,
    /// Whether a message ends with it.
    pub is_last: bool,
}

impl Outbox {
    /// What a connection is to send.
    pub fn new(frames: impl IntoIterator<Item = Frame>) -> Self {
        let mut new = Self::default();
        new.extend(frames);
        new
    }

    /// Adds frames behind the others.
    pub fn extend(&mut self, frames: impl IntoIterator<Item = Frame>) {
        frames.into_iter().for_each(|frame| self.push(frame, None));
    }

    /// Adds a frame, and what it holds.
    pub(super) fn push(&mut self, frame: Frame, share: Option<Share>) {
        self.bytes += frame.len();
        self.frames.push_back((frame, share));
    }

    /// Adds to what is held until the last of the frames is with the socket.
    pub(super) fn hold(&mut self, share: Share) {
        if let Some((_, held)) = self.frames.back_mut() {
            *held = Some(share);
        }
    }

    /// Notes when this node heard of a change among the frames.
    pub(super) fn note(&mut self, heard: Option<Instant>) {
        self.heard = self.heard.or(heard);
    }

    /// When this node heard of the first change that was added since this was last asked.
    pub fn heard(&mut self) -> Option<Instant> {
        self.heard.take()
    }

    /// How many frames it has, and how many bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.frames.len(), self.bytes)
    }

    /// How many bytes it has that hold no share of the budget, and whether there are others.
    pub fn weight(&self) -> (usize, bool) {
        let free = self.frames.iter().filter(|(_, share)| share.is_none());
        let bytes = free.map(|(frame, _)| frame.len()).sum();
        let holds = self.frames.iter().any(|(_, share)| share.is_some());
        (bytes, holds)
    }

    /// Whether the socket has everything.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes the next part out. Whoever takes it must hand it on.
    pub fn next_piece(&mut self) -> Option<Piece> {
        let is_whole = |(frame, _): &mut (Frame, _)| frame.len() <= limits::PIECE_BYTES_MAX;
        if let Some((frame, _)) = self.frames.pop_front_if(is_whole) {
            self.bytes -= frame.len();
            return Some(Piece {
                bytes: frame.into_bytes(),
                is_first: true,
                is_last: true,
            });
        }
        let (frame, _) = self.frames.front()?;
        let rest = frame.len() - self.sent;
        let end = self.sent + rest.min(limits::PIECE_BYTES_MAX);
        let piece = Piece {
            bytes: frame.bytes().slice(self.sent..end),
            is_first: self.sent == 0,
            is_last: end == frame.len(),
        };
        self.sent = end;
        if piece.is_last {
            self.bytes -= frame.len();
            self.frames.pop_front();
            self.sent = 0;
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::protocol;

    #[test]
    fn a_large_message_goes_out_in_pieces_and_a_small_one_whole() {
        let text = "x".repeat(2 * limits::PIECE_BYTES_MAX);
        let say = |json: String| {
            let payload: Box<RawValue> = serde_json::from_str(&json).unwrap();
            protocol::broadcast(&payload)
        };
        let (large, small) = (say(format!("\"{text}\"")), say("1".to_owned()));
        let mut outbox = Outbox::new(vec![large.clone(), small.clone()]);
        let pieces: Vec<Piece> = std::iter::from_fn(|| outbox.next_piece()).collect();
        let ends: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.is_first, piece.is_last))
            .collect();
        assert_eq!(
            ends,
            [(true, false), (false, false), (false, true), (true, true)]
        );
        let whole: Vec<u8> = pieces[..3]
            .iter()
            .flat_map(|piece| piece.bytes.to_vec())
            .collect();
        assert_eq!(whole, large.as_str().as_bytes());
        assert_eq!(pieces[3].bytes, small.as_str());
        assert!(outbox.is_empty());
    }
}

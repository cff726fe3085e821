//! A change of what a list shows, with its encoded frames, which all readers share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::domain::{Move, Seq};
use crate::protocol;
use crate::protocol::Frame;
use crate::query::Fields;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct ListChange {
    seq: Seq,
    moves: Vec<Move>,
    /// When the change of the log that it came of was received.
    pub(super) arrived: Option<Instant>,
    /// For each selection of fields that was asked for, as long as they fit into [`bytes_max`](Self::bytes_max).
    frames: Mutex<Vec<FramesOf>>,
}

/// What is told of a change to readers of these fields.
type FramesOf = (Arc<Fields>, Arc<[Frame]>);

impl ListChange {
    pub(super) fn new(seq: Seq, moves: Vec<Move>, arrived: Option<Instant>) -> Self {
        Self {
            seq,
            moves,
            arrived,
            frames: Mutex::default(),
        }
    }

    /// The most that it takes in memory: its events, and as much again for frames.
    pub(super) fn bytes_max(&self) -> usize {
        128 + 2 * self.moves.iter().map(Move::bytes).sum::<usize>()
    }

    /// What a reader of these fields is told.
    pub(super) fn frames(&self, fields: &Arc<Fields>) -> Arc<[Frame]> {
        let mut variants = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |known: &Arc<Fields>| Arc::ptr_eq(known, fields) || known == fields;
        if let Some((_, frames)) = variants.iter().find(|(known, _)| is_same(known)) {
            return Arc::clone(frames);
        }
        let told = self.moves.iter().filter(|step| fields.tell_move(step));
        let frames = told.map(|step| protocol::list_change(self.seq, step, fields));
        let frames: Arc<[Frame]> = frames.collect();
        let cached = variants.iter().map(|(_, frames)| bytes(frames));
        if cached.sum::<usize>() + bytes(&frames) <= self.bytes_max() / 2 {
            variants.push((Arc::clone(fields), Arc::clone(&frames)));
        }
        frames
    }
}

fn bytes(frames: &[Frame]) -> usize {
    frames.iter().map(Frame::len).sum()
}

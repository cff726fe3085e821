//! A broadcast on its way to sessions: its frame, and its payload for those who do not hear everything. All sessions share
//! both.

use crate::domain::Hearing;
use crate::protocol;
use crate::protocol::Frame;
use crate::store::Broadcast;
use crate::value::{Document, Steps, read};

/// Encoded and parsed once for all sessions of the node.
#[derive(Debug)]
pub(super) struct SharedBroadcast {
    frame: Frame,
    /// `None` also if it is no object, or if nobody was there who does not hear everything.
    payload: Option<Document>,
}

impl SharedBroadcast {
    /// Parsed only if `is_judged`: by who does not hear everything. Whoever comes to listen while this is made may miss it, as
    /// may whoever comes later.
    pub(super) fn new(broadcast: &Broadcast, is_judged: bool) -> Self {
        let payload = broadcast.payload.get();
        Self {
            frame: protocol::broadcast(&broadcast.payload),
            payload: is_judged.then(|| read(payload, "").ok()).flatten(),
        }
    }

    /// The frame, for who hears it.
    pub(super) fn frame(&self, hearing: &Hearing, steps: &Steps) -> Option<&Frame> {
        let is_heard = hearing.hears(self.payload.as_ref(), steps);
        is_heard.then_some(&self.frame)
    }

    /// Roughly what it takes in memory.
    pub(super) fn approx_bytes(&self) -> usize {
        let payload = self.payload.as_ref();
        64 + self.frame.len() + payload.map_or(0, Document::approx_bytes)
    }
}

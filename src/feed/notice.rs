//! What a subscription hands out: frames, each with the position to resume from.

use std::time::Instant;

use super::shared_change::SharedChange;
use crate::domain::Seq;
use crate::protocol::Frame;

/// A frame without the subscription's name.
#[derive(Debug)]
pub struct Notice {
    /// The frame's type.
    pub frame_type: &'static str,
    /// The position to resume from after this frame, if it is one.
    pub position: Option<Seq>,
    /// The message.
    pub frame: Frame,
    /// When the change that it shows arrived at this node.
    pub arrived: Option<Instant>,
}

impl Notice {
    /// One that shows no single change.
    pub(super) fn new(frame_type: &'static str, position: Option<Seq>, frame: Frame) -> Self {
        Self {
            frame_type,
            position,
            frame,
            arrived: None,
        }
    }

    /// One that shows a change.
    pub(super) fn change(entry: &SharedChange, frame: Frame) -> Self {
        Self {
            arrived: Some(entry.arrived),
            ..Self::new("change", Some(entry.change.seq), frame)
        }
    }
}

//! The replacement of an event by what another program has: what `livelog adopt --follow` asks for, and no client can.

use super::Create;
use super::restore::difference;
use crate::domain::change::Effect;
use crate::domain::decide::{EventState, Rejection, Stamp};
use crate::domain::event::{Event, EventId};

/// Gives an event these fields, and creates it if it is not there.
#[derive(Debug, Clone)]
pub struct Replace {
    /// The event.
    pub id: EventId,
    new: Create,
}

impl Replace {
    /// The replacement by what would be created; `None` if that has no id of its own.
    pub fn by(new: Create) -> Option<Self> {
        let id = new.id.clone()?;
        Some(Self { id, new })
    }

    /// Whether it can update this event: not too many fields differ.
    pub fn fits(&self, before: &Event) -> bool {
        difference(&before.fields, &self.new.fields, "payload").is_ok()
    }

    /// An update that changes nothing is an update too: the other program said that there was one.
    pub(in crate::domain) fn decide(
        &self,
        state: &EventState,
        stamp: Stamp,
    ) -> Result<Effect, Rejection> {
        let Some(before) = &state.current else {
            return state.created(&self.new.fields, stamp, self.new.times);
        };
        let patch = difference(&before.fields, &self.new.fields, "payload")?;
        state.replaced(before, patch, stamp)
    }
}

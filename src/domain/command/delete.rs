//! DELETE: removes an event from the view; its changes stay in the log.

use std::sync::Arc;

use super::{take_expected_version, take_id};
use crate::domain::change::Effect;
use crate::domain::decide::{EventState, Rejection};
use crate::domain::event::EventId;
use crate::value::{Document, Invalid, known};

/// Deletes an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// The event.
    pub id: EventId,
    /// Refuse unless the event is at this version.
    pub expected_version: Option<u64>,
}

impl Delete {
    /// Parses the payload of a DELETE: `{"id", "expectedVersion"?}`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(payload: Document) -> Result<Self, Invalid> {
        let mut payload = known(payload, "payload", &["id", "expectedVersion"])?;
        Ok(Self {
            id: take_id(&mut payload)?,
            expected_version: take_expected_version(&mut payload)?,
        })
    }

    pub(in crate::domain) fn decide(&self, state: &EventState) -> Result<Effect, Rejection> {
        let before = state.expect_version(self.expected_version)?;
        Ok(Effect::Delete {
            before: Arc::clone(before),
        })
    }
}

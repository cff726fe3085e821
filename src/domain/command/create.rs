//! CREATE: the payload is the event's fields.

use crate::domain::change::Effect;
use crate::domain::decide::{EventState, Rejection, Stamp};
use crate::domain::event::EventId;
use crate::value::{Document, Value};
use crate::value::{Invalid, check_document};

/// Asks for a new event.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// The id the client chose (`payload._id`); otherwise the server makes one.
    pub id: Option<EventId>,
    /// Checked user fields.
    pub(in crate::domain) fields: Document,
}

impl Create {
    /// Reads the payload of a CREATE.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(mut payload: Document) -> Result<Self, Invalid> {
        let id = match payload.remove("_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                Some(new_id(&text).map_err(|reason| Invalid::new("payload._id", reason))?)
            }
            Some(other) => {
                return Err(Invalid::new(
                    "payload._id",
                    format!("expected a string, found {}", other.kind()),
                ));
            }
        };
        check_document(&payload, "payload")?;
        Ok(Self {
            id,
            fields: payload,
        })
    }

    pub(in crate::domain) fn decide(
        &self,
        state: &EventState,
        stamp: Stamp,
    ) -> Result<Effect, Rejection> {
        if state.current.is_some() {
            return Err(Rejection::AlreadyExists {
                id: state.id.clone(),
            });
        }
        state.created(&self.fields, stamp)
    }
}

/// An event is reached by its address too, and in addresses these two are steps: whoever writes one leaves them out,
/// however they are escaped. They stay the names of events that have them.
fn new_id(text: &str) -> Result<EventId, String> {
    match text {
        "." | ".." => Err("an id must not be . or .., which no address can name".to_owned()),
        _ => EventId::parse(text),
    }
}

//! CREATE: a new event, whose fields are the payload.

use crate::domain::change::Effect;
use crate::domain::decide::{EventState, Rejection, Stamp};
use crate::domain::event::{EventId, OriginalTimes};
use crate::domain::size::{Excess, check_growth};
use crate::value::{Document, Invalid, Value, check_document, expected};

/// Creates an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// The id the client chose (`payload._id`); otherwise the server makes one.
    pub id: Option<EventId>,
    /// Checked user fields.
    pub(in crate::domain) fields: Document,
    /// Of an event that another program hands over. No client can name it.
    pub(super) times: Option<OriginalTimes>,
}

impl Create {
    /// Parses the payload of a CREATE.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(mut payload: Document) -> Result<Self, Invalid> {
        let id = match payload.remove("_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                Some(new_id(&text).map_err(|reason| Invalid::new("payload._id", reason))?)
            }
            Some(other) => return Err(expected("a string", &other, "payload._id")),
        };
        check_document(&payload, "payload")?;
        Ok(Self {
            id,
            fields: payload,
            times: None,
        })
    }

    /// The same for an event that another program created and changed at these times.
    pub fn with_times(self, times: Option<OriginalTimes>) -> Self {
        Self { times, ..self }
    }

    /// The bound that the new event would exceed, if one.
    pub fn excess(&self) -> Option<Excess> {
        check_growth(None, &self.fields).err()
    }

    /// The fields of the new event.
    pub fn fields(&self) -> &Document {
        &self.fields
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
        state.created(&self.fields, stamp, self.times)
    }
}

/// An id that is a segment of an address. `.` and `..` are refused, because clients and proxies resolve them, however
/// they are escaped. Stored events keep such ids.
fn new_id(text: &str) -> Result<EventId, String> {
    match text {
        "." | ".." => Err("an id must not be . or .., which no address can name".to_owned()),
        _ => EventId::parse(text),
    }
}

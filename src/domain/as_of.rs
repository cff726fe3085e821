//! A moment of the past.

use super::seq::Seq;
use super::timestamp::Timestamp;
use crate::value::Value;

/// After some change, or at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// After the change at this place; before all if it is [`Seq::ZERO`].
    Seq(Seq),
    /// After the last change up to this time.
    Time(Timestamp),
}

impl AsOf {
    /// Reads a seq, or an RFC 3339 time.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(value: &Value) -> Result<Self, &'static str> {
        let moment = match value {
            Value::Int(number @ 0..) => Some(Self::Seq(Seq::new(number.cast_unsigned()))),
            Value::String(text) => Timestamp::parse_rfc3339(text).map(Self::Time),
            _ => None,
        };
        moment.ok_or("expected a seq, or a time such as 2026-01-31T12:00:00Z")
    }

    /// The same from text, such as a parameter of an address.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse_text(text: &str) -> Result<Self, &'static str> {
        match text.parse() {
            Ok(number) => Self::parse(&Value::Int(number)),
            Err(_) => Self::parse(&text.into()),
        }
    }
}

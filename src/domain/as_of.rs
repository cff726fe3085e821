//! The point in the log that a read of the past is as of.

use super::seq::Seq;
use super::timestamp::Timestamp;
use crate::value::Value;

/// As of a change, or as of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// After the change with this seq; before all changes if it is [`Seq::ZERO`].
    Seq(Seq),
    /// After the last change up to this time.
    Time(Timestamp),
}

impl AsOf {
    /// Parses a seq, or an RFC 3339 time.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(value: &Value) -> Result<Self, &'static str> {
        let as_of = match value {
            Value::String(text) => Timestamp::parse_rfc3339(text).map(Self::Time),
            _ => Seq::of_value(value).map(Self::Seq),
        };
        as_of.ok_or("expected a seq, or a time such as 2026-01-31T12:00:00Z")
    }

    /// The same from text, such as a parameter of an address.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse_text(text: &str) -> Result<Self, &'static str> {
        match text.parse() {
            Ok(number) => Self::parse(&Value::Int(number)),
            Err(_) => Self::parse(&text.into()),
        }
    }
}

//! When a change happened.

use std::fmt;

use serde::{Serialize, Serializer};

/// An instant, as the RFC 3339 text that clients see: UTC, milliseconds, always 24 bytes.
///
/// The fixed width makes text order the order of time, so a filter on `_createdAt` means the same
/// as a string in memory, in JSON and in MongoDB. Formatted once for a whole batch of changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp([u8; 24]);

const SHAPE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";

impl Timestamp {
    /// Reads the text back; `None` unless it has exactly this shape.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = text.as_bytes().try_into().ok()?;
        let fits = bytes.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        });
        fits.then_some(Self(bytes))
    }

    /// The text, e.g. `2026-01-31T12:00:00.000Z`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("parse lets nothing but ASCII in")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fixed_shape_is_a_timestamp() {
        assert!(Timestamp::parse("2026-01-31T12:00:00.000Z").is_some());
        for text in [
            "",
            "2026-01-31T12:00:00Z",
            "2026-01-31 12:00:00.000Z",
            "2026-01-31T12:00:00.000+",
            "２026-01-31T12:00:00.0Z",
        ] {
            assert!(Timestamp::parse(text).is_none(), "{text}");
        }
    }
}

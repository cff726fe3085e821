//! Timestamps of changes.

use std::fmt;

use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};

/// An instant, as the RFC 3339 text that clients see: UTC, milliseconds, always 24 bytes.
///
/// Because of the fixed width the order of texts is the order of time, so a filter on `_createdAt` compares strings, in
/// memory and in MongoDB. Formatted once for a whole batch of changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp([u8; 24]);

const SHAPE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";

impl Timestamp {
    /// Parses the text; `None` unless it has exactly this shape.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = text.as_bytes().try_into().ok()?;
        let fits = bytes.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        });
        fits.then_some(Self(bytes))
    }

    /// Parses any RFC 3339 time, e.g. `2026-01-31T14:00:00+02:00`, truncated to milliseconds. A leap second is the second
    /// after it: most readers, JavaScript among them, know no second 60.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        Self::from_millis(time.timestamp_millis())
    }

    /// The time so many milliseconds after the beginning of 1970; `None` outside of the years 0 to 9999.
    pub fn from_millis(millis: i64) -> Option<Self> {
        let time = DateTime::from_timestamp_millis(millis)?;
        // A year beyond 9999 has another shape.
        Self::parse(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
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
    fn other_ways_to_write_a_time_are_read_as_the_same_time() {
        for (text, time) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
            ("2026-01-31T14:30:00+02:30", "2026-01-31T12:00:00.000Z"),
            ("2026-01-31t12:00:00.1239z", "2026-01-31T12:00:00.123Z"),
            ("2025-12-31T23:30:00.5-01:00", "2026-01-01T00:30:00.500Z"),
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
            ("2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.250Z"),
            ("2017-01-01T00:59:60+01:00", "2017-01-01T00:00:00.000Z"),
        ] {
            let read = Timestamp::parse_rfc3339(text);
            assert_eq!(read.unwrap().as_str(), time, "{text}");
        }
        for text in [
            "",
            "2026-01-31",
            "12:00",
            "9999-12-31T23:59:59-01:00",
            "9999-12-31T23:59:60Z",
            "now",
        ] {
            assert!(Timestamp::parse_rfc3339(text).is_none(), "{text}");
        }
    }

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

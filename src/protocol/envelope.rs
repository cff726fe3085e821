//! One message taken apart: what it says beside its payload, and the payload as it was written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::value::{Invalid, TWICE, repeated};

/// The names of a message and what stands under them, in the order they came. Each value is well-formed and
/// not yet read.
pub(super) struct Envelope<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Envelope<'a> {
    /// What stands under a name, if it is given. `null` is not.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.payload(name).filter(|raw| raw.get() != "null")
    }

    /// The same of what may well be `null`: a message like any other to BROADCAST.
    pub(super) fn payload(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(given, _)| given == name);
        found.map(|(_, raw)| *raw)
    }

    /// Refuses a name that stands twice, one that nobody reads too.
    pub(super) fn check_names(&self) -> Result<(), Invalid> {
        match repeated(&self.0, |(name, _)| name) {
            None => Ok(()),
            Some(name) => Err(Invalid::new(name, TWICE)),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        /// Borrowed, unless it was written with escapes.
        #[derive(Deserialize)]
        struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);
        let mut fields = Vec::with_capacity(4);
        while let Some((FieldName(name), raw)) = map.next_entry::<FieldName<'de>, &RawValue>()? {
            fields.push((name, raw));
        }
        Ok(Envelope(fields))
    }
}

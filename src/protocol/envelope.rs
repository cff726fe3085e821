//! The top-level object of a message: its names, each with its JSON as it was written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::value::{Invalid, TWICE, repeated};

/// The names of a message with their values, in the order they came. Each value is well-formed JSON, not yet parsed.
pub(super) struct Envelope<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Envelope<'a> {
    /// The value of a name, if it is given. `null` counts as not given.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.payload(name).filter(|raw| raw.get() != "null")
    }

    /// The value of a name, `null` included: BROADCAST sends it like any other.
    pub(super) fn payload(&self, name: &str) -> Option<&'a RawValue> {
        let field = self.0.iter().find(|(given, _)| given == name);
        field.map(|(_, raw)| *raw)
    }

    /// A name that is none of these.
    #[cfg(feature = "socketio")]
    pub(super) fn unknown(&self, known: &[&str]) -> Option<&str> {
        let mut names = self.0.iter().map(|(name, _)| name.as_ref());
        names.find(|name| !known.contains(name))
    }

    /// Refuses a name that is given twice, also one that is ignored otherwise.
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
        /// Borrowed, unless it has escapes.
        #[derive(Deserialize)]
        struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);
        let mut fields = Vec::with_capacity(4);
        while let Some((FieldName(name), raw)) = map.next_entry::<FieldName<'de>, &RawValue>()? {
            fields.push((name, raw));
        }
        Ok(Envelope(fields))
    }
}

//! What was converted into what, counted.

use std::fmt;

/// What happened to a value or a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "KINDS says it")]
pub enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Null,
    List,
    Document,
    ObjectId,
    Date,
    Decimal,
    Uuid,
    Binary,
    Timestamp,
    Regex,
    Symbol,
    Code,
    DbRef,
    Bound,
    Undefined,
    NotFinite,
    Created,
    Updated,
    Born,
    Future,
    Revision,
    Renamed,
    Dropped,
}

/// Each kind in words, in the order of [`Kind`].
const KINDS: [&str; 27] = [
    "strings, as they are",
    "integers, as they are",
    "doubles, as they are",
    "booleans, as they are",
    "nulls, as they are",
    "arrays, item by item",
    "documents, field by field",
    "ObjectIds, as 24 hexadecimal digits",
    "dates, as RFC 3339",
    "decimals, as text",
    "UUIDs, as text",
    "binary values, as base64",
    "timestamps, as {\"t\",\"i\"}",
    "regular expressions, as /pattern/options",
    "symbols, as strings",
    "pieces of code, as text",
    "references, with the names ref, id and db",
    "MinKeys and MaxKeys, as those words",
    "undefined values, as null",
    "NaNs and infinities, as null",
    "createdAt, as _createdAt",
    "updatedAt, as _updatedAt",
    "documents without a createdAt, as old as their ObjectId",
    "documents with a time to come, which counts as now",
    "__v, left out",
    "fields with a new name",
    "fields left out as asked",
];

/// How often each [`Kind`] occurred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindTally([u64; KINDS.len()]);

impl KindTally {
    pub(super) fn count(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    /// How often it occurred.
    pub fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}

/// A line for each kind that occurred.
impl fmt::Display for KindTally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.0.iter().zip(KINDS).filter(|(count, _)| **count > 0);
        for (count, kind) in counted {
            writeln!(formatter, "{count:>12} {kind}")?;
        }
        Ok(())
    }
}

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
    Raised,
    Born,
    Future,
    Revision,
    Renamed,
    Dropped,
}

/// Each kind in words, one and many and what became of them, in the order of [`Kind`].
const KINDS: [[&str; 3]; 28] = [
    ["string", "strings", ", unchanged"],
    ["integer", "integers", ", unchanged"],
    ["double", "doubles", ", unchanged"],
    ["boolean", "booleans", ", unchanged"],
    ["null", "nulls", ", unchanged"],
    ["array", "arrays", ", item by item"],
    ["document", "documents", ", field by field"],
    ["ObjectId", "ObjectIds", ", as 24 hexadecimal digits"],
    ["date", "dates", ", as RFC 3339"],
    ["decimal", "decimals", ", as text"],
    ["UUID", "UUIDs", ", as text"],
    ["binary value", "binary values", ", as base64"],
    ["timestamp", "timestamps", ", as {\"t\",\"i\"}"],
    [
        "regular expression",
        "regular expressions",
        ", as /pattern/options",
    ],
    ["symbol", "symbols", ", as text"],
    ["piece of code", "pieces of code", ", as text"],
    ["reference", "references", ", with the names ref, id and db"],
    ["MinKey or MaxKey", "MinKeys and MaxKeys", ", as that word"],
    ["undefined value", "undefined values", ", as null"],
    ["NaN or infinity", "NaNs and infinities", ", as null"],
    ["createdAt", "createdAt", ", as _createdAt"],
    ["updatedAt", "updatedAt", ", as _updatedAt"],
    [
        "updatedAt",
        "updatedAt",
        " before the document was created, as the time of that",
    ],
    [
        "document",
        "documents",
        " without a createdAt, as old as the ObjectId",
    ],
    [
        "document",
        "documents",
        " with a time to come, which counts as now",
    ],
    ["__v", "__v", ", left out"],
    ["field", "fields", " with a new name"],
    ["field", "fields", " left out as asked"],
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
        for (count, [one, many, fate]) in counted {
            let noun = noun(*count, one, many);
            writeln!(formatter, "{count:>12} {noun}{fate}")?;
        }
        Ok(())
    }
}

/// So many of them, in words.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", noun(count, one, many))
}

fn noun<'a>(count: u64, one: &'a str, many: &'a str) -> &'a str {
    match count {
        1 => one,
        _ => many,
    }
}

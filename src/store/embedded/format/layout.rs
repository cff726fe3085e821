//! What encoding and decoding agree on: the checksum of a stored value, its format number, and its tags.
//!
//! A stored value is `crc32c | format | body`. The checksum covers the key, the format and the body, so that neither a
//! flipped bit nor a value under another's key passes for data. Lengths and counts are LEB128; integers are zigzag
//! LEB128, so that small numbers are short.
//!
//! `fixtures/embedded/*.hex` pins these bytes: what is on somebody's disk must stay readable.

use crate::domain::Seq;

/// The format of stored values that this program writes, and the only one it reads so far.
pub(super) const VALUE_FORMAT: u8 = 1;

pub(super) const CHECKSUM_BYTES: usize = 4;

/// What a change did.
pub(super) mod kind {
    pub(in super::super) const CREATE: u8 = 1;
    pub(in super::super) const UPDATE: u8 = 2;
    pub(in super::super) const DELETE: u8 = 3;
}

/// Which optional parts a log entry has.
pub(super) mod flag {
    /// The id of the batch whose first entry this is.
    pub(in super::super) const OPENS_BATCH: u8 = 1;
    /// The key of the command that caused the change.
    pub(in super::super) const HAS_COMMAND: u8 = 2;
    /// The event's id, its version and the seq of its prior change, in place of the contents.
    pub(in super::super) const REDACTED: u8 = 4;
    /// The issuer and the subject of who caused the change.
    pub(in super::super) const BY_TOKEN: u8 = 8;
    /// The id of the key of who caused the change.
    pub(in super::super) const BY_KEY: u8 = 16;
    pub(in super::super) const ALL: u8 = OPENS_BATCH | HAS_COMMAND | REDACTED | BY_TOKEN | BY_KEY;
}

/// What kind of value follows.
pub(super) mod tag {
    pub(in super::super) const NULL: u8 = 0;
    pub(in super::super) const FALSE: u8 = 1;
    pub(in super::super) const TRUE: u8 = 2;
    pub(in super::super) const INT: u8 = 3;
    pub(in super::super) const FLOAT: u8 = 4;
    pub(in super::super) const STRING: u8 = 5;
    pub(in super::super) const ARRAY: u8 = 6;
    pub(in super::super) const OBJECT: u8 = 7;
}

/// Of a key and the content stored under it.
pub(super) fn checksum(key: &[u8], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), content)
}

/// The bytes of the log's key that the checksum covers.
pub(super) fn log_key(seq: Seq) -> [u8; 8] {
    seq.get().to_le_bytes()
}

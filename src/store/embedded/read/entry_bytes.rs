//! The bytes of an index's entry in the memtable: in place if they are few, as nearly all are.
//!
//! The map that holds them copies a node of many entries with the first change after each snapshot. Bytes in place are
//! copied several times faster than a reference to each is counted.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Enough for a number or a time, and an id that the server made.
const IN_PLACE: usize = 70;

/// Sorts, and is found, as the bytes themselves.
#[derive(Clone)]
pub(super) enum EntryBytes {
    InPlace(u8, [u8; IN_PLACE]),
    Shared(Arc<[u8]>),
}

impl EntryBytes {
    /// The parts one behind the other.
    pub(super) fn of(key: &[u8], id: &[u8]) -> Self {
        let length = key.len() + id.len();
        match u8::try_from(length) {
            Ok(few) if length <= IN_PLACE => {
                let mut bytes = [0; IN_PLACE];
                bytes[..key.len()].copy_from_slice(key);
                bytes[key.len()..length].copy_from_slice(id);
                Self::InPlace(few, bytes)
            }
            _ => Self::Shared([key, id].concat().into()),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::InPlace(length, bytes) => &bytes[..usize::from(*length)],
            Self::Shared(bytes) => bytes,
        }
    }

    /// Bytes that it takes beside its own.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::InPlace(..) => 0,
            Self::Shared(bytes) => bytes.len(),
        }
    }
}

impl Borrow<[u8]> for EntryBytes {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for EntryBytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for EntryBytes {}

impl PartialOrd for EntryBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntryBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl fmt::Debug for EntryBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_and_many_sort_together() {
        let mut entries: Vec<EntryBytes> = (60..80)
            .rev()
            .map(|length| EntryBytes::of(&vec![7; length - 3], b"abc"))
            .collect();
        entries.push(EntryBytes::of(b"", b""));
        let mut bytes: Vec<Vec<u8>> = entries.iter().map(|one| one.as_slice().to_vec()).collect();
        entries.sort_unstable();
        bytes.sort_unstable();
        assert!(entries.iter().map(EntryBytes::as_slice).eq(bytes.iter()));
        assert_eq!(entries[0].heap_bytes(), 0);
        assert_eq!(EntryBytes::of(&[7; 77], b"abc").heap_bytes(), 80);
    }
}

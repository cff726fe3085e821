//! The fold of the log, kept as digests: a hundred bytes an event, whatever its size.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::domain::{Change, Event, EventId, Seq};

/// What the view must hold after the changes applied so far.
#[derive(Debug, Default)]
pub(crate) struct FoldDigest {
    /// In order: the ids a server makes grow, so most go to the end, and the digest need not sort them.
    entries: BTreeMap<EventId, LedgerEntry>,
    changes: u64,
    seq: Seq,
    /// Lent to every digest.
    buffer: Vec<u8>,
}

/// How a change does not follow from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("change {at} does not follow from the changes to its event before")]
pub(crate) struct Contradiction {
    pub(super) at: Seq,
    /// Whether even the versions tell so: then a change is missing, or there is one too many.
    pub(super) in_version: bool,
}

/// What is known of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LedgerEntry {
    pub(super) seq: Seq,
    pub(super) version: u64,
    digest: [u8; 16],
}

impl LedgerEntry {
    /// The digest is that of the event's JSON. `buffer` is lent, so that it is allocated once for many.
    pub(super) fn of(event: &Event, buffer: &mut Vec<u8>) -> Self {
        buffer.clear();
        serde_json::to_writer(&mut *buffer, event).expect("an event is JSON");
        let digest = Sha256::digest(buffer);
        let (digest, _) = digest
            .split_first_chunk()
            .expect("SHA-256 is longer than 16 bytes");
        Self {
            seq: event.seq,
            version: event.version,
            digest: *digest,
        }
    }
}

impl FoldDigest {
    /// Applies the next change. What contradicts the changes before is applied all the same, because
    /// the log is the truth.
    pub(crate) fn apply(&mut self, change: &Change) -> Result<(), Contradiction> {
        let buffer = &mut self.buffer;
        let expected = change
            .before()
            .map(|before| LedgerEntry::of(before, buffer));
        let known = match change.after() {
            Some(after) => {
                let entry = LedgerEntry::of(after, buffer);
                self.entries.insert(after.id.clone(), entry)
            }
            None => self.entries.remove(change.event_id()),
        };
        self.changes += 1;
        self.seq = change.seq;
        match known == expected {
            true => Ok(()),
            false => Err(Contradiction {
                at: change.seq,
                in_version: known.map(|known| known.version)
                    != expected.map(|expected| expected.version),
            }),
        }
    }

    /// What the event must be; it is taken out, so that what is left in the end is missing.
    pub(super) fn take(&mut self, id: &EventId) -> Option<LedgerEntry> {
        self.entries.remove(id)
    }

    /// Whether the event is there as of the last change.
    pub(super) fn has(&self, id: &EventId) -> bool {
        self.entries.contains_key(id)
    }

    /// Events not taken out.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&EventId, LedgerEntry)> {
        self.entries.iter().map(|(id, entry)| (id, *entry))
    }

    /// SHA-256 over the events' digests in the order of their ids.
    pub(crate) fn digest(&self) -> String {
        let mut sum = Sha256::new();
        for (id, entry) in &self.entries {
            sum.update(id.as_str());
            sum.update([0]);
            sum.update(entry.digest);
        }
        sum.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Counts and digest, e.g. `42 changes into 7 events as of seq 42, digest sha256:…`.
impl fmt::Display for FoldDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            entries,
            changes,
            seq,
            ..
        } = self;
        let (events, digest) = (entries.len(), self.digest());
        write!(
            formatter,
            "{changes} changes into {events} events as of seq {seq}, digest sha256:{digest}"
        )
    }
}

//! The fold of the log as digests: a hundred bytes an event, whatever its size.
//!
//! Replays the log without the events themselves: by the digest of each event a change is checked against the changes
//! before it, and the view against the log. Changes are applied from seq 1, contiguous.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::adoption::counted;
use crate::domain::{Change, Event, EventId, Seq};
use crate::value::hex;

/// The digests of the events after the changes applied so far.
#[derive(Debug, Default)]
pub(super) struct FoldDigest {
    /// Sorted, so that the digest need not sort. Ids made by a server grow, so most are inserted at the end.
    events: BTreeMap<EventId, EventDigest>,
    changes: u64,
    seq: Seq,
    /// The JSON of one event; kept, so that it is allocated once.
    buffer: Vec<u8>,
}

/// A change does not follow from the changes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("change {at} does not follow from the changes to its event before")]
pub(super) struct Contradiction {
    pub(super) at: Seq,
    /// Whether the versions contradict too: then a change is missing, or one too many.
    pub(super) in_version: bool,
}

/// The digest of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventDigest {
    pub(super) seq: Seq,
    pub(super) version: u64,
    digest: [u8; 16],
}

impl EventDigest {
    /// The digest of the event's JSON, which is written into `buffer`.
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
    /// Applies the next change. A contradictory one is applied too, because the log is the truth.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Contradiction> {
        assert_eq!(
            change.seq,
            self.seq.next(),
            "the reader of the log checks that changes are contiguous"
        );
        let buffer = &mut self.buffer;
        let expected = change
            .before()
            .map(|before| EventDigest::of(before, buffer));
        let known = match change.after() {
            Some(after) => {
                let event = EventDigest::of(after, buffer);
                self.events.insert(after.id.clone(), event)
            }
            None => self.events.remove(change.event_id()),
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

    /// Removes the event, and returns its digest. So the events that remain in the end are missing from the view.
    pub(super) fn take(&mut self, id: &EventId) -> Option<EventDigest> {
        self.events.remove(id)
    }

    /// Whether the event exists as of the last change.
    pub(super) fn has(&self, id: &EventId) -> bool {
        self.events.contains_key(id)
    }

    /// The events that were not taken.
    pub(super) fn remaining(&self) -> impl Iterator<Item = (&EventId, EventDigest)> {
        self.events.iter().map(|(id, event)| (id, *event))
    }

    /// SHA-256 over the events' digests in the order of their ids.
    pub(super) fn digest(&self) -> String {
        let mut sum = Sha256::new();
        for (id, event) in &self.events {
            sum.update(id.as_str());
            sum.update([0]);
            sum.update(event.digest);
        }
        hex(&sum.finalize())
    }
}

/// Counts and digest, e.g. `42 changes into 7 events as of seq 42, digest sha256:…`.
impl fmt::Display for FoldDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            changes,
            seq,
            ..
        } = self;
        let changes = counted(*changes, "change", "changes");
        let (events, digest) = (
            counted(events.len() as u64, "event", "events"),
            self.digest(),
        );
        write!(
            formatter,
            "{changes} into {events} as of seq {seq}, digest sha256:{digest}"
        )
    }
}

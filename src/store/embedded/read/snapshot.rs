//! The store as of one seq: the tables of one read transaction, and the overlay that belongs to them.
//!
//! A snapshot never changes and holds up nobody: the writer goes on beside it. While it lives, the
//! file cannot reuse the pages it reads.

use std::fmt;
use std::sync::Arc;

use super::memtable::Memtable;
use crate::domain::{Change, CommandId, Event, EventId, Seq};
use crate::limits;
use crate::store::embedded::format::decode;
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{
    CommandTable, LogTable, MilestoneTable, ViewTable, fault,
};
use crate::store::{Batch, Loaded, StoreError};

/// Everything acknowledged up to `seq`, and nothing else.
pub(crate) struct Snapshot {
    pub(crate) seq: Seq,
    pub(crate) overlay: Memtable,
    pub(crate) log: LogTable,
    pub(crate) commands: CommandTable,
    pub(crate) milestones: MilestoneTable,
    pub(crate) view: ViewTable,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Snapshot")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The event at `id`, if there is one.
    pub(crate) fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        if let Some(slot) = self.overlay.get(id) {
            return Ok(slot.as_deref().cloned());
        }
        let found = self.view.get(id.as_str()).map_err(fault)?;
        found
            .map(|bytes| decode::event(id.as_str(), bytes.value()))
            .transpose()
    }

    /// See [`Store::load`](crate::store::Store::load).
    pub(crate) fn load(&self, ids: &[EventId], bytes: usize) -> Result<Loaded, StoreError> {
        let mut loaded = Loaded::default();
        let mut weight = 0;
        for id in ids {
            if let Some(event) = self.event(id)? {
                weight += event.weight();
                loaded.events.push(event);
            }
            loaded.looked_at += 1;
            if weight >= bytes {
                break;
            }
        }
        Ok(loaded)
    }

    /// The version of the event at `id`, after the changes in `overlay` too.
    pub(crate) fn version(
        &self,
        overlay: &Memtable,
        id: &EventId,
    ) -> Result<Option<u64>, StoreError> {
        match overlay.get(id) {
            Some(slot) => Ok(slot.as_ref().map(|event| event.version)),
            None => Ok(tables::version(&self.view, id)?.map(|(version, _)| version)),
        }
    }

    /// The change that made the event at `id` what it is, if there is one.
    pub(super) fn seq_of(&self, id: &EventId) -> Result<Option<Seq>, StoreError> {
        match self.overlay.get(id) {
            Some(slot) => Ok(slot.as_ref().map(|event| event.seq)),
            None => Ok(tables::version(&self.view, id)?.map(|(_, seq)| seq)),
        }
    }

    /// Changes after `after`, at most `limit` and at most a page of bytes.
    pub(crate) fn changes(&self, after: Seq, limit: usize) -> Result<Vec<Arc<Change>>, StoreError> {
        let mut changes = Vec::new();
        let mut bytes = 0;
        let mut next = after.next();
        if limit == 0 || after >= self.seq {
            return Ok(changes);
        }
        let entries = self.log.range(next.get()..=self.seq.get());
        let mut entries = entries.map_err(fault)?;
        while next <= self.seq && changes.len() < limit && bytes < limits::LOG_PAGE_BYTES_MAX {
            match read_next(&mut entries, next) {
                Ok((change, size)) => {
                    bytes += size;
                    changes.push(Arc::new(change));
                }
                Err(unreadable) if changes.is_empty() => return Err(unreadable),
                // Who asks for it will hear of it.
                Err(_) => break,
            }
            next = next.next();
        }
        Ok(changes)
    }

    /// Where the change is that the command with this id made, if there is one.
    pub(crate) fn answered(&self, id: &CommandId) -> Result<Option<Seq>, StoreError> {
        let found = self.commands.get(id.as_str()).map_err(fault)?;
        Ok(found.map(|seq| Seq::new(seq.value())))
    }

    /// The change at a place that the log has.
    pub(crate) fn change(&self, seq: Seq) -> Result<Change, StoreError> {
        self.entry(seq, decode::change)
    }

    /// What is read from the log at `seq`.
    pub(crate) fn entry<T>(
        &self,
        seq: Seq,
        read: impl FnOnce(Seq, &[u8]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let entry = self.log.get(seq.get()).map_err(fault)?;
        read(seq, entry.ok_or_else(|| missing(seq))?.value())
    }

    /// Whether the log holds exactly this batch: its first entry carries the batch's id, and its last
    /// is there. Entries are appended all or none, so those between are too.
    pub(crate) fn holds(&self, batch: &Batch) -> Result<bool, StoreError> {
        let first = batch.after.next();
        if batch.after.plus(batch.changes.len()) > self.seq {
            return Ok(false);
        }
        let found = self.log.get(first.get()).map_err(fault)?;
        let opening = found.ok_or_else(|| missing(first))?;
        Ok(decode::batch(first, opening.value())? == Some(batch.id))
    }
}

/// The change at `seq`, which must be the next entry, and the bytes that it takes.
fn read_next(
    entries: &mut redb::Range<'_, u64, &'static [u8]>,
    seq: Seq,
) -> Result<(Change, usize), StoreError> {
    let entry = entries.next().transpose().map_err(fault)?;
    let Some((_, value)) = entry.filter(|(key, _)| key.value() == seq.get()) else {
        return Err(missing(seq));
    };
    let change = decode::change(seq, value.value())?;
    Ok((change, value.value().len()))
}

fn missing(seq: Seq) -> StoreError {
    StoreError::Corrupt {
        at: seq.into(),
        reason: "missing".to_owned(),
    }
}

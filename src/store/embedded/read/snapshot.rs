//! A snapshot: the store as of one seq, which is the tables of one read transaction under the memtable of that seq.
//!
//! A snapshot never changes and blocks nobody: the writer goes on beside it. While it lives, the file cannot reuse the
//! pages it reads.

use std::fmt;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTableMetadata};
use uuid::Uuid;

use super::memtable::Memtable;
use crate::domain::{Change, CommandId, Event, EventId, Seq};
use crate::limits;
use crate::store::embedded::format::decode;
use crate::store::embedded::format::decode::ChangeHeader;
use crate::store::embedded::format::index;
use crate::store::embedded::format::index::{IndexTable, KeptIndex};
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{
    CommandTable, LogTable, MilestoneTable, ViewTable, read_error,
};
use crate::store::{Loaded, StoreError};

/// Everything acknowledged up to `seq`, and nothing else.
pub(crate) struct Snapshot {
    pub(crate) seq: Seq,
    pub(crate) memtable: Memtable,
    pub(crate) log: LogTable,
    pub(crate) commands: CommandTable,
    pub(crate) milestones: MilestoneTable,
    pub(crate) view: ViewTable,
    /// As of `seq`, like the log's table.
    pub(crate) indexes: Vec<(KeptIndex, IndexTable)>,
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
    /// The tables that a transaction reads, under the memtable of its seq.
    pub(crate) fn of(
        reading: &ReadTransaction,
        seq: Seq,
        memtable: Memtable,
        indexes: Vec<KeptIndex>,
    ) -> Result<Self, StoreError> {
        let indexes = indexes.into_iter().map(|kept| {
            let table = index::open_table(reading, &kept.index)?;
            Ok((kept, table))
        });
        Ok(Self {
            seq,
            memtable,
            log: tables::open_log(reading)?,
            commands: tables::open_commands(reading)?,
            milestones: tables::open_milestones(reading)?,
            view: tables::open_view(reading)?,
            indexes: indexes.collect::<Result<_, StoreError>>()?,
        })
    }

    /// The event at `id`, if there is one.
    pub(super) fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        if let Some(entry) = self.memtable.get(id) {
            return Ok(entry.as_deref().cloned());
        }
        let row = self.view.get(id.as_str()).map_err(read_error)?;
        row.map(|bytes| decode::event(id.as_str(), bytes.value()))
            .transpose()
    }

    /// How many events the table has.
    pub(super) fn rows(&self) -> Result<u64, StoreError> {
        self.view.len().map_err(read_error)
    }

    /// Whether the table has an event at `id`.
    pub(super) fn has_row(&self, id: &EventId) -> Result<bool, StoreError> {
        let row = self.view.get(id.as_str()).map_err(read_error)?;
        Ok(row.is_some())
    }

    /// See [`Store::load`](crate::store::Store::load).
    pub(crate) fn load(&self, ids: &[EventId], bytes: usize) -> Result<Loaded, StoreError> {
        let mut loaded = Loaded::default();
        let mut approx_bytes = 0;
        for id in ids {
            if let Some(event) = self.event(id)? {
                approx_bytes += event.approx_bytes();
                loaded.events.push(event);
            }
            loaded.looked_at += 1;
            if approx_bytes >= bytes {
                break;
            }
        }
        Ok(loaded)
    }

    /// The version of the event at `id` under `memtable`, which may be ahead of the snapshot's own.
    pub(crate) fn version(
        &self,
        memtable: &Memtable,
        id: &EventId,
    ) -> Result<Option<u64>, StoreError> {
        match memtable.get(id) {
            Some(entry) => Ok(entry.as_ref().map(|event| event.version)),
            None => Ok(tables::version(&self.view, id)?.map(|(version, _)| version)),
        }
    }

    /// The seq of the last change of the event at `id`, if there is such an event.
    pub(super) fn seq_of(&self, id: &EventId) -> Result<Option<Seq>, StoreError> {
        match self.memtable.get(id) {
            Some(entry) => Ok(entry.as_ref().map(|event| event.seq)),
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
        let mut entries = entries.map_err(read_error)?;
        while next <= self.seq && changes.len() < limit && bytes < limits::LOG_PAGE_BYTES_MAX {
            match read_next(&mut entries, next) {
                Ok((change, size)) => {
                    bytes += size;
                    changes.push(Arc::new(change));
                }
                Err(error) if changes.is_empty() => return Err(error),
                // The read that begins at this entry reports it.
                Err(_) => break,
            }
            next = next.next();
        }
        Ok(changes)
    }

    /// The seq of the change that has this command id, if there is one.
    pub(crate) fn seq_of_command(&self, id: &CommandId) -> Result<Option<Seq>, StoreError> {
        let row = self.commands.get(id.as_str()).map_err(read_error)?;
        Ok(row.map(|seq| Seq::new(seq.value())))
    }

    /// The change at `seq`, which is at most the head.
    ///
    /// One that names itself or a later one as its prior change is corrupt: following it would never end.
    pub(super) fn change(&self, seq: Seq) -> Result<Change, StoreError> {
        let change = self.entry(seq, decode::change)?;
        ensure_prior(seq, change.prior())?;
        Ok(change)
    }

    /// The header of the change at `seq`, which is at most the head. Corrupt as [`change`](Self::change) says.
    pub(crate) fn header(&self, seq: Seq) -> Result<ChangeHeader, StoreError> {
        let header = self.entry(seq, decode::header)?;
        ensure_prior(seq, header.prior)?;
        Ok(header)
    }

    /// Decodes the log entry at `seq`.
    fn entry<T>(
        &self,
        seq: Seq,
        decode: impl FnOnce(Seq, &[u8]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let entry = self.log.get(seq.get()).map_err(read_error)?;
        decode(seq, entry.ok_or_else(|| missing(seq))?.value())
    }

    /// Whether the log holds the batch with this id and `count` changes after `after`: its first entry has the batch's
    /// id, and its last is there. Entries are appended all or none, so those between are there too.
    pub(crate) fn holds(&self, batch: Uuid, after: Seq, count: usize) -> Result<bool, StoreError> {
        debug_assert!(count > 0, "a batch has changes");
        if after.plus(count) > self.seq {
            return Ok(false);
        }
        Ok(self.entry(after.next(), decode::batch)? == Some(batch))
    }
}

/// The next entry, which must be the one at `seq`, and its size in bytes.
fn read_next(
    entries: &mut redb::Range<'_, u64, &'static [u8]>,
    seq: Seq,
) -> Result<(Change, usize), StoreError> {
    let entry = entries.next().transpose().map_err(read_error)?;
    let Some((_, value)) = entry.filter(|(key, _)| key.value() == seq.get()) else {
        return Err(missing(seq));
    };
    let change = decode::change(seq, value.value())?;
    Ok((change, value.value().len()))
}

/// Fails if the change at `seq` names itself or a later one as the change of its event before it.
fn ensure_prior(seq: Seq, prior: Option<Seq>) -> Result<(), StoreError> {
    match prior {
        Some(prior) if prior >= seq => Err(StoreError::Corrupt {
            at: seq.into(),
            reason: format!("its prior change is {prior}"),
        }),
        _ => Ok(()),
    }
}

fn missing(seq: Seq) -> StoreError {
    StoreError::Corrupt {
        at: seq.into(),
        reason: "missing".to_owned(),
    }
}

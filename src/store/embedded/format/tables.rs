//! The tables of the file, and what redb's errors mean to callers of the store.

use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, Table, TableDefinition, TableError, WriteTransaction};

use super::decode;
use super::encode;
use super::milestone::Milestone;
use crate::domain::{Event, EventId, Seq};
use crate::store::StoreError;
use crate::store::embedded::file::medium;

/// The format of the file, which says what tables there are, that this program writes.
pub(crate) const FILE_FORMAT: u128 = 6;

/// Single numbers, under the keys below.
pub(crate) const META: TableDefinition<'_, &str, u128> = TableDefinition::new("meta");

/// Each change by its seq. Its last key is the head.
pub(crate) const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

/// The seq of the change that a command made, by the command's id.
pub(crate) const COMMANDS: TableDefinition<'_, &str, u64> = TableDefinition::new("commands");

/// Each event by its id, as of the seq at `META_FLUSHED` or later.
pub(crate) const VIEW: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("view");

/// Skip pointers into the histories of events, each under its event and seq; see `history`.
pub(crate) const MILESTONES: TableDefinition<'_, (&str, u64), ()> =
    TableDefinition::new("milestones");

/// Notes by their names. A file gets the table with its first note.
pub(crate) const NOTES: TableDefinition<'_, &str, &str> = TableDefinition::new("notes");

/// A view that a rebuild is making is in a table named this and a number.
pub(crate) const REBUILD_PREFIX: &str = "view_rebuild_";

/// The format of the file.
pub(crate) const META_FORMAT: &str = "format";

/// The log's identity, a UUID.
pub(crate) const META_EPOCH: &str = "epoch";

/// How far the memtable is flushed: every change up to this seq is in the view's table, and its milestone in theirs.
/// Later ones may be there too.
pub(crate) const META_FLUSHED: &str = "covered";

pub(crate) type MetaTable = ReadOnlyTable<&'static str, u128>;
pub(crate) type LogTable = ReadOnlyTable<u64, &'static [u8]>;
pub(crate) type CommandTable = ReadOnlyTable<&'static str, u64>;
pub(crate) type MilestoneTable = ReadOnlyTable<(&'static str, u64), ()>;
pub(crate) type NoteTable = ReadOnlyTable<&'static str, &'static str>;
pub(crate) type ViewTable = ReadOnlyTable<&'static str, &'static [u8]>;

pub(crate) fn open_log(reading: &ReadTransaction) -> Result<LogTable, StoreError> {
    reading.open_table(LOG).map_err(read_error)
}

pub(crate) fn open_commands(reading: &ReadTransaction) -> Result<CommandTable, StoreError> {
    reading.open_table(COMMANDS).map_err(read_error)
}

/// `None` in a file that never had a note.
pub(crate) fn open_notes(reading: &ReadTransaction) -> Result<Option<NoteTable>, StoreError> {
    match reading.open_table(NOTES) {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        notes => notes.map(Some).map_err(read_error),
    }
}

pub(crate) fn open_milestones(reading: &ReadTransaction) -> Result<MilestoneTable, StoreError> {
    reading.open_table(MILESTONES).map_err(read_error)
}

pub(crate) fn open_view(reading: &ReadTransaction) -> Result<ViewTable, StoreError> {
    reading.open_table(VIEW).map_err(read_error)
}

/// The version of the event in the view's table, and the seq of its last change.
pub(crate) fn version(view: &ViewTable, id: &EventId) -> Result<Option<(u64, Seq)>, StoreError> {
    let row = view.get(id.as_str()).map_err(read_error)?;
    row.map(|bytes| decode::version(id.as_str(), bytes.value()))
        .transpose()
}

/// Writes an entry of the memtable to a view's table. `buffer` is lent, so that it is allocated once for many.
pub(crate) fn write_entry(
    view: &mut Table<'_, &'static str, &'static [u8]>,
    id: &EventId,
    entry: &Option<Arc<Event>>,
    buffer: &mut Vec<u8>,
) -> Result<(), redb::Error> {
    match entry {
        Some(event) => {
            encode::event(buffer, event);
            view.insert(id.as_str(), buffer.as_slice())?;
        }
        None => drop(view.remove(id.as_str())?),
    }
    Ok(())
}

/// Adds milestones to their table. Sorted ones are written several times faster.
pub(crate) fn write_milestones<'a>(
    transaction: &WriteTransaction,
    milestones: impl IntoIterator<Item = &'a Milestone>,
) -> Result<(), redb::Error> {
    let mut milestones = milestones.into_iter().peekable();
    if milestones.peek().is_none() {
        return Ok(());
    }
    let mut table = transaction.open_table(MILESTONES)?;
    for (id, seq) in milestones {
        table.insert((id.as_str(), seq.get()), ())?;
    }
    Ok(())
}

/// A seq read from the file.
pub(crate) fn stored_seq(number: u128, at: &str) -> Result<Seq, StoreError> {
    let seq = u64::try_from(number).ok().and_then(Seq::stored);
    seq.ok_or_else(|| StoreError::Corrupt {
        at: at.into(),
        reason: "a seq beyond 2^53, which no log reaches".to_owned(),
    })
}

/// The error of a write: says whether the disk is full or refuses writes.
pub(crate) fn write_error(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => medium::disk_error(&error),
        error => read_error(error),
    }
}

/// The error of a read.
pub(crate) fn read_error(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(reason) => StoreError::Corrupt {
            at: "the data file".into(),
            reason,
        },
        error @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TableDoesNotExist(_)) => {
            StoreError::Corrupt {
                at: "the data file".into(),
                reason: error.to_string(),
            }
        }
        error => StoreError::Unavailable(error.to_string()),
    }
}

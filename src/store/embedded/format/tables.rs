//! The tables of the file, and what redb's errors mean.

use redb::{ReadOnlyTable, ReadTransaction, Table, TableDefinition, WriteTransaction};

use super::decode;
use super::encode;
use super::milestone::Milestone;
use crate::domain::{EventId, Seq};
use crate::store::StoreError;
use crate::store::embedded::file::medium;
use crate::store::embedded::read::memtable::MemtableEntry;

/// The format of the tables that this program makes.
pub(crate) const FORMAT: u128 = 4;

/// Everything that is one number: see the keys below.
pub(crate) const META: TableDefinition<'_, &str, u128> = TableDefinition::new("meta");

/// Each change by its seq. Its last key is the head.
pub(crate) const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

/// The seq of the change that a command made, by the command's id.
pub(crate) const COMMANDS: TableDefinition<'_, &str, u64> = TableDefinition::new("commands");

/// Each event by its id, as of some seq of its own, see `META_COVERED`.
pub(crate) const VIEW: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("view");

/// The changes that the history of an event is found by, each under its event and seq; see `history`.
pub(crate) const MILESTONES: TableDefinition<'_, (&str, u64), ()> =
    TableDefinition::new("milestones");

/// Views in the making are named this and a number.
pub(crate) const REBUILD_PREFIX: &str = "view_rebuild_";

/// Which tables there are and what they mean.
pub(crate) const META_FORMAT: &str = "format";

/// The log's identity, a UUID.
pub(crate) const META_EPOCH: &str = "epoch";

/// Every change up to this one is in the view's table, and its milestones in theirs; later ones may be or not.
pub(crate) const META_COVERED: &str = "covered";

pub(crate) type MetaTable = ReadOnlyTable<&'static str, u128>;
pub(crate) type LogTable = ReadOnlyTable<u64, &'static [u8]>;
pub(crate) type CommandTable = ReadOnlyTable<&'static str, u64>;
pub(crate) type MilestoneTable = ReadOnlyTable<(&'static str, u64), ()>;
pub(crate) type ViewTable = ReadOnlyTable<&'static str, &'static [u8]>;

pub(crate) fn open_log(reading: &ReadTransaction) -> Result<LogTable, StoreError> {
    reading.open_table(LOG).map_err(fault)
}

pub(crate) fn open_commands(reading: &ReadTransaction) -> Result<CommandTable, StoreError> {
    reading.open_table(COMMANDS).map_err(fault)
}

pub(crate) fn open_milestones(reading: &ReadTransaction) -> Result<MilestoneTable, StoreError> {
    reading.open_table(MILESTONES).map_err(fault)
}

pub(crate) fn open_view(reading: &ReadTransaction) -> Result<ViewTable, StoreError> {
    reading.open_table(VIEW).map_err(fault)
}

/// The version of the event in the view's table, and the change that made it what it is.
pub(crate) fn version(view: &ViewTable, id: &EventId) -> Result<Option<(u64, Seq)>, StoreError> {
    let found = view.get(id.as_str()).map_err(fault)?;
    found
        .map(|bytes| decode::version(id.as_str(), bytes.value()))
        .transpose()
}

/// Writes a slot to a view's table. `buffer` is lent, so that it is allocated once for many.
pub(crate) fn write_slot(
    view: &mut Table<'_, &'static str, &'static [u8]>,
    id: &EventId,
    slot: &MemtableEntry,
    buffer: &mut Vec<u8>,
) -> Result<(), redb::Error> {
    match slot {
        Some(event) => {
            encode::event(buffer, event);
            view.insert(id.as_str(), buffer.as_slice())?;
        }
        None => drop(view.remove(id.as_str())?),
    }
    Ok(())
}

/// Adds milestones to their table. In order they are written several times faster.
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

/// A number that stands in the file and was a seq.
pub(crate) fn seq(number: u128, at: &str) -> Result<Seq, StoreError> {
    let seq = u64::try_from(number).ok().and_then(Seq::stored);
    seq.ok_or_else(|| StoreError::Corrupt {
        at: at.into(),
        reason: "a seq beyond 2^53, where no log comes to".to_owned(),
    })
}

/// What an error of redb means to who writes.
pub(crate) fn written(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => medium::trouble(&error),
        error => fault(error),
    }
}

/// What an error of redb means to those who ask the store.
pub(crate) fn fault(error: impl Into<redb::Error>) -> StoreError {
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

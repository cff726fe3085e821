//! Opening the file: checking and upgrading its format, and recovering what the last run left unfinished.

use std::sync::Arc;

use redb::{
    Database, ReadableDatabase, ReadableTable, StorageBackend, TableHandle, WriteTransaction,
};
use uuid::Uuid;

use super::data_dir::{DataDir, EmbeddedOpenError};
use super::medium;
use super::medium::Medium;
use super::recovery::FileWatch;
use crate::domain::Seq;
use crate::limits;
use crate::store::embedded::EmbeddedOptions;
use crate::store::embedded::format::index;
use crate::store::embedded::format::index::INDEXES;
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{
    COMMANDS, FILE_FORMAT, LOG, META, META_EPOCH, META_FLUSHED, META_FORMAT, MILESTONES,
    REBUILD_PREFIX, VIEW, read_error, write_error,
};
use crate::store::embedded::read::history;
use crate::store::embedded::read::memtable::Memtable;
use crate::store::embedded::read::snapshot::Snapshot;
use crate::store::embedded::shared::Shared;
use crate::store::embedded::write::checkpoint::Checkpoint;
use crate::store::embedded::write::indexing::Indexing;
use crate::store::embedded::write::thread::Writer;
use crate::store::{Epoch, StoreError};

/// The oldest format that is upgraded. Format 1 has no command ids in the log; those before 3 have no milestones; in
/// those before 4 each life of an event begins at version 1, so an older livelog must not read a later log; those before 6
/// have no indexes, so an older livelog must not move a row of a later file.
const FORMAT_MIN: u128 = 1;

/// The first format with milestones.
const FORMAT_WITH_MILESTONES: u128 = 3;

/// Opens the file in its folder; creates both if they are missing.
pub(crate) fn open(options: &EmbeddedOptions) -> Result<Writer, EmbeddedOpenError> {
    let data_dir = DataDir::new(options.dir.clone());
    let lock = data_dir.lock()?;
    if !data_dir.has_file()? {
        data_dir.replace_file(|database| prepare(database).map(drop))?;
    }
    let opened = data_dir.open_file()?;
    let mut writer = start_writer(opened, &data_dir, limits::EMBEDDED_MEMTABLE_BYTES_MAX)?;
    writer.lock = Some(lock);
    writer.data_dir = Some(data_dir);
    Ok(writer)
}

/// Opens the file in its folder for reading: what would be written stays in memory.
pub(crate) fn open_unwritten(
    options: &EmbeddedOptions,
    is_checked: bool,
) -> Result<Writer, EmbeddedOpenError> {
    let data_dir = DataDir::new(options.dir.clone());
    let lock = data_dir.lock_if_possible()?;
    let (mut database, medium) = data_dir.open_unwritten()?;
    if is_checked {
        check(&mut database, &data_dir)?;
    }
    let mut writer = start_writer(
        (database, medium),
        &data_dir,
        limits::EMBEDDED_MEMTABLE_BYTES_MAX,
    )?;
    writer.lock = lock;
    // So that the thread does not save it.
    writer.is_allocator_state_saved = true;
    Ok(writer)
}

/// Verifies the checksum of every page. A flipped bit in an inner page of a tree hides the rows below it.
fn check(database: &mut Database, data_dir: &DataDir) -> Result<(), EmbeddedOpenError> {
    let reason = match database.check_integrity() {
        Ok(true) => return Ok(()),
        Ok(false) => "pages of it are not what was written".to_owned(),
        Err(error) => error.to_string(),
    };
    let at = data_dir.path().display().to_string();
    Err(StoreError::Corrupt {
        at: at.into(),
        reason,
    }
    .into())
}

/// Opens a storage of the caller's.
pub(crate) fn open_on(
    storage: impl StorageBackend,
    memtable_bytes_max: usize,
) -> Result<Writer, EmbeddedOpenError> {
    let data_dir = DataDir::unnamed();
    let medium = Medium::storage(Arc::new(storage)).map_err(|error| medium::disk_error(&error))?;
    start_writer(data_dir.open_medium(medium)?, &data_dir, memtable_bytes_max)
}

fn start_writer(
    (database, medium): (Database, Medium),
    data_dir: &DataDir,
    memtable_bytes_max: usize,
) -> Result<Writer, EmbeddedOpenError> {
    let (epoch, flushed, snapshot) = load_state(&database, &medium, data_dir)?;
    Ok(Writer {
        indexing: Indexing::of(&snapshot),
        database,
        medium,
        lock: None,
        data_dir: None,
        is_allocator_state_saved: false,
        shared: Arc::new(Shared::new(epoch, snapshot)),
        checkpoint: Checkpoint::new(flushed, memtable_bytes_max),
        holder: None,
        first_valid_rebuild: 0,
        watch: FileWatch::default(),
        buffer: Vec::new(),
    })
}

/// Upgrades the file, and reads its epoch, how far it is flushed, and a snapshot of its head.
pub(super) fn load_state(
    database: &Database,
    medium: &Medium,
    data_dir: &DataDir,
) -> Result<(Epoch, Seq, Snapshot), EmbeddedOpenError> {
    let format = prepare(database).map_err(write_error)?;
    if format != FILE_FORMAT {
        return Err(EmbeddedOpenError::Format {
            dir: data_dir.name(),
            found: format,
        });
    }
    let state = recover(database)?;
    // What was written so far must be on the disk.
    medium
        .ensure_written()
        .map_err(|error| medium::disk_error(&error))?;
    Ok(state)
}

/// Creates the tables of an empty file, upgrades those of an older format, and removes what dead rebuilds left. Returns
/// the format; if this program cannot read it, nothing is changed.
fn prepare(database: &Database) -> Result<u128, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    let found = {
        let meta = transaction.open_table(META)?;
        let format = meta.get(META_FORMAT)?;
        format.map(|format| format.value())
    };
    if let Some(foreign) = found.filter(|format| !(FORMAT_MIN..=FILE_FORMAT).contains(format)) {
        transaction.abort()?;
        return Ok(foreign);
    }
    let abandoned: Vec<_> = transaction
        .list_tables()?
        .filter(|table| table.name().starts_with(REBUILD_PREFIX))
        .collect();
    let is_current = found == Some(FILE_FORMAT);
    let unreadable = match is_current {
        true => index::unreadable(&transaction)?,
        false => Vec::new(),
    };
    if is_current && abandoned.is_empty() && unreadable.is_empty() {
        transaction.abort()?;
        return Ok(FILE_FORMAT);
    }
    match found {
        None => create_tables(&transaction)?,
        Some(FILE_FORMAT) => {}
        Some(older) => upgrade(&transaction, older)?,
    }
    for table in abandoned {
        transaction.delete_table(table)?;
    }
    for name in unreadable {
        // Whoever declares it has it built again.
        tracing::warn!(index = name, "an index is in another format: it is removed");
        index::remove(&transaction, &name)?;
    }
    transaction.commit()?;
    Ok(FILE_FORMAT)
}

fn create_tables(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_FORMAT, FILE_FORMAT)?;
    meta.insert(META_EPOCH, Uuid::new_v4().as_u128())?;
    meta.insert(META_FLUSHED, 0)?;
    transaction.open_table(LOG)?;
    transaction.open_table(COMMANDS)?;
    transaction.open_table(MILESTONES)?;
    transaction.open_table(VIEW)?;
    transaction.open_table(INDEXES)?;
    Ok(())
}

fn upgrade(transaction: &WriteTransaction, older: u128) -> Result<(), redb::Error> {
    tracing::info!("upgrading the data file from format {older} to {FILE_FORMAT}");
    transaction.open_table(COMMANDS)?;
    transaction.open_table(INDEXES)?;
    if older < FORMAT_WITH_MILESTONES {
        history::build_milestones(transaction)?;
    }
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_FORMAT, FILE_FORMAT)?;
    Ok(())
}

/// The store as of its head: the tables, and a memtable folded from the log after what is flushed.
fn recover(database: &Database) -> Result<(Epoch, Seq, Snapshot), StoreError> {
    let reading = database.begin_read().map_err(read_error)?;
    let meta = reading.open_table(META).map_err(read_error)?;
    let number = |key: &str| match meta.get(key).map_err(read_error)? {
        Some(number) => Ok(number.value()),
        None => Err(StoreError::Corrupt {
            at: format!("meta {key}").into(),
            reason: "missing".to_owned(),
        }),
    };
    let epoch = Epoch(Uuid::from_u128(number(META_EPOCH)?));
    let flushed = tables::stored_seq(number(META_FLUSHED)?, "meta covered")?;
    let log = tables::open_log(&reading)?;
    let head = log
        .last()
        .map_err(read_error)?
        .map_or(0, |(seq, _)| seq.value());
    let head = tables::stored_seq(head.into(), "the log's head")?;
    if flushed > head {
        return Err(StoreError::Corrupt {
            at: "meta covered".into(),
            reason: format!("{flushed} is beyond the log's head {head}"),
        });
    }
    let indexes = index::read_all(&reading)?;
    let mut snapshot = Snapshot::of(&reading, head, Memtable::default(), indexes)?;
    snapshot.memtable = fold(&snapshot, flushed)?;
    Ok((epoch, flushed, snapshot))
}

/// The memtable of everything after `flushed`.
fn fold(snapshot: &Snapshot, flushed: Seq) -> Result<Memtable, StoreError> {
    let mut memtable = Memtable::default();
    let mut seq = flushed;
    loop {
        let changes = snapshot.changes(seq, limits::LOG_PAGE_COUNT)?;
        let Some(last) = changes.last() else {
            assert_eq!(seq, snapshot.seq, "the whole log is folded");
            return Ok(memtable);
        };
        seq = last.seq;
        changes.iter().for_each(|change| memtable.apply(change));
    }
}

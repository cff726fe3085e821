//! Opening the file: whether this program reads it, and what its last run left to do.

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
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{
    COMMANDS, FORMAT, LOG, META, META_COVERED, META_EPOCH, META_FORMAT, MILESTONES, REBUILD_PREFIX,
    VIEW, fault, written,
};
use crate::store::embedded::read::history;
use crate::store::embedded::read::memtable::Memtable;
use crate::store::embedded::read::snapshot::Snapshot;
use crate::store::embedded::shared::Shared;
use crate::store::embedded::write::checkpoint::Checkpoint;
use crate::store::embedded::write::thread::Writer;
use crate::store::{Epoch, StoreError};

/// The oldest that is read, and made into the one of today. In 1 no log names commands; before 3 there was no
/// history; before 4 every life of an event begins at version 1, so that an older livelog must not read a later
/// log.
const FORMAT_MIN: u128 = 1;

/// The first with milestones.
const FORMAT_WITH_HISTORY: u128 = 3;

/// Opens the file in its folder; makes both if they are missing.
pub(crate) fn open(options: &EmbeddedOptions) -> Result<Writer, EmbeddedOpenError> {
    let place = DataDir::new(options.dir.clone());
    let lock = place.lock()?;
    if !place.has_file()? {
        place.write_anew(|database| prepare(database).map(drop))?;
    }
    let opened = place.open_file()?;
    let mut writer = begin(opened, &place, limits::EMBEDDED_OVERLAY_BYTES_MAX)?;
    writer.lock = Some(lock);
    writer.place = Some(place);
    Ok(writer)
}

/// Opens the file in its folder to look at it. Memory takes what would be written.
pub(crate) fn open_unwritten(
    options: &EmbeddedOptions,
    is_checked: bool,
) -> Result<Writer, EmbeddedOpenError> {
    let place = DataDir::new(options.dir.clone());
    let lock = place.lock_if_possible()?;
    let (mut database, medium) = place.open_unwritten()?;
    if is_checked {
        check(&mut database, &place)?;
    }
    let mut writer = begin(
        (database, medium),
        &place,
        limits::EMBEDDED_OVERLAY_BYTES_MAX,
    )?;
    writer.lock = lock;
    // Nothing is to be written.
    writer.sealed = true;
    Ok(writer)
}

/// Holds every page to its checksum. A flipped bit in one that leads to others hides what they hold.
fn check(database: &mut Database, place: &DataDir) -> Result<(), EmbeddedOpenError> {
    let reason = match database.check_integrity() {
        Ok(true) => return Ok(()),
        Ok(false) => "pages of it are not what was written".to_owned(),
        Err(error) => error.to_string(),
    };
    let at = place.path().display().to_string();
    Err(StoreError::Corrupt {
        at: at.into(),
        reason,
    }
    .into())
}

/// The same on a storage of the caller's.
pub(crate) fn open_on(
    storage: impl StorageBackend,
    overlay_bytes_max: usize,
) -> Result<Writer, EmbeddedOpenError> {
    let place = DataDir::nowhere();
    let medium = Medium::storage(Arc::new(storage)).map_err(|error| medium::trouble(&error))?;
    begin(place.open_medium(medium)?, &place, overlay_bytes_max)
}

fn begin(
    (database, medium): (Database, Medium),
    place: &DataDir,
    overlay_bytes_max: usize,
) -> Result<Writer, EmbeddedOpenError> {
    let (epoch, covered, snapshot) = read(&database, &medium, place)?;
    Ok(Writer {
        database,
        medium,
        lock: None,
        place: None,
        sealed: false,
        shared: Arc::new(Shared::new(epoch, snapshot)),
        checkpoint: Checkpoint::new(covered, overlay_bytes_max),
        holder: None,
        rebuilds_from: 0,
        watch: FileWatch::default(),
        buffer: Vec::new(),
    })
}

/// Brings the file up to date, and reads where it stands.
pub(crate) fn read(
    database: &Database,
    medium: &Medium,
    place: &DataDir,
) -> Result<(Epoch, Seq, Snapshot), EmbeddedOpenError> {
    let format = prepare(database).map_err(written)?;
    if format != FORMAT {
        return Err(EmbeddedOpenError::Format {
            dir: place.name(),
            found: format,
        });
    }
    let found = recover(database)?;
    // What opening it wrote must be on the disk.
    medium.sound().map_err(|error| medium::trouble(&error))?;
    Ok(found)
}

/// Makes the tables of an empty file, brings those of an older format up to date, and removes the views that
/// dead rebuilds left. The format found if it is none that this program reads; then nothing is touched.
fn prepare(database: &Database) -> Result<u128, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    let found = {
        let meta = transaction.open_table(META)?;
        let format = meta.get(META_FORMAT)?;
        format.map(|format| format.value())
    };
    if let Some(foreign) = found.filter(|format| !(FORMAT_MIN..=FORMAT).contains(format)) {
        transaction.abort()?;
        return Ok(foreign);
    }
    let abandoned: Vec<_> = transaction
        .list_tables()?
        .filter(|table| table.name().starts_with(REBUILD_PREFIX))
        .collect();
    if found == Some(FORMAT) && abandoned.is_empty() {
        transaction.abort()?;
        return Ok(FORMAT);
    }
    match found {
        None => lay_out(&transaction)?,
        Some(FORMAT) => {}
        Some(older) => upgrade(&transaction, older)?,
    }
    for table in abandoned {
        transaction.delete_table(table)?;
    }
    transaction.commit()?;
    Ok(FORMAT)
}

fn lay_out(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_FORMAT, FORMAT)?;
    meta.insert(META_EPOCH, Uuid::new_v4().as_u128())?;
    meta.insert(META_COVERED, 0)?;
    transaction.open_table(LOG)?;
    transaction.open_table(COMMANDS)?;
    transaction.open_table(MILESTONES)?;
    transaction.open_table(VIEW)?;
    Ok(())
}

fn upgrade(transaction: &WriteTransaction, older: u128) -> Result<(), redb::Error> {
    tracing::info!("bringing the data file from format {older} to {FORMAT}");
    transaction.open_table(COMMANDS)?;
    if older < FORMAT_WITH_HISTORY {
        // Reads the log once.
        history::index(transaction)?;
    }
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_FORMAT, FORMAT)?;
    Ok(())
}

/// The store as of its head: the tables, and the log since they were last in step folded over them.
fn recover(database: &Database) -> Result<(Epoch, Seq, Snapshot), StoreError> {
    let reading = database.begin_read().map_err(fault)?;
    let meta = reading.open_table(META).map_err(fault)?;
    let number = |key: &str| match meta.get(key).map_err(fault)? {
        Some(number) => Ok(number.value()),
        None => Err(StoreError::Corrupt {
            at: format!("meta {key}").into(),
            reason: "missing".to_owned(),
        }),
    };
    let epoch = Epoch(Uuid::from_u128(number(META_EPOCH)?));
    let covered = tables::seq(number(META_COVERED)?, "meta covered")?;
    let log = tables::open_log(&reading)?;
    let head = log.last().map_err(fault)?.map_or(0, |(seq, _)| seq.value());
    let mut snapshot = Snapshot {
        seq: tables::seq(head.into(), "the log's head")?,
        overlay: Memtable::default(),
        commands: tables::open_commands(&reading)?,
        milestones: tables::open_milestones(&reading)?,
        view: tables::open_view(&reading)?,
        log,
    };
    snapshot.overlay = fold(&snapshot, covered)?;
    Ok((epoch, covered, snapshot))
}

fn fold(snapshot: &Snapshot, covered: Seq) -> Result<Memtable, StoreError> {
    let mut overlay = Memtable::default();
    let mut seq = covered;
    loop {
        let changes = snapshot.changes(seq, limits::LOG_PAGE_COUNT)?;
        let Some(last) = changes.last() else {
            return Ok(overlay);
        };
        seq = last.seq;
        changes.iter().for_each(|change| overlay.apply(change));
    }
}

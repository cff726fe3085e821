//! Opening the file: whose it is, whether this program reads it, and what its last run left to do.

use std::cell::Cell;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableHandle,
    WriteTransaction,
};
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use super::history;
use super::overlay::Overlay;
use super::shared::Shared;
use super::snapshot::Snapshot;
use super::tables::{
    self, COMMANDS, LOG, META, META_COVERED, META_EPOCH, META_FORMAT, MILESTONES, REBUILD_PREFIX,
    VIEW, fault,
};
use super::writer::Writer;
use super::{EmbeddedOptions, FILE};
use crate::domain::Seq;
use crate::limits;
use crate::store::{Epoch, StoreError};

/// The format of the tables that this program makes.
pub(super) const FORMAT: u128 = 3;

/// The oldest that is read, and made into the one of today. In 1 no log names commands; before 3 there was no
/// history.
const FORMAT_MIN: u128 = 1;

/// Locked while a process uses the folder.
const LOCK_FILE: &str = "lock";

/// How long to wait for a process that is just ending, or for one that inherited the lock in the moment
/// before it became another program.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The file while it is made.
const DRAFT_FILE: &str = "livelog.redb.new";

/// Why the data folder cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the data folder {dir} is in use by another livelog. Stop that one first: every command \
         needs the folder for itself (or name another with --data DIR)"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Locked { dir: String },
    /// Nothing to look at.
    #[error("there is no data in {dir}: name the folder that has it with --data DIR")]
    #[expect(missing_docs, reason = "the message says it")]
    Empty { dir: String },
    /// Made by a livelog of another format.
    #[error(
        "the data folder {dir} was written in format {found}; this livelog reads format {FORMAT}. \
         Use the livelog that wrote it, or a newer one"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Format { dir: String, found: u128 },
    /// Something else has that name.
    #[error("{file} is not a livelog data file: {reason}")]
    #[expect(missing_docs, reason = "the message says it")]
    Foreign { file: String, reason: String },
    /// The system refuses.
    #[error("cannot use the data folder {dir}: {reason}")]
    #[expect(missing_docs, reason = "the message says it")]
    Unusable { dir: String, reason: String },
    /// What is stored cannot be what livelog wrote.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error,
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// Opens the file in its folder; makes both if they are missing.
pub(super) fn open(options: &EmbeddedOptions) -> Result<Writer, OpenError> {
    let place = Place {
        dir: options.dir.clone(),
    };
    let lock = place.lock()?;
    let file = place.dir.join(FILE);
    if !file.exists() {
        place.create()?;
    }
    place.remove_draft()?;
    let database = builder().open(file).map_err(|error| place.explain(error))?;
    let mut writer = begin(database, &place, limits::EMBEDDED_OVERLAY_BYTES_MAX)?;
    writer.lock = Some(lock);
    writer.place = Some(place);
    Ok(writer)
}

/// The same on a storage of the caller's.
pub(super) fn open_on(
    storage: impl StorageBackend,
    overlay_bytes_max: usize,
) -> Result<Writer, OpenError> {
    let place = Place {
        dir: PathBuf::from("(a storage of the caller's)"),
    };
    let database = builder()
        .create_with_backend(storage)
        .map_err(|error| place.explain(error))?;
    begin(database, &place, overlay_bytes_max)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(limits::EMBEDDED_CACHE_BYTES);
    let told = Cell::new(false);
    builder.set_repair_callback(move |_| {
        if !told.replace(true) {
            tracing::info!("the last run ended in the middle of writing: checking the data file");
        }
    });
    builder
}

fn begin(database: Database, place: &Place, overlay_bytes_max: usize) -> Result<Writer, OpenError> {
    let format = prepare(&database).map_err(fault)?;
    if format != FORMAT {
        return Err(OpenError::Format {
            dir: place.dir.display().to_string(),
            found: format,
        });
    }
    let (epoch, covered, snapshot) = recover(&database)?;
    Ok(Writer {
        database,
        lock: None,
        place: None,
        sealed: false,
        shared: Arc::new(Shared::new(epoch, snapshot)),
        checkpoint: Checkpoint::new(covered, overlay_bytes_max),
        holder: None,
        doubt: None,
        buffer: Vec::new(),
    })
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
        Some(_) => upgrade(&transaction)?,
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

fn upgrade(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    tracing::info!("bringing the data file up to date: its log is read once");
    transaction.open_table(COMMANDS)?;
    history::index(transaction)?;
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
            at: format!("meta {key}"),
            reason: "missing".to_owned(),
        }),
    };
    let epoch = Epoch(Uuid::from_u128(number(META_EPOCH)?));
    let covered = tables::seq(number(META_COVERED)?)?;
    let log = tables::open_log(&reading)?;
    let head = log.last().map_err(fault)?.map_or(0, |(seq, _)| seq.value());
    let mut snapshot = Snapshot {
        seq: Seq::new(head),
        overlay: Overlay::default(),
        commands: tables::open_commands(&reading)?,
        milestones: tables::open_milestones(&reading)?,
        view: tables::open_view(&reading)?,
        log,
    };
    snapshot.overlay = fold(&snapshot, covered)?;
    Ok((epoch, covered, snapshot))
}

fn fold(snapshot: &Snapshot, covered: Seq) -> Result<Overlay, StoreError> {
    let mut overlay = Overlay::default();
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

/// Where the file is.
pub(super) struct Place {
    dir: PathBuf,
}

impl Place {
    /// Makes the folder and takes it for this process alone, before anything in it is touched.
    fn lock(&self) -> Result<File, OpenError> {
        self.make().map_err(|error| self.unusable(&error))?;
        let lock = File::create(self.dir.join(LOCK_FILE)).map_err(|error| self.unusable(&error))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let dir = self.dir.display().to_string();
                    return Err(OpenError::Locked { dir });
                }
                Err(TryLockError::Error(error)) => return Err(self.unusable(&error)),
            }
        }
    }

    fn make(&self) -> io::Result<()> {
        if self.dir.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.dir)?;
        let whole = self.dir.canonicalize()?;
        sync_folder(whole.parent().unwrap_or(&whole))
    }

    fn create(&self) -> Result<(), OpenError> {
        let prepare = |database: &Database| prepare(database).map(drop);
        self.write_anew(prepare).map(drop)
    }

    /// Makes the file, or another in its place: under another name first, for if the power goes meanwhile, half a
    /// file is no file.
    pub(super) fn write_anew(
        &self,
        fill: impl FnOnce(&Database) -> Result<(), redb::Error>,
    ) -> Result<Database, OpenError> {
        self.remove_draft()?;
        let draft = self.dir.join(DRAFT_FILE);
        let database = builder()
            .create(&draft)
            .map_err(|error| self.explain(error))?;
        fill(&database).map_err(fault)?;
        let put_in_place = || {
            File::open(&draft)?.sync_all()?;
            fs::rename(&draft, self.dir.join(FILE))?;
            sync_folder(&self.dir)
        };
        put_in_place().map_err(|error| self.unusable(&error))?;
        Ok(database)
    }

    /// Removes what is left of a file that was not finished.
    fn remove_draft(&self) -> Result<(), OpenError> {
        match fs::remove_file(self.dir.join(DRAFT_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unusable(&error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn explain(&self, error: DatabaseError) -> OpenError {
        let dir = self.dir.display().to_string();
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                OpenError::Locked { dir }
            }
            DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() != io::ErrorKind::InvalidData =>
            {
                self.unusable(&error)
            }
            error => OpenError::Foreign {
                file: self.dir.join(FILE).display().to_string(),
                reason: error.to_string(),
            },
        }
    }

    fn unusable(&self, error: &io::Error) -> OpenError {
        OpenError::Unusable {
            dir: self.dir.display().to_string(),
            reason: error.to_string(),
        }
    }
}

/// Makes the names in the folder durable: a file whose name is lost with the power is lost too.
fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

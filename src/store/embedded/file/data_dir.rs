//! Where the file is: whose folder that is, and how a file comes to be in it whole or not at all.

use std::cell::Cell;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use redb::{Builder, Database, DatabaseError, StorageBackend};

use super::medium::Medium;
use crate::limits;
use crate::store::StoreError;
use crate::store::embedded::format::tables::{FORMAT, written};

/// The file in the data folder.
const FILE: &str = "livelog.redb";

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
pub enum EmbeddedOpenError {
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
    /// A link that leads nowhere.
    #[error(
        "{file} is a link to something that is not there: mount the volume that has it, or remove the link \
         to begin an empty log"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Dangling { file: String },
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

impl From<EmbeddedOpenError> for StoreError {
    fn from(error: EmbeddedOpenError) -> Self {
        match error {
            EmbeddedOpenError::Store(error) => error,
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// Where the file is.
pub(crate) struct DataDir {
    dir: PathBuf,
}

impl DataDir {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// For a storage of the caller's.
    pub(super) fn nowhere() -> Self {
        Self::new("(a storage of the caller's)".into())
    }

    /// As the operator knows it.
    pub(crate) fn name(&self) -> String {
        self.dir.display().to_string()
    }

    /// Whether there is a file to open. Only the answer that there is nothing of that name counts as no:
    /// a link whose target is missing stands for data on a volume that is not mounted.
    pub(crate) fn has_file(&self) -> Result<bool, EmbeddedOpenError> {
        let file = self.path();
        match fs::symlink_metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.unusable(&error)),
            Ok(_) => {}
        }
        match fs::metadata(&file) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(EmbeddedOpenError::Dangling {
                    file: file.display().to_string(),
                })
            }
            Err(error) => Err(self.unusable(&error)),
        }
    }

    /// The file's name.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// The file, or where it is to be made. Where the name is a link, the file it leads to: what is
    /// written anew must replace that one, on its own volume, and not the link.
    fn file(&self) -> Result<PathBuf, EmbeddedOpenError> {
        let file = self.path();
        match file.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(file),
            resolved => resolved.map_err(|error| self.unusable(&error)),
        }
    }

    /// Opens the file, and removes what is left of another that was to take its place.
    pub(crate) fn open_file(&self) -> Result<(Database, Medium), EmbeddedOpenError> {
        self.remove_draft(&self.file()?)?;
        let opened = File::options().read(true).write(true).open(self.path());
        self.open_with(opened.and_then(Medium::file))
    }

    /// Opens the file to read what the disk has of it, whatever the system has in memory.
    pub(super) fn open_again(&self) -> Result<(Database, Medium), EmbeddedOpenError> {
        let opened = File::options().read(true).write(true).open(self.path());
        self.open_with(opened.and_then(|file| {
            let medium = Medium::file(file)?;
            medium.forget_cached()?;
            Ok(medium)
        }))
    }

    /// Opens the file without writing to it.
    pub(crate) fn open_unwritten(&self) -> Result<(Database, Medium), EmbeddedOpenError> {
        let opened = File::open(self.path());
        self.open_with(opened.and_then(Medium::reading))
    }

    fn open_with(
        &self,
        medium: io::Result<Medium>,
    ) -> Result<(Database, Medium), EmbeddedOpenError> {
        let medium = medium.map_err(|error| self.unusable(&error))?;
        // redb would make a database of it.
        if medium.len().map_err(|error| self.unusable(&error))? == 0 {
            return Err(EmbeddedOpenError::Foreign {
                file: self.path().display().to_string(),
                reason: "it is empty".to_owned(),
            });
        }
        self.open_medium(medium)
    }

    /// Opens what is there, or makes it where there is nothing.
    pub(super) fn open_medium(
        &self,
        medium: Medium,
    ) -> Result<(Database, Medium), EmbeddedOpenError> {
        let opened = builder().create_with_backend(medium.clone());
        match opened {
            Ok(database) => Ok((database, medium)),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Makes the folder and takes it for this process alone, before anything in it is touched.
    pub(crate) fn lock(&self) -> Result<File, EmbeddedOpenError> {
        if self.dir.is_symlink() && !self.dir.exists() {
            return Err(EmbeddedOpenError::Dangling { file: self.name() });
        }
        self.make().map_err(|error| self.unusable(&error))?;
        let lock = File::create(self.dir.join(LOCK_FILE)).map_err(|error| self.unusable(&error))?;
        self.take(lock)
    }

    /// The same for who only reads: `None` where nothing can be made, on a file system that takes no writes or
    /// in a folder of somebody else's. Then the lock that redb has on the file keeps a server away.
    pub(super) fn lock_if_possible(&self) -> Result<Option<File>, EmbeddedOpenError> {
        match File::create(self.dir.join(LOCK_FILE)) {
            Ok(lock) => self.take(lock).map(Some),
            Err(error) if is_forbidden(&error) => Ok(None),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    fn take(&self, lock: File) -> Result<File, EmbeddedOpenError> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let dir = self.name();
                    return Err(EmbeddedOpenError::Locked { dir });
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

    /// Makes the file, or another in its place: under another name first, for if the power goes meanwhile, half a
    /// file is no file. What was there is there until then, and after an error too.
    pub(crate) fn write_anew(
        &self,
        fill: impl FnOnce(&Database) -> Result<(), redb::Error>,
    ) -> Result<(), EmbeddedOpenError> {
        let file = self.file()?;
        self.remove_draft(&file)?;
        let draft = file.with_file_name(DRAFT_FILE);
        let drafted = self.draft(&draft, fill);
        // What is left of it takes room.
        drafted.or_else(|error| self.remove_draft(&file).and(Err(error)))?;
        let put_in_place = || {
            File::open(&draft)?.sync_all()?;
            fs::rename(&draft, &file)?;
            sync_folder(file.parent().unwrap_or(&self.dir))
        };
        put_in_place().map_err(|error| self.unusable(&error))
    }

    fn draft(
        &self,
        draft: &Path,
        fill: impl FnOnce(&Database) -> Result<(), redb::Error>,
    ) -> Result<(), EmbeddedOpenError> {
        let database = builder()
            .create(draft)
            .map_err(|error| self.explain(error))?;
        fill(&database).map_err(written)?;
        database.close().map_err(|error| self.explain(error))
    }

    /// Removes what is left of a file that was not finished.
    fn remove_draft(&self, file: &Path) -> Result<(), EmbeddedOpenError> {
        match fs::remove_file(file.with_file_name(DRAFT_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unusable(&error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn explain(&self, error: DatabaseError) -> EmbeddedOpenError {
        let dir = self.name();
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                EmbeddedOpenError::Locked { dir }
            }
            DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() != io::ErrorKind::InvalidData =>
            {
                self.unusable(&error)
            }
            DatabaseError::Storage(redb::StorageError::Corrupted(reason)) => {
                EmbeddedOpenError::Store(StoreError::Corrupt {
                    at: self.path().display().to_string().into(),
                    reason,
                })
            }
            error => EmbeddedOpenError::Foreign {
                file: self.path().display().to_string(),
                reason: error.to_string(),
            },
        }
    }

    fn unusable(&self, error: &io::Error) -> EmbeddedOpenError {
        // The system says that the file exists, or that it is no directory, by what it was asked last.
        let reason = match self.dir.is_file() {
            true => "it is a file, not a folder".to_owned(),
            false => error.to_string(),
        };
        EmbeddedOpenError::Unusable {
            dir: self.name(),
            reason,
        }
    }
}

/// Makes the names in the folder durable: a file whose name is lost with the power is lost too.
fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Whether the file system takes no writes, or none of this user's.
fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
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

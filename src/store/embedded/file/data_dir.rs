//! The data folder: its lock, and creating or replacing the file in it, completely or not at all.

use std::cell::Cell;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use redb::{Builder, Database, DatabaseError, StorageBackend};
use rustix::fs::Access;
use rustix::io::Errno;

use super::medium::Medium;
use crate::limits;
use crate::store::StoreError;
use crate::store::embedded::format::tables::{FILE_FORMAT, write_error};

/// The file in the data folder.
const FILE: &str = "livelog.redb";

/// Locked while a process uses the folder.
const LOCK_FILE: &str = "lock";

/// How long to wait for a process that is just ending, or for a child process that has the lock from its `fork` until
/// its `exec`.
const LOCK_TIMEOUT: Duration = Duration::from_millis(300);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The file until it is complete.
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
    /// There is no data file.
    #[error("there is no data in {dir}: name the folder that has it with --data DIR")]
    #[expect(missing_docs, reason = "the message says it")]
    Empty { dir: String },
    /// A symbolic link whose target is missing.
    #[error(
        "{file} is a link to something that is not there: mount the volume that has it, or remove the link \
         to begin an empty log"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Dangling { file: String },
    /// Written by a livelog of another format.
    #[error(
        "the data folder {dir} was written in format {found}; this livelog reads format {FILE_FORMAT}. \
         Use the livelog that wrote it, or a newer one"
    )]
    #[expect(missing_docs, reason = "the message says it")]
    Format { dir: String, found: u128 },
    /// The file is not one of livelog's.
    #[error("{file} is not a livelog data file: {reason}")]
    #[expect(missing_docs, reason = "the message says it")]
    Foreign { file: String, reason: String },
    /// The operating system refuses.
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

/// The data folder.
pub(crate) struct DataDir {
    dir: PathBuf,
}

impl DataDir {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Stands for a storage of the caller's, which has no folder.
    pub(super) fn unnamed() -> Self {
        Self::new("(a storage of the caller's)".into())
    }

    /// Its path, for messages.
    pub(crate) fn name(&self) -> String {
        self.dir.display().to_string()
    }

    /// Whether there is a file to open. A link whose target is missing is an error and not `false`: the data may be on
    /// a volume that is not mounted.
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

    /// The path of the file.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// The path of the file with links resolved: a new file must replace the link's target, on the target's volume, and
    /// not the link.
    fn resolved_path(&self) -> Result<PathBuf, EmbeddedOpenError> {
        let file = self.path();
        match file.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(file),
            resolved => resolved.map_err(|error| self.unusable(&error)),
        }
    }

    /// Opens the file, and removes what is left of a new one that was not completed.
    pub(crate) fn open_file(&self) -> Result<(Database, Medium), EmbeddedOpenError> {
        self.remove_draft(&self.resolved_path()?)?;
        let opened = File::options().read(true).write(true).open(self.path());
        self.open_with(opened.and_then(Medium::file))
    }

    /// Opens the file to read it from the disk, not from the system's page cache.
    pub(super) fn open_again(&self) -> Result<(Database, Medium), EmbeddedOpenError> {
        let opened = File::options().read(true).write(true).open(self.path());
        self.open_with(opened.and_then(|file| {
            let medium = Medium::file(file)?;
            medium.forget_cached()?;
            Ok(medium)
        }))
    }

    /// Opens the file without writing to it.
    pub(super) fn open_unwritten(&self) -> Result<(Database, Medium), EmbeddedOpenError> {
        let opened = File::open(self.path());
        self.open_with(opened.and_then(Medium::reading))
    }

    fn open_with(
        &self,
        medium: io::Result<Medium>,
    ) -> Result<(Database, Medium), EmbeddedOpenError> {
        let medium = medium.map_err(|error| self.unusable(&error))?;
        // redb would make an empty database of it.
        if medium.len().map_err(|error| self.unusable(&error))? == 0 {
            return Err(EmbeddedOpenError::Foreign {
                file: self.path().display().to_string(),
                reason: "it is empty".to_owned(),
            });
        }
        self.open_medium(medium)
    }

    /// Opens the database on a medium, or creates one if the medium is empty.
    pub(super) fn open_medium(
        &self,
        medium: Medium,
    ) -> Result<(Database, Medium), EmbeddedOpenError> {
        let opened = builder().create_with_backend(medium.clone());
        match opened {
            Ok(database) => Ok((database, medium)),
            Err(error) => Err(self.open_error(error)),
        }
    }

    /// Creates the folder if it is missing and locks it for this process, before anything in it is touched.
    pub(super) fn lock(&self) -> Result<File, EmbeddedOpenError> {
        self.ensure_not_dangling()?;
        self.create().map_err(|error| self.unusable(&error))?;
        let lock = File::create(self.dir.join(LOCK_FILE)).map_err(|error| self.unusable(&error))?;
        self.acquire(lock)
    }

    fn ensure_not_dangling(&self) -> Result<(), EmbeddedOpenError> {
        match self.dir.is_symlink() && !self.dir.exists() {
            true => Err(EmbeddedOpenError::Dangling { file: self.name() }),
            false => Ok(()),
        }
    }

    /// Makes the folder if it is missing, or the outermost that it is to be in, and removes that again: some file systems
    /// allow everything and make nothing.
    fn ensure_makable(&self) -> io::Result<()> {
        let missing = self.dir.ancestors();
        let missing = missing.take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        let Some(outermost) = missing.last() else {
            return Ok(());
        };
        fs::create_dir(outermost)?;
        fs::remove_dir(outermost)
    }

    /// Whether there is a file to open, in a folder that could be locked, made and written. Leaves everything as it was.
    pub(crate) fn ensure_writable(&self) -> Result<bool, EmbeddedOpenError> {
        self.ensure_not_dangling()?;
        let unusable = |error: Errno| self.unusable(&error.into());
        let nearest = self.dir.ancestors().find(|dir| dir.exists());
        let nearest = nearest.unwrap_or(Path::new("."));
        if !nearest.is_dir() {
            return Err(unusable(Errno::NOTDIR));
        }
        rustix::fs::access(nearest, Access::WRITE_OK | Access::EXEC_OK).map_err(unusable)?;
        self.ensure_makable()
            .map_err(|error| self.unusable(&error))?;
        match File::options().write(true).open(self.dir.join(LOCK_FILE)) {
            Ok(lock) => drop(self.acquire(lock)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.unusable(&error)),
        }
        let has_file = self.has_file()?;
        if has_file {
            rustix::fs::access(self.path(), Access::WRITE_OK).map_err(unusable)?;
        }
        Ok(has_file)
    }

    /// Locks the folder for reading only: `None` if no lock file can be created, on a read-only file system or in a
    /// folder of another user. Then redb's own lock on the file keeps a server away.
    pub(super) fn lock_if_possible(&self) -> Result<Option<File>, EmbeddedOpenError> {
        match File::create(self.dir.join(LOCK_FILE)) {
            Ok(lock) => self.acquire(lock).map(Some),
            Err(error) if is_forbidden(&error) => Ok(None),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    fn acquire(&self, lock: File) -> Result<File, EmbeddedOpenError> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
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

    fn create(&self) -> io::Result<()> {
        if self.dir.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.dir)?;
        let resolved = self.dir.canonicalize()?;
        sync_folder(resolved.parent().unwrap_or(&resolved))
    }

    /// Creates the file or replaces it: writes a draft under another name, syncs it, and renames it. The old file stays
    /// until the rename, and after an error: neither an error nor a power cut leaves half a file.
    pub(crate) fn replace_file(
        &self,
        fill: impl FnOnce(&Database) -> Result<(), redb::Error>,
    ) -> Result<(), EmbeddedOpenError> {
        let file = self.resolved_path()?;
        self.remove_draft(&file)?;
        let draft = file.with_file_name(DRAFT_FILE);
        let drafted = self.write_draft(&draft, fill);
        // What is left of a draft takes room.
        drafted.or_else(|error| self.remove_draft(&file).and(Err(error)))?;
        let rename = || {
            File::open(&draft)?.sync_all()?;
            fs::rename(&draft, &file)?;
            sync_folder(file.parent().unwrap_or(&self.dir))
        };
        rename().map_err(|error| self.unusable(&error))
    }

    fn write_draft(
        &self,
        draft: &Path,
        fill: impl FnOnce(&Database) -> Result<(), redb::Error>,
    ) -> Result<(), EmbeddedOpenError> {
        let database = builder()
            .create(draft)
            .map_err(|error| self.open_error(error))?;
        fill(&database).map_err(write_error)?;
        database.close().map_err(|error| self.open_error(error))
    }

    /// Removes a draft that was not completed.
    fn remove_draft(&self, file: &Path) -> Result<(), EmbeddedOpenError> {
        match fs::remove_file(file.with_file_name(DRAFT_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unusable(&error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn open_error(&self, error: DatabaseError) -> EmbeddedOpenError {
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
        // Depending on the call, the system says "file exists" or "not a directory".
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

/// Makes the names in a folder durable: a power cut loses a file whose name is not.
fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Whether the file system is read-only, or this user may not write.
fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(limits::EMBEDDED_CACHE_BYTES);
    let is_logged = Cell::new(false);
    builder.set_repair_callback(move |_| {
        if !is_logged.replace(true) {
            tracing::info!("the last run ended in the middle of a write: checking the data file");
        }
    });
    builder
}

//! The storage backend of redb: the file, and from the first error of a write on, memory in front of it.
//!
//! Once a write has failed, redb refuses every read. So a write that the disk refuses is kept in memory instead, and so
//! is every later one: redb goes on, readers keep the snapshot they have, and nothing more reaches the disk. After each
//! commit the writer checks whether all of it is on the disk ([`Medium::ensure_written`]); if not, the file is as the
//! last good commit left it, and is reopened through another medium.
//!
//! So a medium is attached (writes go to the disk) until the disk's first error or [`Medium::retire`], and then
//! detached (writes go to memory) for good. One that only reads is detached from the beginning: the file system may be
//! read-only, and what redb repairs after a crash stays in memory.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use rustix::fs::Advice;

use super::blocks::Blocks;
use crate::store::StoreError;

/// redb's header, which says which of two commits is the current one, ends before this.
const HEADER_BYTES: u64 = 4096;

/// A storage, and memory in front of it once it refuses a write. Clones share both.
#[derive(Debug, Clone)]
pub(crate) struct Medium(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Arc<dyn StorageBackend>,
    /// A second descriptor of the file, to inspect it.
    file: Option<File>,
    is_read_only: bool,
    /// The length of the file as this program set it.
    length: AtomicU64,
    /// Whether writes go to memory. Never unset.
    is_detached: AtomicBool,
    /// Whether the header may have changed on the disk since the last sync.
    is_header_touched: AtomicBool,
    memory: Mutex<MemoryWrites>,
}

#[derive(Debug, Default)]
struct MemoryWrites {
    blocks: Blocks,
    /// The disk's first error.
    error: Option<(io::ErrorKind, String)>,
}

impl Medium {
    /// A file opened for writing.
    pub(super) fn file(file: File) -> io::Result<Self> {
        let inspected = file.try_clone()?;
        Self::new(backend(file)?, Some(inspected), false)
    }

    /// A file opened for reading only.
    pub(super) fn reading(file: File) -> io::Result<Self> {
        let inspected = file.try_clone()?;
        Self::new(backend(file)?, Some(inspected), true)
    }

    /// A storage of the caller's.
    pub(super) fn storage(disk: Arc<dyn StorageBackend>) -> io::Result<Self> {
        Self::new(disk, None, false)
    }

    fn new(
        disk: Arc<dyn StorageBackend>,
        file: Option<File>,
        is_read_only: bool,
    ) -> io::Result<Self> {
        let length = disk.len()?;
        let bytes = if is_read_only { length } else { 0 };
        let memory = MemoryWrites {
            blocks: Blocks::above(bytes),
            error: None,
        };
        Ok(Self(Arc::new(Inner {
            disk,
            file,
            is_read_only,
            length: AtomicU64::new(length),
            is_detached: AtomicBool::new(is_read_only),
            is_header_touched: AtomicBool::new(false),
            memory: Mutex::new(memory),
        })))
    }

    /// The storage, for another medium on it.
    pub(super) fn disk(&self) -> Arc<dyn StorageBackend> {
        Arc::clone(&self.0.disk)
    }

    /// Fails with the disk's first error if not everything that was written reached the disk.
    pub(crate) fn ensure_written(&self) -> io::Result<()> {
        if !self.is_detached() {
            return Ok(());
        }
        match &self.memory().error {
            Some((kind, reason)) => Err(io::Error::new(*kind, reason.clone())),
            None => Ok(()),
        }
    }

    /// Whether the last commit may be on the disk or not. It certainly is not if the disk's error came before the
    /// header was written.
    pub(crate) fn is_in_doubt(&self) -> bool {
        !self.is_detached() || self.0.is_header_touched.load(Ordering::Acquire)
    }

    /// From here on nothing reaches the disk through this medium, and its locks on the file are released.
    pub(crate) fn retire(&self) -> io::Result<()> {
        self.detach(&io::Error::other("it is reopened"));
        self.0.disk.close()
    }

    /// Drops the file from the page cache: after a failed sync the cache may hold what is not on the disk.
    pub(super) fn forget_cached(&self) -> io::Result<()> {
        match &self.0.file {
            Some(file) => Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?),
            None => Ok(()),
        }
    }

    /// Bytes that the file system has free; `None` if that is unknown.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::fstatvfs(self.0.file.as_ref()?).ok()?;
        (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Whether the file still has a name: it was not deleted.
    pub(crate) fn has_name(&self) -> bool {
        let Some(file) = &self.0.file else {
            return true;
        };
        file.metadata().is_ok_and(|file| file.nlink() > 0)
    }

    /// Whether the file is at this path in its full length. Yes if that cannot be found out.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let Some(Ok(own)) = self.0.file.as_ref().map(File::metadata) else {
            return true;
        };
        if own.len() < self.0.length.load(Ordering::Acquire) {
            return false;
        }
        match std::fs::metadata(path) {
            Ok(found) => identity(&found) == identity(&own),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    fn is_detached(&self) -> bool {
        self.0.is_detached.load(Ordering::Acquire)
    }

    fn memory(&self) -> MutexGuard<'_, MemoryWrites> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on writes go to memory. Does nothing if they do already.
    fn detach(&self, error: &io::Error) {
        let mut memory = self.memory();
        if self.is_detached() {
            return;
        }
        // If the length is unknown, reads go as far as the disk lets them.
        let bytes = self.0.disk.len().unwrap_or(u64::MAX);
        *memory = MemoryWrites {
            blocks: Blocks::above(bytes),
            error: Some((error.kind(), error.to_string())),
        };
        self.0.is_detached.store(true, Ordering::Release);
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        match self.is_detached() {
            true => Ok(self.memory().blocks.len()),
            false => self.0.disk.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.is_detached() {
            return self.memory().blocks.read(&*self.0.disk, offset, out);
        }
        // redb refuses every read after this one, so the file has to be reopened.
        let result = self.0.disk.read(offset, out);
        result.inspect_err(|error| self.detach(error))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        if !self.is_detached() {
            // Until the call returns, `is_at` must not miss either length: the smaller one is recorded.
            self.0.length.fetch_min(bytes, Ordering::AcqRel);
            match self.0.disk.set_len(bytes) {
                Ok(()) => {
                    self.0.length.store(bytes, Ordering::Release);
                    return Ok(());
                }
                Err(error) => self.detach(&error),
            }
        }
        self.memory().blocks.resize(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if !self.is_detached() {
            match self.0.disk.sync_data() {
                Ok(()) => self.0.is_header_touched.store(false, Ordering::Release),
                Err(error) => self.detach(&error),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if !self.is_detached() {
            if offset < HEADER_BYTES {
                self.0.is_header_touched.store(true, Ordering::Release);
            }
            match self.0.disk.write(offset, data) {
                Ok(()) => return Ok(()),
                Err(error) => self.detach(&error),
            }
        }
        let mut memory = self.memory();
        memory.blocks.write(&*self.0.disk, offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.disk.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match self.0.is_read_only {
            // A file opened for reading can only have a shared lock.
            true => self.0.disk.try_lock_shared_range(start, end),
            false => self.0.disk.try_lock_range(start, end),
        }
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.disk.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match self.0.is_read_only {
            true => self.0.disk.lock_shared_range(start, end),
            false => self.0.disk.lock_range(start, end),
        }
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.disk.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.disk.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.disk.query_lock_range(start, end)
    }
}

fn backend(file: File) -> io::Result<Arc<dyn StorageBackend>> {
    let backend = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(Arc::new(backend))
}

/// The error of a write that the disk refused.
pub(crate) fn disk_error(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full(error.to_string())
        }
        _ => StoreError::Unwritable(error.to_string()),
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use redb::backends::InMemoryBackend;

    use super::*;

    const PAGE_BYTES: u64 = 4096;

    /// Refuses every write after some.
    #[derive(Debug)]
    struct Failing(InMemoryBackend, AtomicU64);

    impl Failing {
        fn spend(&self) -> io::Result<()> {
            let spend = |left: u64| left.checked_sub(1);
            let spent = self
                .1
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend);
            spent
                .map(drop)
                .map_err(|_| io::ErrorKind::StorageFull.into())
        }
    }

    impl StorageBackend for Failing {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, bytes: u64) -> io::Result<()> {
            self.spend()?;
            self.0.set_len(bytes)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.spend()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.spend()?;
            self.0.write(offset, data)
        }
    }

    /// Writes, resizes and reads of all shapes, on memory alone and on a disk that gives up somewhere.
    #[test]
    fn what_the_disk_refused_is_read_as_if_it_had_taken_it() {
        for seed in 0..200_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut below = |bound: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from(state % bound as u64).unwrap()
            };
            let disk = Failing(InMemoryBackend::new(), AtomicU64::new(below(60) as u64));
            let medium = Medium::storage(Arc::new(disk)).unwrap();
            let mut expected = Vec::new();
            for _ in 0..60 {
                match below(4) {
                    0 => {
                        let bytes = below(40_000);
                        medium.set_len(bytes as u64).unwrap();
                        expected.resize(bytes, 0);
                    }
                    1 => medium.sync_data().unwrap(),
                    _ if expected.is_empty() => {}
                    _ => {
                        let offset = below(expected.len());
                        let count = below(9_000).min(expected.len() - offset);
                        let data = vec![u8::try_from(below(255)).unwrap(); count];
                        medium.write(offset as u64, &data).unwrap();
                        expected[offset..offset + count].copy_from_slice(&data);
                    }
                }
                let mut found = vec![0; expected.len()];
                medium.read(0, &mut found).unwrap();
                assert!(found == expected, "seed {seed}");
                assert_eq!(medium.len().unwrap(), expected.len() as u64, "seed {seed}");
            }
        }
    }

    #[test]
    fn a_refusal_before_the_header_is_written_leaves_no_doubt() {
        for (refused_at, is_in_doubt) in [(1, false), (2, true), (3, true)] {
            let disk = Failing(InMemoryBackend::new(), AtomicU64::new(refused_at));
            let medium = Medium::storage(Arc::new(disk)).unwrap();
            medium.set_len(3 * PAGE_BYTES).unwrap();
            medium.write(2 * PAGE_BYTES, b"a page").unwrap();
            medium.write(0, b"the header").unwrap();
            medium.sync_data().unwrap();
            let error = medium.ensure_written().unwrap_err();
            assert!(matches!(disk_error(&error), StoreError::Full(_)));
            assert_eq!(medium.is_in_doubt(), is_in_doubt, "at {refused_at}");
        }
    }
}

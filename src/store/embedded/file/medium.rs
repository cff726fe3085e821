//! What redb reads and writes through: the file, and from its first refusal on memory above it.
//!
//! redb reads nothing any more once a write has failed. So a write that the disk refuses is kept in memory
//! instead, and so is every later one: redb goes on, readers keep the snapshot they have, and nothing more
//! reaches the disk. The writer asks after each commit whether all of it did ([`Medium::sound`]); if not, the
//! file is as its last commit left it, and is opened anew through another medium.
//!
//! The same serves who only reads, on a file system that takes no writes: then memory is above it from the
//! beginning, and what redb repairs after a crash is repaired there.

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

/// redb's header, which says which of two commits holds, ends before this.
const HEADER_BYTES: u64 = 4096;

/// A storage, and memory above it where it takes no writes. Clones are one and the same.
#[derive(Debug, Clone)]
pub(crate) struct Medium(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Arc<dyn StorageBackend>,
    /// The same file, to look at what became of it.
    file: Option<File>,
    is_read_only: bool,
    /// How long the file is, as far as it was lengthened or shortened here.
    length: AtomicU64,
    /// Whether writes go to memory.
    is_detached: AtomicBool,
    /// Whether the header may have changed on the disk since the last sync.
    is_header_touched: AtomicBool,
    memory: Mutex<MemoryWrites>,
}

#[derive(Debug, Default)]
struct MemoryWrites {
    blocks: Blocks,
    /// What the disk refused first.
    refused: Option<(io::ErrorKind, String)>,
}

impl Medium {
    /// A file that is opened for writing.
    pub(crate) fn file(file: File) -> io::Result<Self> {
        let looked_at = file.try_clone()?;
        Self::new(backend(file)?, Some(looked_at), false)
    }

    /// A file that nothing is written to.
    pub(crate) fn reading(file: File) -> io::Result<Self> {
        let looked_at = file.try_clone()?;
        Self::new(backend(file)?, Some(looked_at), true)
    }

    /// A storage of the caller's.
    pub(crate) fn storage(disk: Arc<dyn StorageBackend>) -> io::Result<Self> {
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
            refused: None,
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

    /// The storage below, for another medium on it.
    pub(crate) fn disk(&self) -> Arc<dyn StorageBackend> {
        Arc::clone(&self.0.disk)
    }

    /// Whether everything that was written is on the disk; if not, what it refused first.
    pub(crate) fn sound(&self) -> io::Result<()> {
        if !self.is_detached() {
            return Ok(());
        }
        match &self.memory().refused {
            Some((kind, reason)) => Err(io::Error::new(*kind, reason.clone())),
            None => Ok(()),
        }
    }

    /// Whether nobody can tell if the last commit is on the disk. It is not if the disk refused something before
    /// the header was touched.
    pub(crate) fn is_in_doubt(&self) -> bool {
        !self.is_detached() || self.0.is_header_touched.load(Ordering::Acquire)
    }

    /// Nothing reaches the disk through this any more, and its locks on the file are free.
    pub(crate) fn give_up(&self) -> io::Result<()> {
        self.detach(&io::Error::other("it is opened anew"));
        self.0.disk.close()
    }

    /// After a failed sync the system may show what is not on the disk: what is read next comes from there.
    pub(super) fn forget_cached(&self) -> io::Result<()> {
        match &self.0.file {
            Some(file) => Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?),
            None => Ok(()),
        }
    }

    /// Bytes that the file system has left for this file; `None` if it does not tell.
    pub(crate) fn room(&self) -> Option<u64> {
        let stat = rustix::fs::fstatvfs(self.0.file.as_ref()?).ok()?;
        (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Whether the file still has a name.
    pub(crate) fn has_name(&self) -> bool {
        let Some(file) = &self.0.file else {
            return true;
        };
        file.metadata().is_ok_and(|file| file.nlink() > 0)
    }

    /// Whether that is the name of this file, and all of it is there. What cannot be looked at may be.
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

    /// From here on writes go to memory.
    fn detach(&self, error: &io::Error) {
        let mut memory = self.memory();
        if self.is_detached() {
            return;
        }
        // One that does not tell its length any more is read as far as it goes.
        let bytes = self.0.disk.len().unwrap_or(u64::MAX);
        *memory = MemoryWrites {
            blocks: Blocks::above(bytes),
            refused: Some((error.kind(), error.to_string())),
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
        // redb reads nothing any more after this, so that the file is to be opened anew.
        let read = self.0.disk.read(offset, out);
        read.inspect_err(|error| self.detach(error))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        if !self.is_detached() {
            // Whoever looks meanwhile takes the smaller one for true.
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
            // A file that is open for reading can be locked against writers only.
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

/// What a refusal of the disk means to who writes.
pub(crate) fn trouble(error: &io::Error) -> StoreError {
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
            let refused = medium.sound().unwrap_err();
            assert!(matches!(trouble(&refused), StoreError::Full(_)));
            assert_eq!(medium.is_in_doubt(), is_in_doubt, "at {refused_at}");
        }
    }
}

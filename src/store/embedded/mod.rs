//! The embedded store: one file, for one node, in [redb](https://docs.rs/redb).
//!
//! | table | holds |
//! |---|---|
//! | `log` | one entry per change under its seq; its last key is the head |
//! | `view` | events by id, as of some seq; later changes are in the memtable, which a start folds from the log |
//! | `milestones` | skip pointers into the histories of events, as of the same seq |
//! | `commands` | the seq of each change that has a command id, by that id |
//! | `notes` | a few words of work beside the log, by name |
//! | `meta` | the format, the epoch, and the seq up to which the memtable is flushed to `view` and `milestones` |
//!
//! ```text
//! append -> handle -> writer (a thread): fold into the memtable, one transaction, publish a snapshot
//! load, find, read, history -> snapshot (read transaction + memtable, as of one seq), on blocking threads
//! tail <- notifier <- writer
//! ```
//!
//! Owns every `redb` type of the program. Guarantees what [`Store`] does; an append is on disk, by one fsync, before it
//! is acknowledged or any reader sees it. Knows nothing of sessions, commands or the wire.
//!
//! A start after a crash reads the whole file, about a second or two a gigabyte, unless the writer had paused before:
//! then it had saved redb's allocator state, which says what pages are in use (redb's `set_quick_repair`). Saving it
//! with every append would be one more fsync each, and 60 KiB for every gigabyte of the file. Measured on a file of 1
//! to 2 GB: a third of the throughput (340 000 entries/s became 220 000, 400 a commit), and a single append took 0.44
//! ms instead of 0.15, every day, to save 2.5 s after a crash in the middle of writing. Saving it with some appends
//! gains nothing: the next append without it makes it void.

mod file;
mod format;
mod read;
mod shared;
mod tail;
mod unique;
mod write;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::stream::BoxStream;
use redb::StorageBackend;
use tokio::task::JoinHandle;

pub use super::EmbeddedOptions;
pub use file::data_dir::EmbeddedOpenError;

use super::{
    AppendError, Batch, Broadcast, Epoch, HistoryRange, IndexStatus, Loaded, PublishError,
    QueryResult, Rebuild, Store, StoreError, TailEvent,
};
use crate::domain::{Change, CommandId, EventId, Seq};
use crate::fairness::Requester;
use crate::indexes::{Index, IndexRules, UniqueKey};
use crate::limits;
use crate::query::Query;
use file::data_dir::DataDir;
use file::open;
use read::find;
use shared::{Shared, blocking};
use write::handle::WriterHandle;
use write::index_build;
use write::rebuild;
use write::task::WriterTask;
use write::thread::Writer;

/// The store in one file.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    handle: Arc<WriterHandle>,
    /// Builds indexes, once some are declared.
    builder: OnceLock<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// # Errors
    /// [`EmbeddedOpenError::Empty`] if the folder is missing or has no data file.
    pub(super) fn ensure_data(options: &EmbeddedOptions) -> Result<(), EmbeddedOpenError> {
        let data_dir = DataDir::new(options.dir.clone());
        match data_dir.has_file()? {
            true => Ok(()),
            false => Err(EmbeddedOpenError::Empty {
                dir: data_dir.name(),
            }),
        }
    }

    /// Whether there is a data file in a folder that is, or can be made, and written. Changes nothing.
    ///
    /// # Errors
    /// Why it could not be written, and what to do about it.
    pub(super) fn ensure_writable(options: &EmbeddedOptions) -> Result<bool, EmbeddedOpenError> {
        DataDir::new(options.dir.clone()).ensure_writable()
    }

    /// Opens the data folder, for this process alone.
    ///
    /// # Errors
    /// Why it cannot be used, and what to do about it.
    pub async fn open(options: EmbeddedOptions) -> Result<Arc<Self>, EmbeddedOpenError> {
        Self::start(move || open::open(&options)).await
    }

    /// Opens the data folder to read it: nothing is written to the file, and the file system may be read-only. What
    /// would be written, such as repairs after a crash, stays in memory. With `is_checked` the checksum of every page
    /// is verified first.
    ///
    /// # Errors
    /// Why it cannot be used, and what to do about it.
    pub async fn open_unwritten(
        options: EmbeddedOptions,
        is_checked: bool,
    ) -> Result<Arc<Self>, EmbeddedOpenError> {
        Self::start(move || open::open_unwritten(&options, is_checked)).await
    }

    /// Opens a storage other than a file, for tests that lose power. The memtable is flushed when it takes more than
    /// `memtable_bytes_max` bytes.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn open_on(
        storage: impl StorageBackend,
        memtable_bytes_max: usize,
    ) -> Result<Arc<Self>, EmbeddedOpenError> {
        Self::start(move || open::open_on(storage, memtable_bytes_max)).await
    }

    async fn start(
        open: impl FnOnce() -> Result<Writer, EmbeddedOpenError> + Send + 'static,
    ) -> Result<Arc<Self>, EmbeddedOpenError> {
        let writer = shared::on_a_thread(open).await??;
        let shared = Arc::clone(&writer.shared);
        let handle = WriterHandle::open(writer)
            .map_err(|error| StoreError::Unavailable(format!("cannot start a thread: {error}")))?;
        let handle = Arc::new(handle);
        Ok(Arc::new(Self {
            shared,
            handle,
            builder: OnceLock::new(),
        }))
    }

    async fn keep_indexes(&self, indexes: Vec<Index>) -> Result<(), StoreError> {
        let declared = self
            .handle
            .call(|reply| WriterTask::DeclareIndexes(indexes, reply));
        declared.await?
    }
}

impl Drop for EmbeddedStore {
    /// So that the file is closed, even if an index is being built.
    fn drop(&mut self) {
        if let Some(builder) = self.builder.get() {
            builder.abort();
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        Ok(self.shared.snapshot().seq)
    }

    fn trouble(&self) -> Option<StoreError> {
        self.shared.trouble()
    }

    async fn load(&self, ids: &[EventId], bytes: usize) -> Result<Loaded, StoreError> {
        let (snapshot, ids) = (self.shared.snapshot(), ids.to_vec());
        blocking(move || snapshot.load(&ids, bytes)).await
    }

    async fn last_versions(&self, ids: &[EventId]) -> Result<Vec<(EventId, u64)>, StoreError> {
        let (snapshot, ids) = (self.shared.snapshot(), ids.to_vec());
        blocking(move || {
            let versions = ids.into_iter().map(|id| match snapshot.last_version(&id)? {
                0 => Ok(None),
                version => Ok(Some((id, version))),
            });
            versions.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn answered(&self, ids: &[CommandId]) -> Result<Vec<(CommandId, Seq)>, StoreError> {
        let (snapshot, ids) = (self.shared.snapshot(), ids.to_vec());
        blocking(move || {
            let seqs = ids
                .into_iter()
                .map(|id| Ok(snapshot.seq_of_command(&id)?.map(|seq| (id, seq))));
            seqs.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn holders(
        &self,
        index: &Index,
        keys: &[Arc<UniqueKey>],
    ) -> Result<Vec<(usize, EventId)>, StoreError> {
        self.find_holders(index, keys).await
    }

    fn index_rules(&self) -> IndexRules {
        let snapshot = self.shared.snapshot();
        let declared = snapshot.indexes.iter().map(|(kept, _)| &kept.index);
        let unique = declared.filter(|index| index.is_unique());
        IndexRules {
            unique: unique.cloned().collect(),
            single_array: Vec::new(),
        }
    }

    async fn append(&self, batch: &Arc<Batch>) -> Result<(), AppendError> {
        self.handle.append(batch).await
    }

    async fn holds(&self, batch: &Batch) -> Result<bool, StoreError> {
        let snapshot = self.shared.snapshot();
        let (id, after, count) = (batch.id, batch.after, batch.changes.len());
        blocking(move || snapshot.holds(id, after, count)).await
    }

    async fn read(&self, after: Seq, limit: usize) -> Result<Vec<Arc<Change>>, StoreError> {
        self.shared.read(after, limit).await
    }

    async fn history(
        &self,
        id: &EventId,
        range: HistoryRange,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        let (snapshot, id) = (self.shared.snapshot(), id.clone());
        blocking(move || snapshot.history(&id, range)).await
    }

    async fn version(&self, id: &EventId, version: u64) -> Result<Option<Arc<Change>>, StoreError> {
        let (snapshot, id) = (self.shared.snapshot(), id.clone());
        blocking(move || Ok(snapshot.change_with_version(&id, version)?.map(Arc::new))).await
    }

    async fn tail(&self, after: Seq) -> Result<BoxStream<'static, TailEvent>, StoreError> {
        Ok(tail::tail(&self.shared, after))
    }

    async fn find(
        &self,
        requester: &Requester,
        query: &Arc<Query>,
    ) -> Result<QueryResult, StoreError> {
        find::find(&self.shared, requester, query).await
    }

    async fn find_at(
        &self,
        requester: &Requester,
        query: &Arc<Query>,
        at: Seq,
    ) -> Result<QueryResult, StoreError> {
        find::find_at(&self.shared, requester, query, at).await
    }

    async fn publish(&self, broadcasts: &[Broadcast]) -> Result<(), PublishError> {
        let publishing = self.shared.notifier.publish(broadcasts);
        tokio::time::timeout(limits::APPEND_DEADLINE, publishing)
            .await
            .map_err(|_| PublishError::Unknown("a tail does not receive them".to_owned()))
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        let snapshot = self.shared.snapshot();
        // No deadline: it reads the whole log.
        let mut findings = shared::on_a_thread(move || snapshot.check()).await??;
        findings.extend(self.check_unique().await?);
        Ok(findings)
    }

    async fn adopt(&self, epoch: Epoch, head: Seq) -> Result<(), StoreError> {
        self.handle
            .call(|reply| WriterTask::Adopt(epoch, head, reply))
            .await?
    }

    async fn declare_indexes(&self, indexes: &[Index]) -> Result<(), StoreError> {
        let kept = self.shared.snapshot();
        let kept = kept.indexes.iter().map(|(kept, _)| &*kept.index);
        let undeclared = kept.filter(|kept| !indexes.contains(kept)).cloned();
        let all = indexes.iter().cloned().chain(undeclared).collect();
        self.keep_indexes(all).await?;
        self.ensure_unique().await?;
        // Only now: what is refused before leaves to the next start what was built for the last.
        self.keep_indexes(indexes.to_vec()).await?;
        let (shared, handle) = (Arc::clone(&self.shared), Arc::downgrade(&self.handle));
        let work = self.shared.index_work.subscribe();
        self.builder
            .get_or_init(|| tokio::spawn(index_build::run(shared, handle, work)));
        Ok(())
    }

    fn indexes(&self) -> Vec<IndexStatus> {
        let snapshot = self.shared.snapshot();
        let indexes = snapshot.indexes.iter().map(|(kept, _)| IndexStatus {
            name: kept.index.name().to_owned(),
            is_whole: kept.state.is_whole,
        });
        indexes.collect()
    }

    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        let read = self.handle.call(|reply| WriterTask::ReadNote(name, reply));
        read.await?
    }

    async fn write_note(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let note = [name.to_owned(), text.to_owned()];
        let written = self.handle.call(|reply| WriterTask::WriteNote(note, reply));
        written.await?
    }

    async fn redact(&self, id: &EventId, upto: Seq) -> Result<u64, StoreError> {
        let id = id.clone();
        self.handle
            .call(|reply| WriterTask::Redact(id, upto, reply))
            .await?
    }

    /// None: nobody else writes to the file.
    async fn foreign_documents(
        &self,
        _: &(dyn for<'a> Fn(&'a EventId) -> bool + Sync),
    ) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, StoreError> {
        rebuild::begin(&self.handle).await
    }

    async fn failed(&self) -> String {
        self.shared.failure_signal.failed().await
    }

    async fn close(&self) {
        if let Some(builder) = self.builder.get() {
            builder.abort();
        }
        self.handle.close().await;
    }
}

//! The store in one file, with nothing to install: [redb](https://docs.rs/redb) below, this node alone above.
//!
//! | table | holds |
//! |---|---|
//! | `log` | one entry per change under its seq; its last key is the head |
//! | `view` | events by id, as of some seq; what it lacks is in memory, and after a start folded from the log |
//! | `milestones` | by what the history of events is found, as of the same seq |
//! | `commands` | the seq of each change that was asked for under a command id |
//! | `meta` | the format, the epoch, and the seq that `view` and `milestones` have reached |
//!
//! ```text
//! append -> desk -> writer (a thread): fold over the overlay, one transaction, publish a snapshot
//! load, find, read, history -> snapshot (read transaction + overlay, as of one seq), on blocking threads
//! tail <- hub <- writer
//! ```
//!
//! Owns every `redb` type of the program. Promises what [`Store`] does; an append is on disk, by one
//! fsync, before anyone hears of it. Knows nothing of sessions, commands or the wire.
//!
//! A start after a crash reads the whole file, about a second or two a gigabyte, unless the writer had paused
//! before: then it had noted which pages are in use (redb's `set_quick_repair`). To note it with every append
//! would be one more fsync each, and 60 KiB for every gigabyte of the file. Measured on a file of 1 to 2 GB:
//! a third of the throughput (340 000 entries/s became 220 000, 400 a commit), and a single append took
//! 0.44 ms instead of 0.15, every day, to save 2.5 s after a crash in the middle of writing. To note it now
//! and then saves nothing: what was noted is good until the next append that does not.

mod file;
mod format;
mod read;
mod shared;
mod tail;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use redb::StorageBackend;

pub use super::EmbeddedOptions;
pub use file::data_dir::EmbeddedOpenError;

use super::{
    AppendError, Batch, Broadcast, Epoch, HistoryRange, Loaded, PublishError, QueryResult, Rebuild,
    Store, StoreError, TailEvent,
};
use crate::domain::{Change, CommandId, EventId, Seq};
use crate::limits;
use crate::query::Query;
use file::data_dir::DataDir;
use file::open;
use read::find;
use shared::{Shared, blocking};
use write::handle::WriterHandle;
use write::rebuild;
use write::thread::{Writer, WriterTask};

/// The store in one file.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    desk: Arc<WriterHandle>,
}

impl EmbeddedStore {
    /// # Errors
    /// [`EmbeddedOpenError::Empty`] if the folder is missing or a livelog never used it.
    pub(super) fn ensure_data(options: &EmbeddedOptions) -> Result<(), EmbeddedOpenError> {
        let place = DataDir::new(options.dir.clone());
        match place.has_file()? {
            true => Ok(()),
            false => Err(EmbeddedOpenError::Empty { dir: place.name() }),
        }
    }

    /// Opens the data folder, for this process alone.
    ///
    /// # Errors
    /// Why it cannot be used, and what to do about it.
    pub async fn open(options: EmbeddedOptions) -> Result<Arc<Self>, EmbeddedOpenError> {
        Self::start(move || open::open(&options)).await
    }

    /// Opens the data folder to look at it: nothing is written to the file, and the file system may be one that
    /// takes no writes. What would be written, such as repairs after a crash, stays in memory. With `is_checked`
    /// every page is held to its checksum first.
    ///
    /// # Errors
    /// Why it cannot be used, and what to do about it.
    pub async fn open_unwritten(
        options: EmbeddedOptions,
        is_checked: bool,
    ) -> Result<Arc<Self>, EmbeddedOpenError> {
        Self::start(move || open::open_unwritten(&options, is_checked)).await
    }

    /// Opens a storage other than a file, for tests that lose power. What the view's table lacks may
    /// take `overlay_bytes_max` bytes of memory before it is written down.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn open_on(
        storage: impl StorageBackend,
        overlay_bytes_max: usize,
    ) -> Result<Arc<Self>, EmbeddedOpenError> {
        Self::start(move || open::open_on(storage, overlay_bytes_max)).await
    }

    async fn start(
        open: impl FnOnce() -> Result<Writer, EmbeddedOpenError> + Send + 'static,
    ) -> Result<Arc<Self>, EmbeddedOpenError> {
        let writer = shared::on_a_thread(open).await??;
        let shared = Arc::clone(&writer.shared);
        let desk = WriterHandle::open(writer)
            .map_err(|error| StoreError::Unavailable(format!("cannot start a thread: {error}")))?;
        Ok(Arc::new(Self {
            shared,
            desk: Arc::new(desk),
        }))
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
            let places = ids
                .into_iter()
                .map(|id| Ok(snapshot.answered(&id)?.map(|seq| (id, seq))));
            places.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn append(&self, batch: &Arc<Batch>) -> Result<(), AppendError> {
        self.desk.append(batch).await
    }

    async fn holds(&self, batch: &Batch) -> Result<bool, StoreError> {
        let snapshot = self.shared.snapshot();
        let batch = Batch {
            id: batch.id,
            after: batch.after,
            changes: batch.changes.clone(),
        };
        blocking(move || snapshot.holds(&batch)).await
    }

    async fn read(&self, after: Seq, limit: usize) -> Result<Vec<Arc<Change>>, StoreError> {
        self.shared.read(after, limit).await
    }

    async fn history(
        &self,
        id: &EventId,
        stretch: HistoryRange,
    ) -> Result<Vec<Arc<Change>>, StoreError> {
        let (snapshot, id) = (self.shared.snapshot(), id.clone());
        blocking(move || snapshot.history(&id, stretch)).await
    }

    async fn version(&self, id: &EventId, version: u64) -> Result<Option<Arc<Change>>, StoreError> {
        let (snapshot, id) = (self.shared.snapshot(), id.clone());
        blocking(move || Ok(snapshot.change_to(&id, version)?.map(Arc::new))).await
    }

    async fn tail(&self, after: Seq) -> Result<BoxStream<'static, TailEvent>, StoreError> {
        Ok(tail::tail(&self.shared, after))
    }

    async fn find(&self, query: &Arc<Query>) -> Result<QueryResult, StoreError> {
        find::find(&self.shared, query).await
    }

    async fn find_at(&self, query: &Arc<Query>, at: Seq) -> Result<QueryResult, StoreError> {
        find::find_at(&self.shared, query, at).await
    }

    async fn publish(&self, broadcasts: &[Broadcast]) -> Result<(), PublishError> {
        let publishing = self.shared.hub.publish(broadcasts);
        tokio::time::timeout(limits::APPEND_DEADLINE, publishing)
            .await
            .map_err(|_| PublishError::Unknown("a tail does not take them".to_owned()))
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        let snapshot = self.shared.snapshot();
        // Without a deadline: it reads all of the log.
        shared::on_a_thread(move || snapshot.check()).await?
    }

    async fn adopt(&self, epoch: Epoch, head: Seq) -> Result<(), StoreError> {
        self.desk
            .ask(|reply| WriterTask::Adopt(epoch, head, reply))
            .await?
    }

    async fn redact(&self, id: &EventId, upto: Seq) -> Result<u64, StoreError> {
        let id = id.clone();
        self.desk
            .ask(|reply| WriterTask::Redact(id, upto, reply))
            .await?
    }

    /// Nobody else writes to the file.
    async fn strangers(
        &self,
        _: &(dyn for<'a> Fn(&'a EventId) -> bool + Sync),
    ) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, StoreError> {
        rebuild::begin(&self.desk).await
    }

    async fn failed(&self) -> String {
        self.shared.fate.failed().await
    }

    async fn close(&self) {
        self.desk.close().await;
    }
}

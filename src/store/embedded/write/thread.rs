//! The writer's thread: every transaction on the file is made here, one after the other.
//!
//! An append is one durable transaction, acknowledged after it is on disk and readers see it. After an error of the
//! disk nothing is written, because what a failed fsync left on the disk is unknown: the file is reopened and read
//! first, see [`recovery`](crate::store::embedded::file::recovery).
//!
//! | state | an append |
//! |---|---|
//! | stopped (`Shared::trouble`), held or not | fails with the stored error; the batch in doubt gets `Unknown` instead |
//! | held, by one rebuild | is `Held`: nothing is written until the rebuild swaps or is abandoned |
//! | neither | is written, if the batch follows the head (`Moved` if not) |
//!
//! Invariants: the seqs of a batch are contiguous from the head on, and no log entry is ever written over; the snapshot
//! that readers see moves forward only, and only to what is durable; what is flushed is at most the head
//! ([`checkpoint`](super::checkpoint)); at most one batch is in doubt, because a doubt stops the writing until the file
//! is reopened.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, WriteTransaction};

use super::checkpoint::{Checkpoint, CheckpointStep};
use super::indexing::Indexing;
use super::task::{Appended, WriterTask};
use crate::domain::{Change, Seq};
use crate::store::embedded::file::data_dir::DataDir;
use crate::store::embedded::file::medium::Medium;
use crate::store::embedded::file::recovery::FileWatch;
use crate::store::embedded::format::encode;
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{
    COMMANDS, LOG, META, META_EPOCH, META_FLUSHED, VIEW, read_error, write_error,
};
use crate::store::embedded::read::memtable::Memtable;
use crate::store::embedded::read::snapshot::Snapshot;
use crate::store::embedded::shared::Shared;
use crate::store::{AppendError, Batch, Epoch, StoreError, not_at};

/// After a pause this long redb's allocator state is saved.
const SAVE_ALLOCATOR_STATE_AFTER: Duration = Duration::from_millis(500);

/// What the thread owns.
pub(crate) struct Writer {
    pub(crate) database: Database,
    /// The storage below the database.
    pub(crate) medium: Medium,
    /// The lock on the data folder. Fields are dropped in this order: it is released after the database is closed.
    pub(crate) lock: Option<File>,
    /// `None` for a storage other than a file.
    pub(crate) data_dir: Option<DataDir>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) checkpoint: Checkpoint,
    /// Whether redb's allocator state was saved since the last write, so that a crash now needs no scan of the file.
    pub(crate) is_allocator_state_saved: bool,
    /// The rebuild that holds the writers.
    pub(crate) holder: Option<u64>,
    /// Rebuilds before this one are void: what they wrote was lost when the file was reopened.
    pub(crate) first_valid_rebuild: u64,
    pub(crate) watch: FileWatch,
    pub(crate) indexing: Indexing,
    /// Lent to every encoding.
    pub(crate) buffer: Vec<u8>,
}

impl Writer {
    /// Runs until it is closed or every handle is dropped. The file is closed when it returns.
    pub(super) fn run(mut self, tasks: &Receiver<WriterTask>) {
        while let Some(task) = self.next_task(tasks) {
            // A caller that is gone by now was told that the outcome is unknown.
            match task {
                WriterTask::Append(batch, reply) => drop(reply.send(self.append(&batch))),
                WriterTask::Hold(rebuild, reply) => drop(reply.send(self.hold(rebuild))),
                WriterTask::Shadow(rebuild, rows, reply) => {
                    drop(reply.send(self.write_shadow(rebuild, &rows)));
                }
                WriterTask::Swap(rebuild, reply) => drop(reply.send(self.swap(rebuild))),
                WriterTask::Abandon(rebuild) => self.abandon(rebuild),
                WriterTask::Adopt(epoch, head, reply) => drop(reply.send(self.adopt(epoch, head))),
                WriterTask::ReadNote(name, reply) => drop(reply.send(self.read_note(&name))),
                WriterTask::WriteNote([name, text], reply) => {
                    drop(reply.send(self.write_note(&name, &text)));
                }
                WriterTask::DeclareIndexes(indexes, reply) => {
                    drop(reply.send(self.declare_indexes(indexes)));
                }
                WriterTask::MarkUnique(names, seq, reply) => {
                    drop(reply.send(self.mark_unique(&names, seq)));
                }
                WriterTask::BeginBuild(reply) => drop(reply.send(self.begin_build())),
                WriterTask::Build(piece, reply) => drop(reply.send(self.write_piece(&piece))),
                WriterTask::EndBuild(end, reply) => drop(reply.send(self.end_build(end))),
                WriterTask::Redact(id, upto, reply) => drop(reply.send(self.redact(&id, upto))),
                WriterTask::Close(reply) => {
                    drop(self);
                    reply.send(()).ok();
                    return;
                }
            }
        }
    }

    /// The next task; `None` when every handle is dropped. Inspects the file between tasks, and saves the allocator
    /// state in a pause.
    fn next_task(&mut self, tasks: &Receiver<WriterTask>) -> Option<WriterTask> {
        loop {
            self.inspect_file(Instant::now());
            let timeout = match self.is_allocator_state_saved {
                true => FileWatch::INTERVAL,
                false => SAVE_ALLOCATOR_STATE_AFTER,
            };
            match tasks.recv_timeout(timeout) {
                Ok(task) => return Some(task),
                Err(RecvTimeoutError::Timeout) if self.is_allocator_state_saved => {}
                Err(RecvTimeoutError::Timeout) => self.save_allocator_state(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Saves which pages of the file are in use, so that a start after a crash need not read the whole file to find
    /// out. The cost grows with the file: with each append it would be most of the cost of a small one.
    fn save_allocator_state(&mut self) {
        if self.shared.trouble().is_none()
            && let Err(error) = self.try_save_allocator_state()
        {
            self.fail(error);
        }
        self.is_allocator_state_saved = true;
    }

    pub(crate) fn try_save_allocator_state(&mut self) -> Result<(), redb::Error> {
        let mut transaction = self.begin()?;
        transaction.set_quick_repair(true);
        self.commit(transaction)
    }

    /// See the table of states above.
    fn append(&mut self, batch: &Arc<Batch>) -> Appended {
        if let Some(refusal) = self.shared.refusal(batch.id) {
            return Appended::Done(Err(refusal));
        }
        if self.holder.is_some() {
            return Appended::Held;
        }
        Appended::Done(self.try_append(batch))
    }

    fn try_append(&mut self, batch: &Arc<Batch>) -> Result<(), AppendError> {
        debug_assert!(!batch.changes.is_empty(), "a batch has changes");
        let current = self.shared.snapshot();
        if batch.after != current.seq {
            return Err(AppendError::Moved);
        }
        let sizes = batch.changes.iter().map(|change| change.approx_bytes());
        self.ensure_room(sizes).map_err(AppendError::Failed)?;
        let mut memtable = fold(&current, batch).map_err(AppendError::Failed)?;
        let head = batch.after.plus(batch.changes.len());
        let step = self.checkpoint.plan(&memtable, head, batch.changes.len());
        let transaction = self
            .prepare(batch, &step)
            .map_err(|error| AppendError::Failed(self.fail(error)))?;
        if let Err(error) = self.commit(transaction) {
            return Err(self.fail_append(batch, error));
        }
        self.checkpoint.complete(step, &mut memtable);
        drop(current);
        match self.publish(head, memtable) {
            Ok(()) => self.shared.notifier.notify_appended(batch),
            // The batch is durable, but readers cannot see it.
            Err(error) => {
                self.stop_writes(error.clone());
                return Err(self.doubt(batch, &error));
            }
        }
        Ok(())
    }

    fn adopt(&mut self, epoch: Epoch, head: Seq) -> Result<(), StoreError> {
        self.ensure_writable()?;
        match self.shared.snapshot().seq == head {
            true => self.try_adopt(epoch).map_err(|error| self.fail(error)),
            false => Err(not_at(head)),
        }
    }

    fn try_adopt(&mut self, epoch: Epoch) -> Result<(), redb::Error> {
        let transaction = self.begin()?;
        let epoch = epoch.0.as_u128();
        transaction.open_table(META)?.insert(META_EPOCH, epoch)?;
        self.commit(transaction)
    }

    fn prepare(
        &mut self,
        batch: &Batch,
        step: &CheckpointStep,
    ) -> Result<WriteTransaction, redb::Error> {
        let transaction = self.begin()?;
        self.write(&transaction, batch, step)?;
        Ok(transaction)
    }

    /// Begins a transaction that one fsync makes durable when it is committed.
    pub(super) fn begin(&mut self) -> Result<WriteTransaction, redb::Error> {
        self.is_allocator_state_saved = false;
        Ok(self.database.begin_write()?)
    }

    fn write(
        &mut self,
        transaction: &WriteTransaction,
        batch: &Batch,
        step: &CheckpointStep,
    ) -> Result<(), redb::Error> {
        let mut log = transaction.open_table(LOG)?;
        for (index, change) in batch.changes.iter().enumerate() {
            let batch_id = (index == 0).then_some(batch.id);
            encode::change(&mut self.buffer, change, batch_id);
            let old = log.insert(change.seq.get(), self.buffer.as_slice())?;
            if old.is_some() {
                let reason = format!("log {} is beyond the head and exists", change.seq);
                return Err(redb::Error::Corrupted(reason));
            }
        }
        let mut keys = batch.changes.iter().filter_map(|change| {
            let key = change.command.as_ref()?;
            Some((key.id.as_str(), change.seq.get()))
        });
        if let Some(first) = keys.next() {
            let mut commands = transaction.open_table(COMMANDS)?;
            for (id, seq) in std::iter::once(first).chain(keys) {
                commands.insert(id, seq)?;
            }
        }
        self.indexing.write(transaction, batch)?;
        tables::write_milestones(transaction, &step.milestones)?;
        if !step.entries.is_empty() {
            let mut view = transaction.open_table(VIEW)?;
            for (id, entry) in &step.entries {
                tables::write_entry(&mut view, id, entry, &mut self.buffer)?;
            }
        }
        if let Some(flushed) = step.flushed {
            let mut meta = transaction.open_table(META)?;
            meta.insert(META_FLUSHED, u128::from(flushed.get()))?;
        }
        Ok(())
    }

    /// Shows readers what was committed.
    pub(crate) fn publish(&self, seq: Seq, memtable: Memtable) -> Result<(), StoreError> {
        let reading = self.database.begin_read().map_err(read_error)?;
        let indexes = self.indexing.kept.clone();
        let snapshot = Snapshot::of(&reading, seq, memtable, indexes)?;
        self.shared.publish(snapshot);
        Ok(())
    }

    /// Commits, and checks that all of it reached the disk and that the file still has a name: without one, a restart
    /// would not find it.
    pub(super) fn commit(&self, transaction: WriteTransaction) -> Result<(), redb::Error> {
        let committed = transaction.commit();
        self.medium.ensure_written()?;
        committed?;
        match self.medium.has_name() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        }
    }

    /// The outcome of an append whose commit failed.
    fn fail_append(&mut self, batch: &Batch, error: redb::Error) -> AppendError {
        let is_in_doubt = self.medium.is_in_doubt();
        let error = self.fail(error);
        match is_in_doubt {
            true => self.doubt(batch, &error),
            false => AppendError::Failed(error),
        }
    }

    /// The outcome of an append that is in doubt until the file is reopened and read.
    fn doubt(&self, batch: &Batch, error: &StoreError) -> AppendError {
        debug_assert_eq!(self.shared.in_doubt(), None, "no append began since");
        self.shared.mark_in_doubt(batch.id);
        AppendError::Unknown(error.to_string())
    }

    /// Stops the writing until the file is reopened.
    pub(super) fn fail(&mut self, error: impl Into<redb::Error>) -> StoreError {
        let error = write_error(error);
        self.stop_writes(error.clone());
        error
    }
}

/// The memtable after the batch, if every change follows from what is stored.
fn fold(current: &Snapshot, batch: &Batch) -> Result<Memtable, StoreError> {
    let mut memtable = current.memtable.clone();
    let mut next = batch.after.next();
    for change in &batch.changes {
        let stored = current.version(&memtable, change.event_id())?;
        let expected = change.before().map(|before| before.version);
        if change.seq != next || stored != expected {
            return Err(refused(change));
        }
        memtable.apply(change);
        next = next.next();
    }
    Ok(memtable)
}

fn refused(change: &Change) -> StoreError {
    StoreError::Refused(format!(
        "change {} of event {} does not follow from what is stored",
        change.seq,
        change.event_id()
    ))
}

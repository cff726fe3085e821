//! The thread that writes: every transaction on the file is made here, one after the other.
//!
//! Promises: an append is one durable transaction, acknowledged after it is on disk and readers see it.
//! After an error of the disk nothing is written: what a failed fsync left behind nobody can tell, so the file
//! is opened and read anew first, see [`recovery`](crate::store::embedded::file::recovery).

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, WriteTransaction};
use tokio::sync::oneshot;

use super::checkpoint::{Checkpoint, CheckpointStep};
use super::rebuild::ShadowSlots;
use crate::domain::{Change, EventId, Seq};
use crate::store::embedded::file::data_dir::DataDir;
use crate::store::embedded::file::medium::Medium;
use crate::store::embedded::file::recovery::FileWatch;
use crate::store::embedded::format::encode;
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{
    COMMANDS, LOG, META, META_COVERED, META_EPOCH, VIEW, fault, written,
};
use crate::store::embedded::read::memtable::Memtable;
use crate::store::embedded::read::snapshot::Snapshot;
use crate::store::embedded::shared::Shared;
use crate::store::{AppendError, Batch, Epoch, StoreError, not_at};

/// A pause in the writing this long is used to seal the file.
const SEAL_AFTER: Duration = Duration::from_millis(500);

/// What the thread is asked to do.
pub(crate) enum WriterTask {
    Append(Arc<Batch>, oneshot::Sender<Appended>),
    /// Hold the appends off for this rebuild.
    Hold(u64, oneshot::Sender<Result<Seq, StoreError>>),
    /// Write slots to a rebuild's view.
    Shadow(u64, ShadowSlots, oneshot::Sender<Result<(), StoreError>>),
    /// Put the rebuild's view in the live one's place.
    Swap(u64, oneshot::Sender<Result<(), StoreError>>),
    /// Remove what is left of a rebuild, and let the writers go on.
    Abandon(u64),
    /// Give the log another identity, if this is its head.
    Adopt(Epoch, Seq, oneshot::Sender<Result<(), StoreError>>),
    /// Erase what happened to an event up to its deletion here.
    Redact(EventId, Seq, oneshot::Sender<Result<u64, StoreError>>),
    Close(oneshot::Sender<()>),
}

/// What became of an append.
pub(crate) enum Appended {
    Done(Result<(), AppendError>),
    /// Nothing was written: a rebuild holds the writers off.
    Held,
}

pub(crate) struct Writer {
    pub(crate) database: Database,
    /// What it writes through.
    pub(crate) medium: Medium,
    /// Let go of after the database, in the order of these fields.
    pub(crate) lock: Option<File>,
    /// Where the file is, if it is one.
    pub(crate) place: Option<DataDir>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) checkpoint: Checkpoint,
    /// Whether a start after a crash would find the file as it is now at once.
    pub(crate) sealed: bool,
    /// The rebuild that holds the appends off.
    pub(crate) holder: Option<u64>,
    /// Rebuilds before this one are void: what they wrote was lost when the file was opened anew.
    pub(crate) rebuilds_from: u64,
    pub(crate) watch: FileWatch,
    /// Lent to every encoding.
    pub(crate) buffer: Vec<u8>,
}

impl Writer {
    /// Works until it is closed or nobody is left to ask. The file is let go of when it returns.
    pub(crate) fn run(mut self, tasks: &Receiver<WriterTask>) {
        while let Some(task) = self.next(tasks) {
            // Whoever does not wait for the answer any more has heard that the outcome is unknown.
            match task {
                WriterTask::Append(batch, reply) => drop(reply.send(self.append(&batch))),
                WriterTask::Hold(rebuild, reply) => drop(reply.send(self.hold(rebuild))),
                WriterTask::Shadow(rebuild, slots, reply) => {
                    drop(reply.send(self.write_shadow(rebuild, &slots)));
                }
                WriterTask::Swap(rebuild, reply) => drop(reply.send(self.swap(rebuild))),
                WriterTask::Abandon(rebuild) => self.abandon(rebuild),
                WriterTask::Adopt(epoch, head, reply) => drop(reply.send(self.adopt(epoch, head))),
                WriterTask::Redact(id, upto, reply) => drop(reply.send(self.redact(&id, upto))),
                WriterTask::Close(reply) => {
                    drop(self);
                    let _ = reply.send(());
                    return;
                }
            }
        }
    }

    /// The next task; `None` when nobody is left to ask. A pause is used to seal the file, and between tasks it
    /// is looked after.
    fn next(&mut self, tasks: &Receiver<WriterTask>) -> Option<WriterTask> {
        loop {
            self.look_after(Instant::now());
            let patience = match self.sealed {
                true => FileWatch::INTERVAL,
                false => SEAL_AFTER,
            };
            match tasks.recv_timeout(patience) {
                Ok(task) => return Some(task),
                Err(RecvTimeoutError::Timeout) if self.sealed => {}
                Err(RecvTimeoutError::Timeout) => self.seal(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Writes down which pages of the file are in use, so that a start after a crash need not find out
    /// by reading all of it. What that takes grows with the file, and would be the better part of a
    /// small append.
    fn seal(&mut self) {
        if self.shared.trouble().is_none()
            && let Err(error) = self.try_seal()
        {
            self.fail(error);
        }
        self.sealed = true;
    }

    pub(crate) fn try_seal(&mut self) -> Result<(), redb::Error> {
        let mut transaction = self.begin()?;
        transaction.set_quick_repair(true);
        self.commit(transaction)
    }

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
        let current = self.shared.snapshot();
        if batch.after != current.seq {
            return Err(AppendError::Moved);
        }
        let weights = batch.changes.iter().map(|change| change.weight());
        self.room_for(weights).map_err(AppendError::Failed)?;
        let mut overlay = fold(&current, batch).map_err(AppendError::Failed)?;
        let head = batch.after.plus(batch.changes.len());
        let step = self.checkpoint.plan(&overlay, head, batch.changes.len());
        let transaction = self
            .prepare(batch, &step)
            .map_err(|error| AppendError::Failed(self.fail(error)))?;
        if let Err(error) = self.commit(transaction) {
            return Err(self.fail_over(batch, error));
        }
        self.checkpoint.done(step, &mut overlay);
        drop(current);
        match self.publish(head, overlay) {
            Ok(()) => self.shared.hub.appended(batch),
            // It is durable, but nobody could see it.
            Err(error) => {
                self.stop(error.clone());
                self.shared.doubt(batch.id);
                return Err(AppendError::Unknown(error.to_string()));
            }
        }
        Ok(())
    }

    fn adopt(&mut self, epoch: Epoch, head: Seq) -> Result<(), StoreError> {
        self.writable()?;
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

    /// A transaction that is on disk after one fsync, when it is committed.
    pub(crate) fn begin(&mut self) -> Result<WriteTransaction, redb::Error> {
        self.sealed = false;
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
            let opening = (index == 0).then_some(batch.id);
            encode::change(&mut self.buffer, change, opening);
            log.insert(change.seq.get(), self.buffer.as_slice())?;
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
        tables::write_milestones(transaction, &step.milestones)?;
        if !step.slots.is_empty() {
            let mut view = transaction.open_table(VIEW)?;
            for (id, slot) in &step.slots {
                tables::write_slot(&mut view, id, slot, &mut self.buffer)?;
            }
        }
        if let Some(covered) = step.covered {
            let mut meta = transaction.open_table(META)?;
            meta.insert(META_COVERED, u128::from(covered.get()))?;
        }
        Ok(())
    }

    /// Lets readers see what was committed.
    pub(crate) fn publish(&self, seq: Seq, overlay: Memtable) -> Result<(), StoreError> {
        let reading = self.database.begin_read().map_err(fault)?;
        self.shared.publish(Snapshot {
            seq,
            overlay,
            log: tables::open_log(&reading)?,
            commands: tables::open_commands(&reading)?,
            milestones: tables::open_milestones(&reading)?,
            view: tables::open_view(&reading)?,
        });
        Ok(())
    }

    /// Commits, and makes sure that the disk took all of it, and that the file is still the one that a restart
    /// would open.
    pub(crate) fn commit(&self, transaction: WriteTransaction) -> Result<(), redb::Error> {
        let committed = transaction.commit();
        self.medium.sound()?;
        committed?;
        match self.medium.has_name() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        }
    }

    /// What the append of this batch hears whose commit failed.
    fn fail_over(&mut self, batch: &Batch, error: redb::Error) -> AppendError {
        let is_in_doubt = self.medium.is_in_doubt();
        let error = self.fail(error);
        match is_in_doubt {
            true => {
                self.shared.doubt(batch.id);
                AppendError::Unknown(error.to_string())
            }
            false => AppendError::Failed(error),
        }
    }

    /// Writes nothing until the file is opened anew.
    pub(crate) fn fail(&mut self, error: impl Into<redb::Error>) -> StoreError {
        let error = written(error);
        self.stop(error.clone());
        error
    }
}

/// The overlay after the batch, if every change follows from what is there.
fn fold(current: &Snapshot, batch: &Batch) -> Result<Memtable, StoreError> {
    let mut overlay = current.overlay.clone();
    let mut next = batch.after.next();
    for change in &batch.changes {
        let found = current.version(&overlay, change.event_id())?;
        let expected = change.before().map(|before| before.version);
        if change.seq != next || found != expected {
            return Err(refused(change));
        }
        overlay.apply(change);
        next = next.next();
    }
    Ok(overlay)
}

fn refused(change: &Change) -> StoreError {
    StoreError::Refused(format!(
        "change {} of event {} does not follow from what is stored",
        change.seq,
        change.event_id()
    ))
}

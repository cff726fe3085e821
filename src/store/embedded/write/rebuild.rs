//! Rebuilding the view from the log, in a table of its own that then replaces the live one.
//!
//! Rows are collected in memory first, so that a million changes of ten events are ten writes. While the writer's
//! thread writes one lot of rows, the next is collected.
//!
//! Invariants: changes are applied in the order of the log without a gap; the view is swapped only if the last change
//! applied is the head at which the writers are held; at most one rebuild holds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use redb::{ReadableDatabase, TableDefinition, TableError};
use tokio::sync::oneshot;

use super::handle;
use super::handle::WriterHandle;
use super::task::{ShadowRows, WriterTask};
use super::thread::Writer;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{META, META_FLUSHED, REBUILD_PREFIX, VIEW};
use crate::store::embedded::read::memtable::Memtable;
use crate::store::{Rebuild, StoreError};

/// The id of the next rebuild of this process. What an earlier process left is removed when the file is opened.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A rebuild in progress: the caller's half.
struct EmbeddedRebuild {
    id: u64,
    handle: Arc<WriterHandle>,
    /// The last change applied.
    seq: Seq,
    /// Collected, and not sent to the writer's thread yet.
    rows: ShadowRows,
    /// The reply to the rows that were sent and may not be written yet.
    flushing: Option<oneshot::Receiver<Result<(), StoreError>>>,
    /// The head at which the writers are held.
    held: Option<Seq>,
    /// Lent to every encoding.
    buffer: Vec<u8>,
}

/// Begins a rebuild with an empty view.
pub(crate) async fn begin(handle: &Arc<WriterHandle>) -> Result<Box<dyn Rebuild>, StoreError> {
    let mut rebuild = EmbeddedRebuild {
        id: NEXT.fetch_add(1, Ordering::Relaxed),
        handle: Arc::clone(handle),
        seq: Seq::ZERO,
        rows: ShadowRows::default(),
        flushing: None,
        held: None,
        buffer: Vec::new(),
    };
    rebuild.flush().await?;
    rebuild.await_flush().await?;
    Ok(Box::new(rebuild))
}

#[async_trait]
impl Rebuild for EmbeddedRebuild {
    async fn apply(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        for change in changes {
            self.collect(change)?;
        }
        match self.rows.bytes() > limits::EMBEDDED_REBUILD_BYTES_MAX {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    async fn hold(&mut self) -> Result<Seq, StoreError> {
        let id = self.id;
        let head = self
            .handle
            .call(|reply| WriterTask::Hold(id, reply))
            .await??;
        self.held = Some(head);
        Ok(head)
    }

    async fn swap(mut self: Box<Self>) -> Result<(), StoreError> {
        if self.held != Some(self.seq) {
            return Err(StoreError::Refused(format!(
                "the new view is as of {}, and the log held at {:?}",
                self.seq, self.held
            )));
        }
        self.flush().await?;
        self.await_flush().await?;
        let id = self.id;
        self.handle
            .call(|reply| WriterTask::Swap(id, reply))
            .await?
    }
}

impl EmbeddedRebuild {
    fn collect(&mut self, change: &Change) -> Result<(), StoreError> {
        if change.seq != self.seq.next() {
            return Err(StoreError::Corrupt {
                at: change.seq.into(),
                reason: format!("change {} should be next", self.seq.next()),
            });
        }
        let event = change.after().map(Arc::as_ref);
        self.rows.set(change.event_id(), event, &mut self.buffer);
        self.seq = change.seq;
        Ok(())
    }

    /// Sends the collected rows to the writer's thread, once it has written those sent before.
    async fn flush(&mut self) -> Result<(), StoreError> {
        self.await_flush().await?;
        let (id, rows) = (self.id, std::mem::take(&mut self.rows));
        let reply = self
            .handle
            .submit(|reply| WriterTask::Shadow(id, rows, reply))?;
        self.flushing = Some(reply);
        Ok(())
    }

    /// Waits until the rows that were sent are written.
    async fn await_flush(&mut self) -> Result<(), StoreError> {
        match self.flushing.take() {
            Some(reply) => handle::await_reply(reply).await?,
            None => Ok(()),
        }
    }
}

impl Drop for EmbeddedRebuild {
    /// Removes the rebuild's table, if no swap has made it the live one.
    fn drop(&mut self) {
        self.handle.send(WriterTask::Abandon(self.id));
    }
}

/// The writer's half.
impl Writer {
    pub(super) fn hold(&mut self, rebuild: u64) -> Result<Seq, StoreError> {
        self.ensure_valid(rebuild)?;
        if self.holder.is_some_and(|holder| holder != rebuild) {
            return Err(StoreError::Unavailable(
                "another rebuild holds the writers off".to_owned(),
            ));
        }
        self.holder = Some(rebuild);
        self.shared.writers_held.send_replace(true);
        Ok(self.shared.snapshot().seq)
    }

    pub(super) fn write_shadow(
        &mut self,
        rebuild: u64,
        rows: &ShadowRows,
    ) -> Result<(), StoreError> {
        self.ensure_writable()?;
        self.ensure_valid(rebuild)?;
        self.ensure_room(std::iter::once(rows.bytes()))?;
        self.try_write_shadow(rebuild, rows)
            .map_err(|error| self.fail(error))
    }

    fn try_write_shadow(&mut self, rebuild: u64, rows: &ShadowRows) -> Result<(), redb::Error> {
        let name = shadow_name(rebuild);
        let shadow: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(&name);
        let transaction = self.begin()?;
        {
            let mut table = transaction.open_table(shadow)?;
            for (id, bytes) in rows.iter() {
                match bytes {
                    Some(bytes) => drop(table.insert(id, bytes)?),
                    None => drop(table.remove(id)?),
                }
            }
        }
        self.commit(transaction)
    }

    pub(super) fn swap(&mut self, rebuild: u64) -> Result<(), StoreError> {
        self.ensure_writable()?;
        if self.holder != Some(rebuild) {
            return Err(StoreError::Unavailable(
                "the rebuild does not hold the writers off".to_owned(),
            ));
        }
        let head = self.shared.snapshot().seq;
        self.try_swap(rebuild, head)
            .map_err(|error| self.fail(error))?;
        self.checkpoint.restart(head);
        let published = self.publish(head, Memtable::default());
        published.inspect_err(|error| self.stop_writes(error.clone()))?;
        self.release();
        self.shared.index_work.send_modify(|changes| *changes += 1);
        Ok(())
    }

    fn try_swap(&mut self, rebuild: u64, head: Seq) -> Result<(), redb::Error> {
        let name = shadow_name(rebuild);
        let shadow: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(&name);
        let current = self.shared.snapshot();
        let mut transaction = self.begin()?;
        transaction.set_quick_repair(true);
        // The memtable is dropped, and it alone has these milestones.
        tables::write_milestones(&transaction, current.memtable.milestones(..))?;
        transaction.delete_table(VIEW)?;
        transaction.rename_table(shadow, VIEW)?;
        self.indexing.clear(&transaction)?;
        transaction
            .open_table(META)?
            .insert(META_FLUSHED, u128::from(head.get()))?;
        self.commit(transaction)
    }

    pub(super) fn abandon(&mut self, rebuild: u64) {
        if self.holder == Some(rebuild) {
            self.release();
        }
        if self.shared.trouble().is_some() {
            return;
        }
        if let Err(error) = self.remove_shadow(rebuild) {
            self.fail(error);
        }
    }

    fn remove_shadow(&mut self, rebuild: u64) -> Result<(), redb::Error> {
        let name = shadow_name(rebuild);
        let shadow: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(&name);
        match self.database.begin_read()?.open_table(shadow) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            table => drop(table?),
        }
        let transaction = self.begin()?;
        transaction.delete_table(shadow)?;
        self.commit(transaction)
    }

    /// The file was reopened, which removes the tables of rebuilds: those that began before are void.
    pub(crate) fn invalidate_rebuilds(&mut self) {
        self.first_valid_rebuild = NEXT.load(Ordering::Relaxed);
        self.release();
    }

    fn ensure_valid(&self, rebuild: u64) -> Result<(), StoreError> {
        match rebuild >= self.first_valid_rebuild {
            true => Ok(()),
            false => Err(StoreError::Unavailable(
                "the file was reopened meanwhile".to_owned(),
            )),
        }
    }

    /// Allows appends again.
    fn release(&mut self) {
        self.holder = None;
        self.shared.writers_held.send_replace(false);
    }

    /// Why nothing can be written at the moment, if that is so.
    pub(super) fn ensure_writable(&self) -> Result<(), StoreError> {
        self.shared.trouble().map_or(Ok(()), Err)
    }
}

fn shadow_name(rebuild: u64) -> String {
    format!("{REBUILD_PREFIX}{rebuild}")
}

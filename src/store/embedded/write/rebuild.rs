//! A new view beside the live one, and putting it in its place.
//!
//! The new view is a table of its own. Its changes gather in memory first, like those of the live one, so
//! that a million changes of ten events are ten writes; and while some are written, the next gather.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use redb::{ReadableDatabase, TableDefinition, TableError};
use tokio::sync::oneshot;

use super::handle;
use super::handle::WriterHandle;
use super::thread::{Writer, WriterTask};
use crate::domain::{Change, Event, EventId, Seq};
use crate::limits;
use crate::store::embedded::format::encode;
use crate::store::embedded::format::tables;
use crate::store::embedded::format::tables::{META, META_COVERED, REBUILD_PREFIX, VIEW};
use crate::store::embedded::read::memtable::Memtable;
use crate::store::{Rebuild, StoreError};

/// Tells rebuilds of one process apart; what an earlier process left is removed when the file is opened.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A rebuild in progress.
pub(super) struct EmbeddedRebuild {
    id: u64,
    desk: Arc<WriterHandle>,
    /// The last change applied.
    seq: Seq,
    /// What the table does not have yet, and is not on its way there.
    slots: ShadowSlots,
    /// The answer about what is on its way: the writer is at it while the next slots gather.
    writing: Option<oneshot::Receiver<Result<(), StoreError>>>,
    /// The head that stands since the writers are held off.
    held: Option<Seq>,
    /// Lent to every encoding.
    buffer: Vec<u8>,
}

/// What a view's table is to hold at these ids, as it is written. Events in memory take several times as
/// much, and taking them apart as long as writing them.
#[derive(Default)]
pub(crate) struct ShadowSlots {
    /// In the order of the table: inserted so, it is several times faster. `None` is no event.
    places: BTreeMap<EventId, Option<Range<usize>>>,
    bytes: Vec<u8>,
}

impl ShadowSlots {
    fn set(&mut self, id: &EventId, event: Option<&Event>, buffer: &mut Vec<u8>) {
        let place = event.map(|event| {
            encode::event(buffer, event);
            let start = self.bytes.len();
            self.bytes.extend_from_slice(buffer);
            start..self.bytes.len()
        });
        self.places.insert(id.clone(), place);
    }

    fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.places.iter().map(|(id, place)| {
            let bytes = place.clone().map(|place| &self.bytes[place]);
            (id.as_str(), bytes)
        })
    }
}

/// Makes an empty view.
pub(crate) async fn begin(desk: &Arc<WriterHandle>) -> Result<Box<dyn Rebuild>, StoreError> {
    let mut rebuild = EmbeddedRebuild {
        id: NEXT.fetch_add(1, Ordering::Relaxed),
        desk: Arc::clone(desk),
        seq: Seq::ZERO,
        slots: ShadowSlots::default(),
        writing: None,
        held: None,
        buffer: Vec::new(),
    };
    rebuild.flush().await?;
    rebuild.written().await?;
    Ok(Box::new(rebuild))
}

#[async_trait]
impl Rebuild for EmbeddedRebuild {
    async fn apply(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        for change in changes {
            self.gather(change)?;
        }
        match self.slots.bytes.len() > limits::EMBEDDED_REBUILD_BYTES_MAX {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    async fn hold(&mut self) -> Result<Seq, StoreError> {
        let id = self.id;
        let head = self.desk.ask(|reply| WriterTask::Hold(id, reply)).await??;
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
        self.written().await?;
        let id = self.id;
        self.desk.ask(|reply| WriterTask::Swap(id, reply)).await?
    }
}

impl EmbeddedRebuild {
    fn gather(&mut self, change: &Change) -> Result<(), StoreError> {
        if change.seq != self.seq.next() {
            return Err(StoreError::Corrupt {
                at: change.seq.into(),
                reason: format!("change {} should be next", self.seq.next()),
            });
        }
        let event = change.after().map(Arc::as_ref);
        self.slots.set(change.event_id(), event, &mut self.buffer);
        self.seq = change.seq;
        Ok(())
    }

    /// Has the writer begin with what gathered, when it is done with what gathered before.
    async fn flush(&mut self) -> Result<(), StoreError> {
        self.written().await?;
        let (id, slots) = (self.id, std::mem::take(&mut self.slots));
        let writing = self
            .desk
            .order(|reply| WriterTask::Shadow(id, slots, reply))?;
        self.writing = Some(writing);
        Ok(())
    }

    /// Waits until the table has what was on its way.
    async fn written(&mut self) -> Result<(), StoreError> {
        match self.writing.take() {
            Some(writing) => handle::answered(writing).await?,
            None => Ok(()),
        }
    }
}

impl Drop for EmbeddedRebuild {
    /// Removes what a swap has not put to use; after one there is nothing left to remove.
    fn drop(&mut self) {
        self.desk.tell(WriterTask::Abandon(self.id));
    }
}

/// The writer's side.
impl Writer {
    pub(crate) fn hold(&mut self, rebuild: u64) -> Result<Seq, StoreError> {
        self.stands(rebuild)?;
        if self.holder.is_some_and(|holder| holder != rebuild) {
            return Err(StoreError::Unavailable(
                "another rebuild holds the writers off".to_owned(),
            ));
        }
        self.holder = Some(rebuild);
        self.shared.held.send_replace(true);
        Ok(self.shared.snapshot().seq)
    }

    pub(super) fn write_shadow(
        &mut self,
        rebuild: u64,
        slots: &ShadowSlots,
    ) -> Result<(), StoreError> {
        self.writable()?;
        self.stands(rebuild)?;
        self.room_for(std::iter::once(slots.bytes.len()))?;
        self.try_write_shadow(rebuild, slots)
            .map_err(|error| self.fail(error))
    }

    fn try_write_shadow(&mut self, rebuild: u64, slots: &ShadowSlots) -> Result<(), redb::Error> {
        let name = shadow_name(rebuild);
        let shadow: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(&name);
        let transaction = self.begin()?;
        {
            let mut table = transaction.open_table(shadow)?;
            for (id, bytes) in slots.iter() {
                match bytes {
                    Some(bytes) => drop(table.insert(id, bytes)?),
                    None => drop(table.remove(id)?),
                }
            }
        }
        self.commit(transaction)
    }

    pub(super) fn swap(&mut self, rebuild: u64) -> Result<(), StoreError> {
        self.writable()?;
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
        published.inspect_err(|error| self.stop(error.clone()))?;
        self.release();
        Ok(())
    }

    fn try_swap(&mut self, rebuild: u64, head: Seq) -> Result<(), redb::Error> {
        let name = shadow_name(rebuild);
        let shadow: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(&name);
        let current = self.shared.snapshot();
        let mut transaction = self.begin()?;
        transaction.set_quick_repair(true);
        // The overlay goes, and with it what it alone has of the history.
        tables::write_milestones(&transaction, current.overlay.milestones(..))?;
        transaction.delete_table(VIEW)?;
        transaction.rename_table(shadow, VIEW)?;
        transaction
            .open_table(META)?
            .insert(META_COVERED, u128::from(head.get()))?;
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
            found => drop(found?),
        }
        let transaction = self.begin()?;
        transaction.delete_table(shadow)?;
        self.commit(transaction)
    }

    /// The views in the making are gone, as after a restart.
    pub(crate) fn void_rebuilds(&mut self) {
        self.rebuilds_from = NEXT.load(Ordering::Relaxed);
        self.release();
    }

    fn stands(&self, rebuild: u64) -> Result<(), StoreError> {
        match rebuild >= self.rebuilds_from {
            true => Ok(()),
            false => Err(StoreError::Unavailable(
                "the file was opened anew meanwhile".to_owned(),
            )),
        }
    }

    fn release(&mut self) {
        self.holder = None;
        self.shared.held.send_replace(false);
    }

    pub(super) fn writable(&self) -> Result<(), StoreError> {
        self.shared.trouble().map_or(Ok(()), Err)
    }
}

fn shadow_name(rebuild: u64) -> String {
    format!("{REBUILD_PREFIX}{rebuild}")
}

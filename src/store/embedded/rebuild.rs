//! A new view beside the live one, and putting it in its place.
//!
//! The new view is a table of its own. Its changes gather in an overlay first, like those of the live
//! one, so that a million changes of ten events are ten writes.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use redb::{ReadableDatabase, TableDefinition, TableError};

use super::desk::Desk;
use super::overlay::{Overlay, Slot};
use super::shared::blocking;
use super::tables::{self, META, META_COVERED, REBUILD_PREFIX, VIEW, ViewTable};
use super::writer::{Task, Writer};
use crate::domain::{Change, EventId, Seq};
use crate::limits;
use crate::store::{Rebuild, StoreError};

/// Tells rebuilds of one process apart; what an earlier process left is removed when the file is opened.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A rebuild in progress.
pub(super) struct EmbeddedRebuild {
    id: u64,
    desk: Arc<Desk>,
    draft: Draft,
    /// The head that stands since the writers are held off.
    held: Option<Seq>,
}

/// A view in the making.
#[derive(Clone)]
struct Draft {
    seq: Seq,
    /// Changes that the table does not have yet.
    overlay: Overlay,
    table: Arc<ViewTable>,
}

/// Makes an empty view.
pub(super) async fn begin(desk: &Arc<Desk>) -> Result<Box<dyn Rebuild>, StoreError> {
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let table = desk
        .ask(|reply| Task::Shadow(id, Vec::new(), reply))
        .await??;
    Ok(Box::new(EmbeddedRebuild {
        id,
        desk: Arc::clone(desk),
        draft: Draft {
            seq: Seq::ZERO,
            overlay: Overlay::default(),
            table: Arc::new(table),
        },
        held: None,
    }))
}

#[async_trait]
impl Rebuild for EmbeddedRebuild {
    async fn apply(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        let (mut draft, changes) = (self.draft.clone(), changes.to_vec());
        self.draft = blocking(move || {
            changes.iter().try_for_each(|change| draft.apply(change))?;
            Ok(draft)
        })
        .await?;
        match self.draft.overlay.bytes() > limits::EMBEDDED_OVERLAY_BYTES_MAX {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    async fn hold(&mut self) -> Result<Seq, StoreError> {
        let id = self.id;
        let head = self.desk.ask(|reply| Task::Hold(id, reply)).await??;
        self.held = Some(head);
        Ok(head)
    }

    async fn swap(mut self: Box<Self>) -> Result<(), StoreError> {
        if self.held != Some(self.draft.seq) {
            return Err(StoreError::Refused(format!(
                "the new view is as of {}, and the log held at {:?}",
                self.draft.seq, self.held
            )));
        }
        self.flush().await?;
        let id = self.id;
        self.desk.ask(|reply| Task::Swap(id, reply)).await?
    }
}

impl EmbeddedRebuild {
    async fn flush(&mut self) -> Result<(), StoreError> {
        let overlay = std::mem::take(&mut self.draft.overlay);
        let slots = overlay.range(Bound::Unbounded, Bound::Unbounded);
        let slots = slots.map(|(id, slot)| (id.clone(), slot.clone())).collect();
        let id = self.id;
        let table = self
            .desk
            .ask(|reply| Task::Shadow(id, slots, reply))
            .await??;
        self.draft.table = Arc::new(table);
        Ok(())
    }
}

impl Drop for EmbeddedRebuild {
    /// Removes what a swap has not put to use; after one there is nothing left to remove.
    fn drop(&mut self) {
        self.desk.tell(Task::Abandon(self.id));
    }
}

impl Draft {
    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        let id = change.event_id();
        let found = match self.overlay.get(id) {
            Some(slot) => slot.as_ref().map(|event| event.version),
            None => tables::version(&self.table, id)?,
        };
        if change.seq != self.seq.next() || found != change.before().map(|before| before.version) {
            return Err(StoreError::Corrupt {
                at: format!("log {}", change.seq),
                reason: "a change does not follow from those before it".to_owned(),
            });
        }
        self.overlay.apply(change);
        self.seq = change.seq;
        Ok(())
    }
}

/// The writer's side.
impl Writer {
    pub(super) fn hold(&mut self, rebuild: u64) -> Result<Seq, StoreError> {
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
        slots: &[(EventId, Slot)],
    ) -> Result<ViewTable, StoreError> {
        self.writable()?;
        self.try_write_shadow(rebuild, slots)
            .map_err(|error| self.fail(error))
    }

    fn try_write_shadow(
        &mut self,
        rebuild: u64,
        slots: &[(EventId, Slot)],
    ) -> Result<ViewTable, redb::Error> {
        let name = shadow_name(rebuild);
        let shadow: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(&name);
        let transaction = self.begin()?;
        {
            let mut table = transaction.open_table(shadow)?;
            for (id, slot) in slots {
                tables::write_slot(&mut table, id, slot, &mut self.buffer)?;
            }
        }
        transaction.commit()?;
        Ok(self.database.begin_read()?.open_table(shadow)?)
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
        self.publish(head, Overlay::default())
            .inspect_err(|error| self.shared.fail(&error.to_string()))?;
        self.release();
        Ok(())
    }

    fn try_swap(&mut self, rebuild: u64, head: Seq) -> Result<(), redb::Error> {
        let name = shadow_name(rebuild);
        let shadow: TableDefinition<'_, &str, &[u8]> = TableDefinition::new(&name);
        let mut transaction = self.begin()?;
        transaction.set_quick_repair(true);
        transaction.delete_table(VIEW)?;
        transaction.rename_table(shadow, VIEW)?;
        transaction
            .open_table(META)?
            .insert(META_COVERED, u128::from(head.get()))?;
        transaction.commit()?;
        Ok(())
    }

    pub(super) fn abandon(&mut self, rebuild: u64) {
        if self.holder == Some(rebuild) {
            self.release();
        }
        if self.shared.failure().is_some() {
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
        transaction.commit()?;
        Ok(())
    }

    fn release(&mut self) {
        self.holder = None;
        self.shared.held.send_replace(false);
    }

    pub(super) fn writable(&self) -> Result<(), StoreError> {
        self.shared.failure().map_or(Ok(()), Err)
    }
}

fn shadow_name(rebuild: u64) -> String {
    format!("{REBUILD_PREFIX}{rebuild}")
}

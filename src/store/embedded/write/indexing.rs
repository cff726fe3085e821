//! Keeping the indexes: their entries move with the changes that are appended, in the same transaction. So they are as of
//! the head, while the view's table follows.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use redb::WriteTransaction;

use super::thread::Writer;
use crate::domain::{Event, EventId, Seq};
use crate::indexes::Index;
use crate::store::embedded::format::index;
use crate::store::embedded::format::index::KeptIndex;
use crate::store::embedded::read::snapshot::Snapshot;
use crate::store::{Batch, StoreError};

/// The indexes of the file, and the building of one of them.
#[derive(Debug)]
pub(crate) struct Indexing {
    pub(super) kept: Vec<KeptIndex>,
    /// The number of the build in progress, or of the last one. What belongs to an earlier one is refused.
    pub(super) build: u64,
    /// Events that changed since the build began: what it gathered of them may be old.
    pub(super) moved: Option<HashSet<EventId>>,
}

impl Indexing {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let kept = snapshot.indexes.iter().map(|(kept, _)| kept.clone());
        Self {
            kept: kept.collect(),
            build: 0,
            moved: None,
        }
    }

    /// The file was reopened, and has these.
    pub(crate) fn reset(&mut self, snapshot: &Snapshot) {
        self.interrupt();
        self.kept = Self::of(snapshot).kept;
    }

    /// The build in progress must begin again.
    pub(crate) fn interrupt(&mut self) {
        self.build += 1;
        self.moved = None;
    }

    /// Whether these are declared already.
    fn is_as(&self, declared: &[Index]) -> bool {
        let is_kept = |index: &Index| {
            let mut kept = self.kept.iter();
            kept.any(|kept| *kept.index == *index && kept.index.is_unique() == index.is_unique())
        };
        self.kept.len() == declared.len() && declared.iter().all(is_kept)
    }

    /// The rows of the view are others: all indexes begin again.
    pub(super) fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        self.interrupt();
        let mut kept = self.kept.iter_mut();
        kept.try_for_each(|kept| kept.clear(transaction))
    }

    /// Moves the entries of the events that a batch changes.
    pub(super) fn write(
        &mut self,
        transaction: &WriteTransaction,
        batch: &Batch,
    ) -> Result<(), redb::Error> {
        if self.kept.is_empty() {
            return Ok(());
        }
        // Of each event what it was before the batch, and is after it.
        let mut moved: BTreeMap<&EventId, [Option<&Arc<Event>>; 2]> = BTreeMap::new();
        for change in &batch.changes {
            let [_, after] = moved
                .entry(change.event_id())
                .or_insert([change.before(), None]);
            *after = change.after();
        }
        if let Some(all) = &mut self.moved {
            all.extend(moved.keys().map(|id| (*id).clone()));
        }
        for kept in &mut self.kept {
            let mut moves = EntryMoves::default();
            for (id, [before, after]) in &moved {
                moves.add(kept, id, before.map(Arc::as_ref), after.map(Arc::as_ref));
            }
            moves.write(kept, transaction)?;
        }
        Ok(())
    }
}

/// Entries of one index that go and come.
#[derive(Default)]
struct EntryMoves {
    gone: Vec<Vec<u8>>,
    come: Vec<(Vec<u8>, u16)>,
    is_state_new: bool,
}

fn added(key: &[u8], id: &EventId) -> (Vec<u8>, u16) {
    (index::entry(key, id), index::key_length(key))
}

impl EntryMoves {
    fn add(
        &mut self,
        kept: &mut KeptIndex,
        id: &EventId,
        old: Option<&Event>,
        new: Option<&Event>,
    ) {
        let keys = |event: &Event| kept.index.keys_of(event);
        let (old, new) = (
            old.map(keys).unwrap_or_default(),
            new.map(keys).unwrap_or_default(),
        );
        self.is_state_new |= kept.state.spread_to(new.spread);
        let is_moved = old.keys != new.keys;
        if is_moved {
            let gone = old.keys.iter().map(|key| index::entry(key, id));
            self.gone.extend(gone);
        }
        // The build passes over what moved, also where its keys did not.
        if is_moved || !kept.state.is_whole {
            let come = new.keys.iter().map(|key| added(key, id));
            self.come.extend(come);
        }
    }

    /// Sorted: that is several times faster.
    fn write(
        &mut self,
        kept: &KeptIndex,
        transaction: &WriteTransaction,
    ) -> Result<(), redb::Error> {
        self.gone.sort_unstable();
        self.come.sort_unstable();
        if !self.gone.is_empty() || !self.come.is_empty() {
            let name = index::table_name(kept.index.name());
            let mut table = transaction.open_table(index::definition(&name))?;
            for entry in &self.gone {
                table.remove(entry.as_slice())?;
            }
            for (entry, key_length) in &self.come {
                table.insert(entry.as_slice(), key_length)?;
            }
        }
        match self.is_state_new {
            true => kept.write_state(transaction),
            false => Ok(()),
        }
    }
}

impl Writer {
    /// See [`Store::declare_indexes`](crate::store::Store::declare_indexes).
    pub(super) fn declare_indexes(&mut self, declared: Vec<Index>) -> Result<(), StoreError> {
        self.ensure_writable()?;
        if self.indexing.is_as(&declared) {
            return Ok(());
        }
        let kept = self
            .try_declare(declared)
            .map_err(|error| self.fail(error))?;
        self.indexing.interrupt();
        self.indexing.kept = kept;
        let current = self.shared.snapshot();
        let published = self.publish(current.seq, current.memtable.clone());
        published.inspect_err(|error| self.stop_writes(error.clone()))?;
        self.shared.index_work.send_modify(|changes| *changes += 1);
        Ok(())
    }

    /// Notes durably that no two events hold the same in these indexes, as of this seq.
    pub(super) fn mark_unique(&mut self, names: &[String], seq: Seq) -> Result<(), StoreError> {
        self.ensure_writable()?;
        let current = self.shared.snapshot();
        let is_of = |kept: &KeptIndex| names.iter().any(|name| name == kept.index.name());
        let are_whole = |kept: &KeptIndex| !is_of(kept) || kept.state.is_whole;
        if current.seq != seq || !self.indexing.kept.iter().all(are_whole) {
            let reason = "an index changed while it was checked".to_owned();
            return Err(StoreError::Unavailable(reason));
        }
        for kept in &mut self.indexing.kept {
            kept.state.is_unique |= is_of(kept);
        }
        self.try_mark().map_err(|error| self.fail(error))?;
        let published = self.publish(current.seq, current.memtable.clone());
        published.inspect_err(|error| self.stop_writes(error.clone()))
    }

    fn try_mark(&mut self) -> Result<(), redb::Error> {
        let transaction = self.begin()?;
        for kept in &self.indexing.kept {
            kept.write_state(&transaction)?;
        }
        self.commit(transaction)
    }

    fn try_declare(&mut self, declared: Vec<Index>) -> Result<Vec<KeptIndex>, redb::Error> {
        let transaction = self.begin()?;
        for kept in &self.indexing.kept {
            if !declared.contains(&kept.index) {
                tracing::info!(
                    index = kept.index.name(),
                    "not declared any more: it is removed"
                );
                index::remove(&transaction, kept.index.name())?;
            }
        }
        let mut all = Vec::with_capacity(declared.len());
        for index in declared {
            let known = self.indexing.kept.iter().find(|kept| *kept.index == index);
            let kept = match known {
                Some(known) => {
                    let kept = known.declared_as(index);
                    kept.write_state(&transaction)?;
                    kept
                }
                None => {
                    let mut new = KeptIndex::new(index);
                    new.clear(&transaction)?;
                    new
                }
            };
            all.push(kept);
        }
        all.sort_unstable_by(|a, b| a.index.name().cmp(b.index.name()));
        self.commit(transaction)?;
        Ok(all)
    }
}

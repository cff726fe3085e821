//! Redaction: the file is copied without the contents of an event's changes, and the copy replaces it.
//!
//! An update in place would leave the old bytes in free pages of the file, for an unknown time. The copy replaces the
//! file in one step (a rename), when it is complete and on disk: until then nothing has changed.

use std::collections::HashSet;

use redb::{
    Database, Durability, Key, ReadOnlyTable, ReadableDatabase, ReadableTable, Table,
    TableDefinition, TableHandle, Value,
};

use super::thread::Writer;
use crate::domain::{ChangeKind, EventId, Seq};
use crate::store::StoreError;
use crate::store::embedded::file::medium;
use crate::store::embedded::format::decode;
use crate::store::embedded::format::encode;
use crate::store::embedded::format::index;
use crate::store::embedded::format::index::{INDEXES, IndexTable, KeptIndex};
use crate::store::embedded::format::tables::{
    self, COMMANDS, LOG, META, MILESTONES, MetaTable, NOTES, NoteTable, REBUILD_PREFIX, VIEW,
    read_error,
};
use crate::store::embedded::read::snapshot::Snapshot;

/// Rows copied in one transaction: their pages are in memory until it ends.
const ROWS_AT_ONCE: usize = 10_000;

impl Writer {
    /// See [`Store::redact`](crate::store::Store::redact).
    pub(super) fn redact(&mut self, id: &EventId, upto: Seq) -> Result<u64, StoreError> {
        self.ensure_writable()?;
        let (meta, notes) = self.meta_unless_rebuilding()?;
        let current = self.shared.snapshot();
        let erased = current.unredacted(id, upto)?;
        if erased.is_empty() {
            return Ok(0);
        }
        let Some(data_dir) = &self.data_dir else {
            return Err(StoreError::Refused("it is in no file".to_owned()));
        };
        let rewrite = Rewrite {
            from: &current,
            meta: &meta,
            notes: notes.as_ref(),
            id,
            erased: &erased,
        };
        data_dir.replace_file(|to| rewrite.run(to))?;
        // The old file has no name any more, and must take no more writes.
        let opened = self
            .medium
            .retire()
            .map_err(|error| medium::disk_error(&error));
        let opened = opened.and_then(|()| Ok(data_dir.open_file()?));
        (self.database, self.medium) =
            opened.inspect_err(|error| self.stop_writes(error.clone()))?;
        self.is_allocator_state_saved = false;
        // What was gathered for an index may hold what is erased.
        self.indexing.interrupt();
        let published = self.publish(current.seq, current.memtable.clone());
        published.inspect_err(|error| self.stop_writes(error.clone()))?;
        self.shared.notifier.notify_redaction();
        Ok(erased.len() as u64)
    }

    /// Refuses while the view is being rebuilt: the copy would lack the rebuild's table.
    fn meta_unless_rebuilding(&self) -> Result<(MetaTable, Option<NoteTable>), StoreError> {
        let reading = self.database.begin_read().map_err(read_error)?;
        let mut tables = reading.list_tables().map_err(read_error)?;
        match tables.any(|table| table.name().starts_with(REBUILD_PREFIX)) {
            true => Err(StoreError::Unavailable(
                "the view is being rebuilt".to_owned(),
            )),
            false => {
                let meta = reading.open_table(META).map_err(read_error)?;
                Ok((meta, tables::open_notes(&reading)?))
            }
        }
    }
}

impl Snapshot {
    /// The changes of the event up to its deletion at `upto` that still have contents.
    fn unredacted(&self, id: &EventId, upto: Seq) -> Result<HashSet<Seq>, StoreError> {
        let end = self.header(upto)?;
        if end.id != *id || end.kind != ChangeKind::Delete {
            let reason = format!("change {upto} is not the deletion of event {id}");
            return Err(StoreError::Refused(reason));
        }
        let mut unredacted = HashSet::new();
        let mut next = Some(upto);
        while let Some(seq) = next {
            let header = self.header(seq)?;
            if !header.is_redacted {
                unredacted.insert(seq);
            }
            next = self.prior(id, seq, header.prior)?;
        }
        Ok(unredacted)
    }
}

/// Copies everything but the erased contents.
struct Rewrite<'a> {
    from: &'a Snapshot,
    meta: &'a MetaTable,
    notes: Option<&'a NoteTable>,
    id: &'a EventId,
    erased: &'a HashSet<Seq>,
}

impl Rewrite<'_> {
    fn run(&self, to: &Database) -> Result<(), redb::Error> {
        let (mut buffer, mut erased) = (Vec::new(), 0);
        copy_rows(to, LOG, &self.from.log, |log, key, entry| {
            let seq = Seq::new(key);
            let copy = match self.erased.contains(&seq) {
                true => {
                    erased += 1;
                    erase(seq, entry, &mut buffer)?
                }
                false => entry,
            };
            log.insert(key, copy)?;
            Ok(())
        })?;
        if erased != self.erased.len() {
            let reason = "the log lacks a change that is to be erased".to_owned();
            return Err(redb::Error::Corrupted(reason));
        }
        copy_rows(to, VIEW, &self.from.view, |view, id, event| {
            // The table may still have the event, while the memtable has its deletion.
            if id != self.id.as_str() {
                view.insert(id, event)?;
            }
            Ok(())
        })?;
        copy_rows(to, COMMANDS, &self.from.commands, |commands, id, seq| {
            commands.insert(id, seq)?;
            Ok(())
        })?;
        copy_rows(to, MILESTONES, &self.from.milestones, |table, key, ()| {
            table.insert(key, ())?;
            Ok(())
        })?;
        if let Some(notes) = self.notes {
            copy_rows(to, NOTES, notes, |notes, name, text| {
                notes.insert(name, text)?;
                Ok(())
            })?;
        }
        for (kept, entries) in &self.from.indexes {
            self.copy_index(to, kept, entries)?;
        }
        // IMPORTANT: the only commit that is synced. It makes all those before it durable, and must not be empty.
        let transaction = to.begin_write()?;
        {
            transaction.open_table(INDEXES)?;
            let mut meta = transaction.open_table(META)?;
            for entry in self.meta.iter()? {
                let (key, number) = entry?;
                meta.insert(key.value(), number.value())?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Rewrite<'_> {
    /// The table may still have what the event was found by.
    fn copy_index(
        &self,
        to: &Database,
        kept: &KeptIndex,
        entries: &IndexTable,
    ) -> Result<(), redb::Error> {
        let name = index::table_name(kept.index.name());
        let corrupt = |error: StoreError| redb::Error::Corrupted(error.to_string());
        copy_rows(
            to,
            index::definition(&name),
            entries,
            |table, entry, key| {
                let (_, id) = index::parts(entry, key).map_err(corrupt)?;
                if id != self.id.as_str() {
                    table.insert(entry, key)?;
                }
                Ok(())
            },
        )?;
        let transaction = to.begin_write()?;
        kept.write_state(&transaction)?;
        Ok(transaction.commit()?)
    }
}

/// Encodes the entry without its contents into the buffer.
fn erase<'a>(seq: Seq, entry: &[u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8], redb::Error> {
    let corrupt = |error: StoreError| redb::Error::Corrupted(error.to_string());
    let change = decode::change(seq, entry).map_err(corrupt)?;
    let batch = decode::batch(seq, entry).map_err(corrupt)?;
    encode::change(buffer, &change.redact(), batch);
    Ok(buffer)
}

/// Copies every row of a table into another file, in transactions of bounded size.
fn copy_rows<K: Key + 'static, V: Value + 'static>(
    to: &Database,
    definition: TableDefinition<'_, K, V>,
    from: &ReadOnlyTable<K, V>,
    mut put: impl FnMut(
        &mut Table<'_, K, V>,
        K::SelfType<'_>,
        V::SelfType<'_>,
    ) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut rest = from.iter()?.peekable();
    loop {
        let mut transaction = to.begin_write()?;
        transaction.set_durability(Durability::None)?;
        {
            let mut table = transaction.open_table(definition)?;
            for entry in rest.by_ref().take(ROWS_AT_ONCE) {
                let (key, value) = entry?;
                put(&mut table, key.value(), value.value())?;
            }
        }
        transaction.commit()?;
        if rest.peek().is_none() {
            return Ok(());
        }
    }
}

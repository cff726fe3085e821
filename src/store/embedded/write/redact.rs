//! Erasing what happened to an event: the file is written anew without it.
//!
//! In place, the old bytes would stay in pages that the file keeps free, for nobody knows how long. The new
//! file takes the old one's place in one step, when it is whole and on disk: until then nothing has happened.

use std::collections::HashSet;

use redb::{
    Database, Durability, Key, ReadOnlyTable, ReadableDatabase, ReadableTable, Table,
    TableDefinition, TableHandle, Value,
};

use super::thread::Writer;
use crate::domain::{EventId, Kind, Seq};
use crate::store::StoreError;
use crate::store::embedded::file::medium;
use crate::store::embedded::format::decode;
use crate::store::embedded::format::encode;
use crate::store::embedded::format::tables::{
    COMMANDS, LOG, META, MILESTONES, MetaTable, REBUILD_PREFIX, VIEW, fault,
};
use crate::store::embedded::read::snapshot::Snapshot;

/// Entries in one transaction: their pages are in memory until it ends.
const ENTRIES_AT_ONCE: usize = 10_000;

impl Writer {
    /// See [`Store::redact`](crate::store::Store::redact).
    pub(crate) fn redact(&mut self, id: &EventId, upto: Seq) -> Result<u64, StoreError> {
        self.writable()?;
        let meta = self.meta_unless_rebuilding()?;
        let current = self.shared.snapshot();
        let erased = current.unredacted(id, upto)?;
        if erased.is_empty() {
            return Ok(0);
        }
        let Some(place) = &self.place else {
            return Err(StoreError::Refused("it is in no file".to_owned()));
        };
        let rewrite = Rewrite {
            from: &current,
            meta: &meta,
            id,
            erased: &erased,
        };
        place.write_anew(|to| rewrite.run(to))?;
        // What was there has no name any more, and takes no more writes.
        let opened = self
            .medium
            .give_up()
            .map_err(|error| medium::trouble(&error));
        let opened = opened.and_then(|()| Ok(place.open_file()?));
        (self.database, self.medium) = opened.inspect_err(|error| self.stop(error.clone()))?;
        self.sealed = false;
        let published = self.publish(current.seq, current.overlay.clone());
        published.inspect_err(|error| self.stop(error.clone()))?;
        self.shared.hub.redacted();
        Ok(erased.len() as u64)
    }

    /// Refuses while the view is being rebuilt: what was made of the new one so far would be lost.
    fn meta_unless_rebuilding(&self) -> Result<MetaTable, StoreError> {
        let reading = self.database.begin_read().map_err(fault)?;
        let mut tables = reading.list_tables().map_err(fault)?;
        match tables.any(|table| table.name().starts_with(REBUILD_PREFIX)) {
            true => Err(StoreError::Unavailable(
                "the view is being rebuilt".to_owned(),
            )),
            false => reading.open_table(META).map_err(fault),
        }
    }
}

impl Snapshot {
    /// Changes of the event up to its deletion that have contents.
    fn unredacted(&self, id: &EventId, upto: Seq) -> Result<HashSet<Seq>, StoreError> {
        let end = self.entry(upto, decode::link)?;
        if end.id != *id || end.kind != Kind::Delete {
            let reason = format!("change {upto} is not the deletion of event {id}");
            return Err(StoreError::Refused(reason));
        }
        let mut found = HashSet::new();
        let mut next = Some(upto);
        while let Some(seq) = next {
            let link = self.entry(seq, decode::link)?;
            if !link.is_redacted {
                found.insert(seq);
            }
            next = self.prior(id, seq, link.prior)?;
        }
        Ok(found)
    }
}

/// Everything but what is to be forgotten.
struct Rewrite<'a> {
    from: &'a Snapshot,
    meta: &'a MetaTable,
    id: &'a EventId,
    erased: &'a HashSet<Seq>,
}

impl Rewrite<'_> {
    fn run(&self, to: &Database) -> Result<(), redb::Error> {
        let mut buffer = Vec::new();
        entries(to, LOG, &self.from.log, |log, place, entry| {
            let seq = Seq::new(place);
            let kept = match self.erased.contains(&seq) {
                true => erase(seq, entry, &mut buffer)?,
                false => entry,
            };
            log.insert(place, kept)?;
            Ok(())
        })?;
        entries(to, VIEW, &self.from.view, |view, id, event| {
            // It may still be there, while the overlay says that it is gone.
            if id != self.id.as_str() {
                view.insert(id, event)?;
            }
            Ok(())
        })?;
        entries(to, COMMANDS, &self.from.commands, |commands, id, seq| {
            commands.insert(id, seq)?;
            Ok(())
        })?;
        entries(to, MILESTONES, &self.from.milestones, |table, key, ()| {
            table.insert(key, ())?;
            Ok(())
        })?;
        // IMPORTANT: the only commit that is synced. It takes all before it along, and must not be empty.
        let transaction = to.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            for entry in self.meta.iter()? {
                let (key, number) = entry?;
                meta.insert(key.value(), number.value())?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// The entry without contents, in the buffer.
fn erase<'a>(seq: Seq, entry: &[u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8], redb::Error> {
    let corrupt = |error: StoreError| redb::Error::Corrupted(error.to_string());
    let change = decode::change(seq, entry).map_err(corrupt)?;
    let batch = decode::batch(seq, entry).map_err(corrupt)?;
    encode::change(buffer, &change.redact(), batch);
    Ok(buffer)
}

/// Puts every entry of a table into another file's, a part after the other.
fn entries<K: Key + 'static, V: Value + 'static>(
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
            for entry in rest.by_ref().take(ENTRIES_AT_ONCE) {
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

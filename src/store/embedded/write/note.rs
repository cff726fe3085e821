//! Notes: a few words under a name, in a table of their own.

use redb::ReadableDatabase;

use super::thread::Writer;
use crate::store::StoreError;
use crate::store::embedded::format::tables::{self, NOTES, read_error};

impl Writer {
    /// See [`Store::note`](crate::store::Store::note).
    pub(super) fn read_note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let reading = self.database.begin_read().map_err(read_error)?;
        let Some(notes) = tables::open_notes(&reading)? else {
            return Ok(None);
        };
        let note = notes.get(name).map_err(read_error)?;
        Ok(note.map(|note| note.value().to_owned()))
    }

    /// See [`Store::write_note`](crate::store::Store::write_note).
    pub(super) fn write_note(&mut self, name: &str, text: &str) -> Result<(), StoreError> {
        self.ensure_writable()?;
        let written = self.try_write_note(name, text);
        written.map_err(|error| self.fail(error))
    }

    fn try_write_note(&mut self, name: &str, text: &str) -> Result<(), redb::Error> {
        let transaction = self.begin()?;
        transaction.open_table(NOTES)?.insert(name, text)?;
        self.commit(transaction)
    }
}

//! Declared indexes in the file: a table for each, and a row that says what it is and how far it is built.
//!
//! An entry is a key followed by the id of its event; the value is the key's length. Keys are such that entries sort by
//! their keys, and those of one key by their ids.
//!
//! Invariants, at every commit, as of the head: no entry names an event that lacks its key; and every event up to `built_to`
//! has all its entries, or every event if the index `is_whole`. So an event that changes takes its entries with it from the
//! first moment on, whether or not they are built.

use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::tables::read_error;
use crate::domain::EventId;
use crate::indexes::{FieldSet, Index};
use crate::store::StoreError;

/// The format of keys and entries that this program writes. An index in another is built again.
const INDEX_FORMAT: u8 = 1;

/// The same, and no two events hold the same. A livelog that does not know of that cannot read it, so it builds the index
/// again, as one that may hold anything.
const UNIQUE_FORMAT: u8 = 2;

/// What is known of each index, by its name: `format | spread | progress | the last event that is in it`.
pub(crate) const INDEXES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("indexes");

pub(crate) type IndexTable = ReadOnlyTable<&'static [u8], u16>;

/// An index that the file has.
#[derive(Debug, Clone)]
pub(crate) struct KeptIndex {
    pub(crate) index: Arc<Index>,
    pub(crate) state: IndexState,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IndexState {
    /// The fields that lead to an array in some event, or did.
    spread: u8,
    /// The last event that is surely in it.
    pub(crate) built_to: Option<EventId>,
    pub(crate) is_whole: bool,
    /// No two events hold the same: it was looked at once, and every append keeps it so.
    pub(crate) is_unique: bool,
}

/// How far an index is built.
const EMPTY: u8 = 0;
const BUILT_TO: u8 = 1;
const WHOLE: u8 = 2;

impl IndexState {
    fn encode(&self) -> Vec<u8> {
        let progress = match (&self.built_to, self.is_whole) {
            (_, true) => WHOLE,
            (Some(_), false) => BUILT_TO,
            (None, false) => EMPTY,
        };
        let format = match self.is_unique {
            true => UNIQUE_FORMAT,
            false => INDEX_FORMAT,
        };
        let mut bytes = vec![format, self.spread, progress];
        let built_to = self.built_to.as_ref().map_or("", EventId::as_str);
        bytes.extend_from_slice(built_to.as_bytes());
        bytes
    }

    /// `None` if it is in another format.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let [
            format @ (INDEX_FORMAT | UNIQUE_FORMAT),
            spread,
            progress,
            built_to @ ..,
        ] = bytes
        else {
            return None;
        };
        let built_to = match *progress {
            BUILT_TO => Some(EventId::stored(std::str::from_utf8(built_to).ok()?).ok()?),
            _ => None,
        };
        Some(Self {
            spread: *spread,
            built_to,
            is_whole: *progress == WHOLE,
            is_unique: *format == UNIQUE_FORMAT && *progress == WHOLE,
        })
    }

    pub(crate) fn spread(&self) -> FieldSet {
        FieldSet(self.spread)
    }

    /// Adds fields that lead to arrays; returns whether any is new.
    pub(crate) fn spread_to(&mut self, fields: FieldSet) -> bool {
        let before = self.spread;
        self.spread |= fields.0;
        self.spread != before
    }
}

impl KeptIndex {
    pub(crate) fn new(index: Index) -> Self {
        Self {
            index: Arc::new(index),
            state: IndexState::default(),
        }
    }

    /// Whether it is declared to be unique, and not yet known to be.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.index.is_unique() && !self.state.is_unique
    }

    /// The same index as it is declared now.
    pub(crate) fn declared_as(&self, index: Index) -> Self {
        let is_unique = self.state.is_unique && index.is_unique();
        let state = IndexState {
            is_unique,
            ..self.state.clone()
        };
        Self {
            index: Arc::new(index),
            state,
        }
    }

    /// Writes what is known of it.
    pub(crate) fn write_state(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut indexes = transaction.open_table(INDEXES)?;
        indexes.insert(self.index.name(), self.state.encode().as_slice())?;
        Ok(())
    }

    /// Makes it as new: without entries.
    pub(crate) fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        self.state = IndexState::default();
        let name = table_name(self.index.name());
        transaction.delete_table(definition(&name))?;
        transaction.open_table(definition(&name))?;
        self.write_state(transaction)
    }
}

/// The table of an index.
pub(crate) fn table_name(index: &str) -> String {
    format!("index {index}")
}

pub(crate) fn definition(table_name: &str) -> TableDefinition<'_, &'static [u8], u16> {
    TableDefinition::new(table_name)
}

pub(crate) fn open_table(
    reading: &ReadTransaction,
    index: &Index,
) -> Result<IndexTable, StoreError> {
    let name = table_name(index.name());
    reading.open_table(definition(&name)).map_err(read_error)
}

/// All indexes of the file.
pub(crate) fn read_all(reading: &ReadTransaction) -> Result<Vec<KeptIndex>, StoreError> {
    let table = reading.open_table(INDEXES).map_err(read_error)?;
    let mut indexes = Vec::new();
    for row in table.iter().map_err(read_error)? {
        let (name, state) = row.map_err(read_error)?;
        let corrupt = |reason: String| StoreError::Corrupt {
            at: format!("index {}", name.value()).into(),
            reason,
        };
        let state = IndexState::decode(state.value());
        let state = state.ok_or_else(|| corrupt("its state is in another format".to_owned()))?;
        let index: Index = name.value().parse().map_err(corrupt)?;
        let index = match state.is_unique {
            true => index.unique().map_err(corrupt)?,
            false => index,
        };
        indexes.push(KeptIndex {
            index: Arc::new(index),
            state,
        });
    }
    Ok(indexes)
}

/// Names of the indexes that this program cannot read, which must be built again.
pub(crate) fn unreadable(transaction: &WriteTransaction) -> Result<Vec<String>, redb::Error> {
    let table = transaction.open_table(INDEXES)?;
    let mut unreadable = Vec::new();
    for row in table.iter()? {
        let (name, state) = row?;
        let state = IndexState::decode(state.value());
        if state.is_none() || name.value().parse::<Index>().is_err() {
            unreadable.push(name.value().to_owned());
        }
    }
    Ok(unreadable)
}

/// Removes an index and all its entries.
pub(crate) fn remove(transaction: &WriteTransaction, name: &str) -> Result<(), redb::Error> {
    let table_name = table_name(name);
    transaction.delete_table(definition(&table_name))?;
    transaction.open_table(INDEXES)?.remove(name)?;
    Ok(())
}

/// The entry of an event under one of its keys.
pub(crate) fn entry(key: &[u8], id: &EventId) -> Vec<u8> {
    [key, id.as_str().as_bytes()].concat()
}

/// The length of a key, as an entry has it.
pub(crate) fn key_length(key: &[u8]) -> u16 {
    u16::try_from(key.len()).expect("keys are bounded")
}

/// The key and the id of an entry.
pub(crate) fn parts(entry: &[u8], key_length: u16) -> Result<(&[u8], &str), StoreError> {
    let parts = entry.split_at_checked(key_length.into());
    let parts = parts.and_then(|(key, id)| Some((key, std::str::from_utf8(id).ok()?)));
    parts.ok_or_else(|| StoreError::Corrupt {
        at: "an entry of an index".into(),
        reason: "it is no key and id".to_owned(),
    })
}

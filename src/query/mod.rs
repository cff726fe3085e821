//! The query language: MongoDB's filters, typed and bounded, with one meaning in every store.

use crate::domain::{Document, Invalid, Record};

/// What a FETCH asks for.
#[derive(Debug, Clone)]
pub struct Query {
    /// Events asked for at most.
    pub limit: Option<usize>,
}

impl Query {
    /// Reads `filter`, `sort`, `limit`, `cursor` and `fields`; `at` is where `asked` stands.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(_asked: &Document, _at: &str) -> Result<Self, Invalid> {
        Ok(Self { limit: None })
    }

    /// Whether the filter matches and the record comes after the cursor.
    pub fn admits(&self, _record: &impl Record) -> bool {
        true
    }

    /// The cursor that goes on after this record.
    pub fn cursor_after(&self, _record: &impl Record) -> String {
        String::new()
    }
}

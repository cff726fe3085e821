//! New names for fields that cannot keep theirs.

use std::collections::HashMap;

use crate::value::name_offence;

/// By the path of a field, its new name, or that it is left out.
#[derive(Debug, Clone, Default)]
pub struct Renames(HashMap<String, Option<String>>);

impl Renames {
    /// Reads `PATH=NAME`: the field at this path gets this name, where it is. Indexes of arrays are no part of a path.
    ///
    /// # Errors
    /// The reason.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let (path, name) = text
            .rsplit_once('=')
            .ok_or_else(|| format!("{text}: expected PATH=NAME"))?;
        if let Some(reason) = name_offence(name) {
            return Err(format!("{text}: {reason}"));
        }
        let is_top = !path.trim_matches('.').contains('.');
        if is_top && name.starts_with('_') {
            return Err(format!("{text}: names beginning with _ are the server's"));
        }
        self.insert(path, Some(name.to_owned()))
    }

    /// Leaves out the field at this path.
    ///
    /// # Errors
    /// If it is the `_id`, or has a name already.
    pub fn leave_out(&mut self, path: &str) -> Result<(), String> {
        self.insert(path, None)
    }

    fn insert(&mut self, path: &str, name: Option<String>) -> Result<(), String> {
        if path == "_id" {
            return Err("_id becomes the event's id, and nothing else".to_owned());
        }
        match self.0.insert(path.to_owned(), name) {
            None => Ok(()),
            Some(_) => Err(format!("{path} is named twice")),
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is asked for the field at this path, if anything is.
    pub(super) fn get(&self, path: &str) -> Option<Option<&str>> {
        self.0.get(path).map(Option::as_deref)
    }
}

//! New names for fields that cannot keep theirs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::path::{Mark, SourcePath, marks, name_of, quoted};
use crate::value::name_offence;

/// What is asked for fields, by their paths, and which of it was ever met.
#[derive(Debug, Default)]
pub struct Renames {
    asked: HashMap<SourcePath, Asked>,
    /// Whether there was a field at all that it could be asked for.
    is_consulted: AtomicBool,
}

#[derive(Debug)]
struct Asked {
    /// `None` if it is left out.
    name: Option<String>,
    /// The option as it was given.
    option: String,
    is_met: AtomicBool,
}

impl Renames {
    /// Reads `PATH=NAME`: the field at this path gets this name, where it is. `super::path` says how they are
    /// written.
    ///
    /// # Errors
    /// The reason.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let refused = |reason: &str| format!("{text}: {reason}");
        let marks = marks(text).map_err(|reason| refused(&reason))?;
        let parts: Vec<&[Mark]> = marks.split(|mark| *mark == Mark::Equals).collect();
        let [path, name] = parts[..] else {
            return Err(refused("expected PATH=NAME, and any other = as \\="));
        };
        let name = name_of(name);
        if let Some(reason) = name_offence(&name) {
            return Err(refused(reason));
        }
        let (path, is_top) = SourcePath::of(path).map_err(|reason| refused(&reason))?;
        if is_top && name.starts_with('_') {
            return Err(refused("names beginning with _ are the server's"));
        }
        let option = format!("--rename {}", quoted(text));
        self.insert(path, Some(name), option)
    }

    /// Leaves out the field at this path.
    ///
    /// # Errors
    /// If it is the `_id`, has a name already, or is no path.
    pub fn leave_out(&mut self, text: &str) -> Result<(), String> {
        let path = marks(text).and_then(|marks| SourcePath::of(&marks));
        let (path, _) = path.map_err(|reason| format!("{text}: {reason}"))?;
        self.insert(path, None, format!("--drop {}", quoted(text)))
    }

    fn insert(
        &mut self,
        path: SourcePath,
        name: Option<String>,
        option: String,
    ) -> Result<(), String> {
        if path.as_str() == "_id" {
            return Err("_id becomes the event's id, and nothing else".to_owned());
        }
        let twice = format!("{path} is named twice");
        let is_met = AtomicBool::new(false);
        let asked = Asked {
            name,
            option,
            is_met,
        };
        match self.asked.insert(path, asked) {
            None => Ok(()),
            Some(_) => Err(twice),
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// What is asked for the field at this path, if anything is.
    pub(super) fn get(&self, path: &SourcePath) -> Option<Option<&str>> {
        self.is_consulted.store(true, Ordering::Relaxed);
        let asked = self.asked.get(path)?;
        asked.is_met.store(true, Ordering::Relaxed);
        Some(asked.name.as_deref())
    }

    /// The options that no field was there for, once there were fields: they are misspelt, or not needed.
    pub fn unmet(&self) -> Vec<&str> {
        if !self.is_consulted.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let unmet = self.asked.values();
        let unmet = unmet.filter(|asked| !asked.is_met.load(Ordering::Relaxed));
        let mut options: Vec<&str> = unmet.map(|asked| &*asked.option).collect();
        options.sort_unstable();
        options
    }
}

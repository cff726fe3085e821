//! The paths by which filters are indexed, and the values of one record there.
//!
//! A path is followed once for a record, however many shapes have it.

use std::cell::RefCell;
use std::ops::Range;

use crate::query::path::{FieldPath, Leaf};
use crate::value::{Record, Steps, TooCostly, ValueRef};

/// Steps to find the values at one path of a record: about thirty microseconds. Where it takes more, all filters that are
/// indexed by the path are candidates.
const PATH_STEPS_MAX: u64 = 10_000;

/// Bytes of text that one step hashes, about.
const HASHED_BYTES_PER_STEP: usize = 16;

/// A path of the table, as long as it is there.
pub(super) type PathId = usize;

/// Paths, each once, with the number of their uses.
#[derive(Debug, Default)]
pub(super) struct PathTable {
    /// `None` is free for another.
    paths: Vec<Option<(FieldPath, usize)>>,
}

impl PathTable {
    /// Adds a use of the path.
    pub(super) fn add(&mut self, path: &FieldPath) -> PathId {
        let known = |(known, _): &(FieldPath, usize)| known == path;
        let mut paths = self.paths.iter();
        if let Some(id) = paths.position(|place| place.as_ref().is_some_and(known)) {
            let (_, uses) = self.paths[id].as_mut().expect("it was found there");
            *uses += 1;
            return id;
        }
        let place = Some((path.clone(), 1));
        match self.paths.iter().position(Option::is_none) {
            Some(id) => {
                self.paths[id] = place;
                id
            }
            None => {
                self.paths.push(place);
                self.paths.len() - 1
            }
        }
    }

    /// Takes a use away.
    pub(super) fn remove(&mut self, id: PathId) {
        let place = &mut self.paths[id];
        match place {
            Some((_, uses)) if *uses > 1 => *uses -= 1,
            _ => *place = None,
        }
    }

    pub(super) fn path(&self, id: PathId) -> Option<&FieldPath> {
        self.paths[id].as_ref().map(|(path, _)| path)
    }

    /// Whether no path is used.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.paths.iter().all(Option::is_none)
    }

    /// For the values of another record.
    pub(super) fn hashes(&self) -> ValueHashes {
        ValueHashes {
            hashes: Vec::new(),
            found: vec![None; self.paths.len()],
        }
    }
}

/// The hashes of a record's values, at those paths that were followed.
pub(super) struct ValueHashes {
    hashes: Vec<u64>,
    /// Where those of a path are among them; an error if there are too many to be found.
    found: Vec<Option<Result<Range<usize>, TooCostly>>>,
}

impl ValueHashes {
    /// Finds those of a path, unless they were found before.
    pub(super) fn find(
        &mut self,
        id: PathId,
        paths: &PathTable,
        record: &impl Record,
        steps: &Steps,
        hash: &impl Fn(ValueRef<'_>) -> Option<u64>,
    ) -> Result<(), TooCostly> {
        if let Some(found) = &self.found[id] {
            return found.as_ref().map(drop).map_err(|costly| *costly);
        }
        let path = paths.path(id).expect("a shape has a use of it");
        let own = Steps::new(PATH_STEPS_MAX.min(steps.left()));
        let from = self.hashes.len();
        let hashes = RefCell::new(&mut self.hashes);
        let followed = path.any(record, Leaf::Elements, &own, &|value| {
            if let Some(ValueRef::String(text)) = value {
                own.take((text.len() / HASHED_BYTES_PER_STEP) as u64)?;
            }
            hashes.borrow_mut().extend(value.and_then(hash));
            Ok(false)
        });
        steps.spend(own.taken());
        let found = followed.map(|_| from..self.hashes.len());
        let outcome = found.as_ref().map(drop).map_err(|costly| *costly);
        self.found[id] = Some(found);
        outcome
    }

    /// Those of a path that was followed.
    pub(super) fn at(&self, id: PathId) -> &[u64] {
        match &self.found[id] {
            Some(Ok(range)) => &self.hashes[range.clone()],
            Some(Err(_)) | None => &[],
        }
    }
}

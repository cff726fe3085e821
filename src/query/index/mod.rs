//! An index of filters by the values that they require, so that a record is matched against few of them.
//!
//! A filter that requires values by equality (`{"topic": "t1"}`, `$in`, and of an `$or` each branch) is indexed under them
//! and their paths: only records with these values there can match it. Every other filter is a candidate for every record.
//! So a rule such as `{"$or": [{"public": true}, {"owner": "u1"}]}`, of which there is one for each user, costs a change
//! what the users cost that may see it, and not what all of them would.
//!
//! The one invariant: a filter that matches a record is always among its candidates. A candidate too many costs a
//! match.
//!
//! `terms` reads a filter; here is what is kept of it. A **shape** is the paths that an alternative has conditions on: a
//! record is looked up once for each shape, whatever the number of filters. `paths` are those of all shapes, each of which
//! is followed once.

mod paths;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use super::filter::Filter;
use super::path::FieldPath;
use crate::value::{Record, Steps, TooCostly, ValueRef, whole};
use paths::{PathId, PathTable, ValueHashes};
use terms::Alternative;

/// Values of several paths are looked up in each combination; if there are more, all filters of the shape are candidates.
const COMBINATIONS_MAX: usize = 1_024;

/// The keys of filters, by the values that a matching record must have.
///
/// Only a hash of the values is kept: two with one hash make a candidate too many, never one too few.
#[derive(Debug)]
pub struct FilterIndex<K> {
    /// As many as there are different sets of paths: few.
    shapes: Vec<FilterShape<K>>,
    paths: PathTable,
    /// Filters that require no value.
    unindexed: Vec<K>,
    /// Seeded, so that no client can choose values with one hash.
    hasher: RandomState,
}

#[derive(Debug)]
struct FilterShape<K> {
    /// In the order of their texts. One can stand there twice: an array may have both of two values.
    paths: Vec<PathId>,
    by_values: HashMap<u64, Vec<K>>,
}

/// Where a filter is indexed: a shape, and the hash of the values.
type TermPlace<'a> = (Vec<&'a FieldPath>, u64);

impl<K> Default for FilterIndex<K> {
    fn default() -> Self {
        Self {
            shapes: Vec::new(),
            paths: PathTable::default(),
            unindexed: Vec::new(),
            hasher: RandomState::new(),
        }
    }
}

impl<K: Copy + Ord> FilterIndex<K> {
    /// Adds a filter with its key.
    pub fn insert(&mut self, filter: &Filter, key: K) {
        let Some(places) = self.places(filter) else {
            return self.unindexed.push(key);
        };
        for (paths, hash) in places {
            let index = self.position(&paths).unwrap_or_else(|| {
                let paths = paths.into_iter().map(|path| self.paths.add(path));
                self.shapes.push(FilterShape {
                    paths: paths.collect(),
                    by_values: HashMap::new(),
                });
                self.shapes.len() - 1
            });
            let by_values = &mut self.shapes[index].by_values;
            by_values.entry(hash).or_default().push(key);
        }
    }

    /// Removes a filter that was added with this key.
    pub fn remove(&mut self, filter: &Filter, key: K) {
        let Some(places) = self.places(filter) else {
            return self.unindexed.retain(|known| *known != key);
        };
        for (paths, hash) in places {
            let Some(index) = self.position(&paths) else {
                continue;
            };
            let by_values = &mut self.shapes[index].by_values;
            if let Some(keys) = by_values.get_mut(&hash) {
                keys.retain(|known| *known != key);
                if keys.is_empty() {
                    by_values.remove(&hash);
                }
            }
            if by_values.is_empty() {
                let shape = self.shapes.swap_remove(index);
                shape.paths.into_iter().for_each(|id| self.paths.remove(id));
            }
        }
    }

    /// Adds the keys of all filters that may match the record; some perhaps more than once.
    ///
    /// If paths lead to too many values, or no steps are left, all filters indexed there are candidates.
    pub fn candidates(&self, record: &impl Record, steps: &Steps, candidates: &mut Vec<K>) {
        candidates.extend_from_slice(&self.unindexed);
        let mut hashes = self.paths.hashes();
        for shape in &self.shapes {
            let looked_up = self.look_up(shape, record, &mut hashes, steps, candidates);
            if looked_up.is_err() {
                candidates.extend(shape.by_values.values().flatten());
            }
        }
    }

    fn look_up(
        &self,
        shape: &FilterShape<K>,
        record: &impl Record,
        hashes: &mut ValueHashes,
        steps: &Steps,
        candidates: &mut Vec<K>,
    ) -> Result<(), TooCostly> {
        let mut combinations = 1_usize;
        for id in &shape.paths {
            hashes.find(*id, &self.paths, record, steps, &|value| self.hash(value))?;
            combinations = combinations.saturating_mul(hashes.at(*id).len());
        }
        if combinations > COMBINATIONS_MAX && shape.paths.len() > 1 {
            return Err(TooCostly);
        }
        // The paths themselves were counted.
        steps.take((combinations / 4) as u64)?;
        self.look_up_combinations(shape, &shape.paths, None, hashes, candidates);
        Ok(())
    }

    /// Looks each combination up of values at these paths, after others whose hash together is this.
    fn look_up_combinations(
        &self,
        shape: &FilterShape<K>,
        paths: &[PathId],
        before: Option<u64>,
        hashes: &ValueHashes,
        candidates: &mut Vec<K>,
    ) {
        let Some((first, others)) = paths.split_first() else {
            let keys = before.and_then(|hash| shape.by_values.get(&hash));
            return candidates.extend(keys.into_iter().flatten());
        };
        for hash in hashes.at(*first) {
            let hash = before.map_or(*hash, |before| combine(before, *hash));
            self.look_up_combinations(shape, others, Some(hash), hashes, candidates);
        }
    }

    /// Whether nothing is left of any filter.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.shapes.is_empty() && self.unindexed.is_empty() && self.paths.is_empty()
    }

    fn position(&self, paths: &[&FieldPath]) -> Option<usize> {
        let is_it = |shape: &FilterShape<K>| {
            let known = shape.paths.iter().map(|id| self.paths.path(*id));
            known.eq(paths.iter().map(|path| Some(*path)))
        };
        self.shapes.iter().position(is_it)
    }

    /// Where the filter is indexed, each place once; `None` if it can be found by nothing. The same whenever it is asked.
    fn places<'a>(&self, filter: &'a Filter) -> Option<Vec<TermPlace<'a>>> {
        let alternatives = filter.root.terms()?.alternatives;
        let places = alternatives
            .iter()
            .map(|alternative| self.place(alternative));
        let mut places: Vec<TermPlace<'a>> = places.collect::<Option<_>>()?;
        places.sort_unstable_by(|a, b| texts(a).cmp(texts(b)).then(a.1.cmp(&b.1)));
        places.dedup();
        Some(places)
    }

    fn place<'a>(&self, alternative: &Alternative<'a>) -> Option<TermPlace<'a>> {
        let conditions = alternative.iter().map(|condition| {
            let hash = self.hash(condition.value.borrow())?;
            Some((condition.path, hash))
        });
        let mut conditions: Vec<(&FieldPath, u64)> = conditions.collect::<Option<_>>()?;
        conditions.sort_unstable_by(|a, b| a.0.as_str().cmp(b.0.as_str()).then(a.1.cmp(&b.1)));
        conditions.dedup();
        let hashes = conditions.iter().map(|(_, hash)| *hash);
        let hash = hashes.reduce(combine)?;
        Some((conditions.into_iter().map(|(path, _)| path).collect(), hash))
    }

    /// The same for values that filters find equal, so for `1` and `1.0`; `None` for those that index no filter.
    fn hash(&self, value: ValueRef<'_>) -> Option<u64> {
        let mut hasher = self.hasher.build_hasher();
        match value {
            ValueRef::Bool(flag) => flag.hash(&mut hasher),
            ValueRef::String(text) => text.hash(&mut hasher),
            ValueRef::Int(number) => number.hash(&mut hasher),
            ValueRef::Float(number) => match whole(number) {
                Some(number) => number.hash(&mut hasher),
                None => number.to_bits().hash(&mut hasher),
            },
            ValueRef::Null | ValueRef::Array(_) | ValueRef::Object(_) => return None,
        }
        Some(hasher.finish())
    }
}

fn texts<'a>(place: &'a TermPlace<'_>) -> impl Iterator<Item = &'a str> {
    place.0.iter().map(|path| path.as_str())
}

/// The hash of two values together. Nobody knows theirs, so it need not be as good.
fn combine(first: u64, second: u64) -> u64 {
    first.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ second
}

//! What declared indexes ask of every record that is written.

use std::sync::Arc;

use super::declaration::Index;
use crate::query::{FieldPath, Segment};
use crate::value::{Invalid, Record, Value, ValueRef};

/// What is asked of every event, whoever writes it.
#[derive(Debug, Clone, Default)]
pub struct IndexRules {
    /// No two events may hold the same in one of these.
    pub unique: Vec<Arc<Index>>,
    /// No event may have arrays in two fields of one of these.
    pub single_array: Vec<Arc<Index>>,
}

const PARALLEL: &str = "another field of the same index holds an array as well";

impl IndexRules {
    /// Whether a record can stand in each index, whatever others hold.
    ///
    /// # Errors
    /// The path of the field that is at fault.
    pub fn check(&self, record: &impl Record) -> Result<(), Invalid> {
        let mut parallel = self.single_array.iter();
        match parallel.find_map(|index| index.parallel_array(record)) {
            None => Ok(()),
            Some(path) => Err(Invalid::new(path, PARALLEL)),
        }
    }
}

/// A field of an index on the way to its values.
#[derive(Clone, Copy)]
struct Way<'a> {
    path: &'a FieldPath,
    value: ValueRef<'a>,
    rest: &'a [Segment],
}

impl Index {
    /// The path of a field that leads to an array where another leads to one of its own: MongoDB refuses a document for
    /// that, since its keys would be all their combinations.
    pub(crate) fn parallel_array(&self, record: &impl Record) -> Option<String> {
        let ways = self.fields.iter().filter_map(|field| {
            let path = &field.path;
            let (first, rest) = path.segments().split_first()?;
            let value = record.field(&first.name)?;
            Some(Way { path, value, rest })
        });
        parallel(&ways.collect::<Vec<_>>()).map(|path| path.as_str().to_owned())
    }
}

/// Of ways that begin in one document, the path of one whose first array is not that of another.
fn parallel<'a>(ways: &[Way<'a>]) -> Option<&'a FieldPath> {
    let arrays = ways.iter().filter_map(|way| way.to_array());
    let arrays: Vec<(Way<'a>, &'a [Value])> = arrays.collect();
    let (first, items) = arrays.first()?;
    if let Some((other, _)) = arrays.iter().find(|(way, _)| way.gone() != first.gone()) {
        return Some(other.path);
    }
    if arrays.len() < 2 {
        return None;
    }
    let within = |item: &'a Value| {
        let ways = arrays.iter().filter_map(|(way, _)| way.within(item));
        parallel(&ways.collect::<Vec<_>>())
    };
    items.iter().find_map(within)
}

impl<'a> Way<'a> {
    /// The part of the path that is behind.
    fn gone(&self) -> &'a [Segment] {
        let segments = self.path.segments();
        &segments[..segments.len() - self.rest.len()]
    }

    /// The same way as far as its first array, if it comes to one.
    fn to_array(self) -> Option<(Self, &'a [Value])> {
        let mut way = self;
        loop {
            match way.value {
                ValueRef::Array(items) => return Some((way, items)),
                ValueRef::Object(document) => {
                    let (next, rest) = way.rest.split_first()?;
                    way.value = document.get(&next.name)?.borrow();
                    way.rest = rest;
                }
                _ => return None,
            }
        }
    }

    /// The way that goes on in an element of its array.
    fn within(self, element: &'a Value) -> Option<Self> {
        let (next, rest) = self.rest.split_first()?;
        let value = element.as_object()?.get(&next.name)?.borrow();
        Some(Self {
            value,
            rest,
            ..self
        })
    }
}

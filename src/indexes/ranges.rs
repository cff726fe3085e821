//! The part of an index that a filter, or an order, is about: ranges of its keys.

use super::declaration::Index;
use super::encoding;
use super::keys;
use super::keys::{FieldSet, WIDE};
use super::spans;
use super::spans::{Conjunction, ValueSpan};
use crate::limits;
use crate::query::{Direction, KeyValue, Query, SortKey};
use crate::value::{Record, Steps, TooCostly, ValueRef};

/// Entries whose key is at least `from`, and below `to`; an entry is its key followed by an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
}

/// An index in which the entries that matter stand in the order of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderedRange {
    pub(crate) range: KeyRange,
    /// How many of its first fields are the same in all of the range.
    pub(crate) fixed: usize,
    /// Those fields, which every key of the range begins with.
    beginning: Vec<u8>,
    /// Whether the answer goes from the last key to the first.
    pub(crate) is_backward: bool,
    /// The direction of ids of one key.
    pub(crate) ids: Direction,
}

impl KeyRange {
    /// All keys that begin with these bytes.
    pub(crate) fn beginning_with(key: Vec<u8>) -> Self {
        let to = match key.is_empty() {
            true => vec![0xFE],
            false => spans::after(&key),
        };
        Self { from: key, to }
    }

    /// The records that every query looks at.
    pub(crate) fn wide() -> Self {
        Self {
            from: WIDE.to_vec(),
            to: Vec::new(),
        }
    }

    /// The part of it that comes after an entry in this direction.
    pub(crate) fn beyond(&self, entry: &[u8], direction: Direction) -> Self {
        let Self { from, to } = self.clone();
        match direction {
            Direction::Ascending => Self {
                from: from.max([entry, &[0]].concat()),
                to,
            },
            Direction::Descending => Self {
                from,
                to: to.min(entry.to_vec()),
            },
        }
    }

    /// The end, if there is one.
    pub(crate) fn end(&self) -> Option<&[u8]> {
        (!self.to.is_empty()).then_some(&self.to)
    }
}

impl Index {
    /// The ranges in which each record that matches has an entry, but for those with the key [`WIDE`]; `None` if they
    /// would be all, or too many.
    pub(super) fn ranges(
        &self,
        conjunction: &Conjunction<'_>,
        spread: FieldSet,
    ) -> Option<Vec<KeyRange>> {
        let mut beginnings = vec![Vec::new()];
        for (place, field) in self.fields.iter().enumerate() {
            let condition = conjunction.condition(&field.path, spread.has(place));
            let Some(condition) = condition else {
                break;
            };
            let count = beginnings.len() * condition.spans.len();
            if count > limits::INDEX_RANGES_MAX {
                break;
            }
            if !condition.is_of_points() {
                let each = |beginning: &Vec<u8>| {
                    let beginning = beginning.clone();
                    let range = move |span: &ValueSpan| span.after(&beginning, field.direction);
                    condition.spans.iter().map(range).collect::<Vec<_>>()
                };
                return Some(in_order(beginnings.iter().flat_map(each).collect()));
            }
            beginnings = beginnings
                .iter()
                .flat_map(|beginning| {
                    let points = condition.spans.iter();
                    points.map(|span| span.after(beginning, field.direction).from)
                })
                .collect();
        }
        if beginnings.first().is_some_and(Vec::is_empty) {
            return None;
        }
        let ranges = beginnings.into_iter().map(KeyRange::beginning_with);
        Some(in_order(ranges.collect()))
    }

    /// Where the answer's order is the index's own: its first fields equal one value each, and by the others, all of
    /// them, the answer is sorted.
    ///
    /// A field that leads to arrays sorts a record by one of its keys. Of several such fields it would not be known by
    /// which together.
    pub(super) fn ordered(
        &self,
        query: &Query,
        conjunction: &Conjunction<'_>,
        spread: FieldSet,
    ) -> Option<OrderedRange> {
        let keys = query.sort.keys();
        let id = keys.iter().position(SortKey::is_id)?;
        let (keys, id) = (&keys[..id], &keys[id]);
        let fixed = self.fields.len().checked_sub(keys.len())?;
        let sorted = &self.fields[fixed..];
        if sorted.is_empty() || sorted.iter().zip(keys).any(|(a, b)| a.path != b.path) {
            return None;
        }
        let is_forward = |(place, key): (usize, &SortKey)| sorted[place].direction == key.direction;
        let forward: Vec<bool> = keys.iter().enumerate().map(is_forward).collect();
        if forward.iter().any(|is_forward| *is_forward != forward[0]) {
            return None;
        }
        let spread = |place: usize| spread.has(place);
        if sorted.len() > 1 && (fixed..self.fields.len()).any(spread) {
            return None;
        }
        let mut beginning = Vec::new();
        for field in &self.fields[..fixed] {
            let point = ValueSpan::Point(conjunction.equal(&field.path)?);
            beginning = point.after(&beginning, field.direction).from;
        }
        let first = &sorted[0];
        let condition = match spread(fixed) {
            true => None,
            false => conjunction.value_condition(&first.path),
        };
        let range = match condition.as_ref().map(|condition| &condition.spans[..]) {
            Some([span]) => span.after(&beginning, first.direction),
            _ => ValueSpan::of_order().after(&beginning, first.direction),
        };
        Some(OrderedRange {
            range,
            fixed,
            beginning,
            is_backward: !forward[0],
            ids: id.direction,
        })
    }
}

/// Which entry of an order is a record's place in it: a record may have others.
impl Index {
    /// The key by which a record that matches is sorted. It has one entry with it.
    ///
    /// # Errors
    /// If the steps run out before.
    pub(crate) fn sort_key_of(
        &self,
        ordered: &OrderedRange,
        query: &Query,
        record: &impl Record,
        steps: &Steps,
    ) -> Result<Vec<u8>, TooCostly> {
        let values = query.sort.keys_of(record, steps)?;
        Ok(self.sort_key(ordered, &values))
    }

    /// The key and the id that the answer goes on after, whether there is such an entry or not; `None` if it begins with
    /// the first entry, or after an id that is no text, as only a forged cursor has it.
    pub(crate) fn cursor_key(
        &self,
        ordered: &OrderedRange,
        query: &Query,
    ) -> Option<(Vec<u8>, String)> {
        let values = query.cursor.as_ref()?.keys();
        match values[self.fields.len() - ordered.fixed] {
            KeyValue::Value(ValueRef::String(id)) => {
                Some((self.sort_key(ordered, &values), id.to_owned()))
            }
            KeyValue::Value(_) | KeyValue::EmptyArray => None,
        }
    }

    fn sort_key(&self, ordered: &OrderedRange, values: &[KeyValue<'_>]) -> Vec<u8> {
        let mut key = ordered.beginning.clone();
        for (field, value) in self.fields[ordered.fixed..].iter().zip(values) {
            let begins = key.len();
            encoding::key(&mut key, *value);
            if field.direction == Direction::Descending {
                keys::invert(&mut key[begins..]);
            }
        }
        key
    }
}

impl ValueSpan {
    /// The keys that begin so, and go on with a value of the span.
    pub(super) fn after(&self, beginning: &[u8], direction: Direction) -> KeyRange {
        let (from, to) = match self {
            Self::Point(point) => (point.clone(), None),
            Self::Between(from, to) => (from.clone(), Some(to.clone())),
        };
        let (from, to) = match direction {
            Direction::Ascending => (from, to),
            Direction::Descending => inverted(from, to),
        };
        let from = [beginning, &from].concat();
        let to = match to {
            Some(to) => [beginning, &to].concat(),
            None => spans::after(&from),
        };
        KeyRange { from, to }
    }
}

/// What lies between the same values where they sort the other way.
fn inverted(mut from: Vec<u8>, to: Option<Vec<u8>>) -> (Vec<u8>, Option<Vec<u8>>) {
    keys::invert(&mut from);
    let Some(mut to) = to else {
        return (from, None);
    };
    keys::invert(&mut to);
    (spans::after(&to), Some(spans::after(&from)))
}

/// None overlaps another: neither do the spans of a condition, nor what its points begin.
fn in_order(mut ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    ranges.sort_unstable_by(|a, b| a.from.cmp(&b.from));
    ranges
}

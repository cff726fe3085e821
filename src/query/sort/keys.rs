//! The values that a record is sorted by, and how two records' values compare.
//!
//! They are the ones that MongoDB takes: of an array the smallest element if ascending, the largest if descending; over
//! several paths through one array, the combination of one element that sorts first. Cursors rest on this: if the two
//! orders differed, pages would lose events.
//!
//! NOTE: where MongoDB refuses to sort (two separate arrays in one record; a number on the path that is both an index
//! of the array and a field of its documents), there is an order here all the same.

use std::cmp::Ordering;

use super::Sort;
use crate::limits;
use crate::query::path::Segment;
use crate::value::{Document, Record, Steps, TooCostly, Value, ValueRef, compare, compare_within};

/// The fields of the sort, and `_id` after them to order equals.
const KEYS_MAX: usize = limits::SORT_FIELDS_MAX + 1;

const _: () = assert!(KEYS_MAX < 16, "`KeySet` has one bit a key");

/// The value of one sort key in a record. A missing value counts as null; an empty array sorts before it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyValue<'a> {
    EmptyArray,
    Value(ValueRef<'a>),
}

/// The values of all sort keys in a record, in the order of the keys; null beyond them.
pub(crate) type KeyValues<'a> = [KeyValue<'a>; KEYS_MAX];

/// A set of a sort's keys, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) struct KeySet(u16);

impl Sort {
    /// The values that the record is sorted by. Costs a step for every element of every array on the way.
    pub(crate) fn keys_of<'a>(
        &self,
        record: &'a impl Record,
        steps: &Steps,
    ) -> Result<KeyValues<'a>, TooCostly> {
        let mut keys = [KeyValue::MISSING; KEYS_MAX];
        let extractor = KeyExtractor { sort: self, steps };
        for (segment, members) in self.by_next_segment(self.all_keys(), 0) {
            steps.take(record.width() as u64)?;
            if let Some(value) = record.field(&segment.name) {
                extractor.reach(value, members, 1, &mut keys)?;
            }
        }
        Ok(keys)
    }

    pub(in crate::query) fn all_keys(&self) -> KeySet {
        KeySet((1 << self.keys().len()) - 1)
    }

    pub(in crate::query) fn compare_keys(
        &self,
        a: &KeyValues<'_>,
        b: &KeyValues<'_>,
        members: KeySet,
    ) -> Ordering {
        members
            .indexes()
            .map(|index| {
                self.keys()[index]
                    .direction
                    .apply(a[index].compare(b[index]))
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// The paths of the keys, some of which begin alike.
impl Sort {
    fn segments(&self, index: usize) -> &[Segment] {
        self.keys()[index].path.segments()
    }

    /// The keys whose path goes on, grouped by its next segment.
    fn by_next_segment(
        &self,
        members: KeySet,
        depth: usize,
    ) -> impl Iterator<Item = (&Segment, KeySet)> {
        let next = move |index: usize| self.segments(index).get(depth);
        members.indexes().filter_map(move |index| {
            let segment = next(index)?;
            let alike = members.only(|other| next(other) == Some(segment));
            (alike.indexes().next() == Some(index)).then_some((segment, alike))
        })
    }

    fn ending(&self, members: KeySet, depth: usize) -> KeySet {
        members.only(|index| self.segments(index).len() == depth)
    }
}

/// Descends into a record along all paths at once, because paths through one array share its elements.
///
/// All `members` have the same first `depth` segments, which lead to the value at hand.
struct KeyExtractor<'s> {
    sort: &'s Sort,
    steps: &'s Steps,
}

impl KeyExtractor<'_> {
    fn reach<'a>(
        &self,
        value: ValueRef<'a>,
        members: KeySet,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Result<(), TooCostly> {
        if let ValueRef::Array(items) = value {
            return self.reach_into(items, members, depth, keys);
        }
        for index in self.sort.ending(members, depth).indexes() {
            keys[index] = KeyValue::Value(value);
        }
        match value {
            ValueRef::Object(document) => self.descend(document, members, depth, keys),
            _ => Ok(()),
        }
    }

    fn descend<'a>(
        &self,
        document: &'a Document,
        members: KeySet,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Result<(), TooCostly> {
        for (segment, members) in self.sort.by_next_segment(members, depth) {
            self.steps.take(1 + document.len() as u64)?;
            if let Some(value) = document.get(&segment.name) {
                self.reach(value.borrow(), members, depth + 1, keys)?;
            }
        }
        Ok(())
    }

    fn reach_into<'a>(
        &self,
        items: &'a [Value],
        members: KeySet,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Result<(), TooCostly> {
        let mut over_elements = self.sort.ending(members, depth);
        for (segment, members) in self.sort.by_next_segment(members, depth) {
            match segment.index.and_then(|index| items.get(index)) {
                Some(item) => self.reach_index(item, members, depth + 1, keys)?,
                None => over_elements = over_elements.union(members),
            }
        }
        if over_elements.is_empty() {
            return Ok(());
        }
        if items.is_empty() {
            for index in self.sort.ending(over_elements, depth).indexes() {
                keys[index] = KeyValue::EmptyArray;
            }
            return Ok(());
        }
        self.reach_least(items, over_elements, depth, keys)
    }

    /// An array at which a path ends by its index is the key's value itself: it is not opened.
    fn reach_index<'a>(
        &self,
        item: &'a Value,
        members: KeySet,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Result<(), TooCostly> {
        let ending = self.sort.ending(members, depth);
        for index in ending.indexes() {
            keys[index] = match item {
                Value::Array(items) if items.is_empty() => KeyValue::EmptyArray,
                _ => KeyValue::Value(item.borrow()),
            };
        }
        let going_on = members.without(ending);
        match going_on.is_empty() {
            true => Ok(()),
            false => self.reach(item.borrow(), going_on, depth, keys),
        }
    }

    /// Takes the values of the element that sorts first.
    fn reach_least<'a>(
        &self,
        items: &'a [Value],
        members: KeySet,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Result<(), TooCostly> {
        let mut least: Option<KeyValues<'a>> = None;
        for item in items {
            let candidate = self.candidate(item, members, depth)?;
            let comes_first = match &least {
                Some(least) => self.compare(&candidate, least, members)?.is_lt(),
                None => true,
            };
            if comes_first {
                least = Some(candidate);
            }
        }
        let least = least.expect("the caller has dealt with an empty array");
        for index in members.indexes() {
            keys[index] = least[index];
        }
        Ok(())
    }

    fn candidate<'a>(
        &self,
        item: &'a Value,
        members: KeySet,
        depth: usize,
    ) -> Result<KeyValues<'a>, TooCostly> {
        self.steps.take(4)?;
        let mut keys = [KeyValue::MISSING; KEYS_MAX];
        for index in self.sort.ending(members, depth).indexes() {
            keys[index] = KeyValue::Value(item.borrow());
        }
        if let Value::Object(document) = item {
            self.descend(document, members, depth, &mut keys)?;
        }
        Ok(keys)
    }

    fn compare(
        &self,
        a: &KeyValues<'_>,
        b: &KeyValues<'_>,
        members: KeySet,
    ) -> Result<Ordering, TooCostly> {
        for index in members.indexes() {
            let order = match (a[index], b[index]) {
                (KeyValue::Value(a), KeyValue::Value(b)) => compare_within(a, b, self.steps)?,
                (a, b) => a.compare(b),
            };
            if order.is_ne() {
                return Ok(self.sort.keys()[index].direction.apply(order));
            }
        }
        Ok(Ordering::Equal)
    }
}

impl KeyValue<'_> {
    pub(in crate::query) const MISSING: Self = Self::Value(ValueRef::Null);

    fn compare(self, other: KeyValue<'_>) -> Ordering {
        match (self, other) {
            (Self::EmptyArray, KeyValue::EmptyArray) => Ordering::Equal,
            (Self::EmptyArray, KeyValue::Value(_)) => Ordering::Less,
            (Self::Value(_), KeyValue::EmptyArray) => Ordering::Greater,
            (Self::Value(a), KeyValue::Value(b)) => compare(a, b),
        }
    }
}

impl KeySet {
    fn indexes(self) -> impl Iterator<Item = usize> {
        (0..KEYS_MAX).filter(move |index| self.0 & (1 << index) != 0)
    }

    fn only(self, keep: impl Fn(usize) -> bool) -> Self {
        Self(
            self.indexes()
                .filter(|index| keep(*index))
                .fold(0, |bits, index| bits | 1 << index),
        )
    }

    fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

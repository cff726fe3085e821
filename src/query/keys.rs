//! The keys a record is sorted by, and how two records' keys compare.
//!
//! A record's keys are the ones MongoDB takes: of an array the smallest element going up and the
//! largest going down; over several paths through one array, the smallest combination that one
//! element offers. A cursor rests on this: were the two orders to differ, pages would lose events.
//!
//! NOTE: where MongoDB refuses to sort (two separate arrays in one record; a number on the path that
//! is both a place in the array and a field of its documents), there is an order here all the same.

use std::cmp::Ordering;

use super::path::Segment;
use super::sort::Sort;
use crate::limits;
use crate::value::{Document, Record, Steps, TooCostly, Value, ValueRef, compare, compare_within};

/// The fields asked for, and `_id` after them to tell equals apart.
const KEYS_MAX: usize = limits::SORT_FIELDS_MAX + 1;

/// What a record is ordered by. A missing value counts as null; an empty array comes before it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyValue<'a> {
    EmptyArray,
    Value(ValueRef<'a>),
}

/// A record's keys, in the order of the sort's.
pub(crate) type KeyValues<'a> = [KeyValue<'a>; KEYS_MAX];

/// Some of a sort's keys, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Members(u16);

impl Sort {
    /// For as long as there are steps left: every element of every array on the way may offer a key.
    pub(super) fn keys_of<'a>(
        &self,
        record: &'a impl Record,
        steps: &Steps,
    ) -> Result<KeyValues<'a>, TooCostly> {
        let mut keys = [KeyValue::MISSING; KEYS_MAX];
        let expansion = Expansion { sort: self, steps };
        for (segment, members) in self.steps(self.members(), 0) {
            steps.take(record.width() as u64)?;
            if let Some(value) = record.field(&segment.name) {
                expansion.reach(value, members, 1, &mut keys)?;
            }
        }
        Ok(keys)
    }

    pub(super) fn members(&self) -> Members {
        Members((1 << self.keys().len()) - 1)
    }

    pub(super) fn compare_keys(
        &self,
        a: &KeyValues<'_>,
        b: &KeyValues<'_>,
        members: Members,
    ) -> Ordering {
        members
            .slots()
            .map(|slot| self.keys()[slot].direction.apply(a[slot].compare(b[slot])))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// The paths of the keys, of which some have their beginnings in common.
impl Sort {
    fn segments(&self, slot: usize) -> &[Segment] {
        self.keys()[slot].path.segments()
    }

    /// The members whose path goes on, by their next segment.
    fn steps(&self, members: Members, depth: usize) -> impl Iterator<Item = (&Segment, Members)> {
        let next = move |slot: usize| self.segments(slot).get(depth);
        members.slots().filter_map(move |slot| {
            let segment = next(slot)?;
            let alike = members.only(|other| next(other) == Some(segment));
            (alike.slots().next() == Some(slot)).then_some((segment, alike))
        })
    }

    fn ending(&self, members: Members, depth: usize) -> Members {
        members.only(|slot| self.segments(slot).len() == depth)
    }
}

/// Walking down a record with all paths at once, because paths through one array share its elements.
/// `depth` is how many segments are behind; all `members` have these in common.
struct Expansion<'s> {
    sort: &'s Sort,
    steps: &'s Steps,
}

type Expanded = Result<(), TooCostly>;

impl Expansion<'_> {
    fn reach<'a>(
        &self,
        value: ValueRef<'a>,
        members: Members,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Expanded {
        if let ValueRef::Array(items) = value {
            return self.reach_into(items, members, depth, keys);
        }
        for slot in self.sort.ending(members, depth).slots() {
            keys[slot] = KeyValue::Value(value);
        }
        match value {
            ValueRef::Object(document) => self.descend(document, members, depth, keys),
            _ => Ok(()),
        }
    }

    fn descend<'a>(
        &self,
        document: &'a Document,
        members: Members,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Expanded {
        for (segment, members) in self.sort.steps(members, depth) {
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
        members: Members,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Expanded {
        let mut over_elements = self.sort.ending(members, depth);
        for (segment, members) in self.sort.steps(members, depth) {
            match segment.index.and_then(|index| items.get(index)) {
                Some(item) => self.reach_place(item, members, depth + 1, keys)?,
                None => over_elements = over_elements.and(members),
            }
        }
        if over_elements.is_none() {
            return Ok(());
        }
        if items.is_empty() {
            for slot in self.sort.ending(over_elements, depth).slots() {
                keys[slot] = KeyValue::EmptyArray;
            }
            return Ok(());
        }
        self.reach_least(items, over_elements, depth, keys)
    }

    /// An array that ends a path by its place is a key as it is, and not opened.
    fn reach_place<'a>(
        &self,
        item: &'a Value,
        members: Members,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Expanded {
        let ending = self.sort.ending(members, depth);
        for slot in ending.slots() {
            keys[slot] = match item {
                Value::Array(items) if items.is_empty() => KeyValue::EmptyArray,
                _ => KeyValue::Value(item.borrow()),
            };
        }
        let going_on = members.without(ending);
        match going_on.is_none() {
            true => Ok(()),
            false => self.reach(item.borrow(), going_on, depth, keys),
        }
    }

    /// Takes the keys of the element whose keys come first in this sort.
    fn reach_least<'a>(
        &self,
        items: &'a [Value],
        members: Members,
        depth: usize,
        keys: &mut KeyValues<'a>,
    ) -> Expanded {
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
        let least = least.expect("an empty array is dealt with before");
        for slot in members.slots() {
            keys[slot] = least[slot];
        }
        Ok(())
    }

    fn candidate<'a>(
        &self,
        item: &'a Value,
        members: Members,
        depth: usize,
    ) -> Result<KeyValues<'a>, TooCostly> {
        self.steps.take(4)?;
        let mut keys = [KeyValue::MISSING; KEYS_MAX];
        for slot in self.sort.ending(members, depth).slots() {
            keys[slot] = KeyValue::Value(item.borrow());
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
        members: Members,
    ) -> Result<Ordering, TooCostly> {
        for slot in members.slots() {
            let order = match (a[slot], b[slot]) {
                (KeyValue::Value(a), KeyValue::Value(b)) => compare_within(a, b, self.steps)?,
                (a, b) => a.compare(b),
            };
            if order.is_ne() {
                return Ok(self.sort.keys()[slot].direction.apply(order));
            }
        }
        Ok(Ordering::Equal)
    }
}

impl KeyValue<'_> {
    pub(super) const MISSING: Self = Self::Value(ValueRef::Null);

    fn compare(self, other: KeyValue<'_>) -> Ordering {
        match (self, other) {
            (Self::EmptyArray, KeyValue::EmptyArray) => Ordering::Equal,
            (Self::EmptyArray, KeyValue::Value(_)) => Ordering::Less,
            (Self::Value(_), KeyValue::EmptyArray) => Ordering::Greater,
            (Self::Value(a), KeyValue::Value(b)) => compare(a, b),
        }
    }
}

impl Members {
    fn slots(self) -> impl Iterator<Item = usize> {
        (0..KEYS_MAX).filter(move |slot| self.0 & (1 << slot) != 0)
    }

    fn only(self, keep: impl Fn(usize) -> bool) -> Self {
        Self(
            self.slots()
                .filter(|slot| keep(*slot))
                .fold(0, |bits, slot| bits | 1 << slot),
        )
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }
}

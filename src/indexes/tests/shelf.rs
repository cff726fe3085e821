//! A store as small as can be: it does with plans what a store does.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use crate::indexes::keys::WIDE;
use crate::indexes::{
    Covering, FieldSet, Index, Indexes, KeyRange, OrderedRange, Plan, RangeLookup, covering, plan,
};
use crate::query::{Direction, Filter, Query};
use crate::value::{Document, Steps, Value};

/// Records, and their entries in some indexes.
pub(super) struct Shelf {
    records: Vec<Document>,
    indexes: Vec<ShelfIndex>,
    /// What narrowing finds is said to be too much.
    pub(super) is_crowded: bool,
}

pub(super) struct ShelfIndex {
    pub(super) index: Index,
    pub(super) spread: FieldSet,
    /// Of each entry, which is a key and an id, the key and the place of the record.
    entries: BTreeMap<Vec<u8>, (Vec<u8>, usize)>,
}

pub(super) fn id_of(record: &Document) -> &str {
    record.get("_id").and_then(Value::as_str).expect("an id")
}

impl ShelfIndex {
    pub(super) fn new(index: Index, records: &[Document]) -> Self {
        let mut entries = BTreeMap::new();
        let mut spread = FieldSet::default();
        for (place, record) in records.iter().enumerate() {
            let keys = index.keys_of(record);
            spread = spread.union(keys.spread);
            for key in keys.keys {
                let entry = [&key, id_of(record).as_bytes()].concat();
                let before = entries.insert(entry, (key, place));
                assert!(before.is_none(), "each key once: {record:?}");
            }
        }
        Self {
            index,
            spread,
            entries,
        }
    }

    pub(super) fn has_wide(&self) -> bool {
        self.entries.keys().any(|entry| entry.starts_with(&WIDE))
    }

    fn within(&self, range: &KeyRange) -> impl Iterator<Item = &(Vec<u8>, usize)> {
        let end = range.end().map(<[u8]>::to_vec);
        let entries = self.entries.range(range.from.clone()..);
        let is_before = move |entry: &Vec<u8>| end.as_ref().is_none_or(|end| entry < end);
        entries
            .take_while(move |(entry, _)| is_before(entry))
            .map(|(_, found)| found)
    }

    /// The places of the records in the order that the query asks for, after its cursor.
    pub(super) fn walk(
        &self,
        ordered: &OrderedRange,
        query: &Query,
        records: &[Document],
    ) -> Vec<usize> {
        let mut entries: Vec<&(Vec<u8>, usize)> = self.within(&ordered.range).collect();
        let direction = match ordered.is_backward {
            true => Direction::Descending,
            false => Direction::Ascending,
        };
        let id = |place: usize| id_of(&records[place]);
        let order = |(key, a): (&[u8], &str), (other, b): (&[u8], &str)| {
            let keys = direction.apply(key.cmp(other));
            keys.then_with(|| ordered.ids.apply(a.cmp(b)))
        };
        entries.sort_by(|(key, a), (other, b)| order((key, id(*a)), (other, id(*b))));
        let cursor = self.index.cursor_key(ordered, query);
        let is_ahead = |(key, place): &&(Vec<u8>, usize)| {
            let cursor = cursor.as_ref();
            cursor.is_none_or(|(last, last_id)| order((key, id(*place)), (last, last_id)).is_gt())
        };
        let steps = Steps::unbounded();
        let is_place = |(key, place): &&(Vec<u8>, usize)| {
            let record = &records[*place];
            let sorts = self.index.sort_key_of(ordered, query, record, &steps);
            sorts.expect("enough steps") == *key
        };
        let matches = |place: &usize| {
            let matches = query.filter.matches(&records[*place], &steps);
            matches.expect("enough steps")
        };
        let here = entries.into_iter().filter(is_ahead).filter(is_place);
        here.map(|(_, place)| *place).filter(matches).collect()
    }
}

impl Shelf {
    pub(super) fn new(records: Vec<Document>, declared: Vec<Index>) -> Self {
        let indexes = declared.into_iter();
        let indexes = indexes
            .map(|index| ShelfIndex::new(index, &records))
            .collect();
        Self {
            records,
            indexes,
            is_crowded: false,
        }
    }

    /// The places of the records that match, in order, whatever the indexes say.
    pub(super) fn whole(&self, query: &Query) -> Vec<usize> {
        self.answer_of(query, (0..self.records.len()).collect())
    }

    /// The same, by the plan.
    pub(super) fn answer(&self, query: &Query) -> (Plan, Vec<usize>) {
        let Ok(plan) = plan(query, self);
        let answer = match &plan {
            Plan::Scan => self.whole(query),
            Plan::Narrow(lookups) => self.answer_of(query, self.named(lookups)),
            Plan::Ordered(index, ordered) => {
                self.indexes[*index].walk(ordered, query, &self.records)
            }
        };
        (plan, answer)
    }

    /// How many records have entries in the ranges that decide a filter, and how many entries; `None` if none decide it.
    pub(super) fn counted(&self, filter: &Filter) -> Option<(usize, usize, bool)> {
        let Ok(covering) = covering(filter, self);
        let Covering {
            lookup,
            has_each_once,
        } = covering?;
        let index = &self.indexes[lookup.index];
        let found = lookup.ranges.iter().flat_map(|range| index.within(range));
        let places: Vec<usize> = found.map(|(_, place)| *place).collect();
        let records: BTreeSet<usize> = places.iter().copied().collect();
        Some((records.len(), places.len(), has_each_once))
    }

    fn named(&self, lookups: &[RangeLookup]) -> BTreeSet<usize> {
        let mut named = BTreeSet::new();
        for RangeLookup { index, ranges } in lookups {
            let wide = KeyRange::wide();
            for range in ranges.iter().chain([&wide]) {
                let found = self.indexes[*index].within(range);
                named.extend(found.map(|(_, place)| *place));
            }
        }
        named
    }

    fn answer_of(&self, query: &Query, among: BTreeSet<usize>) -> Vec<usize> {
        let steps = Steps::unbounded();
        let matches = |place: &usize| {
            let matches = query.filter.matches(&self.records[*place], &steps);
            matches.expect("enough steps")
        };
        let mut answer: Vec<usize> = among.into_iter().filter(matches).collect();
        answer.sort_by(|a, b| query.compare(&self.records[*a], &self.records[*b]));
        answer
    }
}

impl Indexes for Shelf {
    type Error = Infallible;

    fn usable(&self) -> impl Iterator<Item = (usize, &Index, FieldSet)> {
        let indexes = self.indexes.iter().enumerate();
        indexes.map(|(place, of)| (place, &of.index, of.spread))
    }

    fn count(&self, index: usize, ranges: &[KeyRange], most: usize) -> Result<usize, Infallible> {
        let index = &self.indexes[index];
        let found = ranges.iter().flat_map(|range| index.within(range));
        Ok(match self.is_crowded {
            true => most,
            false => found.take(most).count(),
        })
    }

    fn has_wide(&self, index: usize) -> Result<bool, Infallible> {
        Ok(self.indexes[index].has_wide())
    }

    fn events(&self) -> usize {
        self.records.len()
    }
}

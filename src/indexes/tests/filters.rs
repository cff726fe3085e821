//! Whatever a filter matches is found by its ranges.

use std::cell::Cell;
use std::vec::IntoIter;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::records::{IDS, counted, paths_and_index, plain_value, record, scalars, seen};
use crate::indexes::keys::WIDE;
use crate::indexes::spans::Conjunction;
use crate::indexes::{FieldSet, Index, KeyRange};
use crate::query::Filter;
use crate::value::{Document, Steps, Value};

/// What is left to be decided, drawn beforehand: so that what fails shrinks to what is short and simple, for beyond the
/// last every decision is the first.
pub(super) struct Decisions {
    drawn: IntoIter<u8>,
}

/// A filter is made of the values that a record has.
pub(super) struct FilterWriter<'a> {
    pub(super) decisions: Decisions,
    pub(super) record: &'a Document,
    pub(super) paths: &'a [&'a str],
}

impl Decisions {
    pub(super) fn new(drawn: Vec<u8>) -> Self {
        Self {
            drawn: drawn.into_iter(),
        }
    }

    /// One of so many.
    fn of(&mut self, count: usize) -> usize {
        usize::from(self.drawn.next().unwrap_or(0)) % count
    }

    fn one<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.of(among.len())].clone()
    }

    /// Mostly one of these; otherwise one of those that occur anywhere.
    fn operand(&mut self, near: &[Value]) -> Value {
        match near.is_empty() || self.of(4) == 3 {
            true => self.one(&scalars()),
            false => self.one(near),
        }
    }

    fn operands(&mut self, near: &[Value]) -> Value {
        let count = self.of(4);
        Value::Array((0..count).map(|_| self.operand(near)).collect())
    }
}

impl FilterWriter<'_> {
    /// Conditions on fields, and what combines them.
    pub(super) fn filter(&mut self, depth: usize) -> Document {
        let name = match self.decisions.of(10) {
            7 if depth < 2 => "$and",
            8 if depth < 2 => "$or",
            9 if depth < 2 => "$nor",
            _ => return self.field(),
        };
        let count = 1 + self.decisions.of(3);
        let branches = (0..count).map(|_| Value::Object(self.filter(depth + 1)));
        let branches = Value::Array(branches.collect());
        Document::from_iter([(name, branches)])
    }

    fn field(&mut self) -> Document {
        let path = self.decisions.one(self.paths);
        let near = seen(self.record, path);
        let condition = match self.decisions.of(4) {
            0 => self.decisions.operand(&near),
            _ => operators(&mut self.decisions, &near, 0).into(),
        };
        Document::from_iter([(path, condition)])
    }
}

/// One to three operators on a field with about these values.
pub(super) fn operators(decisions: &mut Decisions, near: &[Value], depth: usize) -> Document {
    let mut operators = Document::new();
    for _ in 0..decisions.one(&[1, 1, 2, 3]) {
        let (name, value) = operator(decisions, near, depth);
        if operators.get(name).is_some() {
            continue;
        }
        operators.push(name, value);
        if name == "$regex" && decisions.of(3) == 1 {
            operators.push("$options", decisions.one(&["i", "s", ""]));
        }
    }
    operators
}

fn operator(decisions: &mut Decisions, near: &[Value], depth: usize) -> (&'static str, Value) {
    if near.iter().any(|value| !items(value).is_empty()) && decisions.of(3) == 1 {
        return of_array(decisions, near, depth);
    }
    match decisions.of(15) {
        9 | 14 => ("$exists", decisions.one(&[true, false]).into()),
        10 => (
            "$mod",
            vec![Value::Int(2), Value::Int(decisions.one(&[0, 1]))].into(),
        ),
        11 => ("$regex", pattern(decisions, near).into()),
        12 => ("$type", types(decisions)),
        13 if depth < 2 => ("$not", operators(decisions, near, depth + 1).into()),
        how => {
            let compare = ["$eq", "$gt", "$gte", "$lt", "$lte", "$ne"];
            match compare.get(how) {
                Some(name) => (name, decisions.operand(near)),
                None => (
                    decisions.one(&["$in", "$nin", "$all"]),
                    decisions.operands(near),
                ),
            }
        }
    }
}

/// An operator that is about arrays.
fn of_array(decisions: &mut Decisions, near: &[Value], depth: usize) -> (&'static str, Value) {
    match decisions.of(4) {
        0 | 1 if depth < 2 => ("$elemMatch", element(decisions, near, depth + 1)),
        2 if depth < 2 => {
            let element = element(decisions, near, depth + 1);
            let element = Document::from_iter([("$elemMatch", element)]);
            ("$all", Value::Array(vec![element.into()]))
        }
        _ => ("$size", decisions.one(&[0_i64, 1, 2, 3]).into()),
    }
}

fn types(decisions: &mut Decisions) -> Value {
    const NAMES: [&str; 8] = [
        "null", "number", "string", "object", "array", "bool", "long", "double",
    ];
    let names = (0..=decisions.of(2)).map(|_| Value::from(decisions.one(&NAMES)));
    Value::Array(names.collect())
}

/// A pattern for a text that occurs, with an anchor or without.
fn pattern(decisions: &mut Decisions, near: &[Value]) -> String {
    let mut texts: Vec<&str> = near.iter().filter_map(Value::as_str).collect();
    texts.push("ab");
    let letters: Vec<char> = decisions.one(&texts).chars().collect();
    let beginning: String = letters[..decisions.of(letters.len() + 1)].iter().collect();
    let anchor = decisions.one(&["^", "", r"^\<"]);
    let end = decisions.one(&["", ".", "x?", "x*b*", r"\.?", "$", "|x", "{1}"]);
    match beginning.is_empty() {
        true => anchor.to_owned(),
        false => format!("{anchor}{beginning}{end}"),
    }
}

/// The operand of `$elemMatch`, for elements of these values.
fn element(decisions: &mut Decisions, near: &[Value], depth: usize) -> Value {
    let elements: Vec<Value> = near.iter().flat_map(items).cloned().collect();
    if decisions.of(3) < 2 {
        return operators(decisions, &elements, depth).into();
    }
    let name = decisions.one(&["a", "b", "0"]);
    let objects = elements.iter().filter_map(Value::as_object);
    let values: Vec<Value> = objects
        .filter_map(|object| object.get(name))
        .cloned()
        .collect();
    let condition = operators(decisions, &values, depth);
    Document::from_iter([(name, Value::from(condition))]).into()
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

pub(super) fn parsed(filter: &Document) -> Filter {
    let text = serde_json::to_string(filter).expect("a filter is JSON");
    let value: Value = serde_json::from_str(&text).expect("a filter is JSON");
    Filter::parse(&value, "filter").unwrap_or_else(|invalid| panic!("{text}: {invalid}"))
}

/// A record, another of its store, an index, and what makes filters.
type FilterCase = (Document, Document, (Vec<&'static str>, Index), Vec<Vec<u8>>);

fn cases() -> impl Strategy<Value = FilterCase> {
    let decisions = prop::collection::vec(any::<u8>(), 0..32);
    let decisions = prop::collection::vec(decisions, 0..12);
    (record(), record(), paths_and_index(), decisions)
}

/// What became of filters that an index has ranges for.
#[derive(Debug, Default)]
struct FoundCounts {
    matching: Cell<usize>,
    /// Found, and do not match.
    candidates: Cell<usize>,
    passed_over: Cell<usize>,
}

impl FoundCounts {
    fn count(&self, matches: bool, is_found: bool) {
        let count = match (matches, is_found) {
            (true, _) => &self.matching,
            (false, true) => &self.candidates,
            (false, false) => &self.passed_over,
        };
        count.set(count.get() + 1);
    }
}

fn is_in(entry: &[u8], range: &KeyRange) -> bool {
    range.from.as_slice() <= entry && range.end().is_none_or(|end| entry < end)
}

/// Whether some key is in the ranges, whatever the id behind it.
fn are_found(keys: &[Vec<u8>], ranges: &[KeyRange]) -> bool {
    let is_found = |entry: Vec<u8>| ranges.iter().any(|range| is_in(&entry, range));
    keys.iter().any(|key| {
        let mut entries = IDS.iter().map(|id| [key, id.as_bytes()].concat());
        *key == WIDE || entries.all(is_found)
    })
}

/// An entry is in one of them at most.
fn are_in_order(ranges: &[KeyRange]) -> bool {
    let mut pairs = ranges.windows(2);
    ranges.iter().all(|range| range.from <= range.to) && pairs.all(|two| two[0].to <= two[1].from)
}

fn judge(case: FilterCase, tally: &FoundCounts) -> Result<(), TestCaseError> {
    let (record, other, (paths, index), drawn) = case;
    let of_record = index.keys_of(&record);
    let least = of_record.spread;
    let of_both = least.union(index.keys_of(&other).spread);
    for drawn in drawn {
        let mut writer = FilterWriter {
            decisions: Decisions::new(drawn),
            record: &record,
            paths: &paths,
        };
        let written = writer.filter(0);
        let filter = parsed(&written);
        let matches = filter.matches(&record, &Steps::unbounded());
        let matches = matches.expect("enough steps");
        for spread in [least, of_both, FieldSet(0xFF)] {
            let ranges = index.ranges(&Conjunction::of(&filter.root), spread);
            let Some(ranges) = ranges else {
                continue;
            };
            prop_assert!(are_in_order(&ranges), "{:?}", ranges);
            let is_found = are_found(&of_record.keys, &ranges);
            let json = || serde_json::to_string(&written).expect("a filter is JSON");
            prop_assert!(!matches || is_found, "{} {:?}", json(), spread);
            tally.count(matches, is_found);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_matches_is_found(case in cases()) {
        judge(case, &FoundCounts::default())?;
    }

    #[test]
    fn what_does_not_compare_so_is_passed_over(
        value in plain_value(),
        operand in plain_value(),
        relation in prop::sample::select(vec!["$eq", "$gt", "$gte", "$lt", "$lte"]),
        index in prop::sample::select(vec!["a", "-a"]),
    ) {
        let record = Document::from_iter([("a", value)]);
        let condition = Document::from_iter([(relation, operand)]);
        let filter = parsed(&Document::from_iter([("a", condition.into())]));
        let matches = filter.matches(&record, &Steps::unbounded()).expect("enough steps");
        let index: Index = index.parse().expect("an index");
        let keys = index.keys_of(&record);
        let ranges = index.ranges(&Conjunction::of(&filter.root), keys.spread);
        let is_found = are_found(&keys.keys, &ranges.expect("it compares the field"));
        prop_assert!(is_found == matches || keys.keys == [WIDE]);
    }
}

#[test]
fn the_cases_are_of_all_kinds() {
    let tally = FoundCounts::default();
    let run = counted(300).run(&cases(), |case| judge(case, &tally));
    run.expect("what matches is found");
    let counts = [&tally.matching, &tally.candidates, &tally.passed_over];
    assert!(counts.iter().all(|count| count.get() > 200), "{tally:?}");
}

#[test]
fn what_is_seldom_drawn_is_found() {
    for (record, filter, index) in [
        (
            r#"{"a":[[2]]}"#,
            r#"{"a":{"$elemMatch":{"$elemMatch":{"$gt":1}}}}"#,
            "a",
        ),
        (
            r#"{"a":[[null]]}"#,
            r#"{"a":{"$elemMatch":{"$eq":[null]}}}"#,
            "a",
        ),
        (
            r#"{"a":[[1,2]]}"#,
            r#"{"a.0":{"$elemMatch":{"$gt":1}}}"#,
            "-a.0",
        ),
        (
            r#"{"a":[null]}"#,
            r#"{"a":{"$elemMatch":{"$exists":true}}}"#,
            "a",
        ),
        (r#"{"a":[null]}"#, r#"{"a":{"$type":"null"}}"#, "a"),
        (
            r#"{"a":null}"#,
            r#"{"a":{"$exists":true,"$lte":null}}"#,
            "a",
        ),
        (r#"{"a":[1]}"#, r#"{"a.b":{"$exists":false}}"#, "a.b"),
        (r#"{"a":[]}"#, r#"{"a":{"$size":0,"$exists":true}}"#, "-a"),
        (r#"{"a":[1,9]}"#, r#"{"a":{"$lt":2,"$gt":8}}"#, "a"),
        (
            r#"{"a":"a\u0000b"}"#,
            r#"{"a":{"$regex":"^a\u0000"}}"#,
            "-a",
        ),
        (r#"{"a":"ab"}"#, r#"{"a":{"$regex":"^\\<ab"}}"#, "a"),
    ] {
        let record: Document = serde_json::from_str(record).expect("the test's own JSON");
        let filter: Document = serde_json::from_str(filter).expect("the test's own JSON");
        let filter = parsed(&filter);
        let index: Index = index.parse().expect("an index");
        assert_eq!(filter.matches(&record, &Steps::unbounded()), Ok(true));
        let keys = index.keys_of(&record);
        let ranges = index.ranges(&Conjunction::of(&filter.root), keys.spread);
        let ranges = ranges.unwrap_or_else(|| panic!("{filter:?} has ranges"));
        assert!(are_found(&keys.keys, &ranges), "{record:?} {filter:?}");
    }
}

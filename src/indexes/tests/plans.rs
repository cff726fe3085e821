//! Which index answers a query; and that the answer is the same whichever does.

use std::cell::Cell;
use std::convert::Infallible;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::filters::{Decisions, FilterWriter};
use super::records::{counted, index_of, paths, records};
use super::shelf::Shelf;
use crate::indexes::{FieldSet, Index, Indexes, KeyRange, Plan, plan};
use crate::limits;
use crate::query::Query;
use crate::value::{Document, Value};

/// Indexes of which each finds so much, whatever it is asked for.
struct Declared {
    indexes: Vec<(Index, usize)>,
    events: usize,
    has_wide: bool,
    spread: FieldSet,
}

impl Indexes for Declared {
    type Error = Infallible;

    fn usable(&self) -> impl Iterator<Item = (usize, &Index, FieldSet)> {
        let indexes = self.indexes.iter().enumerate();
        indexes.map(|(place, (index, _))| (place, index, self.spread))
    }

    fn count(&self, index: usize, ranges: &[KeyRange], most: usize) -> Result<usize, Infallible> {
        let found = self.indexes[index].1;
        Ok(if ranges.is_empty() {
            0
        } else {
            found.min(most)
        })
    }

    fn has_wide(&self, _: usize) -> Result<bool, Infallible> {
        Ok(self.has_wide)
    }

    fn events(&self) -> usize {
        self.events
    }
}

impl Declared {
    fn new(indexes: &[(&str, usize)]) -> Self {
        let indexes = indexes.iter();
        let indexes = indexes.map(|(name, found)| (name.parse().expect("an index"), *found));
        Self {
            indexes: indexes.collect(),
            events: 1_000_000,
            has_wide: false,
            spread: FieldSet::default(),
        }
    }

    /// The plan in short: the indexes and how many ranges of each, or how many fields are fixed in the order.
    fn plan(&self, request: &str) -> String {
        let request: Document = serde_json::from_str(request).expect("the test's own JSON");
        let query = Query::parse(&request, "").expect("a good query");
        let Ok(chosen) = plan(&query, self);
        let Ok(again) = plan(&query, self);
        assert_eq!(chosen, again);
        match chosen {
            Plan::Scan => "scan".to_owned(),
            Plan::Narrow(lookups) => {
                let lookups = lookups.iter();
                let names = lookups.map(|found| {
                    let name = self.indexes[found.index].0.name();
                    format!("{name} {}", found.ranges.len())
                });
                names.collect::<Vec<String>>().join("; ")
            }
            Plan::Ordered(index, ordered) => {
                let way = if ordered.is_backward {
                    "backward"
                } else {
                    "forward"
                };
                let name = self.indexes[index].0.name();
                format!("{name} {way} after {}", ordered.fixed)
            }
        }
    }
}

const FEW: usize = 100;
const MANY: usize = limits::INDEX_LOOK_MAX + 1;

#[test]
fn an_equality_takes_the_index_that_finds_the_fewest() {
    let declared = Declared::new(&[("a", FEW), ("b", FEW - 1), ("a,c", FEW - 1)]);
    for (request, plan) in [
        (r#"{"filter":{"a":1}}"#, "a,c 1"),
        (r#"{"filter":{"a":1,"b":2}}"#, "b 1"),
        (r#"{"filter":{"a":{"$in":[1,2,2]}}}"#, "a,c 2"),
        (r#"{"filter":{"a":{"$in":[]}}}"#, "a 0"),
        (r#"{"filter":{"c":1}}"#, "scan"),
        (r#"{"filter":{"a":{"$ne":1}}}"#, "scan"),
        (r#"{"filter":{"$nor":[{"a":1}]}}"#, "scan"),
        ("{}", "scan"),
    ] {
        assert_eq!(declared.plan(request), plan, "{request}");
    }
}

#[test]
fn a_compound_index_serves_what_goes_on_after_equalities() {
    let declared = Declared::new(&[("a,-b", FEW)]);
    for (request, plan) in [
        (r#"{"filter":{"a":1,"b":{"$gt":2}}}"#, "a,-b 1"),
        (r#"{"filter":{"a":{"$in":[1,2]},"b":{"$gt":2}}}"#, "a,-b 2"),
        (r#"{"filter":{"b":{"$gt":2}}}"#, "scan"),
    ] {
        assert_eq!(declared.plan(request), plan, "{request}");
    }
    let declared = Declared::new(&[("a,-b", MANY)]);
    for (request, plan) in [
        (
            r#"{"filter":{"a":1},"sort":{"b":-1}}"#,
            "a,-b forward after 1",
        ),
        (
            r#"{"filter":{"a":1},"sort":{"b":1}}"#,
            "a,-b backward after 1",
        ),
        (r#"{"sort":{"a":1,"b":-1}}"#, "a,-b forward after 0"),
        (
            r#"{"sort":{"a":-1,"b":1,"_id":-1}}"#,
            "a,-b backward after 0",
        ),
        (
            r#"{"sort":{"a":1,"b":-1,"_id":1,"c":1}}"#,
            "a,-b forward after 0",
        ),
        (r#"{"sort":{"a":1,"b":1}}"#, "scan"),
        // All other fields must be sorted by.
        (r#"{"sort":{"a":1}}"#, "scan"),
        (r#"{"filter":{"a":{"$gt":1}},"sort":{"b":1}}"#, "scan"),
    ] {
        assert_eq!(declared.plan(request), plan, "{request}");
    }
}

#[test]
fn the_order_that_fixes_most_is_taken() {
    let declared = Declared::new(&[("b", MANY), ("a,b", MANY), ("c,b", MANY)]);
    let plan = declared.plan(r#"{"filter":{"a":1,"c":1},"sort":{"b":1}}"#);
    assert_eq!(plan, "a,b forward after 1");
}

#[test]
fn an_or_is_looked_up_by_all_its_branches_or_not_at_all() {
    let declared = Declared::new(&[("a", FEW), ("b", FEW), ("d", 3 * FEW)]);
    for (request, plan) in [
        (r#"{"filter":{"$or":[{"a":1},{"b":1}]}}"#, "a 1; b 1"),
        (r#"{"filter":{"$or":[{"a":1},{"c":1}]}}"#, "scan"),
        // Fewer than the condition beside it, or more.
        (r#"{"filter":{"d":1,"$or":[{"a":1},{"b":1}]}}"#, "a 1; b 1"),
        (r#"{"filter":{"a":1,"$or":[{"a":1},{"b":1}]}}"#, "a 1"),
        (
            r#"{"filter":{"$or":[{"$or":[{"a":1},{"b":1}]},{"b":2}]}}"#,
            "a 1; b 1; b 1",
        ),
    ] {
        assert_eq!(declared.plan(request), plan, "{request}");
    }
    let branches = vec![r#"{"a":1}"#; 40].join(",");
    let both = format!(r#"{{"filter":{{"$and":[{{"$or":[{branches}]}}]}}}}"#);
    assert_eq!(declared.plan(&both), vec!["a 1"; 40].join("; "));
    let declared = Declared::new(&[("a", MANY / 2)]);
    let together = declared.plan(r#"{"filter":{"$or":[{"a":1},{"a":2},{"a":3}]}}"#);
    assert_eq!(together, "scan", "all branches are counted together");
}

#[test]
fn what_finds_too_much_is_not_looked_up() {
    let filter = r#"{"filter":{"a":1}}"#;
    let plan = |found: usize, events: usize| {
        let mut declared = Declared::new(&[("a", found)]);
        declared.events = events;
        declared.plan(filter)
    };
    // An eighth of all, within bounds.
    assert_eq!(plan(50_000, 400_000), "a 1");
    assert_eq!(plan(50_001, 400_000), "scan");
    assert_eq!(plan(limits::INDEX_LOOK_MAX, 10_000_000), "a 1");
    assert_eq!(plan(limits::INDEX_LOOK_MAX + 1, 10_000_000), "scan");
    assert_eq!(plan(limits::INDEX_LOOK_MIN, 0), "a 1");
    assert_eq!(plan(limits::INDEX_LOOK_MIN + 1, 0), "scan");
}

#[test]
fn a_page_in_order_looks_at_what_is_fewer() {
    let request = r#"{"filter":{"b":1},"sort":{"a":1},"limit":25}"#;
    let plan = |found: usize| Declared::new(&[("a", MANY), ("b", found)]).plan(request);
    // The root of the limit times all events.
    assert_eq!(plan(5_000), "b 1");
    assert_eq!(plan(5_001), "a forward after 0");
}

#[test]
fn an_order_must_be_that_of_all_records() {
    let sort = r#"{"sort":{"a":1}}"#;
    let several = r#"{"sort":{"a":1,"b":1}}"#;
    let mut declared = Declared::new(&[("a", MANY), ("a,b", MANY)]);
    assert_eq!(declared.plan(several), "a,b forward after 0");
    declared.spread = FieldSet::default().with(1);
    assert_eq!(declared.plan(sort), "a forward after 0");
    assert_eq!(declared.plan(several), "scan");
    declared.has_wide = true;
    assert_eq!(declared.plan(sort), "scan");
}

/// Records, two indexes and a query.
#[derive(Debug, Clone)]
struct PlanCase {
    records: Vec<Document>,
    paths: Vec<&'static str>,
    /// How many paths each index is of, from the first on and from the last back.
    counts: (usize, usize),
    descending: [bool; 3],
    drawn: Vec<u8>,
    sort: Option<(usize, bool)>,
    is_crowded: bool,
}

fn cases() -> impl Strategy<Value = PlanCase> {
    let indexes = (paths(), (1..=2_usize, 1..=2_usize), any::<[bool; 3]>());
    let drawn = prop::collection::vec(any::<u8>(), 0..24);
    let sort = prop::option::of((0..3_usize, any::<bool>()));
    (records(), indexes, drawn, sort, any::<bool>()).prop_map(
        |(records, (paths, counts, descending), drawn, sort, is_crowded)| PlanCase {
            records,
            paths,
            counts,
            descending,
            drawn,
            sort,
            is_crowded,
        },
    )
}

fn judge(case: PlanCase) -> Result<Plan, TestCaseError> {
    let paths = case.paths;
    let back: Vec<&str> = paths.iter().rev().copied().collect();
    let first = index_of(&paths[..case.counts.0], &case.descending);
    let second = index_of(&back[..case.counts.1], &case.descending);
    let filter = match case.records.first() {
        Some(record) => {
            let decisions = Decisions::new(case.drawn);
            let paths = &paths;
            FilterWriter {
                decisions,
                record,
                paths,
            }
            .filter(0)
        }
        None => Document::new(),
    };
    let mut request = Document::from_iter([("filter", Value::Object(filter))]);
    if let Some((field, descends)) = case.sort {
        let direction = Value::Int(if descends { -1 } else { 1 });
        let sort = Document::from_iter([(paths[field], direction)]);
        request.push("sort", sort);
    }
    let query = Query::parse(&request, "").unwrap_or_else(|invalid| panic!("{invalid}"));
    let mut shelf = Shelf::new(case.records, vec![first, second]);
    shelf.is_crowded = case.is_crowded;
    let (plan, answer) = shelf.answer(&query);
    prop_assert_eq!(answer, shelf.whole(&query), "{:?} {:?}", request, plan);
    Ok(plan)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_answer_is_the_same_by_every_plan(case in cases()) {
        judge(case)?;
    }
}

#[test]
fn the_cases_have_plans_of_all_kinds() {
    let [scans, narrow, several, ordered] = [const { Cell::new(0) }; 4];
    let run = counted(500).run(&cases(), |case| {
        let count = match judge(case)? {
            Plan::Scan => &scans,
            Plan::Narrow(lookups) if lookups.len() > 1 => &several,
            Plan::Narrow(_) => &narrow,
            Plan::Ordered(..) => &ordered,
        };
        count.set(count.get() + 1);
        Ok(())
    });
    run.expect("the answer is the same");
    let counts = [scans, narrow, several, ordered].map(|count| count.get());
    assert!(counts[..2].iter().all(|count| *count > 100), "{counts:?}");
    assert!(counts[2..].iter().all(|count| *count > 5), "{counts:?}");
}

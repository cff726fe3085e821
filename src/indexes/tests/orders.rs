//! An index that has the order of an answer yields it.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::filters::{Decisions, operators};
use super::records::{PATHS, counted, index_of, records, seen};
use super::shelf::{Shelf, ShelfIndex};
use crate::indexes::Index;
use crate::indexes::spans::Conjunction;
use crate::query::Query;
use crate::value::{Document, Steps, Value};

/// An index, and a query by its last fields.
#[derive(Debug, Clone)]
struct OrderCase {
    records: Vec<Document>,
    paths: Vec<&'static str>,
    descending: [bool; 4],
    fixed: usize,
    /// Whether the answer goes the way of each field.
    forward: [bool; 4],
    id: Option<bool>,
    /// What makes conditions on the field that is sorted by first.
    drawn: Option<Vec<u8>>,
    chosen: prop::sample::Index,
}

fn cases() -> impl Strategy<Value = OrderCase> {
    let paths = (1..=4_usize).prop_flat_map(|count| {
        (
            prop::sample::subsequence(PATHS.to_vec(), count).prop_shuffle(),
            0..count,
        )
    });
    let forward = prop_oneof![4 => any::<bool>().prop_map(|all| [all; 4]), 1 => any::<[bool; 4]>()];
    let drawn = prop::option::of(prop::collection::vec(any::<u8>(), 0..16));
    let directions = (any::<[bool; 4]>(), forward, any::<Option<bool>>());
    let chosen = any::<prop::sample::Index>();
    (records(), paths, directions, drawn, chosen).prop_map(
        |(records, (paths, fixed), (descending, forward, id), drawn, chosen)| OrderCase {
            records,
            paths,
            descending,
            fixed,
            forward,
            id,
            drawn,
            chosen,
        },
    )
}

impl OrderCase {
    fn index(&self) -> Index {
        index_of(&self.paths, &self.descending)
    }

    /// The last fields and perhaps the id.
    fn sort(&self) -> Document {
        let direction = |descends: bool| Value::Int(if descends { -1 } else { 1 });
        let fields = (self.fixed..self.paths.len()).map(|place| {
            let descends = self.descending[place] == self.forward[place];
            (self.paths[place], direction(descends))
        });
        let id = self.id.map(|descends| ("_id", direction(descends)));
        fields.chain(id).collect()
    }

    /// What a record has in the first fields, and perhaps more.
    fn filter(&self) -> Document {
        let mut filter = Document::new();
        if self.records.is_empty() {
            return filter;
        }
        let record = self.chosen.get(&self.records);
        for path in &self.paths[..self.fixed] {
            let seen = seen(record, path);
            filter.push(*path, seen.first().cloned().unwrap_or(Value::Null));
        }
        if let Some(drawn) = &self.drawn {
            let first = self.paths[self.fixed];
            let mut decisions = Decisions::new(drawn.clone());
            filter.push(first, operators(&mut decisions, &seen(record, first), 1));
        }
        filter
    }

    fn query(&self) -> Query {
        let request = [("filter", self.filter()), ("sort", self.sort())];
        let request = request.map(|(name, value)| (name, Value::Object(value)));
        let request: Document = request.into_iter().collect();
        Query::parse(&request, "").unwrap_or_else(|invalid| panic!("{invalid}"))
    }
}

/// Returns the length of the answer, if the index has its order.
fn judge(case: &OrderCase) -> Result<Option<usize>, TestCaseError> {
    let query = case.query();
    let shelf = ShelfIndex::new(case.index(), &case.records);
    let conjunction = Conjunction::of(&query.filter.root);
    let ordered = shelf.index.ordered(&query, &conjunction, shelf.spread);
    let Some(ordered) = ordered.filter(|_| !shelf.has_wide()) else {
        return Ok(None);
    };
    let whole = Shelf::new(case.records.clone(), Vec::new()).whole(&query);
    let walked = shelf.walk(&ordered, &query, &case.records);
    prop_assert_eq!(&walked, &whole, "{} {:?}", case.index(), ordered);
    for (passed, place) in whole.iter().enumerate() {
        let next = query.from(&case.records[*place], &Steps::unbounded());
        let next = next.expect("enough steps");
        let walked = shelf.walk(&ordered, &next, &case.records);
        prop_assert_eq!(&walked, &whole[passed + 1..], "after {}", place);
    }
    Ok(Some(whole.len()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn an_index_yields_the_order_of_an_answer(case in cases()) {
        judge(&case)?;
    }
}

#[test]
fn the_cases_have_orders_and_answers() {
    let (ordered, long) = (Cell::new(0), Cell::new(0));
    let run = counted(500).run(&cases(), |case| {
        if let Some(length) = judge(&case)? {
            ordered.set(ordered.get() + 1);
            long.set(long.get() + usize::from(length > 1));
        }
        Ok(())
    });
    run.expect("an index yields the order");
    let counts = (ordered.get(), long.get());
    assert!(counts.0 > 150 && counts.1 > 75, "{counts:?}");
}

#[test]
fn what_is_seldom_drawn_is_in_order() {
    for (record, filter, sort) in [
        // The number in the array has no `b`, and comes last going down.
        (r#"{"a":[{"b":[]},5]}"#, "{}", r#"{"a.b":-1}"#),
        (r#"{"a":[{"b":1},5]}"#, "{}", r#"{"a.b":1}"#),
        (r#"{"a":{"b":[]}}"#, "{}", r#"{"a.b":1}"#),
        (
            r#"{"a":{"b":null}}"#,
            r#"{"a.b":{"$exists":true}}"#,
            r#"{"a.b":1}"#,
        ),
        (
            r#"{"a":{"b":[1,9]}}"#,
            r#"{"a.b":{"$gt":5}}"#,
            r#"{"a.b":1}"#,
        ),
    ] {
        let json = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
        let request = [("filter", json(filter)), ("sort", json(sort))];
        let query = Query::parse(&request.into_iter().collect(), "").expect("a good query");
        let mut record: Document = serde_json::from_str(record).expect("the test's own JSON");
        record.push("_id", "e");
        let records = [record];
        for index in ["a.b", "-a.b"] {
            let shelf = ShelfIndex::new(index.parse().expect("an index"), &records);
            let conjunction = Conjunction::of(&query.filter.root);
            let ordered = shelf.index.ordered(&query, &conjunction, shelf.spread);
            let ordered = ordered.expect("it has the order");
            assert_eq!(shelf.walk(&ordered, &query, &records), [0], "{records:?}");
        }
    }
}

//! What an index decides by itself is counted as judging counts it.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::filters::{Decisions, FilterWriter, parsed};
use super::records::{counted, index_of, paths, records};
use super::shelf::Shelf;
use crate::query::Filter;
use crate::value::{Document, Steps, Value};

/// Records, the paths of an index and how many of them it has, and what makes a filter.
type CoveringCase = (Vec<Document>, Vec<&'static str>, usize, [bool; 3], Vec<u8>);

fn cases() -> impl Strategy<Value = CoveringCase> {
    let drawn = prop::collection::vec(any::<u8>(), 0..24);
    (records(), paths(), 1..=3_usize, any::<[bool; 3]>(), drawn)
}

/// What filters came to.
#[derive(Debug, Default)]
struct DecidedCounts {
    once: Cell<usize>,
    several: Cell<usize>,
    undecided: Cell<usize>,
    matching: Cell<usize>,
}

fn more(count: &Cell<usize>, by: usize) {
    count.set(count.get() + by);
}

fn matching(filter: &Filter, records: &[Document]) -> usize {
    let matches = |record: &&Document| {
        let matches = filter.matches(*record, &Steps::unbounded());
        matches.expect("enough steps")
    };
    records.iter().filter(matches).count()
}

fn judge(case: CoveringCase, tally: &DecidedCounts) -> Result<(), TestCaseError> {
    let (records, paths, count, descending, drawn) = case;
    let index = index_of(&paths[..count], &descending);
    let nothing = Document::new();
    let mut writer = FilterWriter {
        decisions: Decisions::new(drawn),
        record: records.first().unwrap_or(&nothing),
        paths: &paths[..count],
    };
    let written = writer.filter(0);
    let filter = parsed(&written);
    let matching = matching(&filter, &records);
    let shelf = Shelf::new(records, vec![index.clone()]);
    let Some((found, entries, has_each_once)) = shelf.counted(&filter) else {
        more(&tally.undecided, 1);
        return Ok(());
    };
    prop_assert_eq!(found, matching, "{:?} by {}", written, index.name());
    prop_assert!(
        !has_each_once || entries == found,
        "{:?} by {}",
        written,
        index.name()
    );
    more(&tally.matching, found);
    more(
        if has_each_once {
            &tally.once
        } else {
            &tally.several
        },
        1,
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_an_index_decides_is_what_matches(case in cases()) {
        judge(case, &DecidedCounts::default())?;
    }
}

#[test]
fn the_cases_are_decided_in_all_ways() {
    let tally = DecidedCounts::default();
    let run = counted(1_000).run(&cases(), |case| judge(case, &tally));
    run.expect("what an index decides is what matches");
    let counts = [
        &tally.once,
        &tally.several,
        &tally.undecided,
        &tally.matching,
    ];
    assert!(counts.iter().all(|count| count.get() > 40), "{tally:?}");
}

/// Whether an index decides a filter, and then whether each record stands once in its ranges.
fn decides(index: &str, filter: &str, records: &[&str]) -> Option<bool> {
    let records = records.iter().enumerate().map(|(n, json)| {
        let mut record: Document = serde_json::from_str(json).expect("the test's own JSON");
        record.push("_id", format!("e{n}"));
        record
    });
    let records: Vec<Document> = records.collect();
    let filter: Value = serde_json::from_str(filter).expect("the test's own JSON");
    let filter = Filter::parse(&filter, "filter").expect("a good filter");
    let shelf = Shelf::new(records.clone(), vec![index.parse().expect("an index")]);
    let (found, _, has_each_once) = shelf.counted(&filter)?;
    assert_eq!(found, matching(&filter, &records));
    Some(has_each_once)
}

#[test]
fn an_index_decides_what_its_first_fields_are_asked_for() {
    const PLAIN: [&str; 4] = [
        r#"{"a":1,"b":null}"#,
        r#"{"a":1}"#,
        r#"{"a":null,"b":"x"}"#,
        r#"{"b":2}"#,
    ];
    const SPREAD: [&str; 2] = [r#"{"a":[1,2],"b":1}"#, r#"{"a":1,"b":null}"#];
    const WIDE: [&str; 1] = [r#"{"a":[[1],[[2]]],"b":[1,[1]]}"#];
    for (index, filter, plain, spread) in [
        ("a", r#"{"a":1}"#, Some(true), Some(false)),
        ("a", r#"{"a":null}"#, Some(true), None),
        ("a", r#"{"a":{"$in":[1,null]}}"#, Some(true), None),
        ("a", r#"{"a":{"$gte":1,"$lt":2}}"#, Some(true), None),
        ("a", r#"{"a":{"$exists":true}}"#, Some(true), None),
        ("a", r#"{"a":{"$exists":true,"$gt":0}}"#, None, None),
        ("a", r#"{"a":{"$exists":false}}"#, None, None),
        ("a", r#"{"a":{"$type":"number"}}"#, Some(true), None),
        ("a", r#"{"a":{"$type":"long"}}"#, None, None),
        ("a", r#"{"a":{"$regex":"^x"}}"#, None, None),
        ("a", r#"{"a":{"$ne":1}}"#, None, None),
        ("a", r#"{"$or":[{"a":1},{"a":2}]}"#, None, None),
        ("a", r#"{"a":1,"b":1}"#, None, None),
        ("a", r#"{"a":1,"_id":"e1"}"#, None, None),
        ("b", r#"{"a":1}"#, None, None),
        // A null behind what is asked for has two keys, of which one is looked at.
        ("a,b", r#"{"a":1}"#, Some(true), Some(false)),
        (
            "a,-b",
            r#"{"$and":[{"a":1},{"b":{"$gt":0}}]}"#,
            Some(true),
            Some(false),
        ),
        ("-a,b", r#"{"a":{"$gt":0}}"#, Some(false), Some(false)),
        ("a,b", r#"{"b":1}"#, None, None),
        ("a,b", r#"{"a":{"$gt":0},"b":1}"#, None, None),
        ("a,b,c", r#"{"a":1}"#, Some(false), Some(false)),
    ] {
        assert_eq!(decides(index, filter, &PLAIN), plain, "{index} {filter}");
        assert_eq!(decides(index, filter, &SPREAD), spread, "{index} {filter}");
        decides(index, filter, &WIDE);
    }
    // The place in an array that a number names is not opened, but sorted by.
    assert_eq!(decides("a.0", r#"{"a.0":5}"#, &[r#"{"a":[[5,6]]}"#]), None);
}

#[test]
fn an_index_that_keeps_records_apart_decides_nothing() {
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(2_000));
    assert_eq!(decides("a", r#"{"a":1}"#, &[r#"{"a":1}"#]), Some(true));
    assert_eq!(decides("a", r#"{"a":1}"#, &[r#"{"a":1}"#, &long]), None);
}

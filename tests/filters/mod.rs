//! The query language, judged by a real MongoDB.
//!
//! Documents, filters, sorts and projections are generated, and whatever livelog says about them in
//! memory must be what MongoDB says, and what the embedded store says. `LIVELOG_CASES` sets how many filters are compared (10 000 when
//! unset, and the other comparisons in proportion); `LIVELOG_SEED` repeats a run that failed.

pub(crate) mod generated;
pub(crate) mod judge;

use std::collections::BTreeSet;

use bson::{Bson, doc};
use livelog::query::Query;
use livelog::store::mongo;
use livelog::value::{Document, Value};
use proptest::prelude::*;
use proptest::sample::Index;

use generated::{documents, filter, index_for, indexes, indexes_for, path, sort};
use judge::{Judge, admits, id, json, judge, to_bson};

const FILTERS_PER_SET: usize = 20;

fn cases() -> u32 {
    let asked = std::env::var("LIVELOG_CASES").ok();
    asked.map_or(10_000, |text| {
        text.parse().expect("LIVELOG_CASES is a number")
    })
}

fn query(parts: impl IntoIterator<Item = (&'static str, Value)>) -> Query {
    let asked = Document::from_iter(parts);
    Query::parse(&asked, "payload").unwrap_or_else(|invalid| panic!("{invalid}: {}", json(&asked)))
}

/// What MongoDB cannot do better than match a superset of.
fn is_inexact(filter: &Value) -> bool {
    json(filter).contains("$regex")
}

#[test]
fn filters_mean_in_memory_what_they_mean_in_mongodb() {
    let filters = prop::collection::vec(filter(), FILTERS_PER_SET);
    let per_set = u32::try_from(FILTERS_PER_SET).expect("a small number");
    judge(
        cases().div_ceil(per_set),
        &(documents(50), indexes(), filters),
        |judge, (documents, mut indexes, filters)| {
            indexes.extend(filters.iter().flat_map(indexes_for).take(6));
            judge.declare(&indexes);
            judge.hold(&documents);
            judge.build();
            filters.iter().try_for_each(|filter| {
                let parsed = query([("filter", filter.clone())]);
                let ours: BTreeSet<String> = documents
                    .iter()
                    .filter(|document| admits(&parsed, *document))
                    .map(id)
                    .collect();
                let theirs = judge.ids(written(filter))?;
                prop_assert_eq!(&ours, &theirs, "ours and theirs for {}", json(filter));
                let embedded = judge.answer(&parsed)?;
                prop_assert!(
                    embedded.iter().map(id).eq(ours.iter().cloned()),
                    "embedded: {} for {}",
                    json(&embedded),
                    json(filter)
                );
                prop_assert_eq!(
                    judge.count(&parsed)?,
                    theirs.len() as u64,
                    "counted for {}",
                    json(filter)
                );
                let narrowed = mongo::narrow(&parsed);
                let candidates = judge.ids(narrowed.clone())?;
                prop_assert!(
                    candidates.is_superset(&ours),
                    "{} misses some of {}",
                    narrowed,
                    json(filter)
                );
                prop_assert!(
                    is_inexact(filter) || candidates == ours,
                    "{} is not exact for {}",
                    narrowed,
                    json(filter)
                );
                if let Some(pinned) = parsed.filter.pinned_ids() {
                    prop_assert!(
                        ours.iter().all(|id| pinned.contains(&id.as_str())),
                        "{:?} {}",
                        pinned,
                        json(filter)
                    );
                }
                Ok(())
            })
        },
    );
}

#[test]
fn sorts_order_in_memory_as_they_order_in_mongodb() {
    judge(
        cases() / 20,
        &(documents(1..20), indexes(), sort()),
        |judge, (documents, mut indexes, sort)| {
            indexes.extend(index_for(&sort));
            let query = query([("sort", sort)]);
            let order = mongo::order(&query);
            let mut ours = judge.hold_sortable(&documents, &order);
            let theirs = judge.find(doc! {}, order.clone()).unwrap_or_default();
            if ours.is_empty() {
                return Ok(());
            }
            judge.declare(&indexes);
            judge.build();
            ours.sort_by(|a, b| query.compare(a, b));
            prop_assert_eq!(json(&ours), json(&theirs), "{}", order);
            let embedded = judge.answer(&query)?;
            prop_assert_eq!(json(&ours), json(&embedded), "embedded: {}", order);
            Ok(())
        },
    );
}

#[test]
fn pages_together_are_the_whole_answer_in_order() {
    let page = any::<Index>();
    let everything = Just(Value::Object(Document::new()));
    let filter = prop_oneof![2 => everything, 1 => filter()];
    let input = (documents(1..20), indexes(), sort(), filter, page);
    judge(
        cases() / 20,
        &input,
        |judge, (documents, mut indexes, sort, filter, page)| {
            indexes.extend(index_for(&sort));
            judge.declare(&indexes);
            let parts = [("filter", filter), ("sort", sort)];
            let first = query(parts.clone());
            let kept = judge.hold_sortable(&documents, &mongo::order(&first));
            judge.build();
            let mut whole: Vec<Document> = kept
                .iter()
                .filter(|event| admits(&first, *event))
                .cloned()
                .collect();
            whole.sort_by(|a, b| first.compare(a, b));
            let page = page.index(4) + 1;
            let stored = |query: &Query| {
                if kept.is_empty() {
                    return Vec::new();
                }
                let found = judge
                    .find(mongo::narrow(query), mongo::order(query))
                    .expect("MongoDB sorts these");
                found
                    .into_iter()
                    .filter(|event| admits(query, event))
                    .collect()
            };
            prop_assert_eq!(
                json(&read_by_pages(&parts, page, whole.len(), stored)),
                json(&whole),
                "{}",
                json(&parts[1].1)
            );
            let embedded = |query: &Query| {
                if kept.is_empty() {
                    return Vec::new();
                }
                let limit = Some(page);
                let paged = Query {
                    limit,
                    ..query.clone()
                };
                judge.answer(&paged).expect("what MongoDB sorts")
            };
            prop_assert_eq!(
                json(&read_by_pages(&parts, page, whole.len(), embedded)),
                json(&whole),
                "embedded: {}",
                json(&parts[1].1)
            );
            let remembered = |query: &Query| {
                let mut events: Vec<Document> = kept
                    .iter()
                    .filter(|event| admits(query, *event))
                    .cloned()
                    .collect();
                events.sort_by(|a, b| query.compare(a, b));
                events
            };
            prop_assert_eq!(
                json(&read_by_pages(&parts, page, whole.len(), remembered)),
                json(&whole),
                "{}",
                json(&parts[1].1)
            );
            Ok(())
        },
    );
}

/// Pages until one is empty, or there are more than there should be.
fn read_by_pages(
    parts: &[(&'static str, Value)],
    page: usize,
    expected: usize,
    answer: impl Fn(&Query) -> Vec<Document>,
) -> Vec<Document> {
    let mut read: Vec<Document> = Vec::new();
    while read.len() <= expected {
        let cursor = read
            .last()
            .map(|last| ("cursor", query(parts.to_vec()).cursor_token(last, 0).into()));
        let mut events = answer(&query(parts.iter().cloned().chain(cursor)));
        events.truncate(page);
        if events.is_empty() {
            break;
        }
        read.append(&mut events);
    }
    read
}

#[test]
fn projections_show_in_memory_what_they_show_in_mongodb() {
    let paths = prop::collection::btree_set(path(), 1..4).prop_map(|paths| {
        let all: Vec<String> = paths.into_iter().collect();
        let overlaps = |path: &String| {
            all.iter()
                .any(|other| path.starts_with(&format!("{other}.")))
        };
        all.iter()
            .filter(|path| !overlaps(path))
            .cloned()
            .collect::<Vec<_>>()
    });
    judge(
        cases() / 40,
        &(documents(1..20), paths),
        |judge, (documents, paths)| {
            judge.hold(&documents);
            let listed: Vec<Value> = paths.iter().cloned().map(Value::String).collect();
            let query = query([("fields", Value::Array(listed))]);
            let theirs = judge.project(
                paths
                    .iter()
                    .map(|path| (path.clone(), Bson::Int32(1)))
                    .collect(),
            );
            for document in &documents {
                let ours = query.fields.project(document);
                prop_assert_eq!(json(&ours), json(&theirs[&id(document)]), "{:?}", &paths);
            }
            Ok(())
        },
    );
}

/// One row of the tables under `fixtures/filter`.
#[derive(Debug, serde::Deserialize)]
struct Case {
    filter: Value,
    documents: Vec<Document>,
    matches: Vec<bool>,
}

fn table() -> Vec<Case> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/filter");
    let files = std::fs::read_dir(folder).expect("the tables are there");
    files
        .flat_map(|file| {
            let path = file.expect("the folder can be read").path();
            let text = std::fs::read_to_string(&path).expect("a table can be read");
            serde_json::from_str::<Vec<Case>>(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

#[test]
fn the_tables_hold_in_memory() {
    let table = table();
    assert!(table.len() >= 120, "{} cases", table.len());
    for Case {
        filter,
        documents,
        matches,
    } in &table
    {
        let query = query([("filter", filter.clone())]);
        assert_eq!(documents.len(), matches.len(), "{}", json(filter));
        for (document, expected) in documents.iter().zip(matches) {
            assert_eq!(
                admits(&query, document),
                *expected,
                "{} {}",
                json(filter),
                json(document)
            );
        }
    }
}

#[test]
fn the_tables_hold_in_mongodb() {
    let judge = Judge::start();
    for (
        n,
        Case {
            filter,
            documents,
            matches,
        },
    ) in table().into_iter().enumerate()
    {
        let named = |(n, document): (usize, &Document)| match document.get("_id") {
            Some(_) => document.clone(),
            None => std::iter::once(("_id".to_owned(), format!("e{n}").into()))
                .chain(document.clone())
                .collect(),
        };
        let documents: Vec<Document> = documents.iter().enumerate().map(named).collect();
        judge.hold(&documents);
        let found = judge
            .ids(written(&filter))
            .expect("MongoDB takes the filters of the tables");
        let theirs: Vec<bool> = documents
            .iter()
            .map(|document| found.contains(&id(document)))
            .collect();
        assert_eq!(theirs, matches, "case {n}: {}", json(&filter));
    }
    judge.leave();
}

/// The filter as a client wrote it: what livelog itself never sends to MongoDB.
pub(crate) fn written(filter: &Value) -> bson::Document {
    match to_bson(filter) {
        Bson::Document(filter) => filter,
        other => panic!("{other} is no filter"),
    }
}

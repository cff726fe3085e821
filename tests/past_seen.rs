//! The past, of what is seen now too: what both stores tell of it, judged by the log.

use std::sync::Arc;

use futures::TryStreamExt;
use livelog::domain::{Change, Event, Seq};
use livelog::node::Requester;
use livelog::query::{Count, Filter, Query};
use livelog::store::Store;
use livelog::value::{Document, Steps, Value};

use crate::support::Database;
use crate::support::dice::{Dice, number};
use crate::support::history::{History, fold, id};

/// Events, and changes of them: some are gone in the end, some are what they were.
const EVENTS: u64 = 60;
const CHANGES: usize = 600;

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn mongodb_tells_of_the_past_what_is_seen_now() {
    judge(&*Database::shared().await.store().await).await;
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn the_embedded_store_tells_of_the_past_what_is_seen_now() {
    judge(&*Database::folder().store().await).await;
}

/// The present moves on while the same moments of the past are read.
async fn judge(store: &dyn Store) {
    let seed = number("LIVELOG_PAST_SEED").unwrap_or(0x5ee9);
    println!("LIVELOG_PAST_SEED={seed}");
    let mut dice = Dice::new(seed, 0);
    let mut history = History::default();
    for _ in 0..3 {
        let after = history.head();
        for _ in 0..CHANGES / 3 {
            change(&mut history, &mut dice);
        }
        store.append(&history.batch(after)).await.unwrap();
        let head = history.head();
        let middle = 1 + dice.below(head.get()) as u64;
        for at in [1, middle, head.get() - 1, head.get()] {
            for rule in [r#"{"n":{"$lt":3}}"#, "{}", r#"{"_id":{"$in":["e7","e8"]}}"#] {
                judge_moment(store, &history.log, Seq::new(at), rule).await;
            }
        }
    }
    store.close().await;
}

fn change(history: &mut History, dice: &mut Dice) {
    let name = format!("e{}", dice.below(EVENTS));
    let n = Value::Int(i64::try_from(dice.below(5)).unwrap());
    match (history.events.contains_key(&id(&name)), dice.below(10)) {
        (true, 0) => history.delete(&name),
        (true, _) => history.set(&name, "n", n),
        (false, _) => history.create(&name, [("n", n)].into_iter().collect()),
    }
}

async fn judge_moment(store: &dyn Store, log: &[Arc<Change>], at: Seq, rule: &str) {
    let then = fold(&log[..usize::try_from(at.get()).unwrap()]);
    let now = fold(log);
    let seen_now = Filter::parse(&serde_json::from_str(rule).unwrap(), "rule").unwrap();
    let holds =
        |filter: &Filter, event: &Event| filter.matches(event, &Steps::unbounded()).unwrap();
    for json in [
        "{}",
        r#"{"filter":{"n":{"$gt":1}}}"#,
        r#"{"sort":{"_id":-1}}"#,
        r#"{"sort":{"n":-1}}"#,
        r#"{"filter":{"n":{"$lt":4}},"sort":{"_version":1}}"#,
        r#"{"filter":{"_id":{"$in":["e7","e0","nobody","e41"]}}}"#,
        r#"{"filter":{"_id":{"$in":["e7","e0","nobody","e41"]}},"sort":{"n":1}}"#,
        r#"{"filter":{"_id":"e7"}}"#,
    ] {
        let query = read(json, None, None, &seen_now);
        let mut expected: Vec<Event> = then
            .values()
            .filter(|event| holds(&query.filter, event))
            .filter(|event| now.get(&event.id).is_some_and(|now| holds(&seen_now, now)))
            .map(|event| (**event).clone())
            .collect();
        expected.sort_by(|a, b| query.compare(a, b));
        let told = format!("{json} at {at} of what is {rule} at {}", log.len());
        assert_eq!(answer(store, &query, at).await, expected, "{told}");
        assert_eq!(pages(store, json, at, &seen_now).await, expected, "{told}");
        let matching = Count::Exactly(expected.len() as u64);
        assert_eq!(count(store, &query, at).await, Some(matching), "{told}");
    }
}

async fn pages(store: &dyn Store, json: &str, at: Seq, seen_now: &Filter) -> Vec<Event> {
    const LIMIT: usize = 4;
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = read(json, Some(LIMIT), cursor, seen_now);
        let mut page = answer(store, &query, at).await;
        let more = page.len() > LIMIT;
        page.truncate(LIMIT);
        cursor = page.last().map(|last| query.cursor_token(last, 0));
        found.extend(page);
        if !more {
            return found;
        }
    }
}

fn read(json: &str, limit: Option<usize>, cursor: Option<String>, seen_now: &Filter) -> Arc<Query> {
    let mut asked: Document = serde_json::from_str(json).unwrap();
    if let Some(limit) = limit {
        asked.push("limit", Value::Int(i64::try_from(limit).unwrap()));
    }
    if let Some(cursor) = cursor {
        asked.push("cursor", cursor);
    }
    let query = Query::parse(&asked, "test").unwrap();
    Arc::new(Query {
        seen_now: Some(seen_now.clone()),
        ..query
    })
}

async fn count(store: &dyn Store, query: &Query, at: Seq) -> Option<Count> {
    let counted = Arc::new(Query {
        counts: true,
        limit: Some(0),
        ..query.clone()
    });
    let found = store.find_at(&Requester::alone(), &counted, at).await;
    found.unwrap().count
}

async fn answer(store: &dyn Store, query: &Arc<Query>, at: Seq) -> Vec<Event> {
    let found = store.find_at(&Requester::alone(), query, at).await.unwrap();
    assert_eq!(found.seq, at);
    found.events.try_collect().await.unwrap()
}

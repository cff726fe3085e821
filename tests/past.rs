//! What the stores tell of the past, judged by the log: histories of events, and the view as it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use livelog::domain::{Change, Event, EventId, Seq};
use livelog::node::Requester;
use livelog::query::{Direction, Query};
use livelog::store::embedded::{EmbeddedOptions, EmbeddedStore};
use livelog::store::mongo::{MongoOptions, MongoStore};
use livelog::store::{HistoryRange, Store};
use livelog::value::{Document, Steps, Value};
use redb::TableDefinition;
use redb::backends::InMemoryBackend;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::support::dice::{Dice, number};
use crate::support::history::{History, fold, id};
use crate::support::mongod;

/// Changes in a log: some events see hundreds, some die and live again.
const CHANGES: u64 = 1_500;

/// How often the past is looked at, each time while some changes are written.
const LOOKS: usize = 150;

fn dice() -> Dice {
    let seed = number("LIVELOG_PAST_SEED").unwrap_or(0x9a57);
    println!("LIVELOG_PAST_SEED={seed}");
    Dice::new(seed, 0)
}

async fn open(folder: &tempfile::TempDir) -> Arc<EmbeddedStore> {
    let dir = folder.path().to_owned();
    EmbeddedStore::open(EmbeddedOptions { dir }).await.unwrap()
}

async fn mongodb() -> Arc<MongoStore> {
    let options = MongoOptions {
        uri: mongod::uri().await,
        database: Some(format!("past_{}", Uuid::new_v4().simple())),
    };
    MongoStore::open(options).await.unwrap()
}

/// One more change, of an event that is the busier the lower its number.
fn change(history: &mut History, dice: &mut Dice) {
    let name = format!("e{}", dice.below(12).min(dice.below(12)));
    let is_there = history.events.contains_key(&id(&name));
    let n = Value::Int(i64::try_from(dice.below(5)).unwrap());
    match (is_there, dice.below(100)) {
        (true, 0) => history.delete(&name),
        (true, _) => history.set(&name, "n", n),
        (false, _) => history.create(&name, [("n", n)].into_iter().collect()),
    }
}

/// Writes until the log has `count` changes more.
async fn write(store: &dyn Store, history: &mut History, dice: &mut Dice, count: u64) {
    let end = history.log.len() + usize::try_from(count).unwrap();
    while history.log.len() < end {
        let after = history.head();
        for _ in 0..=dice.below(20) {
            change(history, dice);
        }
        store.append(&history.batch(after)).await.unwrap();
    }
}

#[tokio::test]
async fn mongodb_tells_the_past_as_the_log_does() {
    let mut dice = dice();
    let mut history = History::default();
    let store = mongodb().await;
    for begins_anew in [true, false] {
        history.begins_anew = begins_anew;
        write(&*store, &mut history, &mut dice, CHANGES / 2).await;
        judge(&*store, &history.log, &mut dice).await;
    }
    store.close().await;
}

#[tokio::test]
async fn the_embedded_store_tells_the_past_as_the_log_does_while_its_tables_lag_behind() {
    let mut dice = dice();
    for overlay_bytes_max in [1_000, 20_000, usize::MAX] {
        let mut history = History::default();
        let disk = InMemoryBackend::new();
        let store = EmbeddedStore::open_on(disk, overlay_bytes_max)
            .await
            .unwrap();
        for round in 0..3 {
            history.begins_anew = round == 0 && overlay_bytes_max != 20_000;
            write(&*store, &mut history, &mut dice, CHANGES / 3).await;
            judge(&*store, &history.log, &mut dice).await;
        }
    }
}

/// Lives so short that most changes begin or end one; longer than from milestone to milestone now and then.
#[tokio::test]
async fn versions_are_found_over_many_lives_whether_they_go_on_or_begin_anew() {
    let mut dice = dice();
    for anew in [0, 400, 800] {
        let embedded = EmbeddedStore::open_on(InMemoryBackend::new(), 5_000).await;
        let stores: [Arc<dyn Store>; 2] = [embedded.unwrap(), mongodb().await];
        let mut history = History::default();
        while history.log.len() < 800 {
            let after = history.head();
            history.begins_anew = history.log.len() < anew;
            for _ in 0..20 {
                let name = format!("e{}", dice.below(3));
                let deaths = if dice.below(3) == 0 { 1 } else { 3 };
                match history.events.contains_key(&id(&name)) {
                    true if dice.below(20) < deaths => history.delete(&name),
                    true => history.set(&name, "n", Value::Int(1)),
                    false => history.create(&name, Document::new()),
                }
            }
            let batch = history.batch(after);
            for store in &stores {
                store.append(&batch).await.unwrap();
            }
        }
        for store in &stores {
            for name in ["e0", "e1", "e2", "nobody"].map(id) {
                let of = |change: &&Arc<Change>| *change.event_id() == name;
                let all: Vec<Arc<Change>> = history.log.iter().filter(of).cloned().collect();
                judge_versions(&**store, &name, &all).await;
            }
            store.close().await;
        }
    }
}

/// What is in memory when a store is closed, or when a view is put in another's place, must be found after it.
#[tokio::test]
async fn the_embedded_store_tells_the_same_past_after_a_restart_and_after_a_rebuild() {
    let mut dice = dice();
    let mut history = History::default();
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let store = open(&folder).await;
        write(&*store, &mut history, &mut dice, CHANGES / 3).await;
        store.close().await;
        drop(store);
        let store = open(&folder).await;
        judge(&*store, &history.log, &mut dice).await;
        let mut rebuild = store.rebuild().await.unwrap();
        rebuild.apply(&history.log).await.unwrap();
        assert_eq!(rebuild.hold().await.unwrap(), history.head());
        rebuild.swap().await.unwrap();
        judge(&*store, &history.log, &mut dice).await;
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_stays_as_it_was_while_writes_go_on() {
    // So little that every append moves something from memory into the tables.
    let embedded = EmbeddedStore::open_on(InMemoryBackend::new(), 2_000);
    look_back_while_writing(embedded.await.unwrap()).await;
    look_back_while_writing(mongodb().await).await;
}

/// Answers about random moments, checked when the log is known.
async fn look_back_while_writing(store: Arc<dyn Store>) {
    let turns = Arc::new(Semaphore::new(0));
    let writing = {
        let (store, turns, mut dice) = (Arc::clone(&store), Arc::clone(&turns), dice());
        tokio::spawn(async move {
            let mut history = History::default();
            while let Ok(turn) = turns.acquire().await {
                turn.forget();
                write(&*store, &mut history, &mut dice, 30).await;
            }
            history.log
        })
    };
    let mut dice = Dice::new(7, 1);
    let everything = read("{}", None, None);
    let busy = id("e0");
    let newest = HistoryRange {
        direction: Direction::Descending,
        after: None,
        limit: 100,
    };
    let (mut views, mut histories) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        turns.add_permits(1);
        let head = store.head().await.unwrap().get();
        let at = Seq::new(dice.below(head + 1) as u64);
        views.push((at, answer(&*store, &everything, at).await));
        histories.push((head, store.history(&busy, newest).await.unwrap()));
    }
    turns.close();
    let log = writing.await.unwrap();
    for (at, view) in views {
        let events = fold(&log[..usize::try_from(at.get()).unwrap()]);
        let expected: Vec<Event> = events.values().map(|event| (**event).clone()).collect();
        assert_eq!(view, expected, "at {at}");
    }
    for (head, told) in histories {
        let from = told.first().map_or(0, |newest| newest.seq.get());
        let upto = from.max(head);
        let of = |change: &&Arc<Change>| change.event_id() == &busy && change.seq.get() <= upto;
        let expected: Vec<Arc<Change>> = log.iter().filter(of).rev().take(100).cloned().collect();
        assert_eq!(told, expected, "as of {head}");
    }
    store.close().await;
}

/// The milestones of a log that had none are found when it is opened.
#[tokio::test]
async fn a_file_from_before_there_were_histories_tells_them_all_the_same() {
    let mut dice = dice();
    let mut history = History::default();
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    write(&*store, &mut history, &mut dice, CHANGES).await;
    store.close().await;
    drop(store);
    {
        let file = redb::Database::open(folder.path().join("livelog.redb")).unwrap();
        let transaction = file.begin_write().unwrap();
        let milestones: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("milestones");
        assert!(transaction.delete_table(milestones).unwrap());
        let meta: TableDefinition<'_, &str, u128> = TableDefinition::new("meta");
        transaction
            .open_table(meta)
            .unwrap()
            .insert("format", 2)
            .unwrap();
        transaction.commit().unwrap();
    }
    let store = open(&folder).await;
    judge(&*store, &history.log, &mut dice).await;
    write(&*store, &mut history, &mut dice, CHANGES / 3).await;
    judge(&*store, &history.log, &mut dice).await;
    store.close().await;
}

/// Every answer about the past against what the log says.
async fn judge(store: &dyn Store, log: &[Arc<Change>], dice: &mut Dice) {
    let mut ids: BTreeSet<&EventId> = log.iter().map(|change| change.event_id()).collect();
    let nobody = id("nobody");
    ids.insert(&nobody);
    for id in ids {
        let of = |change: &&Arc<Change>| change.event_id() == id;
        let all: Vec<Arc<Change>> = log.iter().filter(of).cloned().collect();
        judge_history(store, id, &all, dice).await;
        judge_versions(store, id, &all).await;
    }
    let head = log.len() as u64;
    let middle: Vec<u64> = (0..4).map(|_| dice.below(head) as u64).collect();
    for at in [0, 1, head - 1, head].into_iter().chain(middle) {
        judge_view(store, log, Seq::new(at)).await;
    }
}

async fn judge_history(store: &dyn Store, id: &EventId, all: &[Arc<Change>], dice: &mut Dice) {
    let head = all.last().map_or(10, |last| last.seq.get() + 2);
    for direction in [Direction::Ascending, Direction::Descending] {
        for after in [None, Some(Seq::new(1 + dice.below(head) as u64))] {
            let mut expected = all.to_vec();
            expected.retain(|change| {
                let beyond = |after| direction_of(direction, change.seq, after);
                after.is_none_or(beyond)
            });
            if direction == Direction::Descending {
                expected.reverse();
            }
            let limit = 1 + dice.below(200);
            let mut range = HistoryRange {
                direction,
                after,
                limit,
            };
            let mut found = Vec::new();
            loop {
                let page = store.history(id, range).await.unwrap();
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                range.after = Some(last.seq);
                found.extend(page);
            }
            assert_eq!(found, expected, "{id} {direction:?} after {after:?}");
        }
    }
}

fn direction_of(direction: Direction, seq: Seq, after: Seq) -> bool {
    match direction {
        Direction::Ascending => seq > after,
        Direction::Descending => seq < after,
    }
}

async fn judge_versions(store: &dyn Store, id: &EventId, all: &[Arc<Change>]) {
    let most = all.iter().map(|change| change.version()).max();
    let ids = std::slice::from_ref(id);
    let last = store.last_versions(ids).await.unwrap();
    let expected: Vec<_> = most.iter().map(|version| (id.clone(), *version)).collect();
    assert_eq!(last, expected, "of {} changes", all.len());
    for version in 1..=most.unwrap_or(0) + 2 {
        let newest = all.iter().rfind(|change| change.version() == version);
        let found = store.version(id, version).await.unwrap();
        assert_eq!(found.as_ref(), newest, "{id} version {version}");
    }
}

async fn judge_view(store: &dyn Store, log: &[Arc<Change>], at: Seq) {
    let events = fold(&log[..usize::try_from(at.get()).unwrap()]);
    for json in [
        r#"{}"#,
        r#"{"filter":{"n":{"$gt":1}}}"#,
        r#"{"sort":{"_id":-1}}"#,
        r#"{"sort":{"n":-1}}"#,
        r#"{"filter":{"n":{"$lt":4}},"sort":{"_version":1}}"#,
        r#"{"filter":{"_id":{"$in":["e11","e0","nobody","e7"]}}}"#,
        r#"{"filter":{"_id":{"$in":["e11","e0","nobody","e7"]}},"sort":{"_id":-1}}"#,
        r#"{"filter":{"_id":{"$in":["e0","e1","e2","e3"]}},"sort":{"n":1}}"#,
        r#"{"filter":{"_id":"e1"}}"#,
    ] {
        let query = read(json, None, None);
        let mut expected: Vec<Event> = events.values().map(|event| (**event).clone()).collect();
        expected.retain(|event| query.admits(event, &Steps::unbounded()).unwrap());
        expected.sort_by(|a, b| query.compare(a, b));
        assert_eq!(answer(store, &query, at).await, expected, "{json} at {at}");
        assert_eq!(
            pages(store, json, at).await,
            expected,
            "{json} at {at} by pages"
        );
    }
}

async fn pages(store: &dyn Store, json: &str, at: Seq) -> Vec<Event> {
    const LIMIT: usize = 3;
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = read(json, Some(LIMIT), cursor);
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

fn read(json: &str, limit: Option<usize>, cursor: Option<String>) -> Arc<Query> {
    let mut asked: Document = serde_json::from_str(json).unwrap();
    if let Some(limit) = limit {
        asked.push("limit", Value::Int(i64::try_from(limit).unwrap()));
    }
    if let Some(cursor) = cursor {
        asked.push("cursor", cursor);
    }
    Arc::new(Query::parse(&asked, "test").unwrap())
}

async fn answer(store: &dyn Store, query: &Arc<Query>, at: Seq) -> Vec<Event> {
    let found = store.find_at(&Requester::alone(), query, at).await.unwrap();
    assert_eq!(found.seq, at);
    found.events.try_collect().await.unwrap()
}

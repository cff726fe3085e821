//! What every store promises, run against each of them: the docs of `Store`, as tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use livelog::domain::{Change, Effect, Event, EventId, Patch, Path, Seq, Timestamp};
use livelog::node::Requester;
use livelog::query::Query;
use livelog::store::embedded;
use livelog::store::embedded::{EmbeddedOptions, EmbeddedStore};
use livelog::store::mongo::{MongoOpenError, MongoOptions, MongoStore};
use livelog::store::{AppendError, Batch, Broadcast, Epoch, Store, StoreError, TailEvent};
use livelog::value::{Document, Value};
use mongodb::bson::{Document as Bson, doc};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::support::faulty::{Fault, FaultyStore};
use crate::support::mongod::{self, Mongod};

/// How long a test waits for what should happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// One fresh log, and ways to it that no node has.
#[async_trait]
trait Site: Send + Sync {
    /// Another node on the same log.
    async fn node(&self) -> Arc<dyn Store>;

    /// Changes the view behind every node's back: one event removed, one altered, one invented.
    async fn tamper(&self, gone: &str, altered: &str, invented: &str);
}

macro_rules! contract {
    ($backend:ident: $($promise:ident),* $(,)?) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    super::$promise(super::$backend().await).await;
                }
            )*
        }
    };
}

macro_rules! every_promise {
    ($($backend:ident),*) => { $(contract!($backend:
    an_empty_log_has_head_zero,
    what_is_appended_is_read_back_everywhere,
    every_value_survives,
    a_stale_after_is_moved_and_writes_nothing,
    an_append_is_all_or_nothing,
    appending_a_batch_twice_takes_effect_once,
    many_changes_of_one_event_in_one_batch_leave_the_last,
    a_large_batch_is_appended_whole,
    nodes_writing_at_once_leave_no_gap_and_see_the_same,
    a_tail_from_an_earlier_position_begins_with_the_backlog,
    broadcasts_reach_every_node_once_and_in_order,
    an_answer_is_the_fold_at_its_seq_while_writes_go_on,
    a_tampered_view_is_rebuilt_and_no_write_is_lost,
    a_rebuild_that_is_dropped_lets_the_writers_go_on,
    a_closed_store_appends_nothing,
    a_log_takes_another_identity_only_at_the_head_that_is_named,
    a_note_stays_until_the_next_of_its_name,
);)* };
}

every_promise!(
    on_mongodb,
    on_embedded,
    on_faulty_mongodb,
    on_faulty_embedded
);

// Backends.

struct OnMongodb {
    uri: String,
    database: String,
}

async fn on_mongodb() -> OnMongodb {
    OnMongodb {
        uri: mongod::uri().await,
        database: format!("contract_{}", Uuid::new_v4().simple()),
    }
}

impl OnMongodb {
    async fn events(&self) -> mongodb::Collection<Bson> {
        let client = mongodb::Client::with_uri_str(&self.uri).await.unwrap();
        client.database(&self.database).collection("events")
    }

    async fn open(&self) -> Result<Arc<MongoStore>, MongoOpenError> {
        MongoStore::open(options(&self.uri, &self.database)).await
    }
}

fn options(uri: &str, database: &str) -> MongoOptions {
    MongoOptions {
        uri: uri.to_owned(),
        database: Some(database.to_owned()),
    }
}

#[async_trait]
impl Site for OnMongodb {
    async fn node(&self) -> Arc<dyn Store> {
        self.open().await.unwrap()
    }

    async fn tamper(&self, gone: &str, altered: &str, invented: &str) {
        let events = self.events().await;
        events.delete_one(doc! { "_id": gone }).await.unwrap();
        let alter = doc! { "$set": { "count": "tampered" } };
        events
            .update_one(doc! { "_id": altered }, alter)
            .await
            .unwrap();
        events.insert_one(doc! { "_id": invented }).await.unwrap();
    }
}

/// One node by nature: its "nodes" are one.
struct OnEmbedded {
    folder: tempfile::TempDir,
    open: tokio::sync::Mutex<Option<Arc<EmbeddedStore>>>,
}

async fn on_embedded() -> OnEmbedded {
    OnEmbedded {
        folder: tempfile::tempdir().unwrap(),
        open: tokio::sync::Mutex::default(),
    }
}

#[async_trait]
impl Site for OnEmbedded {
    async fn node(&self) -> Arc<dyn Store> {
        let mut open = self.open.lock().await;
        let dir = self.folder.path().to_owned();
        match EmbeddedStore::open(EmbeddedOptions { dir }).await {
            Ok(store) => *open = Some(store),
            Err(embedded::EmbeddedOpenError::Locked { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        open.clone().unwrap()
    }

    /// By a rebuild from a log that is not the store's.
    async fn tamper(&self, gone: &str, altered: &str, invented: &str) {
        let store = self.node().await;
        let log = read_all(&*store).await;
        let mut forged = Writer::new(Arc::clone(&store));
        for change in &log {
            let name = change.event_id().as_str();
            let fields = &change.after().unwrap().fields;
            let other = [("count", Value::from("tampered"))];
            match name {
                name if name == gone => forged.create(invented, Document::new()),
                name if name == altered => forged.create(name, other.into_iter().collect()),
                name => forged.create(name, fields.clone()),
            }
        }
        let mut rebuild = store.rebuild().await.unwrap();
        rebuild.apply(&forged.pending).await.unwrap();
        rebuild.hold().await.unwrap();
        rebuild.swap().await.unwrap();
    }
}

/// A store that loses answers, whose caller asks again, and that takes its time: nobody may notice.
struct Faulty<S>(S);

async fn on_faulty_mongodb() -> Faulty<OnMongodb> {
    Faulty(on_mongodb().await)
}

async fn on_faulty_embedded() -> Faulty<OnEmbedded> {
    Faulty(on_embedded().await)
}

#[async_trait]
impl<S: Site> Site for Faulty<S> {
    async fn node(&self) -> Arc<dyn Store> {
        let pause = Fault::Stall(Duration::from_millis(2));
        let pattern = [Fault::Repeat, pause, Fault::Repeat, Fault::Repeat];
        // More than the appends of any promise.
        FaultyStore::new(self.0.node().await, pattern.repeat(1_000))
    }

    async fn tamper(&self, gone: &str, altered: &str, invented: &str) {
        self.0.tamper(gone, altered, invented).await;
    }
}

#[tokio::test]
async fn a_standalone_mongod_is_refused_with_the_command_that_helps() {
    let mongod = Mongod::start_standalone().await.unwrap();
    for uri in [mongod.uri(), format!("{}?replicaSet=rs0", mongod.uri())] {
        let refused = MongoStore::open(options(&uri, "any")).await.unwrap_err();
        assert!(
            matches!(refused, MongoOpenError::Standalone { .. }),
            "{refused}"
        );
        let message = refused.to_string();
        assert!(message.contains("--replSet rs0"), "{message}");
        assert!(message.contains("--eval 'rs.initiate()'"), "{message}");
    }
}

#[tokio::test]
async fn an_address_that_nobody_answers_is_told_soon_and_without_its_password() {
    let started = std::time::Instant::now();
    let uri = "mongodb://user:hunter2@127.0.0.1:1/?replicaSet=rs0";
    let refused = MongoStore::open(options(uri, "any")).await.unwrap_err();
    assert!(
        matches!(refused, MongoOpenError::Unreachable { .. }),
        "{refused}"
    );
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    assert!(started.elapsed() < Duration::from_secs(12));
    let refused = MongoStore::open(options("mongodb://u:hunter2:@h:x/", "any")).await;
    assert!(!format!("{refused:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_open_an_empty_database_at_once_agree_on_its_epoch() {
    for _ in 0..5 {
        let site = on_mongodb().await;
        let (one, two) = tokio::join!(site.open(), site.open());
        assert_eq!(one.unwrap().epoch(), two.unwrap().epoch());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_died_amid_an_append_does_not_hold_up_the_others() {
    let site = on_mongodb().await;
    let store = site.node().await;
    let events = site.events().await;
    // What a killed node leaves: its session on record, and an open transaction that locks the head.
    let mut session = events.client().start_session().await.unwrap();
    let meta: mongodb::Collection<Bson> =
        events.client().database(&site.database).collection("meta");
    let record = doc! { "_id": { "writer": session.id() } };
    meta.insert_one(record).await.unwrap();
    session.start_transaction().await.unwrap();
    let lock = doc! { "$inc": { "seq": 1_i64 } };
    let head = meta.update_one(doc! { "_id": "head" }, lock);
    head.session(&mut session).await.unwrap();

    let started = std::time::Instant::now();
    Writer::new(store).append(&[Do::Put("a")]).await.unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

/// The events with these ids, whatever they weigh.
async fn load(store: &dyn Store, ids: &[EventId]) -> Vec<Event> {
    let loaded = store.load(ids, usize::MAX).await.unwrap();
    assert_eq!(loaded.looked_at, ids.len());
    loaded.events
}

// Promises.

async fn an_empty_log_has_head_zero(site: impl Site) {
    let store = site.node().await;
    assert_eq!(store.head().await.unwrap(), Seq::ZERO);
    assert!(store.read(Seq::ZERO, 10).await.unwrap().is_empty());
    assert!(load(&*store, &[id("a")]).await.is_empty());
    let (seq, events) = find_all(&*store).await;
    assert_eq!((seq, events.len()), (Seq::ZERO, 0));
}

async fn what_is_appended_is_read_back_everywhere(site: impl Site) {
    let store = site.node().await;
    let mut writer = Writer::new(Arc::clone(&store));
    writer
        .append(&[Do::Put("a"), Do::Put("b"), Do::Put("c")])
        .await
        .unwrap();
    writer
        .append(&[Do::Put("a"), Do::Remove("b")])
        .await
        .unwrap();
    writer.append(&[Do::Put("b")]).await.unwrap();

    for node in [store, site.node().await] {
        assert_eq!(node.head().await.unwrap(), Seq::new(6));
        let log = read_all(&*node).await;
        assert_eq!(log, writer.log);
        assert_eq!(fold(&log), writer.events);
        assert_eq!(find_all(&*node).await, (Seq::new(6), writer.events.clone()));
        let loaded = load(&*node, &[id("a"), id("missing"), id("b")]).await;
        assert_eq!(loaded.len(), 2);
        assert!(
            loaded
                .iter()
                .all(|event| *writer.events[&event.id] == *event)
        );
        assert_eq!(node.read(Seq::new(2), 2).await.unwrap(), log[2..4]);
        assert!(node.read(Seq::new(6), 2).await.unwrap().is_empty());
        assert!(node.read(Seq::new(60), 2).await.unwrap().is_empty());
    }
}

async fn every_value_survives(site: impl Site) {
    let store = site.node().await;
    let fields: Document = serde_json::from_str(
        r#"{"z":1,"a":-9223372036854775808,"float":1.0,"tiny":5e-324,"null":null,"flag":true,
            "text":"grüße \u0000 \ud83d\ude00","empty":"","list":[1,1.5,[],{"b":1,"a":[{}]}],
            "nested":{"_id":1,"0":2,"date":"2026-01-31T12:00:00.000Z"},"":0}"#,
    )
    .unwrap();
    let mut writer = Writer::new(Arc::clone(&store));
    writer.create("v", fields.clone());
    let patch = Patch {
        set: vec![
            (
                Path::parse("nested.deep.er").unwrap(),
                Value::Array(vec![Value::Float(-0.0)]),
            ),
            (Path::parse("list.5").unwrap(), Value::Object(fields)),
        ],
        unset: vec![
            Path::parse("text").unwrap(),
            Path::parse("nested.0").unwrap(),
        ],
    };
    writer.update("v", patch);
    writer.send().await.unwrap();
    assert_eq!(read_all(&*store).await, writer.log);
    assert_eq!(find_all(&*store).await.1, writer.events);
}

async fn a_stale_after_is_moved_and_writes_nothing(site: impl Site) {
    let (one, two) = (site.node().await, site.node().await);
    let mut stale = Writer::new(Arc::clone(&two));
    let mut writer = Writer::new(Arc::clone(&one));
    writer.append(&[Do::Put("a")]).await.unwrap();

    let moved = stale.append(&[Do::Put("b"), Do::Put("c")]).await;
    assert!(matches!(moved, Err(AppendError::Moved)), "{moved:?}");
    let mut ahead = Writer::new(Arc::clone(&one));
    ahead.head = Seq::new(5);
    let moved = ahead.append(&[Do::Put("d")]).await;
    assert!(matches!(moved, Err(AppendError::Moved)), "{moved:?}");
    assert_eq!(read_all(&*two).await, writer.log);
    assert_eq!(find_all(&*two).await.1, writer.events);
}

async fn an_append_is_all_or_nothing(site: impl Site) {
    let store = site.node().await;
    let mut writer = Writer::new(Arc::clone(&store));
    writer.append(&[Do::Put("a")]).await.unwrap();
    // A writer that does not know "a" creates it again: its third change cannot be applied.
    let mut wrong = Writer::new(Arc::clone(&store));
    wrong.head = Seq::new(1);
    let refused = wrong
        .append(&[Do::Put("b"), Do::Put("c"), Do::Put("a")])
        .await;
    assert!(
        matches!(refused, Err(AppendError::Failed(_))),
        "{refused:?}"
    );
    assert_eq!(store.head().await.unwrap(), Seq::new(1));
    assert_eq!(read_all(&*store).await, writer.log);
    assert_eq!(find_all(&*store).await.1, writer.events);
    writer.append(&[Do::Put("b")]).await.unwrap();
}

async fn appending_a_batch_twice_takes_effect_once(site: impl Site) {
    let (one, two) = (site.node().await, site.node().await);
    let mut writer = Writer::new(Arc::clone(&one));
    let batch = writer.batch(&[Do::Put("a"), Do::Put("b")]);
    assert!(!one.holds(&batch).await.unwrap());
    one.append(&batch).await.unwrap();
    for store in [&one, &two] {
        let again = store.append(&batch).await;
        assert!(
            matches!(again, Ok(()) | Err(AppendError::Moved)),
            "{again:?}"
        );
        assert!(store.holds(&batch).await.unwrap());
    }
    assert_eq!(read_all(&*one).await, batch.changes);
    let other = Batch {
        id: Uuid::new_v4(),
        after: batch.after,
        changes: batch.changes.clone(),
    };
    assert!(!one.holds(&other).await.unwrap());
}

async fn many_changes_of_one_event_in_one_batch_leave_the_last(site: impl Site) {
    let store = site.node().await;
    let mut writer = Writer::new(Arc::clone(&store));
    writer.append(&[Do::Put("x"), Do::Put("z")]).await.unwrap();
    let batch = [
        Do::Put("x"),
        Do::Put("y"),
        Do::Remove("x"),
        Do::Put("y"),
        Do::Put("x"),
        Do::Put("w"),
        Do::Remove("w"),
        Do::Remove("z"),
    ];
    writer.append(&batch).await.unwrap();
    assert_eq!(read_all(&*store).await, writer.log);
    assert_eq!(find_all(&*store).await.1, writer.events);
    assert_eq!(writer.events.len(), 2);
}

/// Larger than one command to MongoDB may be. Not larger still: an open transaction fills a small cache,
/// and then all writers of the server wait.
async fn a_large_batch_is_appended_whole(site: impl Site) {
    let store = site.node().await;
    let mut writer = Writer::new(Arc::clone(&store));
    for name in 0..500 {
        let text = Value::String("x".repeat(20_000));
        writer.create(&format!("e{name}"), [("text", text)].into_iter().collect());
    }
    writer.send().await.unwrap();
    assert_eq!(store.head().await.unwrap(), Seq::new(500));
    assert_eq!(read_all(&*store).await, writer.log);
    assert_eq!(find_all(&*store).await.1, writer.events);
}

async fn tails(nodes: &[Arc<dyn Store>]) -> Vec<BoxStream<'static, TailEvent>> {
    let tails = nodes
        .iter()
        .map(async |node| node.tail(Seq::ZERO).await.unwrap());
    futures::future::join_all(tails).await
}

async fn nodes_writing_at_once_leave_no_gap_and_see_the_same(site: impl Site) {
    let nodes = [site.node().await, site.node().await];
    let tails = tails(&nodes).await;
    let writers = nodes
        .iter()
        .map(|node| tokio::spawn(write_randomly(Arc::clone(node), 200)));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let log = read_all(&*nodes[0]).await;
    assert_eq!(log.len() as u64, nodes[1].head().await.unwrap().get());
    for (index, change) in log.iter().enumerate() {
        assert_eq!(change.seq.get(), index as u64 + 1);
    }
    assert_eq!(find_all(&*nodes[1]).await.1, fold(&log));
    for mut tail in tails {
        assert_eq!(take_changes(&mut tail, log.len()).await, log);
    }
}

async fn a_tail_from_an_earlier_position_begins_with_the_backlog(site: impl Site) {
    let (one, two) = (site.node().await, site.node().await);
    let mut writer = Writer::new(Arc::clone(&one));
    for _ in 0..600 {
        writer.put("a");
    }
    writer.send().await.unwrap();
    let mut tail = two.tail(Seq::new(3)).await.unwrap();
    assert_eq!(take_changes(&mut tail, 597).await, writer.log[3..]);
    writer.append(&[Do::Put("a"), Do::Put("b")]).await.unwrap();
    assert_eq!(take_changes(&mut tail, 2).await, writer.log[600..]);
    drop(tail);
    let mut tail = two.tail(Seq::new(601)).await.unwrap();
    assert_eq!(take_changes(&mut tail, 1).await, writer.log[601..]);
}

async fn broadcasts_reach_every_node_once_and_in_order(site: impl Site) {
    let nodes = [site.node().await, site.node().await];
    let mut tails = tails(&nodes).await;
    let payloads: Vec<String> = (0..300)
        .map(|n| format!(r#"{{"n":{n}, "$x":"\u00fc"}}"#))
        .collect();
    for group in payloads.chunks(7) {
        let group: Vec<Broadcast> = group.iter().map(|text| broadcast(text)).collect();
        nodes[1].publish(&group).await.unwrap();
    }
    for tail in &mut tails {
        for expected in &payloads {
            let heard = next_payload(tail).await;
            assert_eq!(heard, *expected);
        }
    }
    assert_eq!(nodes[0].head().await.unwrap(), Seq::ZERO);
}

async fn an_answer_is_the_fold_at_its_seq_while_writes_go_on(site: impl Site) {
    let (one, two) = (site.node().await, site.node().await);
    let writing = tokio::spawn(write_randomly(Arc::clone(&one), 150));
    let mut answers = Vec::new();
    while !writing.is_finished() {
        answers.push(find_all(&*two).await);
    }
    writing.await.unwrap();
    let log = read_all(&*one).await;
    assert!(answers.len() > 3, "{} answers", answers.len());
    for (seq, events) in answers {
        let upto = usize::try_from(seq.get()).unwrap();
        assert_eq!(events, fold(&log[..upto]), "as of {seq}");
    }
}

async fn a_tampered_view_is_rebuilt_and_no_write_is_lost(site: impl Site) {
    let (one, two) = (site.node().await, site.node().await);
    let mut writer = Writer::new(Arc::clone(&one));
    let names: Vec<String> = (0..40).map(|n| format!("fixed{n}")).collect();
    names.iter().for_each(|name| writer.put(name));
    writer.send().await.unwrap();
    site.tamper("fixed1", "fixed2", "ghost").await;

    let writing = tokio::spawn(write_randomly(Arc::clone(&one), 150));
    let mut rebuild = two.rebuild().await.unwrap();
    let mut at = Seq::ZERO;
    for _ in 0..5 {
        at = apply_all(&*two, &mut *rebuild, at).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let held = rebuild.hold().await.unwrap();
    // The first writer may be done by now: this one is held off for certain.
    let waiting = tokio::spawn(write_randomly(Arc::clone(&one), 5));
    at = apply_all(&*two, &mut *rebuild, at).await;
    assert_eq!((at, two.head().await.unwrap()), (held, held));
    rebuild.swap().await.unwrap();
    writing.await.unwrap();
    waiting.await.unwrap();

    let log = read_all(&*one).await;
    assert!(log.len() as u64 > held.get(), "writes went on");
    assert_eq!(
        find_all(&*two).await,
        (Seq::new(log.len() as u64), fold(&log))
    );
}

async fn a_rebuild_that_is_dropped_lets_the_writers_go_on(site: impl Site) {
    let store = site.node().await;
    let mut writer = Writer::new(Arc::clone(&store));
    writer.append(&[Do::Put("a")]).await.unwrap();
    let mut rebuild = store.rebuild().await.unwrap();
    rebuild.hold().await.unwrap();
    let second = store.rebuild().await.unwrap().hold().await;
    assert!(
        matches!(second, Err(StoreError::Unavailable(_))),
        "{second:?}"
    );
    let held = writer.batch(&[Do::Put("b")]);
    let waiting = tokio::spawn({
        let (store, held) = (Arc::clone(&store), Arc::clone(&held));
        async move { store.append(&held).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!store.holds(&held).await.unwrap());
    drop(rebuild);
    let waited = waiting.await.unwrap();
    assert!(
        matches!(waited, Ok(()) | Err(AppendError::Failed(_))),
        "{waited:?}"
    );
    let again = store.append(&held).await;
    assert!(
        matches!(again, Ok(()) | Err(AppendError::Moved)),
        "{again:?}"
    );
    assert!(store.holds(&held).await.unwrap());
    assert_eq!(find_all(&*store).await.1, writer.events);
}

async fn a_closed_store_appends_nothing(site: impl Site) {
    let store = site.node().await;
    let mut writer = Writer::new(Arc::clone(&store));
    writer.append(&[Do::Put("a")]).await.unwrap();
    store.close().await;
    let refused = writer.append(&[Do::Put("b")]).await;
    assert!(
        matches!(refused, Err(AppendError::Failed(_))),
        "{refused:?}"
    );
    assert_eq!(site.node().await.head().await.unwrap(), Seq::new(1));
}

async fn a_log_takes_another_identity_only_at_the_head_that_is_named(site: impl Site) {
    let store = site.node().await;
    let mut writer = Writer::new(Arc::clone(&store));
    writer.append(&[Do::Put("a"), Do::Put("b")]).await.unwrap();
    let (born, given) = (store.epoch(), Epoch(Uuid::new_v4()));
    for elsewhere in [0, 1, 3] {
        let refused = store.adopt(given, Seq::new(elsewhere)).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{refused:?}"
        );
    }
    store.close().await;
    let store = site.node().await;
    assert_eq!(store.epoch(), born);
    store.adopt(given, Seq::new(2)).await.unwrap();
    assert_eq!(store.epoch(), born);
    store.close().await;
    let store = site.node().await;
    assert_eq!(store.epoch(), given);
    assert_eq!(read_all(&*store).await, writer.log);
    assert_eq!(find_all(&*store).await.1, writer.events);
}

async fn a_note_stays_until_the_next_of_its_name(site: impl Site) {
    let store = site.node().await;
    assert_eq!(store.note("a").await.unwrap(), None);
    store.write_note("a", "first").await.unwrap();
    store.write_note("b", "other").await.unwrap();
    store.write_note("a", "second").await.unwrap();
    store.close().await;
    let store = site.node().await;
    assert_eq!(store.note("a").await.unwrap().as_deref(), Some("second"));
    assert_eq!(store.note("b").await.unwrap().as_deref(), Some("other"));
    assert_eq!(store.note("c").await.unwrap(), None);
}

// Writing.

/// What a batch does to an event: create or update it, or delete it.
#[derive(Clone, Copy)]
enum Do<'a> {
    Put(&'a str),
    Remove(&'a str),
}

type Events = BTreeMap<EventId, Arc<Event>>;

/// Knows the log as long as nobody else writes.
struct Writer {
    store: Arc<dyn Store>,
    head: Seq,
    events: Events,
    last_versions: BTreeMap<EventId, u64>,
    log: Vec<Arc<Change>>,
    pending: Vec<Arc<Change>>,
}

impl Writer {
    fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            head: Seq::ZERO,
            events: Events::new(),
            last_versions: BTreeMap::new(),
            log: Vec::new(),
            pending: Vec::new(),
        }
    }

    async fn append(&mut self, steps: &[Do<'_>]) -> Result<(), AppendError> {
        let batch = self.batch(steps);
        self.store.append(&batch).await
    }

    fn batch(&mut self, steps: &[Do<'_>]) -> Arc<Batch> {
        for step in steps {
            match step {
                Do::Put(name) => self.put(name),
                Do::Remove(name) => self.remove(name),
            }
        }
        self.take()
    }

    async fn send(&mut self) -> Result<(), AppendError> {
        let batch = self.take();
        self.store.append(&batch).await
    }

    fn take(&mut self) -> Arc<Batch> {
        let changes = std::mem::take(&mut self.pending);
        let after = self.head;
        self.head = after.plus(changes.len());
        self.log.extend(changes.iter().cloned());
        Arc::new(Batch {
            id: Uuid::new_v4(),
            after,
            changes,
        })
    }

    fn put(&mut self, name: &str) {
        let seq = Value::Int(self.next().get().cast_signed());
        if self.events.contains_key(&id(name)) {
            let set = vec![(Path::parse("count").unwrap(), seq)];
            self.update(name, Patch { set, unset: vec![] });
        } else {
            self.create(name, [("count", seq)].into_iter().collect());
        }
    }

    fn create(&mut self, name: &str, fields: Document) {
        let after = Arc::new(Event {
            id: id(name),
            version: self.last_versions.get(&id(name)).unwrap_or(&0) + 1,
            seq: self.next(),
            created_at: now(),
            updated_at: now(),
            fields,
        });
        self.events.insert(id(name), Arc::clone(&after));
        self.push(Effect::Create { after });
    }

    fn update(&mut self, name: &str, patch: Patch) {
        let before = Arc::clone(&self.events[&id(name)]);
        let after = Arc::new(Event {
            version: before.version + 1,
            seq: self.next(),
            fields: patch.apply(&before.fields).unwrap(),
            ..(*before).clone()
        });
        self.events.insert(id(name), Arc::clone(&after));
        self.push(Effect::Update {
            before,
            patch,
            after,
        });
    }

    fn remove(&mut self, name: &str) {
        let before = self.events.remove(&id(name)).unwrap();
        self.last_versions.insert(id(name), before.version + 1);
        self.push(Effect::Delete { before });
    }

    fn next(&self) -> Seq {
        self.head.plus(self.pending.len()).next()
    }

    fn push(&mut self, effect: Effect) {
        let (seq, at) = (self.next(), now());
        self.pending.push(Arc::new(Change {
            seq,
            at,
            effect,
            command: None,
            author: None,
        }));
    }
}

/// Appends `batches` batches that create, update and delete a few events, deciding again when another
/// node was first.
async fn write_randomly(store: Arc<dyn Store>, batches: usize) {
    for _ in 0..batches {
        let dice = Uuid::new_v4();
        loop {
            let mut writer = Writer::new(Arc::clone(&store));
            writer.head = store.head().await.unwrap();
            let names = dice.as_bytes()[..3]
                .iter()
                .map(|byte| format!("r{}", byte % 10));
            let names: Vec<String> = names.collect();
            let ids: Vec<EventId> = names.iter().map(|name| id(name)).collect();
            writer.last_versions = last_versions(&*store, &ids).await;
            for event in load(&*store, &ids).await {
                writer.events.insert(event.id.clone(), Arc::new(event));
            }
            for (name, byte) in names.iter().zip(&dice.as_bytes()[9..]) {
                match writer.events.contains_key(&id(name)) && byte % 4 == 0 {
                    true => writer.remove(name),
                    false => writer.put(name),
                }
            }
            match writer.send().await {
                Ok(()) => break,
                Err(AppendError::Moved | AppendError::Replaced) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn apply_all(store: &dyn Store, rebuild: &mut dyn livelog::store::Rebuild, from: Seq) -> Seq {
    let mut at = from;
    loop {
        let page = store.read(at, 100).await.unwrap();
        let Some(last) = page.last() else { return at };
        rebuild.apply(&page).await.unwrap();
        at = last.seq;
    }
}

// Reading.

async fn read_all(store: &dyn Store) -> Vec<Arc<Change>> {
    let mut log = Vec::new();
    loop {
        let page = store.read(Seq::new(log.len() as u64), 100).await.unwrap();
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}

async fn find_all(store: &dyn Store) -> (Seq, Events) {
    let query = Arc::new(Query::parse(&Document::new(), "test").unwrap());
    let found = store.find(&Requester::alone(), &query).await.unwrap();
    let events: Vec<Event> = found.events.try_collect().await.unwrap();
    let events = events
        .into_iter()
        .map(|event| (event.id.clone(), Arc::new(event)));
    (found.seq, events.collect())
}

async fn last_versions(store: &dyn Store, ids: &[EventId]) -> BTreeMap<EventId, u64> {
    let versions = store.last_versions(ids).await.unwrap();
    versions.into_iter().collect()
}

/// The events that the changes come to, if each follows from those before it.
fn fold(log: &[Arc<Change>]) -> Events {
    let mut events = Events::new();
    let mut versions = BTreeMap::new();
    for change in log {
        let was = events.remove(change.event_id());
        assert_eq!(was.as_ref(), change.before(), "before {}", change.seq);
        let version = versions.entry(change.event_id()).or_insert(0);
        *version += 1;
        assert_eq!(change.version(), *version, "versions go on over deletions");
        if let Some(after) = change.after() {
            events.insert(after.id.clone(), Arc::clone(after));
        }
    }
    events
}

async fn next(tail: &mut BoxStream<'static, TailEvent>) -> TailEvent {
    let event = tokio::time::timeout(PATIENCE, tail.next()).await;
    event.expect("an event in time").expect("a tail never ends")
}

async fn take_changes(tail: &mut BoxStream<'static, TailEvent>, count: usize) -> Vec<Arc<Change>> {
    let mut changes = Vec::new();
    while changes.len() < count {
        if let TailEvent::Changes(more) = next(tail).await {
            changes.extend(more);
        }
    }
    changes
}

async fn next_payload(tail: &mut BoxStream<'static, TailEvent>) -> String {
    loop {
        match next(tail).await {
            TailEvent::Broadcast(broadcast) if !broadcast.payload.get().starts_with("\"probe") => {
                return broadcast.payload.get().to_owned();
            }
            TailEvent::Broadcast(_)
            | TailEvent::Changes(_)
            | TailEvent::Unreadable(_)
            | TailEvent::Redaction
            | TailEvent::Reopened => {}
        }
    }
}

fn broadcast(payload: &str) -> Broadcast {
    Broadcast {
        payload: RawValue::from_string(payload.to_owned()).unwrap().into(),
    }
}

fn id(name: &str) -> EventId {
    EventId::parse(name).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse("2026-01-31T12:00:00.000Z").unwrap()
}

//! Reads beside each other: what they hold, when they end, and how many there are at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use livelog::domain::{CommandBatch, CommandKind, Event};
use livelog::engine::{Engine, Order};
use livelog::limits;
use livelog::node::Requester;
use livelog::query::Query;
use livelog::store::embedded::{EmbeddedOptions, EmbeddedStore};
use livelog::store::mongo::{MongoOptions, MongoStore};
use livelog::store::{QueryResult, Store};
use livelog::value::Document;
use serde_json::{Value, json};

use crate::support::database::scratch;
use crate::support::{Server, eventually, mongod};

/// A store, a writer, and what keeps the store's folder.
struct World {
    store: Arc<dyn Store>,
    engine: Engine,
    source: Requester,
    folder: tempfile::TempDir,
}

impl World {
    async fn in_folder() -> Self {
        let folder = scratch();
        let dir = folder.path().to_owned();
        let store = EmbeddedStore::open(EmbeddedOptions { dir }).await.unwrap();
        Self::of(store, folder)
    }

    async fn on_mongodb() -> Self {
        let options = MongoOptions {
            uri: mongod::uri().await,
            database: Some(format!("reads_{}", uuid::Uuid::new_v4().simple())),
        };
        Self::of(MongoStore::open(options).await.unwrap(), scratch())
    }

    fn of(store: Arc<dyn Store>, folder: tempfile::TempDir) -> Self {
        Self {
            engine: Engine::start(&store, &Arc::default()).0,
            store,
            source: Requester::alone(),
            folder,
        }
    }

    /// Carries commands out, all at once.
    async fn write(&self, commands: impl IntoIterator<Item = (CommandKind, Value)>) {
        let outcomes: Vec<_> = commands
            .into_iter()
            .map(|(verb, payload)| {
                let payload = document(payload);
                let order = CommandBatch::parse(verb, payload, None);
                let submitted = self
                    .engine
                    .submit(&self.source, Order::unguarded(order.unwrap()));
                submitted.unwrap()
            })
            .collect();
        for outcome in outcomes {
            outcome.await.unwrap().unwrap();
        }
    }

    async fn find(&self, asked: &Value) -> QueryResult {
        let query = Query::parse(&document(asked.clone()), "").unwrap();
        self.store
            .find(&Requester::alone(), &Arc::new(query))
            .await
            .unwrap()
    }

    async fn all(&self, asked: &Value) -> Vec<Event> {
        let found = self.find(asked).await;
        found.events.try_collect().await.unwrap()
    }
}

fn document(json: Value) -> Document {
    serde_json::from_value(json).unwrap()
}

fn name(n: usize) -> String {
    format!("event-{n:05}")
}

fn creates(count: usize) -> impl Iterator<Item = (CommandKind, Value)> {
    (0..count).map(move |n| {
        let order = (n * 7919) % count;
        (
            CommandKind::Create,
            json!({"_id": name(n), "order": order, "even": n % 2 == 0}),
        )
    })
}

/// What was asked for before others wrote is answered as it was then, however late it is taken.
async fn an_answer_that_is_taken_slowly_stays_as_of_its_seq(world: World) {
    const COUNT: usize = 2_500;
    world.write(creates(COUNT)).await;
    // Some have a past already, and some are gone.
    let touch = |n: usize| {
        let data = json!({"even": "neither"});
        (
            CommandKind::Update,
            json!({"id": name(n), "updateData": data}),
        )
    };
    let remove = |n: usize| (CommandKind::Delete, json!({"id": name(n)}));
    world.write((0..COUNT).step_by(5).map(touch)).await;
    world.write((1..COUNT).step_by(50).map(remove)).await;
    let asked = [
        json!({}),
        json!({"sort": {"_id": -1}}),
        json!({"sort": {"order": 1}}),
        json!({"sort": {"order": -1}, "filter": {"even": true}}),
        json!({"filter": {"even": "neither"}}),
    ];
    let mut slow = Vec::new();
    for asked in &asked {
        let expected = world.all(asked).await;
        let mut found = world.find(asked).await;
        let first = found.events.next().await.unwrap().unwrap();
        slow.push((asked, expected, first, found));
    }
    world
        .write((2..COUNT).step_by(3).filter(|n| n % 50 != 1).map(touch))
        .await;
    world.write((3..COUNT).step_by(50).map(remove)).await;
    world
        .write([(
            CommandKind::Create,
            json!({"_id": "event-00001", "order": 0}),
        )])
        .await;
    world
        .write([(CommandKind::Create, json!({"_id": "new", "order": 0}))])
        .await;
    tokio::time::sleep(limits::SNAPSHOT_HELD + Duration::from_millis(500)).await;
    for (asked, expected, first, found) in slow {
        let rest: Vec<Event> = found.events.try_collect().await.unwrap();
        let told: Vec<Event> = std::iter::once(first).chain(rest).collect();
        assert!(
            told == expected,
            "{asked}: {} of {}",
            told.len(),
            expected.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_taken_slowly_stays_as_of_its_seq_in_a_folder() {
    an_answer_that_is_taken_slowly_stays_as_of_its_seq(World::in_folder().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_taken_slowly_stays_as_of_its_seq_on_mongodb() {
    an_answer_that_is_taken_slowly_stays_as_of_its_seq(World::on_mongodb().await).await;
}

/// Of what is erased nothing is told, and not as if it had never been: the answer breaks off.
async fn an_answer_breaks_off_where_an_event_was_erased(world: World) {
    const COUNT: usize = 2_500;
    world.write(creates(COUNT)).await;
    let mut found = world.find(&json!({})).await;
    found.events.next().await.unwrap().unwrap();
    let id = name(COUNT - 2);
    world
        .write([(CommandKind::Delete, json!({"id": id}))])
        .await;
    let id = livelog::domain::EventId::parse(&id).unwrap();
    let head = world.store.head().await.unwrap();
    world.store.redact(&id, head).await.unwrap();
    tokio::time::sleep(limits::SNAPSHOT_HELD + Duration::from_millis(500)).await;
    let rest: Result<Vec<Event>, _> = found.events.try_collect().await;
    assert!(matches!(rest, Err(livelog::store::StoreError::Redacted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_breaks_off_where_an_event_was_erased_in_a_folder() {
    an_answer_breaks_off_where_an_event_was_erased(World::in_folder().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_breaks_off_where_an_event_was_erased_on_mongodb() {
    an_answer_breaks_off_where_an_event_was_erased(World::on_mongodb().await).await;
}

/// How much the file grows by the same writes, while so many answers are half taken.
async fn growth(readers: usize) -> u64 {
    let world = World::in_folder().await;
    world.write(creates(600)).await;
    let mut held = Vec::new();
    for _ in 0..readers {
        let mut found = world.find(&json!({})).await;
        found.events.next().await.unwrap().unwrap();
        held.push(found);
    }
    let file = || {
        let files = std::fs::read_dir(world.folder.path()).unwrap();
        let sizes = files.map(|file| file.unwrap().metadata().unwrap().len());
        sizes.sum::<u64>()
    };
    let before = file();
    for n in 0..600 {
        let text = "x".repeat(2_000);
        let update = json!({"id": name(n % 600), "updateData": {"text": text}});
        world.write([(CommandKind::Update, update)]).await;
    }
    let grown = file() - before;
    drop(held);
    grown
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_taken_slowly_does_not_make_the_file_grow() {
    let (alone, beside) = (growth(0).await, growth(4).await);
    assert!(beside <= alone * 3 / 2, "{beside} bytes instead of {alone}");
}

/// A server with events that take a while to judge, and the filter that none of them matches.
async fn server_with_heavy_events(count: usize) -> (Server, Value) {
    let server = Server::in_folder().await;
    let mut client = server.connect("/ws?changes=none").await;
    let text = "abcdefghij ".repeat(180);
    for first in (0..count).step_by(50) {
        let create = |n: usize| {
            let payload = json!({"_id": name(n), "text": text, "n": (n * 7919) % count});
            json!({"type": "CREATE", "payload": payload})
        };
        let commands: Vec<Value> = (first..first + 50).map(create).collect();
        client.ok("BATCH", json!({ "commands": commands })).await;
    }
    let patterns = (0..6).map(|n| json!({"text": {"$regex": format!("[a-j]+{n}$")}}));
    let filter = json!({"$or": patterns.collect::<Vec<Value>>()});
    (server, filter)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_ends_with_who_asked() {
    let (server, filter) = server_with_heavy_events(5_000).await;
    let idle = server.cpu();
    let asked = Instant::now();
    let alone = server
        .get("/api/events", &[("filter", &filter.to_string())])
        .await;
    assert_eq!(alone.1["data"], json!([]));
    let (cost, took) = (server.cpu() - idle, asked.elapsed());
    for _ in 0..20 {
        let parameters = [("filter", filter.to_string())];
        let url = format!("http://{}/api/events", server.address());
        let url = reqwest::Url::parse_with_params(&url, parameters).unwrap();
        let request = tokio::spawn(reqwest::Client::new().get(url).send());
        let mut client = server.connect("/ws?changes=none").await;
        let fetch = json!({"type": "FETCH", "payload": {"filter": filter}});
        client.send_all([fetch.clone(), fetch]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        request.abort();
        drop(client);
    }
    // All of them together would take sixty times what one does.
    let busy = server.cpu();
    eventually("the server rests", async || {
        let before = server.cpu();
        tokio::time::sleep(Duration::from_millis(300)).await;
        (server.cpu() - before < Duration::from_millis(60)).then_some(())
    })
    .await;
    let after = server.cpu() - busy;
    assert!(
        after < cost * 4 + Duration::from_millis(500),
        "{after:?} after they had left, {cost:?} ({took:?}) for one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_sort_everything_are_all_answered() {
    let (server, _) = server_with_heavy_events(5_000).await;
    let count = match std::env::var_os("LIVELOG_LONG_TESTS") {
        Some(_) => 128,
        None => 32,
    };
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(server.connect("/ws?changes=none").await);
    }
    let started = Instant::now();
    for client in &mut clients {
        let payload = json!({"sort": {"n": -1}, "limit": 1});
        client
            .send(&json!({"type": "FETCH", "payload": payload}))
            .await;
    }
    // Who asks for one event does not wait behind them.
    let mut quick = server.connect("/ws?changes=none").await;
    quick.ok("FETCH", json!({"filter": {"_id": name(7)}})).await;
    let quick = started.elapsed();
    for client in &mut clients {
        let answer = client.answer().await;
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!(answer["data"][0]["n"], 4_999);
    }
    let all = started.elapsed();
    eprintln!("{count} sorts in {all:?}, one event meanwhile in {quick:?}");
    assert!(
        quick < all / 2 + Duration::from_millis(500),
        "{quick:?} of {all:?}"
    );
}

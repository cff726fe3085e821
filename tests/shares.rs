//! What each has of the node's one writer: large commands slow down, and one client's flood is its own.

use std::sync::Arc;
use std::time::Duration;

use livelog::domain::{Command, CommandBatch, Create, Update};
use livelog::engine::{Engine, Order, Outcome};
use livelog::limits;
use livelog::node::Requester;
use livelog::query::Conditions;
use livelog::store::Store;
use livelog::store::embedded::{EmbeddedOptions, EmbeddedStore};
use livelog::store::mongo::{MongoOptions, MongoStore};
use livelog::value::Document;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::support::database::scratch;
use crate::support::faulty::{Fault, FaultyStore};
use crate::support::{Server, mongod, on_every_store};

/// An engine on a store that counts, and what keeps the store's folder.
struct World {
    engine: Engine,
    store: Arc<FaultyStore>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn in_folder(faults: impl IntoIterator<Item = Fault>) -> Self {
        let folder = scratch();
        let dir = folder.path().to_owned();
        let store = EmbeddedStore::open(EmbeddedOptions { dir }).await.unwrap();
        Self::of(store, folder, faults)
    }

    async fn on_mongodb() -> Self {
        let options = MongoOptions {
            uri: mongod::uri().await,
            database: Some(format!("shares_{}", uuid::Uuid::new_v4().simple())),
        };
        Self::of(MongoStore::open(options).await.unwrap(), scratch(), [])
    }

    fn of(
        store: Arc<dyn Store>,
        folder: tempfile::TempDir,
        faults: impl IntoIterator<Item = Fault>,
    ) -> Self {
        let store = FaultyStore::new(store, faults);
        let dynamic: Arc<dyn Store> = store.clone();
        Self {
            engine: Engine::start(&dynamic, &Arc::default()).0,
            store,
            _folder: folder,
        }
    }

    fn submit(&self, from: &Requester, command: Command) -> oneshot::Receiver<Outcome> {
        let order = CommandBatch {
            commands: vec![command],
            key: None,
            precondition: livelog::domain::Precondition::default(),
            approx_bytes: 100,
        };
        self.engine.submit(from, Order::unguarded(order)).unwrap()
    }

    /// Large events, and an engine that does not remember them.
    async fn stock(&mut self, count: usize) {
        self.stock_of(count, json!("x".repeat(LARGE))).await;
    }

    async fn stock_of(&mut self, count: usize, what: Value) {
        for n in 0..count {
            let payload = document(json!({ "_id": name(n), "what": what }));
            let create = Command::Create(Create::parse(payload).unwrap());
            let made = self.submit(&Requester::alone(), create).await;
            made.unwrap().unwrap();
        }
        let dynamic: Arc<dyn Store> = self.store.clone();
        self.engine = Engine::start(&dynamic, &Arc::default()).0;
    }
}

/// Bytes of a large event.
const LARGE: usize = 400_000;

fn name(n: usize) -> String {
    format!("large-{n}")
}

fn document(json: Value) -> Document {
    serde_json::from_value(json).unwrap()
}

fn create(id: &str, text: &str) -> Command {
    Command::Create(Create::parse(document(json!({ "_id": id, "text": text }))).unwrap())
}

/// A small command that makes a large change.
fn touch(id: &str) -> Command {
    let payload = document(json!({ "id": id, "updateData": { "$inc": { "n": 1 } } }));
    Command::Update(Update::parse(payload, &mut Conditions::default()).unwrap())
}

async fn seq_of(outcome: oneshot::Receiver<Outcome>) -> u64 {
    outcome.await.unwrap().unwrap().change().seq.get()
}

/// What a batch loads is bounded, and nothing is loaded over and over again.
async fn large_updates_are_loaded_as_there_is_room(mut world: World) {
    const COUNT: usize = 40;
    world.stock(COUNT).await;
    world.store.forget_loads();
    let source = Requester::alone();
    let waiting: Vec<_> = (0..COUNT)
        .map(|n| world.submit(&source, touch(&name(n))))
        .collect();
    for outcome in waiting {
        seq_of(outcome).await;
    }
    let (largest, all) = world.store.loads();
    assert!(
        largest <= limits::CONTEXT_BYTES_MAX + 8 * LARGE,
        "{largest} bytes at once"
    );
    assert!(all <= 3 * COUNT * LARGE, "{all} bytes in all");
}

#[tokio::test]
async fn large_updates_are_loaded_as_there_is_room_in_a_folder() {
    large_updates_are_loaded_as_there_is_room(World::in_folder([]).await).await;
}

#[tokio::test]
async fn large_updates_are_loaded_as_there_is_room_on_mongodb() {
    large_updates_are_loaded_as_there_is_room(World::on_mongodb().await).await;
}

#[tokio::test]
async fn a_flood_of_large_updates_is_passed_by_small_commands_of_others() {
    let mut world = World::in_folder([]).await;
    world.stock(FLOODS).await;
    // A batch holds five or six of them: the one under way, and the one that the command is in.
    small_commands_pass(&world, 14).await;
}

/// Each fills more than a batch.
#[tokio::test]
async fn a_flood_of_updates_of_huge_events_is_passed_by_small_commands_of_others() {
    let mut world = World::in_folder([]).await;
    world.stock_of(FLOODS, json!(vec![0; 100_000])).await;
    small_commands_pass(&world, 4).await;
}

/// Sources whose updates are a flood.
const FLOODS: usize = 10;

/// Counted in the log rather than in time: what was written from a command's sending up to its own change.
async fn small_commands_pass(world: &World, most: u64) {
    const EACH: usize = 5;
    let flood: Vec<_> = (0..FLOODS * EACH)
        .scan(Vec::new(), |sources: &mut Vec<Requester>, n| {
            if n < FLOODS {
                sources.push(Requester::alone());
            }
            let at = n % FLOODS;
            Some(world.submit(&sources[at], touch(&name(at))))
        })
        .collect();
    let mut flood = flood.into_iter();
    let mut waits = Vec::new();
    for n in 0..10 {
        seq_of(flood.next().unwrap()).await;
        let before = world.store.head().await.unwrap().get();
        let id = format!("small-{n}");
        let seq = seq_of(world.submit(&Requester::alone(), create(&id, "x"))).await;
        waits.push(seq - before);
    }
    let longest = waits.iter().max().unwrap();
    assert!(*longest <= most, "{waits:?} changes came between");
    for outcome in flood {
        seq_of(outcome).await;
    }
}

#[tokio::test]
async fn who_waits_behind_others_is_not_told_that_the_store_is_away() {
    let stall = limits::COMMAND_DEADLINE / 2 - Duration::from_millis(500);
    let world = World::in_folder([Fault::Stall(stall); 3]).await;
    // Each fills a batch of its own.
    let waiting: Vec<_> = (0..3)
        .map(|n| {
            let order = CommandBatch {
                commands: vec![create(&name(n), "x")],
                key: None,
                precondition: livelog::domain::Precondition::default(),
                approx_bytes: limits::COMMIT_BYTES_MAX,
            };
            let outcome = world
                .engine
                .submit(&Requester::alone(), Order::unguarded(order));
            outcome.unwrap()
        })
        .collect();
    for (n, outcome) in waiting.into_iter().enumerate() {
        assert_eq!(seq_of(outcome).await, n as u64 + 1);
    }
}

/// 12 of them in every run, and with `LIVELOG_LONG_TESTS` the 448 that used to fail.
async fn pipelined_updates_of_large_events_are_all_carried_out(server: Server) {
    let sessions = match std::env::var_os("LIVELOG_LONG_TESTS") {
        Some(_) => 7,
        None => 1,
    };
    let each = match sessions {
        1 => 12,
        _ => limits::SESSION_REQUESTS_MAX,
    };
    let mut clients = Vec::new();
    for session in 0..sessions {
        let mut client = server.connect("/ws?changes=none").await;
        for n in 0..each {
            grow(&mut client, &format!("{session}-{n}")).await;
        }
        clients.push(client);
    }
    let started = std::time::Instant::now();
    for (session, client) in clients.iter_mut().enumerate() {
        let update = |n| {
            let payload = json!({"id": format!("{session}-{n}"), "updateData": {"$inc": {"n": 1}}});
            json!({"type": "UPDATE", "id": n, "payload": payload})
        };
        client.send_all((0..each).map(update)).await;
    }
    for client in &mut clients {
        for n in 0..each {
            let answer = client.answer().await;
            assert_eq!(answer["id"], n);
            assert_eq!(answer["success"], true, "{}", answer["error"]);
        }
    }
    eprintln!("{} updates in {:?}", sessions * each, started.elapsed());
}

/// Makes an event of nearly a megabyte, which no message can hold.
async fn grow(client: &mut crate::support::Client, id: &str) {
    let part = "x".repeat(240_000);
    client.ok("CREATE", json!({"_id": id, "part0": part})).await;
    for part_of in 1..4 {
        let data = json!({ format!("part{part_of}"): part });
        let update = json!({"id": id, "updateData": data});
        client.ok("UPDATE", update).await;
    }
}

on_every_store!(pipelined_updates_of_large_events_are_all_carried_out);

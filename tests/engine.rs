//! The engine on a real store with faults in between: what it answers, and what is in the log then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use livelog::domain::{Change, Command, CommandBatch, Create, Rejection, Seq, Update};
use livelog::engine::{Engine, Order, Outcome, SubmitError};
use livelog::limits;
use livelog::node::Requester;
use livelog::store::Store;
use livelog::store::mongo::{MongoOptions, MongoStore};
use livelog::value::Document;
use serde_json::json;
use tokio::sync::oneshot;

use crate::support::faulty::{Fault, FaultyStore};
use crate::support::mongod;

struct World {
    store: Arc<dyn Store>,
    options: MongoOptions,
}

impl World {
    async fn new() -> Self {
        let options = MongoOptions {
            uri: mongod::uri().await,
            database: Some(format!("engine_{}", uuid::Uuid::new_v4().simple())),
        };
        let store = MongoStore::open(options.clone()).await.unwrap();
        Self { store, options }
    }

    /// An engine whose first appends meet these faults.
    fn engine(&self, faults: impl IntoIterator<Item = Fault>) -> (Engine, Arc<FaultyStore>) {
        let faulty = FaultyStore::new(Arc::clone(&self.store), faults);
        let store: Arc<dyn Store> = faulty.clone();
        (Engine::start(&store, &Arc::default()).0, faulty)
    }

    /// Another node's engine, on a connection of its own.
    async fn another(&self) -> Engine {
        let store: Arc<dyn Store> = MongoStore::open(self.options.clone()).await.unwrap();
        Engine::start(&store, &Arc::default()).0
    }

    /// The ids in the log, in order.
    async fn logged(&self) -> Vec<String> {
        let log = self
            .store
            .read(Seq::ZERO, limits::LOG_PAGE_COUNT)
            .await
            .unwrap();
        log.iter()
            .map(|change| change.event_id().as_str().to_owned())
            .collect()
    }
}

fn document(json: &serde_json::Value) -> Document {
    serde_json::from_value(json.clone()).unwrap()
}

fn create(id: &str) -> Command {
    Command::Create(Create::parse(document(&json!({ "_id": id, "n": 1 }))).unwrap())
}

fn update(id: &str, expected_version: u64) -> Command {
    let payload =
        json!({ "id": id, "updateData": { "n": 2 }, "expectedVersion": expected_version });
    Command::Update(
        Update::parse(
            document(&payload),
            &mut livelog::query::Conditions::default(),
        )
        .unwrap(),
    )
}

fn order(command: Command) -> CommandBatch {
    CommandBatch {
        commands: vec![command],
        key: None,
        precondition: livelog::domain::Precondition::default(),
        approx_bytes: 100,
    }
}

fn submit(engine: &Engine, command: Command) -> oneshot::Receiver<Outcome> {
    engine
        .submit(&source(), Order::unguarded(order(command)))
        .unwrap()
}

/// All of a test's commands are one session's.
fn source() -> Requester {
    thread_local!(static SOURCE: Requester = Requester::alone());
    SOURCE.with(Requester::clone)
}

async fn answer(engine: &Engine, command: Command) -> Result<Arc<Change>, SubmitError> {
    let outcome = submit(engine, command).await.unwrap();
    outcome.map(|done| Arc::clone(done.change()))
}

#[tokio::test]
async fn a_failed_append_is_answered_unavailable_and_leaves_nothing() {
    let world = World::new().await;
    let (engine, _) = world.engine([Fault::Fail]);
    assert!(matches!(
        answer(&engine, create("a")).await,
        Err(SubmitError::Unavailable)
    ));
    assert_eq!(world.logged().await, Vec::<String>::new());
    assert_eq!(answer(&engine, create("a")).await.unwrap().seq, Seq::new(1));
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_in_the_log_and_answered_as_done() {
    let world = World::new().await;
    let (engine, _) = world.engine([Fault::LoseAnswer, Fault::LoseAnswer]);
    let first = submit(&engine, create("a"));
    assert_eq!(first.await.unwrap().unwrap().change().seq, Seq::new(1));
    assert_eq!(answer(&engine, create("b")).await.unwrap().seq, Seq::new(2));
    assert_eq!(world.logged().await, ["a", "b"]);
}

#[tokio::test]
async fn a_commit_that_was_lost_itself_takes_effect_once() {
    let world = World::new().await;
    let faults = [
        Fault::LoseCommand,
        Fault::Fail,
        Fault::LoseCommand,
        Fault::LoseAnswer,
    ];
    let (engine, faulty) = world.engine(faults);
    assert_eq!(answer(&engine, create("a")).await.unwrap().seq, Seq::new(1));
    assert_eq!(faulty.faults_left(), 0);
    assert_eq!(world.logged().await, ["a"]);
}

#[tokio::test]
async fn a_lost_commit_that_another_node_overtook_is_decided_again() {
    let world = World::new().await;
    let other = world.another().await;
    let (engine, _) = world.engine([Fault::LoseCommand]);
    let waiting = submit(&engine, create("a"));
    answer(&other, create("b")).await.unwrap();
    waiting.await.unwrap().unwrap();
    let mut logged = world.logged().await;
    logged.sort();
    assert_eq!(logged, ["a", "b"]);
}

#[tokio::test]
async fn a_stalled_commit_is_unknown_at_the_deadline_and_what_waits_behind_it_is_unavailable() {
    let world = World::new().await;
    let (engine, _) = world.engine([Fault::Stall(
        limits::COMMAND_DEADLINE + Duration::from_secs(1),
    )]);
    let started = Instant::now();
    let stalled = submit(&engine, create("a"));
    tokio::task::yield_now().await;
    let behind = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        submit(&engine, create("b")).await.unwrap()
    };
    let (stalled, behind) = tokio::join!(stalled, behind);
    assert!(matches!(stalled.unwrap(), Err(SubmitError::Unknown)));
    assert!(matches!(behind, Err(SubmitError::Unavailable)));
    assert!(started.elapsed() < limits::COMMAND_DEADLINE + Duration::from_secs(1));
    answer(&engine, create("c")).await.unwrap();
    assert_eq!(
        world.logged().await,
        ["a", "c"],
        "unknown was done, unavailable was not"
    );
}

#[tokio::test]
async fn what_the_store_refuses_does_not_take_others_with_it() {
    let world = World::new().await;
    let (engine, _) = world.engine([Fault::Refuse("bad")]);
    let ids = ["first", "a", "bad", "b"];
    let waiting: Vec<_> = ids.iter().map(|id| submit(&engine, create(id))).collect();
    let mut refused = Vec::new();
    for (id, outcome) in ids.iter().zip(waiting) {
        if let Err(SubmitError::Internal) = outcome.await.unwrap() {
            refused.push(*id);
        }
    }
    assert_eq!(refused, ["bad"]);
    assert_eq!(world.logged().await, ["first", "a", "b"]);
}

#[tokio::test]
async fn what_another_node_changed_is_not_judged_from_memory() {
    let world = World::new().await;
    let (engine, _) = world.engine([]);
    let other = world.another().await;
    answer(&engine, create("a")).await.unwrap();
    answer(&other, update("a", 1)).await.unwrap();
    let conflict = answer(&engine, update("a", 1)).await;
    let Err(SubmitError::Rejected(Rejection::VersionConflict { current, .. }, None)) = conflict
    else {
        panic!("a conflict with what the other node wrote, not {conflict:?}");
    };
    assert_eq!(current.version, 2);
    answer(&other, update("a", 2)).await.unwrap();
    assert_eq!(answer(&engine, update("a", 3)).await.unwrap().version(), 4);
}

#[tokio::test]
async fn more_than_the_mailbox_holds_is_refused_as_busy() {
    let world = World::new().await;
    let (engine, _) = world.engine([Fault::Stall(Duration::from_secs(1))]);
    let large = limits::MAILBOX_BYTES_MAX / 2;
    let heavy = |id| {
        Order::unguarded(CommandBatch {
            approx_bytes: large,
            ..order(create(id))
        })
    };
    let _first = engine.submit(&source(), heavy("a")).unwrap();
    assert!(matches!(
        engine.submit(&source(), heavy("b")),
        Err(SubmitError::Busy)
    ));
    assert!(
        engine
            .submit(&source(), Order::unguarded(order(create("c"))))
            .is_ok()
    );
}

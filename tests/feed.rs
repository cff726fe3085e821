//! The feed on a store that counts: what many subscriptions cost together.

use std::sync::Arc;

use livelog::budget::Budget;
use livelog::domain::{Command, CommandBatch, Create, Seq, Update};
use livelog::engine::{Engine, Order};
use livelog::feed::{Feed, Notice, Start, Subscription};
use livelog::limits;
use livelog::node::Requester;
use livelog::query::{Fields, Filter};
use livelog::store::Store;
use livelog::store::embedded::{EmbeddedOptions, EmbeddedStore};
use livelog::value::{Document, Steps};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::database::scratch;
use crate::support::faulty::FaultyStore;

const WINDOW_BYTES: usize = 16 * 1024 * 1024;

fn budget() -> Budget {
    Budget::new(limits::BUDGET_BYTES)
}

/// A store with so many changes, of events whose `n` is 0 or 1; each changes its `n` a few times.
async fn store_of(changes: u64) -> (tempfile::TempDir, Arc<FaultyStore>) {
    let folder = scratch();
    let dir = folder.path().to_owned();
    let embedded = EmbeddedStore::open(EmbeddedOptions { dir }).await.unwrap();
    let counting = FaultyStore::new(embedded, []);
    write(&counting, 0..changes).await;
    (folder, counting)
}

/// A writer that begins looks once at the end of the log, for the time there.
const WRITER_READS: usize = 1;

async fn write(store: &Arc<FaultyStore>, steps: std::ops::Range<u64>) {
    let dynamic: Arc<dyn Store> = store.clone();
    let (engine, _tasks) = Engine::start(&dynamic, &Arc::default());
    let source = Requester::alone();
    let answers: Vec<_> = steps
        .map(|step| {
            engine
                .submit(&source, Order::unguarded(order(step)))
                .unwrap()
        })
        .collect();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
}

/// Every fourth step makes an event, the three after it turn its `n` on and off.
fn order(step: u64) -> CommandBatch {
    let id = format!("e{}", step / 4);
    let document = |json: Value| serde_json::from_value::<Document>(json).unwrap();
    let command = match step % 4 {
        0 => Command::Create(Create::parse(document(json!({ "_id": id, "n": 0 }))).unwrap()),
        n => {
            let update = json!({ "id": id, "updateData": { "n": n % 2 } });
            Command::Update(
                Update::parse(document(update), &mut livelog::query::Conditions::default())
                    .unwrap(),
            )
        }
    };
    CommandBatch {
        commands: vec![command],
        key: None,
        precondition: livelog::domain::Precondition::default(),
        approx_bytes: 100,
    }
}

fn filter(json: Value) -> Arc<Filter> {
    let value = serde_json::from_value(json).unwrap();
    Arc::new(Filter::parse(&value, "filter").unwrap())
}

fn subscribe(feed: &Feed, filter: &Arc<Filter>, start: Start) -> Subscription {
    let fields = Arc::new(Fields::all());
    let wakeup = Arc::new(Notify::new());
    let changes = feed.read_changes(&Requester::alone(), filter, &fields, start, &wakeup);
    Subscription::Changes(Box::new(changes))
}

/// Everything it tells until it is live: (word or kind, seq).
async fn until_live(mut subscription: Subscription) -> Vec<(String, u64)> {
    let mut told = Vec::new();
    while told.last().is_none_or(|(word, _)| word != "live") {
        subscription.ready().await;
        let mut out = |notice: Notice| {
            let frame: Value = serde_json::from_str(notice.frame.as_str()).unwrap();
            let word = frame["kind"].as_str().unwrap_or(notice.frame_type);
            told.push((word.to_owned(), frame["seq"].as_u64().unwrap()));
        };
        let slice = Steps::new(limits::JUDGE_SLICE_STEPS);
        subscription.take(&slice, &mut out).unwrap();
    }
    told
}

/// What `{"n": 1}` sees of the changes after a position.
fn expected(after: u64, changes: u64) -> Vec<(String, u64)> {
    let seen = (after + 1..=changes).filter_map(|seq| match (seq - 1) % 4 {
        1 | 3 => Some(("enter".to_owned(), seq)),
        2 => Some(("leave".to_owned(), seq)),
        _ => None,
    });
    seen.chain([("live".to_owned(), changes)]).collect()
}

#[tokio::test]
async fn a_thousand_subscriptions_that_come_back_together_read_the_same_pages() {
    let changes = 2_400;
    let (_folder, store) = store_of(changes).await;
    let dynamic: Arc<dyn Store> = store.clone();
    // A feed that has just started has an empty window: all of this comes from the log.
    let (feed, _pump) = Feed::open(&dynamic, WINDOW_BYTES, &budget(), &Arc::default())
        .await
        .unwrap();
    let filter = filter(json!({ "n": 1 }));
    let before = store.reads();
    let all = (changes - 1_000..changes).map(|after| {
        let subscription = subscribe(&feed, &filter, Start::After(Seq::new(after)));
        tokio::spawn(async move { (after, until_live(subscription).await) })
    });
    for ended in futures::future::join_all(all).await {
        let (after, told) = ended.unwrap();
        assert_eq!(told, expected(after, changes), "after {after}");
    }
    let reads = store.reads() - before;
    println!("1000 subscriptions resumed up to 1000 changes back with {reads} reads of the log");
    // Pages of 500 hold the last 1000 changes in three; the last page is cut short by the head and may be
    // read again by those who come to it later.
    assert!(reads <= 20, "{reads} reads");
}

#[tokio::test]
async fn within_the_window_nothing_is_read_from_the_store() {
    let (_folder, store) = store_of(4).await;
    let dynamic: Arc<dyn Store> = store.clone();
    let (feed, _pump) = Feed::open(&dynamic, WINDOW_BYTES, &budget(), &Arc::default())
        .await
        .unwrap();
    let filter = filter(json!({ "n": 1 }));
    let mut live = subscribe(&feed, &filter, Start::Now);
    let before = store.reads() + WRITER_READS;
    write(&store, 4..404).await;
    while feed.seq() < Seq::new(404) {
        live.ready().await;
        live.take(&Steps::unbounded(), &mut drop::<Notice>).unwrap();
    }
    let resumed = subscribe(&feed, &filter, Start::After(Seq::new(4)));
    assert_eq!(until_live(resumed).await, expected(4, 404));
    assert_eq!(store.reads(), before);
}

#[tokio::test]
async fn more_matches_than_a_filter_remembers_reach_a_sleeping_subscription_in_order() {
    let (_folder, store) = store_of(4).await;
    let dynamic: Arc<dyn Store> = store.clone();
    let (feed, _pump) = Feed::open(&dynamic, WINDOW_BYTES, &budget(), &Arc::default())
        .await
        .unwrap();
    let filter = filter(json!({ "n": 1 }));
    let sleeping = subscribe(&feed, &filter, Start::Now);
    let before = store.reads() + WRITER_READS;
    write(&store, 4..2_004).await;
    let mut watching = subscribe(&feed, &filter, Start::Now);
    while feed.seq() < Seq::new(2_004) {
        watching.ready().await;
        watching
            .take(&Steps::unbounded(), &mut drop::<Notice>)
            .unwrap();
    }
    assert_eq!(until_live(sleeping).await, expected(4, 2_004));
    assert_eq!(store.reads(), before, "the window held them all");
}

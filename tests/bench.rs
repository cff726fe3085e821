//! What needs no load from outside to be measured: filters, the log, its replay, and the memory of a
//! server on many events. `cargo bench`, a minute or two; `LIVELOG_BENCH_EVENTS` events, a million if unset.
//!
//! `livelog bench` measures what a running server does for its clients.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on fails, and says where"
)]

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt};
use livelog::domain::{Change, Effect, Event, EventId, Patch, Path as FieldPath, Seq, Timestamp};
use livelog::limits;
use livelog::node::Requester;
use livelog::query::{Direction, Filter, Query};
use livelog::store::embedded::{EmbeddedOptions, EmbeddedStore};
use livelog::store::{Batch, HistoryRange, Store};
use livelog::value::{Document, Steps, Value};
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_livelog");

const EVENTS_DEFAULT: u64 = 1_000_000;

/// Every so many events, one is updated.
const UPDATE_EVERY: u64 = 4;

const MATCHES: u32 = 20_000_000;

#[tokio::main]
async fn main() {
    let events = std::env::var("LIVELOG_BENCH_EVENTS").map_or(EVENTS_DEFAULT, |text| {
        text.parse().expect("LIVELOG_BENCH_EVENTS is a count")
    });
    let folder = tempfile::tempdir().unwrap();
    match_filter();
    fill(folder.path(), events).await;
    read_log(folder.path()).await;
    look_back(folder.path()).await;
    for task in ["verify", "replay", "export"] {
        run(folder.path(), task, events + events / UPDATE_EVERY);
    }
    serve(folder.path()).await;
}

fn say(what: &str, figure: f64, unit: &str) {
    println!("{what:<56} {figure:>12.0} {unit}");
}

fn say_rate(what: &str, count: u64, started: Instant, unit: &str) {
    let seconds = started.elapsed().as_secs_f64();
    say(what, count as f64 / seconds, unit);
}

fn document(text: &str) -> Document {
    serde_json::from_str(text).unwrap()
}

fn match_filter() {
    let asked = document(r#"{"status":"open","region":"north"}"#);
    let filter = Filter::parse(&Value::Object(asked), "filter").unwrap();
    let record = document(
        r#"{"title":"bench","count":1,"status":"open","owner":"somebody","price":12.5,
            "urgent":false,"region":"north","tags":["new","hot"],"parent":null,"text":"filler"}"#,
    );
    let started = Instant::now();
    for _ in 0..MATCHES {
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        assert_eq!(
            black_box(&filter).matches(black_box(&record), &steps),
            Ok(true)
        );
    }
    let what = "filter: two equality terms on a ten-field document";
    say_rate(what, MATCHES.into(), started, "matches/s on one core");
}

async fn fill(dir: &Path, events: u64) {
    let store = open(dir).await;
    let mut log = Log::default();
    let started = Instant::now();
    while log.events < events {
        let batch = log.batch(events);
        store.append(&Arc::new(batch)).await.unwrap();
    }
    let what = format!("log: append, {} each", limits::COMMIT_COUNT_MAX);
    say_rate(&what, log.seq.get(), started, "changes/s, durable");
    store.close().await;
}

async fn open(dir: &Path) -> Arc<EmbeddedStore> {
    let dir = dir.to_owned();
    EmbeddedStore::open(EmbeddedOptions { dir }).await.unwrap()
}

/// A log of creates of about 150 bytes, and an update now and then.
#[derive(Default)]
struct Log {
    seq: Seq,
    events: u64,
    last: Option<Arc<Event>>,
}

impl Log {
    fn batch(&mut self, events: u64) -> Batch {
        let after = self.seq;
        let mut changes = Vec::with_capacity(limits::COMMIT_COUNT_MAX + 1);
        while self.events < events && changes.len() < limits::COMMIT_COUNT_MAX {
            let effect = self.create();
            changes.push(self.change(effect));
            if self.events.is_multiple_of(UPDATE_EVERY) {
                let effect = self.update();
                changes.push(self.change(effect));
            }
        }
        Batch {
            id: Uuid::new_v4(),
            after,
            changes,
        }
    }

    fn change(&mut self, effect: Effect) -> Arc<Change> {
        self.seq = self.seq.next();
        self.last = match &effect {
            Effect::Create { after } | Effect::Update { after, .. } => Some(Arc::clone(after)),
            Effect::Delete { .. } | Effect::Redacted { .. } => None,
        };
        let (seq, at) = (self.seq, at());
        let command = None;
        Arc::new(Change {
            seq,
            at,
            effect,
            command,
            author: None,
        })
    }

    fn create(&mut self) -> Effect {
        self.events += 1;
        let number = self.events;
        let event = Event {
            id: EventId::from(Uuid::now_v7()),
            version: 1,
            seq: self.seq.next(),
            created_at: at(),
            updated_at: at(),
            fields: document(&format!(
                r#"{{"title":"bench","count":{number},"text":"the quick brown fox jumps over the lazy dog and runs away"}}"#
            )),
        };
        Effect::Create {
            after: Arc::new(event),
        }
    }

    fn update(&mut self) -> Effect {
        let before = self.last.take().expect("an event was just created");
        let patch = Patch {
            set: vec![(FieldPath::parse("count").unwrap(), Value::Int(-1))],
            unset: Vec::new(),
        };
        let after = before.patched(&patch, self.seq.next(), at()).unwrap();
        Effect::Update {
            before,
            patch,
            after: Arc::new(after),
        }
    }
}

fn at() -> Timestamp {
    Timestamp::parse("2026-01-31T12:00:00.000Z").unwrap()
}

async fn read_log(dir: &Path) {
    let store = open(dir).await;
    let started = Instant::now();
    let mut seq = Seq::ZERO;
    while let Some(last) = store
        .read(seq, limits::LOG_PAGE_COUNT)
        .await
        .unwrap()
        .last()
    {
        seq = last.seq;
    }
    say_rate("log: read and decode", seq.get(), started, "changes/s");
    store.close().await;
}

/// The view as it was half a log ago, whole and by single events, and histories.
async fn look_back(dir: &Path) {
    const READS: u64 = 20_000;
    let store = open(dir).await;
    let at = Seq::new(store.head().await.unwrap().get() / 2);
    let everything = Arc::new(Query::everything());
    let started = Instant::now();
    let found = store
        .find_at(&Requester::alone(), &everything, at)
        .await
        .unwrap();
    let ids: Vec<EventId> = found
        .events
        .map_ok(|event| event.id)
        .try_collect()
        .await
        .unwrap();
    say_rate(
        "past: all events, half a log ago",
        ids.len() as u64,
        started,
        "events/s",
    );
    let some = || {
        ids.iter()
            .cycle()
            .step_by(7919)
            .take(usize::try_from(READS).unwrap())
    };
    let started = Instant::now();
    for id in some() {
        let filter = Filter::of_id(id.as_str());
        let query = Query {
            filter,
            ..Query::everything()
        };
        let found = store
            .find_at(&Requester::alone(), &Arc::new(query), at)
            .await
            .unwrap();
        assert_eq!(found.events.count().await, 1);
    }
    say_rate(
        "past: one event, half a log ago",
        READS,
        started,
        "reads/s, one at a time",
    );
    let newest = HistoryRange {
        direction: Direction::Descending,
        after: None,
        limit: limits::FETCH_COUNT_DEFAULT,
    };
    let started = Instant::now();
    for id in some() {
        assert!(!store.history(id, newest).await.unwrap().is_empty());
    }
    say_rate(
        "past: the history of an event",
        READS,
        started,
        "reads/s, one at a time",
    );
    store.close().await;
}

/// What the command line does with a log as a whole, from its start to its end.
fn run(dir: &Path, task: &str, changes: u64) {
    let started = Instant::now();
    let status = livelog(dir, task).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{task}: {status}");
    say_rate(&format!("livelog {task}"), changes, started, "changes/s");
}

fn livelog(dir: &Path, task: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args([task, "--log", "warn", "--data"]).arg(dir);
    command.stderr(Stdio::null());
    command
}

/// A server that was asked for a page, for all events, and for what no event matches.
async fn serve(dir: &Path) {
    if !Path::new("/proc/self/status").exists() {
        println!("server memory: skipped, there is no /proc here");
        return;
    }
    let mut command = livelog(dir, "serve");
    command.args(["--listen", "127.0.0.1:0"]);
    let mut server = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let stdout = server.0.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap();
    server.say_memory("after its start");
    for (name, question) in [
        ("after a page of 1000", "?limit=1000"),
        (
            "after a filter that no event matches",
            r#"?filter={"count":-2}"#,
        ),
        ("after all events were fetched", ""),
    ] {
        fetch(&format!("{url}/api/events{question}")).await;
        server.say_memory(name);
    }
}

async fn fetch(url: &str) {
    let mut answer = reqwest::get(url).await.unwrap().error_for_status().unwrap();
    while answer.chunk().await.unwrap().is_some() {}
}

/// Killed when it is dropped: a benchmark that fails leaves no server behind.
struct Running(Child);

impl Running {
    fn say_memory(&self, when: &str) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let kibibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.unwrap().trim().trim_end_matches(" kB");
            number.parse::<f64>().unwrap()
        };
        say(
            &format!("server memory {when}"),
            kibibytes("VmRSS:") / 1024.0,
            "MiB resident",
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

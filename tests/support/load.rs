//! Writers that keep a server busy while something happens to it, and remember what they were told.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::End;
use super::dice::Dice;
use super::{Client, Server};

/// What the writers of a load were told.
#[derive(Debug, Default)]
pub struct Told {
    /// The place in the log of each acknowledged command.
    pub acknowledged: BTreeMap<u64, String>,
    /// Commands refused with an error, and that error.
    pub refused: Vec<(String, Value)>,
    /// Commands whose session ended before their answer came.
    pub unanswered: HashSet<String>,
    /// How those sessions ended.
    pub ends: Vec<End>,
    /// The longest that a command waited for its answer.
    pub slowest: Duration,
}

/// How many answers all writers had so far.
#[derive(Debug, Default)]
struct Counts {
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
}

/// Writers at work.
#[derive(Debug)]
pub struct Load {
    writers: JoinSet<Told>,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

/// Commands one writer has on the way.
const IN_FLIGHT: usize = 16;

/// A writer's nth command, of those that this word is the writer's own in: the name by which it is told
/// of, its type and its payload.
type Script = fn(&str, usize) -> (String, &'static str, Value);

/// Every command creates an event, by whose id it is told of.
fn creates(writer: &str, n: usize) -> (String, &'static str, Value) {
    let event = format!("{writer}-{n}");
    let payload = json!({"_id": event, "n": n});
    (event, "CREATE", payload)
}

/// Events are created and updated twice, and every other one is deleted. Told of as [`change_name`] says.
fn lives(writer: &str, n: usize) -> (String, &'static str, Value) {
    let (event, version) = (format!("{writer}-{}", n / 4), n % 4);
    let name = format!("{event}#{}", version + 1);
    let mut expected = json!({"id": event, "expectedVersion": version});
    match version {
        0 => (name, "CREATE", json!({"_id": event, "n": n})),
        3 if n % 8 == 7 => (name, "DELETE", expected),
        _ => {
            expected["updateData"] = json!({"n": n, "deep.n": n});
            (name, "UPDATE", expected)
        }
    }
}

/// Few events, the same for all writers, are created, moved from one of five values to another, and deleted.
/// Commands for what is there already, or not there, are refused.
fn moves(writer: &str, n: usize) -> (String, &'static str, Value) {
    let stream = u64::from_str_radix(&writer[..16], 16).expect("a writer's word is hexadecimal");
    let mut dice = Dice::new(n as u64, stream);
    let (event, place) = (format!("m{:03}", dice.below(300)), dice.below(5));
    let name = format!("{writer}-{n}");
    match dice.below(8) {
        0 => (name, "DELETE", json!({"id": event})),
        1 | 2 => (
            name,
            "CREATE",
            json!({"_id": event, "place": place, "text": writer.repeat(8)}),
        ),
        _ => (
            name,
            "UPDATE",
            json!({"id": event, "updateData": {"place": place, "deep.n": n}}),
        ),
    }
}

/// What a command of a mixed load is told of by, from the change it made.
pub fn change_name(change: &Value) -> String {
    let event = change["eventId"].as_str().expect("eventId");
    format!("{event}#{}", change["version"])
}

impl Load {
    /// `writers` sessions, spread over `servers`, that create events until told to stop or cut off.
    pub async fn start(servers: &[&Server], writers: usize) -> Self {
        Self::bounded(servers, writers, usize::MAX).await
    }

    /// The same, but each writer creates at most `count` events.
    pub async fn bounded(servers: &[&Server], writers: usize, count: usize) -> Self {
        Self::by(creates, servers, writers, count).await
    }

    /// `writers` sessions that create, update and delete until told to stop or cut off.
    pub async fn mixed(server: &Server, writers: usize) -> Self {
        Self::by(lives, &[server], writers, usize::MAX).await
    }

    /// `writers` sessions that have the same events enter and leave what filters for `place` see.
    pub async fn moving(servers: &[&Server], writers: usize) -> Self {
        Self::by(moves, servers, writers, usize::MAX).await
    }

    async fn by(script: Script, servers: &[&Server], writers: usize, count: usize) -> Self {
        let mut load = Self {
            writers: JoinSet::new(),
            stop: Arc::default(),
            counts: Arc::default(),
        };
        for writer in 0..writers {
            let client = servers[writer % servers.len()]
                .connect("/ws?changes=none")
                .await;
            let stop = Arc::clone(&load.stop);
            let counts = Arc::clone(&load.counts);
            let writing = write(client, script, count, stop, counts);
            load.writers.spawn(writing);
        }
        load
    }

    /// How many commands were done so far.
    pub fn acknowledged(&self) -> usize {
        self.counts.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until this many commands were answered in all: it is busy now.
    pub async fn until_answered(&self, count: usize) {
        super::eventually("the load is under way", async || {
            let refused = self.counts.refused.load(Ordering::Relaxed);
            (self.acknowledged() + refused >= count).then_some(())
        })
        .await;
    }

    /// Waits until this many commands were refused.
    pub async fn until_refused(&self, count: usize) {
        super::eventually("commands are refused", async || {
            (self.counts.refused.load(Ordering::Relaxed) >= count).then_some(())
        })
        .await;
    }

    /// Lets every writer hear its last answers and collects what all were told.
    pub async fn stop(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until every writer has written all it should, or was cut off.
    pub async fn finish(mut self) -> Told {
        let mut all = Told::default();
        while let Some(told) = self.writers.join_next().await {
            let told = told.unwrap();
            let before = all.acknowledged.len();
            let more = told.acknowledged.len();
            all.acknowledged.extend(told.acknowledged);
            assert_eq!(
                all.acknowledged.len(),
                before + more,
                "one seq for two commands"
            );
            all.refused.extend(told.refused);
            all.unanswered.extend(told.unanswered);
            all.ends.extend(told.ends);
            all.slowest = all.slowest.max(told.slowest);
        }
        all
    }
}

async fn write(
    mut client: Client,
    script: Script,
    count: usize,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
) -> Told {
    let mut told = Told::default();
    let mut times = HashMap::new();
    let mut sent = 0;
    let writer = uuid::Uuid::new_v4().simple().to_string();
    loop {
        let stopping = stop.load(Ordering::Relaxed) || sent >= count;
        while !stopping && sent < count && told.unanswered.len() < IN_FLIGHT {
            let (event, kind, payload) = script(&writer, sent);
            let frame = json!({"type": kind, "id": event, "payload": payload});
            sent += 1;
            times.insert(event.clone(), Instant::now());
            told.unanswered.insert(event);
            if !client.try_send(&frame).await {
                break;
            }
        }
        if told.unanswered.is_empty() {
            return told;
        }
        let answer = match client.try_answer().await {
            Ok(answer) => answer,
            Err(end) => {
                told.ends.push(end);
                return told;
            }
        };
        let event = answer["id"]
            .as_str()
            .expect("the id of a command")
            .to_owned();
        assert!(told.unanswered.remove(&event), "a second answer: {answer}");
        told.slowest = told
            .slowest
            .max(times.remove(&event).expect("it was sent").elapsed());
        if answer["type"] == "response" {
            counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            let seq = answer["seq"].as_u64().expect("seq");
            assert!(
                told.acknowledged.insert(seq, event).is_none(),
                "one seq for two commands"
            );
        } else {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            told.refused.push((event, answer["error"].clone()));
        }
    }
}

/// Reads the whole log as a client can, and checks what was told against it: no gap, every event created
/// once, everything acknowledged at the place it was told, nothing refused.
/// Returns the event of each change.
pub async fn check_log(server: &Server, told: &Told) -> Vec<String> {
    let (_, last) = server
        .connect("/ws?changes=none")
        .await
        .create(json!({"last": true}))
        .await;
    let mut reader = server.connect("/ws?after=0").await;
    assert_eq!(reader.start(), 0, "{}", reader.welcome);
    let changes = reader.changes_through(last).await;
    assert_eq!(changes[0]["seq"], 1);
    assert_eq!(changes.len() as u64, last);
    let events: Vec<String> = changes
        .iter()
        .map(|change| change["eventId"].as_str().expect("eventId").to_owned())
        .collect();
    let distinct: HashSet<&String> = events.iter().collect();
    assert_eq!(distinct.len(), events.len(), "a command was applied twice");
    for (seq, event) in &told.acknowledged {
        let at = usize::try_from(*seq).unwrap() - 1;
        assert_eq!(
            events.get(at),
            Some(event),
            "acknowledged, but not in the log at {seq}"
        );
    }
    for (event, error) in &told.refused {
        if error["code"] != "outcome_unknown" {
            assert!(
                !distinct.contains(event),
                "refused, but applied: {event} {error}"
            );
        }
    }
    events
}

//! The embedded store under a server that is killed again and again, on one folder.
//!
//! `LIVELOG_KILLS` sets how often, `LIVELOG_KILL_SEED` repeats the moments of a run.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::dice::{Dice, number};
use crate::support::load::{Told, change_name};
use crate::support::{Database, Load, Server};

const KILLS: u64 = 50;

/// Sessions that write meanwhile.
const WRITERS: usize = 4;

/// A server lives at most this long under load before it is killed.
const LIFE_MICROSECONDS: u64 = 120_000;

/// About what a start takes: one in five is killed in the middle of it.
const START_MICROSECONDS: u64 = 40_000;

/// Between two proofs that the view equals the log.
const VERIFY_EVERY: u64 = 10;

/// What clients know of the log, from answers and from changes.
#[derive(Debug, Default)]
struct Known {
    epoch: Option<Value>,
    head: u64,
    /// Commands that are in the log.
    names: HashSet<String>,
    /// The fold of the changes.
    view: BTreeMap<String, Value>,
    acknowledged: usize,
    unanswered: usize,
    /// Unanswered, and done.
    survived: usize,
}

impl Known {
    /// Reads what the log has grown by since, and holds it against what the writers were told.
    async fn compare(&mut self, server: &Server, told: &Told) {
        let log = self.read(server).await;
        for (seq, name) in &told.acknowledged {
            assert_eq!(log.get(seq), Some(name), "acknowledged, but not at {seq}");
        }
        // What is in the log was sent: acknowledged, or cut off before the answer.
        let acknowledged: HashSet<&String> = told.acknowledged.values().collect();
        for name in log.values().filter(|name| !acknowledged.contains(name)) {
            assert!(told.unanswered.contains(name), "nobody sent {name}");
            self.survived += 1;
        }
        self.acknowledged += told.acknowledged.len();
        self.unanswered += told.unanswered.len();
    }

    /// The names of the changes that are new, by seq: the next ones, without a gap, none twice.
    async fn read(&mut self, server: &Server) -> BTreeMap<u64, String> {
        let head = server.connect("/ws?changes=none").await.start();
        let mut reader = server.connect(&format!("/ws?after={}", self.head)).await;
        let epoch = self.epoch.get_or_insert(reader.welcome["epoch"].clone());
        assert_eq!(reader.welcome["epoch"], *epoch);
        assert_eq!(
            reader.start(),
            self.head,
            "the head has gone back to {head}"
        );
        let mut log = BTreeMap::new();
        while self.head < head {
            let change = reader.change().await;
            self.head += 1;
            assert_eq!(change["seq"], self.head, "{change}");
            let name = change_name(&change);
            assert!(self.names.insert(name.clone()), "{name} was done twice");
            self.apply(&change);
            log.insert(self.head, name);
        }
        log
    }

    fn apply(&mut self, change: &Value) {
        let id = change["eventId"].as_str().unwrap().to_owned();
        match change.get("data") {
            Some(event) => self.view.insert(id, event.clone()),
            None => self.view.remove(&id),
        };
    }

    /// Whether the view that the server has is the fold of what it told of the log.
    async fn compare_view(&self, server: &Server) {
        let (_, all) = server.get("/api/events", &[]).await;
        assert_eq!(all["seq"], self.head);
        let expected: Vec<&Value> = self.view.values().collect();
        assert_eq!(all["data"], json!(expected));
    }

    /// Whether an index yields all events of the view in its order.
    async fn compare_order(&self, server: &Server) {
        let (_, all) = server
            .get(
                "/api/events",
                &[("sort", r#"{"n":1}"#), ("filter", r#"{"n":{"$gte":0}}"#)],
            )
            .await;
        let mut expected: Vec<&Value> = self.view.values().collect();
        expected.sort_by_key(|event| event["n"].as_u64());
        assert_eq!(all["data"], json!(expected));
    }
}

/// Of what the load writes.
const INDEXES: [&[&str]; 3] = [
    &["--index", "n", "--index", "deep.n,-n"],
    &["--index", "deep.n,-n"],
    &[],
];

async fn verify(database: &Database, head: u64) {
    let (code, said) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
    let counts = format!("view equals log: {head} changes");
    assert!(said.contains(&counts), "{said}");
}

/// Starts a server and kills it at once; where it is in its start is up to the machine.
async fn kill_a_start(database: &Arc<Database>, dice: &mut Dice) {
    let moment = microseconds(dice, START_MICROSECONDS);
    drop(tokio::time::timeout(moment, Server::spawn(database, &[])).await);
}

fn microseconds(dice: &mut Dice, bound: u64) -> Duration {
    Duration::from_micros(dice.below(bound) as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_again_and_again_loses_nothing_acknowledged() {
    let kills = number("LIVELOG_KILLS").unwrap_or(KILLS);
    let seed = number("LIVELOG_KILL_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("{kills} kills, LIVELOG_KILL_SEED={seed:#x}");
    let mut dice = Dice::new(seed, 0);
    let database = Database::folder();
    let (mut known, mut told) = (Known::default(), Told::default());
    let mut starts = 0;
    for kill in 1..=kills {
        if dice.below(5) == 0 {
            kill_a_start(&database, &mut dice).await;
            starts += 1;
        }
        // So that kills meet indexes that are built, such as are not, and such as are removed.
        let server = Server::on(Arc::clone(&database), INDEXES[dice.below(3)]).await;
        known.compare(&server, &told).await;
        let load = Load::mixed(&server, WRITERS).await;
        tokio::time::sleep(microseconds(&mut dice, LIFE_MICROSECONDS)).await;
        server.kill().await;
        told = load.finish().await;
        assert!(told.refused.is_empty(), "{:?}", told.refused);
        if kill % VERIFY_EVERY == 0 || kill == kills {
            let before = Server::on(Arc::clone(&database), INDEXES[0]).await;
            known.compare(&before, &std::mem::take(&mut told)).await;
            known.compare_view(&before).await;
            known.compare_order(&before).await;
            before.kill().await;
            verify(&database, known.head).await;
        }
    }
    println!(
        "{kills} kills under load and {starts} of starts: {} commands acknowledged, {} unanswered of which {} were done",
        known.acknowledged, known.unanswered, known.survived
    );
    assert!(known.acknowledged > 0 && known.unanswered > 0);
}

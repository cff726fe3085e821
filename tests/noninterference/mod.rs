//! Noninterference: what somebody may not see makes no difference to anything that they hear, by any door.
//!
//! A pair is two logs that differ only in that (`pair`); what its principal hears while they grow (`play`) must be the
//! same, but for what is said to be seen: that seqs, versions and times move on. Most pairs are played on nodes in this
//! process (`house`), some on real servers, on both stores, and on two nodes of one log.
//!
//! `LIVELOG_PAIRS` sets how many, `LIVELOG_PAIR_SEED` repeats a run, and `LIVELOG_PAIR` leaves out those before one.

mod house;
mod pair;
mod play;
mod random;
mod rules;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use livelog::access::Grant;
use livelog::guard::Guard;
use livelog::protocol::Credentials;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::dice::{Dice, number};
use crate::support::guarded::{AccessFile, token};
use house::House;
use pair::{Action, Both, Maker, Pair, Principal};
use play::{Transcript, normalized, play};

/// Pairs that share an access file and their servers, one after the other.
const CHUNK: u64 = 25;

/// How much happens in a pair.
const LENGTH: usize = 32;

fn seed() -> u64 {
    number("LIVELOG_PAIR_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0)
}

fn token_of_service() -> String {
    token("service", &json!({"role": "service"}))
}

/// Pairs that are played on the same servers.
struct Chunk {
    seed: u64,
    first: u64,
    principals: Vec<Principal>,
    file: AccessFile,
}

impl Chunk {
    fn new(seed: u64, first: u64, count: u64) -> Self {
        let principals = (first..first + count).map(|number| {
            let role = format!("role{number}");
            Principal::new(&mut Dice::new(seed, number), &role, number == first)
        });
        let principals: Vec<Principal> = principals.collect();
        let mut roles = json!({"service": {
            "read": true, "create": true, "update": true, "delete": true, "past": "all",
            "broadcast": {"send": true, "hear": true},
        }});
        for principal in &principals {
            roles[&principal.role_name] = principal.role.clone();
        }
        let file = AccessFile::new(&roles, &json!({"anonymous": principals[0].role_name}));
        Self {
            seed,
            first,
            principals,
            file,
        }
    }

    /// What a principal shows; the first is anonymous.
    fn token(&self, index: usize) -> Option<String> {
        let principal = self.principals.get(index).filter(|_| index > 0)?;
        let mut claims = principal.claims.clone();
        claims["role"] = json!(principal.role_name);
        Some(token("principal", &claims))
    }

    async fn grant(&self, index: usize) -> Grant {
        let (guard, _) = Guard::load(self.file.path().as_ref()).unwrap();
        let token = self.token(index).map(Into::into);
        let admission = guard.admit(Credentials { token, role: None }).await;
        admission.unwrap().grant().clone()
    }

    fn pair(&self, index: usize, grant: &Grant, heads: Both<u64>, length: usize) -> Pair {
        let number = self.first + index as u64;
        let dice = Dice::new(self.seed, number + (1 << 40));
        let principal = self.principals[index].clone();
        Maker::new(dice, principal, grant, &format!("{number}-"), heads).make(length)
    }

    /// Plays one pair in both logs: what happened, or what made a difference.
    async fn play(&self, index: usize, stage: &mut Stage, length: usize) -> Result<Tally, String> {
        let grant = self.grant(index).await;
        let pair = self.pair(index, &grant, stage.heads, length);
        let token = self.token(index);
        let fence = format!("{}-z", self.first + index as u64);
        let service = token_of_service();
        let services = [0, 1].map(|side| stage.houses[side].service(&service));
        let [mut here, mut there] = futures::future::join_all(services)
            .await
            .try_into()
            .unwrap_or_else(|_| unreachable!("two houses"));
        let played = futures::join!(
            play(
                &stage.houses[0],
                0,
                &pair,
                token.as_deref(),
                &mut here,
                &fence
            ),
            play(
                &stage.houses[1],
                1,
                &pair,
                token.as_deref(),
                &mut there,
                &fence
            ),
        );
        let ((here, head), (there, head_there)) = played;
        stage.heads = [head, head_there];
        let (here, there) = (normalized(here), normalized(there));
        match difference(&here, &there, &pair) {
            None => Ok(Tally::of(&pair, &here)),
            Some(difference) => Err(difference),
        }
    }
}

/// What pairs come to: none of it may be nothing.
#[derive(Debug, Default)]
struct Tally {
    pairs: usize,
    /// What others did in one of the logs alone, or otherwise.
    hidden: usize,
    /// Changes that were told live.
    told: usize,
    /// Writes of the principal that were carried out, and those that were refused.
    done: usize,
    refused: usize,
}

impl Tally {
    fn of(pair: &Pair, transcript: &Transcript) -> Self {
        let hidden = pair.actions.iter().filter(|action| match action {
            Action::Others([here, there]) | Action::Said([here, there]) => here != there,
            _ => false,
        });
        let told = transcript.iter().filter(|(what, _)| what == "changes");
        let told = told.filter_map(|(_, changes)| changes.as_array());
        let answers = |is_done: bool| {
            let answers = transcript.iter().map(|(_, answer)| answer);
            let writes = answers.filter(|answer| {
                let kind = answer["request"].as_str().unwrap_or_default();
                ["CREATE", "UPDATE", "DELETE", "RESTORE", "BATCH"].contains(&kind)
            });
            writes.filter(|answer| answer["success"] == is_done).count()
        };
        Self {
            pairs: 1,
            hidden: hidden.count(),
            told: told.map(Vec::len).sum(),
            done: answers(true),
            refused: answers(false),
        }
    }

    fn add(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.hidden += other.hidden;
        self.told += other.told;
        self.done += other.done;
        self.refused += other.refused;
    }

    /// Enough happened for a difference to be seen.
    fn check(&self) {
        println!("{self:?}");
        for count in [self.hidden, self.told, self.done, self.refused] {
            assert!(count >= self.pairs.div_ceil(10), "{self:?}");
        }
    }
}

/// Where pairs are played: two houses with the same access file.
struct Stage {
    houses: Both<House>,
    heads: Both<u64>,
}

impl Stage {
    fn new(houses: Both<House>) -> Self {
        Self {
            houses,
            heads: [0, 0],
        }
    }

    async fn inside(file: &AccessFile) -> Self {
        Self::new([House::inside(file).await, House::inside(file).await])
    }

    async fn close(self) {
        for house in self.houses {
            house.close().await;
        }
    }
}

/// The first thing that was heard in one log and not in the other.
fn difference(here: &Transcript, there: &Transcript, pair: &Pair) -> Option<String> {
    if here == there {
        return None;
    }
    let different = here.iter().zip(there).find(|(here, there)| here != there);
    let both = match different {
        Some(((what, here), (_, there))) => format!(
            "{what}\n  here  {}\n  there {}",
            first_difference(here, there).0,
            first_difference(here, there).1
        ),
        None => format!("{} and {} things were heard", here.len(), there.len()),
    };
    Some(format!("{both}\n{}", told(pair)))
}

/// Of two lists, what differs first.
fn first_difference<'a>(here: &'a Value, there: &'a Value) -> (&'a Value, &'a Value) {
    let (Some(ours), Some(theirs)) = (here.as_array(), there.as_array()) else {
        return (here, there);
    };
    let different = ours.iter().zip(theirs).find(|(here, there)| here != there);
    match different {
        Some((here, there)) => first_difference(here, there),
        None => (here, there),
    }
}

fn told(pair: &Pair) -> String {
    let principal = &pair.principal;
    let mut lines = vec![format!(
        "role {}\nclaims {}",
        principal.role, principal.claims
    )];
    let both = |commands: &Both<Vec<Value>>| {
        let text = |commands: &Vec<Value>| {
            commands
                .iter()
                .map(Value::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        match commands[0] == commands[1] {
            true => format!("  both {}", text(&commands[0])),
            false => format!(
                "  here {}\n  there {}",
                text(&commands[0]),
                text(&commands[1])
            ),
        }
    };
    lines.extend(pair.before.iter().map(both));
    lines.push("connects".to_owned());
    lines.extend(pair.actions.iter().map(|action| match action {
        Action::Others(commands) | Action::Said(commands) => both(commands),
        Action::Own([here, there]) | Action::Pages([here, there]) if here == there => {
            format!("own {here}")
        }
        Action::Own([here, there]) | Action::Pages([here, there]) => {
            format!("own {here}\n  there {there}")
        }
        Action::Log(after, asked) => format!("log after {after:?} {}", json!(asked)),
        Action::Patch(id, versions, title) => format!("PATCH {id} {versions:?} {title}"),
        other => format!("{other:?}"),
    }));
    lines.join("\n")
}

/// The shortest beginning of a pair that makes a difference, on servers of its own.
async fn shortest(chunk: &Chunk, index: usize, whole: String) -> String {
    for length in 2..=LENGTH {
        let mut stage = Stage::inside(&chunk.file).await;
        let found = chunk.play(index, &mut stage, length).await;
        stage.close().await;
        if let Err(found) = found {
            return found;
        }
    }
    whole
}

async fn play_chunk(chunk: &Chunk, stage: &mut Stage) -> Tally {
    let mut tally = Tally::default();
    for index in 0..chunk.principals.len() {
        match chunk.play(index, stage, LENGTH).await {
            Ok(played) => tally.add(&played),
            Err(found) => {
                let (seed, number) = (chunk.seed, chunk.first + index as u64);
                let found = shortest(chunk, index, found).await;
                panic!("LIVELOG_PAIR_SEED={seed:#x}, pair {number}: {found}");
            }
        }
    }
    tally
}

/// Several at once, since each waits for its answers; on one thread, since tests that count on deadlines run beside it.
#[tokio::test]
async fn what_is_not_seen_makes_no_difference() {
    let (seed, pairs) = (seed(), number("LIVELOG_PAIRS").unwrap_or(2_000));
    println!("{pairs} pairs, LIVELOG_PAIR_SEED={seed:#x}");
    let first = number("LIVELOG_PAIR").unwrap_or(0);
    let next = Arc::new(AtomicU64::new(first / CHUNK));
    let players = (0..4).map(|_| {
        let next = Arc::clone(&next);
        tokio::spawn(async move {
            let mut tally = Tally::default();
            loop {
                let first = next.fetch_add(1, Ordering::Relaxed) * CHUNK;
                if first >= pairs {
                    return tally;
                }
                let chunk = Chunk::new(seed, first, CHUNK);
                let mut stage = Stage::inside(&chunk.file).await;
                tally.add(&play_chunk(&chunk, &mut stage).await);
                stage.close().await;
            }
        })
    });
    let mut tally = Tally::default();
    for player in players.collect::<Vec<_>>() {
        tally.add(&player.await.unwrap());
    }
    tally.check();
}

async fn plays_on(houses: impl AsyncFn(&AccessFile) -> House) {
    let seed = seed();
    println!("LIVELOG_PAIR_SEED={seed:#x}");
    let chunk = Chunk::new(seed, 0, 20);
    let mut stage = Stage::new([houses(&chunk.file).await, houses(&chunk.file).await]);
    play_chunk(&chunk, &mut stage).await.check();
}

#[tokio::test]
async fn nor_on_the_embedded_store() {
    plays_on(async |file| House::process(Database::alone().await, file).await).await;
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn nor_on_mongodb() {
    plays_on(async |file| House::process(Database::shared().await, file).await).await;
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn nor_on_two_nodes() {
    plays_on(async |file| House::two(Database::shared().await, file).await).await;
}

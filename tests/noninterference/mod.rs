//! Noninterference: what somebody may not see makes no difference to anything that they hear, by any door.
//!
//! A pair is two logs that differ only in that (`pair`); what its principal hears while they grow (`play`) must be the
//! same, but for what is said to be seen: that seqs, versions and times move on. Most pairs are played on nodes in this
//! process (`house`), some on real servers, on both stores, and on two nodes of one log.
//!
//! `LIVELOG_PAIRS` sets how many, `LIVELOG_PAIR_SEED` repeats a run.

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
use house::{House, Service};
use pair::{Action, Both, Maker, Pair, Principal};
use play::{Transcript, normalized, play};

/// Pairs that share an access file and their servers, one after the other.
const CHUNK: u64 = 25;

/// How much happens in a pair.
const LENGTH: usize = 32;

fn seed() -> u64 {
    number("LIVELOG_PAIR_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0)
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

    /// Plays one pair in both logs: the difference, if there is one.
    async fn play(&self, index: usize, stage: &mut Stage, length: usize) -> Option<String> {
        let grant = self.grant(index).await;
        let pair = self.pair(index, &grant, stage.heads, length);
        let token = self.token(index);
        let fence = format!("{}-z", self.first + index as u64);
        let Stage {
            houses,
            services,
            heads,
        } = stage;
        let [here, there] = services;
        let played = futures::join!(
            play(&houses[0], 0, &pair, token.as_deref(), here, &fence),
            play(&houses[1], 1, &pair, token.as_deref(), there, &fence),
        );
        let ((here, head), (there, head_there)) = played;
        *heads = [head, head_there];
        difference(normalized(here), normalized(there), &pair)
    }
}

/// Where pairs are played: two houses with the same access file.
struct Stage {
    houses: Both<House>,
    services: Both<Service>,
    heads: Both<u64>,
}

impl Stage {
    async fn new(houses: Both<House>) -> Self {
        let service = token("service", &json!({"role": "service"}));
        let services = [
            houses[0].service(&service).await,
            houses[1].service(&service).await,
        ];
        Self {
            houses,
            services,
            heads: [0, 0],
        }
    }

    async fn inside(file: &AccessFile) -> Self {
        Self::new([House::inside(file).await, House::inside(file).await]).await
    }

    async fn close(self) {
        drop(self.services);
        for house in self.houses {
            house.close().await;
        }
    }
}

/// The first thing that was heard in one log and not in the other.
fn difference(here: Transcript, there: Transcript, pair: &Pair) -> Option<String> {
    if here == there {
        return None;
    }
    let different = here.iter().zip(&there).find(|(here, there)| here != there);
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
        if let Some(found) = found {
            return found;
        }
    }
    whole
}

async fn play_chunk(chunk: &Chunk, stage: &mut Stage) {
    for index in 0..chunk.principals.len() {
        if let Some(found) = chunk.play(index, stage, LENGTH).await {
            let (seed, number) = (chunk.seed, chunk.first + index as u64);
            let found = shortest(chunk, index, found).await;
            panic!("LIVELOG_PAIR_SEED={seed:#x}, pair {number}: {found}");
        }
    }
}

/// Many at once, since each waits for its answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_seen_makes_no_difference() {
    let (seed, pairs) = (seed(), number("LIVELOG_PAIRS").unwrap_or(2_000));
    println!("{pairs} pairs, LIVELOG_PAIR_SEED={seed:#x}");
    let first = number("LIVELOG_PAIR_FIRST").unwrap_or(0);
    let next = Arc::new(AtomicU64::new(first / CHUNK));
    let players = (0..6).map(|_| {
        let next = Arc::clone(&next);
        tokio::spawn(async move {
            loop {
                let first = next.fetch_add(1, Ordering::Relaxed) * CHUNK;
                if first >= pairs {
                    return;
                }
                let chunk = Chunk::new(seed, first, CHUNK);
                let mut stage = Stage::inside(&chunk.file).await;
                play_chunk(&chunk, &mut stage).await;
                stage.close().await;
            }
        })
    });
    for player in players.collect::<Vec<_>>() {
        player.await.unwrap();
    }
}

async fn plays_on(houses: impl AsyncFn(&AccessFile) -> House) {
    let seed = seed();
    println!("LIVELOG_PAIR_SEED={seed:#x}");
    let chunk = Chunk::new(seed, 0, 20);
    let mut stage = Stage::new([houses(&chunk.file).await, houses(&chunk.file).await]).await;
    play_chunk(&chunk, &mut stage).await;
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

//! Taking turns: fairness between nodes that write at once.
//!
//! The node that has just written knows the new head first, so it would win the next race too, and
//! the one after. A node that lost some in a row writes its name into the head; until it has written a
//! batch, or its time is up, no other node can move the head. Whoever writes ends the turn.

use std::sync::atomic::{AtomicU32, Ordering};

use bson::{Document, doc};
use mongodb::Database;
use uuid::Uuid;

use crate::store::mongo::META;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, within};

/// Races lost in a row before a node claims a turn. Fewer would be fairer still, and slower for all.
const LOSSES_MAX: u32 = 5;

/// How long a turn lasts at most, in milliseconds: what all others wait if the node dies in it.
const TURN_MILLIS: i64 = 1_000;

/// This node's place in the line.
#[derive(Debug)]
pub(crate) struct WriteTurn {
    name: String,
    losses: AtomicU32,
}

impl WriteTurn {
    pub(crate) fn new() -> Self {
        Self {
            name: Uuid::new_v4().to_string(),
            losses: AtomicU32::new(0),
        }
    }

    /// What this node writes into the head.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn won(&self) {
        self.losses.store(0, Ordering::Relaxed);
    }

    /// Counts a lost race, and claims the next turn after too many. A claim that fails is made again
    /// after the next loss.
    pub(crate) async fn lost(&self, database: &Database) {
        if self.losses.fetch_add(1, Ordering::Relaxed) >= LOSSES_MAX {
            let _ = claim(database, &self.name).await;
        }
    }
}

async fn claim(database: &Database, name: &str) -> Result<(), CallError> {
    let meta = database.collection::<Document>(META);
    let free = doc! { "_id": "head", "turn": { "$exists": false } };
    let until = doc! { "$add": ["$$NOW", TURN_MILLIS] };
    let update = vec![doc! { "$set": { "turn": { "writer": name, "until": until } } }];
    within(
        CALL_DEADLINE,
        async move { meta.update_one(free, update).await },
    )
    .await
    .map(drop)
}

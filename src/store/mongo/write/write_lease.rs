//! The write lease: fairness between nodes that write at once.
//!
//! The node that has just written knows the new head first, so it would win the next race too, and the one after. A
//! node that lost some races in a row claims the lease: its name in the head's field `turn`.
//!
//! | head | who can move it | what ends this |
//! |---|---|---|
//! | without a lease | every node | a claim |
//! | with a lease | the node that has it | that node's append; or, once it has expired, any node that removes it |
//!
//! - At most one node has the lease, because only a head without one can be claimed.
//! - It ends by the server's clock, so no node waits longer than [`LEASE_MILLIS`] for a node that died.
//! - Races are counted by the one task that holds the node's session, so the count needs no order.

use std::sync::atomic::{AtomicU32, Ordering};

use bson::{Document, doc};
use mongodb::Database;
use uuid::Uuid;

use crate::store::mongo::META;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, warn_if_failed, within};
use crate::telemetry::Throttle;

/// Races lost in a row before a node claims the lease. Fewer would be fairer still, and slower for all.
const LOSSES_MAX: u32 = 5;

/// How long a lease lasts at most: what all others wait if the node that has it dies.
const LEASE_MILLIS: i64 = 1_000;

/// This node's races for the head.
#[derive(Debug)]
pub(super) struct WriteLease {
    writer: String,
    losses: AtomicU32,
    failed_claims: Throttle,
}

impl WriteLease {
    pub(super) fn new() -> Self {
        Self {
            writer: Uuid::new_v4().to_string(),
            losses: AtomicU32::new(0),
            failed_claims: Throttle::default(),
        }
    }

    /// The name by which this node has the lease.
    pub(super) fn writer(&self) -> &str {
        &self.writer
    }

    /// The append that won has ended the lease.
    pub(super) fn won(&self) {
        self.losses.store(0, Ordering::Relaxed);
    }

    /// Counts a lost race, and claims the lease after too many. A claim that fails is made again after the next loss.
    pub(super) async fn lost(&self, database: &Database) {
        if self.losses.fetch_add(1, Ordering::Relaxed) >= LOSSES_MAX {
            let claimed = claim(database, &self.writer).await;
            warn_if_failed(&self.failed_claims, "cannot claim the write lease", claimed);
        }
    }
}

async fn claim(database: &Database, writer: &str) -> Result<(), CallError> {
    let meta = database.collection::<Document>(META);
    let free = doc! { "_id": "head", "turn": { "$exists": false } };
    let until = doc! { "$add": ["$$NOW", LEASE_MILLIS] };
    let update = vec![doc! { "$set": { "turn": { "writer": writer, "until": until } } }];
    within(
        CALL_DEADLINE,
        async move { meta.update_one(free, update).await },
    )
    .await
    .map(drop)
}

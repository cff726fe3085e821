//! The registry of writers' sessions, by which a node that finds the head locked ends the writer that locks it.
//!
//! A node that is killed between two statements leaves its transaction open, and with it the head locked, until the
//! server gives up on it: 60 seconds by default, 82 seen. So every node registers its session, and a node that finds
//! the head locked for long ends the transactions of all other sessions. To a live node this is one more lost race:
//! its transaction is aborted, and it tries again.
//!
//! - A node registers its session before its first append and renews it while it writes, so every session that can
//!   lock the head is found here.
//! - [`KEPT`] outlasts both [`RENEWAL`] and the half hour after which the server forgets an idle session.
//! - Nothing depends on it but time: a transaction that is ended has written nothing.

use std::time::Duration;

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::Database;

use crate::store::mongo::META;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, within};

/// How long a session stays registered after its last renewal.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a node renews its registration.
pub(super) const RENEWAL: Duration = Duration::from_secs(60 * 60);

// A writer that appends must not be forgotten between two renewals.
const _: () = assert!(RENEWAL.as_secs() < KEPT.as_secs());

/// Registers this node's session, or renews its registration.
pub(crate) async fn register(database: &Database, session: &Document) -> Result<(), CallError> {
    let writers = database.collection::<Document>(META);
    let filter = doc! { "_id": { "writer": session } };
    let update = doc! { "$set": { "at": DateTime::now() } };
    within(CALL_DEADLINE, async move {
        writers.update_one(filter, update).upsert(true).await
    })
    .await
    .map(drop)
}

/// Removes the registration of this node's session.
pub(super) async fn remove(database: &Database, session: &Document) -> Result<(), CallError> {
    let writers = database.collection::<Document>(META);
    let filter = doc! { "_id": { "writer": session } };
    within(
        CALL_DEADLINE,
        async move { writers.delete_one(filter).await },
    )
    .await
    .map(drop)
}

/// Ends the transactions of all registered sessions but `own`.
pub(super) async fn end_others(database: &Database, own: &Document) -> Result<(), CallError> {
    let writers = database.collection::<Document>(META);
    let admin = database.client().database("admin");
    let own = own.clone();
    within(CALL_DEADLINE, async move {
        let filter = doc! { "_id.writer": { "$exists": true, "$ne": &own } };
        let others: Vec<Document> = writers.find(filter).await?.try_collect().await?;
        let sessions: Vec<Document> = others.iter().filter_map(session).collect();
        debug_assert!(!sessions.contains(&own), "a node does not end itself");
        if !sessions.is_empty() {
            admin.run_command(doc! { "killSessions": sessions }).await?;
        }
        Ok(())
    })
    .await
}

fn session(writer: &Document) -> Option<Document> {
    let id = writer.get_document("_id").ok()?;
    id.get_document("writer").ok().cloned()
}

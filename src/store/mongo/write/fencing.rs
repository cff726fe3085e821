//! Which sessions write, so that the one of a node that died can be ended.
//!
//! A node that is killed between two statements leaves its transaction open, and with it the head
//! locked, until the server gives up on it: 60 seconds by default, 82 seen. So every node writes down its
//! session, and one that finds the head locked for long ends the sessions of all others. To a node
//! that lives this is one more lost race: its transaction is aborted, and it tries again.

use std::time::Duration;

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::Database;

use crate::store::mongo::META;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, within};

/// How long a session stays written down after its last renewal. Long past the half hour after which
/// the server itself forgets an idle session.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a node renews its own.
pub(super) const RENEWAL: Duration = Duration::from_secs(60 * 60);

/// Writes down, or renews, this node's session.
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

/// Strikes this node's session off.
pub(crate) async fn remove(database: &Database, session: &Document) -> Result<(), CallError> {
    let writers = database.collection::<Document>(META);
    let filter = doc! { "_id": { "writer": session } };
    within(
        CALL_DEADLINE,
        async move { writers.delete_one(filter).await },
    )
    .await
    .map(drop)
}

/// Ends the transactions of all sessions written down, but for `own`.
pub(super) async fn end_others(database: &Database, own: &Document) -> Result<(), CallError> {
    let writers = database.collection::<Document>(META);
    let admin = database.client().database("admin");
    let own = own.clone();
    within(CALL_DEADLINE, async move {
        let filter = doc! { "_id.writer": { "$exists": true, "$ne": &own } };
        let found: Vec<Document> = writers.find(filter).await?.try_collect().await?;
        let sessions: Vec<Document> = found.iter().filter_map(session).collect();
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

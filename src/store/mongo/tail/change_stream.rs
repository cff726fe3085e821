//! The one change stream of a node: it says that the log has grown, and carries broadcasts.
//!
//! It carries no change and keeps no resume token. Whatever goes wrong with it, it is opened anew from now on. Then
//! the tail reads from the log what was missed, and caches of the log are emptied, because a redaction may have been
//! missed too. Runs on a client of its own, so that a stalled watcher cannot take the writers' connections.
//!
//! | notification | then |
//! |---|---|
//! | the first entry of a batch | the tail is woken, unless this node's own append hands the batch over |
//! | a broadcast, a redaction | it is queued for the tail |
//! | an unreadable broadcast | it is skipped, and logged now and then |
//! | a collection was dropped or renamed | the node ends, unless that was the swap of a rebuild |

use std::sync::Arc;
use std::time::Duration;

use bson::raw::RawDocument;
use bson::{Document, RawDocumentBuf, doc};
use mongodb::Database;
use mongodb::change_stream::ChangeStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::broadcasts;
use super::notifier::{StreamNotifier, TailMessage, TailSender};
use crate::store::StoreError;
use crate::store::failure_signal::FailureSignal;
use crate::store::mongo::identity;
use crate::store::mongo::identity::CollectionUuids;
use crate::store::mongo::wire::call;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, backoff, within};
use crate::store::mongo::wire::decode;
use crate::store::mongo::{BROADCASTS, LOG};
use crate::telemetry::Throttle;

/// Pauses between two attempts to open the stream.
const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// How long the server waits for a notification before it answers with none. A stop is noticed after at most this.
const AWAIT: Duration = Duration::from_secs(1);

type Stream = ChangeStream<RawDocumentBuf>;

/// Watches until it is stopped.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) database: Database,
    pub(super) notifier: Arc<StreamNotifier>,
    pub(super) tail: TailSender,
    /// The collections as they were when the node opened them. Other ones end the node.
    pub(super) identity: Arc<CollectionUuids>,
    pub(super) failure_signal: Arc<FailureSignal>,
    /// Notified when the stream is open: broadcasts sent from then on arrive.
    pub(super) opened: Arc<Notify>,
    pub(super) stop: CancellationToken,
    /// For warnings about broadcasts that cannot be read.
    pub(super) unreadable: Throttle,
}

impl Watcher {
    /// Checks for a stop between calls only: the driver's futures must not be dropped half-way.
    pub(super) async fn run(self) {
        let mut failures = 0;
        let mut was_open = false;
        while !self.stop.is_cancelled() {
            match self.open().await {
                Ok(stream) => {
                    failures = 0;
                    // Only now: of what is written from here on the stream notifies, what was written before is read.
                    self.tail.wakeup.wake();
                    if std::mem::replace(&mut was_open, true) {
                        self.send(TailMessage::Reopened).await;
                    }
                    self.opened.notify_one();
                    self.listen(stream).await;
                }
                Err(failure) => {
                    let error = StoreError::from(failure);
                    tracing::warn!(%error, "cannot open the change stream");
                }
            }
            self.pause(failures).await;
            failures += 1;
        }
    }

    /// The stream does not report what happened to the collections before it was open: they are compared after that.
    async fn open(&self) -> Result<Stream, CallError> {
        let stream = open(&self.database).await?;
        let now = CollectionUuids::of(&self.database).await?;
        self.end_if_lost(self.identity.first_lost(&now));
        Ok(stream)
    }

    /// Without one of its collections a node cannot go on.
    fn end_if_lost(&self, lost: Option<&str>) {
        if let Some(lost) = lost {
            self.failure_signal.fail(identity::reason(lost));
        }
    }

    async fn pause(&self, failures: u32) {
        let pause = tokio::time::sleep(backoff(failures, PAUSE_LEAST, PAUSE_MOST));
        tokio::select! {
            () = pause => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Handles the stream's notifications until it fails or is stopped.
    async fn listen(&self, mut stream: Stream) {
        while !self.stop.is_cancelled() {
            match stream.next_if_any().await {
                Ok(Some(notification)) => self.handle(&notification).await,
                Ok(None) if stream.is_alive() => {}
                // The database was dropped, say. An ended stream would answer this at once, and for ever.
                Ok(None) => {
                    tracing::warn!("the change stream ended");
                    return;
                }
                Err(error) => {
                    tracing::warn!(reason = call::describe(&error), "the change stream broke");
                    return;
                }
            }
        }
    }

    async fn handle(&self, notification: &RawDocument) {
        let Ok(document) = notification.get_document("fullDocument") else {
            self.end_if_lost(identity::lost_collection(notification));
            return self.tail.wakeup.wake();
        };
        if is_broadcast(notification) {
            return match broadcasts::read(document) {
                Ok(message) => self.send(message).await,
                // Whoever may write to the database may write anything there.
                Err(error) => self.unreadable.log(|suppressed| {
                    tracing::warn!(%error, suppressed, "a broadcast that cannot be read is skipped");
                }),
            };
        }
        match (decode::batch(document), decode::seq(document, "_id")) {
            (Some(batch), _) if self.notifier.is_in_flight(batch) => {}
            (Some(_), Ok(seq)) => self.tail.wakeup.wake_at(seq),
            // Another program's, so it says nothing of how far the log goes.
            _ => self.tail.wakeup.wake(),
        }
    }

    /// Waits for a tail whose queue is full: nothing but this stream waits with it.
    async fn send(&self, message: TailMessage) {
        if self.tail.messages.send(message).await.is_err() {
            tracing::trace!("the tail was dropped, and so will be its watcher");
        }
    }
}

fn is_broadcast(notification: &RawDocument) -> bool {
    let origin = notification.get_document("ns");
    origin.is_ok_and(|origin| origin.get_str("coll").is_ok_and(|name| name == BROADCASTS))
}

async fn open(database: &Database) -> Result<Stream, CallError> {
    let database = database.clone();
    within(CALL_DEADLINE, async move {
        let watch = database.watch().pipeline(pipeline()).max_await_time(AWAIT);
        Ok(watch.await?.with_type::<RawDocumentBuf>())
    })
    .await
}

/// Selects the first entry of each batch, without its contents; broadcasts; and what happens to collections.
fn pipeline() -> [Document; 2] {
    let first_entry = doc! { "ns.coll": LOG, "fullDocument.batch": { "$exists": true } };
    let broadcast = doc! { "ns.coll": BROADCASTS };
    let written = doc! { "operationType": "insert", "$or": [first_entry, broadcast] };
    [
        doc! { "$match": { "$or": [written, identity::collection_events()] } },
        doc! { "$project": {
            "operationType": 1,
            "ns.coll": 1,
            "to.coll": 1,
            "fullDocument._id": 1,
            "fullDocument.batch": 1,
            "fullDocument.payload": 1,
            (format!("fullDocument.{}", broadcasts::REDACTION)): 1,
        } },
    ]
}

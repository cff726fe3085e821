//! The one change stream of a node: a doorbell for the log, and the way broadcasts arrive.
//!
//! It carries no change and keeps no resume token. Whatever goes wrong with it, it is opened anew from
//! now on and the bell is rung, after which the log tells what was missed, and what is remembered of the log is
//! forgotten, because a redaction may have been missed too. Runs on a client of its own,
//! so that a stalled watcher cannot take the writers' connections.

use std::sync::Arc;
use std::time::Duration;

use bson::raw::RawDocument;
use bson::{Document, RawDocumentBuf, doc};
use mongodb::Database;
use mongodb::change_stream::ChangeStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::broadcasts;
use super::notifier::{Signal, StreamNotifier, StreamReceiver};
use crate::store::StoreError;
use crate::store::fate::Fate;
use crate::store::mongo::identity;
use crate::store::mongo::identity::Identity;
use crate::store::mongo::wire::call;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, backoff, within};
use crate::store::mongo::wire::decode;
use crate::store::mongo::{BROADCASTS, LOG};
use crate::telemetry::Throttle;

/// Pauses between two attempts to open the stream.
const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// How long the server waits for news before it answers with none. A stop is noticed after at most this.
const AWAIT: Duration = Duration::from_secs(1);

type Stream = ChangeStream<RawDocumentBuf>;

/// Watches until told to stop.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(crate) database: Database,
    pub(crate) hub: Arc<StreamNotifier>,
    pub(crate) line: StreamReceiver,
    /// The collections as they were when the node opened them, and what ends it if they are others.
    pub(crate) identity: Arc<Identity>,
    pub(crate) fate: Arc<Fate>,
    /// Told when the stream is open: broadcasts sent from then on arrive.
    pub(crate) opened: Arc<Notify>,
    pub(super) stop: CancellationToken,
    /// About broadcasts.
    pub(super) complaints: Throttle,
}

impl Watcher {
    /// A stop is looked for between calls only: the driver's futures must not be dropped half-way.
    pub(crate) async fn run(self) {
        let mut failures = 0;
        let mut was_open = false;
        while !self.stop.is_cancelled() {
            match self.open().await {
                Ok(stream) => {
                    failures = 0;
                    // Only now: what is written from here on rings, what was before is read.
                    self.line.bell.alarm();
                    if std::mem::replace(&mut was_open, true) {
                        self.signal(Signal::Reopened).await;
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

    /// What happened to the collections before it was open is seen by looking at them.
    async fn open(&self) -> Result<Stream, CallError> {
        let stream = open(&self.database).await?;
        let now = Identity::of(&self.database).await?;
        self.lose(self.identity.lost(&now));
        Ok(stream)
    }

    /// What is lost cannot be made up for: the node ends.
    fn lose(&self, lost: Option<&str>) {
        if let Some(lost) = lost {
            self.fate.fail(identity::reason(lost));
        }
    }

    async fn pause(&self, failures: u32) {
        let pause = tokio::time::sleep(backoff(failures, PAUSE_LEAST, PAUSE_MOST));
        tokio::select! {
            () = pause => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Passes on what the stream says until it fails or is told to stop.
    async fn listen(&self, mut stream: Stream) {
        while !self.stop.is_cancelled() {
            match stream.next_if_any().await {
                Ok(Some(news)) => self.pass(&news).await,
                Ok(None) if stream.is_alive() => {}
                // The database was dropped, say. An ended stream would answer so at once, and for ever.
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

    async fn pass(&self, news: &RawDocument) {
        let Ok(document) = news.get_document("fullDocument") else {
            self.lose(identity::loss(news));
            return self.line.bell.alarm();
        };
        if is_broadcast(news) {
            return match broadcasts::read(document) {
                Ok(signal) => self.signal(signal).await,
                // Whoever may write to the database may write anything there.
                Err(unreadable) => self.complaints.warn(|kept_back| {
                    tracing::warn!(%unreadable, kept_back, "a broadcast that cannot be read is skipped");
                }),
            };
        }
        match (decode::batch(document), decode::seq(document, "_id")) {
            (Some(batch), _) if self.hub.awaits(batch) => {}
            (Some(_), Ok(seq)) => self.line.bell.ring(seq),
            // Not livelog's, so it says nothing of how far the log goes.
            _ => self.line.bell.alarm(),
        }
    }

    /// Waits for a tail that is behind: nobody is held up but this stream.
    async fn signal(&self, signal: Signal) {
        let _ = self.line.signals.send(signal).await;
    }
}

fn is_broadcast(news: &RawDocument) -> bool {
    let origin = news.get_document("ns");
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

/// The first entry of each batch, without its body, broadcasts, and what becomes of collections.
fn pipeline() -> [Document; 2] {
    let doorbell = doc! { "ns.coll": LOG, "fullDocument.batch": { "$exists": true } };
    let broadcast = doc! { "ns.coll": BROADCASTS };
    let written = doc! { "operationType": "insert", "$or": [doorbell, broadcast] };
    [
        doc! { "$match": { "$or": [written, identity::events()] } },
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

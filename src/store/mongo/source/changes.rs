//! The changes of a collection, by its change stream.
//!
//! An update comes with the document as it was shortly after: two that follow each other fast may both come with the
//! second. A position is a resume token, which the server keeps good as long as its oplog reaches back to it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bson::raw::{RawBsonRef, RawDocument};
use bson::{RawDocumentBuf, doc};
use mongodb::Collection;
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ResumeToken;
use mongodb::options::FullDocumentType;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::decode;
use crate::domain::Timestamp;
use crate::store::mongo::wire::call::{CALL_DEADLINE, CallError, backoff, code, within};
use crate::store::{SourceChange, SourceChanges, SourceEffect, SourceEvent, StoreError};
use crate::value::hex;

/// How long the server waits for a change before it answers that there is none.
const AWAIT: Duration = Duration::from_secs(1);

/// Changes that are read ahead.
const AHEAD_COUNT: usize = 512;

/// Bytes of documents that are read ahead, in shares of a kibibyte. A larger document takes all of them.
const AHEAD_SHARES: u32 = 4 * 1024;

/// Pauses between two attempts to open the stream.
const PAUSE_LEAST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(10);

type SourceStream = ChangeStream<RawDocumentBuf>;

/// The position as of now.
pub(super) async fn position(
    collection: &Collection<RawDocumentBuf>,
) -> Result<String, StoreError> {
    let mut stream = open(collection, None).await?;
    let token = within(CALL_DEADLINE, async move {
        if stream.resume_token().is_none() {
            stream.next_if_any().await?;
        }
        Ok(stream.resume_token())
    });
    let token = token.await?;
    let token = token.ok_or_else(|| StoreError::Refused("it names no position".to_owned()))?;
    Ok(written(&token))
}

/// See [`Source::changes`](crate::store::Source::changes).
pub(super) fn read(
    collection: Collection<RawDocumentBuf>,
    after: &str,
) -> Result<SourceChanges, StoreError> {
    let token = parsed(after)
        .ok_or_else(|| StoreError::Refused(format!("{after:?} is no position in its changes")))?;
    let (sender, receiver) = mpsc::channel(AHEAD_COUNT);
    let reader = ChangeReader {
        collection,
        token,
        sender,
        shares: Arc::new(Semaphore::new(AHEAD_SHARES as usize)),
    };
    tokio::spawn(reader.run());
    Ok(receiver)
}

struct ChangeReader {
    collection: Collection<RawDocumentBuf>,
    /// After what was sent.
    token: ResumeToken,
    sender: mpsc::Sender<Result<SourceEvent, StoreError>>,
    shares: Arc<Semaphore>,
}

/// Why the stream is not read on.
enum StreamEnd {
    /// It may be opened again.
    Broken(StoreError),
    /// It cannot.
    Over(StoreError),
    /// Nobody listens.
    Unheard,
}

impl ChangeReader {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let end = match open(&self.collection, Some(self.token.clone())).await {
                Ok(stream) => {
                    let before = self.token.clone();
                    let end = self.listen(stream).await;
                    failures = if self.token == before { failures } else { 0 };
                    end
                }
                Err(failure) => end_of(failure),
            };
            match end {
                StreamEnd::Unheard => return,
                StreamEnd::Over(error) => {
                    drop(self.sender.send(Err(error)).await);
                    return;
                }
                StreamEnd::Broken(error) => {
                    tracing::warn!(%error, "the source's change stream is opened again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff(failures, PAUSE_LEAST, PAUSE_MOST)) => {}
                () = self.sender.closed() => return,
            }
            failures += 1;
        }
    }

    async fn listen(&mut self, mut stream: SourceStream) -> StreamEnd {
        loop {
            let asked = Instant::now();
            let next = stream.next_if_any().await;
            let token = stream.resume_token().unwrap_or_else(|| self.token.clone());
            let event = match next {
                Ok(Some(event)) => match self.event(&event, &token).await {
                    Ok(Some(change)) => SourceEvent::Change(change),
                    Ok(None) => continue,
                    Err(error) => return StreamEnd::Over(error),
                },
                Ok(None) if stream.is_alive() => SourceEvent::CaughtUp {
                    position: written(&token),
                    asked,
                },
                Ok(None) => {
                    return StreamEnd::Broken(StoreError::Unavailable("it ended".to_owned()));
                }
                Err(error) => return end_of(CallError::Driver(Box::new(error))),
            };
            if self.sender.send(Ok(event)).await.is_err() {
                return StreamEnd::Unheard;
            }
            self.token = token;
        }
    }

    /// The change that an event of the stream tells, if it tells one.
    async fn event(
        &self,
        event: &RawDocument,
        token: &ResumeToken,
    ) -> Result<Option<SourceChange>, StoreError> {
        let kind = event.get_str("operationType").unwrap_or_default();
        let effect = match (kind, event.get_document("fullDocument")) {
            ("insert" | "update" | "replace", Ok(document)) => {
                SourceEffect::Put(decode::document(document))
            }
            // It is gone by now, and that is told by a change of its own.
            ("update", Err(_)) => return Ok(None),
            ("delete", _) => SourceEffect::Gone,
            ("drop" | "rename" | "dropDatabase" | "invalidate", _) => {
                return Err(StoreError::Refused(format!(
                    "its collection is gone ({kind}): what was read until then is here"
                )));
            }
            _ => return Ok(None),
        };
        let id = event.get_document("documentKey").ok().and_then(|key| {
            let id = key.get("_id").ok().flatten()?;
            Some(decode::value(id, 1))
        });
        let bytes = event.as_bytes().len() / 1024 + 1;
        let shares = u32::try_from(bytes).map_or(AHEAD_SHARES, |bytes| bytes.min(AHEAD_SHARES));
        let share = Arc::clone(&self.shares).acquire_many_owned(shares).await;
        Ok(Some(SourceChange {
            token: identity(event),
            id: id.ok_or_else(|| StoreError::Refused("a change without an _id".to_owned()))?,
            effect,
            at: made_at(event),
            position: written(token),
            share: share.expect("it is never closed"),
        }))
    }
}

fn made_at(event: &RawDocument) -> Option<Timestamp> {
    let at = event.get_timestamp("clusterTime").ok()?;
    Timestamp::from_millis(i64::from(at.time) * 1000)
}

/// Whether the stream can be opened again after this.
fn end_of(failure: CallError) -> StreamEnd {
    let is_over = matches!(
        failure.code(),
        Some(
            code::CHANGE_STREAM_HISTORY_LOST
                | code::CHANGE_STREAM_FATAL
                | code::INVALID_RESUME_TOKEN
        )
    );
    if is_over {
        return StreamEnd::Over(StoreError::Refused(
            "its oplog does not reach back to where this stopped: begin again, into an empty store"
                .to_owned(),
        ));
    }
    match StoreError::from(failure) {
        error @ StoreError::Unavailable(_) => StreamEnd::Broken(error),
        error => StreamEnd::Over(error),
    }
}

async fn open(
    collection: &Collection<RawDocumentBuf>,
    after: Option<ResumeToken>,
) -> Result<SourceStream, CallError> {
    let collection = collection.clone();
    within(CALL_DEADLINE, async move {
        let watch = collection
            .watch()
            .resume_after(after)
            .full_document(FullDocumentType::UpdateLookup)
            .max_await_time(AWAIT);
        Ok(watch.await?.with_type::<RawDocumentBuf>())
    })
    .await
}

/// The same however often the change is read.
fn identity(event: &RawDocument) -> String {
    let token = match event.get("_id") {
        Ok(Some(RawBsonRef::Document(token))) => token.as_bytes(),
        _ => event.as_bytes(),
    };
    let digest = Sha256::digest(token);
    hex(&digest[..16])
}

/// The resume token as text.
fn written(token: &ResumeToken) -> String {
    let token = bson::serialize_to_bson(token).expect("a token is BSON");
    let holder = RawDocumentBuf::try_from(&doc! { "token": token });
    BASE64_STANDARD.encode(holder.expect("a token is small").as_bytes())
}

fn parsed(position: &str) -> Option<ResumeToken> {
    let bytes = BASE64_STANDARD.decode(position).ok()?;
    let holder = RawDocumentBuf::from_bytes(bytes).ok()?;
    let token = holder.get("token").ok().flatten()?;
    bson::deserialize_from_bson(bson::Bson::try_from(token).ok()?).ok()
}

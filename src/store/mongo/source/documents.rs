//! Every document of a collection, in the order of their ids, in pages of bounded size.
//!
//! | the cursor | then |
//! |---|---|
//! | yields documents | they are a page, once they are many or large |
//! | is lost, with its snapshot or its server | another one begins at the last id, without a snapshot: what it reads is later |
//! | cannot be opened again | that is an error, after some attempts |

use std::time::Duration;

use bson::{Bson, RawDocumentBuf, doc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use mongodb::options::{Hint, ReadConcern, SessionOptions};
use mongodb::{ClientSession, Collection, SessionCursor};

use super::decode;
use crate::store::mongo::wire::call::{CallError, backoff, code, within};
use crate::store::{SourcePage, StoreError};

/// Documents in a page.
const PAGE_COUNT: usize = 512;

/// Bytes of a page; the document that passes this is its last.
const PAGE_BYTES: usize = 1024 * 1024;

/// How long one page may take: the other program may keep its server busy.
const PAGE_DEADLINE: Duration = Duration::from_secs(60);

/// Attempts to go on after the cursor was lost, each after a pause.
const ATTEMPTS_MAX: u32 = 6;
const PAUSE_LEAST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(5);

pub(super) fn read(
    collection: Collection<RawDocumentBuf>,
    read_concern: ReadConcern,
    is_snapshot: bool,
    is_later: bool,
) -> BoxStream<'static, Result<SourcePage, StoreError>> {
    let reading = DocumentReader {
        collection,
        read_concern,
        is_snapshot,
        is_later,
        last: None,
        cursor: None,
        failures: 0,
    };
    let pages = stream::try_unfold(Some(reading), |reading| async {
        match reading {
            Some(reading) => reading.next().await,
            None => Ok(None),
        }
    });
    pages.boxed()
}

struct DocumentReader {
    collection: Collection<RawDocumentBuf>,
    /// Of a cursor without a snapshot.
    read_concern: ReadConcern,
    is_snapshot: bool,
    /// Whether a snapshot was lost, or there is none to be had.
    is_later: bool,
    /// The id of the last document read.
    last: Option<Bson>,
    cursor: Option<OpenCursor>,
    failures: u32,
}

struct OpenCursor {
    cursor: SessionCursor<RawDocumentBuf>,
    session: ClientSession,
}

impl DocumentReader {
    /// The next page, and the reader if there may be more.
    async fn next(mut self) -> Result<Option<(SourcePage, Option<Self>)>, StoreError> {
        loop {
            match self.page().await {
                Ok((documents, is_last)) => {
                    self.failures = 0;
                    let page = self.take(&documents);
                    return Ok(Some((page, (!is_last).then_some(self))));
                }
                Err(failure) => self.recover(failure).await?,
            }
        }
    }

    async fn page(&mut self) -> Result<(Vec<RawDocumentBuf>, bool), CallError> {
        let mut open = match self.cursor.take() {
            Some(open) => open,
            None => self.open().await?,
        };
        let read = within(PAGE_DEADLINE, async move {
            let (mut documents, mut bytes) = (Vec::new(), 0);
            let mut rest = open.cursor.stream(&mut open.session);
            while documents.len() < PAGE_COUNT && bytes < PAGE_BYTES {
                let Some(document) = rest.try_next().await? else {
                    return Ok((documents, None));
                };
                bytes += document.as_bytes().len();
                documents.push(document);
            }
            drop(rest);
            Ok((documents, Some(open)))
        });
        let (documents, open) = read.await?;
        let is_last = open.is_none();
        self.cursor = open;
        Ok((documents, is_last))
    }

    async fn open(&self) -> Result<OpenCursor, CallError> {
        let (collection, client) = (self.collection.clone(), self.collection.client().clone());
        let is_snapshot = self.is_snapshot;
        let read_concern = match is_snapshot {
            true => ReadConcern::snapshot(),
            false => self.read_concern.clone(),
        };
        let from = self.last.clone();
        within(PAGE_DEADLINE, async move {
            let options = SessionOptions::builder().snapshot(is_snapshot).build();
            let mut session = client.start_session().with_options(options).await?;
            let find = collection.find(doc! {}).read_concern(read_concern);
            let find = find.sort(doc! { "_id": 1 });
            // A condition on `_id` would find ids of the same type alone.
            let find = match from {
                Some(id) => find
                    .min(doc! { "_id": id })
                    .hint(Hint::Keys(doc! { "_id": 1 })),
                None => find,
            };
            let cursor = find.session(&mut session).await?;
            Ok(OpenCursor { cursor, session })
        })
        .await
    }

    /// Decodes the documents after the last: a cursor that was opened anew begins with that.
    fn take(&mut self, documents: &[RawDocumentBuf]) -> SourcePage {
        let mut page = SourcePage {
            documents: Vec::with_capacity(documents.len()),
            is_later: self.is_later,
        };
        let last = documents.last().and_then(id);
        for document in documents {
            if self.last.is_none() || self.last != id(document) {
                page.documents.push(decode::document(document));
            }
        }
        self.last = last.or(self.last.take());
        page
    }

    async fn recover(&mut self, failure: CallError) -> Result<(), StoreError> {
        let is_snapshot_lost = matches!(
            failure.code(),
            Some(code::SNAPSHOT_TOO_OLD | code::SNAPSHOT_UNAVAILABLE)
        );
        let error = StoreError::from(failure);
        let may_pass = is_snapshot_lost || matches!(error, StoreError::Unavailable(_));
        if !may_pass || self.failures >= ATTEMPTS_MAX {
            return Err(error);
        }
        tracing::warn!(%error, "reading the source goes on after the last document that was read");
        self.is_later |= self.is_snapshot && self.last.is_some();
        self.is_snapshot &= self.last.is_none();
        self.cursor = None;
        tokio::time::sleep(backoff(self.failures, PAUSE_LEAST, PAUSE_MOST)).await;
        self.failures += 1;
        Ok(())
    }
}

fn id(document: &RawDocumentBuf) -> Option<Bson> {
    let id = document.get("_id").ok().flatten()?;
    Bson::try_from(id).ok()
}

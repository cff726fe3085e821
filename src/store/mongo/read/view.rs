//! Reading the view: events by id, and the answers to queries.

use std::sync::Arc;
use std::time::Duration;

use bson::RawDocumentBuf;
use bson::raw::RawBsonRef;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::options::{ReadConcern, SessionOptions};
use mongodb::raw_batch_cursor::{RawBatch, SessionRawBatchCursor};
use mongodb::{ClientSession, Collection, Database};
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{costly, filter};
use super::{history, strangers};
use crate::domain::{Event, Seq};
use crate::limits;
use crate::query::Query;
use crate::store::mongo::wire::call::{
    Asker, CallError, QUERY_CALL_DEADLINE, code, within, working,
};
use crate::store::mongo::wire::decode;
use crate::store::mongo::wire::decode::BsonError;
use crate::store::mongo::{EVENTS, collection, head, meta};
use crate::store::{QueryResult, StoreError, admitted};
use crate::value::Steps;

/// Events in a batch when the query has no limit. The server ends a batch at 16 MiB besides.
pub(super) const BATCH_COUNT: u32 = 1_000;

/// How often a query is begun anew when the snapshot it would read is not there: the view was
/// replaced by a rebuild in that moment.
const SNAPSHOTS_MAX: usize = 5;

/// See [`Store::find`](crate::store::Store::find).
pub(crate) async fn find(
    log: &head::OpenedLog,
    query: &Arc<Query>,
) -> Result<QueryResult, StoreError> {
    if !costly::has_order(query) {
        return from_log(log, query).await;
    }
    let mut tries = 1;
    let (head, reading) = loop {
        match begin(&log.database, query).await {
            Ok(begun) => break begun,
            Err(failure) if snapshot_is_gone(&failure) && tries < SNAPSHOTS_MAX => tries += 1,
            Err(failure) if cannot_sort(&failure, query) => {
                return from_log(log, query).await;
            }
            Err(failure)
                if failure.code() == Some(code::MAX_TIME_EXPIRED) && query.limit.is_none() =>
            {
                let begun = from_log(log, query).await;
                return begun.map_err(|_| failure.into());
            }
            Err(failure) => return Err(failure.into()),
        }
    };
    let seq = log.check(head::parse(head.as_deref()))?.seq;
    let listing = ViewListing {
        log: log.clone(),
        query: Arc::clone(query),
        seq,
        held: HeldReading::new(reading),
        last: None,
    };
    Ok(QueryResult {
        seq,
        events: listing.into_stream(),
    })
}

/// Whether some event has two values to sort by where MongoDB takes one: arrays in two fields of the order, or a
/// number on a path that is a place and a name.
fn cannot_sort(failure: &CallError, query: &Query) -> bool {
    match failure.code() {
        Some(code::BAD_VALUE | code::PARALLEL_ARRAYS) => query.sorts_by_several(),
        Some(code::AMBIGUOUS_FIELD) => true,
        _ => false,
    }
}

/// What the log says of it, sorted here: for an order that MongoDB does not have, and for what takes it too long.
async fn from_log(log: &head::OpenedLog, query: &Arc<Query>) -> Result<QueryResult, StoreError> {
    let seq = log.head(QUERY_CALL_DEADLINE).await?.seq;
    let events = history::go_on(log, query, seq).await?;
    Ok(QueryResult { seq, events })
}

fn snapshot_is_gone(failure: &CallError) -> bool {
    matches!(
        failure.code(),
        Some(code::SNAPSHOT_UNAVAILABLE | code::SNAPSHOT_TOO_OLD)
    )
}

/// Reads the head and opens a cursor on the view, both in one snapshot.
///
/// The read concern is named on each: in a snapshot session the driver keeps the client's own, and
/// then quietly reads without a snapshot.
async fn begin(
    database: &Database,
    query: &Query,
) -> Result<(Option<RawDocumentBuf>, ViewRead), CallError> {
    let (meta, events) = (meta(database), collection(database, EVENTS));
    let client = database.client().clone();
    let (filter, order) = (filter::narrow(query), filter::order(query));
    let (size, deadline) = (batch_size(query), deadline(query));
    within(QUERY_CALL_DEADLINE, async move {
        let options = SessionOptions::builder().snapshot(true).build();
        let mut session = client.start_session().with_options(options).await?;
        let head = meta
            .find_one(head::filter())
            .read_concern(ReadConcern::snapshot());
        let head = head.session(&mut session).await?;
        let cursor = open(&events, filter, order, size, deadline, &mut session).await?;
        Ok((head, ViewRead { cursor, session }))
    })
    .await
}

async fn open(
    events: &Collection<RawDocumentBuf>,
    filter: bson::Document,
    order: bson::Document,
    size: u32,
    deadline: Duration,
    session: &mut ClientSession,
) -> mongodb::error::Result<SessionRawBatchCursor> {
    let find = events
        .find(filter)
        .read_concern(ReadConcern::snapshot())
        .sort(order)
        .batch_size(size)
        .max_time(deadline)
        .allow_disk_use(true);
    find.session(session).batch().await
}

/// The server counts its time over all batches of a cursor. What has no limit can go on from the log instead.
fn deadline(query: &Query) -> Duration {
    match query.limit {
        Some(_) => limits::QUERY_DEADLINE,
        None => limits::QUERY_DEADLINE / 2,
    }
}

/// Few where few are wanted: one more than the limit, by which a caller learns whether more remain.
pub(super) fn batch_size(query: &Query) -> u32 {
    let wanted = query.limit.map(|limit| limit.saturating_add(1));
    let wanted = wanted.and_then(|wanted| u32::try_from(wanted).ok());
    wanted.unwrap_or(BATCH_COUNT).min(BATCH_COUNT)
}

/// A query being answered. Dropping it closes the cursor.
struct ViewRead {
    cursor: SessionRawBatchCursor,
    session: ClientSession,
}

impl ViewRead {
    async fn fetch(mut self) -> Result<(Option<RawBatch>, Self), StoreError> {
        let fetched = within(QUERY_CALL_DEADLINE, async move {
            let batch = self.cursor.stream(&mut self.session).next().await;
            Ok((batch.transpose()?, self))
        });
        Ok(fetched.await?)
    }
}

/// A query that is answered from a snapshot while that is young, and then from the log.
struct ViewListing {
    log: head::OpenedLog,
    query: Arc<Query>,
    seq: Seq,
    held: HeldReading,
    /// The last that came out of the snapshot.
    last: Option<Event>,
}

/// A reading that is dropped when it is old, whether or not anybody asks for more of it.
struct HeldReading {
    reading: Arc<Mutex<Option<ViewRead>>>,
    _clock: AbortOnDropHandle<()>,
}

impl HeldReading {
    fn new(reading: ViewRead) -> Self {
        let reading = Arc::new(Mutex::new(Some(reading)));
        let held = Arc::clone(&reading);
        let clock = tokio::spawn(async move {
            tokio::time::sleep(limits::SNAPSHOT_HELD).await;
            drop(held.lock().await.take());
        });
        Self {
            reading,
            _clock: AbortOnDropHandle::new(clock),
        }
    }

    /// The next batch, or the end; `None` if the snapshot is gone.
    async fn fetch(&self) -> Result<Option<Option<RawBatch>>, StoreError> {
        let mut slot = self.reading.lock().await;
        let Some(reading) = slot.take() else {
            return Ok(None);
        };
        let (batch, reading) = reading.fetch().await?;
        *slot = Some(reading);
        Ok(Some(batch))
    }
}

type Events = BoxStream<'static, Result<Event, StoreError>>;

/// The next events of an answer, and what goes on after them.
type ViewChunk = Option<(Events, Option<ViewListing>)>;

impl ViewListing {
    fn into_stream(self) -> Events {
        let chunks = stream::try_unfold(Some(self), |listing| async move {
            match listing {
                Some(listing) => listing.next().await,
                None => Ok(None),
            }
        });
        chunks.try_flatten().boxed()
    }

    async fn next(mut self) -> Result<ViewChunk, StoreError> {
        let batch = match self.held.fetch().await {
            Ok(Some(Some(batch))) => batch,
            Ok(Some(None)) => return Ok(None),
            Ok(None) => return self.go_on().await,
            Err(StoreError::QueryTooSlow) if self.query.limit.is_none() => {
                return self.go_on().await;
            }
            Err(error) => return Err(error),
        };
        let query = Arc::clone(&self.query);
        let (admitted, last) = working(move |asker| judge(&batch, &query, asker)).await?;
        self.last = last.or(self.last);
        let events = stream::iter(admitted.into_iter().map(Ok)).boxed();
        Ok(Some((events, Some(self))))
    }

    /// What is left, from what the log says of it.
    async fn go_on(self) -> Result<ViewChunk, StoreError> {
        let query = match &self.last {
            Some(last) => {
                let steps = Steps::new(limits::MATCH_STEPS_MAX);
                Arc::new(self.query.from(last, &steps)?)
            }
            None => self.query,
        };
        let events = history::go_on(&self.log, &query, self.seq).await?;
        Ok(Some((events, None)))
    }
}

/// Those of a batch that the query admits, and the last of it.
fn judge(
    batch: &RawBatch,
    query: &Query,
    asker: &Asker,
) -> Result<(Vec<Event>, Option<Event>), StoreError> {
    let mut events = Vec::new();
    let mut last: Option<Event> = None;
    decode_into(batch, |event| {
        asker.check()?;
        last = Some(event.clone());
        events.extend(admitted(query, event)?);
        Ok(())
    })?;
    Ok((events, last))
}

pub(super) fn decode_into(
    batch: &RawBatch,
    mut take: impl FnMut(Event) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let unreadable = |_| BsonError::new("not BSON").at("the view");
    for document in batch.doc_slices().map_err(unreadable)? {
        let Ok(RawBsonRef::Document(document)) = document else {
            return Err(BsonError::new("not BSON").at("the view"));
        };
        match decode::event(document) {
            Ok(event) => take(event)?,
            Err(_) if strangers::is_one(document) => {}
            Err(unreadable) => return Err(unreadable.at(place(document))),
        }
    }
    Ok(())
}

fn place(document: &bson::raw::RawDocument) -> String {
    let id = document.get_str("_id").unwrap_or("without a text id");
    format!("event {id}")
}

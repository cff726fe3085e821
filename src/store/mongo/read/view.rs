//! Reading the view: the answers to queries.
//!
//! | the query | is answered from |
//! |---|---|
//! | has a cheap sort | a snapshot of the view, with the head in the same snapshot |
//! | the same, and the snapshot is older than [`limits::SNAPSHOT_HELD`] | the log, as of that head, from the last event on |
//! | has a [costly](costly::is_sort_cheap) sort, or one that MongoDB refuses | the log, sorted here |
//! | has no limit, and takes MongoDB too long | the log, sorted here or from the last event on |
//!
//! So an answer is as of one seq, and a snapshot is held for a bounded time, however slow its reader is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::RawDocumentBuf;
use bson::doc;
use bson::raw::RawBsonRef;
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::options::{ReadConcern, SessionOptions};
use mongodb::raw_batch_cursor::{RawBatch, SessionRawBatchCursor};
use mongodb::{ClientSession, Collection, Database};
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::{BATCH_COUNT, as_of, batch_size, costly, count, filter, foreign_documents};
use crate::domain::{Event, Seq};
use crate::limits;
use crate::query::{Count, Query};
use crate::store::QueryEvents;
use crate::store::mongo::wire::call::{
    AwaitedCall, CallError, QUERY_CALL_DEADLINE, code, compute, within,
};
use crate::store::mongo::wire::decode;
use crate::store::mongo::wire::decode::BsonError;
use crate::store::mongo::{EVENTS, collection, head, meta};
use crate::store::{QueryCost, QueryPlan, QueryResult, StoreError, admitted};
use crate::value::Steps;

/// How often a query is begun anew because its snapshot is gone: a rebuild has just replaced the view.
const SNAPSHOTS_MAX: usize = 5;

/// See [`Store::find`](crate::store::Store::find).
pub(crate) async fn find(
    log: &head::OpenedLog,
    query: &Arc<Query>,
) -> Result<QueryResult, StoreError> {
    if query.limit != Some(0) && !costly::is_sort_cheap(query) {
        return from_log(log, query).await;
    }
    let began = Instant::now();
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
    let (count, reading) = match query.counts {
        true => reading.count(&log.database, query).await?,
        false => (None, reading),
    };
    let listing = ViewListing {
        log: log.clone(),
        query: Arc::clone(query),
        seq,
        snapshot: HeldReading::new(reading),
        last: None,
    };
    Ok(QueryResult {
        count,
        ..told(seq, listing.into_stream(), began)
    })
}

/// Whether some event has two sort keys where MongoDB accepts one: arrays in two sort fields, or a number in a
/// path that is both an index and a name.
fn cannot_sort(failure: &CallError, query: &Query) -> bool {
    match failure.code() {
        Some(code::BAD_VALUE | code::PARALLEL_ARRAYS) => query.sorts_by_several(),
        Some(code::AMBIGUOUS_FIELD) => true,
        _ => false,
    }
}

/// The answer from the log, sorted here: for a sort that MongoDB does not have, and for a query that takes it too long.
async fn from_log(log: &head::OpenedLog, query: &Arc<Query>) -> Result<QueryResult, StoreError> {
    let began = Instant::now();
    let (seq, count) = match query.counts {
        true => count_alone(log, query).await?,
        false => (log.head(QUERY_CALL_DEADLINE).await?.seq, None),
    };
    let events = as_of::resume(log, query, seq).await?;
    Ok(QueryResult {
        count,
        ..told(seq, events, began)
    })
}

/// How many events match, and as of when.
async fn count_alone(
    log: &head::OpenedLog,
    query: &Query,
) -> Result<(Seq, Option<Count>), StoreError> {
    let without_page = Query {
        limit: Some(0),
        ..query.clone()
    };
    let counted = Box::pin(find(log, &Arc::new(without_page))).await?;
    Ok((counted.seq, counted.count))
}

/// An answer, and what is known of what it takes: the time until it began, and how many events the database yields.
pub(super) fn told(seq: Seq, events: QueryEvents, began: Instant) -> QueryResult {
    let cost = Arc::new(QueryCost::default());
    cost.follows(QueryPlan::Database);
    cost.took(began.elapsed());
    let counted = Arc::clone(&cost);
    let events = events.inspect(move |_| counted.looked_at_event()).boxed();
    QueryResult {
        seq,
        count: None,
        cost,
        events,
    }
}

fn snapshot_is_gone(failure: &CallError) -> bool {
    matches!(
        failure.code(),
        Some(code::SNAPSHOT_UNAVAILABLE | code::SNAPSHOT_TOO_OLD)
    )
}

/// Reads the head and opens a cursor on the view, both in one snapshot.
///
/// Each read names its read concern: without that, the driver uses the client's own even in a snapshot session, and
/// reads without a snapshot.
async fn begin(
    database: &Database,
    query: &Query,
) -> Result<(Option<RawDocumentBuf>, ViewRead), CallError> {
    let (meta, events) = (meta(database), collection(database, EVENTS));
    let client = database.client().clone();
    let (filter, sort) = match query.limit {
        Some(0) => (doc! { "_id": { "$in": [] } }, doc! {}),
        _ => (filter::narrow(query), filter::order(query)),
    };
    let (size, deadline) = (batch_size(query), deadline(query));
    within(QUERY_CALL_DEADLINE, async move {
        let options = SessionOptions::builder().snapshot(true).build();
        let mut session = client.start_session().with_options(options).await?;
        let head = meta
            .find_one(head::filter())
            .read_concern(ReadConcern::snapshot());
        let head = head.session(&mut session).await?;
        let cursor = open(&events, filter, sort, size, deadline, &mut session).await?;
        Ok((head, ViewRead { cursor, session }))
    })
    .await
}

async fn open(
    events: &Collection<RawDocumentBuf>,
    filter: bson::Document,
    sort: bson::Document,
    size: u32,
    deadline: Duration,
    session: &mut ClientSession,
) -> mongodb::error::Result<SessionRawBatchCursor> {
    let find = events
        .find(filter)
        .read_concern(ReadConcern::snapshot())
        .sort(sort)
        .batch_size(size)
        .max_time(deadline)
        .allow_disk_use(true);
    find.session(session).batch().await
}

/// The server counts its time over all batches of a cursor. A query without a limit can go on from the log instead.
fn deadline(query: &Query) -> Duration {
    match query.limit {
        Some(_) => limits::QUERY_DEADLINE,
        None => limits::QUERY_DEADLINE / 2,
    }
}

/// An open cursor on a snapshot of the view. Dropping it closes the cursor.
pub(super) struct ViewRead {
    cursor: SessionRawBatchCursor,
    session: ClientSession,
}

impl ViewRead {
    /// Another cursor in the snapshot of a session.
    pub(super) async fn open(
        events: &Collection<RawDocumentBuf>,
        filter: bson::Document,
        mut session: ClientSession,
    ) -> Result<Self, StoreError> {
        let (events, deadline) = (events.clone(), limits::QUERY_DEADLINE);
        let opened = within(QUERY_CALL_DEADLINE, async move {
            let cursor = open(
                &events,
                filter,
                doc! {},
                BATCH_COUNT,
                deadline,
                &mut session,
            );
            let cursor = cursor.await?;
            Ok(Self { cursor, session })
        });
        Ok(opened.await?)
    }

    /// Closes the cursor.
    pub(super) fn into_session(self) -> ClientSession {
        self.session
    }

    /// How many events match in the snapshot.
    async fn count(
        self,
        database: &Database,
        query: &Query,
    ) -> Result<(Option<Count>, Self), StoreError> {
        let Self { cursor, session } = self;
        let events = collection(database, EVENTS);
        let (count, session) = count::count(&events, query, session).await?;
        Ok((Some(count), Self { cursor, session }))
    }

    pub(super) async fn fetch(mut self) -> Result<(Option<RawBatch>, Self), StoreError> {
        let fetched = within(QUERY_CALL_DEADLINE, async move {
            let batch = self.cursor.stream(&mut self.session).next().await;
            Ok((batch.transpose()?, self))
        });
        Ok(fetched.await?)
    }
}

/// The answer to a query: from a snapshot while that is young, and then from the log.
struct ViewListing {
    log: head::OpenedLog,
    query: Arc<Query>,
    /// The head in the snapshot.
    seq: Seq,
    snapshot: HeldReading,
    /// The last event that was read from the snapshot.
    last: Option<Event>,
}

/// A reading that is dropped when it is old, whether or not more of it is wanted.
struct HeldReading {
    /// `None` once it is dropped.
    reading: Arc<Mutex<Option<ViewRead>>>,
    _timer: AbortOnDropHandle<()>,
}

impl HeldReading {
    fn new(reading: ViewRead) -> Self {
        let reading = Arc::new(Mutex::new(Some(reading)));
        let held = Arc::clone(&reading);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(limits::SNAPSHOT_HELD).await;
            drop(held.lock().await.take());
        });
        Self {
            reading,
            _timer: AbortOnDropHandle::new(timer),
        }
    }

    /// The next batch, or the end; `None` if the snapshot is gone.
    async fn fetch(&self) -> Result<Option<Option<RawBatch>>, StoreError> {
        let mut held = self.reading.lock().await;
        let Some(reading) = held.take() else {
            return Ok(None);
        };
        let (batch, reading) = reading.fetch().await?;
        *held = Some(reading);
        Ok(Some(batch))
    }
}

/// The next events of an answer, and the listing that continues after them.
type ViewChunk = Option<(QueryEvents, Option<ViewListing>)>;

impl ViewListing {
    fn into_stream(self) -> QueryEvents {
        let chunks = stream::try_unfold(Some(self), |listing| async move {
            match listing {
                Some(listing) => listing.next().await,
                None => Ok(None),
            }
        });
        chunks.try_flatten().boxed()
    }

    async fn next(mut self) -> Result<ViewChunk, StoreError> {
        let batch = match self.snapshot.fetch().await {
            Ok(Some(Some(batch))) => batch,
            Ok(Some(None)) => return Ok(None),
            Ok(None) => return self.resume_from_log().await,
            Err(StoreError::QueryTooSlow) if self.query.limit.is_none() => {
                return self.resume_from_log().await;
            }
            Err(error) => return Err(error),
        };
        let query = Arc::clone(&self.query);
        let (admitted, last) = compute(move |caller| admitted_of(&batch, &query, caller)).await?;
        self.last = last.or(self.last);
        let events = stream::iter(admitted.into_iter().map(Ok)).boxed();
        Ok(Some((events, Some(self))))
    }

    /// The rest of the answer, from the log.
    async fn resume_from_log(self) -> Result<ViewChunk, StoreError> {
        let query = match &self.last {
            Some(last) => {
                let steps = Steps::new(limits::MATCH_STEPS_MAX);
                Arc::new(self.query.from(last, &steps)?)
            }
            None => self.query,
        };
        let events = as_of::resume(&self.log, &query, self.seq).await?;
        Ok(Some((events, None)))
    }
}

/// The events of a batch that the query admits, and the last event of the batch.
fn admitted_of(
    batch: &RawBatch,
    query: &Query,
    caller: &AwaitedCall,
) -> Result<(Vec<Event>, Option<Event>), StoreError> {
    let mut events = Vec::new();
    let mut last: Option<Event> = None;
    decode_into(batch, |event| {
        caller.ensure_waiting()?;
        last = Some(event.clone());
        events.extend(admitted(query, event)?);
        Ok(())
    })?;
    Ok((events, last))
}

/// Passes each event of a batch of the view to `take`. Documents of other programs are skipped.
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
            Err(_) if foreign_documents::is_foreign(document) => {}
            Err(unreadable) => return Err(unreadable.at(location(document))),
        }
    }
    Ok(())
}

fn location(document: &bson::raw::RawDocument) -> String {
    let id = document.get_str("_id").unwrap_or("without a text id");
    format!("event {id}")
}

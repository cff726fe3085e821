//! Reading the view: events by id, and the answers to queries.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bson::RawDocumentBuf;
use bson::raw::RawBsonRef;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::options::{ReadConcern, SessionOptions};
use mongodb::raw_batch_cursor::{RawBatch, SessionRawBatchCursor};
use mongodb::{ClientSession, Collection, Database};

use super::call::{Failure, QUERY_CALL_DEADLINE, code, within};
use super::decode::{self, Unreadable};
use super::{EVENTS, collection, head, history, meta, strangers};
use crate::domain::Event;
use crate::limits;
use crate::query::{self, Query};
use crate::store::{Found, StoreError, admitted};

/// Events in a batch when the query has no limit. The server ends a batch at 16 MiB besides.
pub(super) const BATCH_COUNT: u32 = 1_000;

/// How often a query is begun anew when the snapshot it would read is not there: the view was
/// replaced by a rebuild in that moment.
const SNAPSHOTS_MAX: usize = 5;

/// See [`Store::find`](crate::store::Store::find).
pub(super) async fn find(log: &head::Opened, query: &Arc<Query>) -> Result<Found, StoreError> {
    if !query::mongo::has_order(query) {
        return find_sorted(log, query).await;
    }
    let mut tries = 1;
    let (head, reading) = loop {
        match begin(&log.database, query).await {
            Ok(begun) => break begun,
            Err(failure) if snapshot_is_gone(&failure) && tries < SNAPSHOTS_MAX => tries += 1,
            Err(failure) if cannot_sort(&failure, query) => {
                return find_sorted(log, query).await;
            }
            Err(failure) => return Err(failure.into()),
        }
    };
    let seq = log.check(head::parse(head.as_deref()))?.seq;
    let query = Arc::clone(query);
    let admitted = reading
        .into_stream()
        .try_filter_map(move |event| std::future::ready(admitted(&query, event)));
    Ok(Found {
        seq,
        events: admitted.boxed(),
    })
}

/// Whether some event has two values to sort by where MongoDB takes one: arrays in two fields of the order, or a
/// number on a path that is a place and a name.
fn cannot_sort(failure: &Failure, query: &Query) -> bool {
    match failure.code() {
        Some(code::BAD_VALUE | code::PARALLEL_ARRAYS) => query.sorts_by_several(),
        Some(code::AMBIGUOUS_FIELD) => true,
        _ => false,
    }
}

/// In an order that MongoDB does not have: what the log says of every event, sorted here.
async fn find_sorted(log: &head::Opened, query: &Arc<Query>) -> Result<Found, StoreError> {
    let head = log.head(QUERY_CALL_DEADLINE).await?;
    history::find_at(&log.database, query, head.seq).await
}

fn snapshot_is_gone(failure: &Failure) -> bool {
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
) -> Result<(Option<RawDocumentBuf>, Reading), Failure> {
    let (meta, events) = (meta(database), collection(database, EVENTS));
    let client = database.client().clone();
    let (filter, order) = (query::mongo::narrow(query), query::mongo::order(query));
    let (size, deadline) = (batch_size(query), deadline(query));
    within(QUERY_CALL_DEADLINE, async move {
        let options = SessionOptions::builder().snapshot(true).build();
        let mut session = client.start_session().with_options(options).await?;
        let head = meta
            .find_one(head::filter())
            .read_concern(ReadConcern::snapshot());
        let head = head.session(&mut session).await?;
        let cursor = open(&events, filter, order, size, deadline, &mut session).await?;
        let batch = VecDeque::new();
        Ok((
            head,
            Reading {
                cursor,
                session,
                batch,
            },
        ))
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

/// The server counts its time over all batches of a cursor; each batch has a deadline of its own on this side.
pub(super) fn deadline(query: &Query) -> Duration {
    match query.limit {
        Some(_) => limits::QUERY_DEADLINE,
        None => limits::LISTING_DEADLINE,
    }
}

/// Few where few are wanted: one more than the limit, by which a caller learns whether more remain.
pub(super) fn batch_size(query: &Query) -> u32 {
    let wanted = query.limit.map(|limit| limit.saturating_add(1));
    let wanted = wanted.and_then(|wanted| u32::try_from(wanted).ok());
    wanted.unwrap_or(BATCH_COUNT).min(BATCH_COUNT)
}

/// A query being answered. Dropping it closes the cursor.
struct Reading {
    cursor: SessionRawBatchCursor,
    session: ClientSession,
    batch: VecDeque<Event>,
}

impl Reading {
    fn into_stream(self) -> BoxStream<'static, Result<Event, StoreError>> {
        stream::try_unfold(Some(self), |reading| async move {
            match reading {
                Some(reading) => reading.next().await,
                None => Ok(None),
            }
        })
        .boxed()
    }

    async fn next(mut self) -> Result<Option<(Event, Option<Self>)>, StoreError> {
        loop {
            if let Some(event) = self.batch.pop_front() {
                return Ok(Some((event, Some(self))));
            }
            let (batch, reading) = self.fetch().await?;
            self = reading;
            let Some(batch) = batch else {
                return Ok(None);
            };
            decode_into(&batch, |event| self.batch.push_back(event))?;
        }
    }

    async fn fetch(mut self) -> Result<(Option<RawBatch>, Self), StoreError> {
        let fetched = within(QUERY_CALL_DEADLINE, async move {
            let batch = self.cursor.stream(&mut self.session).next().await;
            Ok((batch.transpose()?, self))
        });
        Ok(fetched.await?)
    }
}

pub(super) fn decode_into(batch: &RawBatch, mut take: impl FnMut(Event)) -> Result<(), StoreError> {
    let unreadable = |_| Unreadable::new("not BSON").at("the view");
    for document in batch.doc_slices().map_err(unreadable)? {
        let Ok(RawBsonRef::Document(document)) = document else {
            return Err(Unreadable::new("not BSON").at("the view"));
        };
        match decode::event(document) {
            Ok(event) => take(event),
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

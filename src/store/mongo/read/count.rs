//! How many events match.
//!
//! | the filter | what counts |
//! |---|---|
//! | can be written exactly for MongoDB | MongoDB, up to [`limits::COUNT_ENTRIES_MAX`] matches |
//! | the same, and it takes MongoDB longer than [`limits::COUNT_TIME`] | MongoDB, of the first [`limits::COUNT_EVENTS_MAX`] events |
//! | any other | its tree, of the first so many events that MongoDB finds for it |
//! | is of the past | its tree, of the first so many events that there ever were |
//!
//! What the rows but the first say of events that are passed over is not for who sees but some: to them only the deadline of
//! queries is a bound.
//!
//! All of it is read in the snapshot of the answer, whose session is handed in and out.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use mongodb::options::ReadConcern;
use mongodb::{ClientSession, Collection};

use super::filter::Translation;
use super::view::ViewRead;
use super::{filter, foreign_documents, view};
use crate::limits;
use crate::query::{Count, Query};
use crate::store::StoreError;
use crate::store::mongo::wire::call::{CallError, QUERY_CALL_DEADLINE, code, compute, within};
use crate::store::tally::MatchTally;

/// A count, and the session again.
type CountOutcome = Result<(Count, ClientSession), StoreError>;

/// What matches in the snapshot of the session.
pub(super) async fn count(
    events: &Collection<RawDocumentBuf>,
    query: &Query,
    session: ClientSession,
) -> CountOutcome {
    let all = query.of_all_matches();
    match filter::node(&all.filter.root) {
        Translation::Exactly(exact) => count_exact(events, &all, exact, session).await,
        Translation::Wider(_) => judged(events, Arc::new(all), session).await,
    }
}

/// Whether the work may be bounded, whatever that tells of events that do not match.
fn is_bounded(query: &Query) -> bool {
    query.filter.rule().is_none()
}

async fn count_exact(
    events: &Collection<RawDocumentBuf>,
    query: &Query,
    exact: Document,
    session: ClientSession,
) -> CountOutcome {
    let most = limits::COUNT_ENTRIES_MAX;
    let matching = doc! { "$match": {
        "$and": [exact, { "$nor": [foreign_documents::is_misshapen()] }],
    } };
    let deadline = match is_bounded(query) {
        true => limits::COUNT_TIME,
        false => limits::QUERY_DEADLINE,
    };
    let pipeline = vec![matching.clone(), limit(most + 1)];
    let (counted, session) = total(events, pipeline, deadline, session).await?;
    match counted {
        Ok(count) if count > most => Ok((Count::AtLeast(most), session)),
        Ok(count) => Ok((Count::Exactly(count), session)),
        Err(failure) if failure.code() == Some(code::MAX_TIME_EXPIRED) && is_bounded(query) => {
            let pipeline = vec![limit(limits::COUNT_EVENTS_MAX), matching];
            let (counted, session) =
                total(events, pipeline, limits::QUERY_DEADLINE, session).await?;
            Ok((Count::AtLeast(counted?), session))
        }
        Err(failure) => Err(failure.into()),
    }
}

fn limit(most: u64) -> Document {
    doc! { "$limit": most.cast_signed() }
}

/// The documents that leave a pipeline. The session comes back from one that fails.
async fn total(
    events: &Collection<RawDocumentBuf>,
    mut pipeline: Vec<Document>,
    deadline: Duration,
    mut session: ClientSession,
) -> Result<(Result<u64, CallError>, ClientSession), CallError> {
    let events = events.clone();
    pipeline.push(doc! { "$count": "n" });
    let (total, session) = within(QUERY_CALL_DEADLINE, async move {
        let aggregate = events.aggregate(pipeline).max_time(deadline);
        let aggregate = aggregate.read_concern(ReadConcern::snapshot());
        let total = match aggregate.session(&mut session).await {
            Ok(mut totals) => totals.next(&mut session).await.transpose(),
            Err(error) => Err(error),
        };
        Ok((total, session))
    })
    .await?;
    let total = total.map_err(|error| CallError::Driver(Box::new(error)));
    Ok((total.map(|total| total.as_ref().map_or(0, number)), session))
}

/// No document at all is what counting nothing comes to.
fn number(total: &Document) -> u64 {
    let total = total
        .get_i64("n")
        .or_else(|_| total.get_i32("n").map(i64::from));
    total.map_or(0, i64::cast_unsigned)
}

/// Reads what MongoDB finds, and asks the tree.
async fn judged(
    events: &Collection<RawDocumentBuf>,
    query: Arc<Query>,
    session: ClientSession,
) -> CountOutcome {
    let mut reading = ViewRead::open(events, filter::narrow(&query), session).await?;
    let mut tally = MatchTally::of(&query);
    loop {
        let batch;
        (batch, reading) = reading.fetch().await?;
        let Some(batch) = batch else {
            return Ok((tally.count(), reading.into_session()));
        };
        let asked = Arc::clone(&query);
        tally = compute(move |caller| {
            view::decode_into(&batch, |event| {
                caller.ensure_waiting()?;
                tally.add(&asked, event).map(drop)
            })?;
            Ok(tally)
        })
        .await?;
        if tally.is_over() {
            return Ok((tally.count(), reading.into_session()));
        }
    }
}

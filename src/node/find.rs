//! Events as they are or were: queries by filter, and single events by id.

use std::sync::Arc;

use futures::StreamExt;

use super::Node;
use crate::domain::{AsOf, Event, EventId, Seq};
use crate::fairness::{Holding, Requester};
use crate::limits;
use crate::protocol::{Code, Failure, Fetch};
use crate::query::{Filter, LastRecord, Query};
use crate::store::{QueryResult, StoreError};
use crate::value::{Invalid, Steps};

impl Node {
    /// All events that match, as of one seq, as a stream: the time or seq asked for, or now. Waits for its `min_seq`.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub(super) async fn find(
        &self,
        requester: &Requester,
        fetch: &Fetch,
    ) -> Result<QueryResult, Failure> {
        let filter = self.hold_filter(requester, &fetch.query.filter)?;
        let result = self.find_held(requester, fetch).await?;
        Ok(holding(result, filter))
    }

    /// The same for who holds the filter as long as the answer is read.
    pub(super) async fn find_held(
        &self,
        requester: &Requester,
        fetch: &Fetch,
    ) -> Result<QueryResult, Failure> {
        self.wait_for_seq(fetch.min_seq).await?;
        let query = &self.resolve_cursor(requester, &fetch.query).await?;
        if let Some(as_of) = fetch.as_of {
            let seq = self.seq_as_of(as_of).await?;
            let result = self.parts.store.find_at(requester, query, seq).await;
            return Ok(self.watched(self.store_answer(result)?, query));
        }
        let result = self.store_answer(self.parts.store.find(requester, query).await)?;
        match result.seq >= fetch.min_seq {
            true => Ok(self.watched(result, query)),
            false => Err(not_reached(fetch.min_seq)),
        }
    }

    /// The event with this id, as of the time or seq asked for or now, and the seq that it is as of.
    ///
    /// # Errors
    /// `not_found`, or if the store cannot answer.
    pub(super) async fn event(
        &self,
        requester: &Requester,
        id: &EventId,
        fetch: &Fetch,
    ) -> Result<(Seq, Event), Failure> {
        let query = Query {
            filter: Filter::of_id(id.as_str()).within(&fetch.query.filter),
            seen_now: fetch.query.seen_now.clone(),
            ..Query::everything()
        };
        let fetch = &Fetch {
            query: Arc::new(query),
            ..fetch.clone()
        };
        self.wait_for_seqs_of(fetch).await?;
        let _permit = self.read_permit(requester).await?;
        let QueryResult {
            seq, mut events, ..
        } = self.find(requester, fetch).await?;
        let missing = || Failure::new(Code::NotFound, format!("event {id} does not exist"));
        let event = events.next().await.transpose()?;
        Ok((seq, event.ok_or_else(missing)?))
    }

    /// Waits for the seqs that a fetch names: before it takes a permit, which others can use meanwhile.
    pub(super) async fn wait_for_seqs_of(&self, fetch: &Fetch) -> Result<(), Failure> {
        self.wait_for_seq(fetch.min_seq).await?;
        if let Some(last) = &fetch.query.ends_after {
            self.wait_for_seq(Seq::new(last.seq)).await?;
        }
        match fetch.as_of {
            Some(AsOf::Seq(seq)) => self.wait_for_seq(seq).await,
            Some(AsOf::Time(_)) | None => Ok(()),
        }
    }

    /// The query from its cursor on. A cursor may name the event that the last page ended with: then that event is read
    /// as it was, for its sort keys.
    async fn resolve_cursor(
        &self,
        requester: &Requester,
        query: &Arc<Query>,
    ) -> Result<Arc<Query>, Failure> {
        let Some(LastRecord { id, seq }) = &query.ends_after else {
            return Ok(Arc::clone(query));
        };
        let seq = Seq::new(*seq);
        self.wait_for_seq(seq).await?;
        // A cursor that a client made up must not tell of an event that it does not see.
        let last = Query {
            filter: Filter::of_id(id).within(&query.filter),
            ..Query::everything()
        };
        let last = Arc::new(last);
        let found = self.parts.store.find_at(requester, &last, seq).await;
        let result = self.store_answer(found)?;
        let Some(event) = result.events.into_future().await.0.transpose()? else {
            let reason = "the event that the page ended with was erased: begin again";
            return Err(Failure::at(Code::Redacted, Invalid::new("cursor", reason)));
        };
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        Ok(Arc::new(query.from(&event, &steps)?))
    }
}

/// The filter is held as long as the answer is read.
fn holding(result: QueryResult, filter: Holding) -> QueryResult {
    let held = move |_: &Result<Event, StoreError>| {
        let _held = &filter;
    };
    QueryResult {
        events: result.events.inspect(held).boxed(),
        ..result
    }
}

pub(super) fn not_reached(seq: Seq) -> Failure {
    let message = format!("the log has not come to {seq}");
    Failure::new(Code::SeqNotReached, message)
}

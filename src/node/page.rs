//! Pages of events, and the shares of the node's budget that they hold.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::timeout;

use super::Node;
use crate::budget::Share;
use crate::domain::Event;
use crate::fairness::{FairPermit, FairPermits, Requester};
use crate::limits;
use crate::protocol;
use crate::protocol::{Code, Failure, Fetch, FetchPage, Frame, RequestId};
use crate::query::Query;
use crate::store::{QueryResult, StoreError};

/// What a page takes while it is made: its buffer is in memory twice when it grows.
pub(super) const PAGE_BYTES: usize = 2 * limits::FETCH_BYTES_MAX;

/// The most that a page of changes takes: those of a page of the log, with the one that ends it, and their frames.
pub(super) const CHANGES_BYTES: usize = 2 * (limits::LOG_PAGE_BYTES_MAX + limits::EVENT_BYTES_MAX);

/// How large a page may be.
#[derive(Debug, Clone, Copy)]
enum Bounds {
    /// [`limits::FETCH_BYTES_MAX`], and the event that passes it.
    Full,
    /// What a session may hold without a share of the budget.
    Short,
    /// One event, however large.
    One,
}

impl Bounds {
    fn fits(self, page: &FetchPage, event: &Event) -> bool {
        match self {
            Self::Full => page.len() <= limits::FETCH_BYTES_MAX,
            Self::Short => page.len() + event.approx_bytes() <= limits::SESSION_FREE_BYTES,
            Self::One => page.count() == 0,
        }
    }
}

/// How soon a store that is up answers the simplest question.
const PROBE_DEADLINE: Duration = Duration::from_millis(500);

impl Node {
    /// The answer to a FETCH: at most the query's limit of events, and at most [`limits::FETCH_BYTES_MAX`] of
    /// them; at least one. With it the share of the budget that it holds until it is sent. `share` is from
    /// [`reserve_ahead`](Self::reserve_ahead).
    ///
    /// While the budget is used up, the page is as short as a session may hold it without a share; only if its first
    /// event is larger than that does it wait for a share. So small answers wait for nobody's large ones.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub(super) async fn fetch(
        &self,
        requester: &Requester,
        id: Option<&RequestId>,
        fetch: &Fetch,
        share: Option<Share>,
    ) -> Result<(Frame, Option<Share>), Failure> {
        if fetch.explain {
            let (seq, explained) = self.explain(requester, fetch).await?;
            return Ok((protocol::explained(id, seq, &explained), None));
        }
        // No share is held while this waits for a seq or for a permit.
        self.wait_for_seqs_of(fetch).await?;
        let share = share.filter(|_| !fetch.query.may_scan());
        let _permit = self.scan_permit(requester, &fetch.query).await?;
        let share = share.or_else(|| self.parts.budget.try_reserve(PAGE_BYTES));
        let (mut share, bounds) = match share {
            Some(share) => (share, Bounds::Full),
            None => match self.page(requester, id, fetch, Bounds::Short).await? {
                Some(frame) => return Ok((frame, None)),
                None => {
                    let share = self.parts.budget.reserve(2 * limits::EVENT_BYTES_MAX);
                    (share.await, Bounds::One)
                }
            },
        };
        let frame = self.page(requester, id, fetch, bounds).await?;
        let frame = frame.expect("there is room for an event");
        share.shrink_to(frame.len());
        Ok((frame, Some(share)))
    }

    /// A permit to scan all events, if the query does.
    pub(super) async fn scan_permit(
        &self,
        requester: &Requester,
        query: &Query,
    ) -> Result<Option<FairPermit>, Failure> {
        match query.may_scan() {
            true => permit_of(&self.parts.scan_permits, requester)
                .await
                .map(Some),
            false => Ok(None),
        }
    }

    /// A permit to read a page or an event. It bounds what shares do not: while events are read, some take many times
    /// the memory of their text, for which the share is.
    pub(super) async fn read_permit(&self, requester: &Requester) -> Result<FairPermit, Failure> {
        permit_of(&self.parts.read_permits, requester).await
    }

    /// Ends a read at the query's deadline. The store ends its own part of it by the same deadline; this bounds what the
    /// store does not count. A store that does not answer the simplest question either is unavailable; otherwise the
    /// query took too long.
    pub(super) async fn with_deadline<T>(
        &self,
        read: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let deadline = limits::QUERY_DEADLINE + Duration::from_millis(250);
        if let Ok(answer) = timeout(deadline, read).await {
            return answer;
        }
        match timeout(PROBE_DEADLINE, self.parts.store.head()).await {
            Ok(Ok(_)) => Err(StoreError::QueryTooSlow.into()),
            Ok(Err(error)) => self.store_answer(Err(error)),
            Err(_) => self.store_answer(Err(StoreError::Unavailable(format!(
                "no answer in {deadline:?}"
            )))),
        }
    }

    /// A page; `None` if its first event does not fit.
    async fn page(
        &self,
        requester: &Requester,
        id: Option<&RequestId>,
        fetch: &Fetch,
        bounds: Bounds,
    ) -> Result<Option<Frame>, Failure> {
        let _permit = self.read_permit(requester).await?;
        self.with_deadline(self.read_page(requester, id, fetch, bounds))
            .await
    }

    async fn read_page(
        &self,
        requester: &Requester,
        id: Option<&RequestId>,
        fetch: &Fetch,
        bounds: Bounds,
    ) -> Result<Option<Frame>, Failure> {
        let QueryResult {
            seq,
            count,
            mut events,
            ..
        } = self.find(requester, fetch).await?;
        let query = &fetch.query;
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut page = FetchPage::new(id, seq, count);
        if limit == 0 {
            return Ok(Some(page.finish(None)));
        }
        let mut last: Option<Event> = None;
        let mut next = None;
        while let Some(event) = events.next().await.transpose()? {
            let is_full = page.count() == limit || !bounds.fits(&page, &event);
            match last {
                None if is_full => return Ok(None),
                Some(last) if is_full => {
                    next = Some(query.cursor_token(&last, seq.get()));
                    break;
                }
                _ => page.push(&event, &query.fields),
            }
            last = Some(event);
        }
        Ok(Some(page.finish(next.as_deref())))
    }

    /// All events that match, as a stream for a client that reads at its own pace: the permit and the deadline are for
    /// what comes before the first event.
    ///
    /// # Errors
    /// If the store cannot answer, or not in time.
    pub(super) async fn list(
        &self,
        requester: &Requester,
        fetch: &Fetch,
    ) -> Result<QueryResult, Failure> {
        self.wait_for_seqs_of(fetch).await?;
        let _permit = self.scan_permit(requester, &fetch.query).await?;
        self.with_deadline(self.find(requester, fetch)).await
    }
}

/// A permit, unless too many others wait for one.
pub(super) async fn permit_of(
    permits: &Arc<FairPermits>,
    requester: &Requester,
) -> Result<FairPermit, Failure> {
    let permit = timeout(limits::READ_PERMIT_DEADLINE, permits.acquire(requester)).await;
    permit.map_err(|_| Failure::new(Code::Busy, "too many reads are waiting"))
}

//! Answers that are large, and the room that they take of what the node may hold for its clients.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::timeout;

use super::Node;
use super::passes::Pass;
use crate::budget::{Budget, Share};
use crate::domain::{Change, Event, Seq};
use crate::engine::Requester;
use crate::limits;
use crate::protocol::{Code, Failure, Fetch, FetchPage, Frame, RequestId};
use crate::query::Query;
use crate::store::{QueryResult, StoreError};

/// What a page takes while it is made: when it grows it is in memory twice.
const PAGE_BYTES: usize = 2 * limits::FETCH_BYTES_MAX;

/// What a page may hold.
#[derive(Debug, Clone, Copy)]
enum Bounds {
    /// [`limits::FETCH_BYTES_MAX`], and the event that passes it.
    Full,
    /// What a session may hold beside the budget.
    Short,
    /// One event, however large.
    One,
}

impl Bounds {
    fn admit(self, page: &FetchPage, event: &Event) -> bool {
        match self {
            Self::Full => page.len() <= limits::FETCH_BYTES_MAX,
            Self::Short => page.len() + event.weight() <= limits::SESSION_FREE_BYTES,
            Self::One => page.count() == 0,
        }
    }
}

/// How soon a store that is there says so.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

impl Node {
    /// What the node may hold for its clients.
    pub fn budget(&self) -> &Budget {
        &self.parts.budget
    }

    /// What the node may hold of what it tells to subscriptions.
    pub fn news(&self) -> &Budget {
        &self.parts.news
    }

    /// What the node may hold of what clients are sending.
    pub fn intake(&self) -> &Budget {
        &self.parts.intake
    }

    /// Whether someone waits for room.
    pub fn is_crowded(&self) -> bool {
        self.parts.budget.is_out() || self.parts.news.is_out()
    }

    /// Leave to go on waiting for a client that takes nothing of so many bytes; `holds_room` if some
    /// of them hold a share of a budget. `None` if others need the room.
    pub fn linger(&self, bytes: usize, holds_room: bool) -> Option<Share> {
        if holds_room && self.is_crowded() {
            return None;
        }
        let bytes = bytes.saturating_sub(limits::SESSION_FREE_BYTES);
        self.parts.lingering.try_reserve(bytes)
    }

    /// Room for a FETCH whose answer waits for others.
    pub fn room_ahead(&self) -> Option<Share> {
        self.parts.budget.try_reserve_ahead(PAGE_BYTES)
    }

    /// The answer to a FETCH: at most the query's limit of events, and at most [`limits::FETCH_BYTES_MAX`] of
    /// them; at least one. With it the share of the budget that it takes as long as it is held. `room` is from
    /// [`room_ahead`](Self::room_ahead).
    ///
    /// While the budget is out, the page is as short as a session may have it beside the budget; who has a larger
    /// event to get waits for room. So small answers wait for nobody's large ones.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub async fn fetch(
        &self,
        from: &Requester,
        id: Option<&RequestId>,
        asked: &Fetch,
        room: Option<Share>,
    ) -> Result<(Frame, Option<Share>), Failure> {
        // Who waits for the log to get there, or for a turn, holds no room meanwhile.
        self.reach_all(asked).await?;
        let room = room.filter(|_| !asked.query.goes_through_all());
        let _pass = self.pass(from, &asked.query).await?;
        let room = room.or_else(|| self.parts.budget.try_reserve(PAGE_BYTES));
        let (mut share, bounds) = match room {
            Some(share) => (share, Bounds::Full),
            None => match self.page(from, id, asked, Bounds::Short).await? {
                Some(frame) => return Ok((frame, None)),
                None => {
                    let share = self.parts.budget.reserve(2 * limits::EVENT_BYTES_MAX);
                    (share.await, Bounds::One)
                }
            },
        };
        let frame = self.page(from, id, asked, bounds).await?;
        let frame = frame.expect("there is room for an event");
        share.shrink_to(frame.len());
        Ok((frame, Some(share)))
    }

    /// Leave to go through all events, if the query does.
    async fn pass(&self, from: &Requester, query: &Query) -> Result<Option<Pass>, Failure> {
        match query.goes_through_all() {
            true => self.parts.passes.leave(from).await.map(Some),
            false => Ok(None),
        }
    }

    /// Leave to read what is answered at once: while it is read, some events take many times the memory of the text that
    /// room is reserved for.
    pub(super) async fn leave_to_read(&self) -> Result<Pass, Failure> {
        self.parts.reads.leave(&Requester::new()).await
    }

    /// The store ends its own part of it by the same deadline; this holds what it does not count. A store that is silent
    /// is away, whatever it was asked; one that answers something else has been asked too much.
    async fn in_time<T>(
        &self,
        read: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let deadline = limits::QUERY_DEADLINE + Duration::from_millis(250);
        if let Ok(answer) = timeout(deadline, read).await {
            return answer;
        }
        match timeout(SIGN_OF_LIFE, self.parts.store.head()).await {
            Ok(Ok(_)) => Err(StoreError::QueryTooSlow.into()),
            Ok(Err(error)) => self.heed(Err(error)),
            Err(_) => self.heed(Err(StoreError::Unavailable(format!(
                "no answer in {deadline:?}"
            )))),
        }
    }

    /// `None` if the first event does not fit.
    async fn page(
        &self,
        from: &Requester,
        id: Option<&RequestId>,
        asked: &Fetch,
        bounds: Bounds,
    ) -> Result<Option<Frame>, Failure> {
        let _turn = self.parts.reads.leave(from).await?;
        self.in_time(self.gather(id, asked, bounds)).await
    }

    async fn gather(
        &self,
        id: Option<&RequestId>,
        asked: &Fetch,
        bounds: Bounds,
    ) -> Result<Option<Frame>, Failure> {
        let QueryResult { seq, mut events } = self.find(asked).await?;
        let query = &asked.query;
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut page = FetchPage::new(id, seq);
        let mut last: Option<Event> = None;
        let mut next = None;
        while let Some(event) = events.next().await.transpose()? {
            let is_full = page.count() == limit || !bounds.admit(&page, &event);
            match last {
                None if is_full => return Ok(None),
                Some(last) if is_full => {
                    next = Some(query.cursor_after(&last, seq.get()));
                    break;
                }
                _ => page.push(&event, &query.fields),
            }
            last = Some(event);
        }
        Ok(Some(page.finish(next.as_deref())))
    }

    /// All events that match, for a client that takes them as it can: what it takes to begin has its turn and its
    /// deadline.
    ///
    /// # Errors
    /// If the store cannot answer, or not in time.
    pub async fn list(&self, asked: &Fetch) -> Result<QueryResult, Failure> {
        self.reach_all(asked).await?;
        let _pass = self.pass(&Requester::new(), &asked.query).await?;
        self.in_time(self.find(asked)).await
    }

    /// The changes of a write that was carried out before, from the log, where they follow each other; with room for
    /// them and what is told of them, of which there are about so many bytes.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub async fn written(
        &self,
        first: Seq,
        count: usize,
        bytes: usize,
    ) -> Result<(Vec<Arc<Change>>, Share), Failure> {
        let share = self.parts.budget.reserve(3 * bytes).await;
        let _turn = self.leave_to_read().await?;
        let mut changes = Vec::with_capacity(count);
        let mut after = first.before();
        while changes.len() < count {
            let more = self.heed(self.parts.store.read(after, count - changes.len()).await)?;
            let last = more.last().map(|last| last.seq);
            after = last.ok_or_else(|| {
                Failure::new(Code::Unavailable, "the log could not be read again")
            })?;
            changes.extend(more);
        }
        Ok((changes, share))
    }
}

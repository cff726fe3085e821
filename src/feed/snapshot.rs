//! Handing out a snapshot: the events that match as of one seq, in pages, under a permit with a deadline.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use crate::domain::Seq;
use crate::fairness::FairPermit;
use crate::limits;
use crate::protocol;
use crate::protocol::{Failure, Frame, Shaped};
use crate::query::Fields;
use crate::store::QueryEvents;
use crate::store::{QueryResult, StoreError};

/// A permit, with a deadline, to hold something expensive: a cursor of the store, or the changes that mode `latest`
/// gathers.
#[derive(Debug)]
pub struct SnapshotPermit {
    _permit: FairPermit,
    deadline: Instant,
}

/// Why a subscription ends early.
#[derive(Debug, Clone)]
pub enum SubscriptionError {
    /// The store could not go on.
    Store(StoreError),
    /// The client took longer than [`limits::SNAPSHOT_DEADLINE`] and the time it gained by reading.
    TooSlow,
    /// Its filter takes more than [`limits::MATCH_STEPS_MAX`] on one event, or [`limits::JUDGE_TIME_MAX`] on many.
    FilterTooSlow,
    /// What its list shows cannot be read, as its source says.
    Failed(Failure),
    /// What its list shows takes more than [`limits::LIST_BYTES_MAX`].
    ListTooLarge,
    /// All lists take more than [`limits::LISTS_BYTES_MAX`].
    NoRoom,
    /// The task that keeps its list has panicked.
    Panicked,
}

/// The events that match as of one seq, being handed out.
pub(super) struct SnapshotFeed {
    pub(super) seq: Seq,
    events: QueryEvents,
    fields: Arc<Fields>,
    permit: SnapshotPermit,
    page: Vec<Shaped>,
    bytes: usize,
    end: Option<Result<(), StoreError>>,
}

impl fmt::Debug for SnapshotFeed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SnapshotFeed")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl SnapshotPermit {
    pub(super) fn new(permit: FairPermit) -> Self {
        Self {
            _permit: permit,
            deadline: Instant::now() + limits::SNAPSHOT_DEADLINE,
        }
    }

    /// Moves the deadline for bytes that the client has taken: a client that keeps up the pace of
    /// [`limits::SNAPSHOT_BYTES_PER_SECOND`] is never too slow.
    pub(super) fn extend(&mut self, bytes: usize) {
        self.deadline += Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX)
            / limits::SNAPSHOT_BYTES_PER_SECOND;
    }

    /// Whether the deadline has not passed.
    pub(super) fn check(&self) -> Result<(), SubscriptionError> {
        match Instant::now() > self.deadline {
            true => Err(SubscriptionError::TooSlow),
            false => Ok(()),
        }
    }
}

impl SnapshotFeed {
    pub(super) fn new(result: QueryResult, fields: &Arc<Fields>, permit: SnapshotPermit) -> Self {
        Self {
            seq: result.seq,
            events: result.events,
            fields: Arc::clone(fields),
            permit,
            page: Vec::new(),
            bytes: 0,
            end: None,
        }
    }

    /// Reads events until a page is full, or all are read.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() && !self.is_full() {
            match ready!(self.events.poll_next_unpin(context)) {
                Some(Ok(event)) => {
                    self.bytes += event.approx_bytes();
                    self.page.push(Shaped::of(event, &self.fields));
                }
                Some(Err(error)) => self.end = Some(Err(error)),
                None => self.end = Some(Ok(())),
            }
        }
        Poll::Ready(())
    }

    /// The page that is ready, and whether it was the last.
    pub(super) fn take(&mut self) -> Result<(Frame, bool), SubscriptionError> {
        self.permit.check()?;
        if let Some(Err(error)) = &self.end {
            return Err(SubscriptionError::Store(error.clone()));
        }
        let last = self.end.is_some();
        let frame = protocol::snapshot(self.seq, &self.page, !last);
        self.permit.extend(frame.len());
        self.page.clear();
        self.bytes = 0;
        Ok((frame, last))
    }

    fn is_full(&self) -> bool {
        self.page.len() >= limits::FETCH_COUNT_DEFAULT || self.bytes >= limits::FLUSH_BYTES_MAX
    }
}

//! How a subscription begins with the events as they are.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::domain::{Event, Seq};
use crate::limits;
use crate::protocol;
use crate::protocol::{Frame, Shaped};
use crate::query::Fields;
use crate::store::{Found, StoreError};

/// Leave to hold what is dear, for a while: a cursor of the store, or what `latest` gathers.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
    until: Instant,
}

/// Why a subscription broke off.
#[derive(Debug)]
pub enum Interrupted {
    /// The store could not go on.
    Store(StoreError),
    /// The client took longer than [`limits::SNAPSHOT_DEADLINE`] and what it earned by taking pages.
    TooSlow,
    /// Its filter takes more than [`limits::MATCH_STEPS_MAX`] on one event, or [`limits::JUDGE_TIME_MAX`] on many.
    FilterTooSlow,
}

/// The events that match as of one seq, being handed out.
pub(super) struct Snapshot {
    pub(super) seq: Seq,
    events: BoxStream<'static, Result<Event, StoreError>>,
    fields: Arc<Fields>,
    turn: Turn,
    page: Vec<Shaped>,
    bytes: usize,
    end: Option<Result<(), StoreError>>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Snapshot")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl Turn {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self {
            _permit: permit,
            until: Instant::now() + limits::SNAPSHOT_DEADLINE,
        }
    }

    /// So many bytes were taken: who goes on may go on.
    pub(super) fn earn(&mut self, bytes: usize) {
        self.until += Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX)
            / limits::SNAPSHOT_BYTES_PER_SECOND;
    }

    pub(super) fn check(&self) -> Result<(), Interrupted> {
        match Instant::now() > self.until {
            true => Err(Interrupted::TooSlow),
            false => Ok(()),
        }
    }
}

impl Snapshot {
    pub(super) fn new(found: Found, fields: &Arc<Fields>, turn: Turn) -> Self {
        Self {
            seq: found.seq,
            events: found.events,
            fields: Arc::clone(fields),
            turn,
            page: Vec::new(),
            bytes: 0,
            end: None,
        }
    }

    /// Gathers until there is a page.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() && !self.is_full() {
            match ready!(self.events.poll_next_unpin(context)) {
                Some(Ok(event)) => {
                    self.bytes += event.weight();
                    self.page.push(Shaped::of(event, &self.fields));
                }
                Some(Err(error)) => self.end = Some(Err(error)),
                None => self.end = Some(Ok(())),
            }
        }
        Poll::Ready(())
    }

    /// The page that is ready, and whether it was the last.
    pub(super) fn take(&mut self) -> Result<(Frame, bool), Interrupted> {
        self.turn.check()?;
        if let Some(Err(error)) = &self.end {
            return Err(Interrupted::Store(error.clone()));
        }
        let last = self.end.is_some();
        let frame = protocol::snapshot(self.seq, &self.page, !last);
        self.turn.earn(frame.len());
        self.page.clear();
        self.bytes = 0;
        Ok((frame, last))
    }

    fn is_full(&self) -> bool {
        self.page.len() >= limits::FETCH_COUNT_DEFAULT || self.bytes >= limits::FLUSH_BYTES_MAX
    }
}

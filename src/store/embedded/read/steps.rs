//! The steps of a read: each takes a permit, reads a snapshot for a while, and gives both back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::{PastView, Scanned};
use super::scan::Scan;
use super::snapshot::Snapshot;
use crate::domain::{Event, EventId};
use crate::fairness::{FairPermits, Requester};
use crate::query::{Direction, Query};
use crate::store::embedded::shared::{Shared, blocking};
use crate::store::{QueryCost, StoreError};

/// How long a step takes, plus the time to match one event.
const STEP: Duration = Duration::from_millis(20);

/// The clock is read once in so many events.
const CLOCK_INTERVAL: usize = 8;

/// Runs the steps of one answer.
pub(super) struct StepReader {
    pub(super) shared: Arc<Shared>,
    pub(super) as_of: PastView,
    /// A step needs one of these, unless it only looks up ids.
    permits: Option<Arc<FairPermits>>,
    requester: Requester,
    pub(super) cost: Arc<QueryCost>,
}

impl StepReader {
    pub(super) fn new(
        shared: &Arc<Shared>,
        requester: &Requester,
        query: &Query,
        as_of: PastView,
    ) -> Self {
        let permits = match (query.filter.pinned_ids(), query.limit) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(&shared.page_permits),
            (None, None) => Some(&shared.listing_permits),
        };
        Self {
            shared: Arc::clone(shared),
            as_of,
            permits: permits.map(Arc::clone),
            requester: requester.clone(),
            cost: Arc::default(),
        }
    }

    /// A step in the newest snapshot.
    pub(super) async fn step<T: Send + 'static>(
        &self,
        work: impl FnOnce(&EventReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (shared, as_of) = (Arc::clone(&self.shared), self.as_of.clone());
        let cost = Arc::clone(&self.cost);
        self.permitted(move || {
            let snapshot = shared.snapshot();
            work(&EventReader {
                snapshot,
                as_of,
                cost,
            })
        })
        .await
    }

    /// A step that has its snapshot.
    pub(super) async fn permitted<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = match &self.permits {
            Some(permits) => Some(permits.acquire(&self.requester).await),
            None => None,
        };
        let cost = Arc::clone(&self.cost);
        blocking(move || {
            // Held until the step ends, whether or not the caller still waits for it.
            let _permit = permit;
            let began = Instant::now();
            let done = work();
            cost.took(began.elapsed());
            done
        })
        .await
    }
}

/// Reads the events of a snapshot as of some seq.
pub(super) struct EventReader {
    pub(super) snapshot: Arc<Snapshot>,
    as_of: PastView,
    cost: Arc<QueryCost>,
}

impl EventReader {
    pub(super) fn get(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        self.cost.looked_at_event();
        let current = self.snapshot.event(id)?;
        if !self.as_of.is_seen_now(current.as_ref())? {
            return Ok(None);
        }
        match current {
            Some(event) if event.seq <= self.as_of.seq => Ok(Some(event)),
            _ if self.is_current() => Ok(None),
            _ => self.snapshot.event_at(id, &self.as_of),
        }
    }

    /// All events from after some id.
    pub(super) fn scan(
        &self,
        direction: Direction,
        after: Option<&EventId>,
    ) -> Result<EventSteps<'_>, StoreError> {
        Ok(match self.is_current() {
            true => {
                let scan = Scan::begin(&self.snapshot, direction, after)?;
                let scanned = |event: Event| {
                    self.cost.looked_at_event();
                    self.seen(event)
                };
                Box::new(scan.map(move |event| event.and_then(scanned)))
            }
            false => {
                let scan = self.snapshot.scan_at(&self.as_of, direction, after)?;
                Box::new(scan.inspect(|_| self.cost.looked_at_event()))
            }
        })
    }

    fn seen(&self, event: Event) -> Result<Scanned, StoreError> {
        match self.as_of.is_seen_now(Some(&event))? {
            true => Ok(Scanned::Present(event)),
            false => Ok(Scanned::Absent(event.id)),
        }
    }

    pub(super) fn is_current(&self) -> bool {
        self.as_of.seq == self.snapshot.seq
    }
}

pub(super) type EventSteps<'a> = Box<dyn Iterator<Item = Result<Scanned, StoreError>> + 'a>;

/// Ends a step in time.
pub(super) struct ReadDeadline {
    until: Instant,
    ticks: usize,
}

impl ReadDeadline {
    pub(super) fn start() -> Self {
        Self {
            until: Instant::now() + STEP,
            ticks: 0,
        }
    }

    pub(super) fn is_over(&mut self) -> bool {
        self.ticks += 1;
        self.ticks.is_multiple_of(CLOCK_INTERVAL) && Instant::now() >= self.until
    }
}

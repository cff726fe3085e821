//! Plans carried out: what an index names, gathered in the one snapshot that the plan was made for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::find::{EventSource, sort};
use super::indexed;
use super::indexed::{Walk, Walked};
use super::snapshot::Snapshot;
use super::steps::StepReader;
use crate::domain::EventId;
use crate::indexes;
use crate::indexes::{OrderedRange, Plan, RangeLookup};
use crate::query::{Direction, Query};
use crate::store::top_k::TopOrder;
use crate::store::{QueryPlan, StoreError};

/// A plan, and the snapshot that it was made for.
pub(super) struct Planned {
    pub(super) snapshot: Arc<Snapshot>,
    plan: Plan,
}

impl StepReader {
    /// The plan for a query. From now on the answer is as of the snapshot that it was made for.
    pub(super) async fn plan(&mut self, query: &Arc<Query>) -> Result<Planned, StoreError> {
        let planned = match self.may_use_index(query) {
            false => Planned {
                snapshot: self.shared.snapshot(),
                plan: Plan::Scan,
            },
            true => {
                let asked = Arc::clone(query);
                let planned = self.step(move |events| Planned::of(&asked, &events.snapshot));
                planned.await?
            }
        };
        self.as_of.seq = planned.snapshot.seq;
        Ok(planned)
    }

    /// The same for an answer in progress, which an index helps with as long as its seq is the head.
    pub(super) async fn plan_at(&self, query: &Arc<Query>) -> Result<Option<Planned>, StoreError> {
        if !self.may_use_index(query) {
            return Ok(None);
        }
        let asked = Arc::clone(query);
        let planned = self.step(move |events| match events.is_current() {
            true => Planned::of(&asked, &events.snapshot).map(Some),
            false => Ok(None),
        });
        Ok(planned.await?.filter(Planned::uses_index))
    }

    fn may_use_index(&self, query: &Query) -> bool {
        query.scans_all_events()
            && query.limit != Some(0)
            && !self.shared.snapshot().indexes.is_empty()
    }
}

impl Planned {
    pub(super) fn of(query: &Query, snapshot: &Arc<Snapshot>) -> Result<Self, StoreError> {
        Ok(Self {
            plan: indexes::plan(query, &**snapshot)?,
            snapshot: Arc::clone(snapshot),
        })
    }

    fn uses_index(&self) -> bool {
        self.plan != Plan::Scan
    }

    /// The events that the plan looks at; `None` if it uses no index, or turned out to cost more than a scan.
    pub(super) async fn source(
        self,
        reader: &StepReader,
        query: &Arc<Query>,
    ) -> Result<Option<EventSource>, StoreError> {
        match self.plan {
            Plan::Scan => Ok(None),
            Plan::Narrow(lookups) => narrow(reader, query, self.snapshot, lookups).await,
            Plan::Ordered(index, ordered) => {
                let order = walk(reader, query, &self.snapshot, (index, ordered)).await?;
                Ok(order.map(EventSource::Listed))
            }
        }
    }
}

/// Looks at the events that some ranges name.
async fn narrow(
    reader: &StepReader,
    query: &Arc<Query>,
    snapshot: Arc<Snapshot>,
    lookups: Vec<RangeLookup>,
) -> Result<Option<EventSource>, StoreError> {
    let names = lookups
        .iter()
        .map(|lookup| snapshot.index_name(lookup.index));
    let plan = QueryPlan::Indexes(names.collect::<BTreeSet<_>>().into_iter().collect());
    let cost = Arc::clone(&reader.cost);
    let ids = reader.permitted(move || indexed::candidates(&snapshot, &lookups, &cost));
    let Some(order) = TopOrder::held(ids.await?, &reader.shared.sort_budget) else {
        return Ok(None);
    };
    reader.cost.follows(plan);
    let Some(direction) = query.id_order() else {
        let order = sort(reader, Arc::clone(query), EventSource::Listed(order)).await?;
        return Ok(Some(EventSource::Listed(order)));
    };
    Ok(Some(EventSource::Listed(in_order(order, query, direction))))
}

/// Candidates in the order of their ids, from after the query's cursor.
fn in_order(mut order: TopOrder, query: &Query, direction: Direction) -> TopOrder {
    if direction == Direction::Descending {
        order.ids.make_contiguous().reverse();
    }
    if let Some(after) = query.after_id() {
        let is_passed = |id: &EventId| direction.apply(id.as_str().cmp(after)).is_le();
        let passed = order.ids.partition_point(is_passed);
        order.ids.drain(..passed);
    }
    order
}

/// Walks along an index until there are enough events. The snapshot is held meanwhile, which no client can prolong.
async fn walk(
    reader: &StepReader,
    query: &Arc<Query>,
    snapshot: &Arc<Snapshot>,
    (index, ordered): (usize, OrderedRange),
) -> Result<Option<TopOrder>, StoreError> {
    let mut walk = Walk::new(index, ordered, query);
    loop {
        let (asked, held) = (Arc::clone(query), Arc::clone(snapshot));
        let cost = Arc::clone(&reader.cost);
        let walked = reader.permitted(move || walk.go_on(&held, &asked, &cost));
        walk = match walked.await? {
            Walked::Unfinished(walk) => walk,
            Walked::GivenUp => return Ok(None),
            Walked::Found { ids, rest } => {
                let name = snapshot.index_name(index);
                reader.cost.follows(QueryPlan::Order(name));
                let mut order = TopOrder::of(ids);
                order.rest = rest.map(|cursor| Arc::new(query.after(cursor)));
                return Ok(Some(order));
            }
        };
    }
}

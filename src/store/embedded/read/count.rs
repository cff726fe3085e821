//! How many events match.
//!
//! | the filter | what is counted |
//! |---|---|
//! | matches everything | the rows of the view, and what the memtable makes of them |
//! | is decided by an index | its entries, up to [`limits::COUNT_ENTRIES_MAX`] |
//! | names ids, or is narrowed by an index | those events that match |
//! | any other, or is of the past | events that match, among the first [`limits::COUNT_EVENTS_MAX`] |
//!
//! What the last row says of events that are passed over is not for who sees but some: to them only the deadline of
//! queries is a bound.
//!
//! The snapshot that an answer began in is held while its view or an index is counted, which no client can prolong.

use std::ops::Bound;
use std::sync::Arc;

use super::find::{EventSource, unordered};
use super::index_entries::Passed;
use super::indexed;
use super::planned::Planned;
use super::snapshot::Snapshot;
use super::steps::{ReadDeadline, StepReader};
use crate::domain::EventId;
use crate::indexes::{Covering, Indexes, RangeLookup, covering};
use crate::limits;
use crate::query::{Count, Query};
use crate::store::tally::MatchTally;
use crate::store::{QueryPlan, StoreError};

/// How matches are counted.
enum Method {
    View,
    /// Ranges of an index, in which each event is once.
    Entries(RangeLookup),
    /// The events that have entries there.
    Named(RangeLookup),
    Judging(Planned),
}

/// What matches now, as of the snapshot that the answer began in.
pub(super) async fn count_now(
    reader: &StepReader,
    query: &Query,
    snapshot: Arc<Snapshot>,
) -> Result<Count, StoreError> {
    let all = Arc::new(query.of_all_matches());
    if all.filter.pinned_ids().is_some() {
        return count_past(reader, query).await;
    }
    let (asked, held) = (Arc::clone(&all), Arc::clone(&snapshot));
    let method = reader.permitted(move || Method::of(&asked, &held)).await?;
    match method {
        Method::View => count_view(reader, snapshot).await,
        Method::Entries(lookup) => count_entries(reader, snapshot, lookup).await,
        Method::Named(lookup) => count_named(reader, snapshot, lookup).await,
        Method::Judging(planned) => {
            let source = planned.source(reader, &all).await?;
            let source = source.unwrap_or_else(|| unordered(&all));
            judged(reader, all, source).await
        }
    }
}

/// What matches as of the reader's seq, however long ago that was.
pub(super) async fn count_past(reader: &StepReader, query: &Query) -> Result<Count, StoreError> {
    let all = Arc::new(query.of_all_matches());
    let source = unordered(&all);
    judged(reader, all, source).await
}

impl Method {
    fn of(query: &Query, snapshot: &Arc<Snapshot>) -> Result<Self, StoreError> {
        if query.filter.is_everything() {
            return Ok(Self::View);
        }
        match covering(&query.filter, &**snapshot)? {
            Some(Covering {
                lookup,
                has_each_once: true,
            }) => return Ok(Self::Entries(lookup)),
            Some(Covering { lookup, .. }) if is_short(snapshot, &lookup)? => {
                return Ok(Self::Named(lookup));
            }
            Some(_) | None => {}
        }
        Planned::of(query, snapshot).map(Self::Judging)
    }
}

/// Whether the ids in these ranges are few enough to be held together.
fn is_short(snapshot: &Snapshot, lookup: &RangeLookup) -> Result<bool, StoreError> {
    let most = limits::INDEX_LOOK_MAX + 1;
    Ok(snapshot.count(lookup.index, &lookup.ranges, most)? < most)
}

/// All events. Those of the memtable, which are few, are looked up in the table.
async fn count_view(reader: &StepReader, snapshot: Arc<Snapshot>) -> Result<Count, StoreError> {
    reader.cost.follows(QueryPlan::Ids);
    let (mut beyond, mut after) = (0_i64, None);
    loop {
        let held = Arc::clone(&snapshot);
        let step = reader.permitted(move || memtable_step(&held, after));
        let (difference, last) = step.await?;
        beyond += difference;
        let Some(last) = last else { break };
        after = Some(last);
    }
    let rows = snapshot.rows()?;
    Ok(Count::Exactly(rows.saturating_add_signed(beyond)))
}

/// How many events more than the table the memtable has from after some id, and the id at which the step was over.
fn memtable_step(
    snapshot: &Snapshot,
    after: Option<EventId>,
) -> Result<(i64, Option<EventId>), StoreError> {
    let mut clock = ReadDeadline::start();
    let mut difference = 0;
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    for (id, entry) in snapshot.memtable.range(from, Bound::Unbounded) {
        difference += i64::from(entry.is_some()) - i64::from(snapshot.has_row(id)?);
        if clock.is_over() {
            return Ok((difference, Some(id.clone())));
        }
    }
    Ok((difference, None))
}

async fn count_entries(
    reader: &StepReader,
    snapshot: Arc<Snapshot>,
    lookup: RangeLookup,
) -> Result<Count, StoreError> {
    follow(reader, &snapshot, &lookup);
    let mut counted = 0_u64;
    for mut range in lookup.ranges {
        loop {
            let (held, index) = (Arc::clone(&snapshot), lookup.index);
            let step = reader.permitted(move || held.pass_entries(index, &range));
            let Passed { count, rest } = step.await?;
            reader.cost.looked_at_keys(count);
            counted += count as u64;
            if counted > limits::COUNT_ENTRIES_MAX {
                return Ok(Count::AtLeast(limits::COUNT_ENTRIES_MAX));
            }
            let Some(rest) = rest else { break };
            range = rest;
        }
    }
    Ok(Count::Exactly(counted))
}

async fn count_named(
    reader: &StepReader,
    snapshot: Arc<Snapshot>,
    lookup: RangeLookup,
) -> Result<Count, StoreError> {
    follow(reader, &snapshot, &lookup);
    let cost = Arc::clone(&reader.cost);
    let ids = reader.permitted(move || indexed::candidates(&snapshot, &[lookup], &cost));
    Ok(Count::Exactly(ids.await?.len() as u64))
}

fn follow(reader: &StepReader, snapshot: &Snapshot, lookup: &RangeLookup) {
    let name = snapshot.index_name(lookup.index);
    reader.cost.follows(QueryPlan::Indexes(vec![name]));
}

/// Judges the events of `source`, as of the reader's seq.
async fn judged(
    reader: &StepReader,
    query: Arc<Query>,
    mut source: EventSource,
) -> Result<Count, StoreError> {
    reader.cost.follows(match query.scans_all_events() {
        true => QueryPlan::Scan,
        false => QueryPlan::Ids,
    });
    let mut tally = MatchTally::of(&query);
    loop {
        let asked = Arc::clone(&query);
        let step = reader.step(move |events| {
            let rest = source.advance(events, |event| tally.add(&asked, event))?;
            Ok((tally, rest))
        });
        let rest;
        (tally, rest) = step.await?;
        source = match rest {
            Some(rest) if !tally.is_over() => rest,
            Some(_) | None => return Ok(tally.count()),
        };
    }
}

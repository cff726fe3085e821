//! Which index answers a query, chosen by a bounded look at what each would find.
//!
//! | plan | looks at | is chosen if |
//! |---|---|---|
//! | narrowing | the records that some ranges name | they are few |
//! | ordered | records in the answer's order, until there are enough | narrowing would find more than it has to look at |
//! | none | all events | nothing else is left |
//!
//! The same query on the same store is always answered by the same plan.

use super::declaration::Index;
use super::keys::FieldSet;
use super::ranges::{KeyRange, OrderedRange};
use super::spans::Conjunction;
use crate::limits;
use crate::query::{FilterNode, Query};

/// The indexes that can be used, and what is known of what they hold.
pub(crate) trait Indexes {
    /// Why they could not be looked into.
    type Error;

    /// Those that are whole, and which of their fields lead to arrays.
    fn usable(&self) -> impl Iterator<Item = (usize, &Index, FieldSet)>;

    /// How many entries there are in these ranges of an index, and of records that are kept apart, which every look-up reads
    /// too; counts up to `most`.
    fn count(&self, index: usize, ranges: &[KeyRange], most: usize) -> Result<usize, Self::Error>;

    /// Whether some records are kept apart in an index.
    fn has_wide(&self, index: usize) -> Result<bool, Self::Error>;

    /// How many events there are, about.
    fn events(&self) -> usize;
}

/// How a query is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Look at all events.
    Scan,
    /// Look at the records that these name.
    Narrow(Vec<RangeLookup>),
    /// Look at records in the order of an index.
    Ordered(usize, OrderedRange),
}

/// Ranges of one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RangeLookup {
    pub(crate) index: usize,
    pub(crate) ranges: Vec<KeyRange>,
}

/// Look-ups that name every record that matches, and how many they name, about.
struct Narrowing {
    lookups: Vec<RangeLookup>,
    count: usize,
}

/// How much more one plan may look at.
struct Left {
    branches: usize,
    ranges: usize,
}

/// The plan for a query in its order.
///
/// # Errors
/// If an index could not be looked into.
pub(crate) fn plan<I: Indexes>(query: &Query, indexes: &I) -> Result<Plan, I::Error> {
    let conjunction = Conjunction::of(&query.filter.root);
    let events = indexes.events();
    let ordered = ordered(query, &conjunction, indexes)?;
    let most = match (&ordered, query.limit) {
        // Narrowing looks at what it finds, and the order at `limit * events / found`, if what matches is spread evenly.
        (Some(_), Some(limit)) => limit.saturating_mul(events).isqrt(),
        (Some(_), None) | (None, _) => events / 8,
    };
    let most = most.clamp(limits::INDEX_LOOK_MIN, limits::INDEX_LOOK_MAX);
    let mut left = Left {
        branches: limits::INDEX_BRANCHES_MAX,
        ranges: limits::INDEX_RANGES_LOOKED_AT_MAX,
    };
    let narrowing = narrow(&conjunction, indexes, most, &mut left)?;
    Ok(match (narrowing, ordered) {
        (Some(narrowing), _) if narrowing.count <= most => Plan::Narrow(narrowing.lookups),
        (_, Some((index, ordered))) => Plan::Ordered(index, ordered),
        _ => Plan::Scan,
    })
}

fn ordered<I: Indexes>(
    query: &Query,
    conjunction: &Conjunction<'_>,
    indexes: &I,
) -> Result<Option<(usize, OrderedRange)>, I::Error> {
    if query.id_order().is_some() {
        return Ok(None);
    }
    let mut best: Option<(usize, OrderedRange)> = None;
    for (place, index, spread) in indexes.usable() {
        let Some(ordered) = index.ordered(query, conjunction, spread) else {
            continue;
        };
        let is_better = best
            .as_ref()
            .is_none_or(|(_, best)| ordered.fixed > best.fixed);
        if is_better && !indexes.has_wide(place)? {
            best = Some((place, ordered));
        }
    }
    Ok(best)
}

/// The index that names the fewest records, or for the branches of an `$or` the best of each.
fn narrow<I: Indexes>(
    conjunction: &Conjunction<'_>,
    indexes: &I,
    most: usize,
    left: &mut Left,
) -> Result<Option<Narrowing>, I::Error> {
    let mut best: Option<Narrowing> = None;
    for (index, declared, spread) in indexes.usable() {
        let Some(ranges) = declared.ranges(conjunction, spread) else {
            continue;
        };
        let Some(unlooked) = left.ranges.checked_sub(ranges.len()) else {
            continue;
        };
        left.ranges = unlooked;
        let most = best.as_ref().map_or(most + 1, |best| best.count);
        let count = indexes.count(index, &ranges, most)?;
        if best.is_none() || count < most {
            let lookups = vec![RangeLookup { index, ranges }];
            best = Some(Narrowing { lookups, count });
        }
    }
    for alternatives in &conjunction.alternatives {
        let most = best.as_ref().map_or(most + 1, |best| best.count);
        let any = narrow_any(conjunction, alternatives, indexes, most, left)?;
        best = any.filter(|any| any.count < most).or(best);
    }
    Ok(best)
}

/// Look-ups for each branch; `None` if one has none.
fn narrow_any<I: Indexes>(
    conjunction: &Conjunction<'_>,
    alternatives: &[FilterNode],
    indexes: &I,
    most: usize,
    left: &mut Left,
) -> Result<Option<Narrowing>, I::Error> {
    let mut all = Narrowing {
        lookups: Vec::new(),
        count: 0,
    };
    for branch in alternatives {
        let Some(branches) = left.branches.checked_sub(1) else {
            return Ok(None);
        };
        left.branches = branches;
        let both = conjunction.and(branch);
        let Some(found) = narrow(&both, indexes, most, left)? else {
            return Ok(None);
        };
        all.count += found.count;
        all.lookups.extend(found.lookups);
        if all.count > most {
            return Ok(None);
        }
    }
    Ok(Some(all))
}

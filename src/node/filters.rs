//! The memory of filters: bounded for all together, and so that nobody keeps out the others.

use super::Node;
use crate::fairness::{Holding, Requester};
use crate::limits;
use crate::protocol::{Code, Failure};
use crate::query;
use crate::query::Filter;

/// Beyond [`limits::FILTERS_BYTES_MAX`], filters up to this size are admitted until all take twice as much: large filters
/// of some clients do not keep out the small ones of others.
const SMALL_FILTER_BYTES: usize = 4 * 1024;

impl Node {
    /// Counts a filter as held by who asks for it.
    ///
    /// # Errors
    /// `busy` while all filters together take more memory than they may; and from three quarters of that on for who holds
    /// more than an eighth, so that there is room for others.
    pub(super) fn hold_filter(
        &self,
        requester: &Requester,
        filter: &Filter,
    ) -> Result<Holding, Failure> {
        let (bytes, party) = (filter.approx_bytes(), requester.party());
        let is_small = bytes <= SMALL_FILTER_BYTES;
        let most = limits::FILTERS_BYTES_MAX * if is_small { 2 } else { 1 };
        let taken = query::filter_bytes();
        let busy = |message| Err(Failure::new(Code::Busy, message));
        if taken > most {
            return busy("the filters that others ask for take too much memory: try again");
        }
        if taken > most / 4 * 3 && self.parts.filters.of(party) > most / 8 {
            return busy("the filters that you ask for take too much memory: use fewer at once");
        }
        Ok(self.parts.filters.hold(party, bytes))
    }
}

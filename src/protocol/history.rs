//! The request for an event's history.

use super::fetch::Fetch;
use crate::domain::Seq;
use crate::limits;
use crate::query::{Direction, Fields};
use crate::value::{Document, Invalid, Value, join};

/// Which changes of an event.
#[derive(Debug, Clone)]
pub struct History {
    /// From the newest back, unless asked otherwise.
    pub direction: Direction,
    /// Beyond this change, in that direction.
    pub after: Option<Seq>,
    /// How many at most.
    pub limit: usize,
    /// What of the event, in `data` and in `patch`.
    pub fields: Fields,
    /// The answer is as of this seq at least.
    pub min_seq: Seq,
}

impl History {
    /// The names that [`parse`](Self::parse) reads.
    pub const NAMES: [&str; 5] = ["order", "after", "limit", "fields", "minSeq"];

    /// Reads the values of [`NAMES`](Self::NAMES). `at` is the path of `params`.
    ///
    /// # Errors
    /// The first error, with its path.
    pub fn parse(params: &Document, at: &'static str) -> Result<Self, Invalid> {
        let invalid = |name: &str, reason: &str| Invalid::new(join(at, name), reason);
        let direction = match params.get("order").map(Value::as_str) {
            None | Some(Some("newest")) => Direction::Descending,
            Some(Some("oldest")) => Direction::Ascending,
            Some(_) => return Err(invalid("order", "expected newest or oldest")),
        };
        let after = match params.get("after") {
            None => None,
            Some(Value::Int(number @ 1..)) => Some(Seq::new(number.cast_unsigned())),
            Some(_) => return Err(invalid("after", "expected the seq of a change")),
        };
        let Fetch { query, min_seq, .. } = Fetch::parse(params, at)?;
        let limit = query.limit.unwrap_or(limits::FETCH_COUNT_DEFAULT);
        if limit > limits::FETCH_COUNT_MAX {
            let reason = format!("at most {} changes at once", limits::FETCH_COUNT_MAX);
            return Err(invalid("limit", &reason));
        }
        Ok(Self {
            direction,
            after,
            limit,
            fields: query.fields.clone(),
            min_seq,
        })
    }
}

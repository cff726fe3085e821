//! FETCH: which events, and as of when.

use std::sync::Arc;

use crate::domain::{AsOf, EventId, Seq};
use crate::query::{Query, not_ours};
use crate::value::{Document, Invalid, Value, expect_flag, join};

/// FETCH, and the lists and single events of REST.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Which events, in which order, and what of each.
    pub query: Arc<Query>,
    /// The answer is as of this seq at least.
    pub min_seq: Seq,
    /// As of when, if not now.
    pub as_of: Option<AsOf>,
    /// Whether to tell what answering takes, instead of the answer.
    pub explain: bool,
    /// Where it stands in the request, e.g. `payload`.
    pub at: &'static str,
}

impl Fetch {
    /// The names that [`parse`](Self::parse) reads.
    pub const NAMES: [&str; 9] = [
        "filter", "sort", "limit", "count", "cursor", "fields", "minSeq", "at", "explain",
    ];

    /// Reads the values of [`NAMES`](Self::NAMES); the caller checks that there are no others. `at` is the path of
    /// `params`, e.g. `payload`.
    ///
    /// # Errors
    /// The first error, with its path.
    pub fn parse(params: &Document, at: &'static str) -> Result<Self, Invalid> {
        let query = Query::parse(params, at)?;
        if let Some(last) = &query.ends_after
            && EventId::parse(&last.id).is_err()
        {
            return Err(not_ours(&join(at, "cursor")));
        }
        let mut fetch = Self {
            at,
            ..Self::now(query)
        };
        if let Some(seq) = params.get("minSeq") {
            fetch.min_seq = parse_seq(seq, &join(at, "minSeq"))?;
        }
        if let Some(as_of) = params.get("at") {
            let as_of = AsOf::parse(as_of);
            fetch.as_of = Some(as_of.map_err(|reason| Invalid::new(join(at, "at"), reason))?);
        }
        if let Some(explain) = params.get("explain") {
            fetch.explain = expect_flag(explain, &join(at, "explain"))?;
        }
        Ok(fetch)
    }

    /// The query as of now.
    pub fn now(query: Query) -> Self {
        Self {
            query: Arc::new(query),
            min_seq: Seq::ZERO,
            as_of: None,
            explain: false,
            at: "",
        }
    }
}

pub(super) fn parse_seq(value: &Value, at: &str) -> Result<Seq, Invalid> {
    Seq::of_value(value).ok_or_else(|| Invalid::new(at, "expected a seq: an integer of at least 0"))
}

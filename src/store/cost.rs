//! What answering a query took.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What an answer took so far, shared by those who read it and those who tell of it.
#[derive(Debug, Default)]
pub struct QueryCost {
    plan: OnceLock<QueryPlan>,
    keys: AtomicU64,
    events: AtomicU64,
    microseconds: AtomicU64,
}

/// Where the events that were looked at came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryPlan {
    /// The filter names their ids, or their order is that of ids and nothing is filtered.
    Ids,
    /// All events were looked at.
    Scan,
    /// These indexes name them.
    Indexes(Vec<String>),
    /// They stand in this index in the answer's order.
    Order(String),
    /// The database knows.
    Database,
}

impl QueryPlan {
    /// Its word, in answers and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ids => "ids",
            Self::Scan => "scan",
            Self::Indexes(_) => "index",
            Self::Order(_) => "order",
            Self::Database => "database",
        }
    }

    /// The indexes that it uses.
    pub fn indexes(&self) -> &[String] {
        match self {
            Self::Indexes(names) => names,
            Self::Order(name) => std::slice::from_ref(name),
            Self::Ids | Self::Scan | Self::Database => &[],
        }
    }
}

impl QueryCost {
    /// Notes the plan, once.
    pub(super) fn follows(&self, plan: QueryPlan) {
        self.plan.get_or_init(|| plan);
    }

    #[cfg(feature = "embedded")]
    pub(super) fn looked_at_keys(&self, count: usize) {
        self.keys.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn looked_at_event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn took(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// The plan, once it is made.
    pub fn plan(&self) -> Option<&QueryPlan> {
        self.plan.get()
    }

    /// Entries of indexes that were read.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Events that were read and judged; those that the database yielded, if it knows the plan.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// How long the store worked, without the pauses in which nobody took what it had read.
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }
}

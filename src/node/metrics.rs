//! What a node tells of itself to whoever watches it.

use super::Node;
use crate::metrics::{Levels, Metrics};
use crate::protocol::Failure;
use crate::store::StoreError;

impl Node {
    /// Where the parts of the node, and the transports, count.
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// Counts what the store did not carry out, and says in the log why: clients hear no more than that.
    pub(super) fn heed<T>(&self, answer: Result<T, StoreError>) -> Result<T, Failure> {
        answer.map_err(|error| {
            self.parts.metrics.store_failed(error.kind());
            if let StoreError::Unavailable(_) = error {
                self.parts.complaints.warn(|kept_back| {
                    tracing::warn!(%error, kept_back, "a read was not answered");
                });
            }
            Failure::from(error)
        })
    }

    /// Counts an answer to what `verb` asks, one of the words of the wire or of a route.
    pub fn count(&self, verb: &'static str, answer: Result<(), &Failure>) {
        let outcome = match answer {
            Ok(()) => "done",
            Err(failure) => failure.code.as_str(),
        };
        self.parts.metrics.answered(verb, outcome);
    }

    /// Counts a write that was carried out, now or before.
    pub fn count_done(&self, verb: &'static str, is_repeated: bool) {
        let outcome = if is_repeated { "repeated" } else { "done" };
        self.parts.metrics.answered(verb, outcome);
    }

    /// All that is counted, and how the node stands now, in Prometheus' text format.
    pub async fn report(&self) -> String {
        let (subscriptions, filters) = self.parts.feed.audience();
        let head = self.head().await.ok();
        let levels = Levels {
            head: head.map(|head| head.get()),
            seq: self.seq().get(),
            subscriptions,
            filters,
            window_bytes: self.parts.feed.window_bytes(),
            budget_bytes: self.parts.budget.taken() + self.parts.news.taken(),
        };
        self.parts.metrics.encode(&levels)
    }
}

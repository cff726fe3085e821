//! What a node counts, and its report for `GET /metrics`.

use super::Node;
use crate::metrics::{Levels, Metrics};
use crate::protocol::Failure;
use crate::store::StoreError;

impl Node {
    /// The counters of the node's parts and of the transports.
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// Counts what the store did not carry out. Its cause is logged where it becomes a [`Failure`].
    pub(super) fn store_answer<T>(&self, answer: Result<T, StoreError>) -> Result<T, Failure> {
        answer.map_err(|error| {
            self.parts.metrics.store_failed(error.kind());
            Failure::from(error)
        })
    }

    /// Names of declared indexes that are being built.
    pub fn building_indexes(&self) -> Vec<String> {
        let indexes = self.parts.store.indexes().into_iter();
        let building = indexes.filter(|index| !index.is_whole);
        building.map(|index| index.name).collect()
    }

    /// Counts an answer to a request of this `verb`, one of the words of the wire or of a route.
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

    /// All counters, and the levels as they are now, in Prometheus' text format.
    pub async fn metrics_text(&self) -> String {
        let (subscriptions, filters) = self.parts.feed.subscription_counts();
        let head = self.head().await.ok();
        let indexes = self.parts.store.indexes();
        let levels = Levels {
            head: head.map(|head| head.get()),
            seq: self.seq().get(),
            subscriptions,
            filters,
            lists: self.parts.feed.list_count(),
            indexes: indexes.len(),
            building: indexes.iter().filter(|index| !index.is_whole).count(),
            window_bytes: self.parts.feed.window_bytes(),
            budget_bytes: self.parts.budget.taken() + self.parts.subscription_budget.taken(),
        };
        self.parts.metrics.encode(&levels)
    }
}

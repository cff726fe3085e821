//! What queries take: counted by plan, logged if slow, and told to who asks.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;

use super::Node;
use crate::domain::{Event, Seq};
use crate::fairness::Requester;
use crate::indexes;
use crate::limits;
use crate::metrics::Metrics;
use crate::protocol::{Failure, Fetch, QueryReport};
use crate::query::Query;
use crate::store::{QueryCost, QueryPlan, QueryResult, StoreError};
use crate::telemetry::Throttle;

/// A query that the store works on for longer is logged.
const SLOW: Duration = Duration::from_millis(100);

/// A query in progress. Whatever ends it, it is counted then.
struct RunningQuery {
    query: Arc<Query>,
    cost: Arc<QueryCost>,
    metrics: Arc<Metrics>,
}

impl Node {
    /// The answer, which is counted when it ends.
    pub(super) fn watched(&self, result: QueryResult, query: &Arc<Query>) -> QueryResult {
        let running = RunningQuery {
            query: Arc::clone(query),
            cost: Arc::clone(&result.cost),
            metrics: Arc::clone(&self.parts.metrics),
        };
        let watched = move |_: &Result<Event, StoreError>| {
            let _running = &running;
        };
        QueryResult {
            events: result.events.inspect(watched).boxed(),
            ..result
        }
    }

    /// What answering takes: the events are read, up to the limit, and not told.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub(super) async fn explain(
        &self,
        requester: &Requester,
        fetch: &Fetch,
    ) -> Result<(Seq, QueryReport), Failure> {
        self.wait_for_seqs_of(fetch).await?;
        let _scan = self.scan_permit(requester, &fetch.query).await?;
        let _read = self.read_permit(requester).await?;
        self.with_deadline(self.read_and_explain(requester, fetch))
            .await
    }

    async fn read_and_explain(
        &self,
        requester: &Requester,
        fetch: &Fetch,
    ) -> Result<(Seq, QueryReport), Failure> {
        let QueryResult {
            seq,
            cost,
            mut events,
            ..
        } = self.find(requester, fetch).await?;
        let limit = fetch.query.limit.unwrap_or(limits::FETCH_COUNT_DEFAULT);
        let mut found = 0;
        while found < limit && events.next().await.transpose()?.is_some() {
            found += 1;
        }
        Ok((seq, explained(&cost, &fetch.query, found)))
    }
}

fn explained(cost: &QueryCost, query: &Query, found: usize) -> QueryReport {
    let plan = cost.plan().unwrap_or(&QueryPlan::Database);
    QueryReport {
        plan: plan.as_str(),
        indexes: plan.indexes().to_vec(),
        keys_examined: cost.keys(),
        events_examined: cost.events(),
        found,
        milliseconds: cost.time().as_secs_f64() * 1_000.0,
        would_help: would_help(cost, query),
    }
}

/// The index that would have spared looking at all events.
fn would_help(cost: &QueryCost, query: &Query) -> Option<String> {
    let is_helped = matches!(
        cost.plan(),
        Some(QueryPlan::Ids | QueryPlan::Indexes(_) | QueryPlan::Order(_))
    );
    match is_helped {
        true => None,
        false => indexes::advice(query),
    }
}

impl Drop for RunningQuery {
    fn drop(&mut self) {
        let Some(plan) = self.cost.plan() else {
            return;
        };
        self.metrics.queried(plan.as_str());
        if self.cost.time() < SLOW {
            return;
        }
        static THROTTLE: Throttle = Throttle::new();
        THROTTLE.log(|suppressed| {
            tracing::warn!(
                query = self.query.shape(),
                plan = plan.as_str(),
                events = self.cost.events(),
                took = ?self.cost.time(),
                would_help = would_help(&self.cost, &self.query),
                suppressed,
                "a slow query"
            );
        });
    }
}

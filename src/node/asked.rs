//! What is looked at of a question before it is answered: what its filter costs, and where its cursor stands.

use std::sync::Arc;

use futures::StreamExt;

use super::Node;
use crate::domain::VisibleKind;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::protocol::{Code, Failure};
use crate::query;
use crate::query::{Filter, LastRecord, Query};
use crate::store::StoreError;
use crate::value::{Invalid, Steps};

/// Beyond [`limits::FILTERS_BYTES_MAX`] filters up to this size are let in until it is twice as much, so that nobody who
/// asks for much keeps out those who ask for little.
const SMALL_FILTER_BYTES: usize = 4 * 1024;

impl Node {
    /// Those of these changes of which the filter sees something.
    ///
    /// # Errors
    /// If one of them takes too long to judge, or all together.
    pub async fn judge(
        &self,
        filter: &Arc<Filter>,
        changes: &[Arc<Change>],
    ) -> Result<Vec<(Arc<Change>, VisibleKind)>, Failure> {
        let judging = self.parts.feed.judge(filter, changes);
        let judged = tokio::time::timeout(limits::QUERY_DEADLINE, judging).await;
        Ok(judged.map_err(|_| StoreError::QueryTooSlow)??)
    }

    /// The query with its cursor, which may name an event whose place is to be looked up.
    pub(super) async fn resumed(&self, query: &Arc<Query>) -> Result<Arc<Query>, Failure> {
        let Some(LastRecord { id, seq }) = &query.ends_after else {
            return Ok(Arc::clone(query));
        };
        let seq = Seq::new(*seq);
        self.reach(seq).await?;
        let last = Query {
            filter: Filter::of_id(id),
            ..Query::everything()
        };
        let found = self.heed(self.parts.store.find_at(&Arc::new(last), seq).await)?;
        let Some(event) = found.events.into_future().await.0.transpose()? else {
            let reason = "the event that the page ended with was erased: begin again";
            return Err(Failure::at(Code::Redacted, Invalid::new("cursor", reason)));
        };
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        Ok(Arc::new(query.from(&event, &steps)?))
    }

    /// Refuses a filter while all of them together take more memory than they may.
    pub(super) fn admit(&self, filter: &Filter) -> Result<(), Failure> {
        let is_small = filter.weight() <= SMALL_FILTER_BYTES;
        let most = limits::FILTERS_BYTES_MAX * if is_small { 2 } else { 1 };
        match query::filter_bytes() > most {
            true => {
                let message = "the filters that others ask for take too much memory: try again";
                Err(Failure::new(Code::Busy, message))
            }
            false => Ok(()),
        }
    }
}

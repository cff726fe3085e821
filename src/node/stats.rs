//! Stats: events that match are read in the order of their ids, and folded into groups here. So both stores answer the same.

use std::sync::Arc;

use futures::StreamExt;

use super::guarded::Guarded;
use super::page::permit_of;
use super::{Node, Share};
use crate::domain::Seq;
use crate::fairness::Requester;
use crate::limits;
use crate::protocol;
use crate::protocol::{Code, Failure, Fetch, Stats};
use crate::query::{Group, GroupError};
use crate::store::{QueryResult, StoreError};
use crate::value::{Invalid, Steps, join};

/// What an answer takes: its values as JSON, in which a byte may become six, and the counts beside them.
const ANSWER_BYTES: usize = 8 * limits::GROUP_BYTES_MAX;

/// Others get a turn after so many bytes of events: about a millisecond.
const TURN_BYTES: usize = 256 * 1024;

impl Guarded {
    /// The body of an answer to stats, with its share of the budget; see `Node::stats`.
    ///
    /// # Errors
    /// If it asks for what is not allowed, or the store cannot answer.
    pub async fn stats(&self, stats: &Stats) -> Result<(Vec<u8>, Share), Failure> {
        self.take_read("stats")?;
        let stats = self.noted("stats", self.narrowed_stats(stats))?;
        self.node.stats(&self.requester, &stats).await
    }

    fn narrowed_stats(&self, stats: &Stats) -> Result<Stats, Failure> {
        for (name, fields) in stats.grouping.fields() {
            let allowed = self.grant.fields(&fields, &join(stats.fetch.at, name));
            allowed.map_err(|invalid| Failure::at(Code::Forbidden, invalid))?;
        }
        Ok(Stats {
            fetch: self.narrowed(&stats.fetch)?,
            grouping: stats.grouping.clone(),
        })
    }
}

impl Node {
    /// Groups of the events that match, as of one seq, and what they sum up to.
    ///
    /// # Errors
    /// `too_many_groups`, `query_too_slow`, or if the store cannot answer.
    async fn stats(
        &self,
        requester: &Requester,
        stats: &Stats,
    ) -> Result<(Vec<u8>, Share), Failure> {
        // No share is held while this waits for a seq or for a permit to scan.
        self.wait_for_seqs_of(&stats.fetch).await?;
        let query = stats.fetch.query.of_all_matches();
        let _scan = match query.filter.pinned_ids() {
            Some(_) => None,
            None => Some(permit_of(&self.parts.scan_permits, requester).await?),
        };
        let mut share = self.parts.budget.reserve(ANSWER_BYTES).await;
        let _read = self.read_permit(requester).await?;
        let fetch = Fetch {
            query: Arc::new(query),
            ..stats.fetch.clone()
        };
        let grouping = self.grouped(requester, stats, &fetch);
        let (seq, groups) = self.with_deadline(grouping).await?;
        let body = protocol::rest::stats(seq, &groups);
        share.shrink_to(body.len());
        Ok((body, share))
    }

    async fn grouped(
        &self,
        requester: &Requester,
        stats: &Stats,
        fetch: &Fetch,
    ) -> Result<(Seq, Vec<Group>), Failure> {
        let QueryResult {
            seq, mut events, ..
        } = self.find(requester, fetch).await?;
        let mut groups = stats.grouping.begin();
        let mut bytes = 0;
        while let Some(event) = events.next().await.transpose()? {
            let steps = Steps::new(limits::MATCH_STEPS_MAX);
            let added = groups.add(&event, &steps);
            added.map_err(|error| group_failure(error, stats.fetch.at))?;
            bytes += event.approx_bytes();
            if bytes > TURN_BYTES {
                bytes = 0;
                tokio::task::yield_now().await;
            }
        }
        Ok((seq, groups.finish()))
    }
}

fn group_failure(error: GroupError, at: &str) -> Failure {
    match error {
        GroupError::TooMany => {
            let invalid = Invalid::new(join(at, "group"), error.to_string());
            Failure::at(Code::TooManyGroups, invalid)
        }
        GroupError::TooCostly(too_costly) => StoreError::from(too_costly).into(),
    }
}

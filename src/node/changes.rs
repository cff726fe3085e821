//! The log in pages: its changes, what a filter sees of them, and the changes of one write.

use std::sync::Arc;

use super::Node;
use super::page::CHANGES_BYTES;
use crate::budget::Share;
use crate::domain::{Change, Seq, VisibleKind};
use crate::fairness::Requester;
use crate::limits;
use crate::metrics::Reason;
use crate::protocol::{Code, Failure, Subscribe};
use crate::query::Filter;
use crate::store::{Epoch, StoreError};

impl Node {
    /// The next changes of the log after the position asked for, at most `limit`, and how far the log goes; with a share
    /// for them and their frames.
    ///
    /// # Errors
    /// `stale_position`, `seq_not_reached`, or if the store cannot answer.
    pub(super) async fn changes(
        &self,
        requester: &Requester,
        subscribe: &Subscribe,
        limit: usize,
    ) -> Result<(Vec<Arc<Change>>, Seq, Share), Failure> {
        // No share is held while this waits for a seq, or for the store to tell its head.
        self.wait_for_seq(subscribe.min_seq).await?;
        let epoch = subscribe.epoch.map(Epoch);
        if let Some(reason) = self.stale_reason(subscribe.after, epoch).await? {
            return Err(Failure::new(Code::StalePosition, reason));
        }
        let after = subscribe.after.unwrap_or(Seq::ZERO);
        let share = self.parts.budget.reserve(CHANGES_BYTES).await;
        let _permit = self.read_permit(requester).await?;
        self.parts.metrics.read_log(Reason::Page);
        let changes = self.store_answer(self.parts.store.read(after, limit).await)?;
        let Some(last) = changes.last().map(|last| last.seq) else {
            // As of the read: a client that goes on from here must not skip what has come since.
            return Ok((changes, after, share));
        };
        // The log may have grown beyond what this node's feed has received.
        Ok((changes, self.seq().max(last), share))
    }

    /// The changes of which the filter sees something.
    ///
    /// # Errors
    /// If one of them takes too long to judge, or all together.
    pub(super) async fn judge(
        &self,
        requester: &Requester,
        filter: &Arc<Filter>,
        changes: &[Arc<Change>],
    ) -> Result<Vec<(Arc<Change>, VisibleKind)>, Failure> {
        let judging = self.parts.feed.judge(requester, filter, changes);
        let judged = tokio::time::timeout(limits::QUERY_DEADLINE, judging).await;
        Ok(judged.map_err(|_| StoreError::QueryTooSlow)??)
    }

    /// The changes of a write that was carried out before, read again from the log, where they are contiguous; with a
    /// share for them and their frames, which have about so many bytes.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub(super) async fn read_write_again(
        &self,
        requester: &Requester,
        first: Seq,
        count: usize,
        bytes: usize,
    ) -> Result<(Vec<Arc<Change>>, Share), Failure> {
        let share = self.parts.budget.reserve(3 * bytes).await;
        let _permit = self.read_permit(requester).await?;
        let mut changes = Vec::with_capacity(count);
        let mut after = first.before();
        while changes.len() < count {
            let read = self.parts.store.read(after, count - changes.len()).await;
            let page = self.store_answer(read)?;
            let last = page.last().map(|last| last.seq);
            after = last.ok_or_else(|| {
                tracing::error!(%after, "the log ends before a write that was carried out");
                Failure::new(Code::Unavailable, "the log could not be read again")
            })?;
            changes.extend(page);
        }
        Ok((changes, share))
    }

    /// Why a position is not one of this log; `None` if it is. A position ahead of this node's feed may come from
    /// a node that is further: the store knows.
    ///
    /// # Errors
    /// If it takes the store to tell, and the store cannot be reached.
    pub async fn stale_reason(
        &self,
        after: Option<Seq>,
        epoch: Option<Epoch>,
    ) -> Result<Option<&'static str>, Failure> {
        if epoch.is_some_and(|epoch| epoch != self.epoch()) {
            return Ok(Some("another epoch"));
        }
        match after {
            Some(after) if after > self.seq() => {
                let head = self.head().await?;
                Ok((after > head).then_some("ahead of the log"))
            }
            _ => Ok(None),
        }
    }
}

//! The history of an event, and the seq that `at` means.

use std::sync::Arc;

use super::Node;
use super::page::CHANGES_BYTES;
use crate::budget::Share;
use crate::domain::{AsOf, Change, EventId, Seq};
use crate::fairness::Requester;
use crate::metrics::Reason;
use crate::protocol::{Code, Failure, History};
use crate::query::Direction;
use crate::store;
use crate::store::HistoryRange;

/// A page of an event's history.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    /// The seq that it is as of.
    pub seq: Seq,
    /// Changes, in the order asked for.
    pub changes: Vec<Arc<Change>>,
    /// Whether there are more beyond the last.
    pub more: bool,
}

impl Node {
    /// Changes of one event, also of a deleted one; with a share for them and their frames.
    ///
    /// # Errors
    /// `not_found` if there never was such an event, or if the store cannot answer.
    pub(super) async fn history(
        &self,
        requester: &Requester,
        id: &EventId,
        request: &History,
    ) -> Result<(HistoryPage, Share), Failure> {
        // No share is held while this waits for a seq.
        self.wait_for_seq(request.min_seq).await?;
        let seq = self.seq();
        let range = HistoryRange {
            direction: request.direction,
            after: request.after,
            limit: request.limit,
        };
        let share = self.parts.budget.reserve(CHANGES_BYTES).await;
        let _permit = self.read_permit(requester).await?;
        self.parts.metrics.read_log(Reason::History);
        let changes = self.store_answer(self.parts.store.history(id, range).await)?;
        let Some(last) = changes.last() else {
            if request.after.is_none() || !self.has_history(id).await? {
                return Err(never_existed(id));
            }
            let more = false;
            return Ok((HistoryPage { seq, changes, more }, share));
        };
        let next = HistoryRange {
            after: Some(last.seq),
            limit: 1,
            ..range
        };
        let more = !self
            .store_answer(self.parts.store.history(id, next).await)?
            .is_empty();
        let newest = match request.direction {
            Direction::Ascending => last.seq,
            Direction::Descending => changes[0].seq,
        };
        // The page may hold changes that came after `seq` was read.
        let seq = seq.max(newest);
        Ok((HistoryPage { seq, changes, more }, share))
    }

    /// Whether the log has a change of the event.
    async fn has_history(&self, id: &EventId) -> Result<bool, Failure> {
        let last = HistoryRange {
            direction: Direction::Descending,
            after: None,
            limit: 1,
        };
        let changes = self.store_answer(self.parts.store.history(id, last).await)?;
        Ok(!changes.is_empty())
    }

    /// The seq that `at` means. Waits for a seq that is ahead of this node's feed.
    pub(super) async fn seq_as_of(&self, as_of: AsOf) -> Result<Seq, Failure> {
        match as_of {
            AsOf::Seq(seq) => self.wait_for_seq(seq).await.map(|()| seq),
            AsOf::Time(time) => self.store_answer(store::seq_at(&*self.parts.store, time).await),
        }
    }
}

pub(super) fn never_existed(id: &EventId) -> Failure {
    Failure::new(Code::NotFound, format!("there never was an event {id}"))
}

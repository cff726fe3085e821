//! The past: an event's history, and the place in the log that a moment means.

use std::sync::Arc;

use super::Node;
use crate::domain::{AsOf, Change, EventId, Seq};
use crate::metrics::Reason;
use crate::protocol::{Code, Failure, History};
use crate::query::Direction;
use crate::store;
use crate::store::HistoryRange;

/// Some changes of an event.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    /// The position in the log that it is as of.
    pub seq: Seq,
    /// Changes, in the order asked for.
    pub changes: Vec<Arc<Change>>,
    /// Whether there are more beyond the last.
    pub more: bool,
}

impl Node {
    /// Changes of one event, also of one that is gone.
    ///
    /// # Errors
    /// `not_found` if there never was such an event, or if the store cannot answer.
    pub async fn history(&self, id: &EventId, asked: &History) -> Result<HistoryPage, Failure> {
        self.reach(asked.min_seq).await?;
        let seq = self.seq();
        let stretch = HistoryRange {
            direction: asked.direction,
            after: asked.after,
            limit: asked.limit,
        };
        let _turn = self.leave_to_read().await?;
        self.parts.metrics.read_log(Reason::History);
        let changes = self.heed(self.parts.store.history(id, stretch).await)?;
        let Some(last) = changes.last() else {
            if asked.after.is_none() || !self.ever_was(id).await? {
                return Err(never_was(id));
            }
            return Ok(HistoryPage {
                seq,
                changes,
                more: false,
            });
        };
        let next = HistoryRange {
            after: Some(last.seq),
            limit: 1,
            ..stretch
        };
        let more = !self
            .heed(self.parts.store.history(id, next).await)?
            .is_empty();
        let newest = match asked.direction {
            Direction::Ascending => last.seq,
            Direction::Descending => changes[0].seq,
        };
        Ok(HistoryPage {
            // A page may tell of changes that came after it was asked for.
            seq: seq.max(newest),
            changes,
            more,
        })
    }

    /// Whether the log tells anything of an event.
    async fn ever_was(&self, id: &EventId) -> Result<bool, Failure> {
        let last = HistoryRange {
            direction: Direction::Descending,
            after: None,
            limit: 1,
        };
        let changes = self.heed(self.parts.store.history(id, last).await)?;
        Ok(!changes.is_empty())
    }

    /// The place in the log that a moment means. Waits until the log has come to a seq that is ahead.
    pub(super) async fn place_of(&self, moment: AsOf) -> Result<Seq, Failure> {
        match moment {
            AsOf::Seq(seq) => self.reach(seq).await.map(|()| seq),
            AsOf::Time(time) => self.heed(store::seq_at(&*self.parts.store, time).await),
        }
    }
}

fn never_was(id: &EventId) -> Failure {
    Failure::new(Code::NotFound, format!("there never was an event {id}"))
}

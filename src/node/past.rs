//! The past: an event's history, and the place in the log that a moment means.

use std::sync::Arc;

use super::Service;
use crate::domain::{Change, EventId, Moment, Seq};
use crate::metrics::Reason;
use crate::protocol::{Code, Failure, History};
use crate::query::Direction;
use crate::store;
use crate::store::Stretch;

/// Some changes of an event.
#[derive(Debug, Clone)]
pub struct Chapter {
    /// The position in the log that it is as of.
    pub seq: Seq,
    /// Changes, in the order asked for.
    pub changes: Vec<Arc<Change>>,
    /// Whether there are more beyond the last.
    pub more: bool,
}

impl Service {
    /// Changes of one event, also of one that is gone.
    ///
    /// # Errors
    /// `not_found` if there never was such an event, or if the store cannot answer.
    pub async fn history(&self, id: &EventId, asked: &History) -> Result<Chapter, Failure> {
        self.reach(asked.min_seq).await?;
        let seq = self.seq();
        let stretch = Stretch {
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
            return Ok(Chapter {
                seq,
                changes,
                more: false,
            });
        };
        let next = Stretch {
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
        Ok(Chapter {
            // A page may tell of changes that came after it was asked for.
            seq: seq.max(newest),
            changes,
            more,
        })
    }

    /// Whether the log tells anything of an event.
    async fn ever_was(&self, id: &EventId) -> Result<bool, Failure> {
        let last = Stretch {
            direction: Direction::Descending,
            after: None,
            limit: 1,
        };
        let changes = self.heed(self.parts.store.history(id, last).await)?;
        Ok(!changes.is_empty())
    }

    /// The place in the log that a moment means. Waits until the log has come to a seq that is ahead.
    pub(super) async fn place_of(&self, moment: Moment) -> Result<Seq, Failure> {
        match moment {
            Moment::Seq(seq) => self.reach(seq).await.map(|()| seq),
            Moment::Time(time) => self.heed(store::last_until(&*self.parts.store, time).await),
        }
    }
}

fn never_was(id: &EventId) -> Failure {
    Failure::new(Code::NotFound, format!("there never was an event {id}"))
}

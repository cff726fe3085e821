//! What of the log somebody sees at all: for who does not see everything.
//!
//! A rule leaves of an event's life what happened while it was seen. What several changes come to must be told from those
//! alone: from the first and the last change there were, it would be told when an event changed that is seen no more, that
//! it was deleted later, and what only hidden fields know of.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::filter_pass::judge_page;
use super::judges::Judges;
use crate::domain::{Change, Seq, VisibleKind};
use crate::limits;
use crate::query::{Fields, Filter};
use crate::value::{Steps, TooCostly};

/// A rule, and hidden fields, with what is asked within them.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    rule: Arc<Filter>,
    filter: Arc<Filter>,
    fields: Arc<Fields>,
}

/// The seqs of the changes that are seen, in order, once they are judged. Dropping it stops that.
pub(super) type Sifting = AbortOnDropHandle<Result<Vec<Seq>, TooCostly>>;

impl Sight {
    /// The sight of who subscribes with this filter and these fields; `None` if everything is seen.
    pub(super) fn of(filter: &Arc<Filter>, fields: &Arc<Fields>) -> Option<Self> {
        let rule = filter.rule().cloned();
        if rule.is_none() && fields.hidden().is_nothing() {
            return None;
        }
        Some(Self {
            rule: rule.unwrap_or_else(|| Arc::new(Filter::all())),
            filter: Arc::clone(filter),
            fields: Arc::clone(fields),
        })
    }

    /// Finds out which of these changes are seen.
    pub(super) fn sift(&self, judges: &Judges, changes: Vec<Arc<Change>>) -> Sifting {
        let (sight, judges) = (self.clone(), judges.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let seen = judge_page(&judges, &sight.rule, &changes).await?;
            let told = seen
                .iter()
                .filter(|(change, seen)| sight.tells(change, *seen));
            Ok(told.map(|(change, _)| change.seq).collect())
        }))
    }

    /// Whether a change is told that the rule sees as this. One of hidden fields alone is, if what is asked of the event's
    /// version or times lets it in or out: so it is told live too.
    fn tells(&self, change: &Change, seen: VisibleKind) -> bool {
        let steps = Steps::new(limits::MATCH_STEPS_INLINE);
        let moves = || match self.filter.visible_kind(change, &steps) {
            Ok(None | Some(VisibleKind::Update)) => false,
            Ok(Some(_)) | Err(TooCostly) => true,
        };
        self.fields.tell(change, seen) || moves()
    }
}

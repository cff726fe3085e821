//! The past as one principal may see it.
//!
//! | what is asked | a role with `past: none` | `seen` | `all` |
//! |---|---|---|---|
//! | events `at` a seq or time | is refused | those that the rule matches as of then, and as they are now | those that it matches as of then |
//! | an event's history | is refused | of an event that is seen now: the changes as the rule saw them | of any event: the changes as the rule saw them |
//! | RESTORE | is refused | from a state that was seen, of an event that is seen | from a state that was seen, of an event that is seen or is gone |
//!
//! **The change feed is not the past**, whatever the position that a subscription, a log page or a session resumes after.
//! It tells each change as it was seen at its time: the rule judges the event before and after that change. So it tells
//! nothing that its reader was not told, or would not have been told, when it happened; and a reader that was away misses
//! nothing, least of all the `leave` of an event that it sees no more. It takes `read` alone. A role that must not learn what
//! happened before it came has to be given a rule that says so, on the events' own times for instance.
//!
//! "Now" is when the store reads an event, after the request came. What leaves the rule while an answer is made may be in it
//! or not, as with any read.

use std::sync::Arc;

use super::guarded::{Guarded, forbidden};
use super::history::never_existed;
use super::{HistoryPage, Share};
use crate::access::Past;
use crate::domain::{Change, EventId, Seq, VisibleKind};
use crate::limits;
use crate::protocol::{Code, Failure, Fetch, History};
use crate::query::{Direction, Fields, Filter, Query};
use crate::value::{Invalid, join};

/// What is seen of a page of an event's history.
#[derive(Debug)]
pub struct SeenHistory {
    /// The changes, each with what it is to the rule.
    pub visible: Vec<(Arc<Change>, VisibleKind)>,
    /// What of them.
    pub fields: Fields,
    /// All changes of the page, seen or not.
    pub page: HistoryPage,
    /// For the changes and their frames.
    pub share: Share,
}

impl Guarded {
    /// A fetch that was narrowed already, within what is seen of the past if it asks for that.
    pub(super) fn of_the_past(&self, fetch: Fetch) -> Result<Fetch, Failure> {
        match (fetch.as_of, self.grant.past()) {
            (None, _) | (Some(_), Past::All) => Ok(fetch),
            (Some(_), Past::None) => {
                let invalid = Invalid::new(join(fetch.at, "at"), "your role does not see the past");
                Err(Failure::at(Code::Forbidden, invalid))
            }
            (Some(_), Past::Seen) => {
                let query = Query {
                    seen_now: Some(self.grant.rule().clone()),
                    ..(*fetch.query).clone()
                };
                Ok(Fetch {
                    query: Arc::new(query),
                    ..fetch
                })
            }
        }
    }

    /// The changes of one event that are seen; see `Node::history`.
    ///
    /// # Errors
    /// `not_found` also if it is not seen, or nothing of its history is; `forbidden` if the role does not see the past.
    pub async fn history(&self, id: &EventId, request: &History) -> Result<SeenHistory, Failure> {
        self.take_read("history")?;
        self.noted("history", self.allowed_history(id, request).await)
    }

    async fn allowed_history(
        &self,
        id: &EventId,
        request: &History,
    ) -> Result<SeenHistory, Failure> {
        let fields = self
            .grant()
            .fields(&request.fields, &join("query", "fields"));
        let fields = fields.map_err(|invalid| Failure::at(Code::Forbidden, invalid))?;
        match self.grant.past() {
            Past::None => return Err(forbidden("your role does not see the past")),
            Past::Seen => drop(
                self.seen_event(id, &Fetch::now(Query::everything()))
                    .await?,
            ),
            Past::All => {}
        }
        let seen = self.seen_history(id, request, fields.clone()).await?;
        if !seen.visible.is_empty() || self.has_plain_feed() || self.grant.past() == Past::Seen {
            return Ok(seen);
        }
        // No room is held while more is waited for.
        drop(seen);
        match self.node.with_deadline(self.is_any_seen(id)).await? {
            true => self.seen_history(id, request, fields).await,
            false => Err(never_existed(id)),
        }
    }

    async fn seen_history(
        &self,
        id: &EventId,
        request: &History,
        fields: Fields,
    ) -> Result<SeenHistory, Failure> {
        let (page, share) = self.node.history(&self.requester, id, request).await?;
        let rule = Arc::new(Filter::all().within(self.grant.rule()));
        let visible = self
            .node
            .judge(&self.requester, &rule, &page.changes)
            .await?;
        let visible = visible
            .into_iter()
            .filter(|(change, kind)| fields.tell(change, *kind));
        Ok(SeenHistory {
            visible: visible.collect(),
            fields,
            page,
            share,
        })
    }

    /// Whether any change of the event is seen. If none is, all of them are looked at.
    async fn is_any_seen(&self, id: &EventId) -> Result<bool, Failure> {
        let mut request = History {
            direction: Direction::Descending,
            after: None,
            limit: limits::FETCH_COUNT_MAX,
            fields: Fields::all(),
            min_seq: Seq::ZERO,
        };
        loop {
            let fields = self.grant.fields(&Fields::all(), "");
            let fields = fields.expect("no field is named");
            let seen = self.seen_history(id, &request, fields).await?;
            if !seen.visible.is_empty() || !seen.page.more {
                return Ok(!seen.visible.is_empty());
            }
            request.after = seen.page.changes.last().map(|last| last.seq);
        }
    }
}

//! The node as one principal may use it: the only door for requests of clients.
//!
//! Each request is narrowed by the grant, and then carried out as if it had been asked so: the filter within the rule, the
//! fields without those that are hidden. So what is read is the same on every path, and a path that is added later finds
//! no other door.

use std::ops::Deref;
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::{Notify, oneshot};

use super::{Node, Share};
use crate::access::Grant;
use crate::domain::{Change, CommandBatch, Event, EventId, Rejection, Seq, VisibleKind};
use crate::engine::{Done, Order, Outcome, SubmitError};
use crate::fairness::Requester;
use crate::feed::{Interest, Listener, Subscription};
use crate::protocol::{Code, Failure, Fetch, Frame, QueryReport, RequestId, Subscribe};
use crate::query::{Fields, Query, Sort};
use crate::quota::{Caller, Quota};
use crate::store::QueryResult;

/// A node, and what somebody may do with it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Guarded {
    pub(super) node: Node,
    pub(super) grant: Grant,
    quota: Quota,
    /// All that comes through this door shares turns with the rest of its principal's.
    pub(super) requester: Requester,
}

impl Guarded {
    /// The node for a caller who has this grant.
    pub fn new(node: Node, grant: Grant, caller: &Caller) -> Self {
        let quota = caller.quota(&grant);
        Self {
            node,
            grant,
            requester: Requester::of(quota.party()),
            quota,
        }
    }

    /// The same node for who has another grant.
    pub fn granting(&self, grant: Grant) -> Self {
        let quota = self.quota.under(&grant);
        Self {
            node: self.node.clone(),
            grant,
            requester: self.requester.joining(quota.party()),
            quota,
        }
    }

    /// What may be done.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// How much may be taken.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }
}

/// For what is no client's request: health, metrics, budgets. Requests cannot come this way.
impl Deref for Guarded {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

/// Writes.
impl Guarded {
    /// Submits commands; see [`Engine::submit`](crate::engine::Engine::submit). What comes of them is to be
    /// [`shown`](Self::shown).
    ///
    /// # Errors
    /// `rate_limited`, busy or shutting down.
    pub fn submit(&self, commands: CommandBatch) -> Result<oneshot::Receiver<Outcome>, Failure> {
        self.take_write("write", commands.commands.len())?;
        let commands = match self.grant.author() {
            None => commands,
            Some(author) => commands.of(author),
        };
        let grant = self.grant.clone();
        self.node.submit(&self.requester, Order { commands, grant })
    }

    /// Carries commands out and waits for their outcome, as it may be shown.
    ///
    /// # Errors
    /// Why they were not carried out, as far as is known.
    pub async fn write(&self, commands: CommandBatch) -> Result<Done, Failure> {
        let outcome = self.submit(commands)?.await;
        let outcome = outcome.unwrap_or(Err(SubmitError::Unknown));
        self.shown(outcome).map_err(Failure::from)
    }

    /// An outcome without what is not seen of it.
    pub fn shown(&self, outcome: Outcome) -> Outcome {
        if let Err(SubmitError::Rejected(Rejection::Forbidden { .. }, _)) = outcome {
            self.note_denial(self.quota.who(), "write", Code::Forbidden);
        }
        if self.grant.sees_everything() && !self.grant.hides() {
            return outcome;
        }
        match outcome {
            Ok(done) => Ok(Done {
                changes: done
                    .changes
                    .iter()
                    .map(|change| self.grant.shown(change))
                    .collect(),
                ..done
            }),
            Err(SubmitError::Rejected(rejection, index)) => Err(SubmitError::Rejected(
                self.shown_rejection(rejection),
                index,
            )),
            Err(error) => Err(error),
        }
    }

    /// Whether an event may be shown was judged where the command was rejected.
    fn shown_rejection(&self, rejection: Rejection) -> Rejection {
        match rejection {
            Rejection::VersionConflict { expected, current } => Rejection::VersionConflict {
                expected,
                current: self.grant.stripped(&current),
            },
            Rejection::PreconditionFailed { id, current } => Rejection::PreconditionFailed {
                id,
                current: current.map(|current| self.grant.stripped(&current)),
            },
            other => other,
        }
    }

    /// The changes of a write that was carried out before, as they may be shown; see `Node::read_write_again`.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub async fn read_write_again(
        &self,
        first: Seq,
        count: usize,
        bytes: usize,
    ) -> Result<(Vec<Arc<Change>>, Share), Failure> {
        let (changes, share) = self
            .node
            .read_write_again(&self.requester, first, count, bytes)
            .await?;
        let shown = changes.iter().map(|change| self.grant.shown(change));
        Ok((shown.collect(), share))
    }

    /// Broadcasts a message.
    ///
    /// # Errors
    /// `forbidden`, `rate_limited`, busy or shutting down.
    pub fn publish(
        &self,
        payload: Arc<RawValue>,
    ) -> Result<oneshot::Receiver<Result<(), SubmitError>>, Failure> {
        self.take_write("broadcast", 1)?;
        match self.grant.may_broadcast() {
            true => self.node.publish(&self.requester, payload),
            false => self.noted("broadcast", Err(forbidden("your role sends no broadcasts"))),
        }
    }
}

/// Reads.
impl Guarded {
    /// The answer to a FETCH; see `Node::fetch`.
    ///
    /// # Errors
    /// If it asks for what is not allowed, or the store cannot answer.
    pub async fn fetch(
        &self,
        id: Option<&RequestId>,
        fetch: &Fetch,
        share: Option<Share>,
    ) -> Result<(Frame, Option<Share>), Failure> {
        self.take_read("fetch")?;
        let fetch = self.noted("fetch", self.narrowed(fetch))?;
        self.noted("fetch", self.may_explain(&fetch))?;
        self.node.fetch(&self.requester, id, &fetch, share).await
    }

    /// All events that match; see `Node::list`.
    ///
    /// # Errors
    /// If it asks for what is not allowed, or the store cannot answer.
    pub async fn list(&self, fetch: &Fetch) -> Result<(Fetch, QueryResult), Failure> {
        self.take_read("list")?;
        let fetch = self.noted("list", self.narrowed(fetch))?;
        let result = self.node.list(&self.requester, &fetch).await?;
        Ok((fetch, result))
    }

    /// What a list would take; see `Node::explain`.
    ///
    /// # Errors
    /// If it asks for what is not allowed, or the store cannot answer.
    pub async fn explain(&self, fetch: &Fetch) -> Result<(Seq, QueryReport), Failure> {
        self.take_read("list")?;
        let fetch = self.noted("list", self.narrowed(fetch))?;
        self.noted("list", self.may_explain(&fetch))?;
        self.node.explain(&self.requester, &fetch).await
    }

    /// What is examined may be more than is seen, so only who sees everything is told how much it was.
    fn may_explain(&self, fetch: &Fetch) -> Result<(), Failure> {
        let sees_all = self.grant.sees_everything() && !self.grant.hides();
        match fetch.explain && !sees_all {
            true => Err(forbidden("explain is for who sees every event whole")),
            false => Ok(()),
        }
    }

    /// One event; see `Node::event`.
    ///
    /// # Errors
    /// `not_found` also for one that is not seen.
    pub async fn event(&self, id: &EventId, fetch: &Fetch) -> Result<(Seq, Event), Failure> {
        self.take_read("event")?;
        self.noted("event", self.seen_event(id, fetch).await)
    }

    /// The same for an answer that was paid for already.
    ///
    /// # Errors
    /// See [`event`](Self::event).
    pub async fn seen_event(&self, id: &EventId, fetch: &Fetch) -> Result<(Seq, Event), Failure> {
        let fetch = self.narrowed(fetch)?;
        let (seq, event) = self.node.event(&self.requester, id, &fetch).await?;
        Ok((seq, self.grant.stripped_event(event)))
    }

    /// A fetch within the rule, and within what is seen of the past.
    pub(super) fn narrowed(&self, fetch: &Fetch) -> Result<Fetch, Failure> {
        let query = self.grant.query(&fetch.query, fetch.at);
        let query = query.map_err(|invalid| Failure::at(Code::Forbidden, invalid))?;
        let fetch = Fetch {
            query: Arc::new(query),
            ..fetch.clone()
        };
        self.of_the_past(fetch)
    }

    /// The subscription that a SUBSCRIBE asks for; see `Node::subscribe`. A position to resume after is not the past; see
    /// `past`.
    ///
    /// # Errors
    /// If it asks for what is not allowed, or the store cannot be reached.
    pub async fn subscribe(
        &self,
        subscribe: &Subscribe,
        wakeup: &Arc<Notify>,
    ) -> Result<(Subscription, Option<&'static str>), Failure> {
        self.take_read("subscribe")?;
        self.subscribe_again(subscribe, wakeup).await
    }

    /// The same for a subscription that was asked for before.
    ///
    /// # Errors
    /// See [`subscribe`](Self::subscribe).
    pub async fn subscribe_again(
        &self,
        subscribe: &Subscribe,
        wakeup: &Arc<Notify>,
    ) -> Result<(Subscription, Option<&'static str>), Failure> {
        let subscribe = self.noted("subscribe", self.narrowed_subscribe(subscribe))?;
        self.node
            .subscribe(&self.requester, &subscribe, wakeup)
            .await
    }

    fn narrowed_subscribe(&self, subscribe: &Subscribe) -> Result<Subscribe, Failure> {
        let sort = subscribe.list.as_ref().map(|list| (*list.sort).clone());
        let asked = Query {
            filter: (*subscribe.filter).clone(),
            sort: sort.unwrap_or_else(Sort::by_id),
            fields: (*subscribe.fields).clone(),
            ..Query::everything()
        };
        let query = self.grant.query(&asked, subscribe.at);
        let query = query.map_err(|invalid| Failure::at(Code::Forbidden, invalid))?;
        Ok(Subscribe {
            filter: Arc::new(query.filter),
            fields: Arc::new(query.fields),
            ..subscribe.clone()
        })
    }

    /// A page of the log: the changes that are seen of it, and where it ends; see `Node::changes`.
    ///
    /// # Errors
    /// If it asks for what is not allowed, or the store cannot answer.
    pub async fn changes(
        &self,
        subscribe: &Subscribe,
        limit: usize,
    ) -> Result<SeenLogPage, Failure> {
        self.take_read("changes")?;
        let subscribe = self.noted("changes", self.narrowed_subscribe(subscribe))?;
        let _filter = self.node.hold_filter(&self.requester, &subscribe.filter)?;
        let (changes, seq, share) = self
            .node
            .changes(&self.requester, &subscribe, limit)
            .await?;
        let visible = self
            .node
            .judge(&self.requester, &subscribe.filter, &changes)
            .await?;
        let visible = visible
            .into_iter()
            .filter(|(change, kind)| subscribe.fields.tell(change, *kind));
        Ok(SeenLogPage {
            visible: visible.collect(),
            fields: Arc::clone(&subscribe.fields),
            last: changes.last().map(|last| last.seq),
            seq,
            share,
        })
    }

    /// What is counted, as text; see `Node::metrics_text`.
    ///
    /// # Errors
    /// `forbidden` unless the role is an operator's.
    pub async fn metrics_report(&self) -> Result<String, Failure> {
        match self.grant.is_operator() {
            true => Ok(self.node.metrics_text().await),
            false => self.noted(
                "metrics",
                Err(forbidden("your role does not see the metrics")),
            ),
        }
    }

    /// A listener to what is not subscribed to: of broadcasts, to those that the role hears.
    pub fn listen(&self, after: Option<Seq>, interest: Interest) -> Listener {
        self.node.listen(after, interest, self.grant.hears())
    }

    /// Whether the default feed is every change as it is.
    pub fn has_plain_feed(&self) -> bool {
        self.grant.sees_everything() && !self.grant.hides() && self.grant.sees_authors()
    }
}

/// What is seen of a page of the log.
#[derive(Debug)]
pub struct SeenLogPage {
    /// The changes, each with what it is to the filter.
    pub visible: Vec<(Arc<Change>, VisibleKind)>,
    /// What of them.
    pub fields: Arc<Fields>,
    /// The last change of the page, seen or not.
    pub last: Option<Seq>,
    /// How far the log goes.
    pub seq: Seq,
    /// For the changes and their frames.
    pub share: Share,
}

pub(super) fn forbidden(reason: &str) -> Failure {
    Failure::new(Code::Forbidden, reason)
}

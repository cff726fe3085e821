//! Answers that are made by reading the store, each in a task of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::Notify;

use super::answers::{Answer, Resubscribed, Subscribed};
use crate::domain::{EventId, Seq};
use crate::guard::Guard;
use crate::limits;
use crate::node::{Guarded, Outcome, Share};
use crate::protocol;
use crate::protocol::{
    Credentials, Failure, Fetch, Frame, Mode, RequestId, RequestKind, SubName, Subscribe,
};
use crate::query::Query;

/// A request whose read has not started.
#[derive(Debug, Clone)]
pub(super) struct DeferredRead {
    pub(super) node: Guarded,
    pub(super) id: Option<RequestId>,
    pub(super) read: Read,
}

/// What is to be read.
#[derive(Debug, Clone)]
pub(super) enum Read {
    Fetch(Fetch),
    Subscribe(SubName, Box<Subscribe>, Arc<Notify>),
    /// A subscription begins anew, by other rules; without a name it is the default feed.
    Resubscribe(Option<SubName>, Box<Subscribe>, Arc<Notify>),
    Auth(Guard, Credentials),
    /// A write was carried out, and there was no room for its answer: its changes are read from the log again.
    Committed(RequestKind, LoggedWrite),
    /// A write was refused, and there was no room for the event in the error: it is read again, as it is by then.
    Refused(RequestKind, Box<Failure>, Option<EventId>),
}

/// Where in the log the changes of a write are: `count` of them from `first` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoggedWrite {
    first: Seq,
    count: usize,
    /// Of the answer.
    bytes: usize,
    is_repeated: bool,
}

/// Whether a read may start before all answers ahead of it are taken.
pub(super) enum Overtaking {
    No,
    /// With the share of the budget for its answer, if it takes one.
    Yes(Option<Share>),
}

impl Read {
    fn kind(&self) -> RequestKind {
        match self {
            Self::Fetch(..) => RequestKind::Fetch,
            Self::Subscribe(..) | Self::Resubscribe(..) => RequestKind::Subscribe,
            Self::Auth(..) => RequestKind::Auth,
            Self::Committed(kind, _) | Self::Refused(kind, ..) => *kind,
        }
    }

    /// The answer if it fails, whichever way.
    fn failed(
        &self,
        node: &Guarded,
        id: Option<RequestId>,
    ) -> impl FnOnce(Failure) -> Answer + use<> {
        let kind = self.kind();
        let resubscribed = match self {
            Self::Resubscribe(sub, ..) => Some((sub.clone(), node.grant().clone())),
            _ => None,
        };
        let is_auth = matches!(self, Self::Auth(..));
        move |failure| match resubscribed {
            Some((sub, grant)) => Answer::Resubscribed(Box::new(Resubscribed {
                sub,
                grant,
                opened: Err(failure),
            })),
            // The session waits for it.
            None if is_auth => Answer::Authenticated(id, Box::new(Err(failure))),
            None => Answer::Frame(protocol::error(id.as_ref(), Some(kind), &failure), None),
        }
    }

    /// What it takes to make the answer to a write again, which has about so many bytes.
    pub(super) fn of_outcome(kind: RequestKind, outcome: Outcome, bytes: usize) -> Self {
        match outcome {
            Err(error) => {
                let (failure, event) = Failure::from(error).without_event();
                Self::Refused(kind, Box::new(failure), event)
            }
            Ok(done) => {
                let first = done.changes[0].seq;
                debug_assert!(
                    first
                        .before()
                        .is_followed_by(done.changes.iter().map(|change| change.seq)),
                    "the changes of a write follow each other in the log"
                );
                let write = LoggedWrite {
                    first,
                    count: done.changes.len(),
                    bytes,
                    is_repeated: done.is_repeated,
                };
                Self::Committed(kind, write)
            }
        }
    }
}

impl DeferredRead {
    pub(super) fn is_fetch(&self) -> bool {
        matches!(self.read, Read::Fetch(..))
    }

    /// A read that needs a snapshot permit must not start early: it would hold the permit until the answers ahead of it
    /// are taken, and those may be waiting for a permit (deadlock). The same holds for the budget, unless much of it is
    /// free.
    pub(super) fn overtake(&self) -> Overtaking {
        match &self.read {
            Read::Fetch(..) => match self.node.reserve_ahead() {
                Some(share) => Overtaking::Yes(Some(share)),
                None => Overtaking::No,
            },
            Read::Auth(..) => Overtaking::Yes(None),
            Read::Subscribe(_, subscribe, _) | Read::Resubscribe(_, subscribe, _)
                if !subscribe.snapshot && subscribe.mode != Mode::Latest =>
            {
                Overtaking::Yes(None)
            }
            Read::Subscribe(..)
            | Read::Resubscribe(..)
            | Read::Committed(..)
            | Read::Refused(..) => Overtaking::No,
        }
    }

    /// A panic is in the server's log already, and fails only this request.
    pub(super) async fn run(self: Box<Self>, share: Option<Share>) -> Answer {
        let failed = self.read.failed(&self.node, self.id.clone());
        let answer = AssertUnwindSafe(self.answer(share)).catch_unwind().await;
        answer.unwrap_or_else(|_| failed(Failure::internal()))
    }

    async fn answer(self: Box<Self>, share: Option<Share>) -> Answer {
        let kind = self.read.kind();
        let Self { node, id, read } = *self;
        let id = id.as_ref();
        let answer = match read {
            Read::Fetch(fetch) => {
                let page = node.fetch(id, &fetch, share).await;
                node.count(kind.as_str(), page.as_ref().map(drop));
                page.map(|(frame, share)| Answer::Frame(frame, share))
            }
            Read::Subscribe(sub, subscribe, wakeup) => {
                subscribed(&node, id, sub, subscribe, &wakeup).await
            }
            Read::Resubscribe(sub, subscribe, wakeup) => {
                let opened = node.subscribe_again(&subscribe, &wakeup).await;
                let opened = opened.map(|(subscription, _)| subscription);
                let grant = node.grant().clone();
                Ok(Answer::Resubscribed(Box::new(Resubscribed {
                    sub,
                    grant,
                    opened,
                })))
            }
            Read::Auth(guard, credentials) => {
                let admitted = guard.admit(credentials).await.map_err(Failure::from);
                let admitted = node.noted("credentials", admitted);
                Ok(Answer::Authenticated(id.cloned(), Box::new(admitted)))
            }
            Read::Committed(_, write) => committed(&node, id, kind, write).await,
            Read::Refused(_, failure, event) => {
                let share = node.budget().reserve(2 * limits::EVENT_BYTES_MAX).await;
                let failure = with_current_event(&node, *failure, event).await;
                Ok(reserved(protocol::error(id, Some(kind), &failure), share))
            }
        };
        answer.unwrap_or_else(|failure| {
            Answer::Frame(protocol::error(id, Some(kind), &failure), None)
        })
    }
}

/// Opens a subscription. A success is counted by the session, which may yet refuse it.
async fn subscribed(
    node: &Guarded,
    id: Option<&RequestId>,
    sub: SubName,
    asked: Box<Subscribe>,
    wakeup: &Arc<Notify>,
) -> Result<Answer, Failure> {
    let opened = node.subscribe(&asked, wakeup).await;
    let (subscription, stale) = opened.inspect_err(|failure| {
        node.count(RequestKind::Subscribe.as_str(), Err(failure));
    })?;
    Ok(Answer::Subscribed(Box::new(Subscribed {
        id: id.cloned(),
        sub,
        asked,
        subscription,
        grant: node.grant().clone(),
        stale,
    })))
}

/// The answer to a write that was carried out, read from the log.
async fn committed(
    node: &Guarded,
    id: Option<&RequestId>,
    kind: RequestKind,
    write: LoggedWrite,
) -> Result<Answer, Failure> {
    let (changes, share) = node
        .read_write_again(write.first, write.count, write.bytes)
        .await?;
    let frame = protocol::write_done(id, kind, &changes, write.is_repeated);
    Ok(reserved(frame, share))
}

/// The failure with the event that it is about, if that still exists.
async fn with_current_event(node: &Guarded, failure: Failure, event: Option<EventId>) -> Failure {
    let Some(id) = event else {
        return failure;
    };
    match node.seen_event(&id, &Fetch::now(Query::everything())).await {
        Ok((_, event)) => failure.with_event(Arc::new(event)),
        Err(_) => failure,
    }
}

fn reserved(frame: Frame, mut share: Share) -> Answer {
    share.shrink_to(frame.len());
    Answer::Frame(frame, Some(share))
}

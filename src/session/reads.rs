//! Answers that are made by reading the store, each in a task of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::Notify;

use super::answers::{Answer, Subscribed};
use crate::domain::{EventId, Seq};
use crate::limits;
use crate::node::Node;
use crate::node::Outcome;
use crate::node::Requester;
use crate::node::Share;
use crate::protocol;
use crate::protocol::{Failure, Fetch, Frame, Mode, RequestId, RequestKind, SubName, Subscribe};
use crate::query::Query;

/// A request that can be begun.
#[derive(Debug, Clone)]
pub(super) struct DeferredRead {
    pub(super) node: Node,
    pub(super) id: Option<RequestId>,
    pub(super) read: Read,
}

/// What reads the store.
#[derive(Debug, Clone)]
pub(super) enum Read {
    Fetch(Requester, Fetch),
    Subscribe(SubName, Box<Subscribe>, Arc<Notify>),
    /// A write was carried out: its answer is made of the log, for which there was no room before.
    Written(RequestKind, LoggedWrite),
    /// A write was refused, with more to say than there was room for: of this event, as it is by then.
    Refused(RequestKind, Box<Failure>, Option<EventId>),
}

/// The place in the log of a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoggedWrite {
    first: Seq,
    count: usize,
    /// What is told of it.
    bytes: usize,
    is_repeated: bool,
}

/// Whether a read may be begun before its answer is the next.
pub(super) enum Overtaking {
    No,
    /// With the room for its answer, if it takes any.
    Yes(Option<Share>),
}

impl Read {
    fn name(&self) -> RequestKind {
        match self {
            Self::Fetch(..) => RequestKind::Fetch,
            Self::Subscribe(..) => RequestKind::Subscribe,
            Self::Written(name, _) | Self::Refused(name, ..) => *name,
        }
    }

    /// What it takes to tell later what became of a write, in about so many bytes.
    pub(super) fn again(name: RequestKind, outcome: Outcome, bytes: usize) -> Self {
        match outcome {
            Err(refused) => {
                let (failure, event) = Failure::from(refused).without_event();
                Self::Refused(name, Box::new(failure), event)
            }
            Ok(done) => Self::Written(
                name,
                LoggedWrite {
                    first: done.changes[0].seq,
                    count: done.changes.len(),
                    bytes,
                    is_repeated: done.is_repeated,
                },
            ),
        }
    }
}

impl DeferredRead {
    pub(super) fn is_fetch(&self) -> bool {
        matches!(self.read, Read::Fetch(..))
    }

    /// What takes a turn may not: it would keep the turn until those before it are answered, and they may wait for
    /// one. The same holds for room, unless there is plenty.
    pub(super) fn overtake(&self) -> Overtaking {
        match &self.read {
            Read::Fetch(..) => match self.node.room_ahead() {
                Some(room) => Overtaking::Yes(Some(room)),
                None => Overtaking::No,
            },
            Read::Subscribe(_, asked, _) if !asked.snapshot && asked.mode != Mode::Latest => {
                Overtaking::Yes(None)
            }
            Read::Subscribe(..) | Read::Written(..) | Read::Refused(..) => Overtaking::No,
        }
    }

    /// A panic is in the server's log already, and costs its own request alone.
    pub(super) async fn run(self: Box<Self>, room: Option<Share>) -> Answer {
        let (id, name) = (self.id.clone(), self.read.name());
        let answer = AssertUnwindSafe(self.answer(room)).catch_unwind().await;
        answer.unwrap_or_else(|_| {
            let failure = Failure::internal();
            Answer::Frame(protocol::error(id.as_ref(), Some(name), &failure), None)
        })
    }

    async fn answer(self: Box<Self>, room: Option<Share>) -> Answer {
        let name = self.read.name();
        let Self { node, id, read } = *self;
        let id = id.as_ref();
        let answer = match read {
            Read::Fetch(from, fetch) => {
                let page = node.fetch(&from, id, &fetch, room).await;
                node.count(name.as_str(), page.as_ref().map(drop));
                page.map(|(frame, share)| Answer::Frame(frame, share))
            }
            Read::Subscribe(sub, asked, bell) => {
                let armed = node.subscribe(&asked, &bell).await;
                if let Err(failure) = &armed {
                    node.count(name.as_str(), Err(failure));
                }
                let subscribed = armed.map(|(subscription, stale)| Subscribed {
                    id: id.cloned(),
                    sub,
                    subscription,
                    stale,
                });
                let boxed = subscribed.map(Box::new);
                boxed.map(Answer::Subscribed)
            }
            Read::Written(_, written) => again(&node, id, name, written).await,
            Read::Refused(_, failure, event) => {
                let share = node.budget().reserve(2 * limits::EVENT_BYTES_MAX).await;
                let failure = shown(&node, *failure, event).await;
                Ok(held(protocol::error(id, Some(name), &failure), share))
            }
        };
        answer.unwrap_or_else(|failure| {
            Answer::Frame(protocol::error(id, Some(name), &failure), None)
        })
    }
}

/// The answer to a write that was carried out, read from the log.
async fn again(
    node: &Node,
    id: Option<&RequestId>,
    name: RequestKind,
    written: LoggedWrite,
) -> Result<Answer, Failure> {
    let (changes, share) = node
        .written(written.first, written.count, written.bytes)
        .await?;
    let frame = protocol::answer(id, name, &changes, written.is_repeated);
    Ok(held(frame, share))
}

/// The failure with the event that it is about, if that is still there.
async fn shown(node: &Node, failure: Failure, event: Option<EventId>) -> Failure {
    let Some(id) = event else {
        return failure;
    };
    match node.event(&id, &Fetch::now(Query::everything())).await {
        Ok((_, event)) => failure.with_event(Arc::new(event)),
        Err(_) => failure,
    }
}

fn held(frame: Frame, mut share: Share) -> Answer {
    share.shrink_to(frame.len());
    Answer::Frame(frame, Some(share))
}

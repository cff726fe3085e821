//! The answers a session owes, in the order of their requests.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::reads::{DeferredRead, Overtaking, Read};
use crate::limits;
use crate::node::Node;
use crate::node::Share;
use crate::node::Subscription;
use crate::node::{Outcome, SubmitError};
use crate::protocol;
use crate::protocol::{Failure, Frame, RequestId, RequestKind, SubName};

/// Answers owed, the oldest first.
///
/// What an answer takes in memory is the session's ([`limits::SESSION_FREE_BYTES`]) or the node's budget's. One
/// to a write for which there is no room is let go when it arrives, and made again when its turn comes.
#[derive(Debug)]
pub(super) struct Answers {
    node: Node,
    owed: VecDeque<Owed>,
    /// Of the requests that are owed an answer.
    bytes: usize,
    /// Of answers that are ready and hold no share of the budget.
    free: usize,
}

#[derive(Debug)]
struct Owed {
    pending: Pending,
    /// What its request counts for.
    bytes: usize,
    /// For a request that is kept until it is begun.
    _share: Option<Share>,
}

/// An answer whose turn it is.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing is left to do but to send it, and then to give back what it holds.
    Frame(Frame, Option<Share>),
    /// A subscription is armed; the session may yet refuse it.
    Subscribed(Box<Subscribed>),
    /// The session knows whether there is one of this name.
    Unsubscribe(Option<RequestId>, SubName),
}

/// What a SUBSCRIBE came to.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) id: Option<RequestId>,
    pub(super) sub: SubName,
    pub(super) subscription: Subscription,
    /// Why the position it named is none of this log.
    pub(super) stale: Option<&'static str>,
}

/// An answer in the making.
#[derive(Debug)]
pub(super) enum Pending {
    /// It only waits its turn.
    Ready(Answer),
    /// With the engine.
    Write(Option<RequestId>, RequestKind, oneshot::Receiver<Outcome>),
    /// With the engine.
    Announcement(
        Option<RequestId>,
        oneshot::Receiver<Result<(), SubmitError>>,
    ),
    /// Not begun: writes stand before it.
    Held(Box<DeferredRead>),
    /// In a task of its own, beside the others; it ends with who asked.
    Running(AbortOnDropHandle<Answer>),
}

impl Pending {
    pub(super) fn write(
        id: Option<RequestId>,
        name: RequestKind,
    ) -> impl FnOnce(oneshot::Receiver<Outcome>) -> Self {
        move |outcome| Self::Write(id, name, outcome)
    }

    pub(super) fn announcement(
        id: Option<RequestId>,
    ) -> impl FnOnce(oneshot::Receiver<Result<(), SubmitError>>) -> Self {
        move |outcome| Self::Announcement(id, outcome)
    }

    pub(super) fn read(node: Node, id: Option<RequestId>, read: Read) -> Self {
        Self::Held(Box::new(DeferredRead { node, id, read }))
    }

    pub(super) fn failed(
        id: Option<&RequestId>,
        name: Option<RequestKind>,
        failure: &Failure,
    ) -> Self {
        Self::Ready(Answer::Frame(protocol::error(id, name, failure), None))
    }

    /// Whether a FETCH behind this one must wait for it.
    fn may_write(&self) -> bool {
        match self {
            Self::Write(..) => true,
            Self::Ready(_) | Self::Announcement(..) | Self::Held(_) | Self::Running(_) => false,
        }
    }

    /// What it counts for at least: the answer to a FETCH is far larger than its request.
    fn bytes_min(&self) -> usize {
        match self {
            Self::Held(held) if held.is_fetch() => {
                limits::SESSION_REQUEST_BYTES_MAX / limits::SESSION_FETCHES_MAX
            }
            _ => 0,
        }
    }

    /// Begins a read that may be begun; whether it was one.
    fn begin(&mut self, is_oldest: bool) -> bool {
        let Self::Held(held) = self else {
            return false;
        };
        let room = match is_oldest {
            true => None,
            false => match held.overtake() {
                Overtaking::No => return false,
                Overtaking::Yes(room) => room,
            },
        };
        let task = tokio::spawn(held.clone().run(room));
        *self = Self::Running(AbortOnDropHandle::new(task));
        true
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Arrived> {
        match self {
            Self::Write(id, name, outcome) => outcome.poll_unpin(context).map(|outcome| {
                let outcome = outcome.unwrap_or(Err(SubmitError::Unknown));
                Arrived::Outcome(id.take(), *name, outcome)
            }),
            Self::Announcement(id, outcome) => outcome.poll_unpin(context).map(|outcome| {
                let outcome = outcome.unwrap_or(Err(SubmitError::Unknown));
                Arrived::Announced(id.take(), outcome)
            }),
            Self::Running(task) => task
                .poll_unpin(context)
                .map(|answer| Arrived::Answer(answer.expect("a read catches its panics"))),
            Self::Ready(_) | Self::Held(_) => Poll::Pending,
        }
    }
}

/// What was waited for.
enum Arrived {
    Answer(Answer),
    Outcome(Option<RequestId>, RequestKind, Outcome),
    Announced(Option<RequestId>, Result<(), SubmitError>),
}

impl Answers {
    pub(super) fn new(node: Node) -> Self {
        Self {
            node,
            owed: VecDeque::new(),
            bytes: 0,
            free: 0,
        }
    }

    /// Owes one more answer, to a request whose text has so many bytes.
    pub(super) fn push(&mut self, pending: Pending, text: usize) {
        let bytes = text.max(pending.bytes_min());
        let is_kept = matches!(pending, Pending::Held(_)) && text > limits::SESSION_FREE_BYTES;
        let share = is_kept.then(|| self.node.budget().try_reserve(text));
        if let Pending::Ready(Answer::Frame(frame, None)) = &pending {
            self.free += frame.len();
        }
        self.bytes += bytes;
        self.owed.push_back(Owed {
            pending,
            bytes,
            _share: share.flatten(),
        });
        self.begin_reads();
    }

    pub(super) fn have_room(&self) -> bool {
        self.owed.len() < limits::SESSION_REQUESTS_MAX
            && self.bytes < limits::SESSION_REQUEST_BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Waits until the oldest answer is ready. Never ends while nothing is owed. Safe to drop and call again.
    pub(super) async fn ready(&mut self) {
        std::future::poll_fn(|context| self.poll_ready(context)).await;
    }

    /// The oldest answer, if [`ready`](Self::ready) found it.
    pub(super) fn pop(&mut self) -> Option<Answer> {
        let is_ready = |oldest: &mut Owed| matches!(oldest.pending, Pending::Ready(_));
        let Owed { pending, bytes, .. } = self.owed.pop_front_if(is_ready)?;
        let Pending::Ready(answer) = pending else {
            unreachable!("only what is ready is taken");
        };
        if let Answer::Frame(frame, None) = &answer {
            self.free -= frame.len();
        }
        self.bytes -= bytes;
        self.begin_reads();
        Some(answer)
    }

    /// Takes in what has arrived; whether the oldest answer is ready.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut is_next = true;
        for at in 0..self.owed.len() {
            let pending = &mut self.owed[at].pending;
            match pending.poll(context) {
                Poll::Ready(Arrived::Answer(answer)) => {
                    if let Answer::Frame(frame, None) = &answer {
                        self.free += frame.len();
                    }
                    *pending = Pending::Ready(answer);
                }
                Poll::Ready(Arrived::Announced(id, outcome)) => {
                    self.owed[at].pending = self.announced(id.as_ref(), outcome);
                }
                Poll::Ready(Arrived::Outcome(id, name, outcome)) => {
                    self.owed[at].pending = self.keep(id, name, outcome, is_next);
                }
                // Writes are decided in order, and reads behind them not begun.
                Poll::Pending if pending.may_write() => break,
                Poll::Pending => {}
            }
            is_next &= matches!(self.owed[at].pending, Pending::Ready(_));
        }
        if self.begin_reads() {
            context.waker().wake_by_ref();
        }
        match self.owed.front().map(|oldest| &oldest.pending) {
            Some(Pending::Ready(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// Keeps what became of a write: encoded if there is room for that, else as little as it takes to tell it.
    /// A large one whose turn it is not takes no room, or all room could be held by those who wait for others.
    fn keep(
        &mut self,
        id: Option<RequestId>,
        name: RequestKind,
        outcome: Outcome,
        is_next: bool,
    ) -> Pending {
        let frame = match &outcome {
            Ok(done) => {
                self.node.count_done(name.as_str(), done.is_repeated);
                protocol::answer(id.as_ref(), name, &done.changes, done.is_repeated)
            }
            Err(refused) => {
                let failure = Failure::from(refused.clone());
                self.node.count(name.as_str(), Err(&failure));
                protocol::error(id.as_ref(), Some(name), &failure)
            }
        };
        if self.free + frame.len() <= limits::SESSION_FREE_BYTES {
            self.free += frame.len();
            return Pending::Ready(Answer::Frame(frame, None));
        }
        if let Some(share) = self.node.budget().try_reserve(frame.len())
            && is_next
        {
            return Pending::Ready(Answer::Frame(frame, Some(share)));
        }
        Pending::read(
            self.node.clone(),
            id,
            Read::again(name, outcome, frame.len()),
        )
    }

    fn announced(&mut self, id: Option<&RequestId>, outcome: Result<(), SubmitError>) -> Pending {
        let (name, outcome) = (RequestKind::Broadcast, outcome.map_err(Failure::from));
        self.node.count(name.as_str(), outcome.as_ref().map(drop));
        let frame = match outcome {
            Ok(()) => protocol::announced(id),
            Err(failure) => protocol::error(id, Some(name), &failure),
        };
        self.free += frame.len();
        Pending::Ready(Answer::Frame(frame, None))
    }

    /// Begins every read that no unanswered write stands before; whether there was one.
    fn begin_reads(&mut self) -> bool {
        let pending = self.owed.iter_mut().map(|owed| &mut owed.pending);
        pending
            .take_while(|pending| !pending.may_write())
            .enumerate()
            .fold(false, |begun, (before, pending)| {
                pending.begin(before == 0) || begun
            })
    }
}

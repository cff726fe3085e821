//! The answers a session owes: a queue in the order of the requests.
//!
//! | state                | its answer                                          | next state                        |
//! |----------------------|-----------------------------------------------------|-----------------------------------|
//! | `Write`, `Broadcast` | is what the engine decides                          | `Ready`, or `Deferred` (see below) |
//! | `Deferred`           | takes reading the store, which has not started      | `Running`                         |
//! | `Running`            | is being read, in a task of its own                 | `Ready`                           |
//! | `Ready`              | is encoded, or is for the session itself to carry out | taken from the front            |
//!
//! Invariants:
//!
//! - Answers leave in the order in which their requests came.
//! - A read starts only when every write before it is decided, so it sees them. Behind other requests it starts early
//!   ("overtakes") if it cannot block them ([`DeferredRead::overtake`]); at the front it starts always.
//! - Each entry counts against the session's bounds until its answer is taken. Encoded answers take memory of the
//!   session's own ([`limits::SESSION_FREE_BYTES`]) or of the node's budget. The answer to a write for which there is
//!   neither is dropped and becomes `Deferred`: it is read from the log again at the front of the queue.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::reads::{DeferredRead, Overtaking, Read};
use crate::access::Grant;
use crate::guard::Admission;
use crate::limits;
use crate::node::{Guarded, Outcome, Share, SubmitError, Subscription};
use crate::protocol;
use crate::protocol::{Failure, Frame, RequestId, RequestKind, SubName, Subscribe};

/// The answers owed, the oldest first; see the [module](self).
#[derive(Debug)]
pub(super) struct AnswerQueue {
    node: Guarded,
    entries: VecDeque<QueuedAnswer>,
    /// The sum of the entries' request bytes.
    request_bytes: usize,
    /// The sum of the answers that are encoded and hold no share of the budget.
    unreserved_bytes: usize,
}

#[derive(Debug)]
struct QueuedAnswer {
    state: AnswerState,
    request_bytes: usize,
    /// For a large request that is kept until its read starts.
    _share: Option<Share>,
}

/// An answer that is taken from the queue.
#[derive(Debug)]
pub(super) enum Answer {
    /// To be sent; the share is held until it is.
    Frame(Frame, Option<Share>),
    /// A subscription is open; the session may yet refuse it.
    Subscribed(Box<Subscribed>),
    /// A subscription begins anew.
    Resubscribed(Box<Resubscribed>),
    /// What an AUTH came to; the session may yet refuse it.
    Authenticated(Option<RequestId>, Box<Authentication>),
    /// The session knows its subscriptions.
    Unsubscribe(Option<RequestId>, SubName),
}

/// The result of a SUBSCRIBE.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) id: Option<RequestId>,
    pub(super) sub: SubName,
    /// What was asked for, in case that it has to begin anew.
    pub(super) asked: Box<Subscribe>,
    pub(super) subscription: Subscription,
    /// By which it was opened: the session's may be another by now.
    pub(super) grant: Grant,
    /// Why the position it named is not one of this log.
    pub(super) stale: Option<&'static str>,
}

/// What credentials come to.
pub(super) type Authentication = Result<Admission, Failure>;

/// A subscription that begins anew by other rules.
#[derive(Debug)]
pub(super) struct Resubscribed {
    /// `None` is the default feed.
    pub(super) sub: Option<SubName>,
    /// By which it was opened.
    pub(super) grant: Grant,
    pub(super) opened: Result<Subscription, Failure>,
}

/// How far an answer is; the [module](self) has the table.
#[derive(Debug)]
pub(super) enum AnswerState {
    Ready(Answer),
    Write(Option<RequestId>, RequestKind, oneshot::Receiver<Outcome>),
    Broadcast(
        Option<RequestId>,
        oneshot::Receiver<Result<(), SubmitError>>,
    ),
    Deferred(Box<DeferredRead>),
    /// The task ends with the session.
    Running(AbortOnDropHandle<Answer>),
}

impl AnswerState {
    pub(super) fn write(
        id: Option<RequestId>,
        kind: RequestKind,
    ) -> impl FnOnce(oneshot::Receiver<Outcome>) -> Self {
        move |outcome| Self::Write(id, kind, outcome)
    }

    pub(super) fn broadcast(
        id: Option<RequestId>,
    ) -> impl FnOnce(oneshot::Receiver<Result<(), SubmitError>>) -> Self {
        move |outcome| Self::Broadcast(id, outcome)
    }

    pub(super) fn deferred(node: Guarded, id: Option<RequestId>, read: Read) -> Self {
        Self::Deferred(Box::new(DeferredRead { node, id, read }))
    }

    pub(super) fn failed(
        id: Option<&RequestId>,
        kind: Option<RequestKind>,
        failure: &Failure,
    ) -> Self {
        Self::Ready(Answer::Frame(protocol::error(id, kind, failure), None))
    }

    fn is_undecided_write(&self) -> bool {
        match self {
            Self::Write(..) => true,
            Self::Ready(_) | Self::Broadcast(..) | Self::Deferred(_) | Self::Running(_) => false,
        }
    }

    fn unreserved_bytes(&self) -> usize {
        match self {
            Self::Ready(Answer::Frame(frame, None)) => frame.len(),
            _ => 0,
        }
    }

    /// What its request counts for at least: the answer to a FETCH is far larger than the request.
    fn request_bytes_min(&self) -> usize {
        match self {
            Self::Deferred(read) if read.is_fetch() => {
                limits::SESSION_REQUEST_BYTES_MAX / limits::SESSION_FETCHES_MAX
            }
            _ => 0,
        }
    }

    /// Starts a deferred read, if it may start now; whether it did.
    fn start(&mut self, is_front: bool) -> bool {
        let Self::Deferred(read) = self else {
            return false;
        };
        let share = match is_front {
            true => None,
            false => match read.overtake() {
                Overtaking::No => return false,
                Overtaking::Yes(share) => share,
            },
        };
        let task = tokio::spawn(read.clone().run(share));
        *self = Self::Running(AbortOnDropHandle::new(task));
        true
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Completion> {
        match self {
            Self::Write(id, kind, outcome) => outcome.poll_unpin(context).map(|outcome| {
                let outcome = outcome.unwrap_or(Err(SubmitError::Unknown));
                Completion::Write(id.take(), *kind, outcome)
            }),
            Self::Broadcast(id, outcome) => outcome.poll_unpin(context).map(|outcome| {
                let outcome = outcome.unwrap_or(Err(SubmitError::Unknown));
                Completion::Broadcast(id.take(), outcome)
            }),
            Self::Running(task) => task
                .poll_unpin(context)
                .map(|answer| Completion::Read(answer.expect("a read catches its panics"))),
            Self::Ready(_) | Self::Deferred(_) => Poll::Pending,
        }
    }
}

/// What an entry waited for.
enum Completion {
    Read(Answer),
    Write(Option<RequestId>, RequestKind, Outcome),
    Broadcast(Option<RequestId>, Result<(), SubmitError>),
}

impl AnswerQueue {
    pub(super) fn new(node: Guarded) -> Self {
        Self {
            node,
            entries: VecDeque::new(),
            request_bytes: 0,
            unreserved_bytes: 0,
        }
    }

    /// What is answered from now on is for who has these rights.
    pub(super) fn go_by(&mut self, node: &Guarded) {
        self.node = node.clone();
    }

    /// Queues the answer to a request of `text_bytes` bytes.
    pub(super) fn push(&mut self, state: AnswerState, text_bytes: usize) {
        let request_bytes = text_bytes.max(state.request_bytes_min());
        let is_kept =
            matches!(state, AnswerState::Deferred(_)) && text_bytes > limits::SESSION_FREE_BYTES;
        let share = is_kept.then(|| self.node.budget().try_reserve(text_bytes));
        self.unreserved_bytes += state.unreserved_bytes();
        self.request_bytes += request_bytes;
        self.entries.push_back(QueuedAnswer {
            state,
            request_bytes,
            _share: share.flatten(),
        });
        self.start_reads();
        self.check_invariants();
    }

    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < limits::SESSION_REQUESTS_MAX
            && self.request_bytes < limits::SESSION_REQUEST_BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Waits until the oldest answer is ready; for ever while the queue is empty. Safe to drop and call again.
    pub(super) async fn ready(&mut self) {
        std::future::poll_fn(|context| self.poll_ready(context)).await;
    }

    /// Takes the oldest answer, if [`ready`](Self::ready) found it so.
    pub(super) fn pop(&mut self) -> Option<Answer> {
        let is_ready = |oldest: &mut QueuedAnswer| matches!(oldest.state, AnswerState::Ready(_));
        let oldest = self.entries.pop_front_if(is_ready)?;
        self.unreserved_bytes -= oldest.state.unreserved_bytes();
        self.request_bytes -= oldest.request_bytes;
        let AnswerState::Ready(answer) = oldest.state else {
            unreachable!("only ready answers are taken");
        };
        self.start_reads();
        self.check_invariants();
        Some(answer)
    }

    /// Advances every entry that can be; ready if the oldest answer is.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut is_front = true;
        for index in 0..self.entries.len() {
            match self.entries[index].state.poll(context) {
                Poll::Ready(completion) => {
                    let state = self.complete(completion, is_front);
                    self.unreserved_bytes += state.unreserved_bytes();
                    self.entries[index].state = state;
                }
                // Writes are decided in order, and reads behind them have not started.
                Poll::Pending if self.entries[index].state.is_undecided_write() => break,
                Poll::Pending => {}
            }
            is_front &= matches!(self.entries[index].state, AnswerState::Ready(_));
        }
        if self.start_reads() {
            context.waker().wake_by_ref();
        }
        self.check_invariants();
        match self.entries.front().map(|oldest| &oldest.state) {
            Some(AnswerState::Ready(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// `is_front` if all answers before this one are ready.
    fn complete(&self, completion: Completion, is_front: bool) -> AnswerState {
        match completion {
            Completion::Read(answer) => AnswerState::Ready(answer),
            Completion::Broadcast(id, outcome) => self.complete_broadcast(id.as_ref(), outcome),
            Completion::Write(id, kind, outcome) => {
                self.complete_write(id, kind, outcome, is_front)
            }
        }
    }

    /// Encodes the outcome of a write if there is room for that, else keeps what it takes to read it again. A large
    /// answer behind others takes no room: else all room could be held by answers that wait for others.
    fn complete_write(
        &self,
        id: Option<RequestId>,
        kind: RequestKind,
        outcome: Outcome,
        is_front: bool,
    ) -> AnswerState {
        let outcome = self.node.shown(outcome);
        let frame = match &outcome {
            Ok(done) => {
                self.node.count_done(kind.as_str(), done.is_repeated);
                protocol::write_done(id.as_ref(), kind, &done.changes, done.is_repeated)
            }
            Err(error) => {
                let failure = Failure::from(error.clone());
                self.node.count(kind.as_str(), Err(&failure));
                protocol::error(id.as_ref(), Some(kind), &failure)
            }
        };
        if self.unreserved_bytes + frame.len() <= limits::SESSION_FREE_BYTES {
            return AnswerState::Ready(Answer::Frame(frame, None));
        }
        if let Some(share) = self.node.budget().try_reserve(frame.len())
            && is_front
        {
            return AnswerState::Ready(Answer::Frame(frame, Some(share)));
        }
        let read = Read::of_outcome(kind, outcome, frame.len());
        AnswerState::deferred(self.node.clone(), id, read)
    }

    fn complete_broadcast(
        &self,
        id: Option<&RequestId>,
        outcome: Result<(), SubmitError>,
    ) -> AnswerState {
        let (kind, outcome) = (RequestKind::Broadcast, outcome.map_err(Failure::from));
        self.node.count(kind.as_str(), outcome.as_ref().map(drop));
        let frame = match outcome {
            Ok(()) => protocol::broadcast_done(id),
            Err(failure) => protocol::error(id, Some(kind), &failure),
        };
        AnswerState::Ready(Answer::Frame(frame, None))
    }

    /// Starts every read that may start; whether there was one.
    fn start_reads(&mut self) -> bool {
        let states = self.entries.iter_mut().map(|entry| &mut entry.state);
        states
            .take_while(|state| !state.is_undecided_write())
            .enumerate()
            .fold(false, |started, (index, state)| {
                state.start(index == 0) || started
            })
    }

    /// The entries are few ([`limits::SESSION_REQUESTS_MAX`]), but this runs with each of them.
    fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            let sum = |bytes: fn(&QueuedAnswer) -> usize| self.entries.iter().map(bytes).sum();
            let (requests, unreserved): (usize, usize) = (
                sum(|entry| entry.request_bytes),
                sum(|entry| entry.state.unreserved_bytes()),
            );
            assert_eq!(requests, self.request_bytes);
            assert_eq!(unreserved, self.unreserved_bytes);
            let states = self.entries.iter().map(|entry| &entry.state);
            let mut behind_write = states.skip_while(|state| !state.is_undecided_write());
            let is_running = |state: &AnswerState| matches!(state, AnswerState::Running(_));
            assert!(
                !behind_write.any(is_running),
                "a read overtook a write that it must see"
            );
        }
    }
}

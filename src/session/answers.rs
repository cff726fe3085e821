//! The answers a session owes, in the order of their requests.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::engine;
use crate::feed::Subscription;
use crate::limits;
use crate::protocol::{self, Failure, Frame, Mode, Name, RequestId, SubName, Subscribe};
use crate::query::Query;
use crate::service::Service;

/// Answers owed, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Answers {
    owed: VecDeque<(Pending, usize)>,
    /// Of the requests that are owed an answer.
    bytes: usize,
}

/// An answer whose turn it is.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing is left to do but to send it.
    Frame(Frame),
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
    Write(Option<RequestId>, Name, oneshot::Receiver<engine::Outcome>),
    /// With the engine.
    Announcement(
        Option<RequestId>,
        oneshot::Receiver<Result<(), engine::Refused>>,
    ),
    /// Not begun: writes stand before it.
    Held(Box<Held>),
    /// In a task of its own, because a call to a store is never dropped half-way.
    Running(JoinHandle<Answer>, Weight),
}

/// How much an answer weighs beside its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// A page of events is far larger.
    Page,
    /// Nothing to speak of.
    Light,
}

/// A request that can be begun.
#[derive(Debug, Clone)]
pub(super) struct Held {
    service: Service,
    id: Option<RequestId>,
    read: Read,
}

/// What reads the store.
#[derive(Debug, Clone)]
enum Read {
    Fetch(Arc<Query>),
    Subscribe(SubName, Box<Subscribe>, Arc<Notify>),
}

impl Pending {
    pub(super) fn write(
        id: Option<RequestId>,
        name: Name,
    ) -> impl FnOnce(oneshot::Receiver<engine::Outcome>) -> Self {
        move |outcome| Self::Write(id, name, outcome)
    }

    pub(super) fn announcement(
        id: Option<RequestId>,
    ) -> impl FnOnce(oneshot::Receiver<Result<(), engine::Refused>>) -> Self {
        move |outcome| Self::Announcement(id, outcome)
    }

    pub(super) fn fetch(service: Service, id: Option<RequestId>, query: Arc<Query>) -> Self {
        let read = Read::Fetch(query);
        Self::Held(Box::new(Held { service, id, read }))
    }

    pub(super) fn subscribe(
        service: Service,
        id: Option<RequestId>,
        sub: SubName,
        asked: Box<Subscribe>,
        bell: Arc<Notify>,
    ) -> Self {
        let read = Read::Subscribe(sub, asked, bell);
        Self::Held(Box::new(Held { service, id, read }))
    }

    pub(super) fn failed(id: Option<&RequestId>, name: Option<Name>, failure: &Failure) -> Self {
        Self::Ready(Answer::Frame(protocol::error(id, name, failure)))
    }

    /// Whether a FETCH behind this one must wait for it.
    fn may_write(&self) -> bool {
        match self {
            Self::Write(..) => true,
            Self::Ready(_) | Self::Announcement(..) | Self::Held(_) | Self::Running(..) => false,
        }
    }

    /// What it counts for at least: the answer to a FETCH is far larger than its request.
    pub(super) fn bytes_min(&self) -> usize {
        let weight = match self {
            Self::Held(held) => held.weight(),
            Self::Running(_, weight) => *weight,
            Self::Ready(_) | Self::Write(..) | Self::Announcement(..) => Weight::Light,
        };
        match weight {
            Weight::Page => limits::SESSION_REQUEST_BYTES_MAX / limits::SESSION_FETCHES_MAX,
            Weight::Light => 0,
        }
    }

    /// Whether it may be begun with others before it. What takes a turn may not: it would keep the turn until
    /// they are answered, and they may wait for one.
    fn may_overtake(&self) -> bool {
        match self {
            Self::Held(held) => !held.takes_turn(),
            Self::Ready(_) | Self::Write(..) | Self::Announcement(..) | Self::Running(..) => true,
        }
    }

    fn begin(&mut self) {
        if let Self::Held(held) = self {
            let weight = held.weight();
            *self = Self::Running(tokio::spawn(held.clone().run()), weight);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        match self {
            Self::Write(id, name, outcome) => outcome.poll_unpin(context).map(|outcome| {
                let done = outcome.unwrap_or(Err(engine::Refused::Unknown));
                let frame = done.map(|done| {
                    protocol::answer(id.as_ref(), *name, &done.changes, done.is_repeated)
                });
                answer(id.as_ref(), *name, frame)
            }),
            Self::Announcement(id, outcome) => outcome.poll_unpin(context).map(|outcome| {
                let sent = outcome.unwrap_or(Err(engine::Refused::Unknown));
                let frame = sent.map(|()| protocol::announced(id.as_ref()));
                answer(id.as_ref(), Name::Broadcast, frame)
            }),
            Self::Running(task, _) => task
                .poll_unpin(context)
                .map(|answer| answer.expect("a read catches its panics")),
            Self::Ready(_) | Self::Held(_) => Poll::Pending,
        }
    }
}

fn answer(id: Option<&RequestId>, name: Name, frame: Result<Frame, engine::Refused>) -> Answer {
    Answer::Frame(
        frame.unwrap_or_else(|refused| protocol::error(id, Some(name), &Failure::from(refused))),
    )
}

impl Held {
    fn weight(&self) -> Weight {
        match self.read {
            Read::Fetch(_) => Weight::Page,
            Read::Subscribe(..) => Weight::Light,
        }
    }

    fn takes_turn(&self) -> bool {
        match &self.read {
            Read::Fetch(_) => false,
            Read::Subscribe(_, asked, _) => asked.snapshot || asked.mode == Mode::Latest,
        }
    }

    /// A panic is in the server's log already, and costs its own request alone.
    async fn run(self: Box<Self>) -> Answer {
        let (id, name) = (self.id.clone(), self.name());
        let answer = AssertUnwindSafe(self.answer()).catch_unwind().await;
        answer.unwrap_or_else(|_| {
            Answer::Frame(protocol::error(
                id.as_ref(),
                Some(name),
                &Failure::internal(),
            ))
        })
    }

    fn name(&self) -> Name {
        match self.read {
            Read::Fetch(_) => Name::Fetch,
            Read::Subscribe(..) => Name::Subscribe,
        }
    }

    async fn answer(self: Box<Self>) -> Answer {
        let name = self.name();
        let Self { service, id, read } = *self;
        let answer = match read {
            Read::Fetch(query) => {
                let page = service.fetch(&query).await;
                let frame = page.map(|page| protocol::page(id.as_ref(), &page));
                frame.map(Answer::Frame)
            }
            Read::Subscribe(sub, asked, bell) => {
                let armed = service.subscribe(&asked, &bell).await;
                let subscribed = armed.map(|(subscription, stale)| Subscribed {
                    id: id.clone(),
                    sub,
                    subscription,
                    stale,
                });
                let boxed = subscribed.map(Box::new);
                boxed.map(Answer::Subscribed)
            }
        };
        answer.unwrap_or_else(|failure| {
            Answer::Frame(protocol::error(id.as_ref(), Some(name), &failure))
        })
    }
}

impl Answers {
    /// Owes one more answer, to a request of `bytes`.
    pub(super) fn push(&mut self, pending: Pending, bytes: usize) {
        self.bytes += bytes;
        self.owed.push_back((pending, bytes));
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
        let is_ready = |(oldest, _): &mut (Pending, usize)| matches!(oldest, Pending::Ready(_));
        let (pending, bytes) = self.owed.pop_front_if(is_ready)?;
        self.bytes -= bytes;
        self.begin_reads();
        let Pending::Ready(answer) = pending else {
            unreachable!("only what is ready is taken");
        };
        Some(answer)
    }

    /// Looks at answers in order up to the first that is not ready.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut found = Poll::Pending;
        for (pending, _) in &mut self.owed {
            if !matches!(pending, Pending::Ready(_)) {
                match pending.poll(context) {
                    Poll::Ready(answer) => *pending = Pending::Ready(answer),
                    Poll::Pending => break,
                }
            }
            found = Poll::Ready(());
        }
        found
    }

    /// Begins every read that no unanswered write stands before.
    fn begin_reads(&mut self) {
        self.owed
            .iter_mut()
            .map(|(pending, _)| pending)
            .take_while(|pending| !pending.may_write())
            .enumerate()
            .filter(|(before, pending)| *before == 0 || pending.may_overtake())
            .for_each(|(_, pending)| pending.begin());
    }
}

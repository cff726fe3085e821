//! The answers a session owes, in the order of their requests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::domain::Change;
use crate::engine;
use crate::limits;
use crate::protocol::{self, Failure, Frame, Name, RequestId};
use crate::query::Query;
use crate::service::Service;

/// Answers owed, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Answers {
    owed: VecDeque<(Pending, usize)>,
    /// Of the requests that are owed an answer.
    bytes: usize,
}

/// An answer in the making.
#[derive(Debug)]
pub(super) enum Pending {
    /// It only waits its turn.
    Ready(Frame),
    /// With the engine.
    Write(Option<RequestId>, Name, oneshot::Receiver<engine::Outcome>),
    /// With the engine.
    Announcement(
        Option<RequestId>,
        Name,
        oneshot::Receiver<Result<(), engine::Refused>>,
    ),
    /// Not begun: writes stand before it.
    Held(Box<Fetch>),
    /// In a task of its own, because a call to a store is never dropped half-way.
    Running(JoinHandle<Frame>),
}

/// A FETCH that can be begun.
#[derive(Debug)]
pub(super) struct Fetch {
    service: Service,
    id: Option<RequestId>,
    query: Arc<Query>,
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
        name: Name,
    ) -> impl FnOnce(oneshot::Receiver<Result<(), engine::Refused>>) -> Self {
        move |outcome| Self::Announcement(id, name, outcome)
    }

    pub(super) fn fetch(service: Service, id: Option<RequestId>, query: Arc<Query>) -> Self {
        Self::Held(Box::new(Fetch { service, id, query }))
    }

    /// Whether a FETCH behind this one must wait for it.
    fn may_write(&self) -> bool {
        match self {
            Self::Write(..) => true,
            Self::Ready(_) | Self::Announcement(..) | Self::Held(_) | Self::Running(_) => false,
        }
    }

    /// What it counts for at least: the answer to a FETCH is far larger than its request.
    pub(super) fn bytes_min(&self) -> usize {
        match self {
            Self::Held(_) | Self::Running(_) => {
                limits::SESSION_REQUEST_BYTES_MAX / limits::SESSION_FETCHES_MAX
            }
            Self::Ready(_) | Self::Write(..) | Self::Announcement(..) => 0,
        }
    }

    fn begin(&mut self) {
        if let Self::Held(fetch) = self {
            let Fetch { service, id, query } = &**fetch;
            *self = Self::Running(tokio::spawn(run(
                service.clone(),
                id.clone(),
                Arc::clone(query),
            )));
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Frame> {
        match self {
            Self::Ready(frame) => Poll::Ready(frame.clone()),
            Self::Write(id, name, outcome) => outcome.poll_unpin(context).map(|outcome| {
                let outcome = outcome.unwrap_or(Err(engine::Refused::Unknown));
                frame(
                    id.as_ref(),
                    *name,
                    outcome.as_ref().map(|change| Some(&**change)),
                )
            }),
            Self::Announcement(id, name, outcome) => outcome.poll_unpin(context).map(|outcome| {
                let outcome = outcome.unwrap_or(Err(engine::Refused::Unknown));
                frame(id.as_ref(), *name, outcome.as_ref().map(|()| None))
            }),
            Self::Running(task) => task
                .poll_unpin(context)
                .map(|frame| frame.expect("a FETCH does not panic")),
            Self::Held(_) => Poll::Pending,
        }
    }
}

fn frame(
    id: Option<&RequestId>,
    name: Name,
    outcome: Result<Option<&Change>, &engine::Refused>,
) -> Frame {
    match outcome {
        Ok(change) => protocol::answer(id, name, change),
        Err(refused) => protocol::error(id, Some(name), &Failure::from(refused.clone())),
    }
}

async fn run(service: Service, id: Option<RequestId>, query: Arc<Query>) -> Frame {
    match service.fetch(&query).await {
        Ok(page) => protocol::page(id.as_ref(), &page),
        Err(failure) => protocol::error(id.as_ref(), Some(Name::Fetch), &failure),
    }
}

impl Answers {
    /// Owes one more answer, to a request of `bytes`.
    pub(super) fn push(&mut self, pending: Pending, bytes: usize) {
        self.bytes += bytes;
        self.owed.push_back((pending, bytes));
        self.begin_fetches();
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

    /// Adds the answers that [`ready`](Self::ready) found, the oldest first.
    pub(super) fn take(&mut self, frames: &mut Vec<Frame>) {
        while let Some((pending, bytes)) = self
            .owed
            .pop_front_if(|(oldest, _)| matches!(oldest, Pending::Ready(_)))
        {
            self.bytes -= bytes;
            if let Pending::Ready(frame) = pending {
                frames.push(frame);
            }
        }
        self.begin_fetches();
    }

    /// Looks at answers in order up to the first that is not ready.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut found = Poll::Pending;
        for (pending, _) in &mut self.owed {
            match pending.poll(context) {
                Poll::Ready(frame) => *pending = Pending::Ready(frame),
                Poll::Pending => break,
            }
            found = Poll::Ready(());
        }
        found
    }

    /// Begins every FETCH that no unanswered write stands before.
    fn begin_fetches(&mut self) {
        for (pending, _) in self
            .owed
            .iter_mut()
            .take_while(|(pending, _)| !pending.may_write())
        {
            pending.begin();
        }
    }
}

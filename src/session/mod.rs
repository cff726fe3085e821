//! One connection's conversation, free of any transport: text comes in, frames go out.
//!
//! Requests are answered in the order they came. A FETCH begins only when the writes before it are
//! decided, so it sees them. Frames are pulled: a client that does not read costs nothing but the
//! requests it has in flight, and those are bounded.
//!
//! Beside its answers a session hears what its [`Listener`] hears, and its named subscriptions.

mod answers;
mod outbox;
mod reads;
mod subscriptions;

use std::convert::Infallible;
use std::task::Poll;

use uuid::Uuid;

use crate::domain::Seq;
use crate::limits;
use crate::node::Epoch;
use crate::node::Node;
use crate::node::Requester;
use crate::node::Share;
use crate::node::{Interest, Listener};
use crate::protocol;
use crate::protocol::{
    Code, Failure, Frame, ParsedRequest, RefusedRequest, Request, RequestId, RequestKind, SubName,
};
use crate::value::Invalid;
use answers::{Answer, Answers, Pending, Subscribed};
pub use outbox::{Outbox, Piece};
use reads::Read;
use subscriptions::Subscriptions;

/// What a client asks for when it connects.
#[derive(Debug, Clone, Copy)]
pub struct SessionOptions {
    /// Whether it wants every change.
    pub interest: Interest,
    /// The position to resume from; `None` is from now on.
    pub after: Option<Seq>,
    /// The log that position belongs to, if the client says.
    pub epoch: Option<Epoch>,
}

/// One client connection.
#[derive(Debug)]
pub struct Session {
    node: Node,
    /// Its share of the writer is its own.
    source: Requester,
    answers: Answers,
    listener: Listener,
    subscriptions: Subscriptions,
    over: Option<Code>,
    /// Who was first to fill the last flush.
    listens_first: bool,
    /// Taken for what subscriptions tell next.
    room: Option<Share>,
}

impl Session {
    /// Opens a session; the first frames are its greeting.
    ///
    /// # Errors
    /// If it takes the store to judge the position asked for, and the store cannot be reached.
    pub async fn open(node: Node, opening: SessionOptions) -> Result<(Self, Vec<Frame>), Failure> {
        let stale = node.stale(opening.after, opening.epoch).await?;
        let after = opening.after.filter(|_| stale.is_none());
        let listener = node.listen(after, opening.interest);
        let seq = listener.seq();
        let mut greeting = vec![protocol::welcome(node.epoch().0, seq, Uuid::new_v4())];
        greeting.extend(stale.map(|reason| protocol::reset(reason, seq)));
        Ok((
            Self {
                answers: Answers::new(node.clone()),
                node,
                source: Requester::new(),
                listener,
                subscriptions: Subscriptions::default(),
                over: None,
                listens_first: false,
                room: None,
            },
            greeting,
        ))
    }

    /// Takes in one message. Its answer comes out of [`next`](Self::next).
    pub fn receive(&mut self, text: &str) {
        if text.len() > limits::MESSAGE_BYTES_MAX {
            let message = format!(
                "messages must not exceed {} bytes",
                limits::MESSAGE_BYTES_MAX
            );
            return self.refuse(&Failure::new(Code::MessageTooLarge, message));
        }
        let pending = match ParsedRequest::parse(text) {
            Ok(asked) => self.begin(asked),
            Err(RefusedRequest { id, name, failure }) => {
                self.node.count(word(name), Err(&failure));
                Pending::failed(id.as_ref(), name, &failure)
            }
        };
        self.answers.push(pending, text.len());
    }

    /// Answers a message that is no text, or no message at all.
    pub fn refuse(&mut self, failure: &Failure) {
        self.node.count(word(None), Err(failure));
        self.answers.push(Pending::failed(None, None, failure), 0);
    }

    /// Whether another message may be taken in now; otherwise once [`next`](Self::next) has answered some.
    pub fn has_room(&self) -> bool {
        self.answers.have_room()
    }

    /// Waits for frames and adds those that are there, up to about one flush. Safe to drop and call again.
    pub async fn next(&mut self, outbox: &mut Outbox) {
        tokio::select! {
            biased;
            () = self.answers.ready() => {}
            () = self.listener.ready() => {}
            () = self.subscriptions.ready() => {}
        }
        self.answer(outbox);
        // Whoever goes first fills the flush, so they take turns.
        self.listens_first = !self.listens_first;
        if self.listens_first {
            self.listen(outbox);
        }
        self.subscriptions.look().await;
        if self.subscriptions.have_news() && outbox.is_empty() && self.room.is_none() {
            let reserving = self.node.news().reserve(limits::NEWS_BYTES_MAX);
            tokio::select! {
                room = reserving => self.room = Some(room),
                () = self.answers.ready() => self.answer(outbox),
            }
        }
        self.tell(outbox);
        if !self.listens_first {
            self.listen(outbox);
        }
    }

    fn listen(&mut self, outbox: &mut Outbox) {
        let taken = self.listener.take(|frame| outbox.push(frame, None));
        outbox.note(self.listener.heard());
        if let Err(error) = taken {
            let failure = Failure::from(error);
            outbox.push(protocol::error(None, None, &failure), None);
            self.over = Some(failure.code);
        }
    }

    /// Why the session cannot go on, when it has said all that it can: then it is to be closed.
    pub fn over(&self) -> Option<Code> {
        self.over
    }

    /// What subscriptions tell is copied for each, so it takes room of the node's budget. Without room they wait.
    fn tell(&mut self, outbox: &mut Outbox) {
        if !self.subscriptions.have_news() {
            return;
        }
        let room = self.room.take();
        let Some(mut room) = room.or_else(|| self.node.news().try_reserve(limits::NEWS_BYTES_MAX))
        else {
            return;
        };
        let (_, before) = outbox.size();
        self.subscriptions.take(outbox);
        let (_, after) = outbox.size();
        if after - before > limits::FLUSH_BYTES_MAX {
            room.shrink_to(after - before);
            outbox.hold(room);
        }
    }

    /// Takes in what arrives for answers whose client does not read them yet. Never ends. Safe to drop.
    pub async fn settle(&mut self) -> Infallible {
        std::future::poll_fn(|context| {
            let _ = self.answers.poll_ready(context);
            Poll::Pending
        })
        .await
    }

    /// Whether every request that was taken in is answered.
    pub fn owes_nothing(&self) -> bool {
        self.answers.is_empty()
    }

    /// Waits for the next answers alone: a session that is about to end hears nothing else.
    pub async fn finish(&mut self, outbox: &mut Outbox) {
        self.answers.ready().await;
        self.answer(outbox);
    }

    /// Gives the answers that are ready. What a request does to the session itself is done here, so that
    /// its requests take effect in the order of their answers.
    fn answer(&mut self, outbox: &mut Outbox) {
        while let Some(answer) = self.answers.pop() {
            match answer {
                Answer::Frame(frame, share) => outbox.push(frame, share),
                Answer::Subscribed(subscribed) => self.subscribed(*subscribed, outbox),
                Answer::Unsubscribe(id, sub) => {
                    let frame = match self.unsubscribe(&sub) {
                        Ok(()) => protocol::unsubscribed(id.as_ref(), &sub),
                        Err(failure) => {
                            protocol::error(id.as_ref(), Some(RequestKind::Unsubscribe), &failure)
                        }
                    };
                    outbox.push(frame, None);
                }
            }
        }
    }

    fn unsubscribe(&mut self, sub: &SubName) -> Result<(), Failure> {
        let outcome = match self.subscriptions.remove(sub) {
            true => Ok(()),
            false => {
                let reason = format!("there is no subscription {:?}", sub.as_str());
                let missing = Invalid::new("payload.sub", reason);
                Err(Failure::at(Code::NotFound, missing))
            }
        };
        let name = Some(RequestKind::Unsubscribe);
        self.node.count(word(name), outcome.as_ref().map(drop));
        outcome
    }

    fn subscribed(&mut self, subscribed: Subscribed, outbox: &mut Outbox) {
        let Subscribed {
            id,
            sub,
            subscription,
            stale,
        } = subscribed;
        if let Err(failure) = self.subscriptions.check(&sub, subscription.filter_weight()) {
            self.node
                .count(RequestKind::Subscribe.as_str(), Err(&failure));
            let error = protocol::error(id.as_ref(), Some(RequestKind::Subscribe), &failure);
            return outbox.push(error, None);
        }
        self.node.count(RequestKind::Subscribe.as_str(), Ok(()));
        let seq = subscription.seq();
        outbox.push(protocol::subscribed(id.as_ref(), &sub, seq), None);
        outbox.extend(stale.map(|reason| protocol::reset(reason, seq).of(&sub)));
        self.subscriptions.add(sub, subscription);
    }

    fn read(&self, id: Option<RequestId>, read: Read) -> Pending {
        Pending::read(self.node.clone(), id, read)
    }

    fn begin(&self, asked: ParsedRequest) -> Pending {
        let ParsedRequest { id, name, request } = asked;
        let begun = match request {
            Request::Write(order) => self
                .node
                .submit(&self.source, order)
                .map(Pending::write(id.clone(), name)),
            Request::Broadcast(payload) => self
                .node
                .announce(&self.source, payload)
                .map(Pending::announcement(id.clone())),
            Request::Fetch(fetch) => {
                let read = Read::Fetch(self.source.clone(), fetch);
                Ok(self.read(id.clone(), read))
            }
            Request::Subscribe(sub, asked) => {
                let read = Read::Subscribe(sub, asked, self.subscriptions.bell());
                Ok(self.read(id.clone(), read))
            }
            Request::Unsubscribe(sub) => Ok(Pending::Ready(Answer::Unsubscribe(id.clone(), sub))),
        };
        begun.unwrap_or_else(|failure| {
            self.node.count(name.as_str(), Err(&failure));
            Pending::failed(id.as_ref(), Some(name), &failure)
        })
    }
}

/// By what a request is counted of which perhaps nothing could be read.
fn word(name: Option<RequestKind>) -> &'static str {
    name.map_or("unknown", RequestKind::as_str)
}

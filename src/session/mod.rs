//! One client's conversation, free of any transport: text comes in, frames go out.
//!
//! Requests are answered in the order in which they came, and take effect on the session in that order. A FETCH starts
//! only when the writes before it are decided, so it sees them. Frames are pulled: a client that does not read costs
//! only the requests it has in flight, and those are bounded.
//!
//! `intake` is what is done about a message, `answers` the queue of answers owed, `reads` the answers that take reading the
//! store, `subscriptions` the named subscriptions, `rights` what happens when the client's rights become others, and `outbox`
//! the frames that are on their way to the socket. Beside these a session has a [`Listener`]: every change, if it asked for
//! them, and broadcasts. A PING is answered beside the queue: it asks whether
//! the session lives, not whether its reads have had their turn.

mod answers;
mod intake;
mod outbox;
mod reads;
mod rights;
mod subscriptions;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::Poll;
use std::time::Duration;

use futures::future;
use tokio::time::sleep;
use uuid::Uuid;

use crate::domain::Seq;
use crate::guard::Admission;
use crate::limits;
use crate::node::{Epoch, Guarded, Interest, Listener, Node, Share};
use crate::protocol;
use crate::protocol::{Code, Failure, Frame, RequestId, RequestKind, SubName, Subscribe};
use crate::quota::{Caller, SessionSeat};
use crate::value::Invalid;
use answers::{Answer, AnswerQueue, AnswerState, Subscribed};
pub use outbox::{Fragment, Outbox, UnsentFrame, UnsentFrames};
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
    node: Guarded,
    /// Why it may do what it does, and how long.
    admission: Admission,
    /// Whether credentials are being looked at: what follows them is for whom they make of the client.
    is_authenticating: bool,
    answers: AnswerQueue,
    /// PINGs that are not answered yet.
    pings: VecDeque<Option<RequestId>>,
    listener: Listener,
    subscriptions: Subscriptions,
    /// Why it cannot go on.
    end: Option<Code>,
    /// One of those that its principal may have.
    seat: SessionSeat,
    /// Whether the listener filled the last flush first.
    is_listener_first: bool,
    /// Reserved for the next frames of subscriptions.
    delivery_share: Option<Share>,
}

impl Session {
    /// Opens a session; the first frames are its greeting.
    ///
    /// # Errors
    /// If its principal has all sessions that it may; or if the store is needed to judge the position asked for, and cannot be reached.
    pub async fn open(
        node: Node,
        admission: Admission,
        caller: &Caller,
        options: SessionOptions,
    ) -> Result<(Self, Vec<Frame>), Failure> {
        let node = Guarded::new(node, admission.grant().clone(), caller);
        let seat = node.seat()?;
        let mut subscriptions = Subscriptions::default();
        let (listener, seq, stale) = match node.has_plain_feed() {
            true => listen(&node, options).await?,
            false => subscribe(&node, options, &mut subscriptions).await?,
        };
        let (epoch, who) = (node.epoch().0, admission.shown());
        let access = who.role.map(|_| admission.grant().sight());
        let mut greeting = vec![protocol::welcome(epoch, seq, Uuid::new_v4(), &who, access)];
        greeting.extend(stale.map(|reason| protocol::reset(reason, seq)));
        Ok((
            Self {
                answers: AnswerQueue::new(node.clone()),
                pings: VecDeque::new(),
                node,
                admission,
                is_authenticating: false,
                listener,
                subscriptions,
                end: None,
                seat,
                is_listener_first: false,
                delivery_share: None,
            },
            greeting,
        ))
    }

    /// Whether another message may be received now; otherwise once [`next`](Self::next) has taken some answers.
    pub fn has_room(&self) -> bool {
        !self.is_authenticating
            && self.node.quota().pause().is_none()
            && self.answers.has_room()
            && self.pings.len() < limits::SESSION_PINGS_MAX
    }

    /// Waits for frames and adds those that are there, up to about one flush. Safe to drop and call again.
    pub async fn next(&mut self, outbox: &mut Outbox) {
        tokio::select! {
            biased;
            () = future::ready(()), if !self.pings.is_empty() => {}
            () = rest(self.node.quota().pause()) => {}
            changed = self.admission.changed() => self.go_by_admission(changed, outbox),
            () = self.answers.ready() => {}
            () = self.listener.ready() => {}
            () = self.subscriptions.ready() => {}
        }
        self.take_pongs(outbox);
        self.take_answers(outbox);
        // The first of them may fill the flush, so they alternate.
        self.is_listener_first = !self.is_listener_first;
        if self.is_listener_first {
            self.take_changes(outbox);
        }
        self.subscriptions.poll_once().await;
        if self.subscriptions.is_any_ready() && outbox.is_empty() && self.delivery_share.is_none() {
            let reserving = self
                .node
                .subscription_budget()
                .reserve(limits::SUBSCRIPTION_FLUSH_BYTES_MAX);
            tokio::select! {
                share = reserving => self.delivery_share = Some(share),
                () = self.answers.ready() => self.take_answers(outbox),
            }
        }
        self.take_deliveries(outbox);
        if !self.is_listener_first {
            self.take_changes(outbox);
        }
    }

    fn take_changes(&mut self, outbox: &mut Outbox) {
        let taken = self.listener.take(|frame| outbox.push(frame, None));
        outbox.note_received(self.listener.arrived());
        if let Err(error) = taken {
            let failure = Failure::from(error);
            outbox.push(protocol::error(None, None, &failure), None);
            self.end = Some(failure.code);
        }
    }

    /// Why the session cannot go on: once its frames are sent it is to be closed with this.
    pub fn end(&self) -> Option<Code> {
        self.end
    }

    /// Takes frames of subscriptions. They are copied for each, so they need a share of the node's budget; without
    /// one they wait.
    fn take_deliveries(&mut self, outbox: &mut Outbox) {
        if !self.subscriptions.is_any_ready() {
            return;
        }
        let reserved = self.delivery_share.take();
        let budget = self.node.subscription_budget();
        let Some(mut share) =
            reserved.or_else(|| budget.try_reserve(limits::SUBSCRIPTION_FLUSH_BYTES_MAX))
        else {
            return;
        };
        let (_, before) = outbox.size();
        if let Err(failure) = self.subscriptions.take(outbox) {
            outbox.push(protocol::error(None, None, &failure), None);
            self.end = Some(failure.code);
        }
        let (_, after) = outbox.size();
        if after - before > limits::FLUSH_BYTES_MAX {
            share.shrink_to(after - before);
            outbox.hold(share);
        }
    }

    /// Completes answers while the client does not read them. Never ends. Safe to drop.
    pub async fn complete_answers(&mut self) -> Infallible {
        std::future::poll_fn(|context| {
            let _ = self.answers.poll_ready(context);
            Poll::Pending
        })
        .await
    }

    /// Whether every message that was received is answered.
    pub fn is_drained(&self) -> bool {
        self.answers.is_empty() && self.pings.is_empty()
    }

    /// Waits for the next answers alone, and adds them: for a session that is about to end.
    pub async fn drain(&mut self, outbox: &mut Outbox) {
        self.take_pongs(outbox);
        if outbox.is_empty() {
            self.answers.ready().await;
        }
        self.take_answers(outbox);
    }

    fn take_pongs(&mut self, outbox: &mut Outbox) {
        let seq = self.node.seq();
        for id in self.pings.drain(..) {
            outbox.push(protocol::pong(id.as_ref(), seq), None);
        }
    }

    /// Takes the answers that are ready. What a request does to the session itself is done here, so that requests take
    /// effect in the order of their answers.
    fn take_answers(&mut self, outbox: &mut Outbox) {
        while let Some(answer) = self.answers.pop() {
            match answer {
                Answer::Frame(frame, share) => outbox.push_answer(frame, share),
                Answer::Subscribed(subscribed) => self.add_subscription(*subscribed, outbox),
                Answer::Resubscribed(resubscribed) => {
                    self.resume_subscription(*resubscribed, outbox)
                }
                Answer::Authenticated(id, admitted) => {
                    self.authenticated(id.as_ref(), *admitted, outbox)
                }
                Answer::Unsubscribe(id, sub) => {
                    let frame = match self.remove_subscription(&sub) {
                        Ok(()) => protocol::unsubscribed(id.as_ref(), &sub),
                        Err(failure) => {
                            protocol::error(id.as_ref(), Some(RequestKind::Unsubscribe), &failure)
                        }
                    };
                    outbox.push_answer(frame, None);
                }
            }
        }
    }

    fn remove_subscription(&mut self, sub: &SubName) -> Result<(), Failure> {
        let outcome = match self.subscriptions.remove(sub) {
            true => Ok(()),
            false => {
                let reason = format!("there is no subscription {:?}", sub.as_str());
                let missing = Invalid::new("payload.sub", reason);
                Err(Failure::at(Code::NotFound, missing))
            }
        };
        let kind = Some(RequestKind::Unsubscribe);
        self.node.count(label(kind), outcome.as_ref().map(drop));
        outcome
    }

    fn add_subscription(&mut self, subscribed: Subscribed, outbox: &mut Outbox) {
        let Subscribed {
            id,
            sub,
            asked,
            subscription,
            grant,
            stale,
        } = subscribed;
        let kind = RequestKind::Subscribe;
        let most = self.node.quota().subscriptions_max();
        let checked = self
            .subscriptions
            .check(&sub, subscription.approx_filter_bytes(), most);
        self.node.count(kind.as_str(), checked.as_ref().map(drop));
        if let Err(failure) = checked {
            let error = protocol::error(id.as_ref(), Some(kind), &failure);
            return outbox.push_answer(error, None);
        }
        let seq = subscription.seq();
        outbox.push_answer(protocol::subscribed(id.as_ref(), &sub, seq), None);
        let reset = stale.map(|reason| protocol::reset(reason, seq).for_subscription(&sub));
        outbox.extend(reset);
        self.subscriptions
            .add(Some(sub.clone()), asked, subscription);
        if !grant.sees_as(self.node.grant()) {
            self.begin_anew(Some(&sub));
        }
    }

    fn read(&self, id: Option<RequestId>, read: Read) -> AnswerState {
        AnswerState::deferred(self.node.clone(), id, read)
    }
}

/// Waits so long; for ever if there is nothing to wait for.
async fn rest(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => future::pending().await,
    }
}

/// What a session hears without a subscription: every change after a position, if it asked for them, and broadcasts.
type DefaultFeed = (Listener, Seq, Option<&'static str>);

async fn listen(node: &Guarded, options: SessionOptions) -> Result<DefaultFeed, Failure> {
    let stale = node.stale_reason(options.after, options.epoch).await?;
    let after = options.after.filter(|_| stale.is_none());
    let listener = node.listen(after, options.interest);
    let seq = listener.seq();
    Ok((listener, seq, stale))
}

/// The same for who does not see everything: the changes come by a subscription that has no name.
async fn subscribe(
    node: &Guarded,
    options: SessionOptions,
    subscriptions: &mut Subscriptions,
) -> Result<DefaultFeed, Failure> {
    let listener = node.listen(None, Interest::Broadcasts);
    if options.interest == Interest::Broadcasts {
        let seq = listener.seq();
        return Ok((listener, seq, None));
    }
    let everything = Subscribe {
        after: options.after,
        epoch: options.epoch.map(|epoch| epoch.0),
        ..Subscribe::everything()
    };
    let (feed, stale) = node.subscribe(&everything, &subscriptions.wakeup()).await?;
    let seq = feed.seq();
    subscriptions.add(None, Box::new(everything), feed);
    Ok((listener, seq, stale))
}

/// The label by which a request is counted, also if nothing could be read of it.
fn label(kind: Option<RequestKind>) -> &'static str {
    kind.map_or("unknown", RequestKind::as_str)
}

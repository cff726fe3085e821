//! The task of a session that polls. Its client's requests come to it: a poll waits until there is something to send, a
//! post is answered once the session has taken all of it, and a WebSocket may take the session over.
//!
//! Back-pressure: no frames are pulled while some wait for the next poll, and a post is read on only while the session
//! has room. A client is away while it has no poll here and none is being answered: then it has to come back in time.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use super::client::SocketIoClient;
use super::poll_body::PollBody;
use super::registry::Registered;
use crate::limits;
use crate::node::{Counted, Node, Share, Transport};
use crate::protocol::socketio;
use crate::session::{Outbox, UnsentFrames};
use crate::transport::routes::conversation::Conversation;

/// How long a session that ends waits for a poll to say so.
const LAST_POLL_DEADLINE: Duration = Duration::from_secs(1);

/// What a client asks of its session.
pub(super) enum PollingRequest {
    /// What there is to send, once there is something.
    Poll(oneshot::Sender<PollBody>),
    /// These packets are for the session; the answer is that it has taken them.
    Post(Utf8Bytes, oneshot::Sender<()>),
    /// A WebSocket is being tried; polls are answered at once until the other end is dropped.
    Probe(oneshot::Receiver<Infallible>),
    /// The WebSocket works, and the session goes there.
    Upgrade(oneshot::Sender<HandedOver>),
}

/// A client, with what it was not sent yet.
pub(super) struct HandedOver {
    pub(super) client: Box<SocketIoClient>,
    pub(super) unsent: Outbox,
}

/// A session that polls; see the [module](self).
pub(super) struct PollingSession {
    node: Node,
    client: SocketIoClient,
    outbox: Outbox,
    requests: mpsc::Receiver<PollingRequest>,
    poll: Option<oneshot::Sender<PollBody>>,
    post: Option<Post>,
    probe: Option<oneshot::Receiver<Infallible>>,
    presence: Presence,
    _registered: Registered,
    _seat: OwnedSemaphorePermit,
    _counted: Counted,
}

/// Packets that the session has not taken yet.
struct Post {
    body: Utf8Bytes,
    /// Where the next packet begins; `None` behind the last.
    next: Option<usize>,
    taken: oneshot::Sender<()>,
}

/// Where the client is.
enum Presence {
    /// It has a poll here.
    Polling,
    /// The answer to its poll is on its way, until the other end is dropped.
    Answered(oneshot::Receiver<Infallible>),
    /// It has to come back.
    Away(Instant),
}

/// What the task woke up for.
enum Wakeup {
    Request(Option<PollingRequest>),
    Closing,
    Frames,
    /// The client is away from now on.
    Away,
    /// It was away for too long.
    Gone,
    ProbeEnded,
}

/// What waits for a client to come back.
struct Backlog {
    unsent: UnsentFrames,
    is_something: bool,
    /// Whether a part of what it posted waits, for which the connection may hold a share.
    has_post: bool,
}

impl Backlog {
    /// Room to wait longer; `None` if others need it.
    fn reserve(&self, node: &Node) -> Option<Share> {
        if self.has_post && node.receive_budget().is_out() {
            return None;
        }
        node.reserve_for_stalled(self.unsent.unreserved_bytes, self.unsent.has_shares)
    }
}

impl Post {
    fn next_packet(&mut self) -> Option<&str> {
        let rest = &self.body.as_str()[self.next?..];
        let (packet, _) = rest.split_once(socketio::SEPARATOR).unwrap_or((rest, ""));
        let next = self.next? + packet.len() + socketio::SEPARATOR.len_utf8();
        self.next = Some(next).filter(|next| *next < self.body.len());
        Some(packet)
    }
}

impl Presence {
    /// Waits until the client is away, or has been for too long.
    async fn change(
        &mut self,
        poll: &mut Option<oneshot::Sender<PollBody>>,
        node: &Node,
        backlog: Backlog,
    ) -> Wakeup {
        match (self, poll) {
            (Self::Polling, Some(poll)) => poll.closed().await,
            (Self::Polling, None) => return pending().await,
            (Self::Answered(answered), _) => drop(answered.await),
            (Self::Away(since), _) if backlog.is_something => {
                sleep_until(*since + limits::STALLED_DEADLINE).await;
                if let Some(_share) = backlog.reserve(node) {
                    sleep_until(*since + limits::WRITE_DEADLINE).await;
                }
                return Wakeup::Gone;
            }
            (Self::Away(since), _) => {
                sleep_until(*since + limits::POLL_DEADLINE).await;
                return Wakeup::Gone;
            }
        }
        Wakeup::Away
    }
}

impl PollingSession {
    pub(super) fn new(
        node: Node,
        client: SocketIoClient,
        requests: mpsc::Receiver<PollingRequest>,
        registered: Registered,
        seat: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            client,
            outbox: Outbox::default(),
            requests,
            poll: None,
            post: None,
            probe: None,
            presence: Presence::Away(Instant::now()),
            _registered: registered,
            _seat: seat,
            _counted: node.metrics().session(Transport::SocketIo),
            node,
        }
    }

    /// Serves the client until it leaves, is gone, or goes on over a WebSocket.
    pub(super) async fn run(mut self, closing: CancellationToken) {
        loop {
            self.take_post();
            self.answer_poll();
            if self.client.end().is_some() || self.client.has_left() {
                return self.finish().await;
            }
            match self.wake(&closing).await {
                Wakeup::Frames => {}
                Wakeup::ProbeEnded => self.probe = None,
                Wakeup::Away => {
                    self.poll = None;
                    self.presence = Presence::Away(Instant::now());
                }
                Wakeup::Gone => {
                    if !self.outbox.is_empty() {
                        self.node.metrics().slow_closes.inc();
                    }
                    return;
                }
                Wakeup::Closing => return self.shut_down().await,
                Wakeup::Request(Some(PollingRequest::Upgrade(to))) => match self.hand_over(to) {
                    None => return,
                    Some(kept) => self = kept,
                },
                Wakeup::Request(Some(request)) => {
                    if !self.accept(request) {
                        return;
                    }
                }
                Wakeup::Request(None) => return,
            }
        }
    }

    async fn wake(&mut self, closing: &CancellationToken) -> Wakeup {
        let backlog = Backlog {
            unsent: self.outbox.unsent(),
            is_something: !self.outbox.is_empty(),
            has_post: self.post.is_some(),
        };
        let Self {
            node,
            client,
            outbox,
            requests,
            poll,
            probe,
            presence,
            ..
        } = self;
        tokio::select! {
            biased;
            () = closing.cancelled() => Wakeup::Closing,
            request = requests.recv() => Wakeup::Request(request),
            () = ended(probe) => Wakeup::ProbeEnded,
            changed = presence.change(poll, node, backlog) => changed,
            () = progress(client, outbox) => Wakeup::Frames,
        }
    }

    /// Accepts a request; `false` if it makes no sense, so that the session ends.
    fn accept(&mut self, request: PollingRequest) -> bool {
        match request {
            PollingRequest::Poll(poll) => {
                let before = self.poll.replace(poll);
                self.presence = Presence::Polling;
                before.is_none_or(|before| before.is_closed())
            }
            PollingRequest::Post(body, taken) => {
                let is_first = self.post.is_none();
                self.post = Some(Post {
                    body,
                    next: Some(0),
                    taken,
                });
                is_first
            }
            PollingRequest::Probe(probe) => {
                self.probe = Some(probe);
                true
            }
            PollingRequest::Upgrade(_) => unreachable!("it takes the session"),
        }
    }

    /// Gives the client what was posted, as far as it has room.
    fn take_post(&mut self) {
        while self.client.has_room()
            && let Some(post) = &mut self.post
        {
            if let Some(packet) = post.next_packet() {
                self.client.receive(packet);
            } else if let Some(post) = self.post.take() {
                // Its client may be gone by now.
                let _ = post.taken.send(());
            }
        }
    }

    /// Answers the poll, if there is something to say.
    fn answer_poll(&mut self) {
        if self.outbox.is_empty() && self.probe.is_none() {
            return;
        }
        let Some(poll) = self.poll.take() else {
            return;
        };
        if self.outbox.is_empty() {
            self.outbox.push(socketio::noop(), None);
        }
        let (count, bytes) = self.outbox.size();
        let received_at = self.outbox.take_received();
        let (on_its_way, answered) = oneshot::channel();
        let body = PollBody::new(std::mem::take(&mut self.outbox), on_its_way);
        match poll.send(body) {
            Ok(()) => {
                self.presence = Presence::Answered(answered);
                let metrics = self.node.metrics();
                metrics.sent(Transport::SocketIo, count, bytes);
                if let Some(received_at) = received_at {
                    metrics.delivered(received_at.elapsed());
                }
            }
            Err(body) => {
                self.outbox = body.into_unsent();
                self.outbox.note_received(received_at);
                self.presence = Presence::Away(Instant::now());
            }
        }
    }

    /// Hands the client over to a WebSocket, unless that has gone meanwhile.
    fn hand_over(mut self, to: oneshot::Sender<HandedOver>) -> Option<Self> {
        // A poll that is still here has nothing to wait for.
        if let Some(poll) = self.poll.take() {
            let noop = Outbox::new([socketio::noop()]);
            let _ = poll.send(PollBody::new(noop, oneshot::channel().0));
        }
        let handed_over = HandedOver {
            client: Box::new(self.client),
            unsent: self.outbox,
        };
        match to.send(handed_over) {
            Ok(()) => None,
            Err(HandedOver { client, unsent }) => Some(Self {
                client: *client,
                outbox: unsent,
                presence: Presence::Away(Instant::now()),
                ..self
            }),
        }
    }

    /// Answers what is in flight, as far as the node still can, and ends.
    async fn shut_down(mut self) {
        let grace = match self.node.health() {
            Ok(()) => limits::SHUTDOWN_DEADLINE,
            Err(_) => limits::FAILED_GRACE,
        };
        let draining = async {
            while !self.client.is_drained() {
                self.client.drain(&mut self.outbox).await;
            }
        };
        let _ = timeout(grace, draining).await;
        self.finish().await;
    }

    /// Says that the connection ends, to the poll that is here or comes in a moment.
    async fn finish(mut self) {
        self.outbox.push(socketio::close(), None);
        let last_poll = async {
            while self.poll.is_none()
                && let Some(request) = self.requests.recv().await
            {
                if let PollingRequest::Poll(poll) = request {
                    self.poll = Some(poll);
                }
            }
        };
        let _ = timeout(LAST_POLL_DEADLINE, last_poll).await;
        self.answer_poll();
    }
}

/// Waits for frames, unless some are there already: then answers are completed, and no end is waited for.
async fn progress(client: &mut SocketIoClient, outbox: &mut Outbox) {
    match outbox.is_empty() {
        true => client.next(outbox).await,
        false => match client.complete_answers().await {},
    }
}

/// Waits until the other end is dropped; for ever if there is none.
async fn ended(probe: &mut Option<oneshot::Receiver<Infallible>>) {
    match probe {
        Some(probe) => drop(probe.await),
        None => pending().await,
    }
}

/// What stands in a body that was posted, if it is text.
pub(super) fn text_of(body: Bytes) -> Option<Utf8Bytes> {
    Utf8Bytes::try_from(body).ok()
}

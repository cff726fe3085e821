//! One client of Socket.IO, free of how it is connected: packets come in, packets go out, and a session is between.
//!
//! | state          | ends with                                  | next state                       |
//! |----------------|--------------------------------------------|----------------------------------|
//! | `Unconnected`  | CONNECT                                    | `Connecting`                     |
//! |                | [`limits::SOCKETIO_CONNECT_DEADLINE`]      | the connection is closed         |
//! | `Connecting`   | the session is open, or it is refused      | `Connected`, or `Unconnected`    |
//! | `Connected`    | DISCONNECT                                 | `Unconnected`                    |
//!
//! Nothing is received while it is `Connecting`: what follows is for the session.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;

use futures::future::BoxFuture;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use uuid::Uuid;

use crate::guard::Guard;
use crate::limits;
use crate::node::{Epoch, Interest, Node, Transport};
use crate::protocol::socketio;
use crate::protocol::socketio::{ClientPacket, ConnectAuth, Dialect, EmittedEvent};
use crate::protocol::{Code, Credentials, Failure, Frame};
use crate::quota::{Caller, LobbySeat};
use crate::session::{Outbox, Session, SessionOptions};
use crate::transport::http::admission::admit;
use crate::transport::routes::conversation::Conversation;
use crate::value::Invalid;

type Opened = Result<(Session, Vec<Frame>), Failure>;

/// One client; see the [module](self).
pub(super) struct SocketIoClient {
    node: Node,
    guard: Guard,
    caller: Caller,
    /// Until it is let in, where somebody guards.
    seat: Option<LobbySeat>,
    /// What the request showed that opened the connection.
    shown: Credentials,
    state: ClientState,
    dialect: Dialect,
    /// Frames of the session that are not yet events.
    frames: Outbox,
    /// Packets of the connection itself.
    packets: VecDeque<Frame>,
    /// Attachments of refused events that are still to come.
    attachments: usize,
    heartbeat: Interval,
    has_left: bool,
    is_late: bool,
}

enum ClientState {
    /// Until then it may connect.
    Unconnected(Instant),
    Connecting(BoxFuture<'static, Opened>),
    Connected(Box<Session>),
}

async fn open(
    node: Node,
    guard: Guard,
    caller: Caller,
    credentials: Credentials,
    options: SessionOptions,
) -> Opened {
    let admission = admit(&node, &guard, &caller, credentials).await?;
    Session::open(node, admission, &caller, options).await
}

/// What a state came to.
enum ClientProgress {
    /// The client did not connect in time.
    Late,
    Opened(Box<Opened>),
    /// The session added frames.
    Frames,
}

impl ClientState {
    fn unconnected() -> Self {
        Self::Unconnected(Instant::now() + limits::SOCKETIO_CONNECT_DEADLINE)
    }

    /// Safe to drop and call again.
    async fn advance(&mut self, frames: &mut Outbox) -> ClientProgress {
        match self {
            Self::Unconnected(deadline) => {
                sleep_until(*deadline).await;
                ClientProgress::Late
            }
            Self::Connecting(opening) => ClientProgress::Opened(Box::new(opening.await)),
            Self::Connected(session) => {
                session.next(frames).await;
                ClientProgress::Frames
            }
        }
    }
}

impl SocketIoClient {
    pub(super) fn new(
        node: Node,
        guard: Guard,
        caller: Caller,
        seat: Option<LobbySeat>,
        shown: Credentials,
    ) -> Self {
        let start = Instant::now() + limits::PING_INTERVAL;
        let mut heartbeat = interval_at(start, limits::PING_INTERVAL);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            node,
            guard,
            caller,
            seat,
            shown,
            state: ClientState::unconnected(),
            dialect: Dialect::default(),
            frames: Outbox::default(),
            packets: VecDeque::new(),
            attachments: 0,
            heartbeat,
            has_left: false,
            is_late: false,
        }
    }

    /// Whether the client has said that it leaves.
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    fn connect(&mut self, auth: &str) {
        if !matches!(self.state, ClientState::Unconnected(_)) {
            return;
        }
        match ConnectAuth::parse(auth) {
            Ok(auth) => {
                let options = SessionOptions {
                    interest: match auth.wants_changes {
                        true => Interest::Changes,
                        false => Interest::Broadcasts,
                    },
                    after: auth.after,
                    epoch: auth.epoch.map(Epoch),
                };
                match self.credentials(auth.credentials) {
                    Ok(credentials) => {
                        let (node, guard) = (self.node.clone(), self.guard.clone());
                        let opening = open(node, guard, self.caller.clone(), credentials, options);
                        self.state = ClientState::Connecting(Box::pin(opening));
                    }
                    Err(failure) => self.refuse_connect(None, &failure),
                }
            }
            Err(failure) => self.refuse_connect(None, &failure),
        }
    }

    /// What the client shows, here or in the request that opened the connection. Where nobody guards, clients of the
    /// original server may show what they like.
    fn credentials(&self, shown: Option<Credentials>) -> Result<Credentials, Failure> {
        match (self.guard.is_there(), shown) {
            (false, _) => Ok(Credentials::none()),
            (true, Some(shown)) => Ok(shown.or(&self.shown)),
            (true, None) => {
                let invalid = Invalid::new("auth", "expected token and role to be strings");
                Err(Failure::at(Code::BadRequest, invalid))
            }
        }
    }

    fn refuse_connect(&mut self, namespace: Option<&str>, failure: &Failure) {
        let error = socketio::connect_error(namespace, failure);
        self.packets.push_back(error);
    }

    fn disconnect(&mut self) {
        self.state = ClientState::unconnected();
        self.dialect = Dialect::default();
        self.frames = Outbox::default();
    }

    fn emit(&mut self, event: &EmittedEvent<'_>) {
        let ClientState::Connected(session) = &mut self.state else {
            return;
        };
        match self.dialect.request(event) {
            Ok(text) => session.receive(&text),
            Err((kind, failure)) => session.refuse(kind, &failure),
        }
    }

    fn settle(&mut self, progress: ClientProgress) {
        match progress {
            ClientProgress::Late => self.is_late = true,
            ClientProgress::Frames => {}
            ClientProgress::Opened(opened) => match *opened {
                Ok((session, greeting)) => {
                    self.seat = None;
                    self.packets.push_back(socketio::connected(Uuid::new_v4()));
                    self.frames.extend(greeting);
                    self.state = ClientState::Connected(Box::new(session));
                }
                Err(failure) => {
                    self.state = ClientState::unconnected();
                    self.refuse_connect(None, &failure);
                }
            },
        }
    }

    fn has_packets(&self) -> bool {
        !self.packets.is_empty() || !self.frames.is_empty()
    }

    /// Moves everything that is there into the outbox, as packets.
    fn take_packets(&mut self, outbox: &mut Outbox) {
        outbox.extend(self.packets.drain(..));
        while let Some(unsent) = self.frames.pop() {
            let share = unsent.share;
            let (event, ack) = self.dialect.events(&unsent.frame, unsent.is_answer);
            match ack {
                None => outbox.push(event, share),
                // They share their text, so the last of them holds the share for it.
                Some(ack) => {
                    outbox.push(event, None);
                    outbox.push(ack, share);
                }
            }
        }
        outbox.note_received(self.frames.take_received());
    }
}

impl Conversation for SocketIoClient {
    const TRANSPORT: Transport = Transport::SocketIo;

    fn receive(&mut self, text: &str) {
        match ClientPacket::parse(text) {
            ClientPacket::Close => {
                self.disconnect();
                self.has_left = true;
            }
            ClientPacket::Connect {
                namespace: None,
                auth,
            } => self.connect(auth),
            // The refusal repeats it, and refusals are counted, not weighed.
            ClientPacket::Connect {
                namespace: Some(name),
                ..
            } if name.len() > limits::SOCKETIO_NAMESPACE_BYTES_MAX => {}
            ClientPacket::Connect { namespace, .. } => {
                let invalid = Invalid::new("namespace", "there is no namespace but the main one");
                self.refuse_connect(namespace, &Failure::at(Code::NotFound, invalid));
            }
            ClientPacket::Disconnect => self.disconnect(),
            ClientPacket::Emit(event) => self.emit(&event),
            ClientPacket::Binary => self.receive_binary(),
            ClientPacket::Refused {
                ack,
                attachments,
                kind,
                failure,
            } => {
                self.attachments = self.attachments.saturating_add(attachments);
                if let ClientState::Connected(session) = &mut self.state {
                    self.dialect.owe(ack);
                    session.refuse(kind, &failure);
                }
            }
            ClientPacket::Probe | ClientPacket::Upgrade | ClientPacket::Ignored => {}
        }
    }

    fn receive_binary(&mut self) {
        if self.attachments > 0 {
            self.attachments -= 1;
        } else if let ClientState::Connected(session) = &mut self.state {
            let failure = self.dialect.owe_binary();
            session.refuse(None, &failure);
        }
    }

    fn has_room(&self) -> bool {
        let has_room = match &self.state {
            ClientState::Unconnected(_) => true,
            ClientState::Connecting(_) => false,
            ClientState::Connected(session) => session.has_room(),
        };
        has_room && self.packets.len() < limits::SESSION_REQUESTS_MAX
    }

    async fn next(&mut self, outbox: &mut Outbox) {
        if !self.has_packets() {
            tokio::select! {
                biased;
                _ = self.heartbeat.tick() => self.packets.push_back(socketio::ping()),
                progress = self.state.advance(&mut self.frames) => self.settle(progress),
            }
        }
        self.take_packets(outbox);
    }

    fn end(&self) -> Option<Code> {
        match &self.state {
            _ if self.is_late => Some(Code::TimedOut),
            ClientState::Connected(session) => session.end(),
            ClientState::Unconnected(_) | ClientState::Connecting(_) => None,
        }
    }

    async fn complete_answers(&mut self) -> Infallible {
        match &mut self.state {
            ClientState::Connected(session) => session.complete_answers().await,
            ClientState::Unconnected(_) | ClientState::Connecting(_) => pending().await,
        }
    }

    fn is_drained(&self) -> bool {
        let is_answered = match &self.state {
            ClientState::Connected(session) => session.is_drained(),
            ClientState::Unconnected(_) | ClientState::Connecting(_) => true,
        };
        is_answered && !self.has_packets()
    }

    async fn drain(&mut self, outbox: &mut Outbox) {
        if let ClientState::Connected(session) = &mut self.state
            && !session.is_drained()
        {
            session.drain(&mut self.frames).await;
        }
        self.take_packets(outbox);
    }
}

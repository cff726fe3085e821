//! A conversation over a WebSocket: text frames in and out, ping and pong, and the ways it ends.
//!
//! Invariant: what is taken out of the outbox is with the socket before anything is awaited, so every future here can
//! be dropped without losing a frame. Back-pressure: while a flush is in flight nothing is read, and while the session
//! has too many requests in flight neither.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use futures::{SinkExt, StreamExt, future};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WebSocketFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::conversation::Conversation;
use crate::limits;
use crate::node::{Counted, Node, Transport};
use crate::protocol::Code;
use crate::session::{Fragment, Outbox, UnsentFrames};
use crate::transport::connection::{
    ByteCounters, FrameHeaderReader, LingeringClose, Liveness, LivenessCheck, ReceiveBudget,
    ReceiveEvent,
};

/// How long the closing handshake may take: for the client to take the close frame, and to answer it.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<FrameHeaderReader<TokioIo<Upgraded>>>;

/// A socket, the frames on their way to it, and what is known of its client.
pub(super) struct Connection {
    socket: Socket,
    outbox: Outbox,
    node: Node,
    counters: ByteCounters,
    liveness: Liveness,
    receiving: ReceiveBudget,
    /// Whether the socket holds a pong that is not flushed yet.
    has_pong: bool,
    transport: Transport,
    _counted: Counted,
}

/// Why a connection ends.
enum ConnectionEnd {
    /// The network, or the client without a closing handshake.
    Lost,
    /// The client began the closing handshake.
    ClosedByClient,
    /// What the client sends breaks the WebSocket protocol.
    Broken(CloseCode, &'static str),
    /// The server closes it.
    Closed(Code),
}

impl Connection {
    pub(super) async fn new(
        stream: Upgraded,
        counters: ByteCounters,
        node: Node,
        outbox: Outbox,
        transport: Transport,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(limits::SOCKET_READ_BUFFER_BYTES)
            .write_buffer_size(limits::SOCKET_WRITE_BUFFER_BYTES)
            .max_message_size(Some(limits::MESSAGE_BYTES_CLOSE))
            .max_frame_size(Some(limits::MESSAGE_BYTES_CLOSE));
        let stream = FrameHeaderReader::new(TokioIo::new(stream), counters.clone());
        Self {
            socket: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            outbox,
            receiving: ReceiveBudget::new(counters.clone(), node.receive_budget().clone()),
            _counted: node.metrics().session(transport),
            node,
            liveness: Liveness::new(counters.clone()),
            counters,
            has_pong: false,
            transport,
        }
    }

    pub(super) async fn run(mut self, mut session: impl Conversation, closing: CancellationToken) {
        let serving = self.serve(&mut session);
        let end = match closing.run_until_cancelled(serving).await {
            Some(end) => end,
            None => self.shut_down(&mut session).await,
        };
        match end {
            ConnectionEnd::Lost => {}
            ConnectionEnd::ClosedByClient => self.answer_close().await,
            ConnectionEnd::Broken(code, reason) => self.close(code, reason).await,
            ConnectionEnd::Closed(code) => {
                if code == Code::TooSlow {
                    self.node.metrics().slow_closes.inc();
                }
                let number = code.close_code();
                let number = number.expect("connections end for reasons that have a close code");
                self.close(number.into(), code.as_str()).await;
            }
        }
    }

    /// Safe to drop: see the [module](self).
    async fn serve(&mut self, session: &mut impl Conversation) -> ConnectionEnd {
        let timer = sleep(limits::PING_INTERVAL);
        tokio::pin!(timer);
        loop {
            if let ControlFlow::Break(end) = self.send(session).await {
                return end;
            }
            if let Some(code) = session.end() {
                return ConnectionEnd::Closed(code);
            }
            if self.liveness.has_new_partial() {
                timer.as_mut().reset(Instant::now());
            }
            let has_room = session.has_room();
            let is_read = has_room && !self.receiving.is_waiting();
            let unread_since = (!is_read).then(Instant::now);
            let step = tokio::select! {
                message = self.socket.next(), if has_room => self.receive(message, session),
                event = self.receiving.next_event() => match event {
                    ReceiveEvent::Partial => ControlFlow::Continue(()),
                    ReceiveEvent::TooSlow => return ConnectionEnd::Closed(Code::TimedOut),
                },
                () = session.next(&mut self.outbox) => ControlFlow::Continue(()),
                () = self.counters.closed(), if !has_room => return ConnectionEnd::Lost,
                () = &mut timer => self.check_liveness(timer.as_mut(), is_read).await,
            };
            if let Some(since) = unread_since {
                self.liveness.excuse(since.elapsed());
            }
            if let ControlFlow::Break(end) = step {
                return end;
            }
        }
    }

    fn receive(
        &mut self,
        message: Option<Result<Message, Error>>,
        session: &mut impl Conversation,
    ) -> ControlFlow<ConnectionEnd> {
        match message {
            Some(Ok(Message::Text(text))) => {
                session.receive(&text);
                self.message_received();
            }
            Some(Ok(Message::Binary(_))) => {
                self.message_received();
                session.receive_binary();
            }
            Some(Ok(Message::Ping(payload))) => {
                self.control_received(payload.len());
                self.has_pong = true;
            }
            Some(Ok(Message::Pong(payload))) => self.control_received(payload.len()),
            Some(Ok(Message::Close(_))) => {
                return ControlFlow::Break(ConnectionEnd::ClosedByClient);
            }
            Some(Err(error)) => return ControlFlow::Break(end_of(&error)),
            Some(Ok(Message::Frame(_))) | None => return ControlFlow::Break(ConnectionEnd::Lost),
        }
        ControlFlow::Continue(())
    }

    fn message_received(&mut self) {
        self.liveness.message_received();
        self.counters.renew_allowance();
    }

    /// A ping or pong was received, perhaps between the fragments of a message.
    fn control_received(&mut self, payload: usize) {
        self.liveness.control_received(payload);
        if !self.liveness.has_partial() {
            self.counters.renew_allowance();
        }
    }

    /// Hands everything to the socket, and flushes once. Nothing is read meanwhile, so a client that does not read
    /// cannot fill the socket with pongs either. Safe to drop and call again.
    async fn send(&mut self, session: &mut impl Conversation) -> ControlFlow<ConnectionEnd> {
        if self.outbox.is_empty() && !self.has_pong {
            return ControlFlow::Continue(());
        }
        let start = Instant::now();
        let unsent = self.outbox.unsent();
        let (count, bytes) = self.outbox.size();
        let flushed = tokio::select! {
            biased;
            flushed = flush(&mut self.socket, &mut self.outbox) => flushed,
            never = session.complete_answers() => match never {},
            () = self.receiving.too_slow() => {
                return ControlFlow::Break(ConnectionEnd::Closed(Code::TimedOut));
            }
            () = write_timeout(&self.counters, &self.node, start, unsent) => {
                return ControlFlow::Break(ConnectionEnd::Closed(Code::TooSlow));
            }
        };
        self.has_pong = false;
        self.liveness.excuse(start.elapsed());
        match flushed {
            Ok(()) => {
                debug_assert!(self.outbox.is_empty(), "a flush sends every frame");
                let metrics = self.node.metrics();
                metrics.sent(self.transport, count, bytes);
                if let Some(received_at) = self.outbox.take_received() {
                    metrics.delivered(received_at.elapsed());
                }
                ControlFlow::Continue(())
            }
            Err(_) => ControlFlow::Break(ConnectionEnd::Lost),
        }
    }

    /// Pings a silent client; ends a connection whose ping was not answered, or whose message is not whole in time. The
    /// timer is reset only when it fires, so that a busy connection costs no timer work.
    async fn check_liveness(
        &mut self,
        timer: Pin<&mut Sleep>,
        is_read: bool,
    ) -> ControlFlow<ConnectionEnd> {
        match self.liveness.check(Instant::now(), is_read) {
            LivenessCheck::Dead(code) => ControlFlow::Break(ConnectionEnd::Closed(code)),
            LivenessCheck::Alive(next) => {
                timer.reset(next);
                ControlFlow::Continue(())
            }
            LivenessCheck::PingDue(next) => {
                timer.reset(next);
                tokio::select! {
                    sent = self.socket.send(Message::Ping(bytes::Bytes::new())) => match sent {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(_) => ControlFlow::Break(ConnectionEnd::Lost),
                    },
                    () = self.counters.write_timeout(Instant::now()) => {
                        ControlFlow::Break(ConnectionEnd::Closed(Code::TooSlow))
                    }
                }
            }
        }
    }

    /// Drains the session, as far as the node still can.
    async fn shut_down(&mut self, session: &mut impl Conversation) -> ConnectionEnd {
        if self.node.health().is_ok() {
            return self.drain(session).await;
        }
        let drained = timeout(limits::FAILED_GRACE, self.drain(session)).await;
        drained.unwrap_or(ConnectionEnd::Closed(Code::ShuttingDown))
    }

    /// Receives nothing more, answers the requests in flight, and ends.
    async fn drain(&mut self, session: &mut impl Conversation) -> ConnectionEnd {
        loop {
            if let ControlFlow::Break(end) = self.send(session).await {
                return end;
            }
            if session.is_drained() {
                return ConnectionEnd::Closed(Code::ShuttingDown);
            }
            session.drain(&mut self.outbox).await;
        }
    }

    /// Begins the closing handshake, and waits for the client's close frame.
    async fn close(mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        self.counters.allowance().lift();
        let handshake = async {
            self.socket.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(message)) = self.socket.next().await {
                if message.is_close() {
                    return Ok(true);
                }
            }
            Ok::<bool, Error>(false)
        };
        // A client that is too slow or gone gets no more. One that sends what cannot be read may still read.
        if let Ok(Ok(false)) = timeout(CLOSE_DEADLINE, handshake).await {
            LingeringClose::start()
                .drain(self.socket.get_mut().get_mut())
                .await;
        }
    }

    /// Flushes the close frame that answers the client's: without it the client takes the end for a failure.
    async fn answer_close(mut self) {
        let _ = timeout(CLOSE_DEADLINE, self.socket.flush()).await;
    }
}

/// How a connection ends from which nothing more can be read.
fn end_of(error: &Error) -> ConnectionEnd {
    match error {
        Error::Capacity(_) => ConnectionEnd::Closed(Code::MessageTooLarge),
        Error::Utf8(_) => ConnectionEnd::Broken(CloseCode::Invalid, "text must be UTF-8"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => ConnectionEnd::Lost,
        Error::Protocol(_) => ConnectionEnd::Broken(CloseCode::Protocol, "this is no WebSocket"),
        _ => ConnectionEnd::Lost,
    }
}

/// Hands all frames to the socket and flushes it. Safe to drop and call again.
async fn flush(socket: &mut Socket, outbox: &mut Outbox) -> Result<(), Error> {
    loop {
        future::poll_fn(|context| socket.poll_ready_unpin(context)).await?;
        let Some(fragment) = outbox.next_fragment() else {
            return socket.flush().await;
        };
        socket.start_send_unpin(Message::Frame(frame_of(fragment)))?;
    }
}

/// Waits until a write since `since` is too slow. One that has stalled for a while gets more time only while the node
/// has memory for what is unsent.
async fn write_timeout(counters: &ByteCounters, node: &Node, since: Instant, unsent: UnsentFrames) {
    counters
        .write_stalled(since, limits::STALLED_DEADLINE)
        .await;
    if let Some(_share) = node.reserve_for_stalled(unsent.unreserved_bytes, unsent.has_shares) {
        counters.write_timeout(since).await;
    }
}

fn frame_of(fragment: Fragment) -> WebSocketFrame {
    let kind = match fragment.is_first {
        true => Data::Text,
        false => Data::Continue,
    };
    WebSocketFrame::message(fragment.bytes, OpCode::Data(kind), fragment.is_last)
}

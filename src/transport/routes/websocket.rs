//! A session's connection: text frames in and out, ping and pong, and the ways it ends.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use futures::{SinkExt, StreamExt, future};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WireFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::node::Node;
use crate::node::{Counted, Transport};
use crate::protocol::{Code, Failure};
use crate::session::{Outbox, Piece, Session};
use crate::transport::connection::heads::Heads;
use crate::transport::connection::intake::{Attention, Intake};
use crate::transport::connection::liveness::{Finding, Liveness};
use crate::transport::connection::meter::Meter;
use crate::transport::connection::parting::Parting;

/// How long a client may take to answer a close frame, and to take the last one.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// A socket, what is on its way out, and what is known of the client.
pub(super) struct Connection {
    socket: WebSocketStream<Heads<TokioIo<Upgraded>>>,
    outbox: Outbox,
    node: Node,
    meter: Meter,
    pulse: Liveness,
    intake: Intake,
    /// Whether the socket holds an answer to a ping that is not written yet.
    owes_pong: bool,
    _counted: Counted,
}

/// Why a connection ends.
enum ConnectionEnd {
    /// The network did, or the client without a word.
    Gone,
    /// The client left, and waits for the server to agree.
    Left,
    /// What the client sends is no WebSocket.
    Broken(CloseCode, &'static str),
    /// The server ends it.
    Because(Code),
}

impl Connection {
    pub(crate) async fn new(stream: Upgraded, meter: Meter, node: Node, outbox: Outbox) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(limits::SOCKET_READ_BUFFER_BYTES)
            .write_buffer_size(limits::SOCKET_WRITE_BUFFER_BYTES)
            .max_message_size(Some(limits::MESSAGE_BYTES_CLOSE))
            .max_frame_size(Some(limits::MESSAGE_BYTES_CLOSE));
        let stream = Heads::new(TokioIo::new(stream), meter.clone());
        Self {
            socket: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            outbox,
            intake: Intake::new(meter.clone(), node.intake().clone()),
            _counted: node.metrics().session(Transport::WebSocket),
            node,
            pulse: Liveness::new(meter.clone()),
            meter,
            owes_pong: false,
        }
    }

    pub(super) async fn run(mut self, mut session: Session, closing: CancellationToken) {
        let converse = self.converse(&mut session);
        let end = match closing.run_until_cancelled(converse).await {
            Some(end) => end,
            None => self.part(&mut session).await,
        };
        match end {
            ConnectionEnd::Gone => {}
            ConnectionEnd::Left => self.agree().await,
            ConnectionEnd::Broken(code, reason) => self.close(code, reason).await,
            ConnectionEnd::Because(code) => {
                if code == Code::TooSlow {
                    self.node.metrics().slow_closes.inc();
                }
                let number = code.close_code();
                let number = number.expect("connections end for reasons that have a close code");
                self.close(number.into(), code.as_str()).await;
            }
        }
    }

    /// Safe to drop: what was taken from the session is in the outbox or with the socket.
    async fn converse(&mut self, session: &mut Session) -> ConnectionEnd {
        let alarm = sleep(limits::PING_INTERVAL);
        tokio::pin!(alarm);
        loop {
            if let ControlFlow::Break(end) = self.send(session).await {
                return end;
            }
            if let Some(code) = session.over() {
                return ConnectionEnd::Because(code);
            }
            if self.pulse.has_begun_half() {
                alarm.as_mut().reset(Instant::now());
            }
            let has_room = session.has_room();
            let is_read = has_room && !self.intake.is_waiting();
            let began = (!is_read).then(Instant::now);
            let step = tokio::select! {
                message = self.socket.next(), if has_room => self.hear(message, session),
                attention = self.intake.attend() => match attention {
                    Attention::Half => ControlFlow::Continue(()),
                    Attention::Overdue => return ConnectionEnd::Because(Code::TimedOut),
                },
                () = session.next(&mut self.outbox) => ControlFlow::Continue(()),
                () = self.meter.gone(), if !has_room => return ConnectionEnd::Gone,
                () = &mut alarm => self.check_pulse(alarm.as_mut(), is_read).await,
            };
            if let Some(began) = began {
                self.pulse.excuse(began.elapsed());
            }
            if let ControlFlow::Break(end) = step {
                return end;
            }
        }
    }

    fn hear(
        &mut self,
        message: Option<Result<Message, Error>>,
        session: &mut Session,
    ) -> ControlFlow<ConnectionEnd> {
        match message {
            Some(Ok(Message::Text(text))) => {
                session.receive(&text);
                self.whole();
            }
            Some(Ok(Message::Binary(_))) => {
                self.whole();
                session.refuse(&Failure::new(
                    Code::BinaryFrame,
                    "messages are JSON in text frames",
                ));
            }
            Some(Ok(Message::Ping(payload))) => {
                self.control(payload.len());
                self.owes_pong = true;
            }
            Some(Ok(Message::Pong(payload))) => self.control(payload.len()),
            Some(Ok(Message::Close(_))) => return ControlFlow::Break(ConnectionEnd::Left),
            Some(Err(error)) => return ControlFlow::Break(end_of(&error)),
            Some(Ok(Message::Frame(_))) | None => return ControlFlow::Break(ConnectionEnd::Gone),
        }
        ControlFlow::Continue(())
    }

    /// A message has come.
    fn whole(&mut self) {
        self.pulse.message();
        self.meter.renew_allowance();
    }

    /// A ping or pong has come, perhaps in the middle of a message.
    fn control(&mut self, payload: usize) {
        self.pulse.control(payload);
        if !self.pulse.has_half() {
            self.meter.renew_allowance();
        }
    }

    /// Hands everything to the socket, and flushes once. Until that is done nothing more is read, so a client
    /// that does not read cannot fill the socket with answers to its pings either. Safe to drop and call again.
    async fn send(&mut self, session: &mut Session) -> ControlFlow<ConnectionEnd> {
        if self.outbox.is_empty() && !self.owes_pong {
            return ControlFlow::Continue(());
        }
        let began = Instant::now();
        let weight = self.outbox.weight();
        let (count, bytes) = self.outbox.size();
        let sent = tokio::select! {
            biased;
            sent = flush(&mut self.socket, &mut self.outbox) => sent,
            never = session.settle() => match never {},
            () = self.intake.overdue() => {
                return ControlFlow::Break(ConnectionEnd::Because(Code::TimedOut));
            }
            () = patience(&self.meter, &self.node, began, weight) => {
                return ControlFlow::Break(ConnectionEnd::Because(Code::TooSlow));
            }
        };
        self.owes_pong = false;
        self.pulse.excuse(began.elapsed());
        match sent {
            Ok(()) => {
                let metrics = self.node.metrics();
                metrics.sent(Transport::WebSocket, count, bytes);
                if let Some(heard) = self.outbox.heard() {
                    metrics.delivered(heard.elapsed());
                }
                ControlFlow::Continue(())
            }
            Err(_) => ControlFlow::Break(ConnectionEnd::Gone),
        }
    }

    /// Pings a silent client; ends a connection whose ping went unanswered, or whose message stays half. The
    /// alarm is set anew only when it rings, so that a busy connection costs no timer work.
    async fn check_pulse(
        &mut self,
        alarm: Pin<&mut Sleep>,
        is_read: bool,
    ) -> ControlFlow<ConnectionEnd> {
        match self.pulse.check(Instant::now(), is_read) {
            Finding::Over(code) => ControlFlow::Break(ConnectionEnd::Because(code)),
            Finding::Well(next) => {
                alarm.reset(next);
                ControlFlow::Continue(())
            }
            Finding::Silent(next) => {
                alarm.reset(next);
                tokio::select! {
                    sent = self.socket.send(Message::Ping(bytes::Bytes::new())) => match sent {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(_) => ControlFlow::Break(ConnectionEnd::Gone),
                    },
                    () = self.meter.stalled(Instant::now()) => ControlFlow::Break(ConnectionEnd::Because(Code::TooSlow)),
                }
            }
        }
    }

    /// Answers what is in flight, as far as the node still can.
    async fn part(&mut self, session: &mut Session) -> ConnectionEnd {
        if self.node.alive().is_ok() {
            return self.finish(session).await;
        }
        let finished = timeout(limits::FAILED_GRACE, self.finish(session)).await;
        finished.unwrap_or(ConnectionEnd::Because(Code::ShuttingDown))
    }

    /// Takes in nothing more, answers what is in flight, and ends.
    async fn finish(&mut self, session: &mut Session) -> ConnectionEnd {
        loop {
            if let ControlFlow::Break(end) = self.send(session).await {
                return end;
            }
            if session.owes_nothing() {
                return ConnectionEnd::Because(Code::ShuttingDown);
            }
            session.finish(&mut self.outbox).await;
        }
    }

    /// Says why, and waits for the client to have read it: data that arrives after a socket is closed
    /// would make the network take the last frames back.
    async fn close(mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        self.meter.allowance().lift();
        let closing = async {
            self.socket.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(message)) = self.socket.next().await {
                if message.is_close() {
                    return Ok(true);
                }
            }
            Ok::<bool, Error>(false)
        };
        // Too slow, or gone: there is nobody left to tell. Who goes on sending what cannot be read may still be told.
        if let Ok(Ok(false)) = timeout(CLOSE_DEADLINE, closing).await {
            Parting::begin()
                .drain(self.socket.get_mut().get_mut())
                .await;
        }
    }

    /// Sends the close frame back: without it the client takes the end for an accident.
    async fn agree(mut self) {
        let _ = timeout(CLOSE_DEADLINE, self.socket.flush()).await;
    }
}

/// How a connection ends of which nothing more can be read.
fn end_of(error: &Error) -> ConnectionEnd {
    match error {
        Error::Capacity(_) => ConnectionEnd::Because(Code::MessageTooLarge),
        Error::Utf8(_) => ConnectionEnd::Broken(CloseCode::Invalid, "text must be UTF-8"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => ConnectionEnd::Gone,
        Error::Protocol(_) => ConnectionEnd::Broken(CloseCode::Protocol, "this is no WebSocket"),
        _ => ConnectionEnd::Gone,
    }
}

/// What is taken out of the outbox is with the socket before anything is waited for.
async fn flush(
    socket: &mut WebSocketStream<Heads<TokioIo<Upgraded>>>,
    outbox: &mut Outbox,
) -> Result<(), Error> {
    loop {
        future::poll_fn(|context| socket.poll_ready_unpin(context)).await?;
        let Some(piece) = outbox.next_piece() else {
            return socket.flush().await;
        };
        socket.start_send_unpin(Message::Frame(wire(piece)))?;
    }
}

/// Ends when a client has been waited for long enough, for what weighs this.
async fn patience(meter: &Meter, node: &Node, since: Instant, weight: (usize, bool)) {
    meter.silent(since, limits::LINGERING_DEADLINE).await;
    let (bytes, holds_room) = weight;
    if let Some(_room) = node.linger(bytes, holds_room) {
        meter.stalled(since).await;
    }
}

fn wire(piece: Piece) -> WireFrame {
    let kind = match piece.is_first {
        true => Data::Text,
        false => Data::Continue,
    };
    WireFrame::message(piece.bytes, OpCode::Data(kind), piece.is_last)
}

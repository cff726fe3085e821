//! `GET /ws`: text frames in and out, ping and pong, and the ways a connection ends.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query as Params, State};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{SinkExt, StreamExt, future};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WireFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use super::meter::Meter;
use super::pulse::{Finding, Pulse};
use super::{App, Seat, params};
use crate::domain::{Document, Invalid, Value};
use crate::feed::Interest;
use crate::limits;
use crate::metrics::{Counted, Transport};
use crate::protocol::{Code, Failure, Subscribe};
use crate::service::Service;
use crate::session::{Opening, Outbox, Piece, Session};
use crate::store::Epoch;

/// How long a client may take to answer a close frame, and to take the last one.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// The handshake is axum's to judge. The socket is tungstenite's without axum around it, because only that
/// sends a message in pieces.
pub(super) async fn upgrade(
    State(app): State<App>,
    Extension(seat): Extension<Seat>,
    Extension(meter): Extension<Meter>,
    switched: Option<Extension<OnUpgrade>>,
    Params(params): Params<Vec<(String, String)>>,
    headers: HeaderMap,
    handshake: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let _sound = handshake.map_err(|rejection| no_handshake(&rejection))?;
    check_key(&headers)?;
    app.service.alive()?;
    let opening = opening(&params::read(params, &["changes", "after", "epoch"])?)?;
    let Extension(switched) = switched.expect("a sound handshake can be switched");
    let (session, greeting) = Session::open(app.service.clone(), opening).await?;
    app.connections.spawn(async move {
        if let Ok(stream) = switched.await {
            let connection =
                Connection::new(stream, meter, app.service, Outbox::new(greeting)).await;
            connection.run(session, app.closing).await;
        }
        drop(seat);
    });
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let key = key.expect("a sound handshake has a key");
    let headers = [
        (CONNECTION, "upgrade".to_owned()),
        (UPGRADE, "websocket".to_owned()),
        (SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes())),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// What the query string asks for: `?changes=none`, `?after=41&epoch=…`.
fn opening(asked: &Document) -> Result<Opening, Failure> {
    let position = Subscribe::parse(asked, "query")?;
    let interest = match asked.get("changes").map(Value::as_str) {
        None | Some(Some("all")) => Interest::Changes,
        Some(Some("none")) => Interest::Broadcasts,
        Some(_) => {
            let invalid = Invalid::new("query.changes", "expected all or none");
            return Err(Failure::at(Code::BadRequest, invalid));
        }
    };
    Ok(Opening {
        interest,
        after: position.after,
        epoch: position.epoch.map(Epoch),
    })
}

/// What is served here is WebSocket, version 13, and whoever asks for something else is told so.
fn no_handshake(rejection: &WebSocketUpgradeRejection) -> Failure {
    let code = match rejection {
        WebSocketUpgradeRejection::WebSocketKeyHeaderMissing(_) => Code::BadRequest,
        _ => Code::UpgradeRequired,
    };
    Failure::new(code, format!("expected a WebSocket handshake: {rejection}"))
}

/// Sixteen bytes in base64, once. axum answers to any text.
fn check_key(headers: &HeaderMap) -> Result<(), Failure> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let key = keys.next().and_then(|key| BASE64.decode(key).ok());
    match key.is_some_and(|key| key.len() == 16) && keys.next().is_none() {
        true => Ok(()),
        false => Err(Failure::at(
            Code::BadRequest,
            Invalid::new(SEC_WEBSOCKET_KEY.as_str(), "expected 16 bytes in base64"),
        )),
    }
}

/// A socket, what is on its way out, and what is known of the client.
struct Connection {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    outbox: Outbox,
    service: Service,
    meter: Meter,
    pulse: Pulse,
    intake: Intake,
    /// Whether the socket holds an answer to a ping that is not written yet.
    owes_pong: bool,
    _counted: Counted,
}

/// Why a connection ends.
enum End {
    /// The client left, or the network did.
    Gone,
    /// The server ends it.
    Because(Code),
}

impl Connection {
    async fn new(stream: Upgraded, meter: Meter, service: Service, outbox: Outbox) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(limits::SOCKET_READ_BUFFER_BYTES)
            .write_buffer_size(limits::SOCKET_WRITE_BUFFER_BYTES)
            .max_message_size(Some(limits::MESSAGE_BYTES_CLOSE))
            .max_frame_size(Some(limits::MESSAGE_BYTES_CLOSE));
        let stream = TokioIo::new(stream);
        Self {
            socket: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            outbox,
            intake: Intake::new(meter.clone(), service.intake().clone()),
            _counted: service.metrics().session(Transport::WebSocket),
            service,
            pulse: Pulse::new(meter.clone()),
            meter,
            owes_pong: false,
        }
    }

    async fn run(mut self, mut session: Session, closing: CancellationToken) {
        let converse = self.converse(&mut session);
        let end = match closing.run_until_cancelled(converse).await {
            Some(end) => end,
            None => self.finish(&mut session).await,
        };
        if let End::Because(code) = end {
            if code == Code::TooSlow {
                self.service.metrics().slow_closes.inc();
            }
            self.close(code).await;
        }
    }

    /// Safe to drop: what was taken from the session is in the outbox or with the socket.
    async fn converse(&mut self, session: &mut Session) -> End {
        let alarm = sleep(limits::PING_INTERVAL);
        tokio::pin!(alarm);
        loop {
            if let ControlFlow::Break(end) = self.send(session).await {
                return end;
            }
            if let Some(code) = session.over() {
                return End::Because(code);
            }
            if self.pulse.has_begun_half() {
                alarm.as_mut().reset(Instant::now());
            }
            let has_room = session.has_room();
            let is_read = has_room && !self.intake.is_waiting();
            let began = (!is_read).then(Instant::now);
            let step = tokio::select! {
                message = self.socket.next(), if has_room => self.hear(message, session),
                () = self.intake.attend() => return End::Because(Code::TimedOut),
                () = session.next(&mut self.outbox) => ControlFlow::Continue(()),
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
    ) -> ControlFlow<End> {
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
            Some(Err(Error::Capacity(_))) => {
                return ControlFlow::Break(End::Because(Code::MessageTooLarge));
            }
            Some(Ok(Message::Close(_) | Message::Frame(_)) | Err(_)) | None => {
                return ControlFlow::Break(End::Gone);
            }
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
    async fn send(&mut self, session: &mut Session) -> ControlFlow<End> {
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
            () = self.intake.attend() => return ControlFlow::Break(End::Because(Code::TimedOut)),
            () = patience(&self.meter, &self.service, began, weight) => {
                return ControlFlow::Break(End::Because(Code::TooSlow));
            }
        };
        self.owes_pong = false;
        self.pulse.excuse(began.elapsed());
        match sent {
            Ok(()) => {
                let metrics = self.service.metrics();
                metrics.sent(Transport::WebSocket, count, bytes);
                if let Some(heard) = self.outbox.heard() {
                    metrics.delivered(heard.elapsed());
                }
                ControlFlow::Continue(())
            }
            Err(_) => ControlFlow::Break(End::Gone),
        }
    }

    /// Pings a silent client; ends a connection whose ping went unanswered, or whose message stays half. The
    /// alarm is set anew only when it rings, so that a busy connection costs no timer work.
    async fn check_pulse(&mut self, alarm: Pin<&mut Sleep>, is_read: bool) -> ControlFlow<End> {
        match self.pulse.check(Instant::now(), is_read) {
            Finding::Over(code) => ControlFlow::Break(End::Because(code)),
            Finding::Well(next) => {
                alarm.reset(next);
                ControlFlow::Continue(())
            }
            Finding::Silent(next) => {
                alarm.reset(next);
                tokio::select! {
                    sent = self.socket.send(Message::Ping(bytes::Bytes::new())) => match sent {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(_) => ControlFlow::Break(End::Gone),
                    },
                    () = self.meter.stalled(Instant::now()) => ControlFlow::Break(End::Because(Code::TooSlow)),
                }
            }
        }
    }

    /// Takes in nothing more, answers what is in flight, and ends.
    async fn finish(&mut self, session: &mut Session) -> End {
        loop {
            if let ControlFlow::Break(end) = self.send(session).await {
                return end;
            }
            if session.owes_nothing() {
                return End::Because(Code::ShuttingDown);
            }
            session.finish(&mut self.outbox).await;
        }
    }

    /// Says why, and waits for the client to have read it: data that arrives after a socket is closed
    /// would make the network take the last frames back.
    async fn close(mut self, code: Code) {
        let frame = CloseFrame {
            code: code
                .close_code()
                .expect("connections end for reasons that have a close code")
                .into(),
            reason: Utf8Bytes::from_static(code.as_str()),
        };
        let closing = async {
            self.socket.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<(), Error>(())
        };
        // Too slow, or gone: there is nobody left to tell.
        let _ = timeout(CLOSE_DEADLINE, closing).await;
    }
}

/// What is taken out of the outbox is with the socket before anything is waited for.
async fn flush(
    socket: &mut WebSocketStream<TokioIo<Upgraded>>,
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
async fn patience(meter: &Meter, service: &Service, since: Instant, weight: (usize, bool)) {
    meter.silent(since, limits::LINGERING_DEADLINE).await;
    let (bytes, holds_room) = weight;
    if let Some(_room) = service.linger(bytes, holds_room) {
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

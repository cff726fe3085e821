//! `GET /ws`: text frames in and out, ping and pong, and the ways a connection ends.

use std::ops::ControlFlow;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::SEC_WEBSOCKET_KEY;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{App, Seat};
use crate::domain::{Invalid, Seq};
use crate::feed::Interest;
use crate::limits;
use crate::protocol::{Code, Failure, Frame};
use crate::session::{Opening, Session};
use crate::store::Epoch;

/// How long a client may take to answer a close frame, and to take the last one.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// The query string: `?changes=none`, `?after=41&epoch=…`.
#[derive(Debug, Deserialize)]
pub(super) struct Wishes {
    changes: Option<Changes>,
    after: Option<u64>,
    epoch: Option<Uuid>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Changes {
    All,
    None,
}

pub(super) async fn upgrade(
    State(app): State<App>,
    Extension(seat): Extension<Seat>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let upgrade = upgrade.map_err(|rejection| no_handshake(&rejection))?;
    check_key(&headers)?;
    app.service.alive()?;
    let Query(wishes) = wishes
        .map_err(|error| Failure::at(Code::BadRequest, Invalid::new("query", error.body_text())))?;
    let opening = Opening {
        interest: match wishes.changes {
            None | Some(Changes::All) => Interest::Changes,
            Some(Changes::None) => Interest::Broadcasts,
        },
        after: wishes.after.map(Seq::new),
        epoch: wishes.epoch.map(Epoch),
    };
    let token = app.connections.token();
    let (session, greeting) = Session::open(app.service, opening).await?;
    Ok(upgrade
        .read_buffer_size(limits::SOCKET_READ_BUFFER_BYTES)
        .max_message_size(limits::MESSAGE_BYTES_CLOSE)
        .max_frame_size(limits::MESSAGE_BYTES_CLOSE)
        .on_upgrade(async move |socket| {
            Connection::new(socket)
                .run(session, greeting, app.closing)
                .await;
            drop((seat, token));
        }))
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

/// A socket, and when it last was heard of.
struct Connection {
    socket: WebSocket,
    heard: Instant,
    pinged: Option<Instant>,
}

/// Why a connection ends.
enum End {
    /// The client left, or the network did.
    Gone,
    /// The server ends it.
    Because(Code),
}

impl Connection {
    fn new(socket: WebSocket) -> Self {
        Self {
            socket,
            heard: Instant::now(),
            pinged: None,
        }
    }

    async fn run(
        mut self,
        mut session: Session,
        mut frames: Vec<Frame>,
        closing: CancellationToken,
    ) {
        let converse = self.converse(&mut session, &mut frames);
        let end = match closing.run_until_cancelled(converse).await {
            Some(end) => end,
            None => self.finish(&mut session, &mut frames).await,
        };
        if let End::Because(code) = end {
            self.close(code).await;
        }
    }

    async fn converse(&mut self, session: &mut Session, frames: &mut Vec<Frame>) -> End {
        let alarm = sleep(limits::PING_INTERVAL);
        tokio::pin!(alarm);
        loop {
            if let ControlFlow::Break(end) = self.send(frames).await {
                return end;
            }
            if let Some(code) = session.over() {
                return End::Because(code);
            }
            let step = tokio::select! {
                message = self.socket.next(), if session.has_room() => self.hear(message, session),
                () = session.next(frames) => ControlFlow::Continue(()),
                () = &mut alarm => self.check_pulse(alarm.as_mut()).await,
            };
            if let ControlFlow::Break(end) = step {
                return end;
            }
        }
    }

    fn hear(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
        session: &mut Session,
    ) -> ControlFlow<End> {
        self.heard = Instant::now();
        self.pinged = None;
        match message {
            Some(Ok(Message::Text(text))) => session.receive(&text),
            Some(Ok(Message::Binary(_))) => {
                session.refuse(&Failure::new(
                    Code::BinaryFrame,
                    "messages are JSON in text frames",
                ));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Err(error)) if is_too_large(&error) => {
                return ControlFlow::Break(End::Because(Code::MessageTooLarge));
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return ControlFlow::Break(End::Gone),
        }
        ControlFlow::Continue(())
    }

    /// Hands all frames to the socket, and flushes once.
    async fn send(&mut self, frames: &mut Vec<Frame>) -> ControlFlow<End> {
        if frames.is_empty() {
            return ControlFlow::Continue(());
        }
        let sending = async {
            for frame in frames.drain(..) {
                self.socket.feed(Message::Text(text(frame))).await?;
            }
            self.socket.flush().await
        };
        match timeout(limits::WRITE_DEADLINE, sending).await {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(_)) => ControlFlow::Break(End::Gone),
            Err(_) => ControlFlow::Break(End::Because(Code::TooSlow)),
        }
    }

    /// Pings a silent client; ends a connection whose ping went unanswered. The alarm is set anew only
    /// when it rings, so that a busy connection costs no timer work.
    async fn check_pulse(&mut self, alarm: std::pin::Pin<&mut Sleep>) -> ControlFlow<End> {
        let now = Instant::now();
        if self
            .pinged
            .is_some_and(|pinged| now >= pinged + limits::PONG_DEADLINE)
        {
            return ControlFlow::Break(End::Because(Code::TimedOut));
        }
        if now < self.heard + limits::PING_INTERVAL {
            alarm.reset(self.heard + limits::PING_INTERVAL);
            return ControlFlow::Continue(());
        }
        self.pinged = Some(now);
        alarm.reset(now + limits::PONG_DEADLINE);
        match timeout(
            limits::WRITE_DEADLINE,
            self.socket.send(Message::Ping(bytes::Bytes::new())),
        )
        .await
        {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(_)) => ControlFlow::Break(End::Gone),
            Err(_) => ControlFlow::Break(End::Because(Code::TooSlow)),
        }
    }

    /// Takes in nothing more, answers what is in flight, and ends.
    async fn finish(&mut self, session: &mut Session, frames: &mut Vec<Frame>) -> End {
        session.finish(frames).await;
        match self.send(frames).await {
            ControlFlow::Continue(()) => End::Because(Code::ShuttingDown),
            ControlFlow::Break(end) => end,
        }
    }

    /// Says why, and waits for the client to have read it: data that arrives after a socket is closed
    /// would make the network take the last frames back.
    async fn close(mut self, code: Code) {
        let frame = CloseFrame {
            code: code
                .close_code()
                .expect("connections end for reasons that have a close code"),
            reason: Utf8Bytes::from_static(code.as_str()),
        };
        let closing = async {
            self.socket.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<(), axum::Error>(())
        };
        // Too slow, or gone: there is nobody left to tell.
        let _ = timeout(CLOSE_DEADLINE, closing).await;
    }
}

fn text(frame: Frame) -> Utf8Bytes {
    Utf8Bytes::try_from(frame.into_bytes()).expect("JSON was written as UTF-8")
}

fn is_too_large(error: &axum::Error) -> bool {
    let cause = std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<tungstenite::Error>());
    matches!(cause, Some(tungstenite::Error::Capacity(_)))
}

//! The handshake of TLS, before a connection's first request.
//!
//! | step | waits for | bounded by |
//! |---|---|---|
//! | the client's hello | the client | [`limits::HANDSHAKE_DEADLINE`], [`limits::HANDSHAKE_BYTES_MAX`] |
//! | key exchange and signature | a turn: they take most of a millisecond of a processor | half of the processors |
//! | the client's end of it | the client | what is left of that deadline, and as many bytes and a record |
//!
//! So those who shake hands wait for each other and not the sessions for them, and a client that does not go on costs a place
//! among [`limits::HANDSHAKES_MAX`] for the length of the deadline.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::available_parallelism;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::{Accept, StartHandshake, TlsStream};

use super::byte_counters::RawSocket;
use super::lingering_close::LingeringClose;
use crate::limits;
use crate::node::Node;
use crate::telemetry::Throttle;
use crate::transport::tls::TlsIdentity;

/// The first byte of every connection of TLS: its first record is of the handshake.
pub(super) const FIRST_BYTE_OF_TLS: u8 = 22;

const PLAIN_HTTP_ANSWER: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 55\r\nConnection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n\
    This port speaks TLS alone: ask for https:// or wss://\n";

/// A connection after its handshake.
pub(super) type TlsSocket = TlsStream<HandshakeSocket>;

/// All handshakes of a server.
#[derive(Debug)]
pub struct Handshakes {
    identity: Arc<TlsIdentity>,
    places: Semaphore,
    turns: Semaphore,
    crowd_throttle: Throttle,
    failure_throttle: Throttle,
}

/// Why there is no connection after a handshake.
#[derive(Debug, thiserror::Error)]
enum HandshakeFailure {
    #[error("too many are under way")]
    Full,
    #[error("the client has left")]
    Left,
    #[error("the client took too long")]
    TimedOut,
    #[error("the client speaks plain HTTP, and this port TLS alone")]
    PlainHttp(RawSocket),
    #[error("the client does not speak TLS")]
    NotTls,
    #[error("{0}")]
    Refused(io::Error),
}

impl Handshakes {
    /// Those in which a server proves to be this one.
    pub fn new(identity: Arc<TlsIdentity>) -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            identity,
            places: Semaphore::new(limits::HANDSHAKES_MAX),
            turns: Semaphore::new((processors / 2).max(1)),
            crowd_throttle: Throttle::new(),
            failure_throttle: Throttle::new(),
        }
    }

    /// The connection after the handshake; if that fails, the client has been told as far as it can be. Safe to drop.
    pub(super) async fn shake_hands(
        &self,
        socket: RawSocket,
        node: &Node,
    ) -> Option<Box<TlsSocket>> {
        match self.in_place(socket).await {
            Ok(stream) => {
                node.metrics().shook_hands("done");
                Some(Box::new(stream))
            }
            Err(failure) => {
                node.metrics().shook_hands(failure.outcome());
                self.log(&failure);
                if let HandshakeFailure::PlainHttp(socket) = failure {
                    refuse_plain_http(socket).await;
                }
                None
            }
        }
    }

    async fn in_place(&self, socket: RawSocket) -> Result<TlsSocket, HandshakeFailure> {
        let place = self.places.try_acquire();
        let _place = place.map_err(|_| HandshakeFailure::Full)?;
        let deadline = Instant::now() + limits::HANDSHAKE_DEADLINE;
        let hello = timeout_at(deadline, read_hello(socket)).await;
        let hello = hello.map_err(|_| HandshakeFailure::TimedOut)??;
        let waits_since = Instant::now();
        let accept = self.answer(hello).await?;
        let stream = timeout_at(deadline + waits_since.elapsed(), accept).await;
        let mut stream = stream.map_err(|_| HandshakeFailure::TimedOut)??;
        let (socket, session) = stream.get_mut();
        socket.bytes_left = None;
        session.set_buffer_limit(Some(limits::TLS_UNSENT_BYTES));
        Ok(stream)
    }

    /// Key exchange and signature, in turn.
    async fn answer(
        &self,
        mut hello: StartHandshake<HandshakeSocket>,
    ) -> Result<Accept<HandshakeSocket>, HandshakeFailure> {
        let turn = self.turns.acquire().await;
        let _turn = turn.expect("nobody closes it");
        if hello.io.socket.counters().is_closed() {
            return Err(HandshakeFailure::Left);
        }
        hello.io.bytes_left = Some(limits::HANDSHAKE_BYTES_MAX + limits::TLS_RECORD_BYTES_MAX);
        Ok(hello.into_stream(self.identity.config()))
    }

    fn log(&self, failure: &HandshakeFailure) {
        match failure {
            HandshakeFailure::Left => tracing::debug!("a client left during the handshake of TLS"),
            HandshakeFailure::Full => self.crowd_throttle.log(|suppressed| {
                tracing::warn!(suppressed, "a connection was closed: {failure}");
            }),
            _ => self.failure_throttle.log(|suppressed| {
                tracing::info!(suppressed, "a handshake of TLS failed: {failure}");
            }),
        }
    }
}

impl HandshakeFailure {
    /// For the metrics.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Full => "busy",
            Self::Left => "left",
            Self::TimedOut => "timed_out",
            Self::PlainHttp(_) => "plain_http",
            Self::NotTls | Self::Refused(_) => "refused",
        }
    }
}

impl From<io::Error> for HandshakeFailure {
    /// What TLS refuses is invalid data; any other error is the network's.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Refused(error),
            _ => Self::Left,
        }
    }
}

async fn read_hello(
    socket: RawSocket,
) -> Result<StartHandshake<HandshakeSocket>, HandshakeFailure> {
    match socket.peek().await? {
        Some(FIRST_BYTE_OF_TLS) => {}
        Some(b'A'..=b'Z') => return Err(HandshakeFailure::PlainHttp(socket)),
        Some(_) => return Err(HandshakeFailure::NotTls),
        None => return Err(HandshakeFailure::Left),
    }
    let socket = HandshakeSocket {
        socket,
        bytes_left: Some(limits::HANDSHAKE_BYTES_MAX),
    };
    Ok(LazyConfigAcceptor::new(Acceptor::default(), socket).await?)
}

async fn refuse_plain_http(mut socket: RawSocket) {
    let answered = socket.write_all(PLAIN_HTTP_ANSWER.as_bytes()).await;
    if answered.is_ok() && socket.shutdown().await.is_ok() {
        LingeringClose::start().drain(&mut socket).await;
    }
}

/// A socket of which no more is read than a handshake may take, until that is over.
#[derive(Debug)]
pub(super) struct HandshakeSocket {
    socket: RawSocket,
    bytes_left: Option<usize>,
}

impl AsyncRead for HandshakeSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        if let Some(left) = &mut self.bytes_left {
            let left_now = left.checked_sub(buffer.filled().len() - before);
            *left = left_now.ok_or_else(too_long)?;
        }
        Poll::Ready(Ok(()))
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the client sends too much")
}

impl AsyncWrite for HandshakeSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

//! One WebSocket connection, over plain TCP or TLS.
//!
//! The handshake and the frame headers are tungstenite's; the message loop is not, because
//! allocating each message would cost more than all else a receiver does here. All connections
//! read into one buffer per thread, which therefore stays in the processor's cache.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::address::{Address, Changes};
use super::message;
use super::message::Message;
use super::tls;
use super::tls::BenchStream;
use super::tokens;
use super::wire::{first_frame, put_frame};
use super::within;

/// How long connecting, the handshake and the welcome may take together.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Handshakes under way at once: enough to be quick, less than a listen queue.
const CONNECTING_MAX: usize = 64;

/// Read at once from one socket; grows if a single frame is larger.
const SCRATCH_BYTES: usize = 256 * 1024;

/// An HTTP answer larger than this is not a handshake.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The context of an error on an open connection.
const BROKEN: &str = "the connection broke";

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// The server closed the session, with a code and a reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server closed the connection: {code} {reason}")]
pub(super) struct Closed {
    pub(super) code: u16,
    reason: String,
}

impl Closed {
    pub(super) fn new(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, reason }
    }
}

/// An open session.
#[derive(Debug)]
pub(super) struct BenchConnection {
    stream: BenchStream,
    outbox: Vec<u8>,
    /// Bytes read and not yet handled: part of a frame, except just after the handshake.
    unhandled: Vec<u8>,
    /// The payload so far of a message in several frames.
    partial: Vec<u8>,
    /// Whether `unhandled` may hold whole frames already.
    has_frames: bool,
    /// The log's position when the session opened.
    pub(super) welcome: u64,
    /// Pings answered so far.
    pub(super) pings: u64,
}

/// Opens `count` sessions, spread over `urls`.
pub(super) async fn open_many(
    urls: &[Address],
    count: u32,
    changes: Changes,
) -> Result<Vec<BenchConnection>> {
    opening(urls, count, changes).try_collect().await
}

/// The same, as a stream that yields each as soon as it is open.
pub(super) fn opening(
    urls: &[Address],
    count: u32,
    changes: Changes,
) -> impl Stream<Item = Result<BenchConnection>> {
    let addresses = urls.iter().cycle().take(count as usize);
    stream::iter(addresses.map(move |address| BenchConnection::open(address, changes)))
        .buffered(CONNECTING_MAX)
}

impl BenchConnection {
    pub(super) async fn open(address: &Address, changes: Changes) -> Result<Self> {
        Self::open_over(address.dial(), address, changes).await
    }

    /// Opens one with a receive buffer of about `bytes`.
    pub(super) async fn open_narrow(
        address: &Address,
        changes: Changes,
        bytes: u32,
    ) -> Result<Self> {
        Self::open_over(address.dial_narrow(bytes), address, changes).await
    }

    async fn open_over(
        dialed: impl Future<Output = io::Result<TcpStream>>,
        address: &Address,
        changes: Changes,
    ) -> Result<Self> {
        let what = format!("connecting to {}", address.authority);
        within(
            CONNECT_DEADLINE,
            &what,
            Self::connect(dialed, address, changes),
        )
        .await
        .with_context(|| format!("no session at {address}"))
    }

    async fn connect(
        dialed: impl Future<Output = io::Result<TcpStream>>,
        address: &Address,
        changes: Changes,
    ) -> Result<Self> {
        let stream = dialed.await?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream: tls::over(stream, address).await?,
            outbox: Vec::new(),
            unhandled: Vec::new(),
            partial: Vec::new(),
            has_frames: true,
            welcome: 0,
            pings: 0,
        };
        connection.shake_hands(address, changes).await?;
        connection.receive_welcome().await?;
        Ok(connection)
    }

    async fn shake_hands(&mut self, address: &Address, changes: Changes) -> Result<()> {
        let key = generate_key();
        let request = format!(
            "GET {}{} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{}\r\n",
            address.path,
            changes.query(),
            address.authority,
            tokens::header()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let end = loop {
            if let Some(at) = self
                .unhandled
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
            {
                break at + 4;
            }
            ensure!(self.unhandled.len() < HEAD_BYTES_MAX, "this is no livelog");
            self.read_more().await?;
        };
        check_head(&self.unhandled[..end], &key)?;
        self.unhandled.drain(..end);
        Ok(())
    }

    async fn receive_welcome(&mut self) -> Result<()> {
        loop {
            if let Some(frame) = first_frame(&self.unhandled)? {
                let Message::Welcome { seq } = message::read(frame.payload) else {
                    bail!(
                        "the first message is not a welcome: {}",
                        shown(frame.payload)
                    );
                };
                self.welcome = seq;
                let length = frame.length;
                self.unhandled.drain(..length);
                return Ok(());
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<()> {
        let count = self.stream.read_buf(&mut self.unhandled).await?;
        ensure!(
            count > 0,
            "the server closed the connection, saying {:?}",
            shown(&self.unhandled)
        );
        Ok(())
    }

    /// Puts one text message into the outbox; [`Self::step`] sends it.
    pub(super) fn queue(&mut self, text: &[u8]) -> Result<()> {
        put_frame(&mut self.outbox, OpCode::Data(Data::Text), text)
    }

    /// Sends what is queued, waits for messages and passes each of them to `each`.
    ///
    /// Sending and receiving share one wait: a server that stops reading until its own messages are read cannot cause a
    /// deadlock. Cancel-safe.
    pub(super) async fn step(&mut self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        poll_fn(|context| self.poll_step(context, &mut each)).await
    }

    fn poll_step(
        &mut self,
        context: &mut TaskContext<'_>,
        each: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Poll<Result<()>> {
        self.poll_send(context)?;
        if std::mem::take(&mut self.has_frames) {
            let bytes = std::mem::take(&mut self.unhandled);
            return Poll::Ready(self.handle(&bytes, each));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let filled = ready!(self.poll_receive(context, scratch))?;
            Poll::Ready(self.handle(&scratch[..filled], each))
        })
    }

    /// Writes what the socket takes; if that is not all, the task is woken when it takes more.
    fn poll_send(&mut self, context: &mut TaskContext<'_>) -> Result<()> {
        while !self.outbox.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.outbox) {
                Poll::Ready(count) => drop(self.outbox.drain(..count.context(BROKEN)?)),
                Poll::Pending => break,
            }
        }
        // What TLS holds back is handed on as well; the task is woken when the socket takes more.
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(flushed) => flushed.context(BROKEN),
            Poll::Pending => Ok(()),
        }
    }

    /// Fills `scratch` with the unhandled bytes and those that are new; returns how many that is.
    fn poll_receive(
        &mut self,
        context: &mut TaskContext<'_>,
        scratch: &mut Vec<u8>,
    ) -> Poll<Result<usize>> {
        let kept = self.unhandled.len();
        if scratch.len() < 2 * kept {
            scratch.resize(2 * kept, 0);
        }
        let mut buffer = ReadBuf::new(&mut scratch[kept..]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)).context(BROKEN)?;
        let new = buffer.filled().len();
        ensure_open(new)?;
        scratch[..kept].copy_from_slice(&self.unhandled);
        Poll::Ready(Ok(kept + new))
    }

    fn handle(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut bytes = bytes;
        while let Some(frame) = first_frame(bytes)? {
            match frame.opcode {
                OpCode::Data(_) if frame.is_final && self.partial.is_empty() => {
                    each(frame.payload)?
                }
                OpCode::Data(_) => {
                    self.partial.extend_from_slice(frame.payload);
                    if frame.is_final {
                        each(&std::mem::take(&mut self.partial))?;
                    }
                }
                OpCode::Control(Control::Ping) => {
                    self.pings += 1;
                    put_frame(
                        &mut self.outbox,
                        OpCode::Control(Control::Pong),
                        frame.payload,
                    )?;
                }
                OpCode::Control(Control::Close) => return Err(closed(frame.payload)),
                OpCode::Control(_) => {}
            }
            bytes = &bytes[frame.length..];
        }
        self.unhandled.clear();
        self.unhandled.extend_from_slice(bytes);
        Ok(())
    }
}

fn check_head(head: &[u8], key: &str) -> Result<()> {
    let head = String::from_utf8_lossy(head);
    let status = head.lines().next().unwrap_or_default();
    ensure!(
        status.contains(" 101 "),
        "the server refused the upgrade: {status}"
    );
    ensure!(
        head.contains(&derive_accept_key(key.as_bytes())),
        "the server's handshake does not match the request"
    );
    Ok(())
}

fn ensure_open(count: usize) -> Result<()> {
    ensure!(count > 0, "the server closed the connection without a word");
    Ok(())
}

fn closed(payload: &[u8]) -> anyhow::Error {
    match payload {
        [high, low, reason @ ..] => {
            Closed::new(u16::from_be_bytes([*high, *low]), shown(reason)).into()
        }
        _ => anyhow!("the server closed the connection"),
    }
}

fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 200;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_checked() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let good = "HTTP/1.1 101 Switching Protocols\r\n\
                    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert!(check_head(good.as_bytes(), key).is_ok());
        assert!(check_head(good.as_bytes(), "other").is_err());
        let busy = check_head(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", key).unwrap_err();
        assert!(busy.to_string().contains("503 Service Unavailable"));
    }

    #[test]
    fn a_close_frame_is_told() {
        let mut payload = 4003_u16.to_be_bytes().to_vec();
        payload.extend_from_slice(b"too slow");
        let error = closed(&payload);
        assert_eq!(error.downcast_ref::<Closed>().unwrap().code, 4003);
        assert!(error.to_string().ends_with("4003 too slow"), "{error}");
        assert!(closed(&[]).to_string().contains("closed"));
    }
}

//! A stream between hyper and the socket that gives hyper's own error answers a body.
//!
//! hyper refuses what it cannot parse before any service sees it, with an empty answer, and closes the connection,
//! upon which a client that is still sending loses the answer. Here such an answer gets the error object as its body,
//! and a connection is closed by a [`LingeringClose`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::byte_counters::ByteCounters;
use super::handshake::FIRST_BYTE_OF_TLS;
use super::lingering_close::LingeringClose;
use crate::limits;
use crate::protocol;
use crate::protocol::Failure;
use crate::telemetry::Throttle;
use crate::transport::gate;

/// An answer of hyper's own is at most as long.
const BARE_ERROR_BYTES_MAX: usize = 256;

/// One for all servers of the process: what it tells of is a mistake, made again and again until it is found.
static TLS_THROTTLE: Throttle = Throttle::new();

/// The stream that hyper serves; see the [module](self).
pub(super) struct ErrorResponder<S> {
    stream: S,
    counters: ByteCounters,
    /// The first byte of the connection.
    first: Option<u8>,
    /// An error answer in place of hyper's, as far as it is not written yet.
    unsent: Bytes,
    closing: Option<LingeringClose>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ErrorResponder<S> {
    pub(super) fn new(stream: S, counters: ByteCounters) -> Self {
        Self {
            stream,
            counters,
            first: None,
            unsent: Bytes::new(),
            closing: None,
        }
    }

    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.unsent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ErrorResponder<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        if self.first.is_none() {
            self.first = into.filled().get(before).copied();
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ErrorResponder<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(context))?;
        match bare_error(bytes) {
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
            Some(0) => {
                if self.first == Some(FIRST_BYTE_OF_TLS) {
                    log_tls();
                }
                self.unsent = with_error_object(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            Some(before) => Pin::new(&mut self.stream).poll_write(context, &bytes[..before]),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [only] => self.poll_write(context, only),
            _ => {
                ready!(self.poll_unsent(context))?;
                Pin::new(&mut self.stream).poll_write_vectored(context, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(context))?;
        let this = &mut *self;
        let closing = match &mut this.closing {
            Some(closing) => closing,
            none => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                this.counters.allowance().lift();
                none.insert(LingeringClose::start())
            }
        };
        closing.poll_drain(&mut this.stream, context).map(Ok)
    }
}

fn log_tls() {
    TLS_THROTTLE.log(|suppressed| {
        tracing::warn!(
            suppressed,
            "a client spoke TLS to a port of plain HTTP: for https:// and wss:// see --tls-cert"
        );
    });
}

/// Where in these bytes, which hyper writes, an error answer of its own begins: the last answer of a connection,
/// without a body. No route makes one, and nothing a client sent can look like one, since the JSON written here has
/// no line ends.
fn bare_error(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(BARE_ERROR_BYTES_MAX);
    let start = b"HTTP/1.1 4";
    let at = bytes[from..]
        .windows(start.len())
        .rposition(|window| window == start)?;
    let head = str::from_utf8(&bytes[from + at..]).ok()?;
    head.contains("\r\ncontent-length: 0\r\n")
        .then_some(from + at)
}

fn with_error_object(head: &[u8]) -> Bytes {
    let head = String::from_utf8_lossy(head);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.unwrap_or(StatusCode::BAD_REQUEST);
    let failure = Failure::new(gate::code_of(status), reason(status));
    let body = protocol::rest::error(&failure).into_bytes();
    let fields = format!(
        "content-type: application/json\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n",
        body.len()
    );
    let mut answer = head
        .replacen("content-length: 0\r\n", &fields, 1)
        .into_bytes();
    answer.extend_from_slice(&body);
    answer.into()
}

fn reason(status: StatusCode) -> String {
    match status {
        StatusCode::URI_TOO_LONG => "the address is too long".to_owned(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
            "a request's address and headers must not exceed {} bytes and {} headers",
            limits::HEAD_BYTES_MAX,
            limits::HEADERS_MAX
        ),
        _ => "this is no request of HTTP/1.1 (in an address a \" is written %22, and a space %20)"
            .to_owned(),
    }
}

//! The bytes of a connection, between hyper and the kernel.
//!
//! hyper refuses what it cannot parse before any service has seen it, with an empty answer, and closes a connection
//! whose client may still be sending, upon which the network takes the answer back. Here such an answer gets its
//! words, and a connection that ends is read a while longer, so that its client can hear what it was told.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::Meter;
use super::parting::Parting;
use crate::limits;
use crate::protocol;
use crate::protocol::Failure;
use crate::transport::gate;

/// hyper's own answer is this short.
const BARE_BYTES_MAX: usize = 256;

/// A stream of bytes that hyper serves.
pub(super) struct Wire<S> {
    stream: S,
    meter: Meter,
    /// A refusal in hyper's place, as far as it is not yet written.
    unsent: Bytes,
    parting: Option<Parting>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, meter: Meter) -> Self {
        Self {
            stream,
            meter,
            unsent: Bytes::new(),
            parting: None,
        }
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(cx))?;
        match bare_refusal(bytes) {
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
            Some(0) => {
                self.unsent = in_words(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            Some(before) => Pin::new(&mut self.stream).poll_write(cx, &bytes[..before]),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match pieces {
            [only] => self.poll_write(cx, only),
            _ => {
                ready!(self.poll_unsent(cx))?;
                Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(cx))?;
        let this = &mut *self;
        let parting = match &mut this.parting {
            Some(parting) => parting,
            none => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                this.meter.allowance().lift();
                none.insert(Parting::begin())
            }
        };
        parting.poll_drain(&mut this.stream, cx).map(Ok)
    }
}

/// Where in these bytes, which hyper writes, a refusal of its own begins: the last answer of a connection, without a
/// body. The routes make none such, and what a client has said cannot look like one, since JSON has no line ends.
fn bare_refusal(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(BARE_BYTES_MAX);
    let start = b"HTTP/1.1 4";
    let at = bytes[from..]
        .windows(start.len())
        .rposition(|window| window == start)?;
    let head = str::from_utf8(&bytes[from + at..]).ok()?;
    head.contains("\r\ncontent-length: 0\r\n")
        .then_some(from + at)
}

fn in_words(head: &[u8]) -> Bytes {
    let head = String::from_utf8_lossy(head);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.unwrap_or(StatusCode::BAD_REQUEST);
    let failure = Failure::new(gate::code(status), reason(status));
    let body = protocol::refusal(&failure).into_bytes();
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

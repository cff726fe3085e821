//! The bytes of a connection as its peers mean them: those of the socket, or what TLS makes of them. It counts what is
//! received, and is read no further than the [allowance](super::receive_budget).
//!
//! So under TLS as without, a message that is not whole holds what its own bytes are, and a connection that may not be read
//! leaves the rest to the kernel. What TLS holds beside is one record that is not whole, and
//! [`limits::TLS_UNSENT_BYTES`](crate::limits::TLS_UNSENT_BYTES) of what the kernel has not taken.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::byte_counters::{ByteCounters, RawSocket};
use super::handshake::TlsSocket;

/// What carries a connection's bytes.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(RawSocket),
    Tls(Box<TlsSocket>),
}

/// A connection whose received bytes are counted; see the [module](self).
#[derive(Debug)]
pub(super) struct CountedStream {
    wire: Wire,
    counters: ByteCounters,
}

impl CountedStream {
    pub(super) fn new(wire: Wire, counters: ByteCounters) -> Self {
        Self { wire, counters }
    }

    pub(super) fn counters(&self) -> &ByteCounters {
        &self.counters
    }

    fn wire(self: Pin<&mut Self>) -> &mut Wire {
        &mut self.get_mut().wire
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let counters = &this.counters;
        ready!(counters.allowance().poll(counters.received(), context));
        let before = buffer.filled().len();
        let polled = match &mut this.wire {
            Wire::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        let read = match &polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(buffer.filled().len() - before),
        };
        counters.note_read(read);
        polled
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.wire() {
            Wire::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.wire() {
            Wire::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.wire() {
            Wire::Plain(socket) => Pin::new(socket).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.wire() {
            Wire::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

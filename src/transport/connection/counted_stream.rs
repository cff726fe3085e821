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
use tokio_util::either::Either;

use super::byte_counters::{ByteCounters, RawSocket};
use super::handshake::TlsSocket;

/// What carries a connection's bytes: plainly, or in TLS.
pub(super) type Wire = Either<RawSocket, Box<TlsSocket>>;

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
        let polled = Pin::new(&mut this.wire).poll_read(context, buffer);
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
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

//! The end of a connection: what its client still sends is read, so that the network does not take back what it was
//! told last.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits;

/// How much is read at once of what nobody wants.
const PIECE_BYTES: usize = 16 * 1024;

/// A connection to which nothing more is written. What still comes is dropped, within bounds.
pub(crate) struct Parting {
    bytes_left: usize,
    end: Instant,
    silence: Pin<Box<Sleep>>,
}

impl Parting {
    pub(crate) fn begin() -> Self {
        let now = Instant::now();
        Self {
            bytes_left: limits::PARTING_BYTES_MAX,
            end: now + limits::PARTING_DEADLINE,
            silence: Box::pin(sleep_until(now + limits::PARTING_SILENCE)),
        }
    }

    /// Ready when the client has closed its side too, or has had its time.
    pub(super) fn poll_drain<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            let mut piece = ReadBuf::new(&mut piece);
            match Pin::new(&mut *stream).poll_read(cx, &mut piece) {
                Poll::Pending => return self.silence.as_mut().poll(cx),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let read = piece.filled().len();
            self.bytes_left = self.bytes_left.saturating_sub(read);
            let now = Instant::now();
            if read == 0 || self.bytes_left == 0 || now >= self.end {
                return Poll::Ready(());
            }
            let until = self.end.min(now + limits::PARTING_SILENCE);
            self.silence.as_mut().reset(until);
        }
    }

    /// Reads until the client has closed its side too, or has had its time.
    pub(crate) async fn drain<S: AsyncRead + Unpin>(mut self, stream: &mut S) {
        poll_fn(|context| self.poll_drain(stream, context)).await;
    }
}

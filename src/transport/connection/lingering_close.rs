//! The lingering close of a connection (as nginx calls it): after the server has shut down its side it reads on,
//! because data that arrives at a closed socket resets the connection, and the client loses what it was sent last.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits;

/// How much is read at once, to be dropped.
const READ_BYTES: usize = 16 * 1024;

/// A connection to which nothing more is written. What still arrives is dropped, within bounds.
pub(crate) struct LingeringClose {
    bytes_left: usize,
    deadline: Instant,
    silence: Pin<Box<Sleep>>,
}

impl LingeringClose {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self {
            bytes_left: limits::LINGERING_CLOSE_BYTES_MAX,
            deadline: now + limits::LINGERING_CLOSE_DEADLINE,
            silence: Box::pin(sleep_until(now + limits::LINGERING_CLOSE_SILENCE)),
        }
    }

    /// Ready when the client has closed its side too, or a bound is reached.
    pub(super) fn poll_drain<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let mut buffer = [0; READ_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => return self.silence.as_mut().poll(context),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let read = buffer.filled().len();
            self.bytes_left = self.bytes_left.saturating_sub(read);
            let now = Instant::now();
            if read == 0 || self.bytes_left == 0 || now >= self.deadline {
                return Poll::Ready(());
            }
            let until = self.deadline.min(now + limits::LINGERING_CLOSE_SILENCE);
            self.silence.as_mut().reset(until);
        }
    }

    /// Reads until the client has closed its side too, or a bound is reached.
    pub(crate) async fn drain<S: AsyncRead + Unpin>(mut self, stream: &mut S) {
        poll_fn(|context| self.poll_drain(stream, context)).await;
    }
}

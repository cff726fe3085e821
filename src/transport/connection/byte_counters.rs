//! Counts what a connection's peer takes and sends, so that deadlines follow progress.
//!
//! [`RawSocket`] counts what the kernel takes, be it encrypted or not; what the peer sends is counted as it is read, decrypted,
//! since messages and their bounds are of those bytes ([`CountedStream`](super::counted_stream::CountedStream)).
//! [`ByteCounters`] is shared by whoever watches a connection.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::task::AtomicWaker;
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until};

use super::receive_budget::ReceiveAllowance;
use super::write_timeout::WriteTimeout;
use crate::limits;

/// Bytes that went through one connection, and when. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ByteCounters(Arc<ConnectionCounts>);

#[derive(Debug)]
struct ConnectionCounts {
    start: Instant,
    received: ByteCount,
    written: ByteCount,
    allowance: ReceiveAllowance,
    /// Whether the last read found nothing: everything that has arrived is read.
    is_read_pending: AtomicBool,
    blocked: BlockedWrite,
    /// Weak, since the socket is open as long as an `Arc` of it lives: that is [`RawSocket`]'s alone.
    stream: Weak<TcpStream>,
}

/// Whether the kernel takes no more of what there is for the peer.
#[derive(Debug, Default)]
struct BlockedWrite {
    /// Since when, in nanoseconds after the start and one; 0 if it does.
    since: AtomicU64,
    watcher: AtomicWaker,
}

#[derive(Debug, Default)]
struct ByteCount {
    bytes: AtomicU64,
    /// When they last grew, in nanoseconds after the start: an answer to a ping may come within a microsecond.
    at: AtomicU64,
}

impl ByteCount {
    fn add(&self, bytes: usize, start: Instant) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.at.store(nanoseconds_since(start), Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn at(&self, start: Instant) -> Instant {
        start + Duration::from_nanos(self.at.load(Ordering::Relaxed))
    }
}

impl BlockedWrite {
    fn begin(&self, start: Instant) {
        let now = 1 + nanoseconds_since(start);
        let begun = self
            .since
            .compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        if begun.is_ok() {
            self.watcher.wake();
        }
    }
}

/// How often it is checked whether a peer has left, while nothing is read from it.
const CLOSED_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// How often it is checked which side waits for the other.
pub(super) const PROGRESS_CHECK_INTERVAL: Duration = Duration::from_millis(250);

fn nanoseconds_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).expect("no connection lasts for centuries")
}

impl ByteCounters {
    fn of(stream: &Arc<TcpStream>) -> Self {
        Self(Arc::new(ConnectionCounts {
            stream: Arc::downgrade(stream),
            start: Instant::now(),
            received: ByteCount::default(),
            written: ByteCount::default(),
            allowance: ReceiveAllowance::default(),
            is_read_pending: AtomicBool::new(false),
            blocked: BlockedWrite::default(),
        }))
    }

    /// Bytes received from the peer, in all.
    pub(crate) fn received(&self) -> u64 {
        self.0.received.bytes()
    }

    /// When bytes were last received.
    pub(crate) fn last_received(&self) -> Instant {
        self.0.received.at(self.0.start)
    }

    /// Notes a read: so many bytes are new, or everything that has arrived was read before.
    pub(super) fn note_read(&self, read: Poll<usize>) {
        let ConnectionCounts {
            start,
            received,
            is_read_pending,
            allowance,
            ..
        } = &*self.0;
        is_read_pending.store(read.is_pending(), Ordering::Relaxed);
        match read {
            Poll::Pending => allowance.note_partial(received.bytes()),
            Poll::Ready(bytes) => received.add(bytes, *start),
        }
    }

    /// How many bytes may be received.
    pub(crate) fn allowance(&self) -> &ReceiveAllowance {
        &self.0.allowance
    }

    /// What was received so far is whole and dealt with: the next message may begin.
    pub(crate) fn renew_allowance(&self) {
        self.0.allowance.renew(self.received());
    }

    /// Whether the server waits for bytes of the peer.
    pub(super) fn is_read_pending(&self) -> bool {
        self.0.is_read_pending.load(Ordering::Relaxed)
    }

    /// Waits until a write has been blocked for [`limits::WRITE_DEADLINE`], or for
    /// [`limits::STALLED_DEADLINE`] and the node is under pressure.
    pub(super) async fn blocked_write_timeout(&self, is_under_pressure: impl Fn() -> bool) {
        loop {
            let since = poll_fn(|context| self.poll_blocked(context)).await;
            // Counted in checks, not by the clock: else a server that is too busy to write would see silent peers.
            let mut blocked = Duration::ZERO;
            while self.blocked_since() == Some(since) {
                let is_in_time = blocked < limits::STALLED_DEADLINE
                    || (blocked < limits::WRITE_DEADLINE && !is_under_pressure());
                if !is_in_time {
                    return;
                }
                sleep(PROGRESS_CHECK_INTERVAL).await;
                blocked += PROGRESS_CHECK_INTERVAL;
            }
        }
    }

    fn poll_blocked(&self, context: &Context<'_>) -> Poll<Instant> {
        self.0.blocked.watcher.register(context.waker());
        self.blocked_since().map_or(Poll::Pending, Poll::Ready)
    }

    fn blocked_since(&self) -> Option<Instant> {
        let since = self
            .0
            .blocked
            .since
            .load(Ordering::Acquire)
            .checked_sub(1)?;
        Some(self.0.start + Duration::from_nanos(since))
    }

    /// Waits until the peer has closed the connection, though what it sent before is not read.
    pub(crate) async fn closed(&self) {
        while !self.is_closed() {
            sleep(CLOSED_CHECK_INTERVAL).await;
        }
    }

    /// Whether the peer has closed the connection, as far as is known.
    pub(super) fn is_closed(&self) -> bool {
        let Some(stream) = self.0.stream.upgrade() else {
            return true;
        };
        let ready = stream.ready(Interest::READABLE).now_or_never();
        ready.is_some_and(|ready| ready.is_ok_and(Ready::is_read_closed))
    }

    /// Waits until the kernel has taken nothing for `length` of what is being written since `since`.
    pub(crate) async fn write_stalled(&self, since: Instant, length: Duration) {
        loop {
            let end = since.max(self.last_written()) + length;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// Waits until the peer is too slow for what is being written since `since`; see [`WriteTimeout`].
    pub(crate) async fn write_timeout(&self, since: Instant) {
        let mut timeout = WriteTimeout::new(since, self.0.written.bytes());
        while let Some(next) =
            timeout.check(Instant::now(), self.last_written(), self.0.written.bytes())
        {
            sleep_until(next).await;
        }
    }

    /// When the kernel last took something for the peer.
    fn last_written(&self) -> Instant {
        self.0.written.at(self.0.start)
    }
}

/// A socket that counts what the kernel takes of what is written to it.
#[derive(Debug)]
pub(super) struct RawSocket {
    stream: Arc<TcpStream>,
    counters: ByteCounters,
}

impl RawSocket {
    /// Counts what is written to `stream` from here on.
    pub(super) fn new(stream: TcpStream) -> Self {
        let stream = Arc::new(stream);
        let counters = ByteCounters::of(&stream);
        Self { stream, counters }
    }

    pub(super) fn counters(&self) -> &ByteCounters {
        &self.counters
    }

    /// The first byte that is to be read; `None` if the peer has closed the connection without one.
    pub(super) async fn peek(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let count = self.stream.peek(&mut first).await?;
        Ok((count > 0).then_some(first[0]))
    }

    /// Does IO that may have to wait for the kernel.
    fn poll_io<T>(
        &self,
        context: &mut Context<'_>,
        ready: impl Fn(&TcpStream, &mut Context<'_>) -> Poll<io::Result<()>>,
        mut io: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(ready(&self.stream, context))?;
            match io(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn count_written(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let ConnectionCounts {
            start,
            written,
            blocked,
            ..
        } = &*self.counters.0;
        match polled {
            Poll::Pending => blocked.begin(*start),
            Poll::Ready(_) => blocked.since.store(0, Ordering::Release),
        }
        let bytes = ready!(polled)?;
        written.add(bytes, *start);
        Poll::Ready(Ok(bytes))
    }
}

impl AsyncRead for RawSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_io(context, TcpStream::poll_read_ready, |stream| {
            stream.try_read_buf(buffer)
        }))?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RawSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_io(context, TcpStream::poll_write_ready, |stream| {
            stream.try_write(bytes)
        });
        self.count_written(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_io(context, TcpStream::poll_write_ready, |stream| {
            stream.try_write_vectored(slices)
        });
        self.count_written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is buffered here.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match shutdown(&*self.stream, Shutdown::Write) {
            // The peer has closed the connection already.
            Ok(()) | Err(Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

//! Counts what a connection's peer takes and sends, as the kernel sees it: deadlines follow progress.

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

use super::intake::Allowance;
use crate::limits;

/// Bytes that went through one connection, and when. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    start: Instant,
    read: Count,
    written: Count,
    allowance: Allowance,
    /// Whether everything that has come is read.
    is_starving: AtomicBool,
    blocked: Blocked,
    /// Who holds it keeps the connection open: that is [`Metered`] alone.
    stream: Weak<TcpStream>,
}

/// Whether the peer takes nothing more of what there is for it.
#[derive(Debug, Default)]
struct Blocked {
    /// Since when, in nanoseconds after the start and one; 0 if it does.
    since: AtomicU64,
    attendant: AtomicWaker,
}

#[derive(Debug, Default)]
struct Count {
    bytes: AtomicU64,
    /// When they last grew, in nanoseconds after the start: an answer to a ping may come within a microsecond.
    at: AtomicU64,
}

impl Count {
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

impl Blocked {
    fn begin(&self, start: Instant) {
        let now = 1 + nanoseconds_since(start);
        let begun = self
            .since
            .compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        if begun.is_ok() {
            self.attendant.wake();
        }
    }
}

/// How often is looked whether a peer has left that is not read at the moment.
const GONE_INTERVAL: Duration = Duration::from_millis(50);

/// How often is looked who waits for whom.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(250);

fn nanoseconds_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).expect("no connection lasts for centuries")
}

impl Meter {
    fn of(stream: &Arc<TcpStream>) -> Self {
        Self(Arc::new(Counts {
            stream: Arc::downgrade(stream),
            start: Instant::now(),
            read: Count::default(),
            written: Count::default(),
            allowance: Allowance::default(),
            is_starving: AtomicBool::new(false),
            blocked: Blocked::default(),
        }))
    }

    /// Bytes that came from the peer.
    pub(crate) fn read(&self) -> u64 {
        self.0.read.bytes()
    }

    /// How many bytes may come.
    pub(crate) fn allowance(&self) -> &Allowance {
        &self.0.allowance
    }

    /// What has come so far is whole and done with: the next may begin.
    pub(crate) fn renew_allowance(&self) {
        self.0.allowance.renew(self.read());
    }

    /// Whether more is waited for of the peer, and nothing is there.
    pub(super) fn is_starving(&self) -> bool {
        self.0.is_starving.load(Ordering::Relaxed)
    }

    /// Waits until the peer has taken nothing for [`limits::WRITE_DEADLINE`], or for [`limits::LINGERING_DEADLINE`] and
    /// others wait for room.
    pub(super) async fn given_up(&self, is_crowded: impl Fn() -> bool) {
        loop {
            let since = poll_fn(|context| self.poll_blocked(context)).await;
            // By looks, not by the clock: a server that is too busy to write has no silent peers.
            let mut silent = Duration::ZERO;
            while self.blocked_since() == Some(since) {
                let is_patient = silent < limits::LINGERING_DEADLINE
                    || (silent < limits::WRITE_DEADLINE && !is_crowded());
                if !is_patient {
                    return;
                }
                sleep(LOOK_INTERVAL).await;
                silent += LOOK_INTERVAL;
            }
        }
    }

    fn poll_blocked(&self, context: &Context<'_>) -> Poll<Instant> {
        self.0.blocked.attendant.register(context.waker());
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

    /// Waits until the peer has left, though nothing is read of what it sent before.
    pub(crate) async fn gone(&self) {
        while !self.is_gone() {
            sleep(GONE_INTERVAL).await;
        }
    }

    fn is_gone(&self) -> bool {
        let Some(stream) = self.0.stream.upgrade() else {
            return true;
        };
        let ready = stream.ready(Interest::READABLE).now_or_never();
        ready.is_some_and(|ready| ready.is_ok_and(Ready::is_read_closed))
    }

    /// When bytes last came from the peer.
    pub(crate) fn heard(&self) -> Instant {
        self.0.read.at(self.0.start)
    }

    /// Waits until the peer has taken nothing for so long of what is being written to it since then.
    pub(crate) async fn silent(&self, since: Instant, length: Duration) {
        loop {
            let end = since.max(self.taken()) + length;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// Waits until the peer is too slow for what is being written to it since then.
    pub(crate) async fn stalled(&self, since: Instant) {
        let mut patience = Patience::new(since, self.0.written.bytes());
        while let Some(next) = patience.check(Instant::now(), self.taken(), self.0.written.bytes())
        {
            sleep_until(next).await;
        }
    }

    /// When the kernel last took something for the peer.
    fn taken(&self) -> Instant {
        self.0.written.at(self.0.start)
    }
}

/// How long a peer is borne with.
#[derive(Debug)]
struct Patience {
    began: Instant,
    /// Since when the slowest rate is looked at, and what had been taken then.
    period: (Instant, u64),
}

impl Patience {
    fn new(now: Instant, bytes: u64) -> Self {
        Self {
            began: now,
            period: (now, bytes),
        }
    }

    /// When to look again; `None` if the kernel has taken nothing for [`limits::WRITE_DEADLINE`], or less than
    /// [`limits::SLOWEST_BYTES`] in [`limits::SLOWEST_PERIOD`]. `taken` is when it last took some, and `bytes`
    /// how many in all.
    fn check(&mut self, now: Instant, taken: Instant, bytes: u64) -> Option<Instant> {
        let silence = self.began.max(taken) + limits::WRITE_DEADLINE;
        let mut end = self.period.0 + limits::SLOWEST_PERIOD;
        if now >= silence {
            return None;
        }
        if now >= end {
            if bytes - self.period.1 < limits::SLOWEST_BYTES {
                return None;
            }
            self.period = (now, bytes);
            end = now + limits::SLOWEST_PERIOD;
        }
        Some(silence.min(end))
    }
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub(super) struct Metered {
    stream: Arc<TcpStream>,
    meter: Meter,
}

impl Metered {
    /// Counts what goes through `stream` from here on.
    pub(crate) fn new(stream: TcpStream) -> Self {
        let stream = Arc::new(stream);
        let meter = Meter::of(&stream);
        Self { stream, meter }
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Does what may have to wait for the kernel.
    fn poll_io<T>(
        &self,
        context: &mut Context<'_>,
        ready: impl Fn(&TcpStream, &mut Context<'_>) -> Poll<io::Result<()>>,
        mut work: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(ready(&self.stream, context))?;
            match work(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn written(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Counts {
            start,
            written,
            blocked,
            ..
        } = &*self.meter.0;
        match polled {
            Poll::Pending => blocked.begin(*start),
            Poll::Ready(_) => blocked.since.store(0, Ordering::Release),
        }
        let bytes = ready!(polled)?;
        written.add(bytes, *start);
        Poll::Ready(Ok(bytes))
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.meter.allowance().poll(self.meter.read(), context));
        let before = buffer.filled().len();
        let polled = self.poll_io(context, TcpStream::poll_read_ready, |stream| {
            stream.try_read_buf(buffer)
        });
        let Counts {
            start,
            read,
            is_starving,
            ..
        } = &*self.meter.0;
        is_starving.store(polled.is_pending(), Ordering::Relaxed);
        if polled.is_pending() {
            self.meter.allowance().note_half(read.bytes());
        }
        ready!(polled)?;
        read.add(buffer.filled().len() - before, *start);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_io(context, TcpStream::poll_write_ready, |stream| {
            stream.try_write(bytes)
        });
        self.written(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_io(context, TcpStream::poll_write_ready, |stream| {
            stream.try_write_vectored(slices)
        });
        self.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is kept back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match shutdown(&*self.stream, Shutdown::Write) {
            // Whoever has left hears no end.
            Ok(()) | Err(Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long one is borne with who takes `piece` bytes each `pause`, if not for ever.
    fn endured(piece: u64, pause: Duration) -> Option<Duration> {
        let start = Instant::now();
        let mut patience = Patience::new(start, 0);
        let mut now = start;
        while now < start + limits::SLOWEST_PERIOD * 5 {
            let rounds = (now - start).as_secs() / pause.as_secs();
            let taken = start + pause * u32::try_from(rounds).unwrap();
            let Some(next) = patience.check(now, taken, rounds * piece) else {
                return Some(now - start);
            };
            assert!(next > now, "it would look for ever");
            now = next;
        }
        None
    }

    #[test]
    fn a_peer_is_too_slow_when_it_takes_nothing_for_the_deadline() {
        let endured = endured(u64::MAX / 16, limits::WRITE_DEADLINE * 3);
        assert_eq!(endured, Some(limits::WRITE_DEADLINE));
    }

    #[test]
    fn a_peer_that_takes_little_at_a_time_is_kept_if_that_comes_to_the_slowest_rate() {
        let pause = limits::WRITE_DEADLINE / 2;
        let rounds = limits::SLOWEST_PERIOD.as_secs() / pause.as_secs();
        let piece = limits::SLOWEST_BYTES / rounds;
        assert_eq!(endured(piece * 2, pause), None);
        let endured = endured(piece / 2, pause).unwrap();
        assert!(endured >= limits::SLOWEST_PERIOD && endured < limits::SLOWEST_PERIOD * 2);
    }
}

//! The write timeout: it follows progress, so that a slow client is kept and a stalled one is not.

use tokio::time::Instant;

use crate::limits;

/// Decides when a peer is too slow: the kernel has taken nothing for [`limits::WRITE_DEADLINE`], or less than
/// [`limits::SLOWEST_BYTES`] in [`limits::SLOWEST_PERIOD`].
#[derive(Debug)]
pub(super) struct WriteTimeout {
    start: Instant,
    /// When the current [`limits::SLOWEST_PERIOD`] began, and what had been taken then.
    period: (Instant, u64),
}

impl WriteTimeout {
    pub(super) fn new(now: Instant, bytes: u64) -> Self {
        Self {
            start: now,
            period: (now, bytes),
        }
    }

    /// When to check again; `None` if the peer is too slow. `taken_at` is when the kernel last took some, and `bytes`
    /// how many in all.
    pub(super) fn check(&mut self, now: Instant, taken_at: Instant, bytes: u64) -> Option<Instant> {
        debug_assert!(bytes >= self.period.1, "what was taken only grows");
        let stalled_at = self.start.max(taken_at) + limits::WRITE_DEADLINE;
        let mut period_end = self.period.0 + limits::SLOWEST_PERIOD;
        if now >= stalled_at {
            return None;
        }
        if now >= period_end {
            if bytes - self.period.1 < limits::SLOWEST_BYTES {
                return None;
            }
            self.period = (now, bytes);
            period_end = now + limits::SLOWEST_PERIOD;
        }
        Some(stalled_at.min(period_end))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// After how long a peer times out that takes `bytes` each `pause`, if it does.
    fn timed_out_after(bytes: u64, pause: Duration) -> Option<Duration> {
        let start = Instant::now();
        let mut timeout = WriteTimeout::new(start, 0);
        let mut now = start;
        while now < start + limits::SLOWEST_PERIOD * 5 {
            let rounds = (now - start).as_secs() / pause.as_secs();
            let taken_at = start + pause * u32::try_from(rounds).unwrap();
            let Some(next) = timeout.check(now, taken_at, rounds * bytes) else {
                return Some(now - start);
            };
            assert!(next > now, "it would check for ever");
            now = next;
        }
        None
    }

    #[test]
    fn a_peer_is_too_slow_when_it_takes_nothing_for_the_deadline() {
        let timed_out = timed_out_after(u64::MAX / 16, limits::WRITE_DEADLINE * 3);
        assert_eq!(timed_out, Some(limits::WRITE_DEADLINE));
    }

    #[test]
    fn a_peer_that_takes_little_at_a_time_is_kept_if_its_rate_is_the_slowest_one() {
        let pause = limits::WRITE_DEADLINE / 2;
        let rounds = limits::SLOWEST_PERIOD.as_secs() / pause.as_secs();
        let bytes = limits::SLOWEST_BYTES / rounds;
        assert_eq!(timed_out_after(bytes * 2, pause), None);
        let timed_out = timed_out_after(bytes / 2, pause).unwrap();
        assert!(timed_out >= limits::SLOWEST_PERIOD && timed_out < limits::SLOWEST_PERIOD * 2);
    }
}

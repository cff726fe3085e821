//! One rate of one principal: so many a second, and so many at once after a pause.

use std::fmt;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};

use crate::access::Rate;

type Limiter = RateLimiter<NotKeyed, InMemoryState, QuotaClock, NoOpMiddleware<Nanos>>;

/// Counts what a principal takes of a rate.
pub(super) struct RateMeter {
    limiter: Limiter,
    pub(super) rate: Rate,
}

/// Why it may not take so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OverRate {
    /// For so long.
    ForNow(Duration),
    /// It is more than may ever be taken at once.
    ForEver,
}

impl RateMeter {
    pub(super) fn new(rate: Rate, clock: &QuotaClock) -> Self {
        let quota = governor::Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self {
            limiter: Limiter::direct_with_clock(quota, clock.clone()),
            rate,
        }
    }

    /// Takes so many, or none.
    pub(super) fn take(&self, count: NonZeroU32) -> Result<(), OverRate> {
        match self.limiter.check_n(count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                let now = self.limiter.clock().now();
                Err(OverRate::ForNow(until.wait_time_from(now)))
            }
            Err(_) => Err(OverRate::ForEver),
        }
    }

    /// How long it takes at most until it is as if nothing had been taken.
    pub(super) fn recovery(&self) -> Duration {
        let seconds = f64::from(self.rate.burst.get()) / f64::from(self.rate.per_second.get());
        Duration::from_secs_f64(seconds)
    }
}

impl fmt::Debug for RateMeter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("RateMeter")
            .field(&self.rate)
            .finish()
    }
}

/// The time since a node's start.
#[derive(Debug, Clone)]
pub(super) enum QuotaClock {
    Running(Instant),
    /// Set by a test.
    #[cfg(test)]
    Set(governor::clock::FakeRelativeClock),
}

impl QuotaClock {
    pub(super) fn start() -> Self {
        Self::Running(Instant::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now().into()
    }
}

impl Clock for QuotaClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        match self {
            Self::Running(start) => start.elapsed().into(),
            #[cfg(test)]
            Self::Set(clock) => clock.now(),
        }
    }
}

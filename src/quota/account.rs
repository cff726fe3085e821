//! What one principal takes of a node, and the handle by which sessions and requests take it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::caller::Caller;
use super::meter::{OverRate, QuotaClock, RateMeter};
use super::who::Who;
use crate::access::{Grant, RoleLimits};
use crate::fairness::Party;
use crate::limits;
use crate::protocol::{Code, Failure};

/// What a principal takes, over all its sessions and requests.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) limits: RoleLimits,
    writes: Option<RateMeter>,
    reads: Option<RateMeter>,
    bytes: Option<RateMeter>,
    /// How many there are; shared with the account that takes this one's place when its role gets other limits.
    pub(super) sessions: Arc<AtomicU32>,
    /// When something was taken last, in nanoseconds by the clock.
    taken_at: AtomicU64,
    /// Until when its sockets are not read, in the same.
    paused_until: AtomicU64,
    clock: QuotaClock,
}

impl Account {
    pub(super) fn new(limits: RoleLimits, sessions: Arc<AtomicU32>, clock: &QuotaClock) -> Self {
        let meter = |rate| RateMeter::new(rate, clock);
        Self {
            limits,
            writes: limits.writes.map(meter),
            reads: limits.reads.map(meter),
            bytes: limits.bytes.map(meter),
            sessions,
            taken_at: AtomicU64::new(0),
            paused_until: AtomicU64::new(0),
            clock: clock.clone(),
        }
    }

    fn meters(&self) -> impl Iterator<Item = &RateMeter> {
        [&self.writes, &self.reads, &self.bytes]
            .into_iter()
            .flatten()
    }

    /// From when on it is as good as a new one, unless more is taken or a session is open.
    pub(super) fn recovered_at(&self) -> Duration {
        let taken_at = Duration::from_nanos(self.taken_at.load(Ordering::Relaxed));
        let recovery = self.meters().map(RateMeter::recovery).max();
        taken_at.saturating_add(recovery.unwrap_or_default())
    }

    fn take(&self, meter: Option<&RateMeter>, count: usize) -> Result<(), (OverRate, NonZeroU32)> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let (Some(meter), Some(count)) = (meter, NonZeroU32::new(count)) else {
            return Ok(());
        };
        let taken = meter
            .take(count)
            .map_err(|excess| (excess, meter.rate.burst));
        let now = self.clock.elapsed();
        match &taken {
            Ok(()) => note(&self.taken_at, now),
            Err((OverRate::ForNow(wait), _)) => {
                let pause = limits::REFUSAL_PAUSE_MAX.min(*wait);
                note(&self.paused_until, now + pause);
            }
            Err((OverRate::ForEver, _)) => {}
        }
        taken
    }

    fn pause(&self) -> Option<Duration> {
        let until = Duration::from_nanos(self.paused_until.load(Ordering::Relaxed));
        // Most are never refused, and need not look at the clock.
        if until.is_zero() {
            return None;
        }
        let rest = until.saturating_sub(self.clock.elapsed());
        (!rest.is_zero()).then_some(rest)
    }
}

fn note(latest: &AtomicU64, at: Duration) {
    let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
    latest.fetch_max(at, Ordering::Relaxed);
}

/// What a session or request may take, and who it is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Quota(Arc<AccountParts>);

#[derive(Debug)]
struct AccountParts {
    caller: Caller,
    who: Who,
    party: Party,
    /// `None` if the role has no limits.
    account: Option<Arc<Account>>,
}

impl Quota {
    pub(super) fn new(caller: Caller, who: Who, account: Option<Arc<Account>>) -> Self {
        Self(Arc::new(AccountParts {
            caller,
            party: Party::of(&who),
            who,
            account,
        }))
    }

    /// Whose it is.
    pub fn who(&self) -> &Who {
        &self.0.who
    }

    /// With whom it shares turns: its principal's other sessions and requests.
    pub fn party(&self) -> Party {
        self.0.party
    }

    /// What the same client may take under another grant.
    pub fn under(&self, grant: &Grant) -> Self {
        self.0.caller.quota(grant)
    }

    /// Takes so many commands.
    ///
    /// # Errors
    /// `rate_limited`; `batch_too_large` if they are more than the role allows at once, ever.
    pub fn write(&self, commands: usize) -> Result<(), Failure> {
        let taken = self.take(commands, |account| account.writes.as_ref());
        taken.map_err(|(excess, most)| match excess {
            OverRate::ForNow(wait) => {
                Failure::rate_limited("your role allows no more writes yet", wait)
            }
            OverRate::ForEver => {
                let message = format!("your role allows at most {most} commands at once");
                Failure::new(Code::BatchTooLarge, message)
            }
        })
    }

    /// Takes one read.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn read(&self) -> Result<(), Failure> {
        let taken = self.take(1, |account| account.reads.as_ref());
        taken.map_err(|(excess, _)| match excess {
            OverRate::ForNow(wait) => {
                Failure::rate_limited("your role allows no more reads yet", wait)
            }
            OverRate::ForEver => unreachable!("every rate allows one"),
        })
    }

    /// Takes so many bytes of a request.
    ///
    /// # Errors
    /// `rate_limited`; `message_too_large` if they are more than the role allows at once, ever.
    pub fn receive(&self, bytes: usize) -> Result<(), Failure> {
        let taken = self.take(bytes, |account| account.bytes.as_ref());
        taken.map_err(|(excess, most)| match excess {
            OverRate::ForNow(wait) => {
                Failure::rate_limited("your role allows no more bytes yet", wait)
            }
            OverRate::ForEver => {
                let message = format!("your role allows at most {most} bytes at once");
                Failure::new(Code::MessageTooLarge, message)
            }
        })
    }

    fn take(
        &self,
        count: usize,
        meter: impl FnOnce(&Account) -> Option<&RateMeter>,
    ) -> Result<(), (OverRate, NonZeroU32)> {
        match &self.0.account {
            None => Ok(()),
            Some(account) => account.take(meter(account), count),
        }
    }

    /// How long the principal's sockets are not to be read yet, because something was refused.
    pub fn pause(&self) -> Option<Duration> {
        self.0.account.as_ref()?.pause()
    }

    /// Takes a seat for a session.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn seat(&self) -> Result<SessionSeat, Failure> {
        let Some(account) = &self.0.account else {
            return Ok(SessionSeat(None));
        };
        let most = account.limits.sessions.map_or(u32::MAX, NonZeroU32::get);
        let add = |open: u32| (open < most).then(|| open + 1);
        let added = account
            .sessions
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        match added {
            Ok(_) => Ok(SessionSeat(Some(Arc::clone(&account.sessions)))),
            Err(_) => {
                let message = format!("your role allows at most {most} sessions at once");
                Err(Failure::rate_limited(message, limits::SESSION_RETRY))
            }
        }
    }

    /// The seat for a session that another took: the same, if it is of the same principal, else one of this.
    ///
    /// # Errors
    /// `rate_limited`; then the session keeps the seat that it has.
    pub fn reseat(&self, seat: &mut SessionSeat) -> Result<(), Failure> {
        let mine = self.0.account.as_ref().map(|account| &account.sessions);
        let is_same = match (mine, &seat.0) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            *seat = self.seat()?;
        }
        Ok(())
    }

    /// Named subscriptions of one session.
    pub fn subscriptions_max(&self) -> usize {
        let given = self
            .0
            .account
            .as_ref()
            .and_then(|account| account.limits.subscriptions);
        given.map_or(limits::SESSION_SUBSCRIPTIONS_MAX, |most| {
            limits::SESSION_SUBSCRIPTIONS_MAX.min(most.get() as usize)
        })
    }
}

/// One of the sessions of a principal, as long as it lives.
#[derive(Debug)]
pub struct SessionSeat(Option<Arc<AtomicU32>>);

impl Drop for SessionSeat {
    fn drop(&mut self) {
        if let Some(sessions) = &self.0 {
            sessions.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

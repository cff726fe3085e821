//! The accounts of a node, by who has them.
//!
//! An account is kept while somebody holds it or has a session, and then until its rates are whole again: from there on a new
//! one is as good. Those are looked for every [`limits::QUOTA_SWEEP_INTERVAL`], when somebody asks, and when there are
//! [`limits::QUOTAS_MAX`]. If all are still needed by then, half of those whom nobody holds are forgotten, those first that
//! would be whole first: with so many principals at work none of them is held back by a limit of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::account::Account;
use super::meter::QuotaClock;
use super::who::Who;
use crate::access::RoleLimits;
use crate::limits;

/// A place in the table: key, pointer, and what it keeps of each for finding it; before it grows it is seven eighths full,
/// after that half of it.
const PLACE_BYTES: usize = (size_of::<(u128, Arc<Account>)>() + 1) * 16 / 7;

/// Of an allocation that is shared: its two counts, and what an allocator rounds up.
const SHARED_BYTES: usize = 32;

const _: () = assert!(
    PLACE_BYTES + size_of::<Account>() + size_of::<AtomicU32>() + 2 * SHARED_BYTES
        <= limits::QUOTA_BYTES
);

/// All quotas of a node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Quotas(Arc<AccountBook>);

#[derive(Debug)]
struct AccountBook {
    clock: QuotaClock,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    by_who: HashMap<u128, Arc<Account>>,
    swept_at: Duration,
}

impl Default for Quotas {
    fn default() -> Self {
        Self::with_clock(QuotaClock::start())
    }
}

impl Quotas {
    pub(super) fn with_clock(clock: QuotaClock) -> Self {
        Self(Arc::new(AccountBook {
            clock,
            accounts: Mutex::default(),
        }))
    }

    /// The account of somebody under a role, if that has limits.
    pub(super) fn account(
        &self,
        who: &Who,
        role: &str,
        limits: RoleLimits,
    ) -> Option<Arc<Account>> {
        let has_limits = limits != RoleLimits::default();
        has_limits.then(|| self.limited(who.digest(role), limits))
    }

    fn limited(&self, digest: u128, limits: RoleLimits) -> Arc<Account> {
        let (clock, now) = (&self.0.clock, self.0.clock.elapsed());
        let mut accounts = self.lock();
        accounts.sweep_if_due(now);
        let known = accounts.by_who.get(&digest);
        if let Some(account) = known.filter(|account| account.limits == limits) {
            return Arc::clone(account);
        }
        // The role has other limits now. What was taken under the old ones is forgiven; its sessions go on.
        let sessions = known.map(|account| Arc::clone(&account.sessions));
        let account = Account::new(limits, sessions.unwrap_or_default(), clock);
        let account = Arc::new(account);
        accounts.by_who.insert(digest, Arc::clone(&account));
        account
    }

    /// How many principals something is remembered of.
    pub fn len(&self) -> usize {
        self.lock().by_who.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A map is whole after a panic elsewhere: nothing is done with it in steps.
    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    fn sweep_if_due(&mut self, now: Duration) {
        let is_full = self.by_who.len() >= limits::QUOTAS_MAX;
        let is_due = now.saturating_sub(self.swept_at) >= limits::QUOTA_SWEEP_INTERVAL;
        if !is_full && !is_due {
            return;
        }
        self.swept_at = now;
        self.by_who
            .retain(|_, account| is_held(account) || account.recovered_at() > now);
        if self.by_who.len() >= limits::QUOTAS_MAX {
            self.forget_half();
        }
        if self.by_who.len() < self.by_who.capacity() / 4 {
            self.by_who.shrink_to_fit();
        }
    }

    fn forget_half(&mut self) {
        let idle = self.by_who.values().filter(|account| !is_held(account));
        let mut recoveries: Vec<Duration> = idle.map(|account| account.recovered_at()).collect();
        let middle = recoveries.len() / 2;
        if recoveries.is_empty() {
            return;
        }
        let (_, last, _) = recoveries.select_nth_unstable(middle);
        let last = *last;
        self.by_who
            .retain(|_, account| is_held(account) || account.recovered_at() > last);
    }
}

/// Nobody can take hold of it meanwhile, since that takes the lock.
fn is_held(account: &Arc<Account>) -> bool {
    Arc::strong_count(account) > 1 || account.sessions.load(Ordering::Acquire) > 0
}

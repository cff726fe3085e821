//! Subscriptions with the same filter: a change is judged once for all of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::VisibleKind;
use crate::domain::{Change, Seq};
use crate::limits;
use crate::query::Filter;
use crate::value::{Steps, TooCostly};

/// Changes that are left to the members after one took too many steps.
const REST_CHANGES: u32 = 100;

/// The latest changes of which a filter sees something, and who waits for more.
#[derive(Debug)]
pub(super) struct FilterGroup {
    pub(super) key: u64,
    pub(super) filter: Arc<Filter>,
    /// So many of the next changes are left to the members, because one took too long.
    rest: AtomicU32,
    state: Mutex<GroupState>,
}

#[derive(Debug)]
struct GroupState {
    /// At most [`limits::MATCHES_MAX`]. `None` is a change that takes too long to judge for all: each member finds out
    /// for itself whether it is one.
    matches: VecDeque<(Seq, Option<VisibleKind>)>,
    /// Every match from here on is among them.
    complete_from: Seq,
    members: Vec<Arc<Member>>,
}

/// One subscription, as its group knows it.
#[derive(Debug)]
pub(super) struct Member {
    bell: Arc<Notify>,
    /// The first match since the subscription last looked; 0 is none.
    first: AtomicU64,
}

/// The matches asked for are not all remembered.
#[derive(Debug)]
pub(super) struct NotRemembered;

impl FilterGroup {
    /// Remembers matches after `seq`.
    pub(super) fn new(key: u64, filter: Arc<Filter>, seq: Seq) -> Self {
        let state = GroupState {
            matches: VecDeque::new(),
            complete_from: seq.next(),
            members: Vec::new(),
        };
        Self {
            key,
            filter,
            rest: AtomicU32::new(0),
            state: Mutex::new(state),
        }
    }

    /// How many subscriptions it has.
    pub(super) fn len(&self) -> usize {
        self.state().members.len()
    }

    pub(super) fn add(&self, member: Arc<Member>) {
        self.state().members.push(member);
    }

    /// Whether nobody is left.
    pub(super) fn leave(&self, member: &Arc<Member>) -> bool {
        let members = &mut self.state().members;
        let known = members.iter().position(|known| Arc::ptr_eq(known, member));
        members.swap_remove(known.expect("a member leaves once"));
        members.is_empty()
    }

    /// Remembers the change if the filter sees something of it, or if it takes too many steps to tell; and says
    /// whether the members are to look.
    pub(super) fn judge(&self, change: &Change, steps: &Steps) -> bool {
        let seen = match self.verdict(change, steps) {
            Ok(None) => return false,
            Ok(Some(seen)) => Some(seen),
            Err(TooCostly) => None,
        };
        let mut state = self.state();
        if state.matches.len() == limits::MATCHES_MAX {
            let oldest = state.matches.pop_front();
            let (oldest, _) = oldest.expect("more than none are remembered");
            state.complete_from = oldest.next();
        }
        state.matches.push_back((change.seq, seen));
        true
    }

    fn verdict(&self, change: &Change, steps: &Steps) -> Result<Option<VisibleKind>, TooCostly> {
        let rest = self.rest.load(Ordering::Relaxed);
        if rest > 0 {
            self.rest.store(rest - 1, Ordering::Relaxed);
            return Err(TooCostly);
        }
        let own = Steps::new(limits::GROUP_STEPS_MAX.min(steps.left()));
        let seen = self.filter.sees(change, &own);
        steps.spend(own.taken());
        if seen.is_err() && own.taken() == limits::GROUP_STEPS_MAX {
            self.rest.store(REST_CHANGES, Ordering::Relaxed);
        }
        seen
    }

    /// Remembers matches after `seq` alone.
    pub(super) fn forget_through(&self, seq: Seq) {
        let mut state = self.state();
        state.matches.clear();
        state.complete_from = seq.next();
    }

    /// Tells all members of matches from `first` on. They are remembered already, so who looks finds them.
    pub(super) fn ring(&self, first: Seq) {
        for member in &self.state().members {
            member.ring(first);
        }
    }

    /// Replaces `found` with the matches from `from` on, at most `limit`; and says whether there are more.
    pub(super) fn matches(
        &self,
        from: Seq,
        limit: usize,
        found: &mut Vec<(Seq, Option<VisibleKind>)>,
    ) -> Result<bool, NotRemembered> {
        found.clear();
        let state = self.state();
        if from < state.complete_from {
            return Err(NotRemembered);
        }
        let first = state.matches.partition_point(|(seq, _)| *seq < from);
        found.extend(state.matches.range(first..).take(limit));
        Ok(state.matches.len() - first > limit)
    }

    fn state(&self) -> MutexGuard<'_, GroupState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub(super) fn new(bell: Arc<Notify>) -> Self {
        Self {
            bell,
            first: AtomicU64::new(0),
        }
    }

    fn ring(&self, first: Seq) {
        let unread =
            self.first
                .compare_exchange(0, first.get(), Ordering::AcqRel, Ordering::Acquire);
        if unread.is_ok() {
            self.bell.notify_one();
        }
    }

    /// Whether there was a match since the last look.
    pub(super) fn has_news(&self) -> bool {
        self.first.load(Ordering::Acquire) != 0
    }

    /// The first match since the last look, perhaps one that was found by other means.
    pub(super) fn look(&self) -> Option<Seq> {
        let first = self.first.swap(0, Ordering::AcqRel);
        (first != 0).then(|| Seq::new(first))
    }
}

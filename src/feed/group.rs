//! Subscriptions with the same filter: a change is judged once for all of them.
//!
//! A group remembers its latest matches. Invariants: their seqs rise strictly, and every match from `complete_from` on
//! is among them. The pump adds a match before it notifies the members, so a member that is woken finds it here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::{Change, Seq, VisibleKind};
use crate::limits;
use crate::query::Filter;
use crate::value::{Steps, TooCostly};

/// Changes that are left to the members to judge after one took too many steps.
const COOLDOWN_CHANGES: u32 = 100;

/// A change that a filter sees, and as what. `None` marks a change that takes too long to judge here: each member judges
/// it for itself.
pub(super) type FilterMatch = (Seq, Option<VisibleKind>);

/// Identifies a group; no id is used twice.
pub(super) type GroupId = u64;

/// The latest changes of which a filter sees something, and the subscriptions that wait for more.
#[derive(Debug)]
pub(super) struct FilterGroup {
    pub(super) id: GroupId,
    pub(super) filter: Arc<Filter>,
    /// How many of the next changes are left to the members, because one took too long.
    cooldown: AtomicU32,
    state: Mutex<GroupState>,
}

#[derive(Debug)]
struct GroupState {
    /// At most [`limits::MATCHES_MAX`].
    matches: VecDeque<FilterMatch>,
    /// Every match from here on is among them.
    complete_from: Seq,
    members: Vec<Arc<Member>>,
}

/// One subscription, as its group knows it.
#[derive(Debug)]
pub(super) struct Member {
    wakeup: Arc<Notify>,
    /// The first match since the subscription last took it; 0 is none.
    first_pending: AtomicU64,
}

/// The group no longer remembers all the matches asked for.
#[derive(Debug)]
pub(super) struct NotRemembered;

impl FilterGroup {
    /// Remembers matches after `seq`.
    pub(super) fn new(id: GroupId, filter: Arc<Filter>, seq: Seq) -> Self {
        let state = GroupState {
            matches: VecDeque::new(),
            complete_from: seq.next(),
            members: Vec::new(),
        };
        Self {
            id,
            filter,
            cooldown: AtomicU32::new(0),
            state: Mutex::new(state),
        }
    }

    /// The number of subscriptions.
    pub(super) fn len(&self) -> usize {
        self.state().members.len()
    }

    pub(super) fn add(&self, member: Arc<Member>) {
        self.state().members.push(member);
    }

    /// Removes a member; whether the group is now empty.
    pub(super) fn remove(&self, member: &Arc<Member>) -> bool {
        let members = &mut self.state().members;
        let index = members.iter().position(|known| Arc::ptr_eq(known, member));
        members.swap_remove(index.expect("a member is removed once"));
        members.is_empty()
    }

    /// Remembers the change if the filter sees something of it, or if that takes too many steps to tell; returns
    /// whether it did, so that the members are to be notified.
    pub(super) fn judge(&self, change: &Change, steps: &Steps) -> bool {
        let seen = match self.verdict(change, steps) {
            Ok(None) => return false,
            Ok(Some(seen)) => Some(seen),
            Err(TooCostly) => None,
        };
        let mut state = self.state();
        let last = state.matches.back().map(|(last, _)| *last);
        debug_assert!(
            last < Some(change.seq),
            "matches are in the order of the log"
        );
        debug_assert!(
            state.complete_from <= change.seq,
            "a group judges what it must know"
        );
        if state.matches.len() == limits::MATCHES_MAX {
            let oldest = state.matches.pop_front();
            let (oldest, _) = oldest.expect("the length was checked");
            state.complete_from = oldest.next();
        }
        state.matches.push_back((change.seq, seen));
        true
    }

    fn verdict(&self, change: &Change, steps: &Steps) -> Result<Option<VisibleKind>, TooCostly> {
        let cooldown = self.cooldown.load(Ordering::Relaxed);
        if cooldown > 0 {
            self.cooldown.store(cooldown - 1, Ordering::Relaxed);
            return Err(TooCostly);
        }
        let own = Steps::new(limits::GROUP_STEPS_MAX.min(steps.left()));
        let seen = self.filter.visible_kind(change, &own);
        steps.spend(own.taken());
        if seen.is_err() && own.taken() == limits::GROUP_STEPS_MAX {
            self.cooldown.store(COOLDOWN_CHANGES, Ordering::Relaxed);
        }
        seen
    }

    /// Forgets all matches up to `seq`, so that members who need them read the log.
    pub(super) fn forget_through(&self, seq: Seq) {
        let mut state = self.state();
        state.matches.clear();
        state.complete_from = seq.next();
    }

    /// Notifies all members of matches from `first` on, which are remembered already.
    pub(super) fn notify(&self, first: Seq) {
        for member in &self.state().members {
            member.notify(first);
        }
    }

    /// The matches from `from` on, at most `limit`, and whether there are more.
    pub(super) fn matches(
        &self,
        from: Seq,
        limit: usize,
    ) -> Result<(Vec<FilterMatch>, bool), NotRemembered> {
        let state = self.state();
        if from < state.complete_from {
            return Err(NotRemembered);
        }
        let first = state.matches.partition_point(|(seq, _)| *seq < from);
        let matches = state.matches.range(first..).take(limit).copied();
        Ok((matches.collect(), state.matches.len() - first > limit))
    }

    fn state(&self) -> MutexGuard<'_, GroupState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub(super) fn new(wakeup: Arc<Notify>) -> Self {
        Self {
            wakeup,
            first_pending: AtomicU64::new(0),
        }
    }

    /// Keeps the earliest pending match: the subscription reads on from there.
    fn notify(&self, first: Seq) {
        debug_assert_ne!(first, Seq::ZERO, "0 means that nothing is pending");
        let was_empty = self.first_pending.compare_exchange(
            0,
            first.get(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if was_empty.is_ok() {
            self.wakeup.notify_one();
        }
    }

    /// Whether there was a match since [`take_pending`](Self::take_pending).
    pub(super) fn has_pending(&self) -> bool {
        self.first_pending.load(Ordering::Acquire) != 0
    }

    /// Takes the first match since the last call. The subscription may have handed it out already, having found it in
    /// the window itself.
    pub(super) fn take_pending(&self) -> Option<Seq> {
        let first = self.first_pending.swap(0, Ordering::AcqRel);
        (first != 0).then(|| Seq::new(first))
    }
}

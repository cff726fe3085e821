//! Who is concerned by a change: groups of subscriptions with the same filter, found by what it asks for.
//!
//! The pump judges every change once for each group that it may concern, and leaves word with the groups
//! that see something of it. So a change costs by the subscriptions that match it, not by all there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::group::{FilterGroup, Member};
use crate::domain::{Change, Seq};
use crate::limits;
use crate::query::{Filter, FilterIndex};
use crate::value::Steps;

/// All groups of a node.
#[derive(Debug)]
pub(super) struct Fanout {
    groups: Mutex<FilterGroups>,
}

#[derive(Debug)]
struct FilterGroups {
    by_key: HashMap<GroupId, Arc<FilterGroup>>,
    by_filter: HashMap<[u8; 32], GroupId>,
    index: FilterIndex<GroupId>,
    next: GroupId,
    /// Changes up to here were judged.
    seq: Seq,
}

/// Tells groups apart.
type GroupId = u64;

/// A subscription's place in its group, until it is dropped.
#[derive(Debug)]
pub(super) struct Membership {
    audience: Arc<Fanout>,
    pub(super) group: Arc<FilterGroup>,
    pub(super) member: Arc<Member>,
}

impl Fanout {
    /// Judges changes after `seq`.
    pub(super) fn new(seq: Seq) -> Arc<Self> {
        let groups = FilterGroups {
            by_key: HashMap::new(),
            by_filter: HashMap::new(),
            index: FilterIndex::default(),
            next: 0,
            seq,
        };
        Arc::new(Self {
            groups: Mutex::new(groups),
        })
    }

    /// Joins those with the same filter; `bell` rings when there is a match to look at.
    pub(super) fn join(self: &Arc<Self>, filter: &Arc<Filter>, bell: &Arc<Notify>) -> Membership {
        let mut groups = self.groups();
        let group = groups.of(filter);
        let member = Arc::new(Member::new(Arc::clone(bell)));
        group.add(Arc::clone(&member));
        drop(groups);
        Membership {
            audience: Arc::clone(self),
            group,
            member,
        }
    }

    /// Judges the next changes, which are in the window already, and rings for those who may see some. Says how many:
    /// after those that take long, others are to have their turn.
    pub(super) fn judge(&self, changes: &[Arc<Change>]) -> usize {
        let mut groups = self.groups();
        let mut concerned = Vec::new();
        let mut candidates = Vec::new();
        let (mut judged, mut taken) = (0, 0);
        for change in changes {
            if taken >= limits::JUDGE_SLICE_STEPS {
                break;
            }
            let steps = Steps::new(limits::CHANGE_STEPS_MAX);
            groups.candidates(change, &steps, &mut candidates);
            for key in &candidates {
                let group = &groups.by_key[key];
                if group.judge(change, &steps) {
                    concerned.push((*key, change.seq));
                }
            }
            groups.seq = change.seq;
            taken += steps.taken();
            judged += 1;
        }
        // Rung once for all of its changes, from the first on.
        concerned.sort_unstable();
        concerned.dedup_by_key(|(key, _)| *key);
        for (key, first) in concerned {
            groups.by_key[&key].ring(first);
        }
        judged
    }

    /// Passes over a change that cannot be read: nobody can tell whom it concerns, so all are told to look.
    pub(super) fn skip(&self, seq: Seq) {
        let mut groups = self.groups();
        groups.seq = seq;
        for group in groups.by_key.values() {
            group.forget_through(seq);
            group.ring(seq);
        }
    }

    /// Subscriptions, and groups of them.
    pub(super) fn count(&self) -> (usize, usize) {
        let groups = self.groups();
        let members = groups.by_key.values().map(|group| group.len());
        (members.sum(), groups.by_key.len())
    }

    fn groups(&self) -> MutexGuard<'_, FilterGroups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FilterGroups {
    fn of(&mut self, filter: &Arc<Filter>) -> Arc<FilterGroup> {
        let digest = filter.digest();
        if let Some(key) = self.by_filter.get(&digest) {
            return Arc::clone(&self.by_key[key]);
        }
        let key = self.next;
        self.next += 1;
        let group = Arc::new(FilterGroup::new(key, Arc::clone(filter), self.seq));
        self.index.insert(filter, key);
        self.by_filter.insert(digest, key);
        self.by_key.insert(key, Arc::clone(&group));
        group
    }

    fn remove(&mut self, group: &FilterGroup) {
        self.index.remove(&group.filter, group.key);
        self.by_filter.remove(&group.filter.digest());
        self.by_key.remove(&group.key);
    }

    /// Replaces `found` with the groups that the change may concern, each once.
    fn candidates(&self, change: &Change, steps: &Steps, found: &mut Vec<GroupId>) {
        found.clear();
        if change.is_redacted() {
            // By what it was nobody can be found.
            found.extend(self.by_key.keys());
        }
        for event in [change.before(), change.after()].into_iter().flatten() {
            self.index.candidates(&**event, steps, found);
        }
        found.sort_unstable();
        found.dedup();
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut groups = self.audience.groups();
        if self.group.leave(&self.member) {
            groups.remove(&self.group);
        }
    }
}

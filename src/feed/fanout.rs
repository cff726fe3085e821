//! The fan-out index: finds the groups of subscriptions that a change concerns, by what their filters ask for.
//!
//! The pump judges every change once for each candidate group, and notifies the groups whose filter sees something of
//! it. So the cost of a change grows with the subscriptions that match it, not with all there are.
//!
//! Invariant: `seq` of the groups moves one change at a time, and only after the window holds that change. A group
//! that is created now therefore knows every match after `seq`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::group::{FilterGroup, GroupId, Member};
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
    by_id: HashMap<GroupId, Arc<FilterGroup>>,
    by_filter: HashMap<[u8; 32], GroupId>,
    index: FilterIndex<GroupId>,
    next_id: GroupId,
    /// Changes up to here were judged for every group.
    seq: Seq,
}

/// A subscription's membership in its group. Dropping it leaves the group.
#[derive(Debug)]
pub(super) struct Membership {
    fanout: Arc<Fanout>,
    pub(super) group: Arc<FilterGroup>,
    pub(super) member: Arc<Member>,
}

impl Fanout {
    /// An index without groups that judges changes after `seq`.
    pub(super) fn new(seq: Seq) -> Arc<Self> {
        let groups = FilterGroups {
            by_id: HashMap::new(),
            by_filter: HashMap::new(),
            index: FilterIndex::default(),
            next_id: 0,
            seq,
        };
        Arc::new(Self {
            groups: Mutex::new(groups),
        })
    }

    /// Joins the group of this filter; `wakeup` is notified when the group has a match to take.
    pub(super) fn join(self: &Arc<Self>, filter: &Arc<Filter>, wakeup: &Arc<Notify>) -> Membership {
        let mut groups = self.groups();
        let group = groups.get_or_create(filter);
        let member = Arc::new(Member::new(Arc::clone(wakeup)));
        group.add(Arc::clone(&member));
        drop(groups);
        Membership {
            fanout: Arc::clone(self),
            group,
            member,
        }
    }

    /// Judges the next changes, which the window holds already, and notifies the groups that may see some of them.
    /// Returns how many it judged: it stops after [`limits::JUDGE_SLICE_STEPS`], so that the caller can yield.
    pub(super) fn judge(&self, changes: &[Arc<Change>]) -> usize {
        let mut groups = self.groups();
        let mut matched = Vec::new();
        let mut candidates = Vec::new();
        let (mut judged, mut taken) = (0, 0);
        for change in changes {
            if taken >= limits::JUDGE_SLICE_STEPS {
                break;
            }
            debug_assert_eq!(change.seq, groups.seq.next(), "no change is left unjudged");
            let steps = Steps::new(limits::CHANGE_STEPS_MAX);
            groups.candidates(change, &steps, &mut candidates);
            for id in &candidates {
                let group = &groups.by_id[id];
                if group.judge(change, &steps) {
                    matched.push((*id, change.seq));
                }
            }
            groups.seq = change.seq;
            taken += steps.taken();
            judged += 1;
        }
        // One notification for all matches of a group, with the first of them.
        matched.sort_unstable();
        matched.dedup_by_key(|(id, _)| *id);
        for (id, first) in matched {
            groups.by_id[&id].notify(first);
        }
        judged
    }

    /// Passes over a change that cannot be read. It may concern any group, so all are notified: their members then read
    /// the log, and learn there that it is corrupt.
    pub(super) fn skip(&self, seq: Seq) {
        let mut groups = self.groups();
        debug_assert!(seq > groups.seq, "the tail moves forward");
        groups.seq = seq;
        for group in groups.by_id.values() {
            group.forget_through(seq);
            group.notify(seq);
        }
    }

    /// The number of subscriptions, and of groups.
    pub(super) fn counts(&self) -> (usize, usize) {
        let groups = self.groups();
        let members = groups.by_id.values().map(|group| group.len());
        (members.sum(), groups.by_id.len())
    }

    fn groups(&self) -> MutexGuard<'_, FilterGroups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FilterGroups {
    fn get_or_create(&mut self, filter: &Arc<Filter>) -> Arc<FilterGroup> {
        let digest = filter.digest();
        if let Some(id) = self.by_filter.get(&digest) {
            return Arc::clone(&self.by_id[id]);
        }
        let id = self.next_id;
        self.next_id += 1;
        let group = Arc::new(FilterGroup::new(id, Arc::clone(filter), self.seq));
        self.index.insert(filter, id);
        self.by_filter.insert(digest, id);
        self.by_id.insert(id, Arc::clone(&group));
        group
    }

    fn remove(&mut self, group: &FilterGroup) {
        self.index.remove(&group.filter, group.id);
        self.by_filter.remove(&group.filter.digest());
        self.by_id.remove(&group.id);
    }

    /// Replaces `candidates` with the groups that the change may concern, each once.
    fn candidates(&self, change: &Change, steps: &Steps, candidates: &mut Vec<GroupId>) {
        candidates.clear();
        if change.is_redacted() {
            // Its contents, by which groups are found, are erased.
            candidates.extend(self.by_id.keys());
        }
        for event in [change.before(), change.after()].into_iter().flatten() {
            self.index.candidates(&**event, steps, candidates);
        }
        candidates.sort_unstable();
        candidates.dedup();
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut groups = self.fanout.groups();
        if self.group.remove(&self.member) {
            groups.remove(&self.group);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::domain::{Command, Create, EventId, EventState, Stamp, Timestamp, decide};
    use crate::value::{Document, Value};

    const SUBJECTS: usize = 10_000;
    const CHANGES: u64 = 1_000;

    /// Creations of events that are not public, each of another subject.
    fn changes() -> Vec<Arc<Change>> {
        let at = Timestamp::parse("2026-01-31T12:00:00.000Z").unwrap();
        let create = |seq: u64| {
            let fields: [(&str, Value); 5] = [
                ("title", "something to be done".into()),
                ("topic", "t".into()),
                ("public", false.into()),
                ("owner", format!("u{}", seq * 7).into()),
                ("n", Value::Int(1)),
            ];
            let command = Command::Create(Create::parse(Document::from_iter(fields)).unwrap());
            let state = EventState {
                id: EventId::parse(&format!("e{seq}")).unwrap(),
                current: None,
                earlier: None,
                last_version: 0,
            };
            let seq = Seq::new(seq);
            Arc::new(decide(&state, &command, Stamp { seq, at }, &Steps::unbounded()).unwrap())
        };
        (1..=CHANGES).map(create).collect()
    }

    fn filter(json: &str) -> Filter {
        Filter::parse(&serde_json::from_str(json).unwrap(), "filter").unwrap()
    }

    /// What it took to judge the changes for a subscription of each subject.
    struct Cost {
        took: Duration,
        steps: u64,
        candidates: usize,
        notified: u64,
    }

    fn cost(filter: impl Fn(usize) -> Option<Filter>, changes: &[Arc<Change>]) -> Cost {
        let fanout = Fanout::new(Seq::ZERO);
        let wakeup = Arc::new(Notify::new());
        let memberships: Vec<Membership> = (0..SUBJECTS)
            .filter_map(|subject| Some(fanout.join(&Arc::new(filter(subject)?), &wakeup)))
            .collect();
        let (steps, mut found) = (Steps::unbounded(), Vec::new());
        let mut candidates = 0;
        for change in changes {
            fanout.groups().candidates(change, &steps, &mut found);
            candidates += found.len();
        }
        let began = Instant::now();
        let mut unjudged = changes;
        while !unjudged.is_empty() {
            unjudged = &unjudged[fanout.judge(unjudged)..];
        }
        let took = began.elapsed();
        let notified = memberships.iter().filter(|one| one.member.has_pending());
        Cost {
            took,
            steps: steps.taken(),
            candidates,
            notified: notified.count() as u64,
        }
    }

    /// Prints times, and judges by what does not depend on the machine.
    #[test]
    fn a_change_costs_what_those_cost_whom_it_concerns_whatever_the_rules_of_others() {
        let changes = changes();
        let own = |subject: usize| format!(r#"{{"owner":"u{subject}"}}"#);
        let rule = |subject: usize| {
            let own = own(subject);
            filter(&format!(r#"{{"$or":[{{"public":true}},{own}]}}"#))
        };
        let nobody = cost(|_| None, &changes);
        let plain = cost(|subject| Some(filter(&own(subject))), &changes);
        assert_eq!((plain.notified, nobody.steps), (CHANGES, 0));
        for (asked, paths) in [
            ("{}", 2),
            (r#"{"n":{"$gt":0}}"#, 2),
            (r#"{"topic":"t"}"#, 5),
        ] {
            let within = |subject: usize| Some(filter(asked).within(&rule(subject)));
            let one = cost(within, &changes);
            println!(
                "{asked} within public-or-mine: {:?}; mine alone: {:?}; nobody: {:?}",
                one.took, plain.took, nobody.took
            );
            assert_eq!(
                (one.notified, one.candidates as u64),
                (CHANGES, CHANGES),
                "{asked}"
            );
            let most = plain.steps * paths;
            assert!(one.steps <= most, "{asked}: {} steps of {most}", one.steps);
        }
    }
}

//! Checks that each change reaches the one subscription that it matches, in order.

/// The changes after `base`, and the subscriptions that they match. Subscription n belongs to session n modulo their
/// number.
#[derive(Debug)]
pub(super) struct Matches {
    base: u64,
    sessions: u64,
    changes: Vec<Match>,
    /// By subscription: the last change that it received.
    last: Vec<u64>,
    delivered: u64,
    /// Changes that match a subscription and have reached none yet.
    waiting: u64,
    faults: Faults,
}

/// A change is acknowledged and delivered in either order.
#[derive(Clone, Debug, Default)]
struct Match {
    belongs: Option<u64>,
    reached: Option<u64>,
}

/// Deliveries that should not have happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// To another subscription, or of a change nobody acknowledged.
    pub(super) astray: u64,
    pub(super) repeated: u64,
    pub(super) disordered: u64,
}

impl Faults {
    pub(super) fn add(&mut self, other: &Self) {
        self.astray += other.astray;
        self.repeated += other.repeated;
        self.disordered += other.disordered;
    }
}

impl Matches {
    pub(super) fn after(base: u64, subscriptions: u64, sessions: u64) -> Self {
        Self {
            base,
            sessions,
            changes: Vec::new(),
            last: (0..subscriptions).map(|_| base).collect(),
            delivered: 0,
            waiting: 0,
            faults: Faults::default(),
        }
    }

    /// `seq` was acknowledged as one for `subscription`.
    pub(super) fn belongs(&mut self, seq: u64, subscription: u64) {
        let Some(change) = self.change(seq) else {
            return;
        };
        change.belongs = Some(subscription);
        if change.reached.is_none() {
            self.waiting += 1;
        }
    }

    /// `session` received `seq` by `subscription`.
    pub(super) fn reached(&mut self, session: u64, subscription: u64, seq: u64) {
        let held = subscription % self.sessions == session;
        let last = usize::try_from(subscription)
            .ok()
            .and_then(|index| self.last.get_mut(index));
        let Some(last) = last.filter(|_| held) else {
            self.faults.astray += 1;
            return;
        };
        self.faults.disordered += u64::from(seq < *last);
        *last = seq.max(*last);
        self.delivered += 1;
        let Some(change) = self.change(seq) else {
            self.faults.astray += 1;
            return;
        };
        let again = change.reached.replace(subscription).is_some();
        let expected = change.belongs.is_some();
        self.faults.repeated += u64::from(again);
        self.waiting -= u64::from(expected && !again);
    }

    /// Whether every acknowledged change has reached a subscription.
    pub(super) fn all_reached(&self) -> bool {
        self.waiting == 0
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(super) fn missing(&self) -> u64 {
        self.waiting
    }

    pub(super) fn faults(&self) -> Faults {
        let mut faults = self.faults.clone();
        let astray = |change: &&Match| change.reached.is_some() && change.reached != change.belongs;
        faults.astray += self.changes.iter().filter(astray).count() as u64;
        faults
    }

    fn change(&mut self, seq: u64) -> Option<&mut Match> {
        // Far more than a run can send: a larger number was misread.
        const CHANGES_MAX: usize = 50_000_000;
        let index = usize::try_from(seq.checked_sub(self.base + 1)?).ok()?;
        if index >= CHANGES_MAX {
            return None;
        }
        if self.changes.len() <= index {
            self.changes.resize(index + 1, Match::default());
        }
        self.changes.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Subscriptions 0 to 3, of which session 0 holds 0 and 2, session 1 the others.
    fn matches() -> Matches {
        Matches::after(10, 4, 2)
    }

    #[test]
    fn a_change_that_reached_its_subscription_is_no_fault_whichever_came_first() {
        let mut matches = matches();
        matches.belongs(11, 3);
        assert!(!matches.all_reached());
        matches.reached(1, 3, 11);
        matches.reached(0, 2, 12);
        matches.belongs(12, 2);
        assert!(matches.all_reached());
        assert_eq!(matches.delivered(), 2);
        assert_eq!(matches.faults(), Faults::default());
    }

    #[test]
    fn what_reaches_another_subscription_is_astray() {
        let mut matches = matches();
        matches.belongs(11, 3);
        matches.reached(1, 1, 11);
        matches.reached(0, 3, 12);
        matches.reached(0, 2, 13);
        matches.reached(0, 2, 9);
        matches.reached(0, 4, 14);
        assert_eq!(matches.faults().astray, 5, "{matches:?}");
    }

    #[test]
    fn repeats_and_disorder_are_told_from_what_is_missing() {
        let mut matches = matches();
        for seq in [11, 12, 13] {
            matches.belongs(seq, 0);
        }
        for seq in [12, 11, 11] {
            matches.reached(0, 0, seq);
        }
        let faults = matches.faults();
        assert_eq!(
            (faults.repeated, faults.disordered, faults.astray),
            (1, 2, 0)
        );
        assert_eq!(matches.missing(), 1);
    }
}

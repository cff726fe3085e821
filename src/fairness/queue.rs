//! Fair queueing: a deficit round robin over the queues of many requesters, in two rounds.
//!
//! One round has the requesters whose next item is heavy, the other those whose next item is light. The caller of
//! [`FairQueue::pop_if`] names the round, and so can let light items pass heavy ones.
//!
//! Invariants: each queue has items, and is in one round alone: the one of its first item, which its `is_heavy` names.
//! `count` is the number of items in all queues.

use std::collections::{HashMap, VecDeque};

use super::requester::{Party, Requester};
use super::round::Round;

/// An item of a queue.
pub trait Waiting {
    /// In bytes, as far as is known.
    fn cost(&self) -> usize;

    /// Whether light items may pass it.
    fn is_heavy(&self) -> bool;
}

/// The queues of all requesters. Items of one requester come out in the order they went in.
#[derive(Debug)]
pub struct FairQueue<T> {
    queues: HashMap<u64, Queue<T>>,
    rounds: Rounds,
    count: usize,
}

/// The two rounds, by what is next of the queues in them.
#[derive(Debug, Default)]
struct Rounds {
    light: Round,
    heavy: Round,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    party: Party,
    /// The deficit counter: bytes that its items may still cost in this round. Below zero it has had more than its
    /// share.
    credit: i64,
    /// The round that it is in.
    is_heavy: bool,
}

/// The quantum: bytes that each round adds to a queue's credit. Small beside a commit, so that many requesters share
/// one; and as large as many small commands, so that those of one requester are taken together.
pub const QUANTUM_BYTES: usize = 64 * 1024;

/// The most that a requester, or a party, can owe: it sits out as many rounds as that has quanta.
pub(super) const DEBT_MAX: i64 = 64 * bytes(QUANTUM_BYTES);

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            queues: HashMap::new(),
            rounds: Rounds::default(),
            count: 0,
        }
    }
}

impl<T: Waiting> FairQueue<T> {
    /// Whether all queues are empty.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many items wait, in how many queues, and how many of these the rounds name.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        let Rounds { light, heavy } = &self.rounds;
        [self.count, self.queues.len(), light.len() + heavy.len()]
    }

    /// Adds an item behind all others of its requester.
    pub fn push(&mut self, requester: &Requester, item: T) {
        let is_heavy = item.is_heavy();
        let round = self.rounds.of(is_heavy);
        let queue = self.queues.entry(requester.id).or_insert_with(|| {
            round.add_last(requester.party(), requester.id);
            Queue::new(requester.party(), bytes(QUANTUM_BYTES), is_heavy)
        });
        queue.items.push_back(item);
        self.count += 1;
    }

    /// Puts an item back that was taken too early, before all others of its requester, and returns its cost.
    pub fn put_back(&mut self, requester: &Requester, item: T) {
        let (is_heavy, cost) = (item.is_heavy(), bytes(item.cost()));
        let rounds = &mut self.rounds;
        let queue = self.queues.entry(requester.id).or_insert_with(|| {
            let round = rounds.of(is_heavy);
            round.add_first(requester.party(), requester.id);
            Queue::new(requester.party(), 0, is_heavy)
        });
        if queue.is_heavy != is_heavy {
            rounds.of(queue.is_heavy).remove(queue.party, requester.id);
            rounds.of(is_heavy).add_first(queue.party, requester.id);
            queue.is_heavy = is_heavy;
        }
        queue.items.push_front(item);
        queue.credit += cost;
        rounds.of(is_heavy).pay_back(queue.party, cost);
        self.count += 1;
    }

    /// Charges a requester, and its party, for what its items turned out to cost beyond what was expected.
    pub fn charge(&mut self, requester: &Requester, cost: usize) {
        let Some(queue) = self.queues.get_mut(&requester.id) else {
            return;
        };
        owe(&mut queue.credit, bytes(cost));
        let (party, is_heavy) = (queue.party, queue.is_heavy);
        self.rounds.of(is_heavy).charge(party, bytes(cost));
    }

    /// Takes the next heavy, or the next light, item if it `fits`.
    pub fn pop_if(&mut self, is_heavy: bool, fits: impl FnOnce(&T) -> bool) -> Option<T> {
        self.pop_of(|_| true, is_heavy, fits)
    }

    /// The same among the parties that `may_go`.
    pub fn pop_of(
        &mut self,
        may_go: impl Fn(Party) -> bool,
        is_heavy: bool,
        fits: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let id = self.next_queue(may_go, is_heavy)?;
        let queue = self.queues.get_mut(&id)?;
        let item = queue.items.pop_front_if(|item| fits(item))?;
        let cost = bytes(item.cost());
        owe(&mut queue.credit, cost);
        self.rounds.of(is_heavy).charge(queue.party, cost);
        self.count -= 1;
        if !queue.settle(id, &mut self.rounds) {
            self.queues.remove(&id);
        }
        Some(item)
    }

    /// Takes the first item of a requester that `is_it`, before its turn and for nothing.
    pub fn remove_if(&mut self, requester: &Requester, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let queue = self.queues.get_mut(&requester.id)?;
        let at = queue.items.iter().position(is_it)?;
        let item = queue.items.remove(at)?;
        self.count -= 1;
        if !queue.settle(requester.id, &mut self.rounds) {
            self.queues.remove(&requester.id);
        }
        Some(item)
    }

    /// Takes items from the front of each queue as long as they `is_expired`.
    pub fn expire(&mut self, is_expired: impl Fn(&T) -> bool, mut take: impl FnMut(T)) {
        self.queues.retain(|id, queue| {
            while let Some(item) = queue.items.pop_front_if(|item| is_expired(item)) {
                self.count -= 1;
                take(item);
            }
            queue.settle(*id, &mut self.rounds)
        });
    }

    /// Goes round the queues of the party whose turn it is, adding a quantum to each without credit, until one has some.
    fn next_queue(&mut self, may_go: impl Fn(Party) -> bool, is_heavy: bool) -> Option<u64> {
        let round = self.rounds.of(is_heavy);
        loop {
            let (party, id) = round.first(&may_go)?;
            let queue = self.queues.get_mut(&id).expect("a round names it");
            if queue.credit > 0 {
                return Some(id);
            }
            queue.credit += bytes(QUANTUM_BYTES);
            round.pass(party);
        }
    }
}

impl Rounds {
    fn of(&mut self, is_heavy: bool) -> &mut Round {
        match is_heavy {
            true => &mut self.heavy,
            false => &mut self.light,
        }
    }
}

impl<T: Waiting> Queue<T> {
    fn new(party: Party, credit: i64, is_heavy: bool) -> Self {
        Self {
            items: VecDeque::new(),
            party,
            credit,
            is_heavy,
        }
    }

    /// Puts itself into the round of its first item, once another one is first. `false` if there is none: then it is in no
    /// round any more.
    fn settle(&mut self, id: u64, rounds: &mut Rounds) -> bool {
        let next = self.items.front().map(T::is_heavy);
        if next == Some(self.is_heavy) {
            return true;
        }
        rounds.of(self.is_heavy).remove(self.party, id);
        if let Some(is_heavy) = next {
            rounds.of(is_heavy).add_last(self.party, id);
            self.is_heavy = is_heavy;
        }
        next.is_some()
    }
}

/// Takes from a credit what something cost.
pub(super) fn owe(credit: &mut i64, cost: i64) {
    *credit = credit.saturating_sub(cost).max(-DEBT_MAX);
}

/// Costs are bounded by the memory that there is.
pub(super) const fn bytes(cost: usize) -> i64 {
    cost.cast_signed() as i64
}

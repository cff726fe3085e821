//! A deficit round robin over parties, each with a ring of its queues.
//!
//! Invariant: the ring names each party that has queues once, and none without.

use std::collections::{HashMap, VecDeque};

use super::queue::{QUANTUM_BYTES, bytes, owe};
use super::requester::Party;

#[derive(Debug, Default)]
pub(super) struct Round {
    ring: VecDeque<Party>,
    turns: HashMap<Party, PartyTurns>,
}

/// The queues of one party, by the ids of their requesters.
#[derive(Debug)]
struct PartyTurns {
    ring: VecDeque<u64>,
    /// As that of a queue, for all of them.
    credit: i64,
}

impl Round {
    /// Adds a queue behind those of its party. A party that had none comes behind all others.
    pub(super) fn add_last(&mut self, party: Party, id: u64) {
        let turns = self.turns.entry(party).or_insert_with(|| {
            self.ring.push_back(party);
            PartyTurns::new(bytes(QUANTUM_BYTES))
        });
        turns.ring.push_back(id);
    }

    /// Adds a queue before those of its party. A party that had none comes before all others.
    pub(super) fn add_first(&mut self, party: Party, id: u64) {
        let turns = self.turns.entry(party).or_insert_with(|| {
            self.ring.push_front(party);
            PartyTurns::new(0)
        });
        turns.ring.push_front(id);
    }

    /// The party whose turn it is of those that `may_go`, and the first of its queues: goes round the ring, adding a
    /// quantum to each party without credit, until one has some.
    pub(super) fn first(&mut self, may_go: impl Fn(Party) -> bool) -> Option<(Party, u64)> {
        let mut passed_over = 0;
        while passed_over < self.ring.len() {
            let party = *self.ring.front()?;
            if !may_go(party) {
                passed_over += 1;
                self.ring.rotate_left(1);
                continue;
            }
            passed_over = 0;
            let turns = self.turns.get_mut(&party).expect("the ring names it");
            if turns.credit > 0 {
                let id = turns.ring.front().expect("a party has queues");
                return Some((party, *id));
            }
            turns.credit += bytes(QUANTUM_BYTES);
            self.ring.rotate_left(1);
        }
        None
    }

    /// Drops the first queue of the first party.
    pub(super) fn drop_first(&mut self) {
        let Some(turns) = self.first_turns() else {
            return;
        };
        turns.ring.pop_front();
        if turns.ring.is_empty() {
            let party = self.ring.pop_front().expect("it is first");
            self.turns.remove(&party);
        }
    }

    /// Puts the first queue of the first party behind the others of that party.
    pub(super) fn pass_first(&mut self) {
        if let Some(turns) = self.first_turns() {
            turns.ring.rotate_left(1);
        }
    }

    /// Takes from a party's credit what something of it cost.
    pub(super) fn charge(&mut self, party: Party, cost: i64) {
        if let Some(turns) = self.turns.get_mut(&party) {
            owe(&mut turns.credit, cost);
        }
    }

    /// Gives a party's credit back what something of it would have cost.
    pub(super) fn pay_back(&mut self, party: Party, cost: i64) {
        if let Some(turns) = self.turns.get_mut(&party) {
            turns.credit += cost;
        }
    }

    fn first_turns(&mut self) -> Option<&mut PartyTurns> {
        self.turns.get_mut(self.ring.front()?)
    }
}

impl PartyTurns {
    fn new(credit: i64) -> Self {
        Self {
            ring: VecDeque::new(),
            credit,
        }
    }
}

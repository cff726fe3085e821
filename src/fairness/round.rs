//! A deficit round robin over parties, each with a ring of its queues.
//!
//! Invariant: the ring names each party that has queues, and none without.

use super::queue::{QUANTUM_BYTES, bytes, owe};
use super::requester::Party;
use super::ring::Ring;

#[derive(Debug, Default)]
pub(super) struct Round {
    parties: Ring<Party, PartyTurns>,
}

/// The queues of one party, by the ids of their requesters.
#[derive(Debug)]
struct PartyTurns {
    queues: Ring<u64, ()>,
    /// As that of a queue, for all of them.
    credit: i64,
}

impl Round {
    /// Adds a queue behind those of its party. A party that had none comes behind all others.
    pub(super) fn add_last(&mut self, party: Party, id: u64) {
        match self.parties.get_mut(party) {
            Some(turns) => turns.queues.add_last(id, ()),
            None => {
                let turns = PartyTurns::new(id, bytes(QUANTUM_BYTES));
                self.parties.add_last(party, turns);
            }
        }
    }

    /// Adds a queue before those of its party. A party that had none comes before all others.
    pub(super) fn add_first(&mut self, party: Party, id: u64) {
        match self.parties.get_mut(party) {
            Some(turns) => turns.queues.add_first(id, ()),
            None => self.parties.add_first(party, PartyTurns::new(id, 0)),
        }
    }

    /// The party whose turn it is of those that `may_go`, and the first of its queues: goes round the ring, adding a
    /// quantum to each party without credit, until one has some.
    pub(super) fn first(&mut self, may_go: impl Fn(Party) -> bool) -> Option<(Party, u64)> {
        let mut passed_over = 0;
        while passed_over < self.parties.len() {
            let party = self.parties.first()?;
            if !may_go(party) {
                passed_over += 1;
                self.parties.pass_first();
                continue;
            }
            passed_over = 0;
            let turns = self.parties.get_mut(party).expect("it is first");
            if turns.credit > 0 {
                let id = turns.queues.first().expect("a party has queues");
                return Some((party, id));
            }
            turns.credit += bytes(QUANTUM_BYTES);
            self.parties.pass_first();
        }
        None
    }

    /// Takes a queue out, whosever turn it is.
    pub(super) fn remove(&mut self, party: Party, id: u64) {
        let Some(turns) = self.parties.get_mut(party) else {
            return;
        };
        turns.queues.remove(id);
        if turns.queues.len() == 0 {
            self.parties.remove(party);
        }
    }

    /// Puts the first queue of a party behind the others of that party.
    pub(super) fn pass(&mut self, party: Party) {
        if let Some(turns) = self.parties.get_mut(party) {
            turns.queues.pass_first();
        }
    }

    /// Takes from a party's credit what something of it cost.
    pub(super) fn charge(&mut self, party: Party, cost: i64) {
        if let Some(turns) = self.parties.get_mut(party) {
            owe(&mut turns.credit, cost);
        }
    }

    /// Gives a party's credit back what something of it would have cost.
    pub(super) fn pay_back(&mut self, party: Party, cost: i64) {
        if let Some(turns) = self.parties.get_mut(party) {
            turns.credit += cost;
        }
    }

    /// How many queues it names.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parties
            .contents()
            .map(|turns| turns.queues.len())
            .sum()
    }
}

impl PartyTurns {
    fn new(first: u64, credit: i64) -> Self {
        let mut queues = Ring::default();
        queues.add_last(first, ());
        Self { queues, credit }
    }
}

//! What parties hold of something that all share, in bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::requester::Party;

/// How much each party holds; of those that hold nothing, nothing is kept.
#[derive(Debug, Default)]
pub struct Holdings {
    bytes: Mutex<HashMap<Party, usize>>,
}

/// Counts as held until it is dropped.
#[derive(Debug)]
pub struct Holding {
    holdings: Arc<Holdings>,
    party: Party,
    bytes: usize,
}

impl Holdings {
    /// What a party holds.
    pub fn of(&self, party: Party) -> usize {
        self.bytes().get(&party).copied().unwrap_or_default()
    }

    /// Adds to what a party holds.
    pub fn hold(self: &Arc<Self>, party: Party, bytes: usize) -> Holding {
        // Of nothing there is no entry, which the next of nothing would look for.
        if bytes > 0 {
            *self.bytes().entry(party).or_default() += bytes;
        }
        Holding {
            holdings: Arc::clone(self),
            party,
            bytes,
        }
    }

    fn bytes(&self) -> MutexGuard<'_, HashMap<Party, usize>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut bytes = self.holdings.bytes();
        let held = bytes.get_mut(&self.party).expect("this is a part of it");
        *held -= self.bytes;
        if *held == 0 {
            bytes.remove(&self.party);
        }
    }
}

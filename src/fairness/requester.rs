//! Who waits for a turn.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// Those who share a turn: all requesters of one principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Party(u64);

impl Party {
    /// The party of who is named so. That two names are one party is as likely as that two draws of 64 bits are equal, and
    /// nobody outside the process can bring it about.
    pub fn of(name: &impl Hash) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(HASHER.hash_one(name))
    }
}

/// The origin of items: one session, or one request over HTTP. Each has its own queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Requester {
    pub(super) id: u64,
    party: Party,
    /// Bytes that its items cost lately.
    recent_cost: Arc<AtomicUsize>,
}

impl Requester {
    /// A requester that equals no other, of this party.
    pub fn of(party: Party) -> Self {
        Self::new(Self::next_id(), party)
    }

    /// A requester that equals no other, and is a party of its own.
    pub fn alone() -> Self {
        let id = Self::next_id();
        Self::new(id, Party::of(&id))
    }

    fn new(id: u64, party: Party) -> Self {
        Self {
            id,
            party,
            recent_cost: Arc::new(AtomicUsize::new(UNKNOWN_COST_BYTES)),
        }
    }

    fn next_id() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// The same requester in another party: what it asks for from now on waits with that one's, unless it waits already.
    pub fn joining(&self, party: Party) -> Self {
        Self {
            party,
            ..self.clone()
        }
    }

    /// Whose turn it shares.
    pub fn party(&self) -> Party {
        self.party
    }

    /// What its next item is expected to cost, beside what is known of the item itself.
    pub fn expected_cost(&self) -> usize {
        self.recent_cost.load(Ordering::Relaxed)
    }

    /// Records what one of its items cost. A lower cost than expected counts half of that at least.
    pub fn record_cost(&self, cost: usize) {
        let half = self.expected_cost() / 2;
        self.recent_cost.store(cost.max(half), Ordering::Relaxed);
    }
}

/// The expected cost of a new requester's items: heavy, yet many of them fit into a commit.
const UNKNOWN_COST_BYTES: usize = 16 * 1024;

//! Permits for what costs much: a bounded number at once, fair to those who wait for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::queue::{FairQueue, QUANTUM_BYTES, Waiting};
use super::requester::{Party, Requester};

/// A fair semaphore. No party holds more than three quarters of its permits, so that others get one soon, however long
/// those of one are held.
///
/// Invariant: while anything waits, no permit is free, or all that wait are of parties that hold their most.
#[derive(Debug)]
pub struct FairPermits {
    state: Mutex<PermitsState>,
}

#[derive(Debug)]
struct PermitsState {
    counts: PermitCounts,
    waiting: FairQueue<WaitingForPermit>,
}

/// How many permits are free, and how many each party holds; of those that hold none, nothing is kept.
#[derive(Debug)]
struct PermitCounts {
    free: usize,
    held: HashMap<Party, usize>,
    /// The most that a party holds.
    party_max: usize,
}

/// Who waits for a permit. Each costs a whole quantum, so turns are taken one permit at a time.
#[derive(Debug)]
struct WaitingForPermit {
    party: Party,
    sender: oneshot::Sender<FairPermit>,
}

impl Waiting for WaitingForPermit {
    fn cost(&self) -> usize {
        QUANTUM_BYTES
    }

    fn is_heavy(&self) -> bool {
        false
    }
}

/// The turn of who waits. Dropped, it is given up at once: until a permit is given back, which may take long, nobody else
/// would take it out of the queue.
#[derive(Debug)]
struct AwaitedTurn<'a> {
    permits: &'a FairPermits,
    requester: &'a Requester,
    receiver: oneshot::Receiver<FairPermit>,
}

/// A permit, until it is dropped: then it goes to the next that waits.
#[derive(Debug)]
pub struct FairPermit {
    permits: Arc<FairPermits>,
    party: Party,
}

impl FairPermits {
    /// So many permits.
    pub fn new(count: usize) -> Arc<Self> {
        let counts = PermitCounts {
            free: count,
            held: HashMap::new(),
            party_max: count - count / 4,
        };
        let state = PermitsState {
            counts,
            waiting: FairQueue::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Waits for a permit. Safe to drop.
    pub async fn acquire(self: &Arc<Self>, requester: &Requester) -> FairPermit {
        let mut turn = match self.acquire_or_wait(requester) {
            Ok(permit) => return permit,
            Err(turn) => turn,
        };
        let permit = (&mut turn.receiver).await;
        permit.expect("who waits is answered as long as there are permits")
    }

    fn acquire_or_wait<'a>(
        self: &'a Arc<Self>,
        requester: &'a Requester,
    ) -> Result<FairPermit, AwaitedTurn<'a>> {
        let party = requester.party();
        let mut state = self.state();
        if state.counts.may_go(party) {
            state.counts.take(party);
            return Ok(self.permit(party));
        }
        let (sender, receiver) = oneshot::channel();
        state
            .waiting
            .push(requester, WaitingForPermit { party, sender });
        Err(AwaitedTurn {
            permits: self,
            requester,
            receiver,
        })
    }

    fn permit(self: &Arc<Self>, party: Party) -> FairPermit {
        FairPermit {
            permits: Arc::clone(self),
            party,
        }
    }

    /// As the [sizes](FairQueue::sizes) of its queue.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> [usize; 3] {
        self.state().waiting.sizes()
    }

    fn state(&self) -> MutexGuard<'_, PermitsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PermitsState {
    /// The next that waits and may go.
    fn next(&mut self) -> Option<WaitingForPermit> {
        let Self { counts, waiting } = self;
        let next = waiting.pop_of(|party| counts.may_go(party), false, |_| true)?;
        counts.take(next.party);
        Some(next)
    }
}

impl PermitCounts {
    fn may_go(&self, party: Party) -> bool {
        let is_below_max = |held: &usize| *held < self.party_max;
        self.free > 0 && self.held.get(&party).is_none_or(is_below_max)
    }

    fn take(&mut self, party: Party) {
        self.free -= 1;
        *self.held.entry(party).or_default() += 1;
    }

    fn give_back(&mut self, party: Party) {
        self.free += 1;
        let held = self.held.get_mut(&party).expect("it holds this permit");
        *held -= 1;
        if *held == 0 {
            self.held.remove(&party);
        }
    }
}

impl Drop for AwaitedTurn<'_> {
    fn drop(&mut self) {
        if self.receiver.is_terminated() {
            return;
        }
        let mut state = self.permits.state();
        // Closed under the lock, it is the only one in the queue that is.
        self.receiver.close();
        let is_this = |waiting: &WaitingForPermit| waiting.sender.is_closed();
        let given_up = state.waiting.remove_if(self.requester, is_this);
        // A permit that was sent already is dropped with the receiver, and then takes the lock itself.
        drop(state);
        drop(given_up);
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        let mut state = self.permits.state();
        state.counts.give_back(self.party);
        let next = state.next();
        drop(state);
        if let Some(WaitingForPermit { party, sender }) = next {
            // If that one gives up at this very moment, its permit is dropped here, and so goes to the next.
            drop(sender.send(self.permits.permit(party)));
        }
    }
}

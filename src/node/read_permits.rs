//! Permits to read: a bounded number at once, fair to those who wait for one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::fair_queue::{FairQueue, QUANTUM_BYTES, Requester, Waiting};
use crate::limits;
use crate::protocol::{Code, Failure};

/// A fair semaphore of reads.
///
/// Invariant: while anything waits, no permit is free. A permit that is dropped goes to the next that waits.
#[derive(Debug)]
pub(super) struct ReadPermits {
    state: Mutex<ReadPermitsState>,
}

#[derive(Debug)]
struct ReadPermitsState {
    free: usize,
    waiting: FairQueue<WaitingRead>,
}

/// A read that waits for its permit. Each costs a whole quantum, so requesters take turns one read at a time.
#[derive(Debug)]
struct WaitingRead(oneshot::Sender<ReadPermit>);

impl Waiting for WaitingRead {
    fn cost(&self) -> usize {
        QUANTUM_BYTES
    }

    fn is_heavy(&self) -> bool {
        false
    }
}

/// A permit to read, until it is dropped.
#[derive(Debug)]
pub(super) struct ReadPermit {
    permits: Arc<ReadPermits>,
}

impl ReadPermits {
    /// For so many reads at once.
    pub(super) fn new(count: usize) -> Arc<Self> {
        let state = ReadPermitsState {
            free: count,
            waiting: FairQueue::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// `busy` after [`limits::READ_PERMIT_DEADLINE`].
    pub(super) async fn acquire(
        self: &Arc<Self>,
        requester: &Requester,
    ) -> Result<ReadPermit, Failure> {
        match timeout(limits::READ_PERMIT_DEADLINE, self.enqueue(requester)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Failure::new(Code::Busy, "too many reads are waiting")),
        }
    }

    fn enqueue(self: &Arc<Self>, requester: &Requester) -> oneshot::Receiver<ReadPermit> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        match state.free.checked_sub(1) {
            Some(free) => {
                debug_assert!(state.waiting.is_empty(), "a free permit goes to what waits");
                state.free = free;
                drop(state);
                sender.send(self.permit()).expect("the receiver is here");
            }
            None => state.waiting.push(requester, WaitingRead(sender)),
        }
        receiver
    }

    fn permit(self: &Arc<Self>) -> ReadPermit {
        ReadPermit {
            permits: Arc::clone(self),
        }
    }

    fn state(&self) -> MutexGuard<'_, ReadPermitsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ReadPermit {
    fn drop(&mut self) {
        let mut state = self.permits.state();
        match state.waiting.pop_if(false, |_| true) {
            Some(WaitingRead(next)) => {
                drop(state);
                // If that read was given up meanwhile, its permit is dropped here, and so goes to the next.
                drop(next.send(self.permits.permit()));
            }
            None => state.free += 1,
        }
    }
}

//! Leave to read: few at once, and in turns of those who ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::engine::{Requester, RoundRobin, TURN_BYTES, Waiting};
use crate::limits;
use crate::protocol::{Code, Failure};

/// Who reads, and who waits to.
#[derive(Debug)]
pub(super) struct Passes {
    state: Mutex<PassesState>,
}

#[derive(Debug)]
struct PassesState {
    free: usize,
    waiting: RoundRobin<WaitingRead>,
}

/// Who waits for leave. Each takes a whole turn.
#[derive(Debug)]
struct WaitingRead(oneshot::Sender<Pass>);

impl Waiting for WaitingRead {
    fn cost(&self) -> usize {
        TURN_BYTES
    }

    fn is_heavy(&self) -> bool {
        false
    }
}

/// Leave to read, until it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    passes: Arc<Passes>,
}

impl Passes {
    /// For so many at once.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let state = PassesState {
            free: most,
            waiting: RoundRobin::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Waits for leave.
    ///
    /// # Errors
    /// `busy` after [`limits::READ_TURN_DEADLINE`].
    pub(super) async fn leave(self: &Arc<Self>, from: &Requester) -> Result<Pass, Failure> {
        match timeout(limits::READ_TURN_DEADLINE, self.ask(from)).await {
            Ok(Ok(pass)) => Ok(pass),
            Ok(Err(_)) | Err(_) => Err(Failure::new(Code::Busy, "too many reads are waiting")),
        }
    }

    fn ask(self: &Arc<Self>, from: &Requester) -> oneshot::Receiver<Pass> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        match state.free.checked_sub(1) {
            Some(free) => {
                state.free = free;
                drop(state);
                // It is received by the caller.
                drop(sender.send(self.pass()));
            }
            None => state.waiting.push(from, WaitingRead(sender)),
        }
        receiver
    }

    fn pass(self: &Arc<Self>) -> Pass {
        Pass {
            passes: Arc::clone(self),
        }
    }

    fn state(&self) -> MutexGuard<'_, PassesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.passes.state();
        match state.waiting.pop_if(false, |_| true) {
            Some(WaitingRead(next)) => {
                drop(state);
                // Who gave up meanwhile drops it, and so it goes on to the next.
                drop(next.send(self.passes.pass()));
            }
            None => state.free += 1,
        }
    }
}

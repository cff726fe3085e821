//! The sessions that poll, by their id: each request of a client names its session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use uuid::Uuid;

use super::polling::PollingRequest;
use crate::limits;
use crate::protocol::{Code, Failure};

type Sessions = HashMap<Uuid, mpsc::Sender<PollingRequest>>;

/// Requests of one session that wait for its task: a poll, a post, and those of a WebSocket.
const REQUESTS_MAX: usize = 4;

/// All sessions that poll.
#[derive(Clone)]
pub(super) struct Registry {
    sessions: Arc<Mutex<Sessions>>,
    seats: Arc<Semaphore>,
}

/// A session is found as long as this lives.
pub(super) struct Registered {
    pub(super) sid: Uuid,
    sessions: Arc<Mutex<Sessions>>,
}

/// What a new session needs.
pub(super) struct NewSession {
    pub(super) requests: mpsc::Receiver<PollingRequest>,
    pub(super) registered: Registered,
    pub(super) seat: OwnedSemaphorePermit,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            sessions: Arc::default(),
            seats: Arc::new(Semaphore::new(limits::POLLING_SESSIONS_MAX)),
        }
    }

    /// Registers a new session, if there is a seat for it.
    pub(super) fn add(&self) -> Result<NewSession, Failure> {
        let busy = || Failure::new(Code::Busy, "too many sessions poll");
        let seat = Arc::clone(&self.seats).try_acquire_owned();
        let seat = seat.map_err(|_| busy())?;
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        // 122 bits of chance: who knows the id may speak for the client.
        let sid = Uuid::new_v4();
        lock(&self.sessions).insert(sid, sender);
        Ok(NewSession {
            requests,
            registered: Registered {
                sid,
                sessions: Arc::clone(&self.sessions),
            },
            seat,
        })
    }

    /// Where the requests of a session go.
    pub(super) fn find(&self, sid: Uuid) -> Option<mpsc::Sender<PollingRequest>> {
        lock(&self.sessions).get(&sid).cloned()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.sessions).remove(&self.sid);
    }
}

/// A map is whole after a panic elsewhere: nothing is done with it in steps.
fn lock(sessions: &Mutex<Sessions>) -> MutexGuard<'_, Sessions> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_seats_and_each_is_given_back() {
        let registry = Registry::new();
        let mut sessions: Vec<NewSession> = (0..limits::POLLING_SESSIONS_MAX)
            .map(|_| registry.add().expect("a seat"))
            .collect();
        let refused = registry.add().map(|new| new.registered.sid);
        assert_eq!(refused.unwrap_err().code, Code::Busy);
        let left = sessions.pop().unwrap();
        let sid = left.registered.sid;
        assert!(registry.find(sid).is_some());
        drop(left);
        assert!(registry.find(sid).is_none());
        assert!(registry.add().is_ok());
    }
}

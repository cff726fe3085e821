//! How far an append is, shared by the caller that waits for it and the task that does it.
//!
//! | from | to | moved by | when |
//! |---|---|---|---|
//! | `PREPARING` | `COMMITTING` | the task | before it sends a commit |
//! | `COMMITTING` | `PREPARING` | the task | the commit certainly had no effect |
//! | `PREPARING` | `ABANDONED` | the caller | it gives up: nothing is committed any more |
//!
//! `ABANDONED` is final. A phase that stays `COMMITTING` means that the batch was committed, or that nobody knows.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::store::{AppendError, StoreError};

/// The phase of one append.
#[derive(Debug, Default)]
pub(super) struct CommitPhase(AtomicU8);

const PREPARING: u8 = 0;
const COMMITTING: u8 = 1;
const ABANDONED: u8 = 2;

impl CommitPhase {
    /// `false` if the caller has given up: then nothing may be committed.
    pub(super) fn begin_commit(&self) -> bool {
        self.advance(PREPARING, COMMITTING).is_ok()
    }

    /// The commit certainly had no effect.
    pub(super) fn undo_commit(&self) {
        let undone = self.advance(COMMITTING, PREPARING);
        debug_assert!(undone.is_ok(), "only a commit that was begun is undone");
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::SeqCst) == ABANDONED
    }

    /// Forbids a commit that has not begun. Returns what the caller can be answered: `Failed` if nothing was or will
    /// be committed, `Unknown` if a commit has begun.
    pub(super) fn give_up(&self, reason: String) -> AppendError {
        match self.advance(PREPARING, ABANDONED) {
            Ok(()) | Err(ABANDONED) => AppendError::Failed(StoreError::Unavailable(reason)),
            Err(_) => AppendError::Unknown(reason),
        }
    }

    /// `Err` with the phase as it is, if that is not `from`.
    fn advance(&self, from: u8, to: u8) -> Result<(), u8> {
        self.0
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_committed_once_the_caller_was_told_that_it_failed() {
        let phase = CommitPhase::default();
        assert!(phase.begin_commit());
        phase.undo_commit();
        let given_up = phase.give_up("late".to_owned());
        assert!(matches!(given_up, AppendError::Failed(_)), "{given_up}");
        assert!(phase.is_abandoned() && !phase.begin_commit());
    }

    #[test]
    fn a_caller_that_gives_up_during_a_commit_does_not_know_its_outcome() {
        let phase = CommitPhase::default();
        assert!(phase.begin_commit());
        let given_up = phase.give_up("late".to_owned());
        assert!(matches!(given_up, AppendError::Unknown(_)), "{given_up}");
        assert!(!phase.is_abandoned());
    }
}

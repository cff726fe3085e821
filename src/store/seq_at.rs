//! The seq at a time: a binary search over the log.
//!
//! Invariant: change `reached` is not after the time, and change `passed` is, or does not exist.

use super::{Store, StoreError};
use crate::domain::{Seq, Timestamp};

/// The seq of the last change up to a time; [`Seq::ZERO`] if all are later.
///
/// Reads about twenty changes of a million. In a log of an earlier livelog times may go back: then the result is one of
/// the changes after which the log passes the time.
///
/// # Errors
/// If the log cannot be read.
pub async fn seq_at(store: &dyn Store, time: Timestamp) -> Result<Seq, StoreError> {
    let (mut reached, mut passed) = (0, store.head().await?.next().get());
    while passed - reached > 1 {
        let middle = reached.midpoint(passed);
        debug_assert!(reached < middle && middle < passed, "the range shrinks");
        match store.read(Seq::new(middle).before(), 1).await?.pop() {
            Some(change) if change.at <= time => reached = middle,
            _ => passed = middle,
        }
    }
    Ok(Seq::new(reached))
}

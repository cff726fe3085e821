//! Where a time is in a log.

use super::{Store, StoreError};
use crate::domain::{Seq, Timestamp};

/// The last change up to a time; [`Seq::ZERO`] if all are later.
///
/// Halves the log until it is found, so it reads some twenty changes of a million. The times of a log that
/// earlier livelogs wrote may go back: then it is one of the places where the log passes the time.
///
/// # Errors
/// If the log cannot be read.
pub async fn seq_at(store: &dyn Store, time: Timestamp) -> Result<Seq, StoreError> {
    // Change `reached` is not after the time, and change `passed` is.
    let (mut reached, mut passed) = (0, store.head().await?.next().get());
    while passed - reached > 1 {
        let middle = reached.midpoint(passed);
        let before = Seq::new(middle).before();
        match store.read(before, 1).await?.pop() {
            Some(change) if change.at <= time => reached = middle,
            _ => passed = middle,
        }
    }
    Ok(Seq::new(reached))
}

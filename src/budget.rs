//! Bounds what a node holds for all its clients together, in bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may be held at once. Reservations that do not fit wait, first come, first served.
#[derive(Debug, Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    total: usize,
}

/// Reserved bytes. Dropping it gives them back.
#[derive(Debug)]
pub struct Share(OwnedSemaphorePermit);

impl Budget {
    /// A budget of `total` bytes, at most 4 GiB.
    pub fn new(total: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// Waits until so many bytes are free, or all of them if that is less, and reserves them.
    pub async fn reserve(&self, bytes: usize) -> Share {
        let permit = Arc::clone(&self.free).acquire_many_owned(self.permits(bytes));
        Share(permit.await.expect("the semaphore is never closed"))
    }

    /// Reserves so many bytes if they are free and no other reservation waits.
    pub fn try_reserve(&self, bytes: usize) -> Option<Share> {
        let permit = Arc::clone(&self.free).try_acquire_many_owned(self.permits(bytes));
        permit.ok().map(Share)
    }

    /// Reserves so many bytes if half of all are still free after that: for work that is done ahead, and can wait.
    pub fn try_reserve_ahead(&self, bytes: usize) -> Option<Share> {
        let share = self.try_reserve(bytes)?;
        (self.free.available_permits() >= self.total / 2).then_some(share)
    }

    /// Makes the share as large as `bytes`, if what it lacks is free; whether it is.
    pub fn try_resize(&self, share: &mut Option<Share>, bytes: usize) -> bool {
        let held = share.as_ref().map_or(0, Share::bytes);
        if bytes <= held {
            if let Some(share) = share {
                share.shrink_to(bytes);
            }
            return true;
        }
        let Some(more) = self.try_reserve(bytes - held) else {
            return false;
        };
        *share = Some(match share.take() {
            Some(share) => share.and(more),
            None => more,
        });
        true
    }

    /// Bytes that are reserved now.
    pub fn taken(&self) -> usize {
        self.total - self.free.available_permits()
    }

    /// Whether nothing is left, or a reservation waits.
    pub fn is_out(&self) -> bool {
        self.free.available_permits() == 0
    }

    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }
}

impl Share {
    /// Its size.
    pub fn bytes(&self) -> usize {
        self.0.num_permits()
    }

    /// Merges two shares of the same budget.
    pub fn and(mut self, other: Self) -> Self {
        self.0.merge(other.0);
        self
    }

    /// Gives back all but `bytes`: what was reserved is an estimate, and what is held is known later.
    pub fn shrink_to(&mut self, bytes: usize) {
        let excess = self.bytes().saturating_sub(bytes);
        drop(self.0.split(excess));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_used_is_given_back() {
        let budget = Budget::new(100);
        let mut share = budget.try_reserve(80).expect("it is free");
        assert!(budget.try_reserve(40).is_none());
        share.shrink_to(60);
        assert_eq!(share.bytes(), 60);
        share.shrink_to(70);
        assert_eq!(share.bytes(), 60, "it never grows");
        assert!(budget.try_reserve(40).is_some());
        assert!(budget.try_reserve_ahead(1).is_none());
        drop(share);
        assert!(budget.try_reserve_ahead(60).is_none());
        assert!(budget.try_reserve_ahead(50).is_some());
    }

    #[test]
    fn a_share_grows_while_there_is_room_and_shrinks_at_any_time() {
        let budget = Budget::new(100);
        let mut share = None;
        for bytes in [60, 100, 10, 100] {
            assert!(budget.try_resize(&mut share, bytes));
            assert_eq!(budget.taken(), bytes);
        }
        let mut other = None;
        assert!(!budget.try_resize(&mut other, 1));
        drop(share);
        assert!(budget.try_resize(&mut other, 1));
        assert_eq!(budget.taken(), 1);
    }

    #[tokio::test]
    async fn who_asks_for_more_than_there_is_gets_all_of_it_and_keeps_his_place() {
        let budget = Budget::new(100);
        let first = budget.reserve(10).await;
        let mut large = Box::pin(budget.reserve(1_000));
        assert!(futures::poll!(&mut large).is_pending());
        assert!(budget.try_reserve(1).is_none(), "he is waited for");
        drop(first);
        assert_eq!(large.await.bytes(), 100);
    }
}

//! Throttle: the first at once, then one now and then, however often there is cause.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two complaints of one kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// When one kind of complaint was last made, and how many were kept back since.
#[derive(Debug, Default)]
pub struct Throttle {
    last: Mutex<Option<(Instant, u64)>>,
}

impl Throttle {
    /// Lets `say` speak unless another has just spoken; it is told how many were kept back before it, if any were.
    pub fn warn(&self, say: impl FnOnce(Option<u64>)) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept_back = match &mut *last {
            Some((at, kept_back)) if at.elapsed() < INTERVAL => {
                *kept_back += 1;
                return;
            }
            Some((_, kept_back)) => *kept_back,
            None => 0,
        };
        *last = Some((Instant::now(), 0));
        drop(last);
        say((kept_back > 0).then_some(kept_back));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_complaint_in_a_while_is_made_and_the_others_are_counted() {
        let complaints = Throttle::default();
        let mut said = Vec::new();
        for _ in 0..100 {
            complaints.warn(|kept_back| said.push(kept_back));
        }
        assert_eq!(said, [None]);
        let long_ago = Instant::now().checked_sub(INTERVAL).unwrap();
        complaints.last.lock().unwrap().as_mut().unwrap().0 = long_ago;
        complaints.warn(|kept_back| said.push(kept_back));
        assert_eq!(said, [None, Some(99)]);
    }
}

//! Rate limiting of log lines: the first at once, then one in a while, however often there is cause.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// Limits one kind of log line: when it was last written, and how many were kept back since.
#[derive(Debug, Default)]
pub struct Throttle {
    last: Mutex<Option<(Instant, u64)>>,
}

impl Throttle {
    /// A throttle whose first line is written at once.
    pub const fn new() -> Self {
        Self {
            last: Mutex::new(None),
        }
    }

    /// Calls `log` unless a line was written just before; passes it how many were kept back since then, if any were.
    pub fn log(&self, log: impl FnOnce(Option<u64>)) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let suppressed = match &mut *last {
            Some((at, suppressed)) if at.elapsed() < INTERVAL => {
                *suppressed += 1;
                return;
            }
            Some((_, suppressed)) => *suppressed,
            None => 0,
        };
        *last = Some((Instant::now(), 0));
        drop(last);
        log((suppressed > 0).then_some(suppressed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_while_is_written_and_the_others_are_counted() {
        let throttle = Throttle::default();
        let mut lines = Vec::new();
        for _ in 0..100 {
            throttle.log(|suppressed| lines.push(suppressed));
        }
        assert_eq!(lines, [None]);
        let long_ago = Instant::now().checked_sub(INTERVAL).unwrap();
        throttle.last.lock().unwrap().as_mut().unwrap().0 = long_ago;
        throttle.log(|suppressed| lines.push(suppressed));
        assert_eq!(lines, [None, Some(99)]);
    }
}

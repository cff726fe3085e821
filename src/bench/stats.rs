//! Percentiles, rates and medians.

use std::time::Duration;

/// Durations in microseconds. All are kept: four bytes each are exact, and runs are bounded.
#[derive(Debug, Default)]
pub(super) struct Durations(Vec<u32>);

impl Durations {
    pub(super) fn add(&mut self, duration: Duration) {
        self.0
            .push(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// The smallest duration that at least `percent` of all do not exceed, in milliseconds; `sort`
    /// first.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0
            .get(rank - 1)
            .map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
    }
}

/// How many a second.
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::EPSILON)
}

/// The middle one, or of two in the middle the lesser; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: &[u64]) -> Durations {
        let mut durations = Durations::default();
        micros
            .iter()
            .for_each(|each| durations.add(Duration::from_micros(*each)));
        durations.sort();
        durations
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred: Vec<u64> = (1..=100).rev().map(|each| each * 1_000).collect();
        let durations = of(&hundred);
        for percent in [1, 50, 90, 99, 100] {
            assert!(close(durations.percentile(percent), percent as f64));
        }
        assert!(close(of(&[7_000]).percentile(50), 7.0));
        assert!(close(of(&[1_000, 9_000]).percentile(99), 9.0));
    }

    #[test]
    fn nothing_measured_is_zero_and_too_long_is_the_longest() {
        assert!(close(of(&[]).percentile(99), 0.0));
        let longest = of(&[u64::MAX]).percentile(100);
        assert!(close(longest, f64::from(u32::MAX) / 1_000.0));
    }

    #[test]
    fn a_median_is_not_moved_by_one_bad_round() {
        assert!(close(median(vec![0.1, 0.9, 0.8]), 0.8));
        assert!(close(median(vec![0.9, 0.8, 0.1, 0.7]), 0.7));
        assert!(close(median(Vec::new()), 0.0));
    }

    #[test]
    fn a_rate_is_per_second() {
        assert!(close(rate(500, Duration::from_millis(250)), 2_000.0));
    }
}

//! Durations, and other quantities, counted in fixed buckets: recording is one search of a short list and two additions.
//!
//! The unit is the second, and bounds are in microseconds. Another quantity is counted in millionths of its unit.

use std::time::Duration;

/// Maximum number of bounds of a histogram.
pub const MAX_BOUNDS: usize = 20;

/// Counts of a histogram by bucket. The bucket behind the last bound counts all longer durations.
pub type Counts = [u64; MAX_BOUNDS + 1];

/// Upper bounds of buckets in microseconds, ascending, at most [`MAX_BOUNDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds(&'static [u64]);

impl Bounds {
    /// Takes ascending bounds in microseconds.
    ///
    /// # Panics
    /// If there are more than [`MAX_BOUNDS`]; in a constant, that fails to compile.
    #[must_use]
    pub const fn new(micros: &'static [u64]) -> Self {
        assert!(micros.len() <= MAX_BOUNDS, "more bounds than buckets");
        Self(micros)
    }

    /// Whether each bound is above the one before it.
    #[must_use]
    pub fn is_ascending(self) -> bool {
        self.0.is_sorted_by(|a, b| a < b)
    }
}

/// Bounds for what a person waits for: 50 ms to 2 minutes.
pub const PERSON_WAITS: Bounds = Bounds::new(&[
    50_000,
    100_000,
    200_000,
    300_000,
    500_000,
    750_000,
    1_000_000,
    1_500_000,
    2_000_000,
    3_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    120_000_000,
]);

/// Counted durations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    bounds: Bounds,
    counts: Counts,
    sum_ns: u64,
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, counts: [0; MAX_BOUNDS + 1], sum_ns: 0 }
    }

    /// A histogram with the counts and the sum of durations in nanoseconds that [`parts`](Self::parts) returned.
    #[must_use]
    pub const fn from_parts(bounds: Bounds, counts: Counts, sum_ns: u64) -> Self {
        Self { bounds, counts, sum_ns }
    }

    /// Counts by bucket, and the sum of all durations in nanoseconds.
    #[must_use]
    pub const fn parts(&self) -> (&Counts, u64) {
        (&self.counts, self.sum_ns)
    }

    /// Counts `n` durations of this length.
    pub fn record(&mut self, duration: Duration, n: u64) {
        self.record_billionths(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), n);
    }

    /// Counts `n` values of this many millionths of the histogram's unit.
    pub fn record_millionths(&mut self, value: u64, n: u64) {
        self.record_billionths(value.saturating_mul(1_000), n);
    }

    fn record_billionths(&mut self, ns: u64, n: u64) {
        let bucket = self.bounds.0.iter().take_while(|bound| ns > **bound * 1_000).count();
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.wrapping_add(n);
        }
        self.sum_ns = self.sum_ns.wrapping_add(ns.wrapping_mul(n));
    }

    /// Upper bound of each bucket in seconds, and the count of that bucket alone. The last bound is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.0.iter().map(|micros| *micros as f64 / 1e6);
        bounds.chain([f64::INFINITY]).zip(self.counts)
    }

    /// Number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// Sum of all durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FINE: Bounds = Bounds::new(&[10, 25, 50]);

    #[test]
    fn bucket_bounds_are_inclusive() {
        let mut histogram = Histogram::new(FINE);
        histogram.record(Duration::from_micros(25), 3);
        histogram.record(Duration::from_nanos(25_001), 1);
        histogram.record(Duration::from_secs(9), 2);
        let filled: Vec<(f64, u64)> = histogram.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(25e-6, 3), (50e-6, 1), (f64::INFINITY, 2)]);
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum(), Duration::from_nanos(3 * 25_000 + 25_001 + 2 * 9_000_000_000));
    }

    #[test]
    fn millionths_of_another_unit_are_counted_like_microseconds() {
        let (mut durations, mut others) = (Histogram::new(FINE), Histogram::new(FINE));
        for value in [3, 25, 26, 7_000] {
            durations.record(Duration::from_micros(value), 2);
            others.record_millionths(value, 2);
        }
        assert_eq!(durations, others);
    }

    #[test]
    fn bounds_ascend() {
        assert!(PERSON_WAITS.is_ascending());
        assert!(!Bounds::new(&[2, 1]).is_ascending());
    }

    proptest! {
        #[test]
        fn buckets_count_each_duration_once(micros in prop::collection::vec(0u64..400_000_000, 0..50)) {
            let mut histogram = Histogram::new(PERSON_WAITS);
            micros.iter().for_each(|micros| histogram.record(Duration::from_micros(*micros), 1));
            prop_assert_eq!(histogram.count(), micros.len() as u64);
            prop_assert_eq!(histogram.sum(), micros.iter().copied().map(Duration::from_micros).sum::<Duration>());
            let mut below = 0;
            for (bound, count) in histogram.buckets() {
                below += count;
                prop_assert_eq!(below, micros.iter().filter(|micros| **micros as f64 / 1e6 <= bound).count() as u64);
            }
        }
    }
}

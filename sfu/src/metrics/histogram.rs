//! Durations in fixed buckets: recording is one search of a short list and two additions.

use std::time::Duration;

/// Most buckets of a histogram, beside the one for all that is longer.
pub(super) const MAX_BOUNDS: usize = 20;

/// Upper bounds of buckets in microseconds, ascending, 20 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds(&'static [u64]);

impl Bounds {
    const fn new(micros: &'static [u64]) -> Self {
        assert!(micros.len() <= MAX_BOUNDS, "more bounds than buckets");
        Self(micros)
    }
}

/// From the receipt of a batch of datagrams to the return of the call that has sent what was forwarded of it. Fine
/// where one core with a hundred subscribers is (a fraction of a millisecond), coarse where calls suffer.
pub const FORWARDING: Bounds = Bounds::new(&[
    10, 25, 50, 75, 100, 150, 200, 250, 375, 500, 750, 1_000, 1_500, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000,
    250_000,
]);

/// From a participant's coming to the first media sent to it: what a person waits for.
pub const FIRST_MEDIA: Bounds = Bounds::new(&[
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

/// Durations, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    pub(super) bounds: Bounds,
    /// By bucket; the one behind the last bound counts what is longer.
    pub(super) counts: [u64; MAX_BOUNDS + 1],
    pub(super) sum_ns: u64,
}

impl Histogram {
    /// An empty one.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, counts: [0; MAX_BOUNDS + 1], sum_ns: 0 }
    }

    /// Counts `n` things that have taken so long, each.
    pub fn record(&mut self, duration: Duration, n: u64) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.bounds.0.iter().take_while(|bound| ns > **bound * 1_000).count();
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.wrapping_add(n);
        }
        self.sum_ns = self.sum_ns.wrapping_add(ns.wrapping_mul(n));
    }

    /// Upper bound of each bucket in seconds and how many were counted in it alone; the last bound is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.0.iter().map(|micros| *micros as f64 / 1e6);
        bounds.chain([f64::INFINITY]).zip(self.counts)
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// All durations together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_duration_is_in_the_bucket_whose_bound_it_does_not_exceed() {
        let mut histogram = Histogram::new(FORWARDING);
        histogram.record(Duration::from_micros(25), 3);
        histogram.record(Duration::from_nanos(25_001), 1);
        histogram.record(Duration::from_secs(9), 2);
        let filled: Vec<(f64, u64)> = histogram.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(25e-6, 3), (50e-6, 1), (f64::INFINITY, 2)]);
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum(), Duration::from_nanos(3 * 25_000 + 25_001 + 2 * 9_000_000_000));
    }

    #[test]
    fn bounds_ascend() {
        for bounds in [FORWARDING, FIRST_MEDIA] {
            assert!(bounds.0.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    proptest! {
        #[test]
        fn everything_is_counted_once(micros in prop::collection::vec(0u64..400_000_000, 0..50)) {
            let mut histogram = Histogram::new(FIRST_MEDIA);
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

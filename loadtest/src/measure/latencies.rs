//! Latencies as an HDR histogram: three significant digits, mergeable, and drawn as a cumulative distribution.

use hdrhistogram::Histogram;

/// Latencies in microseconds, from 1 µs to a minute with three significant digits.
///
/// Shared by the bots of a thread: a histogram each would cost more than a bot. Histograms of several threads or runs
/// are merged by [`Latencies::add`].
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    const MAX_US: u64 = 60_000_000;

    /// No latencies yet.
    #[must_use]
    pub fn new() -> Self {
        // The bounds are constants, which hdrhistogram accepts.
        Self(Histogram::new_with_max(Self::MAX_US, 3).unwrap_or_else(|_| unreachable!("valid bounds")))
    }

    /// Takes one latency in microseconds; what lies outside the bounds counts as the bound.
    pub fn record(&mut self, us: u64) {
        self.0.saturating_record(us.clamp(1, Self::MAX_US));
    }

    /// Takes all that another has.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this share of all does not exceed; 0 when there are none.
    #[must_use]
    pub fn quantile(&self, q: f64) -> u64 {
        self.0.value_at_quantile(q)
    }

    /// The largest.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// The cumulative distribution: about `points` pairs of a latency in microseconds and the share of all that is no
    /// larger. Both rise; the last share is 1. Half of the points lie above the 90th percentile, where the tail is.
    #[must_use]
    pub fn cdf(&self, points: usize) -> Vec<(u64, f64)> {
        let total = self.0.len();
        let mut cdf: Vec<(u64, f64)> = Vec::with_capacity(points);
        let (mut below, mut next) = (0, 0.0);
        for bucket in self.0.iter_recorded() {
            below += bucket.count_since_last_iteration();
            let share = below as f64 / total as f64;
            if share >= next || below == total {
                cdf.push((bucket.value_iterated_to(), share));
                next = share + Self::step(share, points);
            }
        }
        cdf
    }

    /// Distance to the next point of the distribution: even below the 90th percentile, and above it every tenth of what
    /// is left takes as many points again.
    fn step(share: f64, points: usize) -> f64 {
        let half = (points.max(2) / 2) as f64;
        if share < 0.9 { 0.9 / half } else { (1.0 - share) * 9.0 / half }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cdf_has_a_detailed_tail() {
        // Exponential, mean 1 ms, so that there is a tail.
        let mut latencies = Latencies::new();
        (0..100_000).for_each(|n| latencies.record((-1_000.0 * (1.0 - f64::from(n) / 100_000.0).ln()) as u64));
        let cdf = latencies.cdf(200);
        assert!((100..=260).contains(&cdf.len()), "{}", cdf.len());
        let tail = cdf.iter().filter(|(_, share)| *share > 0.9).count();
        assert!(tail * 3 >= cdf.len(), "{tail} of {}", cdf.len());
        let at_half = cdf.iter().find(|(_, share)| *share >= 0.5).unwrap();
        assert!((690..730).contains(&at_half.0), "{at_half:?}");
    }

    #[test]
    fn empty_cdf() {
        assert!(Latencies::new().cdf(200).is_empty());
        assert_eq!((Latencies::new().quantile(0.5), Latencies::new().max()), (0, 0));
    }

    proptest! {
        #[test]
        fn cdf_rises_to_one(values in proptest::collection::vec(0u64..100_000_000, 1..300)) {
            let mut latencies = Latencies::new();
            values.iter().for_each(|us| latencies.record(*us));
            let cdf = latencies.cdf(50);
            prop_assert!(cdf.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
            prop_assert_eq!(cdf.last().unwrap().1, 1.0);
        }

        #[test]
        fn add_merges_histograms(a in proptest::collection::vec(1u64..9_000, 0..99), b in proptest::collection::vec(1u64..9_000, 0..99)) {
            let of = |values: &[u64]| {
                let mut latencies = Latencies::new();
                values.iter().for_each(|us| latencies.record(*us));
                latencies
            };
            let mut merged = of(&a);
            merged.add(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }
    }
}

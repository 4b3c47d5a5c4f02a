//! What the path carried at the last overuses, and how much that varies: near it, the rate grows by small steps
//! (draft-ietf-rmcat-gcc-02 section 5.5, libwebrtc's link capacity estimator).

use crate::units::Bitrate;

/// Weight of a new overuse.
const WEIGHT: f64 = 0.05;
/// Bounds of the normalized variance: kilobits a second, as it is divided by the mean.
const VARIANCES: (f64, f64) = (0.4, 2.5);
/// What is within this many standard deviations agrees with the mean.
const DEVIATIONS: f64 = 3.0;
/// If this multiple of the mean arrives, the path carries more than before.
const EXCEEDED: f64 = 1.15;

/// Mean and variance of the acknowledged bitrate at overuse.
#[derive(Debug)]
pub(super) struct KnownCapacity {
    /// In kbit/s.
    mean: Option<f64>,
    variance: f64,
    /// The mean at the last overuse, until it is exceeded.
    last: Option<f64>,
}

impl Default for KnownCapacity {
    fn default() -> Self {
        Self { mean: None, variance: VARIANCES.0, last: None }
    }
}

impl KnownCapacity {
    /// Learns what arrived at an overuse.
    pub(super) fn on_overuse(&mut self, acked: Bitrate) {
        let acked = kbps(acked);
        if self.mean.is_some_and(|mean| (acked - mean).abs() > self.spread(mean)) {
            self.mean = None;
        }
        let mean = self.mean.map_or(acked, |mean| mean + WEIGHT * (acked - mean));
        let deviation = (mean - acked).powi(2) / mean.max(1.0);
        self.variance = (self.variance + WEIGHT * (deviation - self.variance)).clamp(VARIANCES.0, VARIANCES.1);
        (self.mean, self.last) = (Some(mean), Some(mean));
    }

    /// Forgets the mean if more than that arrives. Returns, once, whether it is so much more that the path has changed.
    pub(super) fn is_exceeded(&mut self, acked: Bitrate) -> bool {
        let acked = kbps(acked);
        if self.mean.is_some_and(|mean| acked > mean + self.spread(mean)) {
            self.mean = None;
        }
        self.last.take_if(|last| acked > EXCEEDED * *last).is_some()
    }

    /// Whether `acked` or `estimate` is near the capacity.
    pub(super) fn is_near(&self, acked: Bitrate, estimate: Bitrate) -> bool {
        self.mean.is_some_and(|mean| (kbps(acked) - mean).abs() <= self.spread(mean) || kbps(estimate) > 0.9 * mean)
    }

    /// Forgets the mean: a probe has shown more, or the path is another one.
    pub(super) fn forget(&mut self) {
        (self.mean, self.last) = (None, None);
    }

    fn spread(&self, mean: f64) -> f64 {
        DEVIATIONS * (self.variance * mean).sqrt()
    }
}

fn kbps(rate: Bitrate) -> f64 {
    rate.as_f64() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_forgotten_when_it_has_changed() {
        let mut capacity = KnownCapacity::default();
        let rate = Bitrate::from_kbps;
        assert!(!capacity.is_near(rate(1_000), rate(1_000)));
        capacity.on_overuse(rate(1_000));
        assert!(capacity.is_near(rate(1_020), rate(850)));
        assert!(capacity.is_near(rate(800), rate(950)));
        assert!(!capacity.is_near(rate(800), rate(850)));
        assert!(!capacity.is_exceeded(rate(1_130)));
        assert!(!capacity.is_near(rate(1_020), rate(1_020)));
        assert!(capacity.is_exceeded(rate(1_160)));
        assert!(!capacity.is_exceeded(rate(1_160)), "once");
        capacity.on_overuse(rate(1_000));
        capacity.on_overuse(rate(300));
        assert!(capacity.is_near(rate(300), rate(100)), "{capacity:?}");
    }
}

//! Round-trip time between the server and one client.

use std::time::Duration;

/// Assumed until there is a sample.
const INITIAL: Duration = Duration::from_millis(100);
/// Samples above this are clamped: they say more about a stalled client than about its path.
const MAX_SAMPLE: Duration = Duration::from_secs(2);

/// A smoothed round-trip time (weights of RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
}

impl Rtt {
    /// Updates the estimate with a measurement.
    pub(crate) fn sample(&mut self, sample: Duration) {
        let sample = sample.min(MAX_SAMPLE);
        self.smoothed = Some(self.smoothed.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8));
    }

    /// Uses a rough measurement, unless there has been a sample.
    pub(crate) fn first_sample(&mut self, sample: Duration) {
        self.smoothed.get_or_insert(sample.min(MAX_SAMPLE));
    }

    /// The smoothed round-trip time, or the initial assumption.
    pub(crate) fn estimate(&self) -> Duration {
        self.smoothed.unwrap_or(INITIAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first sample counts in full, later ones by an eighth.
    #[test]
    fn rtt_is_smoothed() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.estimate(), INITIAL);
        rtt.sample(Duration::from_millis(40));
        assert_eq!(rtt.estimate(), Duration::from_millis(40));
        rtt.sample(Duration::from_millis(120));
        assert_eq!(rtt.estimate(), Duration::from_millis(50));
        rtt.first_sample(Duration::from_secs(1));
        assert_eq!(rtt.estimate(), Duration::from_millis(50), "a rough sample changes nothing later");
    }
}

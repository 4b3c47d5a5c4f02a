//! Round-trip time between the server and one client.

use std::time::Duration;

/// Taken until there is a sample.
const ASSUMED: Duration = Duration::from_millis(100);
/// Longer samples say more about a stalled client than about its path.
const LONGEST: Duration = Duration::from_secs(2);

/// A smoothed round-trip time (weights of RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
}

impl Rtt {
    /// Takes a sample in.
    pub(crate) fn sample(&mut self, sample: Duration) {
        let sample = sample.min(LONGEST);
        self.smoothed = Some(self.smoothed.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8));
    }

    /// Takes a rough sample in, if there is none yet.
    pub(crate) fn first_sample(&mut self, sample: Duration) {
        self.smoothed.get_or_insert(sample.min(LONGEST));
    }

    /// The estimate.
    pub(crate) fn estimate(&self) -> Duration {
        self.smoothed.unwrap_or(ASSUMED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_counts_in_full_and_later_ones_by_an_eighth() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.estimate(), ASSUMED);
        rtt.sample(Duration::from_millis(40));
        assert_eq!(rtt.estimate(), Duration::from_millis(40));
        rtt.sample(Duration::from_millis(120));
        assert_eq!(rtt.estimate(), Duration::from_millis(50));
        rtt.first_sample(Duration::from_secs(1));
        assert_eq!(rtt.estimate(), Duration::from_millis(50), "it is known better");
    }
}

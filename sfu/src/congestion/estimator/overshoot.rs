//! A sender that sends more than the estimate, as one without a pacer may, proves that the path carries it.

use crate::units::Bitrate;
use std::time::{Duration, Instant};

/// What arrives must be above this multiple of the estimate, for this long.
const ABOVE: f64 = 1.1;
const FOR: Duration = Duration::from_secs(1);

/// For how long more has arrived than the estimate allows.
#[derive(Debug, Default)]
pub(super) struct Overshoot {
    since: Option<Instant>,
}

impl Overshoot {
    /// Handles a report. `calm`: no signal speaks of congestion. Returns whether what arrives is proven.
    pub(super) fn step(&mut self, now: Instant, calm: bool, acked: Bitrate, estimate: Bitrate) -> bool {
        if !calm || acked <= estimate.mul_f64(ABOVE) {
            self.since = None;
            return false;
        }
        now.saturating_duration_since(*self.since.get_or_insert(now)) >= FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overshoot_is_proven_after_a_calm_second() {
        let (mut overshoot, start, rate) = (Overshoot::default(), Instant::now(), Bitrate::from_kbps);
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!overshoot.step(at(0), true, rate(1_200), rate(1_000)));
        assert!(!overshoot.step(at(900), true, rate(1_200), rate(1_000)));
        assert!(overshoot.step(at(1_000), true, rate(1_200), rate(1_000)));
        assert!(!overshoot.step(at(1_100), false, rate(1_200), rate(1_000)));
        assert!(!overshoot.step(at(1_200), true, rate(1_200), rate(1_000)), "from the beginning");
        assert!(!overshoot.step(at(9_000), true, rate(1_050), rate(1_000)));
    }
}

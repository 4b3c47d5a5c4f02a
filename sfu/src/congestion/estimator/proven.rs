//! How much of the estimate has been used lately. What has not been used is not known any more.

use crate::units::Bitrate;
use std::time::{Duration, Instant};

/// Below this share of the estimate, for this time, the path is unused.
const USED: f64 = 0.2;
const UNUSED_AFTER: Duration = Duration::from_secs(30);
/// What arrived in this time is proven: six intervals.
const INTERVAL: Duration = Duration::from_secs(10);
const INTERVALS: usize = 6;
/// The path may carry this multiple of what is proven.
const ABOVE: u64 = 2;

/// The best bitrate of the last minute.
#[derive(Debug, Default)]
pub(super) struct Proven {
    best: [Bitrate; INTERVALS],
    interval_end: Option<Instant>,
    used: Option<Instant>,
}

impl Proven {
    /// Handles a report: `acked` arrives, and `sent` is sent.
    pub(super) fn add(&mut self, now: Instant, acked: Bitrate, sent: Bitrate, estimate: Bitrate) {
        if self.interval_end.is_none_or(|end| now >= end) {
            self.best.rotate_right(1);
            self.best[0] = Bitrate::ZERO;
            self.interval_end = Some(now + INTERVAL);
        }
        self.best[0] = self.best[0].max(acked);
        if sent >= estimate.mul_f64(USED) || self.used.is_none() {
            self.used = Some(now);
        }
    }

    /// Whether the path has not been used for long.
    pub(super) fn is_unused(&self, now: Instant) -> bool {
        self.used.is_some_and(|used| now.saturating_duration_since(used) >= UNUSED_AFTER)
    }

    /// The best bitrate of the last minute.
    pub(super) fn best(&self) -> Bitrate {
        self.best.iter().copied().max().unwrap_or(Bitrate::ZERO)
    }

    /// What the path may still be trusted with, if it has not been used for long.
    pub(super) fn limit(&self, now: Instant) -> Option<Bitrate> {
        self.is_unused(now).then(|| Bitrate::from_bps(self.best().bps().saturating_mul(ABOVE)))
    }

    /// Forgets everything: the path is another one.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_bitrate_is_proven_for_a_minute() {
        let (mut proven, start) = (Proven::default(), Instant::now());
        let (high, low, estimate) = (Bitrate::from_kbps(1_000), Bitrate::from_kbps(40), Bitrate::from_kbps(2_000));
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..10 {
            proven.add(at(second), high, high, estimate);
        }
        for second in 10..39 {
            proven.add(at(second), low, low, estimate);
        }
        assert_eq!(proven.limit(at(38)), None);
        for second in 39..60 {
            proven.add(at(second), low, low, estimate);
            assert_eq!(proven.limit(at(second)), Some(estimate), "{second}");
        }
        for second in 60..80 {
            proven.add(at(second), low, low, estimate);
        }
        assert_eq!(proven.limit(at(80)), Some(Bitrate::from_kbps(80)));
    }
}

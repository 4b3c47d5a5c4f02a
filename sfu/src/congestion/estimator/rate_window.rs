//! The bitrate of the last half second, in a fixed number of buckets.

use crate::units::{Bitrate, DataSize};
use std::time::Duration;

/// Length of a bucket in microseconds.
const BUCKET: i64 = 25_000;
/// Complete buckets of the window; one more is being filled.
const WINDOW: i64 = 20;
const BUCKETS: usize = 21;

/// Bytes by time. Times are in microseconds of one clock, which the caller chooses.
#[derive(Debug, Default)]
pub(super) struct RateWindow {
    bytes: [u32; BUCKETS],
    /// First moment since the last gap of a whole window, and the latest one.
    span: Option<(i64, i64)>,
}

impl RateWindow {
    /// Counts a packet. One older than the window is ignored.
    pub(super) fn add(&mut self, at: i64, size: DataSize) {
        let (first, last) = self.span.unwrap_or((at, at));
        let (bucket, newest) = (at.div_euclid(BUCKET), last.div_euclid(BUCKET));
        if bucket < newest - WINDOW {
            // Far back: the clock has been set.
            if bucket < newest - 10 * WINDOW {
                *self = Self::default();
            }
            return;
        }
        let gap = bucket - newest > WINDOW;
        for stale in (newest + 1..=bucket).take(if gap { 0 } else { BUCKETS }) {
            self.slot(stale, |bytes| *bytes = 0);
        }
        if gap {
            self.bytes = [0; BUCKETS];
        }
        self.span = Some((if gap { at } else { first.min(at) }, last.max(at)));
        let size = u32::try_from(size.bytes()).unwrap_or(u32::MAX);
        self.slot(bucket, |bytes| *bytes = bytes.saturating_add(size));
    }

    fn slot(&mut self, bucket: i64, change: impl FnOnce(&mut u32)) {
        let index = usize::try_from(bucket.rem_euclid(BUCKETS as i64)).unwrap_or(0);
        if let Some(bytes) = self.bytes.get_mut(index) {
            change(bytes);
        }
    }

    /// Bitrate of the half second before the latest packet; `None` until packets span `least` microseconds.
    pub(super) fn rate(&self, least: i64) -> Option<Bitrate> {
        let (first, last) = self.span?;
        if last - first < least {
            return None;
        }
        let begin = (last.div_euclid(BUCKET) - WINDOW) * BUCKET;
        Some(over(self.bytes.iter().map(|bytes| u64::from(*bytes)).sum(), last - begin.max(first)))
    }

    /// Bitrate of the half second before `now`, in which pauses count.
    pub(super) fn rate_at(&self, now: i64) -> Bitrate {
        let Some((_, last)) = self.span else { return Bitrate::ZERO };
        let (newest, oldest) = (last.div_euclid(BUCKET), now.div_euclid(BUCKET) - WINDOW);
        let buckets = (newest - WINDOW).max(oldest)..=newest;
        let kept =
            buckets.filter_map(|bucket| self.bytes.get(usize::try_from(bucket.rem_euclid(BUCKETS as i64)).ok()?));
        over(kept.map(|bytes| u64::from(*bytes)).sum(), now - oldest * BUCKET)
    }
}

fn over(bytes: u64, micros: i64) -> Bitrate {
    DataSize::from_bytes(bytes) / Duration::from_micros(u64::try_from(micros).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: DataSize = DataSize::from_bytes(1_250);

    #[test]
    fn rate_is_that_of_the_last_half_second() {
        let mut window = RateWindow::default();
        for at in (0..2_000_000).step_by(10_000) {
            window.add(at, PACKET);
        }
        let rate = window.rate(250_000).unwrap();
        assert!(rate.bps().abs_diff(1_000_000) < 30_000, "{rate:?}");
        let at = window.rate_at(2_000_000);
        assert!(at.bps().abs_diff(1_000_000) < 30_000, "{at:?}");
        assert_eq!(window.rate_at(3_000_000), Bitrate::ZERO);
    }

    #[test]
    fn rate_is_unknown_until_packets_span_enough() {
        let mut window = RateWindow::default();
        assert_eq!(window.rate(0), None);
        for at in (0..240_000).step_by(10_000) {
            window.add(at, PACKET);
            assert_eq!(window.rate(250_000), None);
        }
        window.add(250_000, PACKET);
        assert!(window.rate(250_000).is_some());
        window.add(10_000_000, PACKET);
        assert_eq!(window.rate(250_000), None, "a gap begins a new span");
    }

    #[test]
    fn rate_survives_any_time() {
        let mut window = RateWindow::default();
        for at in [0, 1 << 60, 0, 5, 1 << 59, 1 << 60, 0, 600_000] {
            window.add(at, DataSize::from_bytes(u64::MAX));
            let _ = (window.rate(0), window.rate_at(0), window.rate_at(1 << 60));
        }
    }
}

//! The bitrate of the last half second, in a fixed number of buckets.

use super::packet::duration;
use crate::units::{Bitrate, DataSize};

/// Length of a bucket in microseconds.
const BUCKET: i64 = 25_000;
/// Complete buckets of the window; one more is being filled.
const WINDOW: i64 = 20;
const BUCKETS: usize = 21;

/// Bytes by time. Times are in microseconds of one clock, which the caller chooses.
#[derive(Debug)]
pub(super) struct RateWindow {
    /// Bytes by bucket, as a ring; without those of the current one.
    bytes: [u32; BUCKETS],
    /// The bucket that is being filled, and its bytes.
    bucket: i64,
    current: u32,
    /// First moment since the last gap of a whole window, and the latest one.
    span: Option<(i64, i64)>,
}

impl Default for RateWindow {
    fn default() -> Self {
        Self { bytes: [0; BUCKETS], bucket: i64::MIN, current: 0, span: None }
    }
}

impl RateWindow {
    /// Counts a packet. One older than the window is ignored.
    #[inline]
    pub(super) fn add(&mut self, at: i64, size: DataSize) {
        let size = u32::try_from(size.bytes()).unwrap_or(u32::MAX);
        let bucket = at.div_euclid(BUCKET);
        if bucket != self.bucket && !self.move_to(bucket, at, size) {
            return;
        }
        self.current = self.current.saturating_add(size);
        if let Some((_, last)) = &mut self.span {
            *last = at.max(*last);
        }
    }

    /// Makes `bucket` the current one. Otherwise it is an older one, and the packet has been counted there or ignored.
    #[cold]
    fn move_to(&mut self, bucket: i64, at: i64, size: u32) -> bool {
        let Some((first, _)) = self.span else {
            (self.bucket, self.span) = (bucket, Some((at, at)));
            return true;
        };
        if bucket < self.bucket {
            if bucket < self.bucket - 10 * WINDOW {
                // The clock has been set.
                *self = Self::default();
            } else if bucket >= self.bucket - WINDOW {
                self.span = self.span.map(|(_, last)| (first.min(at), last));
                self.slot(bucket, |bytes| bytes.saturating_add(size));
            }
            return false;
        }
        let current = std::mem::take(&mut self.current);
        self.slot(self.bucket, |_| current);
        if bucket - self.bucket > WINDOW {
            self.bytes = [0; BUCKETS];
            self.span = Some((at, at));
        } else {
            (self.bucket + 1..=bucket).for_each(|stale| self.slot(stale, |_| 0));
        }
        self.bucket = bucket;
        true
    }

    fn slot(&mut self, bucket: i64, change: impl FnOnce(u32) -> u32) {
        if let Some(bytes) = self.bytes.get_mut(ring_index(bucket)) {
            *bytes = change(*bytes);
        }
    }

    /// Bytes of the buckets from `oldest` on.
    fn sum_from(&self, oldest: i64) -> u64 {
        let complete =
            (oldest.max(self.bucket - WINDOW)..self.bucket).filter_map(|bucket| self.bytes.get(ring_index(bucket)));
        let current = if oldest <= self.bucket { self.current } else { 0 };
        complete.map(|bytes| u64::from(*bytes)).sum::<u64>() + u64::from(current)
    }

    /// Bitrate of the half second before the latest packet; `None` until packets span `least` microseconds.
    pub(super) fn rate(&self, least: i64) -> Option<Bitrate> {
        let (first, last) = self.span?;
        let oldest = self.bucket - WINDOW;
        (last - first >= least).then(|| over(self.sum_from(oldest), last - first.max(oldest * BUCKET)))
    }

    /// Bitrate of the half second before `now`, in which pauses count.
    pub(super) fn rate_at(&self, now: i64) -> Bitrate {
        let oldest = now.div_euclid(BUCKET) - WINDOW;
        if self.span.is_some() { over(self.sum_from(oldest), now - oldest * BUCKET) } else { Bitrate::ZERO }
    }
}

fn ring_index(bucket: i64) -> usize {
    usize::try_from(bucket.rem_euclid(BUCKETS as i64)).unwrap_or(0)
}

fn over(bytes: u64, micros: i64) -> Bitrate {
    DataSize::from_bytes(bytes) / duration(micros.max(1))
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

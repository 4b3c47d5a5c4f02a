//! How many of the packets that feedback covers did not arrive, over the last second.

use super::packet::micros;
use std::time::Duration;

/// Length of a bucket in microseconds, and their number.
const BUCKET: i64 = 50_000;
const BUCKETS: usize = 20;

/// Packets that feedback covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Covered {
    pub(super) packets: u32,
    pub(super) lost: u32,
}

impl Covered {
    /// The packets of both.
    pub(super) fn plus(self, other: Self) -> Self {
        Self { packets: self.packets.saturating_add(other.packets), lost: self.lost.saturating_add(other.lost) }
    }

    /// Share of the packets that did not arrive.
    pub(super) fn loss(self) -> f64 {
        f64::from(self.lost) / f64::from(self.packets.max(1))
    }
}

/// Loss by the time of the report. Times are those since the estimator's zero.
#[derive(Debug, Default)]
pub(super) struct LossWindow {
    buckets: [Covered; BUCKETS],
    newest: i64,
}

impl LossWindow {
    /// Counts a report.
    pub(super) fn add(&mut self, at: Duration, covered: Covered) {
        let bucket = micros(at) / BUCKET;
        for stale in (self.newest + 1..=bucket).rev().take(BUCKETS) {
            if let Some(slot) = self.buckets.get_mut(index(stale)) {
                *slot = Covered::default();
            }
        }
        self.newest = self.newest.max(bucket);
        if let Some(slot) = self.buckets.get_mut(index(bucket)) {
            *slot = slot.plus(covered);
        }
    }

    /// Packets that were reported since `since`, and within the last second.
    pub(super) fn since(&self, since: Duration) -> Covered {
        let oldest = (self.newest + 1 - BUCKETS as i64).max(micros(since) / BUCKET).max(0);
        let kept = (oldest..=self.newest).filter_map(|bucket| self.buckets.get(index(bucket)));
        kept.fold(Covered::default(), |sum, bucket| sum.plus(*bucket))
    }

    /// Packets that were reported in the last second.
    pub(super) fn last_second(&self) -> Covered {
        self.since(Duration::ZERO)
    }
}

fn index(bucket: i64) -> usize {
    usize::try_from(bucket.rem_euclid(BUCKETS as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_that_of_the_last_second() {
        let mut window = LossWindow::default();
        for number in 0..40 {
            let lost = if number < 20 { 5 } else { 1 };
            window.add(Duration::from_millis(50 * number), Covered { packets: 10, lost });
        }
        assert_eq!(window.last_second(), Covered { packets: 200, lost: 20 });
        assert_eq!(window.since(Duration::from_millis(1_900)), Covered { packets: 20, lost: 2 });
        window.add(Duration::from_secs(60), Covered { packets: 1, lost: 1 });
        assert_eq!(window.last_second(), Covered { packets: 1, lost: 1 });
    }
}

//! When a publisher's packets are due.
//!
//! Bursts of `burst` packets, `pps / burst` of them a second, counted from the start, so that a late burst is followed
//! by its successors at their own times and the mean rate holds. A generator that falls far behind skips and reports it
//! instead of sending a flood.

use crate::measure::clock::Time;
use std::time::Duration;

/// When the bursts of a publisher are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start: Time,
    pps: u64,
    burst: u64,
    /// Bursts sent or skipped.
    next: u64,
    skipped: u64,
}

impl Schedule {
    /// Bursts further behind than this are skipped.
    const MAX_LAG: Duration = Duration::from_millis(250);

    pub(super) fn new(start: Time, pps: u32, burst: u32) -> Self {
        Self { start, pps: u64::from(pps.max(1)), burst: u64::from(burst.max(1)), next: 0, skipped: 0 }
    }

    /// When the next burst is due.
    pub(super) fn due_at(&self) -> Time {
        let offset = u128::from(self.next) * u128::from(self.burst) * 1_000_000_000 / u128::from(self.pps);
        self.start + Duration::from_nanos(u64::try_from(offset).unwrap_or(u64::MAX))
    }

    /// Takes the next burst if it is due, and returns how late it is.
    pub(super) fn take(&mut self, now: Time) -> Option<Duration> {
        loop {
            let due = self.due_at();
            if now < due {
                return None;
            }
            let lag = now.since(due);
            self.next += 1;
            if lag <= Self::MAX_LAG {
                return Some(lag);
            }
            self.skipped += 1;
        }
    }

    /// Resets the count of skipped packets.
    pub(super) fn forget_skipped(&mut self) {
        self.skipped = 0;
    }

    /// Packets that were not sent because they were overdue.
    pub(super) fn skipped_packets(&self) -> u64 {
        self.skipped * self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn mean_rate_holds_when_late() {
        let mut schedule = Schedule::new(ns(1_000), 1_000, 4);
        let mut sent = 0;
        for now in (0..1_000_000_000u64).step_by(7_300_000) {
            while schedule.take(ns(1_000 + now)).is_some() {
                sent += 4;
            }
        }
        assert!((990..=1_000).contains(&sent), "{sent}");
        assert_eq!(schedule.skipped_packets(), 0);
    }

    #[test]
    fn not_due_before_its_time() {
        let mut schedule = Schedule::new(ns(1_000), 500, 1);
        assert_eq!(schedule.take(ns(999)), None);
        assert_eq!(schedule.take(ns(1_010)), Some(Duration::from_nanos(10)));
        assert_eq!(schedule.due_at(), ns(2_001_000));
    }

    #[test]
    fn skips_when_far_behind() {
        let mut schedule = Schedule::new(ns(0), 100, 1);
        assert_eq!(schedule.take(ns(1_000_000_000)), Some(Duration::from_millis(250)));
        assert_eq!(schedule.skipped_packets(), 75);
    }
}

//! When a publisher's packets are due.
//!
//! Bursts of `burst` packets, `pps / burst` of them a second, counted from the start, so that a late burst is followed
//! by its successors at their own times and the mean rate holds. A generator that falls far behind skips: it says so
//! instead of sending a flood that nobody asked for.

/// A publisher's plan, in nanoseconds from any origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start_ns: u64,
    pps: u64,
    burst: u64,
    /// Bursts sent or skipped.
    next: u64,
    skipped: u64,
}

impl Schedule {
    /// Bursts further behind than this are skipped.
    const MAX_LAG_NS: u64 = 250_000_000;

    pub(super) fn new(start_ns: u64, pps: u32, burst: u32) -> Self {
        Self { start_ns, pps: u64::from(pps.max(1)), burst: u64::from(burst.max(1)), next: 0, skipped: 0 }
    }

    /// When the next burst is due.
    pub(super) fn due_at(&self) -> u64 {
        let offset = u128::from(self.next) * u128::from(self.burst) * 1_000_000_000 / u128::from(self.pps);
        self.start_ns.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
    }

    /// Takes the next burst if it is due, and gives how late it is, in nanoseconds.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<u64> {
        loop {
            let lag = now_ns.checked_sub(self.due_at())?;
            self.next += 1;
            if lag <= Self::MAX_LAG_NS {
                return Some(lag);
            }
            self.skipped += 1;
        }
    }

    /// Counts from zero what is skipped.
    pub(super) fn forget_skipped(&mut self) {
        self.skipped = 0;
    }

    /// Packets that were not sent because they were due too long ago.
    pub(super) fn skipped_packets(&self) -> u64 {
        self.skipped * self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_rate_holds_when_bursts_are_late() {
        let mut schedule = Schedule::new(1_000, 1_000, 4);
        let mut sent = 0;
        for now in (0..1_000_000_000u64).step_by(7_300_000) {
            while schedule.take(1_000 + now).is_some() {
                sent += 4;
            }
        }
        assert!((990..=1_000).contains(&sent), "{sent}");
        assert_eq!(schedule.skipped_packets(), 0);
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut schedule = Schedule::new(1_000, 500, 1);
        assert_eq!(schedule.take(999), None);
        assert_eq!(schedule.take(1_010), Some(10));
        assert_eq!(schedule.due_at(), 2_001_000);
    }

    #[test]
    fn a_generator_far_behind_skips_and_says_so() {
        let mut schedule = Schedule::new(0, 100, 1);
        assert_eq!(schedule.take(1_000_000_000), Some(250_000_000));
        assert_eq!(schedule.skipped_packets(), 75);
    }
}

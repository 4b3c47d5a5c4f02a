//! CoDel: a queue that drops early what has waited long (RFC 8289).

use std::time::{Duration, Instant};

/// A packet may wait so long at all times, and longer for an interval.
const TARGET: Duration = Duration::from_millis(5);
/// The round-trip time of a long path.
const INTERVAL: Duration = Duration::from_millis(100);

/// State of the algorithm, asked for each packet in the order of departures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Codel {
    /// When packets will have waited too long for an interval.
    above_from: Option<Instant>,
    dropping: bool,
    drop_next: Option<Instant>,
    count: u32,
    last_count: u32,
}

impl Codel {
    /// Whether the packet that would leave now is dropped instead.
    pub(crate) fn drops(&mut self, now: Instant, waited: Duration) -> bool {
        let long = self.is_long(now, waited);
        if !long {
            self.dropping = false;
            return false;
        }
        if !self.dropping {
            self.dropping = true;
            // Soon again in the same state: go on near the rate of drops that helped.
            let recent = self.drop_next.is_some_and(|at| now.saturating_duration_since(at) < 16 * INTERVAL);
            let growth = self.count.saturating_sub(self.last_count);
            self.count = if recent && growth > 1 { growth } else { 1 };
            self.last_count = self.count;
            self.drop_next = Some(self.after(now));
            return true;
        }
        let due = self.drop_next.filter(|at| now >= *at);
        if let Some(at) = due {
            self.count = self.count.saturating_add(1);
            self.drop_next = Some(self.after(at));
        }
        due.is_some()
    }

    fn is_long(&mut self, now: Instant, waited: Duration) -> bool {
        if waited < TARGET {
            self.above_from = None;
            return false;
        }
        now >= *self.above_from.get_or_insert(now + INTERVAL)
    }

    /// The control law. Square roots are the same on every machine.
    fn after(&self, at: Instant) -> Instant {
        at + INTERVAL.div_f64(f64::from(self.count.max(1)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_begin_after_an_interval_and_come_faster() {
        let start = Instant::now();
        let mut codel = Codel::default();
        let dropped: Vec<u64> =
            (0..400).filter(|ms| codel.drops(start + Duration::from_millis(*ms), Duration::from_millis(20))).collect();
        // After 100 ms, then 100, 100/√2, 100/√3 … ms later.
        assert_eq!(dropped, [100, 200, 271, 329, 379]);
    }

    #[test]
    fn short_queue_drops_nothing() {
        let start = Instant::now();
        let mut codel = Codel::default();
        let drops = (0..4_000).any(|ms| {
            let waited = if ms % 90 == 0 { 4 } else { 20 };
            codel.drops(start + Duration::from_millis(ms), Duration::from_millis(waited))
        });
        assert!(!drops, "each interval has a packet that did not wait long");
    }
}

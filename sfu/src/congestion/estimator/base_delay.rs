//! How long packets wait in queues: their delay above the least delay of the last 20 seconds.
//!
//! A trend sees a queue grow, and misses one that stands still. The least delay is that of an empty queue, if there has been
//! one; the difference between the clocks cancels out.

use super::packet::{Transit, duration};
use std::time::Duration;

/// The least delay is kept by second, and forgotten after this many.
const SECONDS: usize = 20;
const SECOND: i64 = 1_000_000;
/// The queue is the least delay of this interval: jitter only adds to it.
const INTERVAL: i64 = 100_000;
/// Weight of a packet in the mean jitter.
const JITTER_WEIGHT: f64 = 0.02;
/// Assumed jitter before there are packets, in microseconds.
const FIRST_JITTER: f64 = 5_000.0;
/// A delay that is not known.
const UNKNOWN: i64 = i64::MAX;

/// Delays of the path.
#[derive(Debug)]
pub(super) struct BaseDelay {
    /// Least delay of each of the last seconds, as a ring; that of `second` is in `in_second`.
    least: [i64; SECONDS],
    second: Option<i64>,
    in_second: i64,
    /// Least delay of all of them.
    base: i64,
    /// Number of the current interval, and its least delay.
    interval: i64,
    current: i64,
    /// Least delay of the interval before.
    complete: Option<i64>,
    /// Mean delay of packets above the least of their interval, in microseconds.
    jitter: f64,
}

impl Default for BaseDelay {
    fn default() -> Self {
        Self {
            least: [UNKNOWN; SECONDS],
            second: None,
            in_second: UNKNOWN,
            base: UNKNOWN,
            interval: i64::MIN,
            current: UNKNOWN,
            complete: None,
            jitter: FIRST_JITTER,
        }
    }
}

impl BaseDelay {
    /// Adds a packet.
    #[inline]
    pub(super) fn add(&mut self, packet: Transit) {
        let (delay, interval) = (packet.delay(), packet.received / INTERVAL);
        if interval != self.interval {
            self.move_to(interval);
        }
        self.in_second = self.in_second.min(delay);
        self.base = self.base.min(delay);
        self.current = self.current.min(delay);
        #[allow(clippy::cast_precision_loss, reason = "a short time")]
        let above = (delay - self.current) as f64;
        self.jitter += JITTER_WEIGHT * (above - self.jitter);
    }

    /// Begins an interval, and its second, if they are new.
    #[cold]
    fn move_to(&mut self, interval: i64) {
        let second = interval / (SECOND / INTERVAL);
        let last = *self.second.get_or_insert(second);
        if second + 1 < last {
            // Not reordered: the receiver's clock has been set.
            *self = Self { second: Some(second), interval, jitter: self.jitter, ..Self::default() };
            return;
        }
        if second > last {
            let in_second = std::mem::replace(&mut self.in_second, UNKNOWN);
            self.slot(last, in_second);
            let passed = usize::try_from(second - last).unwrap_or(SECONDS).min(SECONDS);
            (0..).take(passed).for_each(|ago| self.slot(second - ago, UNKNOWN));
            self.second = Some(second);
            self.base = self.least.iter().copied().min().unwrap_or(UNKNOWN);
        }
        if interval > self.interval {
            self.complete = Some(self.current).filter(|least| *least != UNKNOWN);
            self.interval = interval;
            self.current = UNKNOWN;
        }
    }

    fn slot(&mut self, second: i64, delay: i64) {
        if let Some(least) = self.least.get_mut(usize::try_from(second.rem_euclid(SECONDS as i64)).unwrap_or(0)) {
            *least = delay;
        }
    }

    /// Waiting time in queues, at least: the least of the last complete interval.
    pub(super) fn queue(&self) -> Duration {
        self.above_base(self.complete.unwrap_or(self.current))
    }

    /// Mean delay of packets above the least delay around them.
    pub(super) fn jitter(&self) -> Duration {
        Duration::from_secs_f64((self.jitter / 1e6).clamp(0.0, 10.0))
    }

    /// Takes the current delay for that of an empty queue: the route has changed.
    pub(super) fn rebase(&mut self) {
        let least = self.complete.unwrap_or(self.current).min(self.current);
        self.least = [UNKNOWN; SECONDS];
        self.in_second = least;
        self.base = least;
    }

    /// Waiting time in queues of a packet with this delay, in microseconds.
    pub(super) fn above_base(&self, delay: i64) -> Duration {
        let known = delay != UNKNOWN && self.base != UNKNOWN;
        let above = if known { delay.saturating_sub(self.base) } else { 0 };
        duration(above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet each 10 ms for `millis`, each with a delay by its time in milliseconds. Returns the end.
    fn feed(base: &mut BaseDelay, from: i64, millis: i64, delay: impl Fn(i64) -> i64) -> i64 {
        for at in (from..from + millis).step_by(10) {
            base.add(Transit { sent: at * 1_000, received: (at + delay(at)) * 1_000 });
        }
        from + millis
    }

    #[test]
    fn queue_is_the_least_delay_above_the_base() {
        let mut base = BaseDelay::default();
        assert_eq!(base.queue(), Duration::ZERO);
        let end = feed(&mut base, 0, 1_000, |at| 50 + at % 20);
        assert_eq!(base.queue(), Duration::ZERO, "jitter is no queue");
        feed(&mut base, end, 1_000, |at| 130 + at % 20);
        assert_eq!(base.queue(), Duration::from_millis(80));
        assert!(base.jitter() > Duration::from_millis(3) && base.jitter() < Duration::from_millis(10));
    }

    #[test]
    fn base_delay_is_forgotten_after_20_seconds() {
        let mut base = BaseDelay::default();
        let end = feed(&mut base, 0, 1_000, |_| 50);
        let end = feed(&mut base, end, 18_000, |_| 90);
        assert_eq!(base.queue(), Duration::from_millis(40));
        let end = feed(&mut base, end, 3_000, |_| 90);
        assert_eq!(base.queue(), Duration::ZERO);
        feed(&mut base, end + 60_000, 1_000, |_| 400);
        assert_eq!(base.queue(), Duration::ZERO, "a gap forgets, too");
    }

    #[test]
    fn base_delay_survives_a_clock_that_is_set() {
        let mut base = BaseDelay::default();
        feed(&mut base, 1_000_000, 1_000, |_| 50);
        feed(&mut base, 0, 1_000, |_| 50);
        assert_eq!(base.queue(), Duration::ZERO);
        base.add(Transit { sent: 0, received: 1 << 60 });
        base.add(Transit { sent: 1 << 60, received: 0 });
        base.add(Transit { sent: 0, received: 1 << 60 });
        let _ = (base.queue(), base.jitter());
    }

    #[test]
    fn rebase_takes_the_current_delay_as_base() {
        let mut base = BaseDelay::default();
        let end = feed(&mut base, 0, 1_000, |_| 50);
        feed(&mut base, end, 1_000, |_| 200);
        base.rebase();
        assert_eq!(base.queue(), Duration::ZERO);
    }
}

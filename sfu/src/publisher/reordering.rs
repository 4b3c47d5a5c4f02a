//! Measures how late reordered packets of a stream arrive.
//!
//! On a path that keeps packets in order a gap is a loss, and a NACK is sent at once. On a path that reorders, most gaps
//! fill by themselves, and NACKs sent at once would double the stream. So the longest delay of a reordered packet is
//! remembered for a while, and the first NACK waits that long. As in RACK (RFC 8985 section 6.2) the wait never exceeds
//! a part of the round trip, so that it hardly delays the repair of a lost packet.

use std::time::{Duration, Instant};

/// The wait is derived from the longest delay of the current and the previous period.
const PERIOD: Duration = Duration::from_secs(5);
/// Shortest wait: less is not worth a timer.
const MIN_WAIT: Duration = Duration::from_millis(2);
/// Longest wait: a packet later than this is as good as lost.
const MAX_WAIT: Duration = Duration::from_millis(50);

/// Delays of reordered packets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reordering {
    /// When the current period began.
    since: Option<Instant>,
    current: Duration,
    previous: Duration,
}

impl Reordering {
    /// Records that a missing packet arrived by itself, `late` after its gap was seen.
    pub(crate) fn observe(&mut self, now: Instant, late: Duration) {
        match self.since.map(|since| now.saturating_duration_since(since)) {
            Some(elapsed) if elapsed < PERIOD => {}
            Some(elapsed) if elapsed < 2 * PERIOD => {
                self.previous = std::mem::take(&mut self.current);
                self.since = Some(now);
            }
            _ => *self = Self { since: Some(now), ..Self::default() },
        }
        self.current = self.current.max(late);
    }

    /// How long to wait for a missing packet before its first NACK; zero if packets arrive in order.
    pub(crate) fn wait(&self, now: Instant, rtt: Duration) -> Duration {
        let longest = match self.since.map(|since| now.saturating_duration_since(since)) {
            Some(elapsed) if elapsed < PERIOD => self.current.max(self.previous),
            Some(elapsed) if elapsed < 2 * PERIOD => self.current,
            _ => return Duration::ZERO,
        };
        (longest + longest / 4).max(MIN_WAIT).min(MAX_WAIT).min(rtt / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RTT: Duration = Duration::from_millis(80);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn no_wait_while_packets_arrive_in_order() {
        assert_eq!(Reordering::default().wait(Instant::now(), RTT), Duration::ZERO);
    }

    #[test]
    fn wait_is_longest_delay_plus_a_quarter_and_expires() {
        let (mut reordering, start) = (Reordering::default(), Instant::now());
        reordering.observe(start, ms(12));
        reordering.observe(start + ms(100), ms(4));
        assert_eq!(reordering.wait(start + ms(100), RTT), ms(15));
        reordering.observe(start + PERIOD, ms(4));
        assert_eq!(reordering.wait(start + PERIOD, RTT), ms(15), "of the previous period");
        reordering.observe(start + 2 * PERIOD, ms(4));
        assert_eq!(reordering.wait(start + 2 * PERIOD, RTT), ms(5));
        assert_eq!(reordering.wait(start + 4 * PERIOD, RTT), Duration::ZERO);
    }

    #[test]
    fn wait_is_at_most_half_an_rtt() {
        let (mut reordering, start) = (Reordering::default(), Instant::now());
        reordering.observe(start, ms(30));
        assert_eq!(reordering.wait(start, ms(10)), ms(5));
        reordering.observe(start, ms(700));
        assert_eq!(reordering.wait(start, ms(400)), MAX_WAIT);
    }

    proptest! {
        #[test]
        fn wait_is_bounded(
            steps in prop::collection::vec((0u64..4_000, 0u64..10_000), 1..40), rtt in 0u64..3_000,
        ) {
            let (mut reordering, mut now) = (Reordering::default(), Instant::now());
            for (pause, late) in steps {
                now += ms(pause);
                reordering.observe(now, ms(late));
                let bound = reordering.wait(now, ms(rtt));
                prop_assert!(bound <= MAX_WAIT && bound <= ms(rtt) / 2);
                prop_assert!(bound >= MIN_WAIT.min(ms(rtt) / 2));
                prop_assert_eq!(reordering.wait(now + 2 * PERIOD, ms(rtt)), Duration::ZERO);
            }
        }
    }
}

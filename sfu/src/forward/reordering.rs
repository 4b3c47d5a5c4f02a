//! Learns how late a stream's packets come that were overtaken, not lost.
//!
//! On a path that keeps the order a gap is a loss, and is asked for at once. Where packets overtake each other most gaps
//! fill by themselves, and asking at once would double the stream. So the longest time that a packet came late by itself
//! is remembered for a while, and a gap is given that time first; as in RACK (RFC 8985 section 6.2) it never exceeds a
//! part of the round trip, so that a lost packet is hardly later for it.

use std::time::{Duration, Instant};

/// The longest delay of this period and the one before counts.
const PERIOD: Duration = Duration::from_secs(5);
/// Less than this is not worth a timer.
const SHORTEST: Duration = Duration::from_millis(2);
/// A packet that is later than this is as good as lost.
const LONGEST: Duration = Duration::from_millis(50);

/// How much a stream reorders.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reordering {
    /// When the present period began.
    since: Option<Instant>,
    present: Duration,
    before: Duration,
}

impl Reordering {
    /// Notes that a missing packet came by itself, so long after its gap was seen.
    pub(crate) fn observe(&mut self, now: Instant, late: Duration) {
        match self.since.map(|since| now.saturating_duration_since(since)) {
            Some(elapsed) if elapsed < PERIOD => {}
            Some(elapsed) if elapsed < 2 * PERIOD => {
                self.before = std::mem::take(&mut self.present);
                self.since = Some(now);
            }
            _ => *self = Self { since: Some(now), ..Self::default() },
        }
        self.present = self.present.max(late);
    }

    /// How long to wait for a missing packet before it is asked for; zero where packets keep their order.
    pub(crate) fn patience(&self, now: Instant, rtt: Duration) -> Duration {
        let longest = match self.since.map(|since| now.saturating_duration_since(since)) {
            Some(elapsed) if elapsed < PERIOD => self.present.max(self.before),
            Some(elapsed) if elapsed < 2 * PERIOD => self.present,
            _ => return Duration::ZERO,
        };
        (longest + longest / 4).max(SHORTEST).min(LONGEST).min(rtt / 2)
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
    fn a_stream_in_order_is_asked_at_once() {
        assert_eq!(Reordering::default().patience(Instant::now(), RTT), Duration::ZERO);
    }

    #[test]
    fn the_longest_delay_counts_with_a_margin_and_is_forgotten() {
        let (mut reordering, start) = (Reordering::default(), Instant::now());
        reordering.observe(start, ms(12));
        reordering.observe(start + ms(100), ms(4));
        assert_eq!(reordering.patience(start + ms(100), RTT), ms(15));
        reordering.observe(start + PERIOD, ms(4));
        assert_eq!(reordering.patience(start + PERIOD, RTT), ms(15), "of the period before");
        reordering.observe(start + 2 * PERIOD, ms(4));
        assert_eq!(reordering.patience(start + 2 * PERIOD, RTT), ms(5));
        assert_eq!(reordering.patience(start + 4 * PERIOD, RTT), Duration::ZERO);
    }

    #[test]
    fn a_short_path_is_not_waited_for_longer_than_half_a_round_trip() {
        let (mut reordering, start) = (Reordering::default(), Instant::now());
        reordering.observe(start, ms(30));
        assert_eq!(reordering.patience(start, ms(10)), ms(5));
        reordering.observe(start, ms(700));
        assert_eq!(reordering.patience(start, ms(400)), LONGEST);
    }

    proptest! {
        #[test]
        fn patience_is_bounded_whatever_is_observed(
            steps in prop::collection::vec((0u64..4_000, 0u64..10_000), 1..40), rtt in 0u64..3_000,
        ) {
            let (mut reordering, mut now) = (Reordering::default(), Instant::now());
            for (wait, late) in steps {
                now += ms(wait);
                reordering.observe(now, ms(late));
                let patience = reordering.patience(now, ms(rtt));
                prop_assert!(patience <= LONGEST && patience <= ms(rtt) / 2);
                prop_assert!(patience >= SHORTEST.min(ms(rtt) / 2));
                prop_assert_eq!(reordering.patience(now + 2 * PERIOD, ms(rtt)), Duration::ZERO);
            }
        }
    }
}

//! How much of what a receiver is sent arrives, in bytes a second, by its transport-wide feedback.
//!
//! Feedback counts packets. Their bytes follow from the mean size of what was sent, so that nothing has to be remembered
//! for each packet.

use std::time::{Duration, Instant};

/// Feedback that is measured together.
const WINDOW: Duration = Duration::from_millis(500);
/// After so long without feedback, nothing is known to arrive.
const SILENCE: Duration = Duration::from_secs(3);
/// What a packet has beside its payload: RTP header with extensions, and the tag of SRTP.
pub(crate) const OVERHEAD: usize = 56;

/// What was sent to a receiver in all: packets and payload bytes, modulo 2³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// Bytes a second that arrive at one receiver.
#[derive(Debug, Default)]
pub(crate) struct DeliveryRate {
    window: Option<Window>,
    rate: Option<u64>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    last: Instant,
    arrived: u64,
    sent: Sent,
}

impl DeliveryRate {
    /// Takes the number of packets that a feedback says have arrived; `sent` gives the totals at this moment.
    pub(crate) fn on_feedback(&mut self, now: Instant, arrived: u64, sent: impl FnOnce() -> Sent) {
        let Some(window) = &mut self.window else {
            // What the first one covers was sent before anything was measured.
            self.window = Some(Window { since: now, last: now, arrived: 0, sent: sent() });
            return;
        };
        window.last = now;
        window.arrived = window.arrived.saturating_add(arrived);
        let elapsed = now.saturating_duration_since(window.since);
        if elapsed < WINDOW {
            return;
        }
        let sent = sent();
        let packets = u64::from(sent.packets.wrapping_sub(window.sent.packets));
        let octets = u64::from(sent.octets.wrapping_sub(window.sent.octets));
        let size = octets.checked_div(packets).unwrap_or(0) + OVERHEAD as u64;
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
        let sample = window.arrived.saturating_mul(size).saturating_mul(1_000_000) / micros;
        self.rate = Some(self.rate.map_or(sample, |rate| rate.midpoint(sample)));
        *window = Window { since: now, last: now, arrived: 0, sent };
    }

    /// The rate; `None` before anything is known.
    pub(crate) fn bytes_per_second(&self, now: Instant) -> Option<u64> {
        let silent = |window: &Window| now.saturating_duration_since(window.last) >= SILENCE;
        if self.window.as_ref().is_some_and(silent) { Some(0) } else { self.rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A feedback every 100 ms on `arrived` of 100 packets of 944 bytes each.
    fn feed(delivery: &mut DeliveryRate, start: Instant, feedbacks: u32, arrived: u64) -> Instant {
        for number in 0..feedbacks {
            let packets = number.wrapping_mul(100);
            let sent = Sent { packets, octets: packets.wrapping_mul(944) };
            delivery.on_feedback(start + number * Duration::from_millis(100), arrived, || sent);
        }
        start + feedbacks * Duration::from_millis(100)
    }

    #[test]
    fn nothing_is_known_before_half_a_second_of_feedback() {
        let (mut delivery, start) = (DeliveryRate::default(), Instant::now());
        let now = feed(&mut delivery, start, 5, 100);
        assert_eq!(delivery.bytes_per_second(now), None);
    }

    #[test]
    fn what_arrives_counts_and_not_what_is_sent() {
        for arrived in [100, 50, 0] {
            let (mut delivery, start) = (DeliveryRate::default(), Instant::now());
            let now = feed(&mut delivery, start, 60, arrived);
            assert_eq!(delivery.bytes_per_second(now), Some(arrived * 10 * 1_000));
        }
    }

    #[test]
    fn a_receiver_that_falls_silent_gets_nothing_any_more() {
        let (mut delivery, start) = (DeliveryRate::default(), Instant::now());
        let now = feed(&mut delivery, start, 60, 100);
        assert_eq!(delivery.bytes_per_second(now + SILENCE), Some(0));
    }

    #[test]
    fn absurd_numbers_are_only_numbers() {
        let (mut delivery, start) = (DeliveryRate::default(), Instant::now());
        for number in 0..20 {
            delivery.on_feedback(start + number * WINDOW, u64::MAX, || Sent { packets: 1, octets: u32::MAX });
        }
        assert!(delivery.bytes_per_second(start).is_some());
    }
}

//! The bitrate that arrives at a receiver, from its transport-wide feedback.
//!
//! Feedback counts packets. Their size is taken as the mean size of the packets sent, so that no record of each packet
//! has to be kept.

use crate::units::{Bitrate, DataSize};
use std::time::{Duration, Instant};

/// Shortest interval over which a rate is measured.
const WINDOW: Duration = Duration::from_millis(500);
/// After this long without feedback, nothing is assumed to arrive.
const SILENCE: Duration = Duration::from_secs(3);
/// Size of a packet without its payload: RTP header with extensions, and the SRTP tag.
pub(crate) const PACKET_OVERHEAD: DataSize = DataSize::from_bytes(56);

/// Totals sent to a receiver: packets and payload bytes, modulo 2³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

impl Sent {
    /// Counts a packet with a payload of `octets` bytes.
    pub(crate) fn count(&mut self, octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add((octets & 0xffff_ffff) as u32);
    }

    /// Mean size of the packets sent since `before`, on the wire.
    fn mean_size_since(self, before: Self) -> DataSize {
        let packets = u64::from(self.packets.wrapping_sub(before.packets));
        let octets = u64::from(self.octets.wrapping_sub(before.octets));
        DataSize::from_bytes(octets.checked_div(packets).unwrap_or(0)) + PACKET_OVERHEAD
    }
}

/// Estimates the bitrate that arrives at one receiver.
#[derive(Debug, Default)]
pub(crate) struct DeliveryRate {
    window: Option<Window>,
    rate: Option<Bitrate>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    last: Instant,
    arrived: u64,
    /// Totals when the window began.
    sent: Sent,
}

impl DeliveryRate {
    /// Handles feedback that reports `arrived` packets; `sent` is the totals so far.
    pub(crate) fn on_feedback(&mut self, now: Instant, arrived: u64, sent: Sent) {
        let Some(window) = &mut self.window else {
            // The first feedback covers packets that were sent before the measurement began.
            self.window = Some(Window { since: now, last: now, arrived: 0, sent });
            return;
        };
        window.last = now;
        window.arrived = window.arrived.saturating_add(arrived);
        let elapsed = now.saturating_duration_since(window.since);
        if elapsed < WINDOW {
            return;
        }
        let sample = sent.mean_size_since(window.sent) * window.arrived / elapsed;
        self.rate = Some(self.rate.map_or(sample, |rate| rate.midpoint(sample)));
        *window = Window { since: now, last: now, arrived: 0, sent };
    }

    /// The estimate; `None` before the first window has ended.
    pub(crate) fn bitrate(&self, now: Instant) -> Option<Bitrate> {
        let silent = |window: &Window| now.saturating_duration_since(window.last) >= SILENCE;
        if self.window.as_ref().is_some_and(silent) { Some(Bitrate::ZERO) } else { self.rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feedback every 100 ms that reports `arrived` of 100 packets of 944 bytes of payload each.
    fn feed(delivery: &mut DeliveryRate, start: Instant, feedbacks: u32, arrived: u64) -> Instant {
        for number in 0..feedbacks {
            let packets = number.wrapping_mul(100);
            let sent = Sent { packets, octets: packets.wrapping_mul(944) };
            delivery.on_feedback(start + number * Duration::from_millis(100), arrived, sent);
        }
        start + feedbacks * Duration::from_millis(100)
    }

    #[test]
    fn delivery_rate_is_unknown_for_the_first_window() {
        let (mut delivery, start) = (DeliveryRate::default(), Instant::now());
        let now = feed(&mut delivery, start, 5, 100);
        assert_eq!(delivery.bitrate(now), None);
    }

    #[test]
    fn delivery_rate_counts_arrivals_only() {
        for arrived in [100, 50, 0] {
            let (mut delivery, start) = (DeliveryRate::default(), Instant::now());
            let now = feed(&mut delivery, start, 60, arrived);
            assert_eq!(delivery.bitrate(now), Some(Bitrate::from_bps(arrived * 10 * 1_000 * 8)));
        }
    }

    #[test]
    fn delivery_rate_is_zero_after_silence() {
        let (mut delivery, start) = (DeliveryRate::default(), Instant::now());
        let now = feed(&mut delivery, start, 60, 100);
        assert_eq!(delivery.bitrate(now + SILENCE), Some(Bitrate::ZERO));
    }

    #[test]
    fn delivery_rate_saturates() {
        let (mut delivery, start) = (DeliveryRate::default(), Instant::now());
        for number in 0..20 {
            delivery.on_feedback(start + number * WINDOW, u64::MAX, Sent { packets: 1, octets: u32::MAX });
        }
        assert!(delivery.bitrate(start).is_some());
    }
}

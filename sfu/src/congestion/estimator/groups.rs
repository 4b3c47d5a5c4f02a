//! Packets that left together are one sample of the path's delay (draft-ietf-rmcat-gcc-02 section 5.2).
//!
//! A frame leaves as a burst, and the bottleneck spreads it out. The delay between packets of one burst says only how fast
//! the bottleneck is; the delay between bursts says whether its queue grows.

use super::packet::{Transit, millis};

/// Packets sent within this time are one group.
const SENT_WITHIN: i64 = 5_000;
/// A packet that arrives within this time after the last one, and has caught up with it, was held up with it: it belongs to
/// the same group, whenever it was sent. Wireless links deliver in such bursts.
const ARRIVED_WITHIN: i64 = 5_000;
/// Longest burst of arrivals in one group.
const LONGEST_BURST: i64 = 100_000;

/// How much further apart two groups arrived than they were sent, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Deltas {
    /// Time between the departures of the last packets of the two groups.
    pub(super) sent: f64,
    /// Time between their arrivals.
    pub(super) received: f64,
    /// When the later group had arrived, in microseconds of the receiver's clock.
    pub(super) at: i64,
    /// Delay of the later group, in microseconds.
    pub(super) delay: i64,
}

impl Deltas {
    /// How much longer the delay of the later group is, in microseconds.
    pub(super) fn longer(&self) -> i64 {
        #[allow(clippy::cast_possible_truncation, reason = "saturates")]
        let micros = ((self.received - self.sent) * 1e3) as i64;
        micros
    }
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first: Transit,
    last: Transit,
}

impl Group {
    fn admits(&self, packet: Transit) -> bool {
        packet.sent <= self.first.sent + SENT_WITHIN || self.has_caught_up(packet)
    }

    fn has_caught_up(&self, packet: Transit) -> bool {
        let since_last = packet.received - self.last.received;
        since_last <= ARRIVED_WITHIN
            && since_last < packet.sent - self.last.sent
            && packet.received - self.first.received < LONGEST_BURST
    }
}

/// Sorts packets into groups, in the order of their departures.
#[derive(Debug, Default)]
pub(super) struct Groups {
    current: Option<Group>,
    previous: Option<Group>,
}

impl Groups {
    /// Adds a packet. Returns a sample if the packet begins a group, so that the one before is complete.
    pub(super) fn add(&mut self, packet: Transit) -> Option<Deltas> {
        let begun = Group { first: packet, last: packet };
        let Some(group) = &mut self.current else {
            self.current = Some(begun);
            return None;
        };
        if packet.sent < group.first.sent {
            // Reordered: its group is complete.
            return None;
        }
        if group.admits(packet) {
            group.last.sent = group.last.sent.max(packet.sent);
            group.last.received = group.last.received.max(packet.received);
            return None;
        }
        let complete = std::mem::replace(group, begun);
        let previous = self.previous.replace(complete)?;
        Some(Deltas {
            sent: millis(complete.last.sent - previous.last.sent),
            received: millis(complete.last.received - previous.last.received),
            at: complete.last.received,
            delay: complete.last.delay(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sent: i64, received: i64) -> Transit {
        Transit { sent, received }
    }

    #[test]
    fn groups_are_compared_by_their_last_packets() {
        let mut groups = Groups::default();
        // Three frames of three packets each, every 30 ms; the bottleneck takes 2 ms for a packet.
        let frames = (0..3).flat_map(|frame| (0..3).map(move |number| (frame * 30_000, number)));
        let packets = frames.map(|(at, number)| packet(at + number * 100, at + 50_000 + number * 2_000));
        let deltas: Vec<_> = packets.filter_map(|packet| groups.add(packet)).collect();
        assert_eq!(deltas, [Deltas { sent: 30.0, received: 30.0, at: 84_000, delay: 53_800 }]);
    }

    #[test]
    fn groups_join_packets_that_catch_up() {
        let mut groups = Groups::default();
        // Sent every 20 ms, and delivered together after a stall.
        for number in 0..4 {
            assert_eq!(groups.add(packet(number * 20_000, 100_000 + number * 100)), None);
        }
        assert_eq!(groups.add(packet(80_000, 120_000)), None, "the first group has none before it");
        assert!(groups.add(packet(100_000, 140_000)).is_some());
    }

    #[test]
    fn groups_ignore_reordered_packets() {
        let mut groups = Groups::default();
        for number in 1..4 {
            groups.add(packet(number * 20_000, number * 20_000));
        }
        assert_eq!(groups.add(packet(0, 70_000)), None);
        assert_eq!(groups.current.map(|group| group.last), Some(packet(60_000, 60_000)));
    }
}

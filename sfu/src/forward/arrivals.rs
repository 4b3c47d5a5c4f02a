//! Remembers when a client's packets arrived, and tells it in transport-wide feedback, from which it estimates its
//! uplink.

use crate::{
    ids::Ssrc,
    wire::{
        rtcp::twcc::{self, Arrival},
        seq::{SeqNum, Unwrapper},
    },
};
use std::time::Duration;

/// How often feedback is sent. Browsers' estimators expect 50 to 250 ms.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);
/// Most arrivals kept for one interval: a gigabit of full packets. What comes beyond is reported as lost.
const MOST: usize = 10_000;

/// Arrivals on one transport since the last feedback.
#[derive(Debug, Default)]
pub(crate) struct ArrivalLog {
    numbers: Unwrapper,
    arrivals: Vec<Arrival>,
    /// First number that no feedback has covered.
    base: Option<u64>,
    count: u8,
}

impl ArrivalLog {
    /// Notes an arrival; time in µs on the room's clock.
    pub(crate) fn record(&mut self, transport_seq: u16, micros: u64) {
        if self.arrivals.len() < MOST {
            let seq = self.numbers.peek(SeqNum(transport_seq));
            self.numbers.accept(seq);
            self.arrivals.push(Arrival { seq, micros });
        }
    }

    /// Whether there is something to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// Writes everything as feedback packets, one after another into `buffer`, and hands each to `send`.
    pub(crate) fn flush(&mut self, sender: Ssrc, media: Ssrc, buffer: &mut Vec<u8>, mut send: impl FnMut(&[u8])) {
        // By number, then by time: of a number that came twice, the first arrival stays.
        self.arrivals.sort_unstable();
        self.arrivals.dedup_by_key(|arrival| arrival.seq);
        let mut left = self.arrivals.as_slice();
        while let Some(first) = left.first() {
            // A late packet is reported again from its number on.
            let base = self.base.map_or(first.seq, |base| base.min(first.seq));
            buffer.clear();
            let Some(next) = twcc::write(buffer, sender, media, self.count, base, left) else { break };
            send(buffer);
            self.count = self.count.wrapping_add(1);
            self.base = Some(next);
            left = left.get(left.partition_point(|arrival| arrival.seq < next)..).unwrap_or_default();
        }
        self.arrivals.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::{Rtcp, parse};

    fn flush(log: &mut ArrivalLog) -> Vec<(u16, bool)> {
        let mut packets = Vec::new();
        log.flush(Ssrc(1), Ssrc(2), &mut Vec::new(), |packet| {
            let Some(Rtcp::Twcc(feedback)) = parse(packet).next() else { panic!("no feedback") };
            packets.extend(feedback.packets());
        });
        packets
    }

    #[test]
    fn packets_missing_between_two_feedbacks_are_told_as_lost() {
        let mut log = ArrivalLog::default();
        log.record(65_534, 1_000);
        log.record(65_535, 2_000);
        assert_eq!(flush(&mut log), [(65_534, true), (65_535, true)]);
        assert!(log.is_empty());
        log.record(2, 4_000);
        log.record(1, 4_100);
        assert_eq!(flush(&mut log), [(0, false), (1, true), (2, true)]);
    }

    #[test]
    fn a_late_packet_is_told_in_the_next_feedback() {
        let mut log = ArrivalLog::default();
        log.record(10, 1_000);
        log.record(12, 2_000);
        assert_eq!(flush(&mut log), [(10, true), (11, false), (12, true)]);
        log.record(11, 3_000);
        log.record(13, 3_000);
        assert_eq!(flush(&mut log), [(11, true), (12, false), (13, true)]);
    }

    #[test]
    fn a_long_interval_takes_several_feedbacks() {
        let mut log = ArrivalLog::default();
        for seq in 0..1_000u16 {
            log.record(seq, u64::from(seq) * 700);
        }
        assert_eq!(flush(&mut log).len(), 1_000);
    }
}

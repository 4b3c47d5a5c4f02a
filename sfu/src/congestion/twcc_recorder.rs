//! Records when a client's packets arrive and writes transport-wide feedback about them, from which the client estimates
//! its uplink (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use crate::{
    ids::Ssrc,
    wire::{
        rtcp::twcc::{self, Arrival},
        seq::{SeqNum, Unwrapper},
    },
};
use std::time::{Duration, Instant};

/// Interval between feedback packets. Estimators of browsers expect 50 to 250 ms.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of arrivals kept for one interval: a gigabit a second of full packets. Those beyond it are reported as
/// lost.
const MAX_ARRIVALS: usize = 10_000;

/// Arrivals on one transport since the last feedback.
#[derive(Debug, Default)]
pub(crate) struct TwccRecorder {
    sequence: Unwrapper,
    /// Zero of the clock that the feedback's reference times use.
    epoch: Option<Instant>,
    arrivals: Vec<Arrival>,
    /// Arrivals, sorted by number, that feedback of this interval has covered.
    covered: usize,
    /// First number that no feedback has covered.
    base: Option<u64>,
    /// Feedback packet count, modulo 256.
    count: u8,
}

impl TwccRecorder {
    /// Records the arrival of a packet with a transport-wide sequence number.
    pub(crate) fn record(&mut self, now: Instant, transport_seq: u16) {
        if self.arrivals.len() < MAX_ARRIVALS {
            let since_epoch = now.saturating_duration_since(*self.epoch.get_or_insert(now));
            let micros = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
            let seq = self.sequence.peek(SeqNum(transport_seq));
            self.sequence.accept(seq);
            self.arrivals.push(Arrival { seq, micros });
        }
    }

    /// Writes the next feedback packet into `buffer`; `false` once every arrival is reported.
    pub(crate) fn write_feedback(&mut self, sender: Ssrc, media: Ssrc, buffer: &mut Vec<u8>) -> bool {
        if self.covered == 0 {
            // By number, then by time: of a duplicate, the first arrival remains.
            self.arrivals.sort_unstable();
            self.arrivals.dedup_by_key(|arrival| arrival.seq);
        }
        buffer.clear();
        let written = self.arrivals.get(self.covered..).filter(|left| !left.is_empty()).and_then(|left| {
            let first = left.first()?.seq;
            // A late packet is reported again, from its number on.
            let base = self.base.map_or(first, |base| base.min(first));
            let next = twcc::write(buffer, sender, media, self.count, base, left)?;
            Some((next, left.partition_point(|arrival| arrival.seq < next)))
        });
        let Some((next, covered)) = written else {
            self.arrivals.clear();
            self.covered = 0;
            return false;
        };
        self.count = self.count.wrapping_add(1);
        self.base = Some(next);
        self.covered += covered;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::{Rtcp, parse};

    struct Recorder {
        recorder: TwccRecorder,
        start: Instant,
    }

    impl Recorder {
        fn new() -> Self {
            Self { recorder: TwccRecorder::default(), start: Instant::now() }
        }

        fn record(&mut self, seq: u16, micros: u64) {
            self.recorder.record(self.start + Duration::from_micros(micros), seq);
        }

        /// All feedback of an interval: the number of each covered packet, and whether it arrived.
        fn report(&mut self) -> Vec<(u16, bool)> {
            let (mut buffer, mut packets) = (Vec::new(), Vec::new());
            while self.recorder.write_feedback(Ssrc(1), Ssrc(2), &mut buffer) {
                let Some(Rtcp::Twcc(feedback)) = parse(&buffer).next() else { panic!("no feedback") };
                packets.extend(feedback.packets().map(|(seq, status)| (seq, status.has_arrived())));
            }
            assert!(self.recorder.arrivals.is_empty());
            packets
        }
    }

    #[test]
    fn packets_missing_between_two_feedbacks_are_reported_lost() {
        let mut client = Recorder::new();
        client.record(65_534, 1_000);
        client.record(65_535, 2_000);
        assert_eq!(client.report(), [(65_534, true), (65_535, true)]);
        client.record(2, 4_000);
        client.record(1, 4_100);
        assert_eq!(client.report(), [(0, false), (1, true), (2, true)]);
    }

    #[test]
    fn late_packet_is_reported_in_the_next_feedback() {
        let mut client = Recorder::new();
        client.record(10, 1_000);
        client.record(12, 2_000);
        assert_eq!(client.report(), [(10, true), (11, false), (12, true)]);
        client.record(11, 3_000);
        client.record(13, 3_000);
        assert_eq!(client.report(), [(11, true), (12, false), (13, true)]);
    }

    #[test]
    fn long_interval_takes_several_feedbacks() {
        let mut client = Recorder::new();
        for seq in 0..1_000u16 {
            client.record(seq, u64::from(seq) * 700);
        }
        assert_eq!(client.report().len(), 1_000);
    }
}

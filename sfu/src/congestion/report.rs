//! What a client reports of the packets sent to it, in whichever format.
//!
//! Both formats have times of the client's clock, modulo some hours or days, and [`ReceiverClock`] unwraps them. A report
//! by transport-wide numbers (TWCC) means packets of all streams; one by streams (RFC 8888) has RTP numbers.

use crate::{
    ids::Ssrc,
    wire::{
        rtcp::{
            ccfb::CcfbFeedback,
            twcc::{Status, TwccFeedback},
        },
        seq::SeqNum,
    },
};

/// A report, as parsed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Report<'a> {
    Twcc(TwccFeedback<'a>),
    Ccfb(CcfbFeedback<'a>),
}

/// By what a report names a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketName {
    Transport(SeqNum),
    Stream(Ssrc, SeqNum),
}

/// Whether and when a packet arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Missing,
    /// In µs of the client's clock, unwrapped.
    At(u64),
    /// The report has no time.
    Untimed,
}

impl Report<'_> {
    /// Calls `visit` with each packet that the report covers, in its order.
    pub(crate) fn visit(&self, clock: &mut ReceiverClock, mut visit: impl FnMut(PacketName, Arrival)) {
        match self {
            Self::Twcc(feedback) => {
                let reference = clock.reference.unwrap(feedback.reference) * TWCC_REFERENCE;
                for (seq, status) in feedback.packets() {
                    let arrival = match status {
                        Status::Missing => Arrival::Missing,
                        Status::Arrived(micros) => Arrival::At(reference.saturating_add_signed(micros)),
                        Status::ArrivedUntimed => Arrival::Untimed,
                    };
                    visit(PacketName::Transport(SeqNum(seq)), arrival);
                }
            }
            Self::Ccfb(feedback) => {
                let made = clock.timestamp.unwrap(feedback.timestamp) * 15_625 / 1_024;
                for packet in feedback.packets() {
                    let arrival = match packet.reception.map(|reception| reception.age) {
                        None => Arrival::Missing,
                        Some(Some(age)) => Arrival::At(made.saturating_sub(u64::from(age) * 15_625 / 16)),
                        Some(None) => Arrival::Untimed,
                    };
                    visit(PacketName::Stream(packet.ssrc, SeqNum(packet.seq)), arrival);
                }
            }
        }
    }
}

/// Unit of the reference time of TWCC, in µs.
const TWCC_REFERENCE: u64 = 64_000;

/// Unwraps the clocks of a client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReceiverClock {
    /// Reference times of TWCC.
    reference: Counter<24>,
    /// Timestamps of RFC 8888.
    timestamp: Counter<32>,
}

/// Unwraps a counter of some bits: each value to the candidate nearest to the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Counter<const BITS: u32> {
    last: Option<u64>,
}

impl<const BITS: u32> Counter<BITS> {
    /// The first value is in cycle 1, so that one from before it has a place.
    fn unwrap(&mut self, value: u32) -> u64 {
        let (value, cycle) = (u64::from(value), 1 << BITS);
        let last = self.last.unwrap_or(cycle | value);
        let ahead = value.wrapping_sub(last) & (cycle - 1);
        let near = if ahead < cycle / 2 { last + ahead } else { (last + ahead).saturating_sub(cycle) };
        self.last = Some(near);
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::{Rtcp, ccfb, parse, twcc};

    fn visited(packet: &[u8], clock: &mut ReceiverClock) -> Vec<(PacketName, Arrival)> {
        let report = match parse(packet).next() {
            Some(Rtcp::Twcc(feedback)) => Report::Twcc(feedback),
            Some(Rtcp::Ccfb(feedback)) => Report::Ccfb(feedback),
            other => panic!("{other:?}"),
        };
        let mut packets = Vec::new();
        report.visit(clock, |name, arrival| packets.push((name, arrival)));
        packets
    }

    /// Twelve days of TWCC: its reference times wrap around.
    #[test]
    fn times_of_twcc_go_on_when_they_wrap_around() {
        let (mut clock, mut times) = (ReceiverClock::default(), Vec::new());
        let wrap = 64_000 << 24;
        let ms = 1_000;
        for micros in [wrap - 3 * ms, wrap + 5 * ms, wrap - ms, 2 * wrap - ms, 2 * wrap + ms] {
            let mut packet = Vec::new();
            twcc::write(&mut packet, Ssrc(1), Ssrc(2), 0, 7, &[twcc::Arrival { seq: 7, micros }]).unwrap();
            times.extend(visited(&packet, &mut clock));
            // Half a cycle at most lies between two reports.
            if micros == wrap - ms {
                for half in [wrap + wrap / 3, wrap + 2 * wrap / 3] {
                    let mut packet = Vec::new();
                    twcc::write(&mut packet, Ssrc(1), Ssrc(2), 0, 7, &[twcc::Arrival { seq: 7, micros: half }])
                        .unwrap();
                    visited(&packet, &mut clock);
                }
            }
        }
        let times: Vec<_> = times
            .into_iter()
            .map(|(name, arrival)| match (name, arrival) {
                (PacketName::Transport(SeqNum(7)), Arrival::At(micros)) => micros,
                other => panic!("{other:?}"),
            })
            .collect();
        let since = |micros: u64| micros - times[0];
        assert_eq!(
            times[1..].iter().map(|at| since(*at)).collect::<Vec<_>>(),
            [8 * ms, 2 * ms, wrap + 2 * ms, wrap + 4 * ms]
        );
    }

    #[test]
    fn streams_are_named_by_ssrc() {
        let mut clock = ReceiverClock::default();
        let reception = |age| Some(ccfb::Reception { ecn: 0, age });
        let mut report = |timestamp| {
            let packets = [reception(Some(1_024)), None, reception(None), reception(Some(0))];
            let mut packet = Vec::new();
            let stream = ccfb::StreamReport { ssrc: Ssrc(9), base: 65_534, packets: &packets };
            ccfb::write(&mut packet, Ssrc(1), timestamp, &[stream]);
            visited(&packet, &mut clock)
        };
        let first = report(u32::MAX - 65_535);
        let (Arrival::At(early), Arrival::At(late)) = (first[0].1, first[3].1) else { panic!("{first:?}") };
        assert_eq!(late - early, 1_000_000);
        assert_eq!((first[1].1, first[2].1), (Arrival::Missing, Arrival::Untimed));
        let names = [65_534, 65_535, 0, 1].map(|seq| PacketName::Stream(Ssrc(9), SeqNum(seq)));
        assert_eq!(first.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
        let second = report(65_536);
        assert_eq!(second[3].1, Arrival::At(late + 2_000_000), "its clock has wrapped around");
    }

    #[test]
    fn counter_goes_back_and_forth() {
        let mut counter = Counter::<24>::default();
        let first = counter.unwrap(5);
        assert_eq!(counter.unwrap(0xff_ffff) + 6, first);
        assert_eq!(counter.unwrap(6), first + 1);
        assert_eq!(counter.unwrap(6), first + 1);
    }
}

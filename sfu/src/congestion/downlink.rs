//! The path from the server to one client.

use super::{
    delivery_rate::{DeliveryRate, PACKET_OVERHEAD, Sent},
    repair_budget::RepairBudget,
    report::{Arrival, PacketName, ReceiverClock, Report},
    rtt::Rtt,
    send_history::{self, Lookup, SendHistory, SentPacket},
};
use crate::{units::DataSize, wire::seq::low};
use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

/// Headers of IPv4 and UDP, and the tag of SRTP.
const DATAGRAM_OVERHEAD: DataSize = DataSize::from_bytes(20 + 8 + 16);

/// The size on the wire of a packet of `len` clear bytes.
pub(crate) fn wire_size(len: usize) -> DataSize {
    DataSize::from_len(len) + DATAGRAM_OVERHEAD
}

/// Packets that feedback covers. One that was reported before is not counted again, unless it has arrived since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Packets that arrived.
    pub arrived: u64,
    /// Packets that did not arrive, or not before the feedback was sent.
    pub missing: u64,
    /// Packets that were never sent.
    pub unknown: u64,
    /// Packets sent too long ago to be known: more was under way than the history has room for.
    pub overrun: u64,
}

impl AddAssign for DeliveryReport {
    fn add_assign(&mut self, other: Self) {
        self.arrived = self.arrived.saturating_add(other.arrived);
        self.missing = self.missing.saturating_add(other.missing);
        self.unknown = self.unknown.saturating_add(other.unknown);
        self.overrun = self.overrun.saturating_add(other.overrun);
    }
}

/// State of one downlink. It belongs to a transport.
#[derive(Debug, Default)]
pub struct Downlink {
    pub(crate) rtt: Rtt,
    /// Packets that have a transport-wide number.
    numbered: u64,
    /// Media, without retransmissions.
    sent: Sent,
    delivery: DeliveryRate,
    repair_budget: RepairBudget,
    reported: DeliveryReport,
    clock: ReceiverClock,
    /// From the first feedback on: a client that sends none costs nothing.
    history: Option<Box<SendHistory>>,
}

impl Downlink {
    /// The sum of all feedback.
    #[must_use]
    pub fn reported(&self) -> DeliveryReport {
        self.reported
    }

    /// A media packet with a payload of `payload` bytes, of `size` on the wire, leaves now. Returns its transport-wide
    /// sequence number.
    #[inline]
    pub(crate) fn on_media(&mut self, now: Instant, payload: usize, size: DataSize) -> u16 {
        self.sent.count(payload);
        self.on_packet(now, size)
    }

    /// A packet of `size` on the wire leaves now. Returns its transport-wide sequence number.
    #[inline]
    pub(crate) fn on_packet(&mut self, now: Instant, size: DataSize) -> u16 {
        let number = self.next_number();
        self.numbered += 1;
        if let Some(history) = &mut self.history {
            history.record(now, size, 0);
        }
        low(number)
    }

    /// The extended number of the next packet.
    fn next_number(&self) -> u64 {
        send_history::FIRST + self.numbered
    }

    /// Whether a retransmission of `payload` bytes is within the repair budget; it counts as sent.
    pub(crate) fn admits_repair(&mut self, now: Instant, payload: usize) -> bool {
        let size = DataSize::from_len(payload) + PACKET_OVERHEAD;
        self.repair_budget.spend(now, self.delivery.bitrate(now), size)
    }

    /// Handles feedback of the client. Returns what it reports.
    pub(crate) fn on_feedback(&mut self, now: Instant, report: &Report<'_>) -> DeliveryReport {
        let mut counted = DeliveryReport::default();
        if let Some(history) = &mut self.history {
            let mut newest: Option<Instant> = None;
            report.visit(&mut self.clock, |name, arrival| {
                let has_arrived = arrival != Arrival::Missing;
                let lookup = match name {
                    PacketName::Transport(seq) => history.report(seq, has_arrived),
                    // No answer accepts this form of feedback.
                    PacketName::Stream(..) => Lookup::Unknown,
                };
                match lookup {
                    Lookup::Sent(SentPacket { sent, .. }) => {
                        counted.arrived += u64::from(has_arrived);
                        counted.missing += u64::from(!has_arrived);
                        newest = newest.max(has_arrived.then_some(sent));
                    }
                    Lookup::Settled => {}
                    Lookup::Overrun => counted.overrun += 1,
                    Lookup::Unknown => counted.unknown += 1,
                }
            });
            history.on_feedback(now);
            if let Some(sent) = newest {
                self.rtt.sample(now.saturating_duration_since(sent));
            }
        } else {
            // What the first feedback is about was sent before anything was recorded.
            self.history = Some(Box::new(SendHistory::new(now, self.next_number())));
        }
        self.reported += counted;
        self.delivery.on_feedback(now, counted.arrived, self.sent);
        counted
    }

    /// Handles a round trip that a receiver report tells. Feedback tells more of them.
    pub(crate) fn on_round_trip(&mut self, sample: Duration) {
        if self.history.is_none() {
            self.rtt.sample(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::Ssrc,
        wire::rtcp::{
            self, Rtcp, ccfb,
            twcc::{self, Arrival},
        },
    };

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn transport_seq_is_shared_by_media_and_retransmissions() {
        let (now, size) = (Instant::now(), wire_size(100));
        let mut downlink = Downlink { numbered: u16::MAX.into(), ..Downlink::default() };
        let numbers =
            [downlink.on_media(now, 100, size), downlink.on_packet(now, size), downlink.on_media(now, 100, size)];
        assert_eq!(numbers, [u16::MAX, 0, 1]);
        assert_eq!(downlink.sent, Sent { packets: 2, octets: 200 }, "media only");
    }

    /// Feedback of packets that arrived, and of those between them that did not.
    fn feed(downlink: &mut Downlink, now: Instant, arrived: impl IntoIterator<Item = u64>) -> DeliveryReport {
        let arrivals: Vec<_> = arrived.into_iter().map(|seq| Arrival { seq, micros: seq * 1_000 }).collect();
        let mut packet = Vec::new();
        twcc::write(&mut packet, Ssrc(1), Ssrc(2), 0, arrivals[0].seq, &arrivals).unwrap();
        let Some(Rtcp::Twcc(feedback)) = rtcp::parse(&packet).next() else { panic!("no feedback") };
        downlink.on_feedback(now, &Report::Twcc(feedback))
    }

    /// A downlink with the first feedback behind it, and the number of its next packet.
    fn downlink(now: Instant) -> (Downlink, u64) {
        let mut downlink = Downlink::default();
        downlink.on_media(now, 100, wire_size(100));
        assert_eq!(feed(&mut downlink, now, [0]), DeliveryReport::default());
        (downlink, 1)
    }

    #[test]
    fn feedback_is_counted_once() {
        let start = Instant::now();
        let (mut downlink, first) = downlink(start);
        for n in 0..10 {
            downlink.on_media(start + n * MS, 100, wire_size(100));
        }
        let numbers = || (first..first + 10).filter(|seq| *seq != 4);
        let counted = DeliveryReport { arrived: 9, missing: 1, ..DeliveryReport::default() };
        assert_eq!(feed(&mut downlink, start + 59 * MS, numbers()), counted);
        assert_eq!(downlink.rtt.estimate(), 50 * MS, "of the newest packet");
        assert_eq!(feed(&mut downlink, start + 900 * MS, numbers()), DeliveryReport::default());
        assert_eq!(feed(&mut downlink, start + 900 * MS, [0]), DeliveryReport::default(), "of before");
        assert_eq!((downlink.reported(), downlink.rtt.estimate()), (counted, 50 * MS));
        let late = DeliveryReport { arrived: 1, ..DeliveryReport::default() };
        assert_eq!(feed(&mut downlink, start + 900 * MS, [4]), late);
    }

    #[test]
    fn feedback_of_what_was_not_sent_changes_nothing_but_a_counter() {
        let start = Instant::now();
        let (mut downlink, first) = downlink(start);
        downlink.on_media(start, 100, wire_size(100));
        let unknown = DeliveryReport { unknown: 101, ..DeliveryReport::default() };
        assert_eq!(feed(&mut downlink, start + MS, (first + 1..first + 102).step_by(2)), unknown);
        let mut packet = Vec::new();
        let reception = Some(ccfb::Reception { ecn: 0, age: Some(1) });
        let stream = ccfb::StreamReport { ssrc: Ssrc(9), base: 1, packets: &[reception; 3] };
        ccfb::write(&mut packet, Ssrc(1), 7, &[stream]);
        let Some(Rtcp::Ccfb(feedback)) = rtcp::parse(&packet).next() else { panic!("no feedback") };
        let counted = downlink.on_feedback(start + MS, &Report::Ccfb(feedback));
        assert_eq!(counted, DeliveryReport { unknown: 3, ..DeliveryReport::default() });
        assert_eq!(downlink.rtt.estimate(), Rtt::default().estimate());
    }

    /// All 65,535 numbers that one feedback can cover.
    #[test]
    fn feedback_of_a_whole_cycle_is_survived() {
        let start = Instant::now();
        let (mut downlink, _) = downlink(start);
        for n in 0..70_000 {
            downlink.on_packet(start + n * MS / 10, wire_size(100));
        }
        let mut packet = vec![0x8f, 205, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0x12, 0x34, 0xff, 0xff, 0, 0, 0, 0];
        packet.extend([0x7f, 0xff].repeat(8));
        packet.extend([0x60, 0x07, 0, 0]);
        let Some(Rtcp::Twcc(feedback)) = rtcp::parse(&packet).next() else { panic!("no feedback") };
        let counted = downlink.on_feedback(start + 7_000 * MS, &Report::Twcc(feedback));
        assert_eq!(counted.missing, 0);
        assert!(counted.arrived <= 4_096 && counted.unknown <= 32_768, "{counted:?}");
        assert_eq!(downlink.on_feedback(start + 7_001 * MS, &Report::Twcc(feedback)).arrived, 0);
    }
}

//! The path from the server to one client.

use super::{
    delivery_rate::{DeliveryRate, PACKET_OVERHEAD, Sent},
    repair_budget::RepairBudget,
    rtt::Rtt,
};
use crate::{units::DataSize, wire::rtcp::twcc::TwccFeedback};
use std::{ops::AddAssign, time::Instant};

/// Packets that transport-wide feedback covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Packets that arrived.
    pub arrived: u64,
    /// Packets that did not arrive, or not before the feedback was sent.
    pub missing: u64,
}

impl AddAssign for DeliveryReport {
    fn add_assign(&mut self, other: Self) {
        self.arrived = self.arrived.saturating_add(other.arrived);
        self.missing = self.missing.saturating_add(other.missing);
    }
}

/// State of one downlink. It belongs to a transport.
#[derive(Debug, Default)]
pub struct Downlink {
    pub(crate) rtt: Rtt,
    next_transport_seq: u16,
    /// Media, without retransmissions.
    sent: Sent,
    delivery: DeliveryRate,
    repair_budget: RepairBudget,
    reported: DeliveryReport,
}

impl Downlink {
    /// The sum of all transport-wide feedback.
    #[must_use]
    pub fn reported(&self) -> DeliveryReport {
        self.reported
    }

    /// Counts a media packet with a payload of `payload` bytes. Returns its transport-wide sequence number.
    pub(crate) fn on_media(&mut self, payload: usize) -> u16 {
        self.sent.count(payload);
        self.take_transport_seq()
    }

    /// Takes the next transport-wide sequence number.
    pub(crate) fn take_transport_seq(&mut self) -> u16 {
        let seq = self.next_transport_seq;
        self.next_transport_seq = seq.wrapping_add(1);
        seq
    }

    /// Whether a retransmission of `payload` bytes is within the repair budget; it counts as sent.
    pub(crate) fn admits_repair(&mut self, now: Instant, payload: usize) -> bool {
        let size = DataSize::from_len(payload) + PACKET_OVERHEAD;
        self.repair_budget.spend(now, self.delivery.bitrate(now), size)
    }

    /// Handles transport-wide feedback of the client. Returns what it reports.
    pub(crate) fn on_feedback(&mut self, now: Instant, feedback: &TwccFeedback<'_>) -> DeliveryReport {
        let mut report = DeliveryReport::default();
        for (_, status) in feedback.packets() {
            report.arrived += u64::from(status.has_arrived());
            report.missing += u64::from(!status.has_arrived());
        }
        self.reported += report;
        self.delivery.on_feedback(now, report.arrived, self.sent);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::Ssrc,
        wire::rtcp::{
            self, Rtcp,
            twcc::{self, Arrival},
        },
    };

    #[test]
    fn transport_seq_is_shared_by_media_and_retransmissions() {
        let mut downlink = Downlink { next_transport_seq: u16::MAX, ..Downlink::default() };
        assert_eq!([downlink.on_media(100), downlink.take_transport_seq(), downlink.on_media(100)], [u16::MAX, 0, 1]);
        assert_eq!(downlink.sent, Sent { packets: 2, octets: 200 }, "media only");
    }

    #[test]
    fn feedback_is_summed() {
        let (mut downlink, mut packet) = (Downlink::default(), Vec::new());
        let arrivals: Vec<_> =
            (0..10).filter(|seq| *seq != 3).map(|seq| Arrival { seq, micros: seq * 1_000 }).collect();
        twcc::write(&mut packet, Ssrc(1), Ssrc(2), 0, 0, &arrivals).unwrap();
        let Some(Rtcp::Twcc(feedback)) = rtcp::parse(&packet).next() else { panic!("no feedback") };
        let report = downlink.on_feedback(Instant::now(), &feedback);
        assert_eq!(report, DeliveryReport { arrived: 9, missing: 1 });
        downlink.on_feedback(Instant::now(), &feedback);
        assert_eq!(downlink.reported(), DeliveryReport { arrived: 18, missing: 2 });
    }
}

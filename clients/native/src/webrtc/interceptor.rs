//! Two interceptors that the crate lacks.

use crate::media::MediaEvent;
use rtc::{
    interceptor::{Attribute, Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::{
        self,
        payload_feedbacks::{full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication},
        receiver_report::ReceiverReport,
    },
    sansio::Protocol,
    shared::error::Error,
};
use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

/// Restores retransmissions (RFC 4588) to their stream before the NACK generator looks for missing packets.
///
/// The crate does so after the generator, which then keeps requesting packets that have arrived: 620 retransmissions
/// for 75 lost packets, 72 with this.
#[derive(Default)]
pub(super) struct RtxUnwrapper {
    /// Primary SSRC and payload type, by the SSRC of retransmissions.
    streams: HashMap<u32, (u32, u8)>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl RtxUnwrapper {
    /// Nearer to the wire than the NACK generator at 7,000.
    pub(super) const SLOT: usize = 6_500;

    /// Rewrites a retransmission. Returns `false` for one without payload, which is a bandwidth probe.
    fn unwrap(&self, packet: &mut rtc::rtp::Packet) -> bool {
        let Some((ssrc, payload_type)) = self.streams.get(&packet.header.ssrc) else { return true };
        let Some(original) = packet.payload.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes)) else {
            return false;
        };
        packet.header.ssrc = *ssrc;
        packet.header.payload_type = *payload_type;
        packet.header.sequence_number = original;
        packet.header.padding = false;
        packet.payload = packet.payload.slice(2..);
        true
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for RtxUnwrapper {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &mut message.message.packet
            && !self.unwrap(packet)
        {
            return Ok(());
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for RtxUnwrapper {
    fn bind_local_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if let Some(rtx) = info.ssrc_rtx {
            self.streams.insert(rtx, (info.ssrc, info.payload_type));
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        if let Some(rtx) = info.ssrc_rtx {
            self.streams.remove(&rtx);
        }
    }
}

/// Passes key frame requests and receiver reports to the application; the crate consumes all RTCP itself.
#[derive(Default)]
pub(super) struct RtcpForwarder {
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl RtcpForwarder {
    /// After every consumer of RTCP.
    pub(super) const SLOT: usize = 14_000;
}

/// Whether an RTCP packet is a PLI or FIR.
#[allow(clippy::borrowed_box, reason = "the shape in which the crate keeps packets")]
pub(super) fn is_key_frame_request(packet: &Box<dyn rtcp::Packet>) -> bool {
    let packet = packet.as_any();
    packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>()
}

/// Each report block of a receiver report.
#[allow(clippy::borrowed_box, reason = "the shape in which the crate keeps packets")]
pub(super) fn reports(packet: &Box<dyn rtcp::Packet>) -> impl Iterator<Item = MediaEvent> {
    let reports = packet.as_any().downcast_ref::<ReceiverReport>().map(|report| report.reports.as_slice());
    reports.unwrap_or_default().iter().map(|report| MediaEvent::ReceiverReport {
        ssrc: report.ssrc,
        fraction_lost: f32::from(report.fraction_lost) / 256.0,
        total_lost: report.total_lost,
        highest_sequence: report.last_sequence_number,
    })
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for RtcpForwarder {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &mut message.message.packet {
            packets.retain(|packet| is_key_frame_request(packet) || reports(packet).next().is_some());
            if packets.is_empty() {
                return Ok(());
            }
            message.message.add(Attribute::DeliverToApplication);
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for RtcpForwarder {
    fn bind_local_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rtc::rtcp::reception_report::ReceptionReport;

    fn bound() -> RtxUnwrapper {
        let mut unwrapper = RtxUnwrapper::default();
        unwrapper.bind_remote_stream(&StreamInfo {
            ssrc: 10,
            ssrc_rtx: Some(11),
            payload_type: 96,
            payload_type_rtx: Some(97),
            ..Default::default()
        });
        unwrapper
    }

    fn packet(ssrc: u32, payload: &'static [u8]) -> rtc::rtp::Packet {
        let mut packet = rtc::rtp::Packet { payload: Bytes::from_static(payload), ..Default::default() };
        packet.header.ssrc = ssrc;
        packet.header.payload_type = 97;
        packet
    }

    #[test]
    fn retransmission_is_restored() {
        let mut retransmission = packet(11, &[0x12, 0x34, 7, 8]);
        assert!(bound().unwrap(&mut retransmission));
        let header = &retransmission.header;
        assert_eq!((header.ssrc, header.payload_type, header.sequence_number), (10, 96, 0x1234));
        assert_eq!(retransmission.payload.as_ref(), &[7, 8]);
    }

    #[test]
    fn receiver_report_yields_loss_per_stream() {
        let block = |ssrc, fraction_lost| ReceptionReport {
            ssrc,
            fraction_lost,
            total_lost: 7,
            last_sequence_number: 1_000,
            ..Default::default()
        };
        let blocks = vec![block(1, 64), block(2, 0)];
        let packet: Box<dyn rtcp::Packet> = Box::new(ReceiverReport { ssrc: 9, reports: blocks, ..Default::default() });
        let report = |ssrc, fraction_lost| MediaEvent::ReceiverReport {
            ssrc,
            fraction_lost,
            total_lost: 7,
            highest_sequence: 1_000,
        };
        assert_eq!(reports(&packet).collect::<Vec<_>>(), [report(1, 0.25), report(2, 0.0)]);
        let request: Box<dyn rtcp::Packet> = Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 2 });
        assert_eq!(reports(&request).count(), 0);
    }

    #[test]
    fn media_passes_and_probes_are_dropped() {
        let mut media = packet(10, &[1]);
        assert!(bound().unwrap(&mut media));
        assert_eq!(media.payload.as_ref(), &[1]);
        assert!(!bound().unwrap(&mut packet(11, &[])));
    }
}

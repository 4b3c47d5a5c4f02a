//! RTCP as a light bot needs it: reports, NACK, PLI, FIR, transport-wide feedback (RFC 3550, RFC 4585, RFC 5104,
//! draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! The codec is that of the `rtc` crate, so that the server's is not tested against itself.

use crate::measure::clock::Time;
pub(crate) use rtc::rtcp::reception_report::ReceptionReport;
use rtc::{
    rtcp::{
        packet::{Packet, unmarshal},
        payload_feedbacks::{full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication},
        receiver_report::ReceiverReport,
        sender_report::SenderReport,
        transport_feedbacks::{
            transport_layer_cc::{
                PacketStatusChunk, RecvDelta, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc, SymbolTypeTcc,
                TransportLayerCc,
            },
            transport_layer_nack::{NackPair, TransportLayerNack},
        },
    },
    shared::marshal::Marshal,
};
use std::iter;

/// Maximum number of streams in one report (RFC 3550 section 6.4.1).
pub(crate) const MAX_REPORT_BLOCKS: usize = 31;

/// Feedback in a compound packet of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feedback {
    /// PLI or FIR for this stream.
    KeyFrame { ssrc: u32 },
    /// A NACK for one packet.
    Retransmit { ssrc: u32, sequence: u16 },
    /// A report on the reception of this stream.
    Report { ssrc: u32 },
    /// A sender report: SSRC and the middle 32 bits of its NTP time.
    SenderReport { ssrc: u32, compact_ntp: u32 },
}

/// Reads a compound packet. A part that the codec refuses has no feedback, and hides none of the others.
pub(crate) fn read(compound: &[u8]) -> Vec<Feedback> {
    let packets = parts(compound).flat_map(|mut part| unmarshal(&mut part).unwrap_or_default());
    packets.flat_map(|packet| feedback(&*packet)).collect()
}

/// The parts of a compound packet, by their length fields: words, minus one (RFC 3550 section 6.4.1).
fn parts(compound: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = compound;
    iter::from_fn(move || {
        let &[_, _, high, low] = rest.first_chunk()?;
        let (part, after) = rest.split_at_checked((usize::from(u16::from_be_bytes([high, low])) + 1) * 4)?;
        rest = after;
        Some(part)
    })
}

fn feedback(packet: &dyn Packet) -> Vec<Feedback> {
    let packet = packet.as_any();
    if let Some(pli) = packet.downcast_ref::<PictureLossIndication>() {
        vec![Feedback::KeyFrame { ssrc: pli.media_ssrc }]
    } else if let Some(fir) = packet.downcast_ref::<FullIntraRequest>() {
        fir.fir.iter().map(|entry| Feedback::KeyFrame { ssrc: entry.ssrc }).collect()
    } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
        let lost = nack.nacks.iter().flat_map(NackPair::packet_list);
        lost.map(|sequence| Feedback::Retransmit { ssrc: nack.media_ssrc, sequence }).collect()
    } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
        let own = Feedback::SenderReport { ssrc: report.ssrc, compact_ntp: (report.ntp_time >> 16) as u32 };
        iter::once(own).chain(reported(&report.reports)).collect()
    } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
        reported(&report.reports).collect()
    } else {
        Vec::new()
    }
}

fn reported(blocks: &[ReceptionReport]) -> impl Iterator<Item = Feedback> {
    blocks.iter().map(|block| Feedback::Report { ssrc: block.ssrc })
}

/// The bytes of a packet; none if the codec refuses it, which it does for no packet that this module makes.
fn bytes(packet: &impl Marshal) -> Vec<u8> {
    packet.marshal().map(Into::into).unwrap_or_default()
}

/// A picture loss indication (RFC 4585 section 6.3.1).
pub(crate) fn pli(sender_ssrc: u32, media_ssrc: u32) -> Vec<u8> {
    bytes(&PictureLossIndication { sender_ssrc, media_ssrc })
}

/// A sender report (RFC 3550 section 6.4.1) without report blocks, sent `now`.
pub(crate) fn sender_report(ssrc: u32, now: Time, rtp_time: u32, packets: u32, octets: u32) -> Vec<u8> {
    const SECONDS_FROM_1900_TO_1970: u64 = 2_208_988_800;
    let seconds = now.as_nanos() / 1_000_000_000 + SECONDS_FROM_1900_TO_1970;
    let fraction = ((now.as_nanos() % 1_000_000_000) << 32) / 1_000_000_000;
    bytes(&SenderReport {
        ssrc,
        ntp_time: seconds << 32 | fraction,
        rtp_time,
        packet_count: packets,
        octet_count: octets,
        ..SenderReport::default()
    })
}

/// A receiver report (RFC 3550 section 6.4.2) of at most [`MAX_REPORT_BLOCKS`] streams.
pub(crate) fn receiver_report(ssrc: u32, reports: Vec<ReceptionReport>) -> Vec<u8> {
    bytes(&ReceiverReport { ssrc, reports, ..ReceiverReport::default() })
}

/// A NACK (RFC 4585 section 6.2.1) for sequence numbers in ascending order.
pub(crate) fn nack(sender_ssrc: u32, media_ssrc: u32, missing: &[u16]) -> Vec<u8> {
    let mut nacks: Vec<NackPair> = Vec::new();
    for sequence in missing {
        match nacks.last_mut() {
            // The crate's own packing breaks where sequence numbers wrap.
            Some(pair) if (1..=16).contains(&sequence.wrapping_sub(pair.packet_id)) => {
                pair.lost_packets |= 1 << (sequence.wrapping_sub(pair.packet_id) - 1);
            }
            _ => nacks.push(NackPair::new(*sequence)),
        }
    }
    bytes(&TransportLayerNack { sender_ssrc, media_ssrc, nacks })
}

/// Transport-wide feedback for the packets from `base` on: arrival times in microseconds, `None` for a packet that has not
/// arrived. Status is written as two-bit symbols; packets whose delta does not fit 16 bits are reported as lost.
pub(crate) fn transport_feedback(
    sender_ssrc: u32,
    media_ssrc: u32,
    count: u8,
    base: u16,
    arrivals: &[Option<u64>],
) -> Vec<u8> {
    const TICK_US: u64 = 250;
    const REFERENCE_US: u64 = 64_000;
    let Some(first) = arrivals.iter().flatten().next() else { return Vec::new() };
    let reference = first / REFERENCE_US;
    let mut last_ticks = (reference * (REFERENCE_US / TICK_US)) as i64;
    let (mut symbols, mut recv_deltas) = (Vec::with_capacity(arrivals.len()), Vec::new());
    for arrival in arrivals {
        let ticks = arrival.map(|us| (us / TICK_US) as i64);
        let type_tcc_packet = match ticks.map(|ticks| ticks - last_ticks) {
            Some(0..=255) => SymbolTypeTcc::PacketReceivedSmallDelta,
            Some(large) if i16::try_from(large).is_ok() => SymbolTypeTcc::PacketReceivedLargeDelta,
            _ => SymbolTypeTcc::PacketNotReceived,
        };
        symbols.push(type_tcc_packet);
        if let Some(ticks) = ticks.filter(|_| type_tcc_packet != SymbolTypeTcc::PacketNotReceived) {
            recv_deltas.push(RecvDelta { type_tcc_packet, delta: (ticks - last_ticks) * TICK_US as i64 });
            last_ticks = ticks;
        }
    }
    let chunk = |symbols: &[SymbolTypeTcc]| {
        let mut symbol_list = symbols.to_vec();
        symbol_list.resize(7, SymbolTypeTcc::PacketNotReceived);
        PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
            type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
            symbol_size: SymbolSizeTypeTcc::TwoBit,
            symbol_list,
        })
    };
    bytes(&TransportLayerCc {
        sender_ssrc,
        media_ssrc,
        base_sequence_number: base,
        packet_status_count: symbols.len() as u16,
        reference_time: (reference & 0xff_ffff) as u32,
        fb_pkt_count: count,
        packet_chunks: symbols.chunks(7).map(chunk).collect(),
        recv_deltas,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nack_packs_neighbours() {
        let missing = [65_534, 65_535, 3, 40];
        let packet = nack(1, 2, &missing);
        assert_eq!(packet.len(), 12 + 2 * 4, "two entries");
        let expected: Vec<_> =
            missing.iter().map(|sequence| Feedback::Retransmit { ssrc: 2, sequence: *sequence }).collect();
        assert_eq!(read(&packet), expected);
    }

    #[test]
    fn compound_request_behind_report() {
        let mut packet = receiver_report(1, vec![ReceptionReport { ssrc: 2, ..ReceptionReport::default() }]);
        packet.extend_from_slice(&[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]);
        assert_eq!(read(&packet), [Feedback::Report { ssrc: 2 }, Feedback::KeyFrame { ssrc: 9 }]);
    }

    #[test]
    fn request_behind_malformed_part() {
        let truncated = [0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
        assert_eq!(read(&[&truncated[..], &pli(1, 9)].concat()), [Feedback::KeyFrame { ssrc: 9 }]);
    }

    #[test]
    fn pli_reads_back() {
        assert_eq!(read(&pli(1, 9)), [Feedback::KeyFrame { ssrc: 9 }]);
    }

    #[test]
    fn sender_report_compact_ntp() {
        // Half a second past 1970.
        let packet =
            [receiver_report(1, Vec::new()), sender_report(5, Time::from_nanos(500_000_000), 1, 2, 3)].concat();
        let seconds = (2_208_988_800u64 & 0xffff) as u32;
        assert_eq!(read(&packet), [Feedback::SenderReport { ssrc: 5, compact_ntp: seconds << 16 | 0x8000 }]);
    }

    /// Feedback covers every packet, received or not.
    #[test]
    fn transport_feedback_layout() {
        let arrivals = [Some(64_000), None, Some(64_500), Some(164_500), Some(164_250)];
        let packet = transport_feedback(1, 2, 7, 100, &arrivals);
        assert_eq!(packet.len() % 4, 0);
        assert_eq!(packet[12..16], [0, 100, 0, 5], "base and count");
        assert_eq!(packet[16..20], [0, 0, 1, 7], "reference in 64 ms, feedback count");
        assert_eq!(u16::from_be_bytes([packet[20], packet[21]]), 0b11_01_00_01_10_10_00_00);
        assert_eq!(packet[22..28], [0, 2, 1, 0x90, 0xff, 0xff], "deltas in 250 µs");
    }

    proptest! {
        #[test]
        fn read_is_total(packet in proptest::collection::vec(any::<u8>(), 0..120)) {
            read(&packet);
        }
    }
}

//! Writers of RTCP. Each appends one part to a buffer; parts appended one after another form a compound packet.

use super::{
    part::{begin, finish, format, packet_type},
    report::{ReportBlock, SenderInfo},
};
use crate::seq::low;
use media_types::Ssrc;

/// Maximum number of blocks in one report.
pub const MAX_REPORT_BLOCKS: usize = 31;

/// Appends an RR with the first [`MAX_REPORT_BLOCKS`] blocks.
pub fn receiver_report(out: &mut Vec<u8>, sender: Ssrc, blocks: &[ReportBlock]) {
    let blocks = blocks.get(..MAX_REPORT_BLOCKS).unwrap_or(blocks);
    let start = begin(out, u8::try_from(blocks.len()).unwrap_or_default(), packet_type::RECEIVER_REPORT, sender);
    for block in blocks {
        report_block(out, block);
    }
    finish(out, start);
}

/// Appends an SR without report blocks.
pub fn sender_report(out: &mut Vec<u8>, ssrc: Ssrc, info: &SenderInfo) {
    let start = begin(out, 0, packet_type::SENDER_REPORT, ssrc);
    out.extend(info.ntp.to_be_bytes());
    out.extend(info.timestamp.to_be_bytes());
    out.extend(info.packets.to_be_bytes());
    out.extend(info.octets.to_be_bytes());
    finish(out, start);
}

/// Appends an SDES with one CNAME, cut off after 255 bytes.
pub fn source_description(out: &mut Vec<u8>, ssrc: Ssrc, cname: &[u8]) {
    let start = begin(out, 1, packet_type::SOURCE_DESCRIPTION, ssrc);
    let cname = cname.get(..255).unwrap_or(cname);
    out.extend([1, u8::try_from(cname.len()).unwrap_or_default()]);
    out.extend(cname);
    out.push(0);
    finish(out, start);
}

/// Appends a NACK for extended sequence numbers in ascending order. Appends nothing if `lost` is empty.
pub fn nack(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc, lost: &[u64]) {
    let Some((&first, rest)) = lost.split_first() else { return };
    let start = begin(out, format::NACK, packet_type::TRANSPORT_FEEDBACK, sender);
    out.extend(media.0.to_be_bytes());
    let (mut pid, mut bitmask) = (first, 0u16);
    for &seq in rest {
        match seq.wrapping_sub(pid).checked_sub(1).and_then(|bit| u32::try_from(bit).ok()) {
            Some(bit @ 0..16) => bitmask |= 1u16.wrapping_shl(bit),
            _ => {
                nack_pair(out, pid, bitmask);
                (pid, bitmask) = (seq, 0);
            }
        }
    }
    nack_pair(out, pid, bitmask);
    finish(out, start);
}

fn nack_pair(out: &mut Vec<u8>, pid: u64, bitmask: u16) {
    out.extend(low(pid).to_be_bytes());
    out.extend(bitmask.to_be_bytes());
}

/// Appends a PLI: a request for a key frame of `media`.
pub fn pli(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc) {
    let start = begin(out, format::PLI, packet_type::PAYLOAD_FEEDBACK, sender);
    out.extend(media.0.to_be_bytes());
    finish(out, start);
}

fn report_block(out: &mut Vec<u8>, block: &ReportBlock) {
    out.extend(block.ssrc.0.to_be_bytes());
    let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
    out.extend((u32::from(block.fraction_lost) << 24 | lost).to_be_bytes());
    for field in [block.highest_seq, block.jitter, block.last_sr, block.delay_since_last_sr] {
        out.extend(field.to_be_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::{
        super::read::{Rtcp, parse},
        *,
    };
    use crate::seq::SeqNum;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn sr_with_sdes_round_trips() {
        let info = SenderInfo { ntp: 0x0123_4567_89ab_cdef, timestamp: 7, packets: 8, octets: 9 };
        for cname in ["", "1", "42", "123", "4294967295"] {
            let mut out = Vec::new();
            sender_report(&mut out, Ssrc(5), &info);
            source_description(&mut out, Ssrc(5), cname.as_bytes());
            let parts: Vec<_> = parse(&out).collect();
            assert_eq!(parts.len(), 2);
            assert!(matches!(parts[0], Rtcp::SenderReport { ssrc: Ssrc(5), info: read, .. } if read == info));
            let Rtcp::SourceDescription(mut chunks) = parts[1] else { panic!("no description") };
            assert_eq!(chunks.next(), Some((Ssrc(5), cname.as_bytes())));
            assert!(chunks.next().is_none());
        }
        assert_eq!(info.compact_ntp(), 0x4567_89ab);
    }

    proptest! {
        #[test]
        fn nack_lists_exactly_the_lost_packets(start in any::<u32>(), lost in prop::collection::btree_set(0u64..2_000, 0..64)) {
            let lost: Vec<u64> = lost.into_iter().map(|seq| seq + u64::from(start)).collect();
            let mut out = Vec::new();
            nack(&mut out, Ssrc(1), Ssrc(2), &lost);
            let read: BTreeSet<u16> = parse(&out).flat_map(|part| match part {
                Rtcp::Nack { media: Ssrc(2), lost } => lost.map(|SeqNum(seq)| seq).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }).collect();
            prop_assert_eq!(read, lost.iter().map(|&seq| low(seq)).collect::<BTreeSet<_>>());
        }

        #[test]
        fn report_blocks_round_trip(
            ssrc in any::<u32>(), fraction_lost in any::<u8>(), cumulative_lost in -0x80_0000i32..0x80_0000,
            highest_seq in any::<u32>(), jitter in any::<u32>(), count in 0usize..40,
        ) {
            let block = ReportBlock {
                ssrc: Ssrc(ssrc), fraction_lost, cumulative_lost, highest_seq, jitter, last_sr: 3, delay_since_last_sr: 4,
            };
            let mut out = Vec::new();
            receiver_report(&mut out, Ssrc(1), &vec![block; count]);
            let Some(Rtcp::ReceiverReport { ssrc: Ssrc(1), blocks }) = parse(&out).next() else { panic!("no report") };
            let read: Vec<_> = blocks.collect();
            prop_assert_eq!(read, vec![block; count.min(MAX_REPORT_BLOCKS)]);
        }
    }
}

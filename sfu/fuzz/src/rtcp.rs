//! RTCP: parsing of any compound packet ends within bounds, and parsed parts round-trip through the writers.

use rtp_wire::{
    rtcp::{self, ReportBlock, Rtcp, parse},
    seq::SeqNum,
};
use sfu::Ssrc;
use std::collections::BTreeSet;

/// A part that has both a parser and a writer.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    SenderReport(Ssrc, rtcp::SenderInfo),
    ReceiverReport(Ssrc, Vec<ReportBlock>),
    Description(Ssrc, Vec<u8>),
    Nack(Ssrc, BTreeSet<u16>),
    Pli(Ssrc),
}

/// Input: one compound packet.
pub fn run(data: &[u8]) {
    let read = parts(data);
    let mut written = Vec::new();
    for part in &read {
        let start = written.len();
        match part {
            Part::SenderReport(ssrc, info) => rtcp::write::sender_report(&mut written, *ssrc, info),
            Part::ReceiverReport(ssrc, blocks) => rtcp::write::receiver_report(&mut written, *ssrc, blocks),
            Part::Description(ssrc, cname) => rtcp::write::source_description(&mut written, *ssrc, cname),
            Part::Nack(media, lost) => {
                let lost: Vec<u64> = lost.iter().map(|seq| 1 << 16 | u64::from(*seq)).collect();
                rtcp::write::nack(&mut written, Ssrc(1), *media, &lost);
            }
            Part::Pli(media) => rtcp::write::pli(&mut written, Ssrc(1), *media),
        }
        assert!((written.len() - start).is_multiple_of(4), "whole words");
    }
    assert_eq!(parts(&written), read);
}

/// Returns the parts that have a writer. An SR with blocks becomes an SR and an RR.
fn parts(packet: &[u8]) -> Vec<Part> {
    let words = packet.len() / 4;
    let mut parts = Vec::new();
    for part in parse(packet) {
        match part {
            Rtcp::SenderReport { ssrc, info, blocks } => {
                assert!(blocks.count() <= rtcp::write::MAX_REPORT_BLOCKS.min(words));
                parts.push(Part::SenderReport(ssrc, info));
                if blocks.count() > 0 {
                    parts.push(Part::ReceiverReport(ssrc, blocks.collect()));
                }
            }
            Rtcp::ReceiverReport { ssrc, blocks } => {
                assert!(blocks.count() <= rtcp::write::MAX_REPORT_BLOCKS.min(words));
                parts.push(Part::ReceiverReport(ssrc, blocks.collect()));
            }
            Rtcp::SourceDescription(chunks) => {
                assert!(chunks.count() < 32.min(words));
                parts.extend(chunks.map(|(ssrc, cname)| Part::Description(ssrc, cname.to_vec())));
            }
            Rtcp::Nack { media, lost } => {
                assert!(lost.count() <= 17 * words);
                // The writer skips a NACK without entries.
                let lost: BTreeSet<u16> = lost.map(|SeqNum(seq)| seq).collect();
                parts.extend((!lost.is_empty()).then_some(Part::Nack(media, lost)));
            }
            Rtcp::Pli { media } => parts.push(Part::Pli(media)),
            Rtcp::Bye(sources) => assert!(sources.count() < 32.min(words)),
            Rtcp::Fir(streams) => assert!(streams.count() < words),
            Rtcp::Twcc(feedback) => assert_eq!(feedback.packets().count(), usize::from(feedback.covered)),
            Rtcp::Ccfb(feedback) => assert!(feedback.packets().count() <= 2 * words),
            Rtcp::Other { .. } | Rtcp::Malformed { .. } => {}
        }
    }
    assert!(parts.len() <= 2 * words);
    parts
}

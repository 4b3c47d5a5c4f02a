//! Views of RTCP: a compound packet is an iterator over its parts.

use super::{
    ccfb::CcfbFeedback,
    part::{format, packet_type, split},
    report::{ReportBlock, SenderInfo},
    twcc::TwccFeedback,
};
use crate::{
    bytes::{u16_at, u32_at, u64_at},
    seq::SeqNum,
};
use media_types::Ssrc;

/// One part of a compound packet.
#[derive(Clone, Copy, Debug)]
pub enum Rtcp<'a> {
    /// SR (RFC 3550 section 6.4.1).
    SenderReport {
        /// Stream of the sender.
        ssrc: Ssrc,
        /// Clocks and counters of that stream.
        info: SenderInfo,
        /// Statistics of the streams that it receives.
        blocks: ReportBlocks<'a>,
    },
    /// RR (RFC 3550 section 6.4.2).
    ReceiverReport {
        /// SSRC of the receiver.
        ssrc: Ssrc,
        /// Statistics of the streams that it receives.
        blocks: ReportBlocks<'a>,
    },
    /// SDES (RFC 3550 section 6.5).
    SourceDescription(Chunks<'a>),
    /// BYE (RFC 3550 section 6.6): streams that end.
    Bye(Sources<'a>),
    /// Generic NACK (RFC 4585 section 6.2.1).
    Nack {
        /// Stream whose packets are missing.
        media: Ssrc,
        /// Sequence numbers of the missing packets.
        lost: NackedSeqs<'a>,
    },
    /// PLI, picture loss indication (RFC 4585 section 6.3.1): a request for a key frame.
    Pli {
        /// Stream that needs the key frame.
        media: Ssrc,
    },
    /// Full intra request (RFC 5104 section 4.3.1): a request for key frames of several streams.
    Fir(FirEntries<'a>),
    /// Transport-wide congestion control feedback.
    Twcc(TwccFeedback<'a>),
    /// Congestion control feedback (RFC 8888).
    Ccfb(CcfbFeedback<'a>),
    /// A part of another type.
    Other {
        /// Its packet type.
        packet_type: u8,
    },
    /// A part of a known type that is too short for it, or whose padding is longer than itself.
    Malformed {
        /// Its packet type.
        packet_type: u8,
    },
}

/// Iterator over the parts of a compound packet. Where a part ends is said by its length field alone, so that a malformed
/// part does not hide those after it. Ends at a part whose version is not 2, or whose length exceeds the packet: there the
/// length cannot be trusted.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    rest: &'a [u8],
}

/// Returns the parts of a compound or reduced-size (RFC 5506) packet.
#[must_use]
pub const fn parse(packet: &[u8]) -> Compound<'_> {
    Compound { rest: packet }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Rtcp<'a>;

    fn next(&mut self) -> Option<Rtcp<'a>> {
        let (part, rest) = split(self.rest)?;
        self.rest = rest;
        let &[_, packet_type] = part.first_chunk()?;
        Some(read_part(part).unwrap_or(Rtcp::Malformed { packet_type }))
    }
}

/// Reads one part; `None` if it is malformed.
fn read_part(part: &[u8]) -> Option<Rtcp<'_>> {
    use packet_type as pt;
    let &[first, packet_type] = part.first_chunk()?;
    let part = if first & 0x20 == 0 {
        part
    } else {
        let padding = usize::from(*part.last()?);
        part.get(..part.len().checked_sub(padding)?)?
    };
    let count = first & 0x1f;
    let body = part.get(4..)?;
    let ssrc = || Some(Ssrc(u32_at(body, 0)?));
    let media = || Some(Ssrc(u32_at(body, 4)?));
    Some(match (packet_type, count) {
        (pt::SENDER_REPORT, _) => Rtcp::SenderReport {
            ssrc: ssrc()?,
            info: SenderInfo {
                ntp: u64_at(body, 4)?,
                timestamp: u32_at(body, 12)?,
                packets: u32_at(body, 16)?,
                octets: u32_at(body, 20)?,
            },
            blocks: ReportBlocks { rest: body.get(24..)?, left: count },
        },
        (pt::RECEIVER_REPORT, _) => {
            Rtcp::ReceiverReport { ssrc: ssrc()?, blocks: ReportBlocks { rest: body.get(4..)?, left: count } }
        }
        (pt::SOURCE_DESCRIPTION, _) => Rtcp::SourceDescription(Chunks { rest: body, left: count }),
        (pt::BYE, _) => Rtcp::Bye(Sources { rest: body, left: count }),
        (pt::TRANSPORT_FEEDBACK, format::NACK) => {
            Rtcp::Nack { media: media()?, lost: NackedSeqs { rest: body.get(8..)?, pair: None } }
        }
        (pt::TRANSPORT_FEEDBACK, format::CCFB) => Rtcp::Ccfb(CcfbFeedback::parse(body)?),
        (pt::TRANSPORT_FEEDBACK, format::TWCC) => Rtcp::Twcc(TwccFeedback::parse(body)?),
        (pt::PAYLOAD_FEEDBACK, format::PLI) => Rtcp::Pli { media: media()? },
        (pt::PAYLOAD_FEEDBACK, format::FIR) => Rtcp::Fir(FirEntries { rest: body.get(8..)? }),
        (packet_type, _) => Rtcp::Other { packet_type },
    })
}

/// Iterator over the report blocks of an SR or RR.
#[derive(Clone, Copy, Debug)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
    left: u8,
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        self.left = self.left.checked_sub(1)?;
        let (block, rest) = self.rest.split_at_checked(24)?;
        self.rest = rest;
        let loss = u32_at(block, 4)?;
        Some(ReportBlock {
            ssrc: Ssrc(u32_at(block, 0)?),
            fraction_lost: loss.to_be_bytes()[0],
            cumulative_lost: (loss << 8).cast_signed() >> 8,
            highest_seq: u32_at(block, 8)?,
            jitter: u32_at(block, 12)?,
            last_sr: u32_at(block, 16)?,
            delay_since_last_sr: u32_at(block, 20)?,
        })
    }
}

/// Iterator over the chunks of an SDES: `(SSRC, CNAME)`. It skips chunks without a CNAME.
#[derive(Clone, Copy, Debug)]
pub struct Chunks<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = (Ssrc, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.left = self.left.checked_sub(1)?;
            let ssrc = Ssrc(u32_at(self.rest, 0)?);
            let mut at: usize = 4;
            let mut cname = None;
            loop {
                let kind = *self.rest.get(at)?;
                if kind == 0 {
                    break;
                }
                let length = usize::from(*self.rest.get(at.checked_add(1)?)?);
                let start = at.checked_add(2)?;
                at = start.checked_add(length)?;
                let value = self.rest.get(start..at)?;
                if kind == 1 {
                    cname = Some(value);
                }
            }
            // The terminating zero is padded to the next word.
            self.rest = self.rest.get(at.checked_add(1)?.checked_next_multiple_of(4)?..)?;
            if let Some(cname) = cname {
                return Some((ssrc, cname));
            }
        }
    }
}

/// Iterator over the SSRCs of a BYE.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    rest: &'a [u8],
    left: u8,
}

impl Iterator for Sources<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        self.left = self.left.checked_sub(1)?;
        let ssrc = u32_at(self.rest, 0)?;
        self.rest = self.rest.get(4..)?;
        Some(Ssrc(ssrc))
    }
}

/// Iterator over the sequence numbers of a NACK (RFC 4585 section 6.2.1).
#[derive(Clone, Copy, Debug)]
pub struct NackedSeqs<'a> {
    rest: &'a [u8],
    pair: Option<(u16, u16)>,
}

impl Iterator for NackedSeqs<'_> {
    type Item = SeqNum;

    fn next(&mut self) -> Option<SeqNum> {
        if let Some((pid, bitmask)) = self.pair.as_mut()
            && *bitmask != 0
        {
            let bit = bitmask.trailing_zeros();
            *bitmask &= bitmask.wrapping_sub(1);
            return Some(SeqNum(pid.wrapping_add(1).wrapping_add(u16::try_from(bit).ok()?)));
        }
        let pid = u16_at(self.rest, 0)?;
        self.pair = Some((pid, u16_at(self.rest, 2)?));
        self.rest = self.rest.get(4..)?;
        Some(SeqNum(pid))
    }
}

/// Iterator over the SSRCs of a FIR (RFC 5104 section 4.3.1).
#[derive(Clone, Copy, Debug)]
pub struct FirEntries<'a> {
    rest: &'a [u8],
}

impl Iterator for FirEntries<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let (entry, rest) = self.rest.split_at_checked(8)?;
        self.rest = rest;
        Some(Ssrc(u32_at(entry, 0)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fir_lists_its_ssrcs() {
        let packet = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 5, 0, 0, 0];
        let Some(Rtcp::Fir(entries)) = parse(&packet).next() else { panic!("not a FIR") };
        assert_eq!(entries.collect::<Vec<_>>(), [Ssrc(9)]);
    }

    #[test]
    fn bye_lists_its_ssrcs() {
        let packet = [0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let Some(Rtcp::Bye(sources)) = parse(&packet).next() else { panic!("not a BYE") };
        assert_eq!(sources.collect::<Vec<_>>(), [Ssrc(1), Ssrc(2)]);
    }

    #[test]
    fn unknown_parts_are_skipped() {
        let packet = [0x80, 207, 0, 0, 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
        let parts: Vec<_> = parse(&packet).collect();
        assert!(matches!(parts[..], [Rtcp::Other { packet_type: 207 }, Rtcp::Pli { media: Ssrc(9) }]));
    }

    #[test]
    fn truncated_feedback_does_not_hide_a_pli() {
        // The length says three words: without base, count and reference time.
        let packet = [0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9, 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
        let parts: Vec<_> = parse(&packet).collect();
        assert!(matches!(parts[..], [Rtcp::Malformed { packet_type: 205 }, Rtcp::Pli { media: Ssrc(9) }]));
    }

    #[test]
    fn parts_end_where_the_length_is_unsound() {
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
        for unsound in [[0x41, 206, 0, 0], [0x81, 206, 0, 4]] {
            assert_eq!(parse(&[&unsound[..], &pli].concat()).count(), 0);
        }
    }

    proptest! {
        #[test]
        fn parsing_is_total(
            kind in 198u8..210, count in 0u8..32, words in 0u8..20, body in prop::collection::vec(any::<u8>(), 0..96),
        ) {
            let mut packet = vec![0x80 | count, kind, 0, words];
            packet.extend(body);
            for part in parse(&packet) {
                match part {
                    Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => prop_assert!(blocks.count() < 32),
                    Rtcp::SourceDescription(chunks) => prop_assert!(chunks.count() < 32),
                    Rtcp::Bye(sources) => prop_assert!(sources.count() < 32),
                    Rtcp::Nack { lost, .. } => prop_assert!(lost.count() < 17 * 96),
                    Rtcp::Fir(entries) => prop_assert!(entries.count() < 96),
                    Rtcp::Ccfb(feedback) => prop_assert!(feedback.packets().count() <= packet.len() / 2),
                    Rtcp::Twcc(feedback) => prop_assert!(feedback.packets().count() <= 0xffff),
                    Rtcp::Pli { .. } | Rtcp::Other { .. } | Rtcp::Malformed { .. } => {}
                }
            }
        }

        /// Whatever parts come before it, cut short at any word: a PLI that follows them is found.
        #[test]
        fn pli_after_any_parts_is_found(
            parts in prop::collection::vec(
                (any::<bool>(), 0u8..32, 198u8..210, prop::collection::vec(any::<u32>(), 0..8)), 0..6,
            ),
        ) {
            let mut packet = Vec::new();
            for (padded, count, kind, body) in &parts {
                packet.extend([0x80 | u8::from(*padded) << 5 | count, *kind, 0, u8::try_from(body.len()).unwrap()]);
                packet.extend(body.iter().flat_map(|word| word.to_be_bytes()));
            }
            packet.extend([0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]);
            prop_assert_eq!(parse(&packet).skip(parts.len()).count(), 1);
            let found = matches!(parse(&packet).last(), Some(Rtcp::Pli { media: Ssrc(9) }));
            prop_assert!(found);
        }
    }
}

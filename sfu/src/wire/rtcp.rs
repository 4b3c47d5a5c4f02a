//! Views of RTCP (RFC 3550 section 6, RFC 4585, RFC 5104): a compound packet is an iterator over its parts.

use super::{seq::SeqNum, transport_cc::TransportFeedback, u16_at, u32_at, u64_at};
use crate::ids::Ssrc;

/// Packet types.
pub(super) mod packet_type {
    pub(in super::super) const SENDER_REPORT: u8 = 200;
    pub(in super::super) const RECEIVER_REPORT: u8 = 201;
    pub(in super::super) const SOURCE_DESCRIPTION: u8 = 202;
    pub(in super::super) const BYE: u8 = 203;
    pub(in super::super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(in super::super) const PAYLOAD_FEEDBACK: u8 = 206;
}

/// One part of a compound packet.
#[derive(Clone, Copy, Debug)]
pub enum Rtcp<'a> {
    /// Sender report.
    SenderReport {
        /// Who sends.
        ssrc: Ssrc,
        /// Its clocks and counters.
        info: SenderInfo,
        /// What it receives.
        blocks: ReportBlocks<'a>,
    },
    /// Receiver report.
    ReceiverReport {
        /// Who receives.
        ssrc: Ssrc,
        /// What it receives.
        blocks: ReportBlocks<'a>,
    },
    /// Source description.
    SourceDescription(Chunks<'a>),
    /// Sources that end.
    Bye(Sources<'a>),
    /// Packets asked for again.
    Nack {
        /// Stream that misses them.
        media: Ssrc,
        /// Which.
        lost: Lost<'a>,
    },
    /// A key frame asked for.
    PictureLoss {
        /// Of which stream.
        media: Ssrc,
    },
    /// Key frames asked for, of several streams.
    FullIntraRequest(FirEntries<'a>),
    /// Arrival times of a transport's packets.
    TransportFeedback(TransportFeedback<'a>),
    /// Something that is not used here.
    Other {
        /// Its packet type.
        packet_type: u8,
    },
}

/// Sender information (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall clock in NTP format: seconds since 1900 in 32.32 bits.
    pub ntp: u64,
    /// The same moment in the stream's timestamps.
    pub timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

impl SenderInfo {
    /// The middle 32 bits of the wall clock, by which receivers name a report.
    #[must_use]
    pub const fn compact_ntp(&self) -> u32 {
        (self.ntp >> 16 & 0xffff_ffff) as u32
    }
}

/// A report block (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// Stream reported on.
    pub ssrc: Ssrc,
    /// Fraction lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all, 24 bits, negative if duplicates arrived.
    pub cumulative_lost: i32,
    /// Highest sequence number with its cycles.
    pub highest_seq: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Name of the last sender report: the middle bits of its wall clock, 0 if none.
    pub last_sr: u32,
    /// Time since it arrived, in 1/65,536 s.
    pub delay_since_last_sr: u32,
}

/// Iterates over the parts of a compound packet; ends at the first malformed one.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    rest: &'a [u8],
}

/// Reads a compound or reduced-size packet (RFC 5506).
#[must_use]
pub const fn parse(packet: &[u8]) -> Compound<'_> {
    Compound { rest: packet }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Rtcp<'a>;

    fn next(&mut self) -> Option<Rtcp<'a>> {
        let (part, rest) = split_part(self.rest)?;
        self.rest = rest;
        let parsed = read_part(part);
        if parsed.is_none() {
            self.rest = &[];
        }
        parsed
    }
}

/// Cuts one part off by its length field.
fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.first()? >> 6 != 2 {
        return None;
    }
    let words = usize::from(u16_at(bytes, 2)?).checked_add(1)?;
    bytes.split_at_checked(words.checked_mul(4)?)
}

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
        (pt::TRANSPORT_FEEDBACK, 1) => Rtcp::Nack { media: media()?, lost: Lost { rest: body.get(8..)?, pair: None } },
        (pt::TRANSPORT_FEEDBACK, 15) => Rtcp::TransportFeedback(TransportFeedback::parse(body)?),
        (pt::PAYLOAD_FEEDBACK, 1) => Rtcp::PictureLoss { media: media()? },
        (pt::PAYLOAD_FEEDBACK, 4) => Rtcp::FullIntraRequest(FirEntries { rest: body.get(8..)? }),
        (packet_type, _) => Rtcp::Other { packet_type },
    })
}

/// Report blocks of a report.
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

/// Chunks of a source description: `(source, CNAME)`; sources without a CNAME are passed over.
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
            // The end mark is padded to the next word.
            self.rest = self.rest.get(at.checked_add(1)?.checked_next_multiple_of(4)?..)?;
            if let Some(cname) = cname {
                return Some((ssrc, cname));
            }
        }
    }
}

/// Sources of a BYE.
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

/// Sequence numbers of a NACK (RFC 4585 section 6.2.1).
#[derive(Clone, Copy, Debug)]
pub struct Lost<'a> {
    rest: &'a [u8],
    pair: Option<(u16, u16)>,
}

impl Iterator for Lost<'_> {
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

/// Streams of a FIR (RFC 5104 section 4.3.1).
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
    fn a_fir_names_its_streams() {
        let packet = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 5, 0, 0, 0];
        let Some(Rtcp::FullIntraRequest(entries)) = parse(&packet).next() else { panic!("not a FIR") };
        assert_eq!(entries.collect::<Vec<_>>(), [Ssrc(9)]);
    }

    #[test]
    fn a_bye_names_its_sources() {
        let packet = [0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let Some(Rtcp::Bye(sources)) = parse(&packet).next() else { panic!("not a BYE") };
        assert_eq!(sources.collect::<Vec<_>>(), [Ssrc(1), Ssrc(2)]);
    }

    #[test]
    fn unknown_parts_are_stepped_over() {
        let packet = [0x80, 207, 0, 0, 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
        let parts: Vec<_> = parse(&packet).collect();
        assert!(matches!(parts[..], [Rtcp::Other { packet_type: 207 }, Rtcp::PictureLoss { media: Ssrc(9) }]));
    }

    proptest! {
        #[test]
        fn any_packet_is_read_to_an_end(
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
                    Rtcp::FullIntraRequest(entries) => prop_assert!(entries.count() < 96),
                    Rtcp::TransportFeedback(feedback) => prop_assert!(feedback.packets().count() <= 0xffff),
                    Rtcp::PictureLoss { .. } | Rtcp::Other { .. } => {}
                }
            }
        }
    }
}

//! Congestion control feedback (RFC 8888 section 3): which packets of each RTP stream arrived, when, and with which ECN
//! marks.
//!
//! ```text
//! | SSRC of the sender of the feedback                              |
//! | SSRC of a stream                                                |  for each stream
//! | first sequence number          | number of reports              |
//! |R|ECN| arrival time offset      |R|ECN| arrival time offset      |  padded to whole words
//! | timestamp of the report                                         |
//! ```
//! Arrival times are offsets: how long before the timestamp of the report a packet arrived, in 1/1024 s.

use super::part::{begin, finish, format, packet_type};
use crate::bytes::{u16_at, u32_at};
use media_types::Ssrc;

/// Maximum number of packets that a report covers of one stream.
pub const MAX_PACKETS: usize = 16_384;
/// Offset of a packet that arrived longer ago than can be said. One above it: when it arrived is not known.
const TOO_LONG_AGO: u16 = 0x1ffe;
const UNKNOWN: u16 = 0x1fff;

/// How a packet arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    /// The ECN field of its IP header: 0 to 3 (RFC 3168 section 5).
    pub ecn: u8,
    /// How long before the report's timestamp it arrived, in 1/1024 s; `None` if that is unknown, or 8 s or more.
    pub age: Option<u16>,
}

/// What a report says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketReport {
    /// The stream.
    pub ssrc: Ssrc,
    /// RTP sequence number.
    pub seq: u16,
    /// `None` if the packet had not arrived.
    pub reception: Option<Reception>,
}

/// The packets of one stream, for [`write()`].
#[derive(Clone, Copy, Debug)]
pub struct StreamReport<'a> {
    /// The stream.
    pub ssrc: Ssrc,
    /// Sequence number of the first packet.
    pub base: u16,
    /// That packet and those after it, at most [`MAX_PACKETS`]; `None` for one that has not arrived.
    pub packets: &'a [Option<Reception>],
}

/// Appends a report, made at `timestamp`: the middle 32 bits of an NTP time, in 1/65,536 s.
pub fn write(out: &mut Vec<u8>, sender: Ssrc, timestamp: u32, streams: &[StreamReport<'_>]) {
    let start = begin(out, format::CCFB, packet_type::TRANSPORT_FEEDBACK, sender);
    for stream in streams {
        let packets = stream.packets.get(..MAX_PACKETS).unwrap_or(stream.packets);
        out.extend(stream.ssrc.0.to_be_bytes());
        out.extend(stream.base.to_be_bytes());
        out.extend(u16::try_from(packets.len()).unwrap_or_default().to_be_bytes());
        for reception in packets {
            out.extend(reception.map_or(0, metric).to_be_bytes());
        }
        if !packets.len().is_multiple_of(2) {
            out.extend([0, 0]);
        }
    }
    out.extend(timestamp.to_be_bytes());
    finish(out, start);
}

fn metric(reception: Reception) -> u16 {
    let age = reception.age.map_or(UNKNOWN, |age| age.min(TOO_LONG_AGO));
    0x8000 | u16::from(reception.ecn & 3) << 13 | age
}

/// View of a received report.
#[derive(Clone, Copy, Debug)]
pub struct CcfbFeedback<'a> {
    /// When it was made, in 1/65,536 s, modulo 2³².
    pub timestamp: u32,
    streams: &'a [u8],
}

impl<'a> CcfbFeedback<'a> {
    /// Parses the body of the RTCP part, which starts after the length field. `None` unless it consists of whole streams.
    #[must_use]
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (_, rest) = body.split_first_chunk::<4>()?;
        let (streams, timestamp) = rest.split_last_chunk()?;
        let mut left = streams;
        while !left.is_empty() {
            left = Stream::split(left)?.1;
        }
        Some(Self { timestamp: u32::from_be_bytes(*timestamp), streams })
    }

    /// The covered packets, stream by stream.
    #[must_use]
    pub const fn packets(&self) -> PacketReports<'a> {
        PacketReports { stream: Stream { ssrc: Ssrc(0), seq: 0, metrics: &[] }, streams: self.streams }
    }
}

/// What is left of a stream.
#[derive(Clone, Copy, Debug)]
struct Stream<'a> {
    ssrc: Ssrc,
    seq: u16,
    metrics: &'a [[u8; 2]],
}

impl<'a> Stream<'a> {
    /// Splits the first stream off.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (ssrc, seq, count) = (Ssrc(u32_at(bytes, 0)?), u16_at(bytes, 4)?, usize::from(u16_at(bytes, 6)?));
        if count > MAX_PACKETS {
            return None;
        }
        let (metrics, rest) = bytes.get(8..)?.split_at_checked(count.checked_next_multiple_of(2)?.checked_mul(2)?)?;
        Some((Self { ssrc, seq, metrics: metrics.as_chunks().0.get(..count)? }, rest))
    }
}

/// Iterator over the packets that a report covers.
#[derive(Clone, Copy, Debug)]
pub struct PacketReports<'a> {
    stream: Stream<'a>,
    streams: &'a [u8],
}

impl Iterator for PacketReports<'_> {
    type Item = PacketReport;

    fn next(&mut self) -> Option<PacketReport> {
        while self.stream.metrics.is_empty() {
            (self.stream, self.streams) = Stream::split(self.streams)?;
        }
        let Stream { ssrc, seq, metrics } = self.stream;
        let (&metric, metrics) = metrics.split_first()?;
        self.stream = Stream { ssrc, seq: seq.wrapping_add(1), metrics };
        Some(PacketReport { ssrc, seq, reception: reception(u16::from_be_bytes(metric)) })
    }
}

fn reception(metric: u16) -> Option<Reception> {
    let age = metric & 0x1fff;
    let ecn = u8::try_from(metric >> 13 & 3).unwrap_or_default();
    (metric & 0x8000 != 0).then_some(Reception { ecn, age: (age < TOO_LONG_AGO).then_some(age) })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::{
        super::read::{Rtcp, parse},
        *,
    };
    use proptest::prelude::*;

    fn read(packet: &[u8]) -> Option<(u32, Vec<PacketReport>)> {
        match parse(packet).next() {
            Some(Rtcp::Ccfb(feedback)) => Some((feedback.timestamp, feedback.packets().collect())),
            _ => None,
        }
    }

    #[test]
    fn report_matches_the_rfc() {
        let packets = [Some(Reception { ecn: 1, age: Some(0x123) }), None, Some(Reception { ecn: 0, age: None })];
        let mut out = Vec::new();
        write(&mut out, Ssrc(1), 0x0102_0304, &[StreamReport { ssrc: Ssrc(2), base: 65_535, packets: &packets }]);
        #[rustfmt::skip]
        assert_eq!(out, [
            0x8b, 205, 0, 6, 0, 0, 0, 1, // header
            0, 0, 0, 2, 0xff, 0xff, 0, 3, // stream, base, count
            0xa1, 0x23, 0, 0, 0x9f, 0xff, 0, 0, // three packets, padding
            1, 2, 3, 4, // timestamp
        ]);
        let (_, read) = read(&out).unwrap();
        assert_eq!(read.iter().map(|report| report.seq).collect::<Vec<_>>(), [65_535, 0, 1]);
    }

    #[test]
    fn report_that_ends_within_a_stream_is_malformed() {
        let mut out = Vec::new();
        let packets = [Some(Reception { ecn: 0, age: Some(1) }); 4];
        write(&mut out, Ssrc(1), 7, &[StreamReport { ssrc: Ssrc(2), base: 1, packets: &packets }]);
        for count in [3u16, 4] {
            out[14..16].copy_from_slice(&count.to_be_bytes());
            assert!(read(&out).is_some(), "{count}");
        }
        for count in [0u16, 1, 2, 5, 6, 16_385, 65_535] {
            out[14..16].copy_from_slice(&count.to_be_bytes());
            assert!(read(&out).is_none(), "{count}");
        }
    }

    fn receptions() -> impl Strategy<Value = Vec<Option<Reception>>> {
        let age = prop::option::of(0..TOO_LONG_AGO);
        prop::collection::vec(prop::option::of((0u8..4, age).prop_map(|(ecn, age)| Reception { ecn, age })), 0..40)
    }

    proptest! {
        #[test]
        fn reports_round_trip(
            timestamp in any::<u32>(),
            streams in prop::collection::vec((any::<u32>(), any::<u16>(), receptions()), 0..5),
        ) {
            let written: Vec<_> = streams.iter().map(|(ssrc, base, packets)| {
                StreamReport { ssrc: Ssrc(*ssrc), base: *base, packets }
            }).collect();
            let mut out = Vec::new();
            write(&mut out, Ssrc(1), timestamp, &written);
            let expected: Vec<_> = written.iter().flat_map(|stream| {
                stream.packets.iter().zip(0u16..).map(|(&reception, offset)| {
                    PacketReport { ssrc: stream.ssrc, seq: stream.base.wrapping_add(offset), reception }
                })
            }).collect();
            prop_assert_eq!(read(&out), Some((timestamp, expected)));
        }

        #[test]
        fn any_body_is_read_within_its_length(mut body in prop::collection::vec(any::<u8>(), 0..200)) {
            body.truncate(body.len() / 4 * 4);
            let words = u8::try_from(body.len() / 4).unwrap();
            let packet = [&[0x8b, 205, 0, words], &body[..]].concat();
            prop_assert!(read(&packet).is_none_or(|(_, packets)| packets.len() <= body.len() / 2));
        }
    }
}

//! TWCC feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1): which packets of a transport
//! arrived, and when.
//!
//! One feedback packet covers a range of transport-wide sequence numbers. A status symbol of two bits says whether a
//! packet arrived and how its arrival time is encoded: as the difference to the previous arrival, in units of 250 µs.

use super::part::{begin, finish, format, packet_type};
use crate::{bytes::u16_at, seq::low};
use media_types::Ssrc;

/// Unit of arrival time differences, in µs.
const TICK: i64 = 250;
/// Unit of the reference time, in µs.
const REFERENCE: u64 = 64_000;
/// Maximum number of packets that one feedback covers: it fits into 1,000 bytes even if every symbol is `LARGE`.
const MAX_COVERED: u64 = 300;

/// Arrival of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// Extended transport-wide sequence number.
    pub seq: u64,
    /// Arrival time in µs, on any monotonic clock of the receiver.
    pub micros: u64,
}

/// Packet status symbols (section 3.1.1).
mod symbol {
    pub(super) const LOST: u8 = 0;
    pub(super) const SMALL: u8 = 1;
    pub(super) const LARGE: u8 = 2;
}

/// Appends one feedback that starts at sequence number `base`; returns the first number that it does not cover.
///
/// `arrivals` are in strictly ascending order of sequence number, none before `base`. The last covered number is always
/// one that arrived. `count` is the running count of feedback packets. Appends nothing and returns `None` if `arrivals`
/// is empty.
pub fn write(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc, count: u8, base: u64, arrivals: &[Arrival]) -> Option<u64> {
    let first = arrivals.first()?;
    // Skips a gap that would need several feedback packets: the sender has given up its packets long ago.
    let base = if first.seq.saturating_sub(base) >= MAX_COVERED { first.seq } else { base };
    let reference = first.micros / REFERENCE;

    let mut symbols = [symbol::LOST; MAX_COVERED as usize];
    let mut deltas = [0u8; 2 * MAX_COVERED as usize];
    let (mut covered, mut deltas_length) = (0usize, 0usize);
    let mut clock = i64::try_from(reference.checked_mul(REFERENCE)?).ok()?;
    for arrival in arrivals {
        let at = usize::try_from(arrival.seq.checked_sub(base)?).ok()?;
        let ticks = i64::try_from(arrival.micros).ok()?.checked_sub(clock)?.div_euclid(TICK);
        let Ok(ticks) = i16::try_from(ticks) else { break };
        let Some(status) = symbols.get_mut(at) else { break };
        // The clock advances by the rounded time, so that rounding errors do not accumulate.
        clock = clock.checked_add(i64::from(ticks).checked_mul(TICK)?)?;
        if let Ok(small) = u8::try_from(ticks) {
            *status = symbol::SMALL;
            put(&mut deltas, &mut deltas_length, &[small]);
        } else {
            *status = symbol::LARGE;
            put(&mut deltas, &mut deltas_length, &ticks.to_be_bytes());
        }
        covered = at.saturating_add(1);
    }
    let symbols = symbols.get(..covered)?;

    let start = begin(out, format::TWCC, packet_type::TRANSPORT_FEEDBACK, sender);
    out.extend(media.0.to_be_bytes());
    out.extend(low(base).to_be_bytes());
    out.extend(u16::try_from(covered).unwrap_or_default().to_be_bytes());
    let [_, _, _, _, _, high, middle, low] = reference.to_be_bytes();
    out.extend([high, middle, low, count]);
    chunks(out, symbols);
    out.extend(deltas.get(..deltas_length)?);
    finish(out, start);
    base.checked_add(u64::try_from(covered).ok()?)
}

/// Appends symbols as run-length chunks where these are shorter, otherwise as vectors of seven symbols.
fn chunks(out: &mut Vec<u8>, mut symbols: &[u8]) {
    while let Some(&first) = symbols.first() {
        let run = symbols.iter().take_while(|&&symbol| symbol == first).count();
        let (chunk, length) = if run >= 7 || run == symbols.len() {
            let run = run.min(0x1fff);
            (u16::from(first) << 13 | u16::try_from(run).unwrap_or_default(), run)
        } else {
            let mut vector = 0xc000u16;
            for (place, &symbol) in symbols.iter().take(7).enumerate() {
                let shift = u32::try_from(place).unwrap_or_default().saturating_mul(2);
                vector |= u16::from(symbol).wrapping_shl(12u32.saturating_sub(shift));
            }
            (vector, symbols.len().min(7))
        };
        out.extend(chunk.to_be_bytes());
        symbols = symbols.get(length..).unwrap_or_default();
    }
}

fn put(buffer: &mut [u8], length: &mut usize, bytes: &[u8]) {
    let end = length.saturating_add(bytes.len());
    if let Some(room) = buffer.get_mut(*length..end) {
        room.copy_from_slice(bytes);
        *length = end;
    }
}

/// View of a received feedback.
#[derive(Clone, Copy, Debug)]
pub struct TwccFeedback<'a> {
    /// First sequence number covered.
    pub base: u16,
    /// Number of sequence numbers covered.
    pub covered: u16,
    /// Reference time in units of 64 ms, modulo 2²⁴.
    pub reference: u32,
    /// Running count of feedback packets.
    pub count: u8,
    chunks: &'a [[u8; 2]],
    deltas: &'a [u8],
}

/// What a feedback says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It had not arrived.
    Missing,
    /// It arrived this many µs after the reference time; before it, if negative.
    Arrived(i64),
    /// It arrived, and the feedback has no time for it: symbol 3, which the draft reserves and later ones use for this.
    ArrivedUntimed,
}

impl Status {
    /// Whether the packet arrived.
    #[must_use]
    pub const fn has_arrived(self) -> bool {
        !matches!(self, Self::Missing)
    }
}

impl<'a> TwccFeedback<'a> {
    /// Parses the body of the RTCP part, which starts after the length field. `None` if a chunk or a time of a covered
    /// packet is missing, so that no feedback is used in part.
    #[must_use]
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let &[high, middle, low, count] = body.get(12..)?.first_chunk()?;
        let (base, covered) = (u16_at(body, 8)?, u16_at(body, 10)?);
        let rest = body.get(16..)?;
        let (chunks, deltas_length) = measure(rest.as_chunks().0, covered)?;
        let deltas = rest.get(chunks.as_flattened().len()..)?.get(..deltas_length)?;
        Some(Self { base, covered, reference: u32::from_be_bytes([0, high, middle, low]), count, chunks, deltas })
    }

    /// The covered packets, with their sequence numbers.
    #[must_use]
    pub const fn packets(&self) -> Packets<'a> {
        Packets {
            seq: self.base,
            left: self.covered,
            chunks: self.chunks,
            symbols: Symbols::NONE,
            deltas: self.deltas,
            micros: 0,
        }
    }
}

/// Returns the chunks that have the symbols of `covered` packets, and the length of the deltas that these symbols need.
/// `None` if there are too few chunks.
fn measure(chunks: &[[u8; 2]], covered: u16) -> Option<(&[[u8; 2]], usize)> {
    let (mut left, mut used, mut deltas) = (covered, 0usize, 0usize);
    while left > 0 {
        let symbols = Symbols::new(u16::from_be_bytes(*chunks.get(used)?));
        let count = symbols.left.min(left);
        deltas = deltas.saturating_add(symbols.deltas_length(count));
        left = left.saturating_sub(count);
        used = used.saturating_add(1);
    }
    Some((chunks.get(..used)?, deltas))
}

/// The symbols of one chunk.
#[derive(Clone, Copy, Debug)]
struct Symbols {
    /// The next symbol is in the highest bits.
    bits: u16,
    /// From the highest bits to the value of a symbol.
    shift: u32,
    /// From one symbol to the next; 0 in a run.
    step: u32,
    left: u16,
}

impl Symbols {
    const NONE: Self = Self { bits: 0, shift: 14, step: 0, left: 0 };

    const fn new(chunk: u16) -> Self {
        match chunk >> 14 {
            0b11 => Self { bits: chunk << 2, shift: 14, step: 2, left: 7 },
            0b10 => Self { bits: chunk << 2, shift: 15, step: 1, left: 14 },
            _ => Self { bits: chunk << 1, shift: 14, step: 0, left: chunk & 0x1fff },
        }
    }

    /// Length of the deltas of the first `count` symbols, which is not 0.
    fn deltas_length(self, count: u16) -> usize {
        let ones = |bits: u16| usize::try_from(bits.count_ones()).unwrap_or_default();
        let first = |width: u16| self.bits & !u16::MAX.checked_shr(u32::from(count.saturating_mul(width))).unwrap_or(0);
        match self.step {
            1 => ones(first(1)),
            2 => {
                let (low, high) = (first(2) & 0x5555, first(2) >> 1 & 0x5555);
                ones(low & !high).saturating_add(ones(high & !low).saturating_mul(2))
            }
            _ => match self.bits >> 14 {
                1 => usize::from(count),
                2 => usize::from(count).saturating_mul(2),
                _ => 0,
            },
        }
    }
}

/// Iterator over the packets that a feedback covers: sequence number and status.
#[derive(Clone, Copy, Debug)]
pub struct Packets<'a> {
    seq: u16,
    left: u16,
    chunks: &'a [[u8; 2]],
    symbols: Symbols,
    deltas: &'a [u8],
    /// Time of the last arrival, from the reference time.
    micros: i64,
}

impl Iterator for Packets<'_> {
    type Item = (u16, Status);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // A run may have no symbols at all.
        while self.symbols.left == 0 {
            let (chunk, rest) = self.chunks.split_first()?;
            self.symbols = Symbols::new(u16::from_be_bytes(*chunk));
            self.chunks = rest;
        }
        let symbol = self.symbols.bits.wrapping_shr(self.symbols.shift);
        self.symbols.bits = self.symbols.bits.wrapping_shl(self.symbols.step);
        self.symbols.left = self.symbols.left.saturating_sub(1);
        let status = match symbol {
            0 => Status::Missing,
            1 => {
                let (&[ticks], rest) = self.deltas.split_first_chunk()?;
                self.arrived(i64::from(ticks), rest)
            }
            2 => {
                let (&ticks, rest) = self.deltas.split_first_chunk()?;
                self.arrived(i64::from(i16::from_be_bytes(ticks)), rest)
            }
            _ => Status::ArrivedUntimed,
        };
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        Some((seq, status))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left.into()))
    }
}

impl<'a> Packets<'a> {
    #[inline]
    fn arrived(&mut self, ticks: i64, deltas: &'a [u8]) -> Status {
        self.deltas = deltas;
        self.micros = self.micros.saturating_add(ticks.saturating_mul(TICK));
        Status::Arrived(self.micros)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::{
        super::read::{Rtcp, parse},
        *,
    };
    use proptest::prelude::*;

    /// Writes all arrivals as feedback packets and reads these: number and time in µs of each packet that arrived.
    fn roundtrip(base: u64, arrivals: &[Arrival]) -> Vec<(u16, i64)> {
        let (mut base, mut left, mut read) = (base, arrivals, Vec::new());
        while !left.is_empty() {
            let mut out = Vec::new();
            let next = write(&mut out, Ssrc(1), Ssrc(2), 3, base, left).unwrap();
            assert!(out.len() < 1_000 && out.len().is_multiple_of(4));
            let Some(Rtcp::Twcc(feedback)) = parse(&out).next() else { panic!("no feedback") };
            assert_eq!(feedback.count, 3);
            let reference = i64::from(feedback.reference) * 64_000;
            assert_eq!(feedback.packets().count(), usize::from(feedback.covered));
            read.extend(feedback.packets().filter_map(|(seq, status)| match status {
                Status::Missing => None,
                Status::Arrived(micros) => Some((seq, reference + micros)),
                Status::ArrivedUntimed => panic!("not written"),
            }));
            assert!(next > base);
            base = next;
            left = &left[left.partition_point(|arrival| arrival.seq < next)..];
        }
        read
    }

    #[test]
    fn feedback_matches_the_draft() {
        let arrivals = [Arrival { seq: 65_536, micros: 64_000 }, Arrival { seq: 65_538, micros: 65_000 }];
        let mut out = Vec::new();
        assert_eq!(write(&mut out, Ssrc(1), Ssrc(2), 9, 65_536, &arrivals), Some(65_539));
        #[rustfmt::skip]
        assert_eq!(out, [
            0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, // header
            0, 0, 0, 3, 0, 0, 1, 9, // base, covered, reference, count
            0b1101_0001, 0, // vector: small, lost, small
            0, 4, // deltas
        ]);
    }

    /// A feedback with these chunks and deltas, which covers `covered` packets.
    fn packet(covered: u16, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let start = begin(&mut out, format::TWCC, packet_type::TRANSPORT_FEEDBACK, Ssrc(1));
        out.extend([0, 0, 0, 2, 0xff, 0xff]);
        out.extend(covered.to_be_bytes());
        out.extend([0, 0, 1, 9]);
        out.extend(chunks.iter().flat_map(|chunk| chunk.to_be_bytes()));
        out.extend(deltas);
        finish(&mut out, start);
        out
    }

    fn statuses(packet: &[u8]) -> Option<Vec<Status>> {
        let Some(Rtcp::Twcc(feedback)) = parse(packet).next() else { return None };
        let packets: Vec<_> = feedback.packets().collect();
        let numbers = packets.iter().map(|(seq, _)| *seq);
        assert!(numbers.eq((0..feedback.covered).map(|offset| u16::MAX.wrapping_add(offset))));
        Some(packets.into_iter().map(|(_, status)| status).collect())
    }

    #[test]
    fn every_form_of_chunk_is_decoded() {
        use Status::{Arrived, ArrivedUntimed, Missing};
        let one_bit = packet(14, &[0b1010_0000_0000_0001], &[1, 2]);
        let mut expected = vec![Missing; 14];
        (expected[0], expected[13]) = (Arrived(250), Arrived(750));
        assert_eq!(statuses(&one_bit), Some(expected));
        let two_bits = packet(5, &[0b11_01_10_11_00_01_01_01], &[4, 0xff, 0xfe, 8]);
        assert_eq!(
            statuses(&two_bits),
            Some(vec![Arrived(1_000), Arrived(500), ArrivedUntimed, Missing, Arrived(2_500)])
        );
        let runs = packet(4, &[0x2000, 0x4000 | 2, 0x2000 | 8_191], &[0x80, 0, 0x7f, 0xff, 1, 255]);
        assert_eq!(statuses(&runs), Some(vec![Arrived(-8_192_000), Arrived(-250), Arrived(0), Arrived(63_750)]));
    }

    #[test]
    fn feedback_without_all_its_chunks_and_deltas_is_malformed() {
        // Runs of lost packets need no deltas, and fill whole words here.
        assert_eq!(statuses(&packet(16_382, &[8_191, 8_191], &[])).map(|packets| packets.len()), Some(16_382));
        assert_eq!(statuses(&packet(16_383, &[8_191, 8_191], &[])), None);
        assert!(statuses(&packet(6, &[0x2000 | 6], &[1; 6])).is_some());
        assert_eq!(statuses(&packet(7, &[0x2000 | 7], &[1; 6])), None);
        assert_eq!(statuses(&packet(4, &[0x4000 | 4], &[1; 6])), None);
        assert_eq!(statuses(&packet(7, &[0b1011_1111_1000_0000], &[1; 6])), None);
        assert_eq!(statuses(&packet(4, &[0b11_10_01_10_10_00_00_00], &[1; 6])), None);
        assert_eq!(statuses(&packet(0, &[], &[])), Some(vec![]));
    }

    proptest! {
        #[test]
        fn arrivals_round_trip(
            base in 65_536u64..200_000,
            steps in prop::collection::vec((1u64..40, 0u64..20_000_000), 1..400),
        ) {
            let mut arrivals = Vec::new();
            let (mut seq, mut micros) = (base, 0);
            for (gap, wait) in steps {
                micros += if wait % 7 == 0 { wait } else { wait % 3_000 };
                arrivals.push(Arrival { seq, micros });
                seq += gap;
                if gap == 3 { micros = micros.saturating_sub(wait % 10_000); }
            }
            let read = roundtrip(base, &arrivals);
            let expected = arrivals.iter().map(|arrival| {
                let ticks = i64::try_from(arrival.micros).unwrap().div_euclid(TICK);
                (low(arrival.seq), ticks * TICK)
            });
            prop_assert_eq!(read, expected.collect::<Vec<_>>());
        }
    }
}

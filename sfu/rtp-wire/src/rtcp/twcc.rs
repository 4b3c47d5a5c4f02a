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
    /// Reference time in units of 64 ms, 24 bits.
    pub reference: u32,
    /// Running count of feedback packets.
    pub count: u8,
    chunks: &'a [u8],
}

impl<'a> TwccFeedback<'a> {
    /// Parses the body of the RTCP part, which starts after the length field.
    #[must_use]
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let &[high, middle, low, count] = body.get(12..)?.first_chunk()?;
        Some(Self {
            base: u16_at(body, 8)?,
            covered: u16_at(body, 10)?,
            reference: u32::from_be_bytes([0, high, middle, low]),
            count,
            chunks: body.get(16..)?,
        })
    }

    /// The covered packets: sequence number, and whether the packet arrived. Ends early if chunks are missing.
    pub fn packets(&self) -> impl Iterator<Item = (u16, bool)> + use<'a> {
        let base = self.base;
        let symbols = self.chunks.as_chunks::<2>().0.iter().flat_map(|&bytes| chunk_symbols(u16::from_be_bytes(bytes)));
        symbols.take(usize::from(self.covered)).zip(0u16..).map(move |(symbol, offset)| {
            // Symbol 3 means "received, without a time" in later drafts.
            (base.wrapping_add(offset), symbol != symbol::LOST)
        })
    }
}

/// Decodes the symbols of one chunk.
fn chunk_symbols(chunk: u16) -> impl Iterator<Item = u8> {
    let bits = |shift: u32, mask: u16| u8::try_from(chunk.wrapping_shr(shift) & mask).unwrap_or_default();
    let (length, run) = match chunk >> 14 {
        0b10 => (14u32, None),
        0b11 => (7, None),
        _ => (u32::from(chunk & 0x1fff), Some(bits(13, 3))),
    };
    let width: u32 = if length == 14 { 1 } else { 2 };
    (0..length).map(move |place| {
        run.unwrap_or_else(|| {
            let shift = 14u32.saturating_sub(place.saturating_add(1).saturating_mul(width));
            u8::try_from(chunk.wrapping_shr(shift) & if width == 1 { 1 } else { 3 }).unwrap_or_default()
        })
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::{
        super::read::{Rtcp, parse},
        *,
    };
    use proptest::prelude::*;

    /// Writes all arrivals as feedback packets and reads these.
    fn roundtrip(base: u64, arrivals: &[Arrival]) -> Vec<(u16, bool)> {
        let (mut base, mut left, mut read) = (base, arrivals, Vec::new());
        while !left.is_empty() {
            let mut out = Vec::new();
            let next = write(&mut out, Ssrc(1), Ssrc(2), 3, base, left).unwrap();
            assert!(out.len() < 1_000 && out.len().is_multiple_of(4));
            let Some(Rtcp::Twcc(feedback)) = parse(&out).next() else { panic!("no feedback") };
            assert_eq!(feedback.count, 3);
            read.extend(feedback.packets());
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

    #[test]
    fn one_bit_vector_is_decoded() {
        let symbols: Vec<u8> = chunk_symbols(0b1010_0000_0000_0001).collect();
        assert_eq!(symbols, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
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
            }
            let read = roundtrip(base, &arrivals);
            let arrived: Vec<u16> = read.iter().filter(|(_, arrived)| *arrived).map(|(seq, _)| *seq).collect();
            prop_assert_eq!(arrived, arrivals.iter().map(|arrival| low(arrival.seq)).collect::<Vec<_>>());
        }
    }
}

//! AV1 (RTP payload format of the Alliance for Open Media, version 1.0).
//!
//! ```text
//!  aggregation header Z Y WW N ···   Z: continues an OBU   Y: its last OBU continues   N: new coded video sequence
//!  [length] OBU │ [length] OBU │ OBU          W OBUs, the last without a length; all with lengths if W is 0
//! ```
//! OBUs are sent without their size fields; the depacketizer restores them with the minimum number of bytes, as the
//! envelope has them. The `rtc` crate has a depacketizer too, but it panics on malformed payloads.

use super::payload_format::{PayloadFormat, Place, Start};
use e2ee_frames::FrameKind;

const CONTINUES: u8 = 0x80;
const GOES_ON: u8 = 0x40;
const NEW_SEQUENCE: u8 = 0x08;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

const HAS_SIZE: u8 = 0x02;
const HAS_EXTENSION: u8 = 0x04;

/// Maximum length of a leb128 number, in bytes.
const MAX_LEB_BYTES: usize = 5;

fn obu_type(header: u8) -> u8 {
    header >> 3 & 0x0f
}

/// Reads a leb128 number. Returns it and the rest.
fn take_leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (n, byte) in bytes.iter().take(MAX_LEB_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(n + 1..)?));
        }
    }
    None
}

fn put_leb(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// One OBU.
struct Obu<'a> {
    header: u8,
    extension: Option<u8>,
    contents: &'a [u8],
}

impl<'a> Obu<'a> {
    fn kind(&self) -> u8 {
        obu_type(self.header)
    }

    /// Splits off the first OBU, which has a size or extends to the end.
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&header, mut rest) = bytes.split_first()?;
        let mut extension = None;
        if header & HAS_EXTENSION != 0 {
            let (&byte, behind) = rest.split_first()?;
            (extension, rest) = (Some(byte), behind);
        }
        if header & HAS_SIZE == 0 {
            return Some((Self { header, extension, contents: rest }, &[]));
        }
        let (size, rest) = take_leb(rest)?;
        let (contents, rest) = rest.split_at_checked(size)?;
        Some((Self { header, extension, contents }, rest))
    }

    /// Appends the OBU without its size field.
    fn put_bare(&self, out: &mut Vec<u8>) {
        out.push(self.header & !HAS_SIZE);
        out.extend(self.extension);
        out.extend_from_slice(self.contents);
    }

    /// Appends the OBU with its size field.
    fn put_sized(&self, out: &mut Vec<u8>) {
        out.push(self.header | HAS_SIZE);
        out.extend(self.extension);
        put_leb(self.contents.len(), out);
        out.extend_from_slice(self.contents);
    }
}

/// Cuts a frame, a sequence of OBUs, into payloads of at most `max` bytes; `None` if it is malformed.
fn payloads(frame: &[u8], max: usize) -> Option<Vec<Vec<u8>>> {
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    let mut current = Vec::new();
    let mut rest = frame;
    while !rest.is_empty() {
        let (obu, behind) = Obu::take(rest)?;
        rest = behind;
        if obu.kind() == TEMPORAL_DELIMITER {
            continue;
        }
        let mut bare = Vec::new();
        obu.put_bare(&mut bare);
        let mut left = bare.as_slice();
        let mut continues = 0;
        while !left.is_empty() {
            if current.is_empty() {
                let first_of_sequence = payloads.is_empty() && obu.kind() == SEQUENCE_HEADER;
                current.push(continues | if first_of_sequence { NEW_SEQUENCE } else { 0 });
            }
            // A length of two bytes is enough: payloads are smaller than 16,384 bytes.
            let room = max.saturating_sub(current.len() + 2).max(1);
            let (now, later) = left.split_at(room.min(left.len()));
            put_leb(now.len(), &mut current);
            current.extend_from_slice(now);
            (left, continues) = (later, CONTINUES);
            // No room is left for a length and a byte.
            let full = max.saturating_sub(current.len()) < 3;
            if let Some(aggregation) = current.first_mut().filter(|_| !left.is_empty()) {
                *aggregation |= GOES_ON;
            }
            if full || !left.is_empty() {
                payloads.push(std::mem::take(&mut current));
            }
        }
    }
    if !current.is_empty() {
        payloads.push(current);
    }
    Some(payloads)
}

/// The aggregation header and the OBU elements of a payload, in order.
fn pieces(payload: &[u8]) -> Option<(u8, Vec<&[u8]>)> {
    let (&aggregation, mut rest) = payload.split_first()?;
    let count = aggregation >> 4 & 0x03;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        if count > 0 && pieces.len() + 1 == usize::from(count) {
            pieces.push(rest);
            break;
        }
        let (size, behind) = take_leb(rest)?;
        let (piece, behind) = behind.split_at_checked(size)?;
        pieces.push(piece);
        rest = behind;
    }
    let complete = !pieces.is_empty() && (count == 0 || pieces.len() == usize::from(count));
    complete.then_some((aggregation, pieces))
}

fn place(payload: &[u8], marker: bool) -> Option<Place> {
    let (aggregation, pieces) = pieces(payload)?;
    let first = pieces.first().and_then(|piece| piece.first()).map(|header| obu_type(*header));
    let start = match first {
        _ if aggregation & CONTINUES != 0 => Start::No,
        _ if aggregation & NEW_SEQUENCE != 0 => Start::Yes,
        Some(TEMPORAL_DELIMITER | SEQUENCE_HEADER) => Start::Yes,
        // The frame OBU of a key frame may be in its own packet, after that of the sequence header.
        _ => Start::UnlessContinued,
    };
    Some(Place { start, ends: marker })
}

/// Joins the payloads of one frame: OBUs with size fields, without temporal delimiters.
fn assemble<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut obus: Vec<Vec<u8>> = Vec::new();
    let mut open = false;
    for payload in payloads {
        let (aggregation, pieces) = pieces(payload)?;
        if (aggregation & CONTINUES != 0) != open {
            return None;
        }
        for (n, piece) in pieces.into_iter().enumerate() {
            match obus.last_mut() {
                Some(last) if n == 0 && open => last.extend_from_slice(piece),
                _ => obus.push(piece.to_vec()),
            }
        }
        open = aggregation & GOES_ON != 0;
    }
    if open {
        return None;
    }
    let mut frame = Vec::new();
    for obu in &obus {
        let (obu, rest) = Obu::take(obu)?;
        if !rest.is_empty() {
            return None;
        }
        if obu.kind() != TEMPORAL_DELIMITER {
            obu.put_sized(&mut frame);
        }
    }
    (!frame.is_empty()).then_some(frame)
}

#[derive(Debug)]
pub(super) struct Av1;

impl PayloadFormat for Av1 {
    fn overhead(&self) -> usize {
        // Aggregation header and a length of two bytes.
        3
    }

    fn packetize(&self, frame: &[u8], _kind: FrameKind, _picture_id: u16, max: usize) -> Option<Vec<Vec<u8>>> {
        payloads(frame, max)
    }

    fn place(&self, payload: &[u8], marker: bool) -> Option<Place> {
        place(payload, marker)
    }

    fn depacketize(&self, payloads: &[&[u8]]) -> Option<Vec<u8>> {
        assemble(payloads.iter().copied())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A key frame in its envelope: sequence header, then a frame OBU of 300 bytes.
    fn key_frame() -> Vec<u8> {
        let sequence = [0x0a, 0x0b, 0, 0, 0, 0x04, 0x3c, 0xff, 0xbc, 0xfb, 0xf9, 0x80, 0x40];
        [&sequence[..], &[0x32, 0xac, 0x02], &[0x5a; 300]].concat()
    }

    #[test]
    fn size_fields_are_removed_and_restored() {
        let payloads = payloads(&key_frame(), 1_100).unwrap();
        assert_eq!(payloads.len(), 1);
        assert_eq!(payloads[0][..4], [NEW_SEQUENCE, 12, 0x08, 0]);
        assert_eq!(payloads[0][14..17], [0xad, 0x02, 0x30]);
        assert_eq!(assemble(payloads.iter().map(Vec::as_slice)).unwrap(), key_frame());
    }

    #[test]
    fn browser_payloads_are_depacketized() {
        // W = 2: the sequence header with a length, the frame OBU without; then its rest.
        let first =
            [&[0x68, 12, 0x08, 0, 0, 0, 0x04, 0x3c, 0xff, 0xbc, 0xfb, 0xf9, 0x80, 0x40, 0x30][..], &[0x5a; 100]];
        let (first, second) = (first.concat(), [&[0x90][..], &[0x5a; 200]].concat());
        assert_eq!(place(&first, false).unwrap(), Place { start: Start::Yes, ends: false });
        assert_eq!(place(&second, true).unwrap(), Place { start: Start::No, ends: true });
        assert_eq!(assemble([&first[..], &second[..]].into_iter()).unwrap(), key_frame());
    }

    #[test]
    fn temporal_delimiters_are_removed() {
        assert_eq!(assemble([&[0x10, 0x12, 0x00][..]].into_iter()), None);
        let with_delimiter = [&[0x12, 0x00][..], &key_frame()].concat();
        assert_eq!(payloads(&with_delimiter, 1_100), payloads(&key_frame(), 1_100));
    }

    proptest! {
        #[test]
        fn any_obu_sequence_round_trips(
            obus in prop::collection::vec((prop_oneof![Just(1u8), Just(6), Just(5)], any::<bool>(), 0usize..600), 1..5),
            max in 20usize..300,
        ) {
            let mut frame = Vec::new();
            for (kind, extended, size) in obus {
                frame.push(kind << 3 | HAS_SIZE | if extended { HAS_EXTENSION } else { 0 });
                frame.extend(extended.then_some(0x28));
                put_leb(size, &mut frame);
                frame.extend((0..size).map(|n| n as u8));
            }
            let payloads = payloads(&frame, max).unwrap();
            prop_assert!(payloads.iter().all(|payload| payload.len() <= max));
            prop_assert_eq!(assemble(payloads.iter().map(Vec::as_slice)).unwrap(), frame);
        }

        #[test]
        fn any_bytes_do_not_panic(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..5)) {
            let _ = assemble(payloads.iter().map(Vec::as_slice));
            for payload in &payloads {
                let _ = place(payload, true);
                let _ = super::payloads(payload, 20);
            }
        }
    }
}

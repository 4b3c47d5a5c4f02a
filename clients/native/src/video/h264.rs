//! H.264 (RFC 6184, packetization mode 1): single NAL units, STAP-A, FU-A.
//!
//! The envelope is Annex B. The ciphertext is escaped, so start codes can be searched for. The depacketizer writes
//! start codes of four bytes.

use super::payload_format::{PayloadFormat, Place, Start};
use e2ee_frames::FrameKind;

const START: &[u8] = &[0, 0, 0, 1];
const SLICE: u8 = 1;
const IDR: u8 = 5;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

const FRAGMENT_STARTS: u8 = 0x80;
const FRAGMENT_ENDS: u8 = 0x40;
const NAL_TYPE: u8 = 0x1f;
/// NRI and forbidden bit of a NAL header.
const NAL_REST: u8 = 0xe0;

/// The NAL units of an Annex B stream.
pub(super) fn nal_units(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = frame.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at).peekable();
    std::iter::from_fn(move || {
        let begin = starts.next()? + 3;
        let end = starts.peek().copied().unwrap_or(frame.len());
        let unit = frame.get(begin..end).unwrap_or_default();
        // Drop the first zero of a start code of four bytes; NAL units never end in a zero.
        let zeros = if end == frame.len() { 0 } else { unit.iter().rev().take_while(|byte| **byte == 0).count() };
        unit.get(..unit.len() - zeros)
    })
    .filter(|unit| !unit.is_empty())
}

/// Cuts a frame into payloads of at most `max` bytes: small NAL units are aggregated, large ones fragmented.
fn payloads(frame: &[u8], max: usize) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut together: Vec<&[u8]> = Vec::new();
    for unit in nal_units(frame) {
        let size = 1 + together.iter().chain([&unit]).map(|unit| 2 + unit.len()).sum::<usize>();
        if size > max {
            aggregate(&mut together, &mut payloads);
        }
        if unit.len() > max {
            fragment(unit, max, &mut payloads);
        } else {
            together.push(unit);
        }
    }
    aggregate(&mut together, &mut payloads);
    payloads
}

/// Makes a payload of several NAL units (section 5.7.1).
fn aggregate(units: &mut Vec<&[u8]>, payloads: &mut Vec<Vec<u8>>) {
    match units.as_slice() {
        [] => {}
        [unit] => payloads.push(unit.to_vec()),
        several => {
            let importance = several.iter().filter_map(|unit| unit.first()).map(|header| header & 0x60).max();
            let mut payload = vec![STAP_A | importance.unwrap_or(0)];
            for unit in several {
                payload.extend((unit.len() as u16).to_be_bytes());
                payload.extend_from_slice(unit);
            }
            payloads.push(payload);
        }
    }
    units.clear();
}

/// Fragments a NAL unit that is too large for one payload (section 5.8).
fn fragment(unit: &[u8], max: usize, payloads: &mut Vec<Vec<u8>>) {
    let Some((&header, contents)) = unit.split_first() else { return };
    let room = max.saturating_sub(2).max(1);
    let last = contents.len().div_ceil(room).saturating_sub(1);
    payloads.extend(contents.chunks(room).enumerate().map(|(n, chunk)| {
        let starts = if n == 0 { FRAGMENT_STARTS } else { 0 };
        let ends = if n == last { FRAGMENT_ENDS } else { 0 };
        [&[header & NAL_REST | FU_A, header & NAL_TYPE | starts | ends], chunk].concat()
    }));
}

fn place(payload: &[u8], marker: bool) -> Option<Place> {
    let kind = *payload.first()? & NAL_TYPE;
    let (kind, begins) = match kind {
        STAP_A => (*payload.get(3)? & NAL_TYPE, true),
        FU_A => (*payload.get(1)? & NAL_TYPE, *payload.get(1)? & FRAGMENT_STARTS != 0),
        kind @ 1..=23 => (kind, true),
        _ => return None,
    };
    let start = match kind {
        _ if !begins => Start::No,
        // Parameter sets precede it.
        IDR => Start::No,
        SLICE => Start::UnlessContinued,
        // Access unit delimiter, SPS; PPS follow the SPS.
        7 | 9 => Start::Yes,
        _ => Start::No,
    };
    Some(Place { start, ends: marker })
}

/// Appends the NAL units of a payload to a frame, in Annex B.
fn append(payload: &[u8], frame: &mut Vec<u8>) -> Option<()> {
    let (&first, rest) = payload.split_first()?;
    match first & NAL_TYPE {
        STAP_A => {
            let mut rest = rest;
            while !rest.is_empty() {
                let (size, behind) = rest.split_first_chunk::<2>()?;
                let (unit, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
                frame.extend_from_slice(START);
                frame.extend_from_slice(unit);
                rest = behind;
            }
        }
        FU_A => {
            let (&fragment, contents) = rest.split_first()?;
            if fragment & FRAGMENT_STARTS != 0 {
                frame.extend_from_slice(START);
                frame.push(first & NAL_REST | fragment & NAL_TYPE);
            }
            frame.extend_from_slice(contents);
        }
        1..=23 => {
            frame.extend_from_slice(START);
            frame.extend_from_slice(payload);
        }
        _ => return None,
    }
    Some(())
}

#[derive(Debug)]
pub(super) struct H264;

impl PayloadFormat for H264 {
    fn overhead(&self) -> usize {
        // FU indicator and FU header.
        2
    }

    fn packetize(&self, frame: &[u8], _kind: FrameKind, _picture_id: u16, max: usize) -> Option<Vec<Vec<u8>>> {
        Some(payloads(frame, max))
    }

    fn place(&self, payload: &[u8], marker: bool) -> Option<Place> {
        place(payload, marker)
    }

    fn depacketize(&self, payloads: &[&[u8]]) -> Option<Vec<u8>> {
        let mut frame = Vec::with_capacity(payloads.iter().map(|payload| payload.len()).sum());
        for payload in payloads {
            append(payload, &mut frame)?;
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_both_lengths_separate_units() {
        let stream = [0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3, 0];
        let units: Vec<_> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x68, 2], &[0x65, 3, 0]]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
        assert_eq!(nal_units(&[0, 0, 1, 0, 0, 1]).count(), 0);
    }

    #[test]
    fn small_units_are_aggregated_and_large_ones_fragmented() {
        let frame = [&[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65][..], &[9; 40]].concat();
        let payloads = payloads(&frame, 20);
        assert_eq!(payloads[0], [STAP_A | 0x60, 0, 2, 0x67, 1, 0, 2, 0x68, 2]);
        assert_eq!(payloads[1][..3], [0x60 | FU_A, FRAGMENT_STARTS | IDR, 9]);
        assert_eq!(payloads[2][..2], [0x60 | FU_A, IDR]);
        assert_eq!(payloads[3][..2], [0x60 | FU_A, FRAGMENT_ENDS | IDR]);
        let mut back = Vec::new();
        payloads.iter().for_each(|payload| append(payload, &mut back).unwrap_or(()));
        assert_eq!(back, frame);
    }

    #[test]
    fn unsupported_payload_types_are_rejected() {
        for kind in [0, 25, 26, 27, 29, 30, 31] {
            assert_eq!(place(&[kind, 1, 2, 3], true), None);
            assert_eq!(append(&[kind, 1, 2, 3], &mut Vec::new()), None);
        }
        assert_eq!(append(&[STAP_A, 0, 9, 1], &mut Vec::new()), None, "a unit longer than its payload");
    }
}

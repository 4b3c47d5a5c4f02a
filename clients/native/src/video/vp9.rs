//! VP9 (RFC 9628), non-flexible mode, one layer. There is no envelope: only the descriptor shows the kind of a frame.

use super::payload_format::{PayloadFormat, Place, Start};
use e2ee_frames::FrameKind;

/// Size of the payload descriptor that we write, in bytes: flags and a 15-bit picture id.
const DESCRIPTOR_BYTES: usize = 3;

const PICTURE_ID: u8 = 0x80;
const PREDICTED: u8 = 0x40;
const LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const BEGINS: u8 = 0x08;
const ENDS: u8 = 0x04;
const STRUCTURE: u8 = 0x02;

/// Cuts a frame into payloads of at most `max` bytes. The frames of all spatial layers of an image have one picture id.
#[must_use]
pub fn payloads(frame: &[u8], kind: FrameKind, picture_id: u16, max: usize) -> Vec<Vec<u8>> {
    let room = max.saturating_sub(DESCRIPTOR_BYTES).max(1);
    let last = frame.len().div_ceil(room).saturating_sub(1);
    let predicted = if kind == FrameKind::Delta { PREDICTED } else { 0 };
    let [high, low] = (picture_id | 0x8000).to_be_bytes();
    let cut = frame.chunks(room).enumerate().map(|(n, chunk)| {
        let begins = if n == 0 { BEGINS } else { 0 };
        let ends = if n == last { ENDS } else { 0 };
        [&[PICTURE_ID | predicted | begins | ends, high, low], chunk].concat()
    });
    cut.collect()
}

/// Splits a payload into its flags and what follows the descriptor (section 4.2); `None` if it is truncated.
fn split(payload: &[u8]) -> Option<(u8, &[u8])> {
    let (&flags, mut rest) = payload.split_first()?;
    let mut skip = |count: usize| {
        let (skipped, behind) = rest.split_at_checked(count)?;
        rest = behind;
        skipped.last().copied()
    };
    if flags & PICTURE_ID != 0 && skip(1)? & 0x80 != 0 {
        skip(1)?;
    }
    if flags & LAYERS != 0 {
        skip(1)?;
        if flags & FLEXIBLE == 0 {
            skip(1)?; // TL0PICIDX
        }
    }
    if flags & FLEXIBLE != 0 && flags & PREDICTED != 0 {
        // Up to three references, each with a flag for another one.
        for _ in 0..3 {
            if skip(1)? & 0x01 == 0 {
                break;
            }
        }
    }
    if flags & STRUCTURE != 0 {
        let structure = skip(1)?;
        if structure & 0x10 != 0 {
            skip((usize::from(structure >> 5) + 1) * 4)?; // width and height of each layer
        }
        if structure & 0x08 != 0 {
            for _ in 0..skip(1)? {
                let references = usize::from(skip(1)? >> 2 & 0x03);
                if references > 0 {
                    skip(references)?;
                }
            }
        }
    }
    Some((flags, rest))
}

/// Splits a payload into "starts a frame" and what follows the descriptor; `None` if it is truncated.
#[must_use]
pub fn frame_part(payload: &[u8]) -> Option<(bool, &[u8])> {
    split(payload).map(|(flags, rest)| (flags & BEGINS != 0, rest))
}

fn place(payload: &[u8]) -> Option<Place> {
    let (flags, _) = split(payload)?;
    // A sealed frame is one layer frame, delimited by B and E; the marker ends a superframe of several.
    Some(Place { start: if flags & BEGINS != 0 { Start::Yes } else { Start::No }, ends: flags & ENDS != 0 })
}

#[derive(Debug)]
pub(super) struct Vp9;

impl PayloadFormat for Vp9 {
    fn overhead(&self) -> usize {
        DESCRIPTOR_BYTES
    }

    fn packetize(&self, frame: &[u8], kind: FrameKind, picture_id: u16, max: usize) -> Option<Vec<Vec<u8>>> {
        Some(payloads(frame, kind, picture_id, max))
    }

    fn place(&self, payload: &[u8], _marker: bool) -> Option<Place> {
        place(payload)
    }

    fn depacketize(&self, payloads: &[&[u8]]) -> Option<Vec<u8>> {
        let mut frame = Vec::with_capacity(payloads.iter().map(|payload| payload.len()).sum());
        for payload in payloads {
            frame.extend_from_slice(split(payload)?.1);
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_skipped() {
        let rest = |payload: &[u8]| split(payload).map(|(_, rest)| rest.to_vec());
        assert_eq!(rest(&[0x0c, 7]), Some(vec![7]), "flags alone");
        assert_eq!(rest(&[0x8c, 0x05, 7]), Some(vec![7]), "short picture id");
        assert_eq!(rest(&[0x8c, 0x85, 0x05, 7]), Some(vec![7]), "long picture id");
        assert_eq!(rest(&[0x2c, 0x00, 0x09, 7]), Some(vec![7]), "layers");
        assert_eq!(rest(&[0x7c, 0x00, 0x03, 0x02, 7]), Some(vec![7]), "layers and references, flexible");
        let structure = [0x0e, 0x18, 1, 64, 0, 180, 2, 0x04, 1, 0x00, 7];
        assert_eq!(rest(&structure), Some(vec![7]), "a scalability structure");
        for cut in 0..structure.len() - 1 {
            assert_eq!(rest(&structure[..cut]), None);
        }
    }
}

//! VP8 (RFC 7741). Frames are cut anywhere: partition boundaries only matter to decoders that resume inside a frame.

use super::payload_format::{PayloadFormat, Place, Start};
use e2ee_frames::FrameKind;

/// Size of the payload descriptor that we write, in bytes: X, S and a 15-bit picture id.
pub const DESCRIPTOR_BYTES: usize = 4;

/// Cuts a frame into payloads of at most `max` bytes, each with its marker bit.
///
/// Values of `max` below [`DESCRIPTOR_BYTES`] + 1 count as that.
pub fn payloads(frame: &[u8], picture_id: u16, max: usize) -> impl Iterator<Item = (bool, Vec<u8>)> {
    let room = max.saturating_sub(DESCRIPTOR_BYTES).max(1);
    let last = frame.len().div_ceil(room).saturating_sub(1);
    frame.chunks(room).enumerate().map(move |(n, chunk)| {
        let mut payload = Vec::with_capacity(DESCRIPTOR_BYTES + chunk.len());
        payload.extend_from_slice(&descriptor(n == 0, picture_id));
        payload.extend_from_slice(chunk);
        (n == last, payload)
    })
}

/// The payload descriptor (section 4.2): X, S on the first packet of a frame, PID 0, picture id.
#[must_use]
pub fn descriptor(first: bool, picture_id: u16) -> [u8; DESCRIPTOR_BYTES] {
    let [high, low] = (picture_id | 0x8000).to_be_bytes();
    [0x80 | if first { 0x10 } else { 0 }, 0x80, high, low]
}

/// Splits a payload into "starts a frame" and what follows the descriptor; `None` if it is truncated.
#[must_use]
pub fn split(payload: &[u8]) -> Option<(bool, &[u8])> {
    let first = *payload.first()?;
    let starts = first & 0x10 != 0 && first & 0x07 == 0;
    let mut length = 1;
    if first & 0x80 != 0 {
        let extensions = *payload.get(1)?;
        length += 1;
        if extensions & 0x80 != 0 {
            length += if *payload.get(length)? & 0x80 != 0 { 2 } else { 1 };
        }
        if extensions & 0x40 != 0 {
            length += 1;
        }
        if extensions & 0x30 != 0 {
            length += 1;
        }
    }
    Some((starts, payload.get(length..)?))
}

fn place(payload: &[u8], marker: bool) -> Option<Place> {
    let (starts, _) = split(payload)?;
    Some(Place { start: if starts { Start::Yes } else { Start::No }, ends: marker })
}

#[derive(Debug)]
pub(super) struct Vp8;

impl PayloadFormat for Vp8 {
    fn overhead(&self) -> usize {
        DESCRIPTOR_BYTES
    }

    fn packetize(&self, frame: &[u8], _kind: FrameKind, picture_id: u16, max: usize) -> Option<Vec<Vec<u8>>> {
        Some(payloads(frame, picture_id, max).map(|(_, payload)| payload).collect())
    }

    fn place(&self, payload: &[u8], marker: bool) -> Option<Place> {
        place(payload, marker)
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
        assert_eq!(split(&[0x10, 1, 2]), Some((true, [1, 2].as_slice())));
        assert_eq!(split(&[0x00, 1, 2]), Some((false, [1, 2].as_slice())));
        assert_eq!(split(&[0x90, 0x80, 0x05, 1]), Some((true, [1].as_slice())), "7-bit picture id");
        assert_eq!(split(&[0x90, 0xf0, 0x80, 5, 9, 9, 1]), Some((true, [1].as_slice())), "all extensions");
        assert_eq!(split(&[0x11, 1]), Some((false, [1].as_slice())), "a later partition starts no frame");
        assert_eq!(split(&[0x90, 0x80]), None);
        assert_eq!(split(&[]), None);
    }
}

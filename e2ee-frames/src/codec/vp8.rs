//! VP8: ten constant bytes before a key frame (frame tag, start code, 320 x 180), one before a delta frame.
//!
//! Depacketizers read the frame kind from bit 0 of the first byte.

use super::{EnvelopeError, FrameKind, Located, put};

const KEY: &[u8] = &[0x10, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00];
const DELTA: &[u8] = &[0x11];

fn prefix(kind: FrameKind) -> &'static [u8] {
    match kind {
        FrameKind::Key => KEY,
        FrameKind::Delta => DELTA,
    }
}

pub(super) fn write_prefix(kind: FrameKind, out: &mut [u8]) -> Result<usize, EnvelopeError> {
    put(out, prefix(kind))
}

pub(super) fn locate(frame: &[u8]) -> Result<Located, EnvelopeError> {
    for kind in [FrameKind::Delta, FrameKind::Key] {
        if frame.starts_with(prefix(kind)) {
            return Ok(Located { kind, range: prefix(kind).len()..frame.len() });
        }
    }
    Err(EnvelopeError)
}

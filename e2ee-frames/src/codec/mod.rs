//! Constant, codec-shaped envelopes around SFrame ciphertexts.
//!
//! Packetizers and depacketizers of browsers parse the first bytes of a frame. So that no byte of the frame has to stay in
//! clear, the whole frame is encrypted and preceded by a constant prefix in the codec's format:
//!
//! ```text
//!  envelope (constant, shows only key or delta) │ SFrame header │ ciphertext │ tag   [│ H.264: final 80]
//! ```
//! The envelope is in clear and carries only the frame kind, which the metadata authenticates. Parsers accept exactly the
//! constant bytes, and the framing that a depacketizer may restore around them.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod av1;
mod h264;
mod vp8;

use core::ops::Range;
pub use media_types::Codec;

/// Whether a frame can be decoded alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Needs earlier frames. Every Opus frame counts as one, and every VP9 frame on the wire.
    Delta = 0,
    /// A key frame.
    Key = 1,
}

/// Where the SFrame ciphertext of a frame lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The frame kind that the envelope shows; delta where there is no envelope.
    pub kind: FrameKind,
    /// SFrame header, ciphertext and tag; for H.264 still escaped: see [`unescape`].
    pub range: Range<usize>,
}

/// The bytes are not a frame in this codec's envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not in the envelope of its codec")]
pub struct EnvelopeError;

/// The number of a codec in the C ABI and in the authenticated metadata.
#[must_use]
pub const fn id(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => 0,
        Codec::Vp8 => 1,
        Codec::Vp9 => 2,
        Codec::Av1 => 3,
        Codec::H264 => 4,
    }
}

/// The codec with this number.
#[must_use]
pub fn from_id(number: u32) -> Option<Codec> {
    let all = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264];
    all.into_iter().find(|codec| u32::from(id(*codec)) == number)
}

/// The kind that is visible on the wire: delta for codecs without an envelope.
#[must_use]
pub fn shown(codec: Codec, kind: FrameKind) -> FrameKind {
    match codec {
        Codec::Opus | Codec::Vp9 => FrameKind::Delta,
        Codec::Vp8 | Codec::Av1 | Codec::H264 => kind,
    }
}

/// The metadata authenticated after the SFrame header: profile, codec, visible kind.
pub(crate) fn metadata(codec: Codec, kind: FrameKind) -> [u8; 3] {
    [0xc1, id(codec), shown(codec, kind) as u8]
}

/// Output bytes that suffice to seal a frame of this length, even if all of it needs escaping.
#[must_use]
pub fn max_sealed_bytes(codec: Codec, frame: usize) -> usize {
    let bytes = frame.saturating_add(64);
    match codec {
        Codec::H264 => bytes.saturating_add(frame / 2).saturating_add(32),
        _ => bytes,
    }
}

/// Writes the prefix of an SFrame ciphertext of `content` bytes and returns its length.
pub(crate) fn open_envelope(
    codec: Codec,
    kind: FrameKind,
    content: usize,
    out: &mut [u8],
) -> Result<usize, EnvelopeError> {
    match codec {
        Codec::Opus | Codec::Vp9 => Ok(0),
        Codec::Vp8 => vp8::write_prefix(kind, out),
        Codec::Av1 => av1::write_prefix(kind, content, out),
        Codec::H264 => h264::write_prefix(kind, out),
    }
}

/// Completes a frame whose envelope has `start` bytes and whose ciphertext ends at `end`. Returns its length.
pub(crate) fn close_envelope(codec: Codec, start: usize, end: usize, out: &mut [u8]) -> Result<usize, EnvelopeError> {
    match codec {
        Codec::H264 => h264::close(start, end, out),
        _ => Ok(end),
    }
}

/// Finds the SFrame ciphertext of a frame by its structure. Nothing is authenticated yet.
///
/// # Errors
/// If the bytes around it are not this codec's envelope.
pub fn locate(codec: Codec, frame: &[u8]) -> Result<Located, EnvelopeError> {
    match codec {
        Codec::Opus | Codec::Vp9 => Ok(Located { kind: FrameKind::Delta, range: 0..frame.len() }),
        Codec::Vp8 => vp8::locate(frame),
        Codec::Av1 => av1::locate(frame),
        Codec::H264 => h264::locate(frame),
    }
}

/// Removes a codec's escaping from located bytes in place and returns the remaining length. Only H.264 escapes.
///
/// # Errors
/// If escaping cannot have produced the bytes.
pub fn unescape(codec: Codec, located: &mut [u8]) -> Result<usize, EnvelopeError> {
    match codec {
        Codec::H264 => h264::unescape(located),
        _ => Ok(located.len()),
    }
}

/// The first bytes of located content without escaping, enough for an SFrame header. Does not change the frame.
pub(crate) fn peek(codec: Codec, located: &[u8]) -> ([u8; crate::sframe::header::MAX_BYTES], usize) {
    let mut head = [0; crate::sframe::header::MAX_BYTES];
    if codec != Codec::H264 {
        let length = located.len().min(head.len());
        head.iter_mut().zip(located).for_each(|(slot, byte)| *slot = *byte);
        return (head, length);
    }
    let (mut length, mut zeros) = (0usize, 0u8);
    for &byte in located {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros.saturating_add(1) } else { 0 };
        let Some(slot) = head.get_mut(length) else { break };
        *slot = byte;
        length = length.saturating_add(1);
    }
    (head, length)
}

/// Copies `bytes` to the front of `out`.
fn put(out: &mut [u8], bytes: &[u8]) -> Result<usize, EnvelopeError> {
    out.get_mut(..bytes.len()).ok_or(EnvelopeError)?.copy_from_slice(bytes);
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;

    const ALL: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264];

    fn wrap(codec: Codec, kind: FrameKind, content: &[u8]) -> Vec<u8> {
        let mut out = vec![0xee; max_sealed_bytes(codec, content.len())];
        let start = open_envelope(codec, kind, content.len(), &mut out).unwrap();
        let end = start + content.len();
        out[start..end].copy_from_slice(content);
        let length = close_envelope(codec, start, end, &mut out).unwrap();
        out.truncate(length);
        out
    }

    fn unwrap(codec: Codec, mut frame: Vec<u8>) -> Result<(FrameKind, Vec<u8>), EnvelopeError> {
        let located = locate(codec, &frame)?;
        let (head, peeked) = peek(codec, &frame[located.range.clone()]);
        let length = unescape(codec, &mut frame[located.range.clone()])?;
        let content = frame[located.range.start..located.range.start + length].to_vec();
        assert_eq!(head[..peeked], content[..content.len().min(head.len())], "a peek sees what unescaping yields");
        Ok((located.kind, content))
    }

    #[test]
    fn envelope_bytes() {
        let content = [0xaa; 3];
        let hex = |codec, kind| data_encoding::HEXLOWER.encode(&wrap(codec, kind, &content));
        assert_eq!(hex(Codec::Opus, FrameKind::Delta), "aaaaaa");
        assert_eq!(hex(Codec::Vp9, FrameKind::Key), "aaaaaa");
        assert_eq!(hex(Codec::Vp8, FrameKind::Key), "1000009d012a4001b400aaaaaa");
        assert_eq!(hex(Codec::Vp8, FrameKind::Delta), "11aaaaaa");
        assert_eq!(hex(Codec::Av1, FrameKind::Key), "0a0b000000043cffbcfbf980403203aaaaaa");
        assert_eq!(hex(Codec::Av1, FrameKind::Delta), "3203aaaaaa");
        assert_eq!(hex(Codec::H264, FrameKind::Delta), "00000001419a84aaaaaa80");
        assert_eq!(
            hex(Codec::H264, FrameKind::Key),
            "000000016742c01f8c8d40501ed00f08846a0000000168ce3c8000000001658884aaaaaa80"
        );
    }

    #[test]
    fn flipped_envelope_bit_is_refused_or_visible() {
        let content = [0x5a; 40];
        for codec in ALL {
            for kind in [FrameKind::Delta, FrameKind::Key] {
                let frame = wrap(codec, kind, &content);
                let envelope = frame.windows(40).position(|window| window == content).unwrap();
                for bit in 0..envelope * 8 {
                    let mut flipped = frame.clone();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    assert_ne!(
                        unwrap(codec, flipped),
                        Ok((shown(codec, kind), content.to_vec())),
                        "{codec:?} bit {bit}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn envelope_round_trip(
            content in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..600),
                // Many bytes that H.264 must escape.
                proptest::collection::vec(prop_oneof![5 => Just(0u8), 1 => 0u8..5], 0..600),
            ],
            key: bool,
        ) {
            let kind = if key { FrameKind::Key } else { FrameKind::Delta };
            for codec in ALL {
                let frame = wrap(codec, kind, &content);
                prop_assert!(frame.len() <= max_sealed_bytes(codec, content.len()));
                prop_assert_eq!(unwrap(codec, frame), Ok((shown(codec, kind), content.clone())));
            }
        }

        #[test]
        fn parsers_are_total(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4], 0..300)) {
            for codec in ALL {
                let _ = unwrap_any(codec, bytes.clone());
            }
        }
    }

    fn unwrap_any(codec: Codec, mut frame: Vec<u8>) -> Result<usize, EnvelopeError> {
        let located = locate(codec, &frame)?;
        unescape(codec, &mut frame[located.range])
    }
}

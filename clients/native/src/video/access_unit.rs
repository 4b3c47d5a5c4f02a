//! What the plaintext of an encoded frame reveals: whether it is a key frame, and its size.
//!
//! Sealing needs the kind of a frame, and external encoders do not always report it.

use super::h264::nal_units;
use e2ee_frames::{Codec, FrameKind};

/// Whether an access unit is a key frame. Unreadable access units count as delta frames.
#[must_use]
pub fn kind_of_access_unit(codec: Codec, unit: &[u8]) -> FrameKind {
    let key = match codec {
        Codec::Opus => false,
        // RFC 6386 section 9.1.
        Codec::Vp8 => unit.first().is_some_and(|byte| byte & 0x01 == 0),
        Codec::Vp9 => vp9_key(unit).unwrap_or(false),
        // Real-time encoders put a sequence header before each key frame, and nowhere else.
        Codec::Av1 => av1_obu_types(unit).any(|kind| kind == 1),
        Codec::H264 => nal_units(unit).any(|unit| unit.first().is_some_and(|header| header & 0x1f == 5)),
    };
    if key { FrameKind::Key } else { FrameKind::Delta }
}

/// Width and height in pixels; only of VP8 key frames.
#[must_use]
pub fn dimensions(codec: Codec, unit: &[u8]) -> Option<(u16, u16)> {
    if codec != Codec::Vp8 || kind_of_access_unit(codec, unit) != FrameKind::Key {
        return None;
    }
    // RFC 6386 section 9.1: a start code, then 14 bits each.
    let sizes = unit.get(3..10)?.strip_prefix(&[0x9d, 0x01, 0x2a])?;
    let (width, height) = sizes.split_first_chunk::<2>()?;
    let height = height.first_chunk::<2>()?;
    Some((u16::from_le_bytes(*width) & 0x3fff, u16::from_le_bytes(*height) & 0x3fff))
}

/// The uncompressed header (VP9 bitstream specification, section 6.2): marker, profile, show_existing_frame,
/// frame_type.
fn vp9_key(unit: &[u8]) -> Option<bool> {
    let first = *unit.first()?;
    let mut bits = (0..8).rev().map(|bit| first >> bit & 1);
    let mut bit = || bits.next();
    if (bit()?, bit()?) != (1, 0) {
        return None;
    }
    let profile = bit()? | bit()? << 1;
    if profile == 3 {
        bit()?;
    }
    let existing = bit()?;
    Some(existing == 0 && bit()? == 0)
}

/// OBU types of a temporal unit.
fn av1_obu_types(unit: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = unit;
    std::iter::from_fn(move || {
        let (&header, mut behind) = rest.split_first()?;
        if header & 0x04 != 0 {
            behind = behind.get(1..)?;
        }
        rest = if header & 0x02 == 0 {
            &[]
        } else {
            let length = behind.iter().take(5).position(|byte| byte & 0x80 == 0)? + 1;
            let (size, behind) = behind.split_at_checked(length)?;
            let size = size.iter().rev().fold(0u64, |size, byte| size << 7 | u64::from(byte & 0x7f));
            behind.get(usize::try_from(size).ok()?..)?
        };
        Some(header >> 3 & 0x0f)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn key_frames_of_each_codec_are_detected() {
        let kinds = [
            (Codec::Vp8, &[0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0][..], FrameKind::Key),
            (Codec::Vp8, &[0x11, 0, 0], FrameKind::Delta),
            (Codec::Vp9, &[0x82, 0x49, 0x83, 0x42], FrameKind::Key),
            (Codec::Vp9, &[0x86, 0], FrameKind::Delta),
            (Codec::Vp9, &[0x88, 0], FrameKind::Delta),
            (Codec::Av1, &[0x12, 0, 0x0a, 1, 0, 0x32, 1, 0], FrameKind::Key),
            (Codec::Av1, &[0x12, 0, 0x32, 1, 0], FrameKind::Delta),
            (Codec::H264, &[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 1], FrameKind::Key),
            (Codec::H264, &[0, 0, 0, 1, 0x41, 1], FrameKind::Delta),
            (Codec::Opus, &[0x78], FrameKind::Delta),
        ];
        for (codec, unit, kind) in kinds {
            assert_eq!(kind_of_access_unit(codec, unit), kind, "{codec:?} {unit:x?}");
        }
    }

    #[test]
    fn vp8_dimensions_are_read() {
        let key = [0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 0x41, 0xb4, 0];
        assert_eq!(dimensions(Codec::Vp8, &key), Some((320, 180)));
        assert_eq!(dimensions(Codec::Vp8, &key[..9]), None);
        assert_eq!(dimensions(Codec::Vp8, &[0x11; 10]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_do_not_panic(unit in prop::collection::vec(any::<u8>(), 0..40)) {
            for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
                let _ = (kind_of_access_unit(codec, &unit), dimensions(codec, &unit));
            }
        }
    }
}

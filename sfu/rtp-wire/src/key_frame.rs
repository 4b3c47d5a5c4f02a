//! Detects the first packet of a key frame without reading ciphertext.
//!
//! A Dependency Descriptor decides if there is one, because the payload may then be ciphertext from its first byte.
//! Otherwise the bits decide that packetization and the constant envelope leave in clear.

use crate::{dependency_descriptor::Descriptor, vp8::Vp8Descriptor};
use media_types::Codec;

/// Returns whether a packet is the first of a frame from which decoding can start; true for every Opus packet.
#[must_use]
#[inline]
pub fn starts_key_frame(codec: Codec, dependency: Option<&[u8]>, payload: &[u8]) -> bool {
    if let Some(descriptor) = dependency.and_then(Descriptor::parse) {
        return descriptor.starts_key_frame();
    }
    match codec {
        Codec::Opus => true,
        Codec::Vp8 => Vp8Descriptor::parse(payload).is_some_and(|descriptor| descriptor.starts_key_frame(payload)),
        Codec::Vp9 => vp9(payload).unwrap_or(false),
        // N of the aggregation header: first packet of a coded video sequence.
        Codec::Av1 => payload.first().is_some_and(|header| header & 0x08 != 0),
        Codec::H264 => h264(payload).unwrap_or(false),
    }
}

/// RFC 9628 section 4.2: start of a frame in spatial layer 0 without inter-frame prediction.
fn vp9(payload: &[u8]) -> Option<bool> {
    let mut bytes = payload.iter().copied();
    let first = bytes.next()?;
    if first & 0x80 != 0 && bytes.next()? & 0x80 != 0 {
        bytes.next()?; // picture id of 15 bits
    }
    let spatial = if first & 0x20 == 0 { 0 } else { bytes.next()? >> 1 & 0x07 };
    Some(first & 0x40 == 0 && first & 0x08 != 0 && spatial == 0)
}

/// RFC 6184: a parameter set or an IDR slice, alone, first in a STAP-A, or at the start of an FU-A.
fn h264(payload: &[u8]) -> Option<bool> {
    let nal = payload.first()? & 0x1f;
    let kind = match nal {
        24 => payload.get(3)? & 0x1f,
        28 => {
            let fragment = payload.get(1)?;
            if fragment & 0x80 == 0 {
                return Some(false);
            }
            fragment & 0x1f
        }
        kind => kind,
    };
    Some(matches!(kind, 5 | 7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dependency_descriptor_overrides_the_payload() {
        let key_looking = [0x10, 0x10];
        assert!(starts_key_frame(Codec::Vp8, None, &key_looking));
        assert!(!starts_key_frame(Codec::Vp8, Some(&[0x80, 0, 1]), &key_looking));
        assert!(starts_key_frame(Codec::Vp8, Some(&[0x80, 0, 1, 0x80]), &[0x10, 0x11]));
    }

    #[test]
    fn vp9_key_frame_starts_unpredicted_in_layer_0() {
        assert!(starts_key_frame(Codec::Vp9, None, &[0x88, 0x05, 0]));
        assert!(starts_key_frame(Codec::Vp9, None, &[0xa8, 0x85, 0x05, 0x00, 0]));
        assert!(!starts_key_frame(Codec::Vp9, None, &[0xa8, 0x85, 0x05, 0x02, 0]), "spatial layer 1");
        assert!(!starts_key_frame(Codec::Vp9, None, &[0xc8, 0x05, 0]), "predicted");
        assert!(!starts_key_frame(Codec::Vp9, None, &[0x80, 0x05, 0]), "not the start");
    }

    #[test]
    fn av1_key_frame_sets_the_new_sequence_bit() {
        assert!(starts_key_frame(Codec::Av1, None, &[0x18]));
        assert!(!starts_key_frame(Codec::Av1, None, &[0x10]));
    }

    #[test]
    fn h264_key_frame_has_a_parameter_set_or_idr_slice() {
        assert!(starts_key_frame(Codec::H264, None, &[0x67, 1]));
        assert!(starts_key_frame(Codec::H264, None, &[0x78, 0, 9, 0x67]));
        assert!(starts_key_frame(Codec::H264, None, &[0x7c, 0x85]));
        assert!(!starts_key_frame(Codec::H264, None, &[0x7c, 0x05]), "the middle of a fragmented slice");
        assert!(!starts_key_frame(Codec::H264, None, &[0x41, 0x9a]));
    }

    proptest! {
        #[test]
        fn detection_is_total(payload in prop::collection::vec(any::<u8>(), 0..8), dependency in prop::option::of(prop::collection::vec(any::<u8>(), 0..8))) {
            for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
                let _ = starts_key_frame(codec, dependency.as_deref(), &payload);
            }
        }
    }
}

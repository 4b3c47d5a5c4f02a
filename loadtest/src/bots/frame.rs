//! The contents of the frames that publishers send, which a receiver recognises.

use e2ee_frames::{
    Codec, codec,
    sframe::header::{self, Header},
};
use tacet_native::video::{VP8_DESCRIPTOR_BYTES, split_vp8, split_vp9};

/// Maximum RTP payload: with header, extensions and tag it makes a datagram of about 1,200 bytes, which every path
/// carries.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 1_170;

/// Maximum overhead of a delta frame: descriptor, envelope, SFrame header, tag.
const OVERHEAD_BYTES: usize = VP8_DESCRIPTOR_BYTES + 1 + 7 + 16;

/// Last bytes of every frame before it is sealed.
const MARK: &[u8; 16] = b"tacet load frame";

/// Writes contents that begin with an image, which may be empty: `length` bytes, but at least the image and [`MARK`].
pub(crate) fn write_contents(image: &[u8], length: usize, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(image);
    out.resize(length.saturating_sub(MARK.len()).max(image.len()), 0x5a);
    out.extend_from_slice(MARK);
}

/// Size of the contents for which a VP8 delta frame has an RTP payload of `bytes` bytes.
pub(crate) fn contents_for_payload(bytes: usize) -> usize {
    bytes.saturating_sub(OVERHEAD_BYTES)
}

/// Whether an opened frame is one of ours.
pub(crate) fn is_ours(frame: &[u8]) -> bool {
    frame.ends_with(MARK)
}

/// The clear header of a sealed frame, or of its first packet: key id and counter.
pub(crate) fn header(codec: Codec, sealed: &[u8]) -> Option<Header> {
    let located = codec::locate(codec, sealed).ok()?;
    Some(header::parse(sealed.get(located.range)?).ok()?.0)
}

/// Key id and counter if a frame begins in this payload.
pub(crate) fn begins(codec: Codec, payload: &[u8]) -> Option<(u64, u64)> {
    let start = match codec {
        Codec::Opus => payload,
        Codec::Vp9 => split_vp9(payload).filter(|(starts, _)| *starts)?.1,
        _ => split_vp8(payload).filter(|(starts, _)| *starts)?.1,
    };
    header(codec, start).map(|header| (header.kid, header.ctr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_recognised() {
        let mut contents = Vec::new();
        for (image, length, written) in [(0, 1_000, 1_000), (0, 20, 20), (0, 3, 16), (50, 1_000, 1_000), (50, 60, 66)] {
            write_contents(&vec![7; image], length, &mut contents);
            assert_eq!(contents.len(), written);
            assert!(is_ours(&contents) && contents.starts_with(&vec![7; image]));
        }
        assert!(!is_ours(&[0; 20]));
        assert_eq!(header(Codec::Vp8, &[0xff; 40]), None);
        assert_eq!(begins(Codec::Vp8, &[]), None);
        assert_eq!(begins(Codec::Opus, &[]), None);
    }
}

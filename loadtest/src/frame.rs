//! The frames that publishers send: sealed like any other, with contents that a receiver recognises.

use e2ee_frames::{
    Codec, codec,
    sframe::header::{self, Header},
};

/// First bytes of every frame before it is sealed.
const MARK: &[u8; 16] = b"tacet load frame";

/// Contents of `length` bytes, at least [`MARK`]'s.
pub(crate) fn contents(length: usize) -> Vec<u8> {
    let mut frame = MARK.to_vec();
    frame.resize(length.max(MARK.len()), 0x5a);
    frame
}

/// Whether an opened frame is one of ours.
pub(crate) fn is_ours(frame: &[u8]) -> bool {
    frame.starts_with(MARK)
}

/// The clear header of a sealed VP8 frame: key id and counter.
pub(crate) fn header(sealed: &[u8]) -> Option<Header> {
    let located = codec::locate(Codec::Vp8, sealed).ok()?;
    Some(header::parse(sealed.get(located.range)?).ok()?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_their_length_and_are_recognised() {
        assert_eq!(contents(1_000).len(), 1_000);
        assert!(is_ours(&contents(20)) && !is_ours(&[0; 20]));
        assert_eq!(header(&[0xff; 40]), None);
    }
}

//! AV1: the ciphertext is the payload of one frame OBU, after a constant sequence header in key frames.
//!
//! A depacketizer may prepend a temporal delimiter. Every OBU has a size field, minimally encoded.

use super::{EnvelopeError, FrameKind, Located, put};

const TEMPORAL_DELIMITER: &[u8] = &[0x12, 0x00];
const SEQUENCE_HEADER: &[u8] = &[0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xff, 0xbc, 0xfb, 0xf9, 0x80, 0x40];
/// Header of an OBU of type 6 (frame) with a size field and no extension.
const FRAME: u8 = 0x32;

/// Maximum length of an encoded 32-bit size.
const MAX_SIZE_BYTES: usize = 5;

pub(super) fn write_prefix(kind: FrameKind, content: usize, out: &mut [u8]) -> Result<usize, EnvelopeError> {
    let sequence = match kind {
        FrameKind::Key => put(out, SEQUENCE_HEADER)?,
        FrameKind::Delta => 0,
    };
    let out = out.get_mut(sequence..).ok_or(EnvelopeError)?;
    let header = put(out, &[FRAME])?;
    let size = put_size(content, out.get_mut(header..).ok_or(EnvelopeError)?)?;
    Ok(sequence.saturating_add(header).saturating_add(size))
}

/// Writes a size as leb128.
fn put_size(size: usize, out: &mut [u8]) -> Result<usize, EnvelopeError> {
    let mut rest = u32::try_from(size).map_err(|_| EnvelopeError)?;
    for (index, slot) in out.iter_mut().enumerate() {
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            *slot = low;
            return Ok(index.saturating_add(1));
        }
        *slot = low | 0x80;
    }
    Err(EnvelopeError)
}

/// Parses a minimal leb128 size. Returns it and the bytes that follow.
fn take_size(bytes: &[u8]) -> Result<(usize, &[u8]), EnvelopeError> {
    let mut size: u64 = 0;
    let shifts = (0u32..).step_by(7);
    for ((index, byte), shift) in bytes.iter().enumerate().zip(shifts).take(MAX_SIZE_BYTES) {
        size |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let minimal = index == 0 || *byte != 0;
            let rest = bytes.get(index.saturating_add(1)..).filter(|_| minimal).ok_or(EnvelopeError)?;
            return Ok((usize::try_from(size).map_err(|_| EnvelopeError)?, rest));
        }
    }
    Err(EnvelopeError)
}

pub(super) fn locate(frame: &[u8]) -> Result<Located, EnvelopeError> {
    let rest = frame.strip_prefix(TEMPORAL_DELIMITER).unwrap_or(frame);
    let (kind, rest) = match rest.strip_prefix(SEQUENCE_HEADER) {
        Some(rest) => (FrameKind::Key, rest),
        None => (FrameKind::Delta, rest),
    };
    let (size, content) = take_size(rest.strip_prefix(&[FRAME]).ok_or(EnvelopeError)?)?;
    if size != content.len() {
        return Err(EnvelopeError);
    }
    Ok(Located { kind, range: frame.len().saturating_sub(size)..frame.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn leading_temporal_delimiter_is_accepted() {
        let located = locate(&[0x12, 0x00, 0x32, 0x01, 0xaa]).unwrap();
        assert_eq!((located.kind, located.range), (FrameKind::Delta, 4..5));
    }

    #[test]
    fn obu_size_is_minimal() {
        assert!(locate(&[0x32, 0x81, 0x00, 0xaa]).is_err(), "two bytes for one");
        assert!(locate(&[0x32, 0x02, 0xaa]).is_err(), "too few bytes");
        assert!(locate(&[0x32, 0x01, 0xaa, 0xbb]).is_err(), "bytes left over");
        assert!(locate(&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).is_err(), "endless size");
        let mut out = vec![0; 8];
        assert_eq!(put_size(300, &mut out), Ok(2));
        assert_eq!(take_size(&out[..2]), Ok((300, &[][..])));
    }
}

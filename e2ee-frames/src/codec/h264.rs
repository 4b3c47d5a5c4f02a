//! H.264: constant SPS, PPS and start of a slice, then the ciphertext with emulation prevention and a final 80.
//!
//! Inside a NAL unit, 00 00 before a byte of 0..=3 gets a 03 between (ITU-T H.264 7.4.1). The final 80 keeps the unit
//! from ending in 00, which Annex B would strip. Depacketizers restore start codes of three or four bytes.

use super::{EnvelopeError, FrameKind, Located, put};

const START: &[u8] = &[0, 0, 1];
const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0xd0, 0x0f, 0x08, 0x84, 0x6a];
const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
const KEY_SLICE: &[u8] = &[0x65, 0x88, 0x84];
const DELTA_SLICE: &[u8] = &[0x41, 0x9a, 0x84];
const FINAL: u8 = 0x80;

pub(super) fn write_prefix(kind: FrameKind, out: &mut [u8]) -> Result<usize, EnvelopeError> {
    let units: &[&[u8]] = match kind {
        FrameKind::Key => &[SPS, PPS, KEY_SLICE],
        FrameKind::Delta => &[DELTA_SLICE],
    };
    let mut length: usize = 0;
    for unit in units {
        for bytes in [&[0], START, unit] {
            length = length.saturating_add(put(out.get_mut(length..).ok_or(EnvelopeError)?, bytes)?);
        }
    }
    Ok(length)
}

/// Counts the bytes that escaping adds.
fn escapes(content: &[u8]) -> usize {
    let (mut zeros, mut escapes) = (0u8, 0usize);
    for &byte in content {
        if zeros >= 2 && byte <= 3 {
            escapes = escapes.saturating_add(1);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros.saturating_add(1) } else { 0 };
    }
    escapes
}

/// Escapes `out[start..end]` in place, appends the final byte and returns the length.
pub(super) fn close(start: usize, end: usize, out: &mut [u8]) -> Result<usize, EnvelopeError> {
    let added = escapes(out.get(start..end).ok_or(EnvelopeError)?);
    let escaped_end = end.checked_add(added).ok_or(EnvelopeError)?;
    *out.get_mut(escaped_end).ok_or(EnvelopeError)? = FINAL;
    if added > 0 {
        // The content is moved back by the number of inserted bytes, so that its escaped form never overtakes it.
        out.copy_within(start..end, start.saturating_add(added));
        let (mut read, mut write, mut zeros) = (start.saturating_add(added), start, 0u8);
        let mut push = |out: &mut [u8], byte| {
            if let Some(slot) = out.get_mut(write) {
                *slot = byte;
            }
            write = write.saturating_add(1);
        };
        while let Some(&byte) = out.get(read).filter(|_| read < escaped_end) {
            if zeros >= 2 && byte <= 3 {
                push(out, 3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros.saturating_add(1) } else { 0 };
            push(out, byte);
            read = read.saturating_add(1);
        }
    }
    Ok(escaped_end.saturating_add(1))
}

/// Strips a start code of three or four bytes, then an entire constant unit.
fn strip_unit<'a>(rest: &'a [u8], unit: &[u8]) -> Option<&'a [u8]> {
    let rest = rest.strip_prefix(&[0]).filter(|rest| rest.starts_with(START)).unwrap_or(rest);
    rest.strip_prefix(START)?.strip_prefix(unit)
}

pub(super) fn locate(frame: &[u8]) -> Result<Located, EnvelopeError> {
    let (kind, rest) = match strip_unit(frame, DELTA_SLICE) {
        Some(rest) => (FrameKind::Delta, rest),
        None => {
            let rest = strip_unit(frame, SPS).and_then(|rest| strip_unit(rest, PPS));
            (FrameKind::Key, rest.and_then(|rest| strip_unit(rest, KEY_SLICE)).ok_or(EnvelopeError)?)
        }
    };
    let content = rest.strip_suffix(&[FINAL]).ok_or(EnvelopeError)?;
    let start = frame.len().saturating_sub(rest.len());
    Ok(Located { kind, range: start..start.saturating_add(content.len()) })
}

/// Removes emulation prevention in place and returns the length. Rejects bytes that escaping cannot produce.
pub(super) fn unescape(content: &mut [u8]) -> Result<usize, EnvelopeError> {
    let (mut write, mut zeros) = (0usize, 0u8);
    let mut read = 0usize;
    while let Some(&byte) = content.get(read) {
        read = read.saturating_add(1);
        if zeros >= 2 {
            match byte {
                3 if content.get(read).is_some_and(|next| *next <= 3) => {
                    zeros = 0;
                    continue;
                }
                0..=3 => return Err(EnvelopeError),
                _ => {}
            }
        }
        zeros = if byte == 0 { zeros.saturating_add(1) } else { 0 };
        if let Some(slot) = content.get_mut(write) {
            *slot = byte;
        }
        write = write.saturating_add(1);
    }
    Ok(write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    fn escaped(content: &[u8]) -> Vec<u8> {
        let mut out = content.to_vec();
        out.resize(content.len() * 2 + 1, 0xee);
        let length = close(0, content.len(), &mut out).unwrap();
        out.truncate(length);
        out
    }

    #[test]
    fn h264_escapes_as_annex_b() {
        assert_eq!(escaped(&[0, 0, 0, 0, 0]), [0, 0, 3, 0, 0, 3, 0, FINAL]);
        assert_eq!(escaped(&[0, 0, 1, 0, 0, 3]), [0, 0, 3, 1, 0, 0, 3, 3, FINAL]);
        assert_eq!(escaped(&[0, 0, 4, 0, 0]), [0, 0, 4, 0, 0, FINAL]);
    }

    #[test]
    fn short_output_is_refused() {
        let mut out = vec![0; 6];
        assert!(close(0, 6, &mut out).is_err());
    }

    #[test]
    fn start_code_in_content_is_refused() {
        for content in [[0, 0, 1, 9], [0, 0, 0, 9], [0, 0, 2, 9], [0, 0, 3, 9]] {
            assert!(unescape(&mut content.clone()).is_err());
        }
    }

    #[test]
    fn three_byte_start_code_is_accepted() {
        let frame = [START, SPS, START, PPS, START, KEY_SLICE, &[0xaa, FINAL]].concat();
        let located = locate(&frame).unwrap();
        assert_eq!((located.kind, &frame[located.range]), (FrameKind::Key, &[0xaa][..]));
    }
}

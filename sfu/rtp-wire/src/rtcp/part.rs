//! The header that every part of a compound packet starts with (RFC 3550 section 6.4).
//!
//! ```text
//!  0                   1                   2                   3
//! |V=2|P|  count  |  packet type  |   length in words, minus one   |
//! ```

use crate::bytes::u16_at;
use media_types::Ssrc;

/// Packet types (RFC 3550 section 12.1, RFC 4585 section 6.1).
pub(super) mod packet_type {
    pub(in super::super) const SENDER_REPORT: u8 = 200;
    pub(in super::super) const RECEIVER_REPORT: u8 = 201;
    pub(in super::super) const SOURCE_DESCRIPTION: u8 = 202;
    pub(in super::super) const BYE: u8 = 203;
    pub(in super::super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(in super::super) const PAYLOAD_FEEDBACK: u8 = 206;
}

/// Feedback message types: the count field of `TRANSPORT_FEEDBACK` and `PAYLOAD_FEEDBACK`.
pub(super) mod format {
    /// Transport feedback: generic NACK (RFC 4585 section 6.2.1).
    pub(in super::super) const NACK: u8 = 1;
    /// Transport feedback: congestion control feedback (RFC 8888 section 3.1).
    pub(in super::super) const CCFB: u8 = 11;
    /// Transport feedback: TWCC (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
    pub(in super::super) const TWCC: u8 = 15;
    /// Payload feedback: picture loss indication (RFC 4585 section 6.3.1).
    pub(in super::super) const PLI: u8 = 1;
    /// Payload feedback: full intra request (RFC 5104 section 4.3.1).
    pub(in super::super) const FIR: u8 = 4;
}

/// Splits the first part off by its length field: the part with its header, and the bytes after it.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.first()? >> 6 != 2 {
        return None;
    }
    let words = usize::from(u16_at(bytes, 2)?).checked_add(1)?;
    bytes.split_at_checked(words.checked_mul(4)?)
}

/// Appends a part's header and its first SSRC; returns the offset of the part in `out`.
pub(super) fn begin(out: &mut Vec<u8>, count: u8, packet_type: u8, ssrc: Ssrc) -> usize {
    let start = out.len();
    out.extend([0x80 | count & 0x1f, packet_type, 0, 0]);
    out.extend(ssrc.0.to_be_bytes());
    start
}

/// Pads the part that starts at `start` to whole words with zeros and sets its length field.
pub(super) fn finish(out: &mut Vec<u8>, start: usize) {
    while !out.len().saturating_sub(start).is_multiple_of(4) {
        out.push(0);
    }
    let words = (out.len().saturating_sub(start) / 4).saturating_sub(1);
    let length = u16::try_from(words).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(field) = out.get_mut(start.saturating_add(2)..).and_then(|header| header.get_mut(..2)) {
        field.copy_from_slice(&length);
    }
}

//! View of an RTP packet (RFC 3550 section 5.1).

use crate::{
    bytes::{u16_at, u32_at},
    extension::{self, Extensions},
    seq::SeqNum,
};
use media_types::Ssrc;

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Shorter than the header says.
    #[error("truncated RTP packet")]
    Truncated,
    /// Not version 2.
    #[error("not RTP version 2")]
    Version,
    /// The padding count is zero, or exceeds the payload.
    #[error("invalid RTP padding")]
    Padding,
}

/// A parsed RTP packet.
#[derive(Clone, Copy, Debug)]
pub struct RtpPacket<'a> {
    /// Marker bit.
    pub marker: bool,
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub seq: SeqNum,
    /// Timestamp, in units of the codec's clock.
    pub timestamp: u32,
    /// SSRC of the stream.
    pub ssrc: Ssrc,
    /// Header extensions.
    pub extensions: Extensions<'a>,
    /// Payload without padding; empty in a padding-only packet.
    pub payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Length of the fixed header in bytes.
    pub const FIXED_HEADER: usize = 12;

    /// Parses one clear packet.
    ///
    /// # Errors
    /// [`RtpError`] if `packet` is not exactly one well-formed packet.
    #[inline]
    pub fn parse(packet: &'a [u8]) -> Result<Self, RtpError> {
        let (&[first, second], _) = packet.split_first_chunk().ok_or(RtpError::Truncated)?;
        if first >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let header = || {
            let contributing = usize::from(first & 0x0f).checked_mul(4)?;
            let after_fixed = packet.get(Self::FIXED_HEADER..)?.get(contributing..)?;
            let (extensions, body) =
                if first & 0x10 == 0 { (Extensions::default(), after_fixed) } else { extension::split(after_fixed)? };
            Some((u16_at(packet, 2)?, u32_at(packet, 4)?, u32_at(packet, 8)?, extensions, body))
        };
        let (seq, timestamp, ssrc, extensions, body) = header().ok_or(RtpError::Truncated)?;
        let payload = if first & 0x20 == 0 {
            body
        } else {
            let padding = usize::from(*body.last().ok_or(RtpError::Padding)?);
            if padding == 0 {
                return Err(RtpError::Padding);
            }
            let length = body.len().checked_sub(padding).ok_or(RtpError::Padding)?;
            body.get(..length).ok_or(RtpError::Padding)?
        };
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            seq: SeqNum(seq),
            timestamp,
            ssrc: Ssrc(ssrc),
            extensions,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![first, 0x80 | 96, 0x12, 0x34, 0, 0, 0, 7, 0xaa, 0xbb, 0xcc, 0xdd];
        packet.extend_from_slice(rest);
        packet
    }

    #[test]
    fn fixed_header_is_parsed() {
        let bytes = packet(0x80, b"payload");
        let view = RtpPacket::parse(&bytes).unwrap();
        assert_eq!((view.marker, view.payload_type, view.seq, view.timestamp), (true, 96, SeqNum(0x1234), 7));
        assert_eq!((view.ssrc, view.payload), (Ssrc(0xaabb_ccdd), &b"payload"[..]));
    }

    #[test]
    fn payload_excludes_csrcs_extensions_and_padding() {
        let mut rest = vec![0, 0, 0, 1]; // one contributing source
        rest.extend([0xbe, 0xde, 0, 1, 0x20, 0x85, 0, 0]);
        rest.extend(b"media");
        rest.extend([0, 0, 3]);
        let bytes = packet(0x80 | 0x20 | 0x10 | 1, &rest);
        let view = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(view.payload, b"media");
        assert_eq!(view.extensions.get(2), Some(&[0x85][..]));
    }

    #[test]
    fn padding_only_packet_has_an_empty_payload() {
        let bytes = packet(0xa0, &[0, 0, 0, 4]);
        assert!(RtpPacket::parse(&bytes).unwrap().payload.is_empty());
    }

    #[test]
    fn malformed_packets_are_refused() {
        assert_eq!(RtpPacket::parse(&[0x80]).unwrap_err(), RtpError::Truncated);
        assert_eq!(RtpPacket::parse(&packet(0x40, &[])).unwrap_err(), RtpError::Version);
        assert_eq!(RtpPacket::parse(&packet(0xa0, &[9])).unwrap_err(), RtpError::Padding);
        assert_eq!(RtpPacket::parse(&packet(0xa0, &[0])).unwrap_err(), RtpError::Padding);
        assert_eq!(RtpPacket::parse(&packet(0x90, &[0xbe, 0xde, 0, 9])).unwrap_err(), RtpError::Truncated);
        assert_eq!(RtpPacket::parse(&packet(0x83, &[])).unwrap_err(), RtpError::Truncated);
    }

    proptest! {
        #[test]
        fn parsing_is_total(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            if let Ok(view) = RtpPacket::parse(&bytes) {
                prop_assert!(view.payload.len() <= bytes.len());
                let _ = view.extensions.count();
            }
        }
    }
}

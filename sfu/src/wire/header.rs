//! Writes the RTP headers of forwarded packets.
//!
//! A packet goes out to many subscribers under headers that differ in a few fixed places. So the header is built once,
//! with the extensions of the fixed table ([`crate::media`]), and then patched per subscriber.

use super::{dependency, rtp::RtpPacket, seq::SeqNum};
use crate::{ids::Ssrc, media};

/// The fixed part of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// Marker bit.
    pub marker: bool,
    /// Payload type; only 7 bits are used.
    pub payload_type: u8,
    /// Sequence number.
    pub seq: SeqNum,
    /// Timestamp.
    pub timestamp: u32,
    /// Source.
    pub ssrc: Ssrc,
}

/// Extensions to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderExtensions<'a> {
    /// Text of the MID, at most 16 bytes.
    pub mid: Option<&'a [u8]>,
    /// Voice bit and level.
    pub audio_level: Option<u8>,
    /// Transport-wide sequence number.
    pub transport_cc: Option<u16>,
    /// Dependency Descriptor, at most 255 bytes.
    pub dependency: Option<&'a [u8]>,
}

/// Fixed header, extension header, the longest of each extension in two-byte form, padding.
const MAX_HEADER: usize = 12 + 4 + (2 + 16) + (2 + 1) + (2 + 2) + (2 + 255) + 3;

/// A header under construction, of fixed size, to be kept and built anew for each packet.
#[derive(Clone, Debug)]
pub struct HeaderBuffer {
    bytes: [u8; MAX_HEADER],
    length: usize,
    transport_cc_at: Option<usize>,
    dependency_at: Option<usize>,
}

impl Default for HeaderBuffer {
    fn default() -> Self {
        Self { bytes: [0; MAX_HEADER], length: 0, transport_cc_at: None, dependency_at: None }
    }
}

impl HeaderBuffer {
    /// Builds a header. Values longer than their maximum are left out.
    pub fn build(&mut self, header: RtpHeader, extensions: HeaderExtensions<'_>) {
        let HeaderExtensions { mid, audio_level, transport_cc, dependency } = extensions;
        let mid = mid.filter(|mid| (1..=16).contains(&mid.len()));
        let dependency = dependency.filter(|value| (1..=255).contains(&value.len()));
        let any = mid.is_some() || audio_level.is_some() || transport_cc.is_some() || dependency.is_some();

        self.length = 0;
        self.transport_cc_at = None;
        self.dependency_at = None;
        self.push(&[0x80 | u8::from(any) << 4, u8::from(header.marker) << 7 | header.payload_type & 0x7f]);
        self.push(&header.seq.0.to_be_bytes());
        self.push(&header.timestamp.to_be_bytes());
        self.push(&header.ssrc.0.to_be_bytes());
        if !any {
            return;
        }
        // The one-byte form has no room for values above 16 bytes; both sides negotiate `extmap-allow-mixed`.
        let two_byte = dependency.is_some_and(|value| value.len() > 16);
        self.push(&if two_byte { [0x10, 0x00, 0, 0] } else { [0xbe, 0xde, 0, 0] });
        if let Some(seq) = transport_cc {
            self.element(media::TRANSPORT_CC.id, &seq.to_be_bytes(), two_byte);
            self.transport_cc_at = self.length.checked_sub(2);
        }
        if let Some(level) = audio_level {
            self.element(media::AUDIO_LEVEL.id, &[level], two_byte);
        }
        if let Some(mid) = mid {
            self.element(media::MID.id, mid, two_byte);
        }
        if let Some(value) = dependency {
            self.element(media::DEPENDENCY_DESCRIPTOR.id, value, two_byte);
            self.dependency_at = self.length.checked_sub(value.len());
        }
        while !self.length.is_multiple_of(4) {
            self.push(&[0]);
        }
        let words = self.length.saturating_sub(RtpPacket::FIXED_HEADER + 4) / 4;
        self.patch(14, &u16::try_from(words).unwrap_or_default().to_be_bytes());
    }

    /// The header.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Rewrites what differs between the streams a packet is forwarded into.
    pub fn set_stream(&mut self, ssrc: Ssrc, seq: SeqNum, timestamp: u32) {
        self.patch(2, &seq.0.to_be_bytes());
        self.patch(4, &timestamp.to_be_bytes());
        self.patch(8, &ssrc.0.to_be_bytes());
    }

    /// Says whether padding lies behind the payload (RFC 3550 section 5.1).
    pub fn set_padding(&mut self, padding: bool) {
        if let Some(first) = self.bytes.first_mut() {
            *first = *first & !0x20 | u8::from(padding) << 5;
        }
    }

    /// Rewrites the transport-wide sequence number, if the header has one.
    pub fn set_transport_cc(&mut self, seq: u16) {
        if let Some(at) = self.transport_cc_at {
            self.patch(at, &seq.to_be_bytes());
        }
    }

    /// Rewrites the frame number of the Dependency Descriptor, if the header has one.
    pub fn set_frame_number(&mut self, number: u16) {
        if let Some(value) = self.dependency_at.and_then(|at| self.bytes.get_mut(at..self.length)) {
            dependency::set_frame_number(value, number);
        }
    }

    fn element(&mut self, id: u8, value: &[u8], two_byte: bool) {
        let length = u8::try_from(value.len()).unwrap_or_default();
        if two_byte {
            self.push(&[id, length]);
        } else {
            self.push(&[id << 4 | length.saturating_sub(1) & 0x0f]);
        }
        self.push(value);
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.patch(self.length, bytes) {
            self.length = self.length.saturating_add(bytes.len());
        }
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) -> bool {
        match self.bytes.get_mut(at..).and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) => {
                room.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::extension::KnownExtensions, *};
    use proptest::prelude::*;

    fn header() -> RtpHeader {
        RtpHeader { marker: true, payload_type: 96, seq: SeqNum(9), timestamp: 77, ssrc: Ssrc(5) }
    }

    #[test]
    fn a_header_without_extensions_is_twelve_bytes() {
        let mut buffer = HeaderBuffer::default();
        buffer.build(header(), HeaderExtensions::default());
        assert_eq!(buffer.as_bytes(), [0x80, 0x80 | 96, 0, 9, 0, 0, 0, 77, 0, 0, 0, 5]);
    }

    proptest! {
        #[test]
        fn what_is_written_and_patched_is_read_back(
            mid in prop::option::of(prop::collection::vec(any::<u8>(), 1..=16)),
            audio_level in any::<Option<u8>>(),
            transport_cc in any::<Option<u16>>(),
            dependency in prop::option::of(prop::collection::vec(any::<u8>(), 3..=255)),
            frame in any::<u16>(),
        ) {
            let mut buffer = HeaderBuffer::default();
            let dependency = dependency.as_deref();
            buffer.build(header(), HeaderExtensions { mid: mid.as_deref(), audio_level, transport_cc, dependency });
            buffer.set_stream(Ssrc(6), SeqNum(10), 78);
            buffer.set_transport_cc(4_711);
            buffer.set_frame_number(frame);

            let view = RtpPacket::parse(buffer.as_bytes()).unwrap();
            prop_assert_eq!((view.ssrc, view.seq, view.timestamp, view.marker), (Ssrc(6), SeqNum(10), 78, true));
            prop_assert!(view.payload.is_empty());
            let known = KnownExtensions::read(view.extensions);
            prop_assert_eq!(known.mid, mid.as_deref());
            prop_assert_eq!(known.audio_level, audio_level);
            prop_assert_eq!(known.transport_cc, transport_cc.map(|_| 4_711));
            prop_assert_eq!(known.dependency.map(<[u8]>::len), dependency.map(<[u8]>::len));
            prop_assert_eq!(known.dependency.and_then(super::dependency::frame_number), dependency.map(|_| frame));
        }
    }
}

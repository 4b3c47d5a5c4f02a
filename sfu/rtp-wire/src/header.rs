//! Writer of the RTP headers of forwarded packets.
//!
//! The headers that one packet gets for its subscribers differ in a few fields at fixed offsets. The header is built
//! once, with the extensions of [`media_types::EXTENSIONS`], and then patched per subscriber.

use crate::{dependency_descriptor, rtp::RtpPacket, seq::SeqNum};
use media_types::{self as media, Ssrc};

/// Fields of the fixed header (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// Sequence number.
    pub seq: SeqNum,
    /// Timestamp, in units of the codec's clock.
    pub timestamp: u32,
    /// SSRC of the stream.
    pub ssrc: Ssrc,
}

/// Header extensions to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderExtensions<'a> {
    /// MID (RFC 8843), 1 to 16 bytes.
    pub mid: Option<&'a [u8]>,
    /// Voice activity bit and level (RFC 6464).
    pub audio_level: Option<u8>,
    /// Transport-wide sequence number (TWCC).
    pub twcc_seq: Option<u16>,
    /// Dependency Descriptor, 1 to 255 bytes.
    pub dependency: Option<&'a [u8]>,
    /// RID of the encoding (RFC 8852), 1 to 16 bytes. Only publishers send it.
    pub rid: Option<&'a [u8]>,
    /// RID of the repaired encoding, on an RTX stream (RFC 8852), 1 to 16 bytes. Only publishers send it.
    pub repaired_rid: Option<&'a [u8]>,
}

/// Maximum length in bytes: fixed header, extension header, each extension at its longest in two-byte form, padding.
const MAX_HEADER: usize = 12 + 4 + 3 * (2 + 16) + (2 + 1) + (2 + 2) + (2 + 255) + 3;

/// A header in a buffer of fixed size, which is reused for each packet.
#[derive(Clone, Debug)]
pub struct HeaderBuffer {
    bytes: [u8; MAX_HEADER],
    length: usize,
    twcc_at: Option<usize>,
    dependency_at: Option<usize>,
}

impl Default for HeaderBuffer {
    fn default() -> Self {
        Self { bytes: [0; MAX_HEADER], length: 0, twcc_at: None, dependency_at: None }
    }
}

impl HeaderBuffer {
    /// Builds a header. Leaves out empty extensions, and extensions longer than their maximum.
    #[inline]
    pub fn build(&mut self, header: RtpHeader, extensions: HeaderExtensions<'_>) {
        let HeaderExtensions { mid, audio_level, twcc_seq, dependency, rid, repaired_rid } = extensions;
        let dependency = dependency.filter(|value| (1..=255).contains(&value.len()));

        self.length = 0;
        self.twcc_at = None;
        self.dependency_at = None;
        self.push(&[0x90, u8::from(header.marker) << 7 | header.payload_type & 0x7f]);
        self.push(&header.seq.0.to_be_bytes());
        self.push(&header.timestamp.to_be_bytes());
        self.push(&header.ssrc.0.to_be_bytes());
        // The one-byte form cannot hold values above 16 bytes; both sides negotiate `extmap-allow-mixed` (RFC 8285 section 6).
        let two_byte = dependency.is_some_and(|value| value.len() > 16);
        self.push(&if two_byte { [0x10, 0x00, 0, 0] } else { [0xbe, 0xde, 0, 0] });
        if let Some(seq) = twcc_seq {
            self.element(media::TRANSPORT_CC.id, &seq.to_be_bytes(), two_byte);
            self.twcc_at = self.length.checked_sub(2);
        }
        if let Some(level) = audio_level {
            self.element(media::AUDIO_LEVEL.id, &[level], two_byte);
        }
        self.name(media::MID.id, mid, two_byte);
        self.name(media::RTP_STREAM_ID.id, rid, two_byte);
        self.name(media::REPAIRED_RTP_STREAM_ID.id, repaired_rid, two_byte);
        if let Some(value) = dependency {
            self.element(media::DEPENDENCY_DESCRIPTOR.id, value, two_byte);
            self.dependency_at = self.length.checked_sub(value.len());
        }
        let Some(length) = self.length.checked_sub(RtpPacket::FIXED_HEADER + 4).filter(|length| *length > 0) else {
            // No extension, and so no extension header.
            self.length = RtpPacket::FIXED_HEADER;
            self.patch(0, &[0x80]);
            return;
        };
        let words = length.div_ceil(4);
        self.push([0; 3].get(..words.saturating_mul(4).saturating_sub(length)).unwrap_or_default());
        self.patch(14, &u16::try_from(words).unwrap_or_default().to_be_bytes());
    }

    /// Returns the bytes of the header.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Overwrites the fields that differ between the streams that the packet is forwarded into.
    #[inline]
    pub fn set_stream(&mut self, ssrc: Ssrc, seq: SeqNum, timestamp: u32) {
        self.patch(2, &seq.0.to_be_bytes());
        self.patch(4, &timestamp.to_be_bytes());
        self.patch(8, &ssrc.0.to_be_bytes());
    }

    /// Sets the marker bit.
    #[inline]
    pub fn set_marker(&mut self, marker: bool) {
        if let Some(second) = self.bytes.get_mut(1) {
            *second = *second & 0x7f | u8::from(marker) << 7;
        }
    }

    /// Sets the padding bit (RFC 3550 section 5.1).
    #[inline]
    pub fn set_padding(&mut self, padding: bool) {
        if let Some(first) = self.bytes.first_mut() {
            *first = *first & !0x20 | u8::from(padding) << 5;
        }
    }

    /// Overwrites the transport-wide sequence number, if the header has one.
    #[inline]
    pub fn set_twcc_seq(&mut self, seq: u16) {
        if let Some(at) = self.twcc_at {
            self.patch(at, &seq.to_be_bytes());
        }
    }

    /// Overwrites the frame number of the Dependency Descriptor, if the header has one.
    #[inline]
    pub fn set_frame_number(&mut self, number: u16) {
        if let Some(value) = self.dependency_at.and_then(|at| self.bytes.get_mut(at..self.length)) {
            dependency_descriptor::set_frame_number(value, number);
        }
    }

    #[inline]
    fn name(&mut self, id: u8, name: Option<&[u8]>, two_byte: bool) {
        if let Some(name) = name.filter(|name| (1..=16).contains(&name.len())) {
            self.element(id, name, two_byte);
        }
    }

    #[inline]
    fn element(&mut self, id: u8, value: &[u8], two_byte: bool) {
        let length = u8::try_from(value.len()).unwrap_or_default();
        if two_byte {
            self.push(&[id, length]);
        } else {
            self.push(&[id << 4 | length.saturating_sub(1) & 0x0f]);
        }
        self.push(value);
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        if self.patch(self.length, bytes) {
            self.length = self.length.saturating_add(bytes.len());
        }
    }

    #[inline]
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
    use super::*;
    use crate::extension::KnownExtensions;
    use proptest::prelude::*;

    fn header() -> RtpHeader {
        RtpHeader { marker: true, payload_type: 96, seq: SeqNum(9), timestamp: 77, ssrc: Ssrc(5) }
    }

    #[test]
    fn header_without_extensions_has_12_bytes() {
        let mut buffer = HeaderBuffer::default();
        buffer.build(header(), HeaderExtensions::default());
        assert_eq!(buffer.as_bytes(), [0x80, 0x80 | 96, 0, 9, 0, 0, 0, 77, 0, 0, 0, 5]);
    }

    proptest! {
        #[test]
        fn written_and_patched_fields_round_trip(
            [mid, rid, repaired_rid] in prop::array::uniform3(prop::option::of(prop::collection::vec(any::<u8>(), 1..=16))),
            audio_level in any::<Option<u8>>(),
            twcc_seq in any::<Option<u16>>(),
            dependency in prop::option::of(prop::collection::vec(any::<u8>(), 3..=255)),
            frame in any::<u16>(),
        ) {
            let mut buffer = HeaderBuffer::default();
            let dependency = dependency.as_deref();
            let (mid, rid, repaired_rid) = (mid.as_deref(), rid.as_deref(), repaired_rid.as_deref());
            buffer.build(header(), HeaderExtensions { mid, audio_level, twcc_seq, dependency, rid, repaired_rid });
            buffer.set_stream(Ssrc(6), SeqNum(10), 78);
            buffer.set_twcc_seq(4_711);
            buffer.set_frame_number(frame);

            let view = RtpPacket::parse(buffer.as_bytes()).unwrap();
            prop_assert_eq!((view.ssrc, view.seq, view.timestamp, view.marker), (Ssrc(6), SeqNum(10), 78, true));
            prop_assert!(view.payload.is_empty());
            let known = KnownExtensions::read(view.extensions);
            prop_assert_eq!((known.mid, known.rid, known.repaired_rid), (mid, rid, repaired_rid));
            prop_assert_eq!(known.audio_level, audio_level);
            prop_assert_eq!(known.twcc_seq, twcc_seq.map(|_| 4_711));
            prop_assert_eq!(known.dependency.map(<[u8]>::len), dependency.map(<[u8]>::len));
            prop_assert_eq!(known.dependency.and_then(dependency_descriptor::frame_number), dependency.map(|_| frame));
        }
    }
}

//! RTP as a bot needs it (RFC 3550, RFC 8285): its own reader and writer, so that the server's are not tested with
//! themselves.

/// Fixed part of a header, in bytes.
pub(crate) const HEADER_BYTES: usize = 12;

/// The fields of a packet that a receiver reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtpView<'a> {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) payload_type: u8,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) transport_sequence: Option<u16>,
    pub(crate) payload: &'a [u8],
}

impl<'a> RtpView<'a> {
    /// Reads a packet; `transport_cc` is the id of the transport-wide sequence number.
    pub(crate) fn parse(packet: &'a [u8], transport_cc: Option<u8>) -> Option<Self> {
        let header = packet.first_chunk::<HEADER_BYTES>()?;
        if header[0] >> 6 != 2 {
            return None;
        }
        let mut rest = packet.get(HEADER_BYTES + 4 * usize::from(header[0] & 0x0f)..)?;
        let mut transport_sequence = None;
        if header[0] & 0x10 != 0 {
            let [p0, p1, l0, l1] = *rest.first_chunk::<4>()?;
            let length = 4 * usize::from(u16::from_be_bytes([l0, l1]));
            let extensions = rest.get(4..4 + length)?;
            rest = rest.get(4 + length..)?;
            if let (0xbede, Some(id)) = (u16::from_be_bytes([p0, p1]), transport_cc) {
                transport_sequence = one_byte_extension(extensions, id)
                    .and_then(|value| value.first_chunk::<2>())
                    .map(|bytes| u16::from_be_bytes(*bytes));
            }
        }
        if header[0] & 0x20 != 0 {
            let padding = usize::from(*rest.last()?);
            rest = rest.get(..rest.len().checked_sub(padding)?)?;
        }
        Some(Self {
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            sequence: u16::from_be_bytes([header[2], header[3]]),
            payload_type: header[1] & 0x7f,
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            marker: header[1] & 0x80 != 0,
            transport_sequence,
            payload: rest,
        })
    }
}

/// Finds an extension of the one-byte form.
fn one_byte_extension(mut extensions: &[u8], id: u8) -> Option<&[u8]> {
    while let Some((first, rest)) = extensions.split_first() {
        if *first == 0 {
            extensions = rest;
            continue;
        }
        let length = usize::from(first & 0x0f) + 1;
        let value = rest.get(..length)?;
        if first >> 4 == id {
            return Some(value);
        }
        extensions = rest.get(length..)?;
    }
    None
}

/// The header fields that a sender writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtpHeader {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) payload_type: u8,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Id and value of the transport-wide sequence number.
    pub(crate) transport_sequence: Option<(u8, u16)>,
    /// Id and value, in -dBov, of the audio level (RFC 6464). Above 114 the voice activity bit is not set.
    pub(crate) audio_level: Option<(u8, u8)>,
}

impl RtpHeader {
    /// Level from which the voice activity bit is cleared.
    const SILENCE: u8 = 115;

    /// Replaces the contents of `out` by the header.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        let extension = self.transport_sequence.is_some() || self.audio_level.is_some();
        out.push(0x80 | if extension { 0x10 } else { 0 });
        out.push(self.payload_type & 0x7f | if self.marker { 0x80 } else { 0 });
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        if !extension {
            return;
        }
        let words = if self.transport_sequence.is_some() && self.audio_level.is_some() { 2 } else { 1 };
        out.extend_from_slice(&[0xbe, 0xde, 0, words]);
        if let Some((id, sequence)) = self.transport_sequence {
            let [high, low] = sequence.to_be_bytes();
            out.extend_from_slice(&[(id << 4) | 1, high, low]);
        }
        if let Some((id, level)) = self.audio_level {
            let voice = if level < Self::SILENCE { 0x80 } else { 0 };
            out.extend_from_slice(&[id << 4, voice | level & 0x7f]);
        }
        out.resize(HEADER_BYTES + 4 + 4 * usize::from(words), 0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn header_round_trip(ssrc: u32, sequence: u16, timestamp: u32, marker: bool, twcc: Option<u16>,
            level: Option<u8>,
            payload in proptest::collection::vec(any::<u8>(), 0..50)) {
            let transport_sequence = twcc.map(|sequence| (3, sequence));
            let audio_level = level.map(|level| (2, level & 0x7f));
            let header =
                RtpHeader { ssrc, sequence, payload_type: 96, timestamp, marker, transport_sequence, audio_level };
            let mut packet = Vec::new();
            header.write(&mut packet);
            packet.extend_from_slice(&payload);
            let view = RtpView::parse(&packet, Some(3)).unwrap();
            if let (Some(level), None) = (level, twcc) {
                let voice = if level & 0x7f < 115 { 0x80 } else { 0 };
                prop_assert_eq!(&packet[HEADER_BYTES + 4..HEADER_BYTES + 6], &[2 << 4, level & 0x7f | voice][..]);
            }
            prop_assert_eq!((view.ssrc, view.sequence, view.timestamp), (ssrc, sequence, timestamp));
            prop_assert_eq!((view.marker, view.payload_type), (marker, 96));
            prop_assert_eq!(view.transport_sequence, twcc);
            prop_assert_eq!(view.payload, &payload[..]);
        }

        #[test]
        fn parse_is_total(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = RtpView::parse(&packet, Some(3));
        }
    }
}
